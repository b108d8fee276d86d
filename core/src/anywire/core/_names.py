"""Names of connection pools: requests with equal names may share a connection (AGT-13 to AGT-19).

Theory of operation. A name is a plain string, because users see it as the key of
``agent.sockets``. It must be *injective*: if two requests differ in anything that decides
whom the connection reaches or how the peer was verified, their names differ (ASK-39).
Node joins raw values by colons, so ``ca="x", cert="y:"`` and the like collide, its names
carry private keys in full, and an object is ``[object Object]``. Here:

* Short plain values stand as they are, so simple names are Node's (AGT-18).
* The characters ``% : , = # { }`` inside a value are written ``%XX``. So the fields can always be told apart.
* Long or binary values (certificates, keys) stand as ``#`` and 128 bits of their SHA-256.
* Objects (an ``ssl.SSLContext``, a callable) stand as ``#obj`` and a number that is never given to
  another object, as ``id()`` would be.
* What Node's 17 fields do not know (`EXTRA_FIELDS`) follows as ``:name=value``, only where it is set.

Every TLS option is in `TLS_OPTIONS`, and every one of them is in the name; so none can be forgotten in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import count
from typing import Final
from weakref import ref

from ._errors import ArgumentTypeError

__all__ = ["SERVER_TLS_OPTIONS", "TLS_OPTIONS", "check_tls_flags", "http_name", "https_name", "identity_token"]

NODE_FIELDS: Final = (
    "ca", "cert", "client_cert_engine", "ciphers", "key", "pfx", "reject_unauthorized", "servername", "min_version",
    "max_version", "secure_protocol", "crl", "honor_cipher_order", "ecdh_curve", "dhparam", "secure_options",
    "session_id_context",
)  # fmt: skip
"""The fields of an https name in Node's order (AGT-18)."""

EXTRA_FIELDS: Final = (
    "ssl_context", "check_hostname", "check_server_identity", "alpn_protocols", "passphrase", "sigalgs",
)  # fmt: skip
"""What else distinguishes one TLS client from another here (ASK-39)."""

TLS_OPTIONS: Final = frozenset(NODE_FIELDS + EXTRA_FIELDS)
"""Every TLS option there is: taken by requests, agents and https servers, and part of the pool name."""

SERVER_TLS_OPTIONS: Final = TLS_OPTIONS | {"request_cert"}
"""Those of servers, which have no names."""

_FALSE_COUNTS: Final = frozenset({"reject_unauthorized", "honor_cipher_order", "secure_options", "check_hostname"})
_FLAGS: Final = ("reject_unauthorized", "check_hostname", "request_cert")
_SHORT: Final = 64
_ESCAPED: Final = re.compile(r"[%:,=#{}]|[^\x21-\x7e]")


def http_name(options: Mapping[str, object]) -> str:
    """The pool name of an http connection: ``host:port:local_address[:family][:socket_path]``.

    Args:
        options: ``host``, ``port``, ``local_address``, ``family``, ``socket_path``, each optional.
            ``hostname`` is not looked at, letter case is kept (AGT-16). The mapping ``socket_options``
            (options that only the backend knows) follows last where there is one (ASK-39).

    Returns:
        For example ``"localhost::"``, ``"h:80:1.2.3.4"``, ``"h:1::4:/x"`` (AGT-13 to AGT-15).
    """
    get = options.get
    # Node's truthiness: None, "" and 0 mean "not given".
    name = f"{get('host') or 'localhost'}:{get('port') or ''}:{get('local_address') or ''}"
    family = get("family")
    if family == 4 or family == 6:
        name += ":4" if family == 4 else ":6"
    socket_path = get("socket_path")
    if socket_path:
        name += f":{socket_path}"
    unknown = get("socket_options")
    return f"{name}:socket_options={_value(unknown)}" if unknown else name


