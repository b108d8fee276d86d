"""Asked: what a request is to be, as its options say; some of it may be changed until it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._chars import check_method, check_target
from ._checks import check_size
from ._errors import StateError
from ._header_store import HeaderStore
from ._options import host_header, path_text
from ._outgoing import UNRENDERED, OutgoingMessage

if TYPE_CHECKING:
    from ._options import RequestOptions

__all__ = ["Asked"]


class Asked(OutgoingMessage):
    """The part of :class:`anywire.core.ClientRequest` that answers from its options."""

    __slots__ = ("_made_store", "_method", "_options", "_path", "_raw_fields")

    _made_store: HeaderStore | None
    _method: str
    _options: RequestOptions
    _path: str
    _raw_fields: list[tuple[str, Any]] | None

    # The base class has a slot of this name. Most requests have no field but Host, and nobody asks for that one.
    @property
    def _store(self) -> HeaderStore | None:
        store = self._made_store
        if store is None and self._raw_fields is None:
            store = self._made_store = HeaderStore()
            store.set("Host", host_header(self._options))
        return store

    @_store.setter
    def _store(self, store: HeaderStore | None) -> None:
        self._made_store = store

    @property
    def method(self) -> str:
        """Request method; may be changed until the head is rendered, and is checked then (CLI-2)."""
        return self._method

    @method.setter
    def method(self, method: str) -> None:
        self._check_not_sent()
        self._method = check_method(method)

    @property
    def path(self) -> str:
        """Request target; may be changed until the head is rendered, and is checked then (CLI-2)."""
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        self._check_not_sent()
        self._path = check_target(path_text(path))

    @property
    def host(self) -> str:
        """Where to (CLI-L2)."""
        return self._options.host

    @property
    def protocol(self) -> str:
        """``"http:"`` or ``"https:"`` (CLI-L2)."""
        return self._options.protocol

    @property
    def socket_path(self) -> str | None:
        """Unix socket path (CLI-14)."""
        return self._options.socket_path

    @property
    def max_header_size(self) -> int | None:
        """The option as given (CLI-14)."""
        return self._options.max_header_size

    @property
    def insecure_http_parser(self) -> bool | None:
        """The option as given (CLI-14)."""
        return self._options.insecure_http_parser

    @property
    def max_headers_count(self) -> int | None:
        """Most fields of a response; 0 is unlimited. Read when the request gets its connection (CLI-30)."""
        return self._options.max_headers_count

    @max_headers_count.setter
    def max_headers_count(self, count: int | None) -> None:
        self._options.max_headers_count = check_size(count, "max_headers_count")
        self._options.plain = False

    def _check_not_sent(self) -> None:
        if self._framing != UNRENDERED:
            raise StateError("Cannot change the request line after the head is rendered", code="ERR_HTTP_HEADERS_SENT")
