"""Jobs in forked processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rehear import forks
from rehear.errors import DataError


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_job_is_done_once(tmp_path, processes):
    def work(job):
        with (tmp_path / str(job)).open("a") as stream:
            stream.write(f"{os.getpid()}\n")

    done = list(forks.each(range(20), work, processes=processes))
    assert sorted(done) == list(range(20))
    written = [p.read_text().split() for p in tmp_path.iterdir()]
    assert [len(lines) for lines in written] == [1] * 20
    workers = {lines[0] for lines in written}
    assert (str(os.getpid()) in workers) == (processes == 1)


def test_no_jobs_are_done_at_once():
    assert list(forks.each([], lambda job: None, processes=4)) == []


def test_a_refusal_arrives_as_it_was(tmp_path):
    def work(job):
        if job == 3:
            raise DataError("row 3: “no”")

    with pytest.raises(DataError, match="^row 3: “no”$"):
        list(forks.each(range(9), work, processes=2))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # nobody is left


def test_a_crash_arrives_with_its_traceback():
    def work(job):
        return 1 / job

    with pytest.raises(RuntimeError, match=r"(?s)in work.*ZeroDivisionError"):
        list(forks.each([0, 1], work, processes=2))


def test_a_killed_process_is_noticed():
    def work(job):
        if job == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(DataError, match=r"died \(exit code -9\).*fewer processes"):
        list(forks.each([0, 1, 2], work, processes=2))


def test_workers_end_when_nobody_waits_any_more():
    jobs = forks.each(range(4), lambda job: time.sleep(job and 60), processes=2)
    assert next(jobs) == 0
    jobs.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


PARENT = """
import os, time
from rehear import forks
def work(job):
    os.write(1, b"%d\\n" % os.getpid())  # at once, unlike print
    time.sleep(60)
list(forks.each(range(4), work, processes=2))
"""


def test_workers_end_with_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as p:
        workers = [int(p.stdout.readline()) for _ in range(2)]
        p.kill()
    deadline = time.monotonic() + 10
    while any(_lives(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            return stream.read().split()[2] != "Z"
    except FileNotFoundError:
        return False
