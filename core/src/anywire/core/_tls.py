"""TLS options of Node's names as an ``SSLContext``, without importing ssl.

The core does no I/O, and the ssl module does. A backend hands the module in, and
``tempfile`` with it, for ``load_cert_chain`` takes nothing but files.

A client's contexts are made once per set of options: parsing the system's CA store
costs 15 ms and 0.7 MB each time (ASK-40). The key is the pool name of the options, which
holds every TLS option there is, so no two different sets share one (ASK-39), and the ssl
module, of which gevent has its own. A server makes its context whenever it listens, for
its certificate may have been renewed under the same path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import errorcode
from typing import TYPE_CHECKING, Any, Final

from ._errors import ArgumentValueError
from ._names import SERVER_TLS_OPTIONS, TLS_OPTIONS, https_name
from ._secure import SecureFeed
from ._sessions import make_room

if TYPE_CHECKING:
    from ._client_connection import ClientConnection
    from ._sessions import SessionSlot

__all__ = ["client_context", "client_feed", "server_context"]

_contexts: dict[tuple[int, str], Any] = {}
MAX_CONTEXTS: Final = 64
_VERSIONS: Final = {"TLSv1": "TLSv1", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
_NOT_IN_CONTEXT: Final = frozenset({"servername"})
_NO_COUNTERPART: Final = (
    "client_cert_engine", "pfx", "crl", "dhparam", "secure_protocol", "session_id_context", "sigalgs",
    "check_server_identity",
)  # fmt: skip


def client_context(ssl: Any, tempfile: Any, options: Mapping[str, Any]) -> Any:
    """The context of a client connection.

    Args:
        ssl: the ssl module.
        tempfile: the tempfile module.
        options: connection options; those in ``TLS_OPTIONS`` count, by themselves or in the mapping ``tls``.
            ``ca``, ``cert`` and ``key`` are PEM text or paths. Verification is on unless
            ``reject_unauthorized`` is exactly False (SEC-42).

    Raises:
        ArgumentValueError: an option that this Python's ssl cannot honour, or that ``ssl_context`` would pass over,
            named; or a file cannot be read: the code is the system's, ``ENOENT`` for one that is not there; or OpenSSL
            refuses something: ``ERR_OSSL_`` and its reason where it gives one, else ``ERR_INVALID_ARG_VALUE``.
    """
    tls = _tls_only(options, options.get("tls") or {})
    return _own_context(tls) or _cached(ssl, tls, tempfile)


def client_feed(
    ssl: Any,
    tempfile: Any,
    options: Mapping[str, Any],
    name: str,
    connection: ClientConnection,
    slot: SessionSlot | None,
) -> SecureFeed:
    """What a new client connection speaks TLS through.

    Args:
        ssl: as :func:`client_context`.
        tempfile: the same.
        options: the same.
        name: the TLS server name. ``""`` says none (MOD-69), and the host is verified. OpenSSL sends no address as a
            name; a host's name it sends, for without it nothing could be verified.
        connection: gets the plaintext.
        slot: where its session is kept.

    Raises:
        ArgumentValueError: as :func:`client_context`; or `name` can be no host's.
    """
    context = client_context(ssl, tempfile, options)
    name = name or options["host"]
    try:
        connection.secure = SecureFeed(ssl, context, connection, server_side=False, server_name=name, slot=slot)
    except ValueError as error:
        raise ArgumentValueError(f"Not a TLS server name: {name!r}", code="ERR_INVALID_ARG_VALUE") from error
    return connection.secure


def server_context(ssl: Any, tempfile: Any, options: Mapping[str, Any]) -> Any:
    """The context of a listening server. Options and errors as :func:`client_context`; ``cert`` is needed.

    With ``ca`` or ``request_cert``, client certificates are asked for and verified; ``reject_unauthorized=False`` asks
    without insisting on one, and ``request_cert=False`` does not ask.
    """
    tls = _tls_only(options, options, SERVER_TLS_OPTIONS)
    if given := _own_context(tls):
        return given
    if "cert" not in tls:
        raise ArgumentValueError('An https server needs "cert" and "key", or "ssl_context"', code="ERR_MISSING_ARGS")
    return _make(ssl, tls, tempfile, server=True)


def _tls_only(
    options: Mapping[str, Any], nested: Mapping[str, Any], known: frozenset[str] = TLS_OPTIONS
) -> dict[str, Any]:
    """The TLS options of `options`, over those of `nested`, where there can be no others.

    Raises:
        ArgumentValueError: `nested` has one that nobody would ever look at.
    """
    for name in nested:
        if name not in known:
            raise _no_counterpart(name)
    given = {**nested, **{name: value for name, value in options.items() if value is not None}}
    return {name: value for name, value in given.items() if name in known and value is not None}


def _own_context(tls: Mapping[str, Any]) -> Any:
    """The context of the caller's own, or None.

    Raises:
        ArgumentValueError: there is an option beside it that it would pass over (SEC-41).
    """
    context = tls.get("ssl_context")
    if context is not None and (beside := sorted(tls.keys() - _NOT_IN_CONTEXT - {"ssl_context"})):
        raise ArgumentValueError(
            f'The option "{beside[0]}" has no effect beside "ssl_context"; let the SSLContext say it',
            code="ERR_INVALID_OPT_VALUE",
        )
    return context


def _no_counterpart(name: str) -> ArgumentValueError:
    return ArgumentValueError(
        f'The option "{name}" has no counterpart in Python\'s ssl; build an SSLContext and pass "ssl_context"',
        code="ERR_INVALID_OPT_VALUE",
    )


def _cached(ssl: Any, options: Mapping[str, Any], tempfile: Any) -> Any:
    tls = {name: value for name, value in options.items() if name not in _NOT_IN_CONTEXT}
    key = id(ssl), https_name(tls)
    made = _contexts.get(key)
    if made is None:
        made = _contexts[key] = _make(ssl, tls, tempfile, server=False)
        make_room(_contexts, MAX_CONTEXTS)
    return made


@contextmanager
def _blaming(ssl: Any, what: str) -> Iterator[None]:
    """What OpenSSL has against an option names none, and "PEM lib" helps nobody: say which it was."""
    try:
        yield
    except ArgumentValueError:
        raise
    except (ssl.SSLError, ValueError) as error:
        # A mistake in an option is not a connection that failed, so it is no OSError here.
        reason = getattr(error, "reason", None)
        code = f"ERR_OSSL_{reason}".replace(" ", "_") if reason else "ERR_INVALID_ARG_VALUE"
        raise ArgumentValueError(f"{what} cannot be used: {error}", code=code) from error


def _make(ssl: Any, tls: Mapping[str, Any], tempfile: Any, *, server: bool) -> Any:
    """A new context. Each helper sets what its options say."""
    if server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    elif "ca" in tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    _set_trust(ssl, context, tls, server=server)
    _set_identity(ssl, context, tls, tempfile, server=server)
    _set_protocol(ssl, context, tls)
    for name in _NO_COUNTERPART:
        if name in tls:
            raise _no_counterpart(name)
    return context


def _set_trust(ssl: Any, context: Any, tls: Mapping[str, Any], *, server: bool) -> None:
    """Whom to believe, and whether a peer has to be believed."""
    for authority in _listed(tls.get("ca")):
        with _blaming(ssl, 'The option "ca"'):
            text = _text(authority)
            if _is_pem(text):
                context.load_verify_locations(cadata=text)
            else:
                _load_authorities(context, text, "ca")
    insist = tls.get("reject_unauthorized", True)
    if server:
        if tls.get("request_cert", "ca" in tls):
            context.verify_mode = ssl.CERT_REQUIRED if insist else ssl.CERT_OPTIONAL
            if "ca" not in tls:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    elif not insist:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.get("check_hostname") is False:
        context.check_hostname = False


def _set_identity(ssl: Any, context: Any, tls: Mapping[str, Any], tempfile: Any, *, server: bool) -> None:
    """Who we are."""
    if "cert" in tls:
        pair = 'The options "cert" and "key"' if "key" in tls else 'The option "cert", which without "key" holds both,'
        with _blaming(ssl, pair):
            _load_chain(ssl, context, tls, tempfile)
        if not server:
            context.post_handshake_auth = True  # a server may ask only once it knows what for (RFC 8446 section 4.6.2)


def _set_protocol(ssl: Any, context: Any, tls: Mapping[str, Any]) -> None:
    """What to agree upon with the peer."""
    context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0)  # nobody needs it, and TLS 1.3 has none
    with _blaming(ssl, 'The option "alpn_protocols"'):
        context.set_alpn_protocols(list(tls.get("alpn_protocols", ("http/1.1",))))
    for name, attribute in (("min_version", "minimum_version"), ("max_version", "maximum_version")):
        if name in tls:
            with _blaming(ssl, f'The option "{name}"'):
                setattr(context, attribute, _version(ssl, tls[name], name))
    for name, use in (("ciphers", context.set_ciphers), ("ecdh_curve", context.set_ecdh_curve)):
        if name in tls:
            with _blaming(ssl, f'The option "{name}"'):
                use(tls[name])
    if "secure_options" in tls:
        context.options |= tls["secure_options"]
    if "honor_cipher_order" in tls:
        prefer = ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options = context.options | prefer if tls["honor_cipher_order"] else context.options & ~prefer


def _load_authorities(context: Any, path: str, name: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        if type(error).__module__ == "ssl":  # it was read, and is something else
            raise
        raise _unreadable(name, path, error) from error


def _unreadable(name: str, path: str, error: OSError) -> ArgumentValueError:
    code = errorcode.get(error.errno or 0, "EIO")
    what = "no such file" if code == "ENOENT" else (error.strerror or "cannot be read").lower()
    return ArgumentValueError(f'The option "{name}": {what}: {path!r}', code=code)


def _load_chain(ssl: Any, context: Any, tls: Mapping[str, Any], tempfile: Any) -> None:
    cert, key = _text(tls["cert"]), _text(tls.get("key", tls["cert"]))
    password = tls.get("passphrase")
    if _is_pem(cert) or _is_pem(key):
        if not (_is_pem(cert) and _is_pem(key)):
            raise ArgumentValueError('"cert" and "key" must both be PEM text or both be paths')
        # A file that only we can read, for as long as ssl needs it.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(cert + "\n" + key)
            file.flush()
            context.load_cert_chain(file.name, password=password)
    else:
        try:
            context.load_cert_chain(cert, key, password=password)
        except OSError as error:
            if type(error).__module__ != "ssl":
                # It does not say which of the two; if the certificate's file can be opened, it is the key's.
                with suppress(ssl.SSLError):
                    _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, "cert")
                raise _unreadable("key", key, error) from error
            raise


def _version(ssl: Any, value: Any, name: str) -> Any:
    if isinstance(value, str):
        if value not in _VERSIONS:
            raise ArgumentValueError(f'The option "{name}" must be one of {", ".join(_VERSIONS)}. Received {value!r}')
        return getattr(ssl.TLSVersion, _VERSIONS[value])
    return value


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text
