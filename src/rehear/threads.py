"""Waiting for several things at a time, in threads that are gone at the end.

For work that waits, such as downloads; what computes is for ``forks``.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rehear.halt import Halt, Halted

PATIENCE = 5.0  # seconds that threads get to end after a failure
T = TypeVar("T")


def each(work: Callable[[int, Halt, int], T], count: int, *, threads: int) -> list[T]:
    """Do jobs in their order, several at a time.

    The first failure, or a ``KeyboardInterrupt``, ends the others. Processes may
    be forked afterwards, since no thread is left; only one that a server keeps
    waiting for an answer outlives a failure, and does nothing when it comes.

    Args:
        work: does the job of a number, ends when the ``Halt`` says so, and has
            a line of the screen, of which the number comes last
        count: number of jobs
        threads: how many at a time

    Returns:
        The results, in the order of the jobs.

    Raises:
        BaseException: what ``work`` raised, for the first job of those that are
            known to have failed
    """
    lines = range(min(threads, count))
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    for job in (*range(count), *(None for _ in lines)):
        waiting.put(job)
    ended: queue.SimpleQueue[tuple[int, T | None, BaseException | None]]
    halt, ended = Halt(), queue.SimpleQueue()

    def serve(line: int) -> None:
        for job in iter(waiting.get, None):
            try:
                halt.check()
                ended.put((job, work(job, halt, line), None))
            except BaseException as error:  # noqa: BLE001 - raised by the caller
                halt.set()
                ended.put((job, None, error))

    crew = [threading.Thread(target=serve, args=(n,), daemon=True) for n in lines]
    done: dict[int, T] = {}
    failed: dict[int, BaseException] = {}
    try:
        for thread in crew:
            thread.start()
        while len(done) < count and not failed:
            _sort(ended.get(), done, failed)
    finally:
        halt.set()
        end = time.monotonic() + PATIENCE
        for thread in crew:
            thread.join(max(0.0, end - time.monotonic()))
    while not ended.empty():
        _sort(ended.get(), done, failed)
    if failed:
        raise failed[min(failed)]
    return [done[job] for job in range(count)]


def _sort(
    outcome: tuple[int, Any, BaseException | None],
    done: dict[int, Any],
    failed: dict[int, BaseException],
) -> None:
    job, result, error = outcome
    if error is None:
        done[job] = result
    elif not isinstance(error, Halted):
        failed[job] = error
