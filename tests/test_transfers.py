import contextlib
import gzip
import hashlib
import io
import json
import logging
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections import namedtuple

import pytest

from loopback import Page, serve
from rehear import archives, download, transfers
from rehear.errors import DataError
from rehear.transfers import Remote, fetch

BODIES = {f"{name}.bin": os.urandom(2_000_000 + ord(name)) for name in "abcdef"}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (0.0,))
    with serve() as loopback:
        for name, body in BODIES.items():
            loopback.pages["/" + name] = Page(body)
        yield loopback


@pytest.fixture
def places(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw", tmp_path / "parts"


@pytest.fixture
def get(server, places):
    def run(*names, mirror="", threads=4, **known):
        remotes = [Remote(name, f"{server.url}/{name}", **known) for name in names]
        folder, downloads = places
        return fetch(
            remotes, folder, downloads=downloads, mirror=mirror, threads=threads
        )

    return run


def packed(**files):
    """Return a .tar.gz with these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=0)


def left(places):
    """Return what is in the folder of the result, hidden files included."""
    return sorted(path.name for path in places[0].iterdir())


def ours():
    """Return the threads of ``threads.each``; the server has others."""
    return [thread for thread in threading.enumerate() if "(serve)" in thread.name]


def free(monkeypatch, count):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 50, 0, count))


@pytest.mark.parametrize("threads", [1, 2, 9])
def test_all_files_come_and_no_thread_is_left(get, places, threads):
    paths = get(*BODIES, threads=threads)
    assert ours() == []
    assert [*paths] == [*BODIES]
    assert {name: path.read_bytes() for name, path in paths.items()} == BODIES
    assert left(places) == sorted(BODIES)


def test_nothing_to_fetch_is_no_error(get):
    assert get() == {}


def test_files_begin_in_the_order_of_the_list(get, server):
    names = sorted(BODIES, reverse=True)
    get(*names, threads=1)
    assert [path for path, _, _ in server.asked] == ["/" + name for name in names]


def test_several_are_on_their_way_at_a_time(get, server):
    together = threading.Barrier(3, timeout=30)
    for name in "abc":
        # Each answer waits for the two others to be asked for.
        server.pages[f"/{name}.bin"].silent = Together(together)
    get("a.bin", "b.bin", "c.bin", threads=3, size=None)
    assert not together.broken


class Together:
    def __init__(self, barrier):
        self.barrier = barrier

    def wait(self, _):
        self.barrier.wait()


def test_mirror_has_files_of_the_same_names(get, server, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "ä 1.bin").write_bytes(b"mirrored")
    paths = get("ä 1.bin", mirror=(tmp_path / "mirror").as_uri() + "/")
    assert paths["ä 1.bin"].read_bytes() == b"mirrored"
    assert server.asked == server.heads == []


def test_checksum_of_a_mirror_holds_for_the_published_address(get, server, places):
    page = server.pages["/mirror/a.bin"] = Page(b"mirrored")
    get("a.bin", mirror=server.url + "/mirror")
    table = json.loads((places[1] / download.CHECKSUMS).read_text())
    assert [*table] == [f"{server.url}/a.bin"]
    with pytest.raises(DataError, match=r"expected 8 as recorded in checksums\.json"):
        get("a.bin")
    page.body = BODIES["a.bin"]


def test_recording_of_many_loses_none(get, server, places):
    small = {f"{number}.bin": bytes([number]) for number in range(30)}
    server.pages |= {"/" + name: Page(body) for name, body in small.items()}
    get(*small, threads=10)
    table = json.loads((places[1] / download.CHECKSUMS).read_text())
    assert {
        url.rpartition("/")[2]: entry["sha256"] for url, entry in table.items()
    } == {name: hashlib.sha256(body).hexdigest() for name, body in small.items()}


@pytest.mark.parametrize(
    "names",
    [
        ("a.bin", "a.bin"),
        ("x.tar.gz", "x.tar"),
        ("x.tgz", "x.tar.gz"),
        ("A.bin", "a.bin"),
    ],
)
def test_two_files_of_one_name_are_refused(get, server, names):
    with pytest.raises(DataError, match=r"'[ax]\.(bin|tar)' is listed twice"):
        get(*names)
    assert server.asked == []


def test_one_address_for_two_files_is_refused(places):
    remotes = [Remote(name, "http://127.0.0.1:9/x") for name in "ab"]
    with pytest.raises(DataError, match="address 'http.*x' is listed twice"):
        fetch(remotes, places[0], downloads=places[1])


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", ".", "a\\b", "C:a"])
def test_names_that_lead_outside_are_refused(get, name, places):
    with pytest.raises(DataError, match="cannot name a file"):
        get(name)
    assert not places[1].exists()


# --- packed ---


def test_tar_gz_becomes_tar(get, server, places):
    server.pages["/x.tar.gz"] = Page(packed(a=b"1", b=b"22"))
    server.pages["/y.tgz"] = Page(packed(c=b"3"))
    paths = get("x.tar.gz", "y.tgz")
    assert left(places) == ["x.tar", "y.tar"]
    assert {name: path.name for name, path in paths.items()} == {
        "x.tar.gz": "x.tar",
        "y.tgz": "y.tar",
    }
    assert archives.members(paths["x.tar.gz"]) == ["a", "b"]


def test_bomb_is_refused(get, server, places, monkeypatch):
    monkeypatch.setattr(transfers, "FLOOR", 1 << 20)
    server.pages["/x.tar.gz"] = Page(packed(zeros=bytes(8 << 20)))
    with pytest.raises(DataError, match=r"x\.tar: more than 1,048,576 bytes come out"):
        get("x.tar.gz")
    assert left(places) == []


def test_silence_in_a_small_archive_is_no_bomb(get, server):
    server.pages["/x.tar.gz"] = Page(packed(zeros=bytes(8 << 20)))
    assert get("x.tar.gz")["x.tar.gz"].stat().st_size > 8 << 20


def test_damaged_tar_gz_is_refused(get, server, places):
    server.pages["/x.tar.gz"] = Page(packed(a=os.urandom(9000))[:-9])
    with pytest.raises(DataError, match=r"x\.tar: the gzip file is damaged"):
        get("x.tar.gz")
    assert left(places) == []


# --- room on the disk ---


def test_room_for_all_is_asked_before_the_first_byte(get, server, monkeypatch):
    total = sum(len(body) for body in BODIES.values())
    free(monkeypatch, total - 1)
    with pytest.raises(
        DataError,
        match=rf"the 6 files to fetch: needs {total:,} bytes, but {total - 1:,}",
    ):
        get(*BODIES)
    assert server.asked == []
    assert sorted(server.heads) == sorted("/" + name for name in BODIES)


def test_published_sizes_are_not_asked_for(get, server, monkeypatch):
    free(monkeypatch, 1_999_999)
    with pytest.raises(DataError, match="needs 2,000,097 bytes"):
        get("a.bin", size=2_000_097)
    assert server.heads == []


def test_room_is_asked_only_for_what_is_to_come(get, server, monkeypatch, places):
    get("a.bin")
    page = server.pages["/b.bin"]
    page.cut_after, page.cuts = 1_500_000, 1
    monkeypatch.setattr(download, "_TRIES", 1)
    with pytest.raises(DataError, match="connection lost"):
        get("b.bin")
    rest = len(page.body) - 1_500_000
    free(monkeypatch, rest - 1)
    with pytest.raises(DataError, match=f"needs {rest:,} bytes"):
        get("a.bin", "b.bin")
    free(monkeypatch, rest)
    assert get("a.bin", "b.bin")["b.bin"].read_bytes() == page.body


def test_room_for_what_is_decompressed_is_asked_too(get, server, monkeypatch):
    body = packed(noise=os.urandom(100_000))
    server.pages["/x.tar.gz"] = Page(body)
    free(monkeypatch, 2 * len(body) - 1)
    with pytest.raises(DataError, match=f"needs {2 * len(body):,} bytes"):
        get("x.tar.gz")
    assert server.asked == []


def test_room_is_asked_again_when_the_size_is_known(get, server, monkeypatch, places):
    body = packed(zeros=bytes(1 << 20))
    server.pages["/x.tar.gz"] = Page(body)
    free(monkeypatch, 1 << 20)
    with pytest.raises(DataError, match=r"x\.tar: needs 1,0\d\d,\d{3} bytes"):
        get("x.tar.gz")
    assert left(places) == []


def test_server_that_tells_no_size_is_no_hindrance(get, server, monkeypatch):
    page = server.pages["/a.bin"]
    page.chunked = True
    assert get("a.bin")["a.bin"].read_bytes() == page.body
    assert server.heads == ["/a.bin"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remote_of(server, name):
    return Remote(name, f"{server.url}/{name}")


@pytest.mark.parametrize("small", ["raw", "parts"])
def test_disks_are_asked_one_by_one(server, tmp_path, small_disk, small):
    places = {"raw": tmp_path / "raw", "parts": tmp_path / "parts", small: small_disk}
    places["raw"].mkdir(exist_ok=True)
    remotes = [remote_of(server, name) for name in ("a.bin", "b.bin")]
    with pytest.raises(DataError, match=rf"needs 4,000,195 .* in {small_disk};"):
        fetch(remotes, places["raw"], downloads=places["parts"])
    assert server.asked == []
    fetch(remotes[:1], places["raw"], downloads=places["parts"])
    assert (places["raw"] / "a.bin").read_bytes() == BODIES["a.bin"]


def test_disk_that_fills_up_is_an_error_that_keeps_the_parts(
    server, tmp_path, small_disk, monkeypatch
):
    (tmp_path / "raw").mkdir()
    remotes = [remote_of(server, name) for name in BODIES]
    with monkeypatch.context() as patch:
        free(patch, 1 << 40)
        with pytest.raises(DataError, match=rf"{small_disk}: .*No space.*make room"):
            fetch(remotes, tmp_path / "raw", downloads=small_disk)
    for path in (tmp_path / "raw").iterdir():
        assert path.read_bytes() == BODIES[path.name]
    parts = [path.read_bytes() for path in small_disk.glob("*.part")]
    assert any(parts)
    assert all(any(b.startswith(part) for b in BODIES.values()) for part in parts)
    more = ["mount", "-o", "remount,size=30m", str(small_disk)]
    subprocess.run(more, check=True)
    server.asked.clear()
    paths = fetch(remotes, tmp_path / "raw", downloads=small_disk)
    assert {name: path.read_bytes() for name, path in paths.items()} == BODIES
    assert sum(server.sent()) <= sum(map(len, BODIES.values())) - sum(map(len, parts))


def test_disk_that_fills_up_while_decompressing(
    server, tmp_path, small_disk, monkeypatch
):
    server.pages["/x.tar.gz"] = Page(packed(zeros=bytes(8 << 20)))
    free(monkeypatch, 1 << 40)
    with pytest.raises(DataError, match=rf"{small_disk}: .*No space.*make room"):
        fetch([remote_of(server, "x.tar.gz")], small_disk, downloads=tmp_path / "parts")
    assert list(small_disk.iterdir()) == []


# --- failures ---


def test_failure_ends_the_others_and_keeps_their_parts(get, server, places):
    for name in "bcd":
        page = server.pages[f"/{name}.bin"]
        page.cut_after, page.cuts, page.hold = 1_500_000, 1, threading.Event()
    # It is not answered before the others are on their way.
    server.pages["/a.bin"] = Page(b"", statuses=[404], silent=server.reached)
    with pytest.raises(DataError, match="404 Not Found"):
        get("a.bin", "b.bin", "c.bin", "d.bin", "e.bin")
    # Though their server keeps them waiting.
    assert ours() == []
    assert left(places) == []
    assert "/e.bin" not in [path for path, _, _ in server.asked]
    for name in "bcd":
        server.pages[f"/{name}.bin"].hold.set()
    parts = {path.stat().st_size for path in places[1].glob("*.part")}
    assert parts <= {0, *range(1_500_001)}
    server.pages["/a.bin"] = Page(BODIES["a.bin"])
    assert {n: p.read_bytes() for n, p in get(*BODIES).items()} == BODIES


def test_unexpected_errors_are_raised_as_they_are(get, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(transfers, "place", fail)
    with pytest.raises(ZeroDivisionError):
        get("a.bin", "b.bin")


def test_finished_files_are_told_in_one_line_each(get, caplog, capsys):
    caplog.set_level(logging.INFO)
    get("a.bin", "b.bin")
    assert sorted(caplog.messages) == [
        "fetch: a.bin, 2,000,097 bytes",
        "fetch: b.bin, 2,000,098 bytes",
    ]
    assert capsys.readouterr() == ("", "")


def test_bars_are_drawn_on_a_terminal(server, tmp_path):
    """In a process of its own, as the terminal is one of its descriptors."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    (tmp_path / "raw").mkdir()
    screen, terminal = pty.openpty()
    size = struct.pack("4H", 24, 80, 0, 0)
    pytest.importorskip("fcntl").ioctl(terminal, termios.TIOCSWINSZ, size)
    page = server.pages["/b.bin"]
    page.cut_after, page.cuts, page.hold = 1_900_000, 1, threading.Event()
    with subprocess.Popen(command(server, tmp_path, "ab"), stderr=terminal) as process:
        os.close(terminal)
        text = b""
        while b"b.bin:" not in text:
            text += os.read(screen, 1000)
        page.hold.set()
        with contextlib.suppress(OSError):  # the terminal is closed
            while more := os.read(screen, 1000):
                text += more
        assert process.wait(60) == 0
    os.close(screen)
    assert b"%|" in text


SCRIPT = """
import logging, sys
from pathlib import Path
from rehear.transfers import Remote, fetch
url, folder, names = sys.argv[1:]
logging.basicConfig(level=logging.INFO, format="%(message)s")
remotes = [Remote(f"{name}.bin", f"{url}/{name}.bin") for name in names]
fetch(remotes, Path(folder, "raw"), downloads=Path(folder, "parts"))
"""


def command(server, folder, names):
    return [sys.executable, "-c", SCRIPT, server.url, str(folder), names]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_in_the_middle_of_several_it_goes_on(get, server, tmp_path, places, how):
    for name in "bc":
        page = server.pages[f"/{name}.bin"]
        page.cut_after, page.cuts, page.hold = 1_500_000, 1, threading.Event()
    run = command(server, tmp_path, "abcde")
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(kept(places, "done")) < 3 or min(kept(places, "part")) < 1 << 20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(how)
        _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    for name in "bc":
        server.pages[f"/{name}.bin"].hold.set()
    finished = [line.split()[1] for line in said.splitlines() if "bytes" in line]
    assert {"a.bin,", "d.bin,", "e.bin,"} >= {*finished}
    have = kept(places, "part")
    server.asked.clear()
    names = [f"{name}.bin" for name in "abcde"]
    paths = get(*names)
    assert {name: paths[name].read_bytes() for name in names} == {
        name: BODIES[name] for name in names
    }
    assert sorted(path for path, _, _ in server.asked) == ["/b.bin", "/c.bin"]
    rest = sum(len(BODIES[f"{name}.bin"]) for name in "bc") - sum(have)
    assert sum(server.sent()) == rest


def kept(places, kind):
    return [path.stat().st_size for path in places[1].glob(f"*.{kind}")] or [0]


def test_processes_can_be_forked_afterwards(get):
    """Python warns of a fork while threads run; warnings are errors here."""
    get("a.bin", "b.bin")
    assert ours() == []
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_damaged_gzip_file_is_not_kept(get, server, places):
    good = packed(a=b"x" * 5000)
    server.pages["/x.tar.gz"] = Page(good[:-9])
    with pytest.raises(DataError, match="gzip file is damaged"):
        get("x.tar.gz")
    assert not list(places[1].glob("*.done"))
    server.pages["/x.tar.gz"] = Page(good, etag='"v2"')
    assert [*archives.members(get("x.tar.gz")["x.tar.gz"])] == ["a"]
