"""Child processes whose lines are followed, and that end when they are told to."""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rehear.errors import StageError

_TAIL = 15


class Process:
    """A child process in a group of its own.

    Ctrl-C in a terminal reaches the whole foreground group. A child in its own
    group gets it once, from ``interrupt``, with everything it has started.

    Args:
        command: program and arguments
        cwd: folder to run in
        variables: the whole environment
        on_line: called from another thread with each line of output and errors
        on_end: called from another thread with the exit code

    Attributes:
        tail: the last lines
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
        on_end: Callable[[int], None] = lambda code: None,
    ) -> None:
        self.tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        self._on_line = on_line
        self._on_end = on_end
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for raw in stream:
                # of a progress bar, only what it showed last
                line = raw.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
                self.tail.append(line)
                self._on_line(line)
        self._on_end(self._process.wait())

    def wait(self) -> int:
        """Wait for the end of the process; return its exit code."""
        self._reader.join()
        return self._process.wait()

    def interrupt(self) -> None:
        """Send Ctrl-C to the process and all that it has started."""
        # On Windows the console has done that already.
        if sys.platform != "win32":
            self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process and all that it has started, without asking."""
        if sys.platform == "win32":
            self._process.kill()
        else:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if sys.platform != "win32" and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def follow(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    variables: Mapping[str, str],
    on_line: Callable[[str], None],
) -> tuple[int, list[str]]:
    """Run a command to its end.

    Returns:
        exit code and last lines

    Raises:
        KeyboardInterrupt: after the process, too, has been interrupted
    """
    process = Process(command, cwd=cwd, variables=variables, on_line=on_line)
    with ending([process]):
        code = process.wait()
    return code, list(process.tail)


@contextlib.contextmanager
def ending(processes: Collection[Process]) -> Iterator[None]:
    """Pass Ctrl-C, SIGTERM and a closed terminal on to processes, and wait.

    A second Ctrl-C kills them.

    Args:
        processes: looked at when the interruption comes
    """
    with _interruptible():
        try:
            yield
        except BaseException:
            running = list(processes)
            try:
                for process in running:
                    process.interrupt()
                for process in running:
                    process.wait()
            except KeyboardInterrupt:
                for process in running:
                    process.kill()
            raise


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        name: signal.signal(getattr(signal, name), _interrupted) for name in names
    }
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def variables(*, first: Sequence[Path] = ()) -> dict[str, str]:
    """Return this environment, with the programs of this Python found first.

    So ``cmd: rehear train`` runs this installation also when its environment
    has not been activated.

    Args:
        first: folders of programs that come before
    """
    folders = [*first, Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "true"}


def dvc(*arguments: str, python: Path | str = sys.executable) -> list[str]:
    """Return the command line of DVC; it waits while another DVC has the lock."""
    return [str(python), "-m", "dvc", "--wait-for-lock", *arguments]


def ask(command: Sequence[str | Path], cwd: Path) -> str:
    """Return the output of a short command.

    Raises:
        StageError: if it fails, with its last line
    """
    answer = subprocess.run(
        command,
        cwd=cwd,
        env=variables(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if answer.returncode:
        raise StageError(f"{_shown(command)} failed: {reason(answer.stderr)}")
    return answer.stdout


def reason(text: str) -> str:
    """Return the line that says most about a failure: DVC's ERROR, or the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "fatal:", "error:"))]
    return (errors or lines or ["no reason given"])[-1]


def _shown(command: Sequence[str | Path]) -> str:
    words = [str(word) for word in command]
    if words[1:4] == ["-m", "dvc", "--wait-for-lock"]:
        words[:4] = ["dvc"]
    return " ".join(words)
