"""Where a stage keeps finished work until it succeeds."""

import contextlib
import hashlib
import inspect
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rehear.manifest import Clip
from rehear.transforms import Chain

# Modules whose code decides what features are, besides the transforms.
_CODE = (
    "archives",
    "audio",
    "extraction",
    "ffmpeg",
    "inputs",
    "resampling",
    "riff",
)
_LIBRARIES = (
    "matplotlib",
    "numpy",
    "opensmile",
    "pillow",
    "soundfile",
    "torch",
    "torchaudio",
    "transformers",
)
_MARK = "owner.lock"
_ABANDONED = 7 * 24 * 3600  # seconds without a change


def recipe(
    chain: Chain, settings: Any, *, study: Path, reads: Iterable[str] = ()
) -> str:
    """Return a digest of all that features depend on but the clips.

    That is the parameters, the files that transforms read, the environment and
    the code: of this package where it makes features, and of all modules beside
    a transform, those of a study's own included.

    Args:
        chain: the transforms
        settings: parameters, ready for JSON
        study: its folder, for its lock of the environment
        reads: files and folders in it that transforms read
    """
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(json.dumps(_versions()).encode())
    lock = study / "requirements.lock"
    digest.update(digest_of([*_sources(chain), lock]).encode())
    digest.update(digest_of(study / path for path in reads).encode())
    return digest.hexdigest()[:32]


def digest_of(places: Iterable[Path]) -> str:
    """Return a digest of the contents of files, and of all files in folders.

    What does not exist counts as empty. Names in a folder count, its place not.
    """
    digest = hashlib.sha256()
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in inside:
            if file.is_file():
                name = file.relative_to(place).as_posix()
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def fingerprint(recipe: str, clips: Sequence[Clip], *, root: Path) -> str:
    """Return a digest of all that features depend on.

    Args:
        recipe: for all but the clips
        clips: of the manifest, in its order
        root: folder that ``Clip.file`` is relative to
    """
    digest = hashlib.sha256(recipe.encode())
    for clip in clips:
        content = clip.sha256 or _state(root, clip.file)
        place = (clip.clip, clip.file, clip.start, clip.end, content)
        digest.update(repr(place).encode())
    return digest.hexdigest()[:32]


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that features may come from."""
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@contextlib.contextmanager
def folder(root: Path, key: str) -> Iterator[Path]:
    """Yield the folder of resume states with this fingerprint; remove it at the end.

    It stays if the work fails. If another process uses it (copies of a study
    may share ``root``), a new one is yielded. States that nobody came back to
    for a week are removed.
    """
    _forget(root)
    with contextlib.ExitStack() as stack:
        chosen = root / key
        if not _claimed(chosen, stack):
            chosen = root / f"{key}-{os.getpid()}"
            _claimed(chosen, stack)
        yield chosen
        shutil.rmtree(chosen, ignore_errors=True)
    with contextlib.suppress(OSError):  # others are in there
        root.rmdir()


def _sources(chain: Chain) -> Iterable[Path]:
    here = Path(__file__).parent
    files = {here / f"{name}.py" for name in _CODE}
    for step in chain.steps:
        source = inspect.getsourcefile(type(step.apply))
        if source:
            files.update(Path(source).parent.glob("*.py"))
    return sorted(files)


def _state(root: Path, file: str) -> str:
    """Tell contents apart by time and size, where the manifest has no digest."""
    try:
        facts = (root / file.partition("::")[0]).stat()
    except OSError:
        return "missing"
    return f"{facts.st_mtime_ns} {facts.st_size}"


def _claimed(chosen: Path, stack: contextlib.ExitStack) -> bool:
    chosen.mkdir(parents=True, exist_ok=True)
    stream = stack.enter_context((chosen / _MARK).open("a"))
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    # Its last owner may have removed it between the two lines above.
    return (chosen / _MARK).exists()


def _forget(root: Path) -> None:
    limit = time.time() - _ABANDONED
    for mark in root.glob(f"*/{_MARK}"):
        # A folder changes with every block or state that is put in.
        if mark.parent.stat().st_mtime < limit:
            shutil.rmtree(mark.parent, ignore_errors=True)
