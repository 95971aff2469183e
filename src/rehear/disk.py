"""Room on the disk, and files that go to their place on it."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rehear import atomic
from rehear.errors import DataError

_CHUNK = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CLOSED = frozenset({errno.EACCES, errno.EROFS, errno.EPERM})


def place(done: Path, target: Path) -> None:
    """Give a file a second name, by a hard link or a copy.

    Raises:
        DataError: if there is no room for a copy
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(done, target)
    except OSError:  # another file system, or one without hard links
        require_space(target.parent, size_of(done), target.name)
        with (
            writing(target.parent),
            done.open("rb") as source,
            atomic.file(target) as out,
        ):
            shutil.copyfileobj(source, out, _CHUNK)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        folder: existing, on that disk
        needed: in bytes
        what: begins the message

    Raises:
        DataError: if fewer bytes are free
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{what}: needs {needed:,} bytes, but {free:,} are free in {folder}; make "
            "room and run it again"
        )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the errors of a full or protected disk into a ``DataError``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            advice = "make room and run it again"
        elif error.errno in _CLOSED:
            advice = "check permissions and run it again"
        else:
            raise
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); {advice}"
        ) from None


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0
