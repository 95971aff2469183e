"""Published files: what is known of them, and whether a file on disk is the one.

Digests that nobody published are recorded in ``checksums.json`` at the first
download, and enforced from then on. Until a data set has looked into such a file
and found what it should hold, and every clip has been read, it is unchecked: then
it may still be withdrawn.
"""

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rehear import atomic, paths
from rehear.errors import DataError, DownloadError

CHECKSUMS = "checksums.json"
_UNCHECKED = ".unchecked"  # ends the note beside a file that nobody vouches for
_CHUNK = 1 << 20
_recording = threading.Lock()
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Remote:
    """A published file.

    Attributes:
        name: under which it is kept, and found on a mirror; its ending says
            which kind of file is expected
        url: address
        size: published, in bytes
        md5: published digest
        sha256: published digest
        stable: whether the bytes at the address stay the same; otherwise (an
            archive that a server packs anew) another digest than the published
            one is recorded and reported instead of refused
    """

    name: str
    url: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    stable: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What a file has to be; ``None`` where nothing is known.

    Attributes:
        size: in bytes
        md5: digest
        sha256: digest
        stable: whether another file is refused, or only reported
        source: where the size and the digests come from, for messages
    """

    size: int | None
    md5: str | None
    sha256: str | None
    stable: bool = True
    source: str = "published"


def known(remote: Remote, table: Path) -> Known:
    """Return what is published of a file, or was recorded earlier.

    What is published stands above what was recorded. Where the bytes do not stay
    the same, it is the other way round, so that each change is told once.

    Args:
        remote: the file
        table: ``checksums.json``

    Raises:
        DataError: if the table cannot be read
    """
    entry = recorded(table).get(remote.url, {})
    if entry and not (remote.stable and remote.sha256):
        md5 = remote.md5 if remote.stable else None
        size = remote.size if remote.stable else None
        return Known(
            size or entry.get("size"),
            md5,
            entry.get("sha256"),
            remote.stable,
            f"recorded in {CHECKSUMS}",
        )
    return Known(remote.size, remote.md5, remote.sha256, remote.stable)


def recorded(path: Path) -> dict[str, dict[str, Any]]:
    """Return the sizes and digests of earlier downloads, by address.

    Raises:
        DataError: if the file is not what ``record`` writes
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


def record(path: Path, url: str, found: Known) -> None:
    """Add the size and the digest of a file to a table, from any thread."""
    with _recording:
        table = recorded(path)
        entry = {"size": found.size, "sha256": found.sha256}
        if table.get(url) != entry:
            table[url] = entry
            atomic.write_json(path, dict(sorted(table.items())))


def leave_unchecked(done: Path, remote: Remote) -> None:
    """Note that nobody vouches for a file, unless its digest is published."""
    if remote.md5 is None and remote.sha256 is None:
        done.with_suffix(_UNCHECKED).write_text(remote.url, "utf-8")


def accept(downloads: Path) -> None:
    """Take the files in a folder for what they should be, as they were checked."""
    for note in downloads.glob(f"*{_UNCHECKED}"):
        note.unlink()


def withdraw(downloads: Path, tracked: Path) -> None:
    """Forget what was recorded of files that turned out not to hold what they should.

    They become partial files, so that the next try asks their server for them
    again: where it can tell that a file is still the same, no byte is sent twice.

    Args:
        downloads: folder of the files, with ``checksums.json``
        tracked: table of the files that were checked earlier, which stay
    """
    known, table = recorded(tracked), downloads / CHECKSUMS
    if table.exists():
        atomic.write_json(table, dict(sorted(known.items())))
    for note in downloads.glob(f"*{_UNCHECKED}"):
        done = note.with_suffix(".done")
        if note.read_text("utf-8") not in known and done.exists():
            done.replace(note.with_suffix(".part"))
        note.unlink()


@contextlib.contextmanager
def trial(downloads: Path, tracked: Path) -> Iterator[None]:
    """Vouch for what is downloaded inside only if it turns out to be right there.

    Where a ``DataError`` says that it is not, it is withdrawn. Where something
    else stops the work, it stays as it is, unchecked, for the next try.

    Args:
        downloads: folder of the files, with ``checksums.json``; is made
        tracked: table of the files that were checked, which git tracks
    """
    downloads.mkdir(parents=True, exist_ok=True)
    table = downloads / CHECKSUMS
    if tracked.exists():
        # What git tracks stands above what an unfinished try has recorded.
        atomic.write_json(table, {**recorded(table), **recorded(tracked)})
    try:
        yield
    except DownloadError:
        raise  # the others, which are complete, are right as far as anybody knows
    except DataError:
        withdraw(downloads, tracked)
        raise
    accept(downloads)
    found = recorded(table)
    if found and found != recorded(tracked):
        atomic.write_json(tracked, dict(sorted(found.items())))
        logger.info("fetch: checksums recorded in %s; add it to git", paths.CHECKSUMS)


@contextlib.contextmanager
def downloading() -> Iterator[None]:
    """Tell what goes wrong on the way of a file from what is wrong inside of it."""
    try:
        yield
    except DownloadError:
        raise
    except DataError as error:
        raise DownloadError(str(error)) from None


def forget(path: Path, url: str) -> None:
    """Take a file out of a table, from any thread."""
    with _recording:
        table = recorded(path)
        if table.pop(url, None):
            atomic.write_json(path, table)


def verify(file: Path, expected: Known, *, url: str) -> Known:
    """Check size and digests of a file, in one pass over its bytes.

    Args:
        file: is removed if it is another one
        expected: what it has to be
        url: its address, for messages

    Returns:
        What it is.

    Raises:
        DataError: if the size or a digest is another one; where the file is not
            stable, a warning is logged instead
    """
    found = measured(file, md5=expected.md5 is not None)
    difference = _difference(found, expected)
    if difference and expected.stable:
        file.unlink()
        refuse(url, difference)
    if difference:
        logger.warning(
            "fetch: %s: got %s; its server packs it anew, so the new digest is "
            "recorded in %s: look at the change before you commit it",
            *(url, difference, CHECKSUMS),
        )
    return found


def refuse(url: str, difference: str) -> NoReturn:
    """Raise the error for a file that is another one."""
    raise DataError(
        f"{url}: got {difference}; the file was removed: run it again, and if it stays "
        "so, the file at this address has changed or was tampered with"
    )


def wrong_size(size: int, expected: Known) -> str:
    """Return how a size differs from what is expected, or nothing."""
    if expected.size in (None, size):
        return ""
    return f"{size:,} bytes, expected {expected.size:,} as {expected.source}"


def measured(file: Path, *, md5: bool = False) -> Known:
    """Return size and digests of a file; MD5, the slowest, only where it is asked for.

    Args:
        file: is read in pieces
        md5: measure it, too
    """
    digests = {"sha256": hashlib.sha256()}
    if md5:
        digests["md5"] = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(_CHUNK):
            for digest in digests.values():
                digest.update(block)
    values = {name: digest.hexdigest() for name, digest in digests.items()}
    return Known(file.stat().st_size, values.get("md5"), values["sha256"])


def _difference(found: Known, expected: Known) -> str:
    if wrong := wrong_size(found.size or 0, expected):
        return wrong
    for name, value, wanted, source in (
        ("MD5", found.md5, expected.md5, "published"),
        ("SHA-256", found.sha256, expected.sha256, expected.source),
    ):
        if wanted is not None and wanted.lower() != value:
            return f"{name} {value}, expected {wanted.lower()} as {source}"
    return ""
