import _thread
import threading
import time

import pytest

from rehear import threads
from rehear.halt import Halted


def ours():
    return [thread for thread in threading.enumerate() if "(serve)" in thread.name]


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("at_a_time", [1, 3, 9])
def test_results_are_in_the_order_of_the_jobs(count, at_a_time):
    def work(job, halt, line):
        time.sleep(0.002 * (count - job))
        return job**2

    assert threads.each(work, count, threads=at_a_time) == [n**2 for n in range(count)]
    assert ours() == []


def test_lines_of_jobs_at_work_differ():
    busy, most = set(), []

    def work(job, halt, line):
        assert line not in busy
        busy.add(line)
        time.sleep(0.002)
        most.append(len(busy))
        busy.remove(line)

    threads.each(work, 20, threads=4)
    assert 1 < max(most) <= 4


def test_failure_ends_the_others_and_begins_no_more():
    begun = []

    def work(job, halt, line):
        begun.append(job)
        if job == 1:
            raise ValueError("one")
        halt.wait(60)

    with pytest.raises(ValueError, match="one"):
        threads.each(work, 50, threads=3)
    assert ours() == []
    assert {*begun} <= {0, 1, 2}


def test_error_is_that_of_the_first_job_that_is_known_to_have_failed():
    def work(job, halt, line):
        if job == 2:
            raise ValueError("two")
        try:
            halt.wait(60)
        except Halted:
            raise ValueError(["zero", "one"][job]) from None

    with pytest.raises(ValueError, match="zero"):
        threads.each(work, 3, threads=3)


def test_interrupt_ends_all():
    def work(job, halt, line):
        if job == 2:
            _thread.interrupt_main()
        halt.wait(60)

    with pytest.raises(KeyboardInterrupt):
        threads.each(work, 9, threads=3)
    assert ours() == []


def test_thread_that_does_not_end_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(threads, "PATIENCE", 0.01)
    release, begun = threading.Event(), threading.Event()

    def work(job, halt, line):
        if job == 0:
            begun.wait(60)
            raise ValueError("zero")
        begun.set()
        release.wait(60)

    with pytest.raises(ValueError, match="zero"):
        threads.each(work, 2, threads=2)
    (left,) = ours()
    assert left.daemon
    release.set()
    left.join(60)
