"""Work on numbered jobs in forked processes, one for each core.

Forked processes inherit everything that is loaded, a study's own parts included,
and start in a millisecond. They end with their parent, however it ends, and a
death among them is noticed; ``concurrent.futures`` gives neither.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from rehear.errors import DataError, RehearError

_DONE, _REFUSED, _CRASHED = b"done", b"refu", b"cras"


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    jobs: Iterable[int], work: Callable[[int], None], *, processes: int
) -> Iterator[int]:
    """Do jobs, several at a time, and yield each one's number when it is done.

    With one process, or where processes cannot be forked, the work is done in
    this one, where a debugger reaches it.

    Args:
        jobs: numbers of the jobs, each below 2**32
        work: does one job; its result is what it writes to disk
        processes: how many at most

    Raises:
        DataError: raised by ``work``, or if a process was killed
        RuntimeError: if ``work`` crashed; holds its traceback
    """
    remaining = list(jobs)
    processes = min(processes, len(remaining))
    if processes < 2 or not hasattr(os, "fork"):
        for job in remaining:
            work(job)
            yield job
        return
    remaining.reverse()
    workers: dict[int, _Worker] = {}
    try:
        for _ in range(processes):
            worker = _Worker(work, workers.values())
            workers[worker.socket.fileno()] = worker
            worker.give(remaining.pop())
        while workers:
            for fileno, _ in _ready(workers):
                worker = workers[fileno]
                yield worker.result()
                if remaining:
                    worker.give(remaining.pop())
                else:
                    worker.end()
                    del workers[fileno]
    finally:
        for worker in workers.values():
            worker.kill()


def _ready(workers: Iterable[int]) -> list[tuple[int, int]]:
    # poll, since select fails for descriptors above 1023.
    poll = select.poll()
    for fileno in workers:
        poll.register(fileno, select.POLLIN)
    return poll.poll()


class _Worker:
    """A forked process and the socket to it."""

    def __init__(
        self, work: Callable[[int], None], siblings: Iterable["_Worker"]
    ) -> None:
        self.socket, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _die_with(parent)
            # Only with these closed does the end of the parent show as the end
            # of the stream.
            self.socket.close()
            for sibling in siblings:
                sibling.socket.close()
            _serve(theirs, work)
        theirs.close()

    def give(self, job: int) -> None:
        self.job = job
        with contextlib.suppress(BrokenPipeError):
            self.socket.sendall(job.to_bytes(4, "little"))

    def result(self) -> int:
        kind = _receive(self.socket, 4)
        if kind == _DONE:
            return self.job
        size = int.from_bytes(_receive(self.socket, 4), "little")
        text = _receive(self.socket, size).decode(errors="replace")
        if kind == _REFUSED:
            raise DataError(text)
        if kind == _CRASHED:
            raise RuntimeError(f"a worker process failed:\n{text}")
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        raise DataError(
            f"a worker process died (exit code {code}); if memory ran out, use fewer "
            "processes, then run the stage again: finished blocks are kept"
        )

    def end(self) -> None:
        self.socket.close()
        os.waitpid(self.pid, 0)

    def kill(self) -> None:
        self.socket.close()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _die_with(parent: int) -> None:
    """Be killed when the parent is, also in the middle of a job (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1  # <linux/prctl.h>
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)


def _serve(channel: socket.socket, work: Callable[[int], None]) -> NoReturn:
    # A keyboard interrupt reaches the whole group; the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        while request := _receive(channel, 4):
            channel.sendall(_report(work, int.from_bytes(request, "little")))
        code = 0
    except OSError:
        pass  # the parent is gone
    finally:
        # Without the parent's exit handlers, buffers and destructors.
        os._exit(code)


def _report(work: Callable[[int], None], job: int) -> bytes:
    try:
        work(job)
    except RehearError as error:
        kind, text = _REFUSED, str(error)
    except Exception:  # noqa: BLE001 - a process cannot raise in its parent
        kind, text = _CRASHED, traceback.format_exc()
    else:
        return _DONE
    data = text.encode()
    return kind + len(data).to_bytes(4, "little") + data


def _receive(channel: socket.socket, size: int) -> bytes:
    """Return ``size`` bytes, or nothing at the end of the stream."""
    data = b""
    while len(data) < size:
        try:
            more = channel.recv(size - len(data))
        except ConnectionResetError:
            more = b""
        if not more:
            return b""
        data += more
    return data
