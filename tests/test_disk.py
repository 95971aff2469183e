import errno
import os
import shutil
from collections import namedtuple

import pytest

from rehear import disk
from rehear.errors import DataError


@pytest.fixture
def done(tmp_path):
    path = tmp_path / "done"
    path.write_bytes(b"abc" * 1000)
    return path


def refuse(*_):
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_place_links(done, tmp_path):
    disk.place(done, tmp_path / "raw" / "a")
    assert (tmp_path / "raw" / "a").samefile(done)


def test_place_copies_where_it_cannot_link(done, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"old")
    disk.place(done, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == done.read_bytes()
    assert not (tmp_path / "a").samefile(done)


def test_place_asks_for_room_before_it_copies(done, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 2999))
    with pytest.raises(DataError, match=r"a: needs 3,000 bytes, but 2,999 are free"):
        disk.place(done, tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EFBIG, "make room"),
        (errno.EACCES, "check permissions"),
        (errno.EROFS, "check permissions"),
    ],
)
def test_errors_of_the_disk_say_what_to_do(tmp_path, number, advice):
    said = f"cannot be written .*{advice} and run it"
    with pytest.raises(DataError, match=said), disk.writing(tmp_path):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass(tmp_path):
    with pytest.raises(ConnectionResetError), disk.writing(tmp_path):
        raise ConnectionResetError


def test_size_of_nothing_is_zero(done, tmp_path):
    assert disk.size_of(tmp_path / "none") == 0
    assert disk.size_of(done) == 3000
