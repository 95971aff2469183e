"""Writing files and folders so that a half-written one never has its final name."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def _beside(path: Path) -> Path:
    """Return a temporary name next to ``path``; remove those of killed processes."""
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        process = stale.name.split(".")[-2]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end it there; a leftover does less harm
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of ``path`` that takes its name on success.

    Args:
        path: final path; missing parent folders are made
        mode: ``"wb"``, or ``"w"`` for UTF-8 text with Unix line ends
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with temporary.open(mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder that replaces ``path`` on success.

    On any failure, a ``KeyboardInterrupt`` included, the temporary folder is
    removed and an earlier ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            # rename() cannot replace a folder that has files in it
            old = _beside(path.with_name(path.name + ".old"))
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, all or nothing."""
    with file(path, "w") as stream:
        stream.write(text)


def write_json(path: Path, value: object) -> None:
    """Write ``value`` to ``path`` as indented JSON, all or nothing.

    Raises:
        ValueError: if a number is not finite; an undefined result is ``None``
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
