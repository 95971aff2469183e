"""Where the bytes of a recording are: in a file of its own, or in an archive.

``recordings.tar::dogs/7.wav`` is the member ``dogs/7.wav`` of ``recordings.tar``.
Archives stay packed: a data set of 100,000 clips is one file on disk, and a
member is read by its offset.
"""

import io
import os
import stat
import zlib
from dataclasses import dataclass
from typing import IO

from rehear.errors import AudioError, suggest

SEPARATOR = "::"
_ZIP_STORED, _ZIP_DEFLATED = 0, 8
_Extent = tuple[int, int, bool]  # offset, size, deflated?
_indices: dict[tuple[str, int, int], dict[str, _Extent]] = {}


@dataclass(frozen=True, slots=True)
class Source:
    """A stretch of bytes on disk or in memory.

    Attributes:
        name: as the user knows it, for messages
        file: the file on disk
        offset: first byte in the file
        size: number of bytes
        data: the bytes themselves, when they had to be decompressed
    """

    name: str
    file: str
    offset: int
    size: int
    data: bytes | None = None

    def read(self, start: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``start``; fewer at the end."""
        count = max(0, min(count, self.size - start))
        if self.data is not None:
            return self.data[start : start + count]
        # A descriptor of its own: one shared by forked processes would share
        # its position as well. Not open(): that takes as long as reading.
        descriptor = os.open(self.file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            if self.offset + start:
                os.lseek(descriptor, self.offset + start, os.SEEK_SET)
            return _exactly(descriptor, count)
        finally:
            os.close(descriptor)

    def stream(self) -> IO[bytes]:
        """Return a seekable binary stream of these bytes only."""
        if self.data is not None:
            return io.BytesIO(self.data)
        stream = open(self.file, "rb")  # noqa: PTH123, SIM115 - the caller closes
        if self.offset == 0 and os.fstat(stream.fileno()).st_size == self.size:
            return stream
        return io.BufferedReader(_Window(stream, self.offset, self.size))


class _Window(io.RawIOBase):
    """A part of a file, seen as a file."""

    def __init__(self, stream: IO[bytes], offset: int, size: int) -> None:
        self._stream, self._offset, self._size, self._at = stream, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}
        self._at = max(0, origin[whence] + position)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._stream.seek(self._offset + self._at)
        data = self._stream.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def locate(path: os.PathLike[str] | str) -> Source:
    """Return where the bytes of ``path`` are.

    Args:
        path: a file, or ``archive.tar::member``, ``archive.zip::member``

    Raises:
        AudioError: if the file or the member does not exist or is not readable
    """
    name = os.fspath(path)
    archive, separator, member = name.partition(SEPARATOR)
    if separator and not os.path.lexists(name):
        return _member(name, archive, member)
    return Source(name, name, 0, _stat(name).st_size)


def members(archive: os.PathLike[str] | str) -> list[str]:
    """Return the names of the regular files in an archive, in its order.

    Raises:
        AudioError: if it is missing, damaged, or of a kind that cannot be read
            by offset
    """
    return list(_index(os.fspath(archive)))


def _stat(name: str) -> os.stat_result:
    try:
        facts = os.stat(name)  # noqa: PTH116 - ten times a clip
    except FileNotFoundError:
        raise AudioError(
            f"{name}: the file does not exist; run `rehear fetch` again, or correct "
            "the path in the manifest"
        ) from None
    except OSError as error:
        raise AudioError(
            f"{name}: cannot be opened ({error.strerror}); check its path and "
            "permissions"
        ) from None
    if not stat.S_ISREG(facts.st_mode):
        raise AudioError(f"{name}: is not a file; expected a recording")
    return facts


def _member(name: str, archive: str, member: str) -> Source:
    index = _index(archive)
    extent = index.get(member)
    if extent is None:
        raise AudioError(
            f"{name}: {archive} has no member '{member}' among its {len(index)} files."
            f"{suggest(member, index)} Correct the manifest or fetch again"
        )
    offset, size, deflated = extent
    if not archive.endswith(".zip"):
        return Source(name, archive, offset, size)
    return (
        _unzipped(name, archive, extent) if deflated else _stored(name, archive, extent)
    )


def _index(archive: str) -> dict[str, _Extent]:
    facts = _stat(archive)
    key = (archive, facts.st_mtime_ns, facts.st_size)
    if key not in _indices:
        _indices[key] = _read_index(archive)
    return _indices[key]


def _read_index(archive: str) -> dict[str, _Extent]:
    import tarfile
    import zipfile

    try:
        if archive.endswith(".zip"):
            return _zip_index(archive)
        if archive.endswith(".tar"):
            with tarfile.open(archive, "r:") as tar:
                return {
                    entry.name: (entry.offset_data, entry.size, False)
                    for entry in tar
                    if entry.isreg()
                }
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise AudioError(
            f"{archive}: the archive is damaged ({error}); fetch it again"
        ) from None
    raise AudioError(
        f"{archive}: members can be read from .tar and .zip only; decompress it "
        "first (gunzip, xz -d …)"
    )


def _zip_index(archive: str) -> dict[str, _Extent]:
    import zipfile

    with zipfile.ZipFile(archive) as stream:
        entries = [entry for entry in stream.infolist() if not entry.is_dir()]
    for entry in entries:
        if entry.compress_type not in (_ZIP_STORED, _ZIP_DEFLATED):
            raise AudioError(
                f"{archive}: '{entry.filename}' is compressed in a way other than "
                "deflate; pack the archive again with `zip`"
            )
        if entry.flag_bits & 1:
            raise AudioError(f"{archive}: '{entry.filename}' is encrypted; unpack it")
    return {
        entry.filename: (
            entry.header_offset,
            entry.compress_size,
            entry.compress_type == _ZIP_DEFLATED,
        )
        for entry in entries
    }


def _stored(name: str, archive: str, extent: _Extent) -> Source:
    return Source(name, archive, _zip_data(archive, extent[0]), extent[1])


def _unzipped(name: str, archive: str, extent: _Extent) -> Source:
    packed = Source(name, archive, _zip_data(archive, extent[0]), extent[1])
    try:
        data = zlib.decompress(packed.read(0, packed.size), wbits=-zlib.MAX_WBITS)
    except zlib.error as error:
        raise AudioError(
            f"{name}: the archive is damaged ({error}); fetch it again"
        ) from None
    return Source(name, archive, 0, len(data), data)


def _zip_data(archive: str, header: int) -> int:
    # The local header repeats the name, and its extra field may have another
    # length than the one in the central directory.
    local = Source(archive, archive, header, 30).read(0, 30)
    if local[:4] != b"PK\x03\x04":
        raise AudioError(f"{archive}: the archive is damaged; fetch it again")
    name, extra = int.from_bytes(local[26:28], "little"), local[28:30]
    return header + 30 + name + int.from_bytes(extra, "little")


def _exactly(descriptor: int, count: int) -> bytes:
    # A single read may return less than what was asked for.
    data = os.read(descriptor, count)
    while len(data) < count:
        more = os.read(descriptor, count - len(data))
        if not more:
            break
        data += more
    return data
