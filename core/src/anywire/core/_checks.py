"""Checks of single argument values: type, range, form, and the errors that name them.

Shared by the options of requests, servers and ``listen()``. Each check returns the value in the form that the
rest of the core wants, or raises a :class:`~._errors.LocalError` with Node's code that names the argument and
shows the value. None is handled by the callers, unless a check says otherwise.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, TypeVar

from ._chars import safe_text
from ._errors import ArgumentTypeError, ArgumentValueError
from ._names import SERVER_TLS_OPTIONS, TLS_OPTIONS, check_tls_flags
from ._url import domain_to_ascii, is_ambiguous_ipv4

__all__ = [
    "EMPTY",
    "MAX_TIMEOUT",
    "check_bool",
    "check_callable",
    "check_count",
    "check_destination",
    "check_error",
    "check_host",
    "check_ip",
    "check_mapping",
    "check_names",
    "check_port",
    "check_size",
    "check_socket_path",
    "check_subclass",
    "check_timeout",
    "received",
    "refuse_tls",
    "tls_options",
    "unknown_option",
    "wrong_type",
]

T = TypeVar("T")

EMPTY: Final[Mapping[str, Any]] = {}
MAX_TIMEOUT: Final = 2147483.647
"""Seconds; a longer timeout becomes this, with a warning (MOD-60)."""

# Anything else could not stand in the Host field (RFC 3986 section 3.2.2), or is another name once it is decoded.
_NOT_IN_HOST: Final = re.compile(r"[\x00-\x20\x7f\"%/<>?#@\\\[\]^`{|}\ud800-\udfff]").search


def check_timeout(value: object, name: str) -> float:
    """A duration in seconds: not negative, not NaN, at most MAX_TIMEOUT, to which more is cut with a warning.

    Args:
        value: what was given; an int or a float, and not a bool.
        name: of the argument, for the message: ``"timeout"`` (MOD-60), ``"seconds"`` (CLI-95).

    Raises:
        ArgumentTypeError: not a number.
        ArgumentValueError: ``ERR_OUT_OF_RANGE``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(name, "float, seconds", value, "argument")
    if not 0 <= value < math.inf:  # False for NaN too
        raise _out_of_range(name, "a non-negative finite number", value)
    if value > MAX_TIMEOUT:
        warnings.warn(
            f"{value} s does not fit into 31 bits of milliseconds: {name} was set to {MAX_TIMEOUT} s",
            RuntimeWarning,
            stacklevel=4,
        )
        return MAX_TIMEOUT
    return float(value)


def check_bool(value: object, name: str) -> bool:
    """Exactly True or False (MOD-18)."""
    if value is not True and value is not False:
        raise wrong_type(name, "bool", value)
    return value


def check_names(value: object, name: str) -> frozenset[str] | None:
    """A list of names in any case: as lower case, or None for none."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise wrong_type(name, "list", value)
    names = list(value)
    for each in names:
        if not isinstance(each, str):
            raise wrong_type(name, "list of str", each)
    return frozenset(each.lower() for each in names) or None


def check_callable(value: object, name: str, kind: str = "property") -> Any:
    """Something that can be called."""
    if not callable(value):
        raise wrong_type(name, "callable", value, kind)
    return value


def check_choice(value: object, name: str, choices: tuple[str, ...]) -> str:
    """One of some words."""
    if not isinstance(value, str):
        raise wrong_type(name, "str", value)
    if value not in choices:
        words = " or ".join(map(repr, choices))
        raise ArgumentValueError(f'The value of "{name}" must be {words}. Received {received(value)}')
    return value


def check_subclass(value: Any, name: str, base: type[T]) -> type[T]:
    """`base` for None, or a subclass of it (MOD-16)."""
    if value is None:
        return base
    if not (isinstance(value, type) and issubclass(value, base)):
        given = value.__name__ if isinstance(value, type) else received(value)
        raise ArgumentTypeError(
            f'The "options.{name}" property must be a subclass of {base.__name__}. Received {given}'
        )
    return value


def check_count(value: object, name: str) -> int:
    """An int of any sign; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "int", value, "argument")
    return int(value)


