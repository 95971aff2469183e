"""Where the bytes of a recording are: in a file of its own, or in an archive.

``recordings.tar::dogs/7.wav`` is the member ``dogs/7.wav`` of ``recordings.tar``.
Archives stay packed: a data set of 100,000 clips is one file on disk, and a
member is read by its offset. Nothing is ever written, and no link is followed.
"""

import io
import os
import stat
import zlib
from dataclasses import dataclass
from typing import IO, NoReturn

from rehear import contents
from rehear.contents import Extent
from rehear.errors import AudioError, suggest

SEPARATOR = "::"
_indices: dict[tuple[str, int, int], dict[str, Extent]] = {}


@dataclass(frozen=True, slots=True)
class Source:
    """A stretch of bytes on disk or in memory.

    Attributes:
        name: as the user knows it, for messages
        file: the file on disk
        offset: first byte in the file
        size: number of bytes
        data: the bytes themselves, when they had to be decompressed
        crc: CRC-32 of all bytes, where the archive tells it
    """

    name: str
    file: str
    offset: int
    size: int
    data: bytes | None = None
    crc: int | None = None

    def read(self, start: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``start``; fewer at the end.

        Raises:
            AudioError: if all bytes are read, and they are not those that were
                packed
        """
        count = max(0, min(count, self.size - start))
        if self.data is not None:
            return self.data[start : start + count]
        # A descriptor of its own: one shared by forked processes would share
        # its position as well. Not open(): that takes as long as reading.
        descriptor = os.open(self.file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            if self.offset + start:
                os.lseek(descriptor, self.offset + start, os.SEEK_SET)
            data = _exactly(descriptor, count)
        finally:
            os.close(descriptor)
        if self.crc is not None and count == self.size:
            _check(self.name, data, self.crc)
        return data

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

    Links, devices and names that point outside (``/a``, ``../a``, ``C:a``, and
    any with a backslash or a control character) are left out. Of several entries
    with one name, the last counts, as when they are unpacked.

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
    if extent.fault:
        raise AudioError(f"{name}: {extent.fault}")
    offset = _zip_data(name, archive, extent) if extent.zipped else extent.offset
    stored = Source(name, archive, offset, extent.packed, crc=extent.crc)
    return _inflated(stored, extent) if extent.deflated else stored


def _index(archive: str) -> dict[str, Extent]:
    facts = _stat(archive)
    key = (archive, facts.st_mtime_ns, facts.st_size)
    if key not in _indices:
        _indices[key] = contents.read(archive)
    return _indices[key]


def _zip_data(name: str, archive: str, extent: Extent) -> int:
    # The local header repeats the name, and its extra field may have another
    # length than the one in the central directory.
    local = Source(archive, archive, extent.offset, 30).read(0, 30)
    if local[:4] != b"PK\x03\x04" or len(local) < 30:
        _damaged(name, "an entry does not begin where the directory says")
    lengths = (int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
    return extent.offset + 30 + sum(lengths)


def _inflated(packed: Source, extent: Extent) -> Source:
    """Inflate a member, but never to more than its entry announces."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    source = Source(packed.name, packed.file, packed.offset, packed.size)
    try:
        data = inflater.decompress(source.read(0, packed.size), extent.size + 1)
    except zlib.error as error:
        _damaged(packed.name, str(error))
    if len(data) != extent.size:
        found = "more" if len(data) > extent.size else f"{len(data):,} bytes"
        _damaged(packed.name, f"{found} came out of it, expected {extent.size:,} bytes")
    _check(packed.name, data, extent.crc)
    return Source(packed.name, packed.file, 0, len(data), data)


def _check(name: str, data: bytes, crc: int | None) -> None:
    if crc is not None and zlib.crc32(data) != crc:
        _damaged(name, "its bytes do not have the CRC-32 that was recorded")


def _damaged(name: str, reason: str) -> NoReturn:
    raise AudioError(f"{name}: the archive is damaged ({reason}); fetch it again")


def _exactly(descriptor: int, count: int) -> bytes:
    # A single read may return less than what was asked for.
    data = os.read(descriptor, count)
    while len(data) < count:
        more = os.read(descriptor, count - len(data))
        if not more:
            break
        data += more
    return data
