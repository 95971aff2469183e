"""Downloads that survive interruptions, are verified, and never look finished early.

A file grows under a temporary name in a folder that outlives the attempt, goes
on where it stopped, and takes its final name only when its size, its digest and
its kind are right. Digests of files that nobody published one for are recorded
in ``checksums.json`` at the first download and enforced from then on.
"""

import errno
import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rehear import atomic
from rehear.errors import DataError

CHECKSUMS = "checksums.json"
PAUSES = (1.0, 3.0, 9.0)  # seconds between tries that bring no new byte
TIMEOUT = 60.0  # seconds without a byte after which a connection is given up
_TRIES = 50  # in all, for servers that always cut at the same place
_CHUNK = 1 << 20
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_OUT_OF_RANGE = 416
_PARTIAL = 206
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM})
_MAGIC = {  # ending: (offset, possible first bytes)
    ".gz": (0, (b"\x1f\x8b",)),
    ".tgz": (0, (b"\x1f\x8b",)),
    ".zip": (0, (b"PK\x03\x04", b"PK\x05\x06")),
    ".tar": (257, (b"ustar",)),
    ".bz2": (0, (b"BZh",)),
    ".xz": (0, (b"\xfd7zXZ\x00",)),
    ".wav": (0, (b"RIFF", b"RIFX", b"RF64")),
    ".flac": (0, (b"fLaC",)),
}


@dataclass(frozen=True, slots=True)
class _Expected:
    """What is known of a file before it is fetched; ``None`` if unknown."""

    size: int | None
    sha256: str | None


class _Interrupted(Exception):  # noqa: N818 - not an error until it is too much
    """A connection ended early, or a server asks to come again."""


def download(
    url: str,
    target: Path,
    *,
    downloads: Path,
    size: int | None = None,
    sha256: str | None = None,
    record: bool = True,
) -> Path:
    """Fetch ``url`` and verify it.

    The verified file stays in ``downloads`` as well, as a hard link where the
    file system allows, so that a later failure of the same stage does not fetch
    it again. Whoever calls removes that folder in the end.

    Args:
        url: ``http``, ``https`` or ``file``
        target: final path; its ending says which kind of file is expected
        downloads: folder for partial files and ``checksums.json``
        size: published size in bytes
        sha256: published digest
        record: without a published digest, record the one of the first download
            in ``checksums.json`` and enforce it later; set it to false only
            where the contents are verified in another way

    Returns:
        ``target``

    Raises:
        DataError: if the file cannot be fetched, the disk is full, or what comes
            is not what was expected; a bad file is removed
    """
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise DataError(f"{url}: cannot be fetched; expected http, https or file")
    known = recorded(downloads / CHECKSUMS) if record else {}
    entry = known.get(url, {})
    expected = _Expected(size or entry.get("size"), sha256 or entry.get("sha256"))
    key = hashlib.sha256(url.encode()).hexdigest()[:20]
    downloads.mkdir(parents=True, exist_ok=True)
    done = downloads / f"{key}.done"
    if not done.exists():
        part = downloads / f"{key}.part"
        _receive(url, part, expected=expected, name=target.name)
        part.with_suffix(".json").unlink(missing_ok=True)
        part.replace(done)
    found = _verify(url, done, expected=expected, name=target.name)
    if record and sha256 is None:
        known[url] = {"size": found.size, "sha256": found.sha256}
        atomic.write_json(downloads / CHECKSUMS, dict(sorted(known.items())))
    _place(done, target)
    return target


def recorded(path: Path) -> dict[str, dict[str, Any]]:
    """Return the sizes and digests of earlier downloads, by address.

    Raises:
        DataError: if the file is not what ``download`` writes
    """
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {str(url): dict(entry) for url, entry in table.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); restore it with git, or remove it to "
            "record new checksums"
        ) from None


def decompress(archive: Path, target: Path, *, limit: int) -> None:
    """Decompress a gzip file.

    Args:
        archive: gzip file, of one or several members
        target: written under a temporary name first
        limit: most bytes that may come out, against compression bombs

    Raises:
        DataError: if the file is damaged, or more than ``limit`` comes out
    """
    written = 0
    with archive.open("rb") as source, atomic.file(target) as out:
        try:
            for block in _inflated(source):
                written += len(block)
                if written > limit:
                    raise DataError(
                        f"{archive.name}: more than {limit:,} bytes come out of "
                        f"{archive.stat().st_size:,}; refused as a compression bomb"
                    )
                out.write(block)
        except (zlib.error, EOFError) as error:
            raise DataError(
                f"{archive.name}: damaged gzip file ({error}); fetch it again"
            ) from None
        except OSError as error:
            _disk(error, target.parent)
            raise


def _inflated(source: Any) -> Any:
    """Yield blocks of bounded size; the gzip module does not bound its output."""
    inflater, data = zlib.decompressobj(wbits=31), source.read(_CHUNK)
    while data:
        yield inflater.decompress(data, _CHUNK)
        data = inflater.unconsumed_tail or inflater.unused_data
        if inflater.eof:
            data = data or source.read(_CHUNK)
            # Zeros after the last member are padding.
            if not data.strip(b"\0"):
                return
            inflater = zlib.decompressobj(wbits=31)
        else:
            data = data or source.read(_CHUNK)
    raise EOFError("it ends early")