def check_error(error: Any) -> Any:
    """What ``destroy()`` takes: an exception, not its class, or None."""
    if error is not None and not isinstance(error, BaseException):
        raise wrong_type("error", "exception or None", error, "argument")
    return error


def check_destination(value: object) -> None:
    """What ``pipe()`` writes to: it has ``write()`` and ``end()``."""
    for name in ("write", "end"):
        if isinstance(value, type) or not callable(getattr(value, name, None)):
            raise ArgumentTypeError(
                f'The "destination" argument must have write() and end(). Received {received(value)}'
            )


def check_size(value: object, name: str) -> int | None:
    """A whole number >= 0, or None (MOD-17)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(name, "int", value)
    if not 0 <= value < math.inf or value != int(value):
        raise _out_of_range(name, "an integer >= 0", value)
    return int(value)


def check_port(value: object, name: str, *, prefix: str = "Port") -> int:
    """A port from a number or its decimal digits; 0 for whatever means "not given" (MOD-43)."""
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise wrong_type(name, "int or str", value)
    number: float = -1
    if not isinstance(value, str):
        number = value
    elif value.isascii() and value.isdigit() and len(value.lstrip("0")) <= 5:
        number = int(value)
    if not 0 <= number <= 65535 or number != int(number):
        raise ArgumentValueError(
            f"{prefix} should be >= 0 and < 65536. Received {safe_text(value)}.", code="ERR_SOCKET_BAD_PORT"
        )
    return int(number)


def check_mapping(value: object, name: str) -> Mapping[str, Any]:
    """A mapping; an empty one for None."""
    if value is None:
        return EMPTY
    if not isinstance(value, Mapping):
        raise wrong_type(name, "mapping", value)
    return value


def check_socket_path(value: object, name: str) -> str | None:
    """A path of a Unix-domain socket: str or path object; None for ``""``."""
    if value is None:
        return None
    if not isinstance(value, str):
        value = _fspath(value, name, "str or path")
    # A NUL in front is Linux's abstract name space; elsewhere it would cut the path short.
    if "\0" in value[1:]:
        raise ArgumentValueError(f'The property "options.{name}" contains a NUL: "{safe_text(value)}"')
    return value or None


def _fspath(value: object, name: str, wanted: str) -> str:
    """``os.fspath()`` without os: the core has no business with the operating system."""
    fspath = getattr(type(value), "__fspath__", None)
    text = fspath(value) if fspath is not None else None
    if not isinstance(text, str):
        raise wrong_type(name, wanted, value)
    return text


def tls_options(options: Mapping[str, Any], known: frozenset[str] = TLS_OPTIONS) -> Mapping[str, Any]:
    """The TLS options among `options`, over those in the mapping ``tls``; the flags are checked (SEC-42)."""
    made = {name: value for name, value in check_mapping(options.get("tls"), "tls").items() if value is not None}
    for name, value in options.items():
        if value is not None and name in known:
            made[name] = value
    check_tls_flags(made)
    for name, value in made.items():
        if (check := _TLS_CHECKS.get(name)) is not None:
            made[name] = check(value, name)
    return made


def refuse_tls(options: Mapping[str, Any]) -> None:
    """Where there is no TLS an option for it is a mistake: what was to be secret would go out in the clear."""
    name = next((each for each in options if each in SERVER_TLS_OPTIONS), None)
    if name is not None:
        raise ArgumentValueError(
            f'The option "{safe_text(name)}" is for TLS, and this is "http:"; use the https module'
        )


def _pem(value: object, name: str) -> str | bytes:
    """PEM text or a path; what has ``__fspath__`` becomes the path's text."""
    return value if isinstance(value, (str, bytes)) else _fspath(value, name, "str, bytes or path")


def _pems(value: object, name: str) -> object:
    return [_pem(each, name) for each in value] if isinstance(value, (list, tuple)) else _pem(value, name)


def _typed(wanted: str, *types: type) -> Callable[[Any, str], Any]:
    def check(value: Any, name: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, types):
            raise wrong_type(name, wanted, value)
        return value

    return check


def _passphrase(value: object, name: str) -> object:
    if not isinstance(value, (str, bytes, bytearray)) and not callable(value):
        raise wrong_type(name, "str, bytes or callable", value)
    return value


