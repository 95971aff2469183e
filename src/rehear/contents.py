"""The lists of files in archives: where each begins, and whether it can be read."""

import re
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rehear.errors import AudioError

if TYPE_CHECKING:
    import zipfile

RATIO, FLOOR = 200, 64 << 20  # more, and over this many bytes, is a bomb
LARGEST = 4 << 30  # bytes, inflated in memory; as much as a WAVE file can hold
_ZIP_STORED, _ZIP_DEFLATED = 0, 8
_ENCRYPTED = 1
_TAR_BLOCK = 512
_SPARSE = "it is stored with holes; pack the archive again, without `tar --sparse`"
_OUTSIDE = re.compile(r"/|[A-Za-z]:|(.*/)?\.\.(/|$)|.*[\\\x00-\x1f]", re.DOTALL)


class Extent(NamedTuple):
    """Where a file is in an archive.

    Attributes:
        offset: of its bytes in a tar archive, of its local header in a zip archive
        packed: number of bytes there
        size: number of bytes in the end
        zipped: whether the archive is a zip archive
        deflated: whether the bytes are compressed
        crc: CRC-32 of the file, where the archive tells it
        fault: why it cannot be read; empty if it can
    """

    offset: int
    packed: int
    size: int
    zipped: bool = False
    deflated: bool = False
    crc: int | None = None
    fault: str = ""


def read(archive: str, *, kind: str = "") -> dict[str, Extent]:
    """Return the regular files in an archive by their names, in its order.

    Args:
        archive: path of a ``.tar`` or ``.zip`` file
        kind: one of these endings, where the path has another one

    Raises:
        AudioError: if it is damaged, truncated, or of another kind
    """
    import tarfile
    import zipfile

    try:
        if (kind or archive).endswith(".zip"):
            return _zip_index(archive)
        if (kind or archive).endswith(".tar"):
            return _tar_index(archive)
    except (
        *(tarfile.TarError, zipfile.BadZipFile, EOFError, OSError),
        *(ValueError, struct.error, OverflowError),
        *(NotImplementedError, RecursionError),
    ) as error:
        raise AudioError(
            f"{archive}: the archive is damaged ({error}); fetch it again"
        ) from None
    raise AudioError(
        f"{archive}: members can be read from .tar and .zip only; decompress it "
        "first (gunzip, xz -d …)"
    )


def stays_inside(name: str) -> bool:
    """Whether a name is that of a file below, on whichever system.

    Names with control characters are not: nobody can write them in a table.
    """
    return bool(name) and not _OUTSIDE.match(name)


def _tar_index(archive: str) -> dict[str, Extent]:
    import tarfile

    index: dict[str, Extent] = {}
    with tarfile.open(archive, "r:") as tar:
        for entry in tar:
            # A link that comes later takes the place of a file, as on a disk.
            index.pop(entry.name, None)
            if entry.isreg() and stays_inside(entry.name):
                fault = "" if entry.sparse is None else _SPARSE
                index[entry.name] = Extent(
                    entry.offset_data, entry.size, entry.size, fault=fault
                )
        # The module ends quietly at a header that is damaged or cut off.
        _check_end(archive, tar.offset)
    return index


def _check_end(archive: str, offset: int) -> None:
    with Path(archive).open("rb") as stream:
        stream.seek(offset)
        if stream.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
            raise EOFError(f"no entry, and no end of the archive, at byte {offset:,}")


def _zip_index(archive: str) -> dict[str, Extent]:
    import zipfile

    index: dict[str, Extent] = {}
    with zipfile.ZipFile(archive) as stream:
        for entry in stream.infolist():
            index.pop(entry.filename, None)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            is_file = kind in (0, stat.S_IFREG) and not entry.filename.endswith("/")
            if is_file and stays_inside(entry.filename):
                index[entry.filename] = Extent(
                    entry.header_offset,
                    entry.compress_size,
                    entry.file_size,
                    zipped=True,
                    deflated=entry.compress_type == _ZIP_DEFLATED,
                    crc=entry.CRC,
                    fault=_fault(entry),
                )
    return index


def _fault(entry: "zipfile.ZipInfo") -> str:
    """Return why an entry cannot be read, or nothing."""
    if entry.flag_bits & _ENCRYPTED:
        return "it is encrypted; unpack the archive, and pack it without a password"
    if entry.compress_type not in (_ZIP_STORED, _ZIP_DEFLATED):
        return (
            "it is compressed in a way other than deflate; pack the archive again "
            "with `zip`"
        )
    if entry.header_offset < 0 or (
        entry.compress_type == _ZIP_STORED and entry.compress_size != entry.file_size
    ):
        return "the archive is damaged (its directory contradicts itself); fetch again"
    if entry.compress_type == _ZIP_DEFLATED and (
        entry.file_size > LARGEST
        or entry.file_size > max(FLOOR, RATIO * entry.compress_size)
    ):
        return (
            f"{entry.file_size:,} bytes would come out of {entry.compress_size:,}; "
            "refused as a compression bomb; if it is none, pack it with `zip -0`"
        )
    return ""
