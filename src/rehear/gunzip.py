"""Decompressing gzip files, within bounds."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rehear import atomic
from rehear.errors import DataError

_CHUNK = 1 << 20
_TRAILER = 4  # bytes: the size of what comes out, modulo 4 GiB


class GzipError(DataError):
    """A gzip file is damaged, or a compression bomb."""


def decompress(
    archive: Path,
    target: Path,
    *,
    limit: int,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Decompress a gzip file.

    Args:
        archive: gzip file, of one or several members
        target: written under a temporary name first
        limit: most bytes that may come out, against compression bombs
        check: called before each block; ends the work by raising

    Raises:
        GzipError: if the file is damaged, or more than ``limit`` comes out
    """
    written = 0
    with archive.open("rb") as source, atomic.file(target) as out:
        try:
            for block in _inflated(source):
                check()
                written += len(block)
                if written > limit:
                    raise GzipError(
                        f"{target.name}: more than {limit:,} bytes come out of "
                        f"{archive.stat().st_size:,}; refused as a compression bomb"
                    )
                out.write(block)
        except (zlib.error, EOFError) as error:
            raise GzipError(
                f"{target.name}: the gzip file is damaged ({error}); fetch it again"
            ) from None


def least_size(archive: Path) -> int:
    """Return how many bytes come out of a gzip file at least.

    Its last four bytes are the size of what comes out, modulo 4 GiB, of its last
    member (RFC 1952, section 2.3.1); recordings hardly become larger by packing.
    """
    size = archive.stat().st_size
    with archive.open("rb") as stream:
        stream.seek(max(0, size - _TRAILER))
        return max(size, int.from_bytes(stream.read(_TRAILER), "little"))


def _inflated(source: IO[bytes]) -> Iterator[bytes]:
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
