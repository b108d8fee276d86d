"""File name → ``Content-Type``.

From the table that Python ships, not from the machine's own files, so that every machine says the same.
"""

from __future__ import annotations

from mimetypes import MimeTypes

__all__ = ["content_type"]

_OCTETS = "application/octet-stream"
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": _OCTETS,
}
_BETTER = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".js": "text/javascript",  # RFC 9239
    ".json": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".rst": "text/x-rst",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}

_table = MimeTypes()
for _suffix, _type in _BETTER.items():
    _table.add_type(_type, _suffix)


def content_type(name: str) -> str:
    """The value of ``Content-Type`` for a file of that name.

    Text is said to be UTF-8; without that, browsers take it for Windows-1252. XML says itself what it is, and a
    parameter would overrule it (RFC 7303). A compressed file is what it is, not its content encoded: no
    ``Content-Encoding`` is ever sent.
    """
    # The leading slash: without one, guess_type() would look for a URL scheme in front of a colon.
    guessed, encoding = _table.guess_type("/" + name, strict=True)
    if encoding is not None:
        return _COMPRESSED.get(encoding, _OCTETS)
    if guessed is None:
        return _OCTETS
    return guessed + "; charset=utf-8" if guessed.startswith("text/") and guessed != "text/xml" else guessed
