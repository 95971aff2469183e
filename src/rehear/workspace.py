"""The folder that a stage runs in: its own code, its own parts, its locks.

A queued DVC experiment runs in a copy of the workspace, but an editable install
still imports the original's code: results would be filed under code that did
not run. So the command line re-executes itself with the workspace's own
``src``, and every stage checks that this worked.
"""

import base64
import contextlib
import csv
import hashlib
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

import rehear
from rehear import atomic, environment
from rehear.errors import RehearError, StageError

#: Set for the re-executed process, so that it cannot re-execute itself again.
_ENTERED = "REHEAR_ENTERED"
_PACKAGE = Path(rehear.__file__).resolve().parent


def enter() -> None:
    """Make sure that the workspace's own ``src/rehear`` runs, if it has one.

    Called first by the command line. Replaces the process (``python -m rehear``
    with ``PYTHONPATH`` set) when the running package is another one.

    Raises:
        StageError: if the re-executed process still runs other code
    """
    source = Path.cwd() / "src"
    tried = os.environ.pop(_ENTERED, "")
    if not (source / "rehear" / "__init__.py").is_file():
        return
    if _PACKAGE.samefile(source / "rehear"):
        return
    if tried == str(source):
        raise StageError(
            f"{_PACKAGE} runs instead of {source / 'rehear'} although PYTHONPATH "
            "names the latter; run python -m rehear in an environment "
            "without other import hooks for rehear"
        )
    paths = [str(source), os.environ.get("PYTHONPATH", "")]
    variables = {
        **os.environ,
        _ENTERED: str(source),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    command = [sys.executable, "-m", "rehear", *sys.argv[1:]]
    if sys.platform == "win32":
        # execve() on Windows returns to the shell before the new process ends
        sys.exit(subprocess.run(command, env=variables, check=False).returncode)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, variables)


def study_root(start: Path) -> Path:
    """Return the nearest folder from ``start`` upwards that has a params.yaml.

    Raises:
        StageError: if there is none
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise StageError(
        f"no params.yaml in {start} or above; change to the folder of a study, "
        "or make one with cookiecutter"
    )


def load_parts(study: Path) -> ModuleType | None:
    """Import the study's own parts, ``src/<package>/parts.py``.

    They are imported as ``<package>.parts``, never from a bare file path, so
    that their classes can be sent to worker processes.

    Returns:
        the module, or ``None`` if the study has no parts of its own

    Raises:
        StageError: if several packages have parts, if another installed
            package of that name is in the way, or if the import fails
    """
    source = study.resolve() / "src"
    files = sorted(source.glob("*/parts.py"))
    files = [file for file in files if file.parent.name != "rehear"]
    if not files:
        return None
    if len(files) > 1:
        names = ", ".join(
            file.relative_to(study.resolve()).as_posix() for file in files
        )
        raise StageError(
            f"{names}: a study has one package of its own parts; keep one of them"
        )
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))
    name = f"{files[0].parent.name}.parts"
    module = _import(name, source)
    origin = Path(module.__file__ or "").resolve()
    if origin != files[0].resolve():
        raise StageError(
            f"import {name} found {origin} instead of {files[0]}; rename the "
            "study's package, or uninstall the other one"
        )
    return module


def _import(name: str, source: Path) -> ModuleType:
    try:
        # The name is that of a folder of this study, never taken from YAML.
        return importlib.import_module(name)  # noqa: TID251
    except RehearError:
        raise
    except Exception as error:
        place = _place(error, source)
        text = str(error).splitlines()[0] if str(error) else ""
        raise StageError(
            f"{place}: {type(error).__name__}: {text}; the study's own parts "
            f"cannot be imported (python -c 'import {name}' in src shows all)"
        ) from error


def _place(error: Exception, source: Path) -> str:
    """Return ``src/<package>/file.py line n``: the last place in own code."""
    file, line = None, None
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).resolve().is_relative_to(source):
                file, line = frame.filename, frame.lineno
    if file is None:
        return str(source)
    path = Path(file).resolve()
    if path.is_relative_to(source.parent):
        path = path.relative_to(source.parent)
    return f"{path.as_posix()} line {line}"


def check_stage(study: Path) -> None:
    """Refuse to run a DVC stage with code that the record would not hold.

    Does nothing outside DVC (without ``DVC_STAGE``): by hand, everything goes.

    Raises:
        StageError: if the running toolkit is not the one of this workspace,
            or if source files are neither tracked nor ignored by git
    """
    if "DVC_STAGE" not in os.environ:
        return
    own = study / "src" / "rehear"
    if (own / "__init__.py").is_file():
        if not _PACKAGE.samefile(own):
            raise StageError(
                f"this stage runs {_PACKAGE}, but the workspace has its own "
                f"{own}; start it as 'rehear …' in {study}"
            )
    else:
        check_toolkit(study / "vendor")
    _check_untracked(study)


def check_toolkit(vendor: Path) -> None:
    """Compare the running package with the wheel that the study pins.

    Args:
        vendor: folder with ``rehear-*.whl``; without one nothing is pinned

    Raises:
        StageError: if there are several wheels, or a file of the running
            package is not the one in the wheel
    """
    wheels = sorted(vendor.glob("rehear-*.whl"))
    if not wheels:
        return
    if len(wheels) > 1:
        names = ", ".join(wheel.name for wheel in wheels)
        raise StageError(f"{vendor} has several toolkits ({names}); keep one")
    for name, recorded in _recorded(wheels[0]).items():
        file = _PACKAGE.parent / name
        digest = hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b""
        found = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
        if found != recorded:
            problem = "differs from" if digest else "is missing, but is in"
            raise StageError(
                f"the running toolkit is not the one that this study pins: {file} "
                f"{problem} {wheels[0].name}; install it: pip install --no-deps "
                f"--force-reinstall vendor/{wheels[0].name}"
            )


def _recorded(wheel: Path) -> dict[str, str]:
    """Return the package files of a wheel and their sha256, from its RECORD."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            record = next(
                name for name in archive.namelist() if name.endswith("dist-info/RECORD")
            )
            text = archive.read(record).decode("utf-8")
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise StageError(
            f"{wheel}: not a readable wheel ({error}); restore it: git checkout "
            f"-- vendor/{wheel.name}"
        ) from None
    rows = csv.reader(io.StringIO(text))
    return {
        row[0]: row[1].removeprefix("sha256=")
        for row in rows
        if len(row) > 1 and row[0].startswith("rehear/") and row[1]
    }


