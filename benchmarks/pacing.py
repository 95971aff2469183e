"""Steps of several processes in turns: a process waits before each step.

The driver sends a number of steps and gets the seconds that they took, so that
processes which are loaded and warm can be measured A B A B. Only the standard
library is imported here, since the peer's environment imports it, too.
"""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

from benchmarks.measure import BenchmarkError, Clock, Cost

_VARIABLE = "BENCHMARK_PACE"


class Pacer:
    """Inside a measured process: call ``step`` before each step."""

    def __init__(self) -> None:
        read, write = map(int, os.environ[_VARIABLE].split(","))
        self._requests = os.fdopen(read, "r")
        self._answers = os.fdopen(write, "w")
        self._left, self._cpu = 0, -1.0

    def step(self) -> None:
        """Wait until the driver wants a step; end the process if it is gone."""
        if self._left == 0:
            if self._cpu >= 0:
                cpu = time.process_time() - self._cpu
                self._answers.write(f"{cpu}\n")
                self._answers.flush()
            request = self._requests.readline()
            if not request:
                os._exit(0)
            self._left, self._cpu = int(request), time.process_time()
        self._left -= 1


class Paced:
    """A measured process, seen from the driver.

    Args:
        arguments: of the command
        cwd: its folder
        env: its variables
    """

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self._arguments = list(arguments)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see _close()
        self._process = subprocess.Popen(
            self._arguments,
            cwd=cwd,
            env={**env, _VARIABLE: f"{theirs_in},{theirs_out}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs_in, theirs_out),
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._requests = os.fdopen(ours_out, "w")
        self._answers = os.fdopen(ours_in, "r")

    def run(self, steps: int) -> Cost:
        """Let the process take some steps; return the cost of one.

        Raises:
            BenchmarkError: if the process ended
        """
        clock = Clock()
        try:
            self._requests.write(f"{steps}\n")
            self._requests.flush()
            answer = self._answers.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._fail()
        cost = clock.stop(float(answer))
        return Cost(cost.wall / steps, cost.cpu / steps, 0.0, cost.others)

    def end(self) -> float:
        """End the process and return its peak memory in MiB."""
        self._requests.close()
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._close()
        return used.ru_maxrss / 1024

    def kill(self) -> None:
        """End the process if it runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        for stream in (self._requests, self._answers, self._log):
            # The process may be gone, and with it the reader of what is unsent.
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _fail(self) -> NoReturn:
        self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-15:]
        self._close()
        raise BenchmarkError(
            f"{' '.join(self._arguments)} ended with {self._process.returncode}:\n"
            + "\n".join(lines)
        )