def https_name(options: Mapping[str, object]) -> str:
    """The pool name of an https connection: the http one and everything that concerns TLS.

    Args:
        options: as for :func:`http_name`, and the options in `TLS_OPTIONS`, by themselves or in the mapping ``tls``,
            which may hold unknown ones too.

    Returns:
        The http name, 17 fields each after a colon (AGT-18, AGT-19), then extras as ``:name=value``.

    Raises:
        ArgumentTypeError: ``reject_unauthorized`` or ``check_hostname`` is neither True, False nor
            None (SEC-42); or a value can neither be written down nor referred to.
    """
    unknown: dict[str, object] = {}
    nested = options.get("tls")
    if isinstance(nested, Mapping) and nested:
        options = {**nested, **{name: value for name, value in options.items() if value is not None}}
        unknown = {name: value for name, value in nested.items() if name not in TLS_OPTIONS and value is not None}
    check_tls_flags(options)
    get = options.get
    parts = [http_name(options)]
    for field in NODE_FIELDS:
        value = get(field)
        if field == "servername" and value == get("host"):
            value = None
        parts.append(_field(field, value))
    for field in EXTRA_FIELDS:
        value = get(field)
        if field == "passphrase" and value is not None:
            # Alone it may be guessed from its hash. With the key it cannot; without one it means nothing.
            secrets = [get("key"), get("pfx"), get("cert")]
            text = _digest(_value([value, *secrets]).encode()) if any(secrets) else ""
        else:
            text = _field(field, value)
        if text:
            parts.append(f"{field}={text}")
    if unknown:
        parts.append(f"tls={_value(unknown)}")
    return ":".join(parts)


def check_tls_flags(options: Mapping[str, object]) -> None:
    """Refuse anything but True, False and None where a falsy accident would turn verification off (SEC-42).

    Raises:
        ArgumentTypeError: ``ERR_INVALID_ARG_TYPE``, naming the option.
    """
    for flag in _FLAGS:
        value = options.get(flag)
        if value is not None and value is not True and value is not False:
            raise ArgumentTypeError(
                f'The "options.{flag}" property must be of type bool. Received {type(value).__name__} '
                "(verification is turned off by False alone)"
            )


def _field(name: str, value: object) -> str:
    if value is None or (name not in _FALSE_COUNTS and _is_unset(value)):
        return ""
    return _value(value)


def _is_unset(value: object) -> bool:
    return value is False or (isinstance(value, (str, bytes, int, float)) and not value)


def _value(value: object) -> str:
    """Write `value` down so that different values of a field never look the same."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):  # enumerations of the ssl module too
        return f"{value:d}" if isinstance(value, int) else repr(value)
    if isinstance(value, str):
        return _text(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _text(bytes(value))
    if isinstance(value, (list, tuple)):
        # One element looks like the element alone, as in Node. Nested lists keep their own braces.
        inner = [f"{{{_value(each)}}}" if isinstance(each, (list, tuple)) else _value(each) for each in value]
        return ",".join(inner) or "{}"
    if isinstance(value, Mapping):
        pairs = sorted((_value(str(key)), _value(each)) for key, each in value.items())
        return "{" + ",".join(f"{key}={each}" for key, each in pairs) + "}"
    return identity_token(value)


def _text(data: bytes) -> str:
    if len(data) > _SHORT:
        return _digest(data)
    text = data.decode("latin-1")
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", text)


def _digest(data: bytes) -> str:
    return "#" + sha256(data).hexdigest()[:32]


class _Reference:
    """A weak reference that removes its own entry, and knows its token."""

    __slots__ = ("ref", "token")

    def __init__(self, value: object, token: str) -> None:
        key = id(value)
        self.token = token

        def forget(_: object, entries: dict[int, _Reference] = _references) -> None:
            # Another object may stand at this address by now.
            if entries.get(key) is self:
                del entries[key]

        self.ref: Callable[[], object] = ref(value, forget)


_references: dict[int, _Reference] = {}
_numbers: Final = count(1)


def identity_token(value: object) -> str:
    """A short text that stands for this very object, and never for another one later.

    Raises:
        ArgumentTypeError: the object cannot be referred to weakly, so it could not be told from its successors.
    """
    known = _references.get(id(value))
    if known is not None and known.ref() is value:
        return known.token
    try:
        made = _Reference(value, f"#obj{next(_numbers)}")
    except TypeError:
        raise ArgumentTypeError(
            f"An object of type {type(value).__name__} cannot tell connections apart: it allows no weak references"
        ) from None
    # Two threads may get here at once; the last one to write wins and the other token is simply never seen again,
    # which costs a connection that is not shared, and shares none that should not be.
    _references[id(value)] = made
    return made.token
