"""Whether a download is of the kind that its name says, by its first bytes.

Servers answer with a page (log in, moved, too many requests) and the status 200.
"""

from pathlib import Path
from typing import NoReturn

from rehear.errors import DataError

HEAD = 512  # bytes that ``check`` needs
_BEGINNINGS = {
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".zip": (b"PK\x03\x04", b"PK\x05\x06"),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ\x00",),
    ".wav": (b"RIFF", b"RIFX", b"RF64"),
    ".flac": (b"fLaC",),
    ".ogg": (b"OggS",),
}
_PAGES = frozenset({".html", ".htm", ".xhtml", ".xml", ".svg"})
_JSON = (b"{", b"[")  # how an answer of a program begins, and no header of a table
_PAGE = (b"<!doctype", b"<html", b"<?xml")


def check_type(url: str, name: str, content_type: str) -> None:
    """Refuse a page by its ``Content-Type``, before it is read.

    Tables and texts pass, since servers call them pages too; ``check`` looks at
    what they are.

    Args:
        url: address, for the message
        name: of the file
        content_type: value of the header

    Raises:
        DataError: if the name is that of an archive or a recording
    """
    if "html" in content_type and _suffix(name) in (".tar", *_BEGINNINGS):
        _refuse(url, name, "a web page")


def check(url: str, name: str, head: bytes) -> None:
    """Refuse what does not begin as its name says, and pages under other names.

    Args:
        url: address, for the message
        name: of the file
        head: its first ``HEAD`` bytes, fewer if it is shorter

    Raises:
        DataError: if it is of another kind
    """
    suffix = _suffix(name)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.lower().startswith(_PAGE) and suffix not in _PAGES:
        _refuse(url, name, "a web page")
    if text.startswith(_JSON) and suffix in (".csv", ".tsv"):
        _refuse(url, name, f"it begins {head[:8]!r}")
    known = head.startswith(_BEGINNINGS.get(suffix, b""))
    if not (_is_tar(head) if suffix == ".tar" else known):
        _refuse(url, name, f"it begins {head[:8]!r}")


def _is_tar(head: bytes) -> bool:
    """Look at the header's sum; the oldest kind of tar has no other mark."""
    import tarfile

    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _refuse(url: str, name: str, found: str) -> NoReturn:
    raise DataError(
        f"{url}: not a {_suffix(name)} file ({found}); open the address in a browser: "
        "it may ask for a login, or have moved"
    )
