import contextlib
import threading
import urllib.request

import pytest

from loopback import Page, serve
from rehear.halt import Halt, Halted


@contextlib.contextmanager
def watched(halt, url):
    with urllib.request.urlopen(url, timeout=60) as response, halt.watching(response):
        yield response


def test_before_it_is_set_nothing_happens():
    halt = Halt()
    halt.check()
    halt.wait(0.001)


def test_once_set_everything_ends():
    halt = Halt()
    halt.set()
    with pytest.raises(Halted):
        halt.check()
    with pytest.raises(Halted):
        halt.wait(60)


def test_sleep_is_cut_short():
    halt = Halt()
    timer = threading.Timer(0.05, halt.set)
    timer.start()
    with pytest.raises(Halted):
        halt.wait(60)
    timer.join()


def test_read_that_waits_for_a_server_is_cut_short():
    halt, hold = Halt(), threading.Event()
    with serve() as server:
        server.pages["/a"] = Page(bytes(2000), cut_after=1000, cuts=1, hold=hold)
        timer = threading.Timer(0.2, halt.set)
        timer.start()
        with watched(halt, server.url + "/a") as response:
            data = b"".join(iter(lambda: response.read1(5000), b""))
        assert not hold.is_set()
        assert data == bytes(1000)
        timer.join()
        hold.set()


def test_response_that_comes_too_late_is_not_read():
    halt = Halt()
    halt.set()
    with serve() as server:
        server.pages["/a"] = Page(b"abc")
        with pytest.raises(Halted), watched(halt, server.url + "/a"):
            pytest.fail("it is read")


def test_response_at_its_end_is_left_alone():
    halt = Halt()
    with serve() as server:
        server.pages["/a"] = Page(b"abc")
        with watched(halt, server.url + "/a") as response:
            assert response.read() == b"abc"
            halt.set()


def test_files_need_no_watch(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with watched(Halt(), (tmp_path / "a").as_uri()) as response:
        assert response.read() == b"abc"
