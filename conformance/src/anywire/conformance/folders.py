"""Where the documents and certificates are: in the checkout, or beside the installed code."""

from __future__ import annotations

from pathlib import Path

__all__ = ["beside", "certificate", "certificate_path"]


def beside(name: str) -> Path:
    """The folder called `name`.

    Raises:
        FileNotFoundError: it did not come with this installation.
    """
    here = Path(__file__).parent
    for folder in (here / name, here.parents[2] / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no documents called {name!r} beside {here}")


def certificate_path(name: str) -> Path:
    """The file of the certificate called `name`, with its key if it has one (``make_certificates.py``)."""
    return beside("certificates") / f"{name}.pem"


def certificate(name: str) -> str:
    """The same as PEM text."""
    return certificate_path(name).read_text("ascii")