def _receive(url: str, part: Path, *, expected: _Expected, name: str) -> None:
    """Bring ``part`` to its full length, in as many tries as are worth it."""
    failures = 0
    for _ in range(_TRIES):
        before = _size(part)
        try:
            return _continue(url, part, expected=expected, name=name)
        except _Interrupted as error:
            reason = str(error)
        failures = 0 if _size(part) > before else failures + 1
        if failures > len(PAUSES):
            break
        if failures:
            time.sleep(PAUSES[failures - 1])
    raise DataError(
        f"{url}: cannot be fetched ({reason}); {_size(part):,} bytes are kept: check "
        "the network and run it again to go on"
    )


def _continue(url: str, part: Path, *, expected: _Expected, name: str) -> None:
    have = _size(part)
    request = _request(url, part, expected)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            _save(response, part, url=url, expected=expected, name=name)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _OUT_OF_RANGE and have:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was complete already
            # The part is longer than the file, which must have changed.
            part.unlink(missing_ok=True)
            raise _Interrupted("the file has changed") from None
        if error.code in _TEMPORARY:
            raise _Interrupted(f"{error.code} {error.reason}") from None
        raise DataError(
            f"{url}: the server answers {error.code} {error.reason}; check the "
            "address, or name another one in dataset.url"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        _disk(error, part.parent)
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError | FileNotFoundError):
            raise DataError(f"{url}: cannot be fetched ({reason})") from None
        raise _Interrupted(str(reason) or type(reason).__name__) from None


def _request(url: str, part: Path, expected: _Expected) -> urllib.request.Request:
    """Ask for the rest of the file, if it is sure to be of the same file."""
    headers = {"User-Agent": "rehear", "Accept-Encoding": "identity"}
    have, notes = _size(part), part.with_suffix(".json")
    validator = json.loads(notes.read_text("utf-8")) if notes.exists() else ""
    if have and (validator or expected.sha256):
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    elif have:
        part.unlink()
    return urllib.request.Request(url, headers=headers)


def _save(
    response: Any, part: Path, *, url: str, expected: _Expected, name: str
) -> None:
    from tqdm import tqdm

    # Its monitor is a thread, and recordings are read by forked processes later.
    tqdm.monitor_interval = 0
    if "html" in response.headers.get("Content-Type", "") and _ending(name):
        _not_that_kind(url, name, "a web page")
    have = _offset(response, _size(part))
    length = response.headers.get("Content-Length")
    total = None if length is None else have + int(length)
    if expected.size is not None and total not in (None, expected.size):
        part.unlink(missing_ok=True)
        _mismatch(url, f"{total:,} bytes", f"{expected.size:,}")
    _require_space(part.parent, (total or 0) - have, url)
    if not have:
        atomic.write_json(part.with_suffix(".json"), _validator(response))
    bar = tqdm(
        desc=name, total=total, initial=have, unit="B", unit_scale=True, disable=None
    )
    with part.open("ab" if have else "wb") as out, bar:
        while block := response.read(_CHUNK):
            out.write(block)
            bar.update(len(block))
    if total is not None and _size(part) < total:
        raise _Interrupted(f"connection lost after {_size(part):,} of {total:,} bytes")


def _offset(response: Any, have: int) -> int:
    """Return where the sent bytes begin; a server may ignore what was asked."""
    if response.status != _PARTIAL:
        return 0
    start = response.headers.get("Content-Range", "").partition("bytes ")[2]
    if start.partition("-")[0] != str(have):
        raise _Interrupted("the server sends another range than was asked for")
    return have


def _validator(response: Any) -> str:
    """Return what tells one version of the file from another, or nothing."""
    etag = str(response.headers.get("ETag", ""))
    strong = etag if not etag.startswith("W/") else ""
    return strong or str(response.headers.get("Last-Modified", ""))


def _verify(url: str, file: Path, *, expected: _Expected, name: str) -> _Expected:
    """Check kind, size and digest; remove the file if one of them is wrong."""
    try:
        with file.open("rb") as stream:
            _check_kind(url, name, stream.read(512))
            stream.seek(0)
            digest = hashlib.sha256()
            while block := stream.read(_CHUNK):
                digest.update(block)
        found = _Expected(file.stat().st_size, digest.hexdigest())
        if expected.size not in (None, found.size):
            _mismatch(url, f"{found.size:,} bytes", f"{expected.size:,}")
        if expected.sha256 not in (None, found.sha256):
            _mismatch(url, f"SHA-256 {found.sha256}", str(expected.sha256))
    except DataError:
        file.unlink()
        raise
    return found


def _ending(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix in _MAGIC else ""


def _check_kind(url: str, name: str, head: bytes) -> None:
    if not _ending(name):
        return
    offset, known = _MAGIC[_ending(name)]
    if not head[offset:].startswith(known):
        page = head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
        _not_that_kind(url, name, "a web page" if page else f"it begins {head[:8]!r}")


def _not_that_kind(url: str, name: str, found: str) -> NoReturn:
    raise DataError(
        f"{url}: not a {_ending(name)} file ({found}); open the address in a browser: "
        "it may ask for a login, or have moved"
    )


def _mismatch(url: str, found: str, expected: str) -> NoReturn:
    raise DataError(
        f"{url}: got {found}, expected {expected}; the file was removed: run it again, "
        "and if it stays so, the file at this address has changed or was tampered with"
    )


def _place(done: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(done, target)
    except OSError:  # another file system, or one without hard links
        _require_space(target.parent, _size(done), target.name)
        with done.open("rb") as source, atomic.file(target) as out:
            shutil.copyfileobj(source, out, _CHUNK)


def _require_space(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{what}: needs {needed:,} bytes, but {free:,} are free in {folder}; make "
            "room and run it again"
        )


def _disk(error: Exception, folder: Path) -> None:
    if isinstance(error, OSError) and error.errno in _DISK:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); make room, or check "
            "permissions, and run it again"
        ) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