def _check_untracked(study: Path) -> None:
    """Experiments copy only what git tracks: new modules would be left out."""
    if not (study / "src").is_dir() or shutil.which("git") is None:
        return
    command = ["git", "ls-files", "--others", "--exclude-standard", "--", "src/*.py"]
    answer = subprocess.run(
        command, cwd=study, capture_output=True, text=True, check=False
    )
    files = answer.stdout.split("\n")[:-1] if answer.returncode == 0 else []
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise StageError(
            f"{files[0]}{more}: not tracked by git, so experiments and clones would "
            f"run without it; run: git add {' '.join(files[:5])} (or ignore it)"
        )


def is_main_process() -> bool:
    """Say whether this is the first of the processes that train together."""
    return os.environ.get("RANK", "0") == "0"


def check_processes(stages: Sequence[str]) -> None:
    """Refuse several processes for what would only be done several times.

    Args:
        stages: that are to be run

    Raises:
        StageError: if ``torchrun`` or ``accelerate launch`` starts other stages
            than ``train``
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count != "1" and list(stages) != ["train"]:
        raise StageError(
            f"{count} processes (WORLD_SIZE) are for `rehear train` alone, not for "
            f"{', '.join(stages)}; start these without torchrun or accelerate launch"
        )


@contextlib.contextmanager
def lock(study: Path, stage: str) -> Iterator[None]:
    """Keep a second process from running the same stage in the same study.

    If DVC is killed, its stage lives on as an orphan and would write beside
    the stage of the next ``dvc repro``. Under DVC on Linux the stage is
    therefore told to end with its parent; the lock covers the rest. SIGTERM
    unwinds the stage, so that temporary files go.

    Args:
        study: root of the study
        stage: name of the stage, with its seed and fold

    Raises:
        StageError: if another process holds the lock
    """
    file = study / ".rehear" / "locks" / f"{stage.replace('/', '_')}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _terminated)
    if "DVC_STAGE" in os.environ:
        _die_with_parent()
    if not is_main_process():
        yield  # the main process holds it for all
        return
    # "a" keeps the pid of the holder readable until the lock is ours
    with file.open("a+", encoding="utf-8") as stream:
        if not _locked(stream.fileno()):
            stream.seek(0)
            pid = stream.read().strip() or "unknown"
            raise StageError(
                f"stage {stage} is already running in {study} as process {pid}; "
                f"wait for it, or end it: kill {pid}"
            )
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield


@contextlib.contextmanager
def waiting(file: Path) -> Iterator[None]:
    """Wait until no other process of this machine holds a lock, and hold it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as stream:
        while not _locked(stream.fileno()):
            time.sleep(0.1)
        yield


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _locked(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            # a byte far behind the pid, which others must be able to read
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _die_with_parent() -> None:
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1  # <linux/prctl.h>
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal.SIGTERM)


def checkpoint_root(study: Path) -> Path:
    """Return the folder of resume states: in the repository that DVC copies.

    An experiment in a temporary copy resumes from there, too. Folders in it are
    named by a fingerprint of params, inputs and code, so that they cannot be
    taken for those of another experiment.
    """
    return Path(os.environ.get("DVC_ROOT") or study) / ".ckpt"


def record_run(study: Path, stage: str, seconds: float, **facts: Any) -> Path:
    """Write ``.rehear/runs/<stage>.json``, for the provenance of the study.

    Args:
        study: root of the study
        stage: name of the stage, with its seed and fold
        seconds: wall-clock duration
        **facts: more that is worth keeping, ready for JSON

    Returns:
        the file
    """
    started = datetime.fromtimestamp(time.time() - seconds, timezone.utc)
    file = study / ".rehear" / "runs" / f"{stage.replace('/', '_')}.json"
    run = {
        "stage": stage,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "environment": environment.describe(),
        **facts,
    }
    atomic.write_json(file, run)
    return file
