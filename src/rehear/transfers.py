"""Getting the published files of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehear.download import download


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


def fetch(
    remotes: Sequence[Remote], folder: Path, *, downloads: Path, mirror: str = ""
) -> Mapping[str, Path]:
    """Download files, verify them, and put them in a folder.

    Archives stay packed, as members are read by their offset; ``x.tar.gz`` is
    decompressed to ``x.tar``.

    Args:
        remotes: what to fetch
        folder: existing
        downloads: keeps partial files and checksums between tries
        mirror: another place that has files of the same names, as
            ``https://example.org/sets`` or ``file:///mnt/archives``

    Returns:
        The paths of the files, by ``Remote.name``.

    Raises:
        DataError: as ``download`` does
    """
    paths = {}
    for remote in remotes:
        url = f"{mirror.rstrip('/')}/{remote.name}" if mirror else remote.url
        paths[remote.name] = download(
            url,
            folder / remote.name,
            downloads=downloads,
            size=remote.size,
            sha256=remote.sha256,
        )
    return paths
