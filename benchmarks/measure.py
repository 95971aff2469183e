"""Wall time, CPU time and memory of commands, one after the other in turns."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LINES = 15  # of the output of a command that failed


class BenchmarkError(Exception):
    """Something that a measurement needs is missing or failed."""


@dataclass(frozen=True)
class Cost:
    """What one run of some work cost.

    Attributes:
        wall: seconds from start to end
        cpu: seconds of all cores, user and system, children included
        peak: largest resident memory of one process, in MiB; 0 if unknown
        others: cores that were busy with other work meanwhile
    """

    wall: float
    cpu: float
    peak: float = 0.0
    others: float = 0.0


class Clock:
    """Times one piece of work, and what else the machine did meanwhile."""

    def __init__(self) -> None:
        self._busy = _busy_seconds()
        self._start = time.perf_counter()

    def stop(self, cpu: float, *, peak: float = 0.0) -> Cost:
        """Return the cost of the work, which took ``cpu`` seconds of the cores."""
        wall = time.perf_counter() - self._start
        others = (_busy_seconds() - self._busy - cpu) / max(wall, 0.01)
        return Cost(wall, cpu, peak, max(0.0, others))


def _busy_seconds() -> float:
    """Return the seconds that all cores together were busy; 0 where unknown."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq = map(int, line.split()[1:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks


def environment(**changes: str) -> dict[str, str]:
    """Return the variables that every measured command gets.

    What would make imports slow (no bytecode) or change threads is left out.
    """
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "DVC_STAGE", "DVC_ROOT")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {k: v for k, v in os.environ.items() if k not in (*dropped, *threads)}
    return {**kept, "PYTHONWARNINGS": "ignore", **changes}


def command(
    arguments: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
) -> Cost:
    """Run a command to its end.

    Raises:
        BenchmarkError: if it fails; the text ends with its last lines
    """
    words = [str(word) for word in arguments]
    with tempfile.TemporaryFile() as log:
        clock = Clock()
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(env or environment()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        # wait4 knows what this one child and its own children used.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cost = clock.stop(used.ru_utime + used.ru_stime, peak=used.ru_maxrss / 1024)
        if process.returncode:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()[-_LINES:]
            raise BenchmarkError(
                f"{' '.join(words)} in {cwd} ended with {process.returncode}:\n"
                + "\n".join(lines)
            )
    return cost


def program(module: str, *arguments: object, **variables: str) -> Any:
    """Run a module of the benchmarks as a program; return the JSON that it prints.

    Raises:
        BenchmarkError: if it fails; the text ends with its last lines
    """
    answer = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT / "src"), **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise BenchmarkError(f"{module} failed:\n{answer.stderr[-2000:]}")
    return json.loads(answer.stdout)


Costs = dict[str, list[Cost]]


def interleave(sides: Mapping[str, Callable[[int], Cost]], repeats: int) -> Costs:
    """Run all sides in turns, A B A B, so that the machine's moods hit all alike.

    Args:
        sides: by name; each gets the number of the repeat
        repeats: of each side
    """
    costs: Costs = {name: [] for name in sides}
    for repeat in range(repeats):
        for name, run in sides.items():
            cost = run(repeat)
            costs[name].append(cost)
            print(
                f"  {repeat + 1}/{repeats} {name}: {cost.wall:.2f} s wall, "
                f"{cost.cpu:.2f} s CPU, {cost.peak:.0f} MiB, "
                f"{cost.others:.1f} cores busy with other work",
                flush=True,
            )
    return costs


def median(costs: Sequence[Cost], field: str = "wall") -> float:
    """Return the median of one field of some costs."""
    return statistics.median(getattr(cost, field) for cost in costs)
