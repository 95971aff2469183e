"""Getting the published files of a data set, several at a time."""

import http.client
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from rehear import gunzip, published
from rehear.contents import stays_inside
from rehear.disk import place, require_space, size_of, writing
from rehear.download import obtain, request, say, stored
from rehear.errors import DataError
from rehear.gunzip import GzipError
from rehear.halt import Halt
from rehear.published import CHECKSUMS, Remote
from rehear.threads import each

__all__ = ["Remote", "fetch"]

THREADS = 4  # more make servers answer 429, and hardly make it faster
# Deflate can pack zeros 1032 to 1. Recordings and their tables come to less than
# 10 to 1; digital silence in a small archive may come to more.
RATIO, FLOOR = 50, 256 << 20  # bytes; what may come out of a .tar.gz at least
_ASKING = 20.0  # seconds after which a server's word on a size is not waited for
_PACKED = (".tar.gz", ".tgz")


def fetch(
    remotes: Sequence[Remote],
    folder: Path,
    *,
    downloads: Path,
    mirror: str = "",
    threads: int = THREADS,
) -> Mapping[str, Path]:
    """Download files, verify them, and put them in a folder.

    Several are on their way at a time, begun in their order. Each goes on where
    an earlier try stopped; one that is complete in ``downloads`` is not fetched
    again. The first failure ends all others, which keep what they have.

    Archives stay packed, as members are read by their offset; ``x.tar.gz`` and
    ``x.tgz`` are decompressed to ``x.tar``. More than 50 times their size, and
    more than 256 MiB, may not come out of them.

    Args:
        remotes: what to fetch
        folder: existing
        downloads: keeps partial files and checksums between tries
        mirror: another place that has files of the same names, as
            ``https://example.org/sets`` or ``file:///mnt/archives``
        threads: how many files at a time

    Returns:
        The paths of the files, by ``Remote.name``.

    Raises:
        DataError: as ``download`` does, for the first file in the list that
            failed; before any byte is fetched if two files have one name, or if
            the disk has no room for all of them
    """
    _check_names(remotes)
    with published.downloading():
        return _all(remotes, folder, downloads, mirror, threads)


def _all(
    remotes: Sequence[Remote], folder: Path, downloads: Path, mirror: str, threads: int
) -> Mapping[str, Path]:
    downloads.mkdir(parents=True, exist_ok=True)
    addresses = [_address(remote, mirror) for remote in remotes]
    paths = [folder / _unpacked(remote.name) for remote in remotes]

    def ask(job: int, halt: Halt, slot: int) -> int:
        return _size(remotes[job], addresses[job], downloads)

    def get(job: int, halt: Halt, slot: int) -> None:
        done = obtain(
            remotes[job],
            downloads=downloads,
            address=addresses[job],
            halt=halt,
            slot=slot,
        )
        if paths[job].name == remotes[job].name:
            place(done, paths[job])
        else:
            try:
                _decompress(done, paths[job], halt)
            except GzipError:
                done.unlink()  # or every later try would stop here
                published.forget(downloads / CHECKSUMS, remotes[job].url)
                raise
        say("fetch: %s, %s bytes", remotes[job].name, f"{size_of(done):,}")

    sizes = each(ask, len(remotes), threads=threads)
    _require_space(remotes, addresses, sizes, folder=folder, downloads=downloads)
    each(get, len(remotes), threads=threads)
    return {remote.name: path for remote, path in zip(remotes, paths, strict=True)}


def _check_names(remotes: Sequence[Remote]) -> None:
    """Refuse names that would fall on one another, or outside of the folder."""
    for remote in remotes:
        if not (stays_inside(remote.name) and PurePosixPath(remote.name).name):
            raise DataError(f"'{remote.name}' ({remote.url}) cannot name a file")
    for what, values in (
        ("file", [_unpacked(remote.name).casefold() for remote in remotes]),
        ("address", [remote.url for remote in remotes]),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise DataError(
                f"the {what} '{twice[0]}' is listed twice; it needs another"
            )


def _address(remote: Remote, mirror: str) -> str:
    return f"{mirror.rstrip('/')}/{quote(remote.name)}" if mirror else remote.url


def _unpacked(name: str) -> str:
    for ending in _PACKED:
        if name.lower().endswith(ending):
            return name[: -len(ending)] + ".tar"
    return name


def _size(remote: Remote, address: str, downloads: Path) -> int:
    """Return the size of a file in bytes, 0 if nobody knows."""
    done, _ = stored(address, downloads)
    known = published.known(remote, downloads / CHECKSUMS).size
    return size_of(done) or known or _asked_size(address)


def _asked_size(address: str) -> int:
    """Ask a server for a size; what it refuses is found by the download itself."""
    head = request(address, method="HEAD")
    try:
        with urllib.request.urlopen(head, timeout=_ASKING) as response:
            length = response.headers.get("Content-Length", "")
    except (OSError, http.client.HTTPException):
        return 0
    return int(length) if length.isdecimal() else 0


def _require_space(
    remotes: Sequence[Remote],
    addresses: Sequence[str],
    sizes: Sequence[int],
    *,
    folder: Path,
    downloads: Path,
) -> None:
    """Refuse to begin what the disks have no room for, as far as sizes are known."""
    here, there = downloads.stat().st_dev, folder.stat().st_dev
    places = {there: folder, here: downloads}
    needed = dict.fromkeys(places, 0)
    for remote, address, size in zip(remotes, addresses, sizes, strict=True):
        done, part = stored(address, downloads)
        needed[here] += max(0, size - size_of(done) - size_of(part))
        if _unpacked(remote.name) != remote.name or there != here:
            needed[there] += size
    for device, path in places.items():
        require_space(path, needed[device], f"the {len(remotes)} files to fetch")


def _decompress(packed: Path, target: Path, halt: Halt) -> None:
    require_space(target.parent, gunzip.least_size(packed), target.name)
    limit = max(FLOOR, RATIO * size_of(packed))
    with writing(target.parent):
        gunzip.decompress(packed, target, limit=limit, check=halt.check)