def _protocols(value: object, name: str) -> object:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise wrong_type(name, "list of str", value)
    return value


def _context(value: object, name: str) -> object:
    # The core does not import ssl, and gevent has its own.
    if isinstance(value, type) or not callable(getattr(value, "wrap_bio", None)):
        raise wrong_type(name, "ssl.SSLContext", value)
    return value


_str: Final = _typed("str", str)
_TLS_CHECKS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    **dict.fromkeys(("ca", "crl", "pfx", "dhparam"), _pems),
    **dict.fromkeys(("cert", "key"), _pem),
    **dict.fromkeys(("ciphers", "client_cert_engine", "ecdh_curve", "secure_protocol"), _str),
    **dict.fromkeys(("servername", "session_id_context", "sigalgs"), _str),
    **dict.fromkeys(("min_version", "max_version"), _typed("str or ssl.TLSVersion", str, int)),
    "alpn_protocols": _protocols,
    "check_server_identity": check_callable,
    "honor_cipher_order": check_bool,
    "passphrase": _passphrase,
    "secure_options": _typed("int", int),
    "ssl_context": _context,
}
"""By option; the flags have a check of their own."""


def check_host(value: object, name: str) -> str:
    """A host as given by the caller; ``""`` if it is absent (MOD-44)."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise wrong_type(name, "str, None", value)
    try:
        return _check_host_text(value)
    except ValueError as error:
        raise ArgumentValueError(
            f'The property "options.{name}" is invalid: {error}. Received "{safe_text(value)}"'
        ) from None


@lru_cache(maxsize=512)
def _check_host_text(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("only an IPv6 address stands in brackets")
    # The zone of an IPv6 address goes to the system and not into Host.
    if bad := _NOT_IN_HOST(host.partition("%")[0] if ":" in host else host):
        raise ValueError(f"U+{ord(bad[0]):04X} cannot stand in a host name")
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise ValueError("neither a name nor an IPv6 address (a port has its own option)") from None
        return host
    if not host.isascii():
        host = domain_to_ascii(host)
        if not host or _NOT_IN_HOST(host) or ":" in host:
            raise ValueError("not a host name")
    if is_ambiguous_ipv4(host):
        raise ValueError("as an IPv4 address it is ambiguous, write four decimal numbers")
    return host


def check_ip(value: object) -> str:
    """The text of an IPv4 or IPv6 address (MOD-51)."""
    if isinstance(value, str):
        try:
            ip_address(value)
            return value
        except ValueError:
            pass
    raise ArgumentValueError(
        f'Invalid IP address: {safe_text(value)} (option "local_address")', code="ERR_INVALID_IP_ADDRESS"
    )


def received(value: object) -> str:
    """Type and text of what was given, for a message."""
    return f"{type(value).__name__} ({safe_text(value)})"


def wrong_type(name: str, wanted: str, value: object, kind: str = "property") -> ArgumentTypeError:
    """The error for an option, or with `kind` ``"argument"`` for an argument, of the wrong type."""
    full = name if kind == "argument" else f"options.{name}"
    return ArgumentTypeError(f'The "{full}" {kind} must be of type {wanted}. Received {received(value)}')


def _out_of_range(name: str, wanted: str, value: object) -> ArgumentValueError:
    return ArgumentValueError(
        f'The value of "{name}" is out of range. It must be {wanted}. Received {safe_text(value)}',
        code="ERR_OUT_OF_RANGE",
    )


def unknown_option(
    options: Iterable[object], known: frozenset[str], hints: Mapping[str, str] = EMPTY
) -> ArgumentTypeError:
    """The error for the first of `options` that is not `known`, with its hint or the closest name that is."""
    name = next(each for each in options if each not in known)
    if not isinstance(name, str):
        return ArgumentTypeError(f"The names of options must be of type str. Received {received(name)}")
    # Somebody who comes from Node writes maxHeaderSize.
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    close = get_close_matches(snake, sorted(known), n=1, cutoff=0.8)
    hint = f"; {hints[name]}" if name in hints else f'; did you mean "{close[0]}"?' if close else ""
    return ArgumentTypeError(f'Unknown option "{safe_text(name)}"{hint}')
