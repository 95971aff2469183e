import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple

import pytest

from loopback import Page, serve
from rehear import download as module
from rehear.download import decompress, download
from rehear.errors import DataError

BODY = gzip.compress(os.urandom(3_000_000), mtime=0)
DIGEST = hashlib.sha256(BODY).hexdigest()
HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    with serve() as loopback:
        loopback.pages["/a.tar.gz"] = Page(BODY)
        yield loopback


@pytest.fixture
def get(server, tmp_path):
    def fetch(path="/a.tar.gz", **options):
        target = tmp_path / "raw" / path.rpartition("/")[2]
        url = server.url + path
        return download(url, target, downloads=tmp_path / "parts", **options)

    return fetch


def test_download_gives_the_published_bytes(get):
    assert get(sha256=DIGEST, size=len(BODY)).read_bytes() == BODY


def test_finished_download_is_not_fetched_again(get, server):
    get().unlink()
    assert get().read_bytes() == BODY
    assert len(server.asked) == 1


def test_wrong_digest_is_refused_and_the_file_removed(get, server, tmp_path):
    with pytest.raises(DataError, match=f"SHA-256 {DIGEST}, expected {'0' * 64}"):
        get(sha256="0" * 64)
    assert not (tmp_path / "raw").exists()
    assert not list((tmp_path / "parts").glob("*.done"))
    assert get(sha256=DIGEST).read_bytes() == BODY
    assert len(server.asked) == 2


def test_wrong_size_is_refused_before_the_body_is_read(get, tmp_path):
    with pytest.raises(DataError, match=r"got [\d,]+ bytes, expected 7"):
        get(size=7)
    assert not list((tmp_path / "parts").glob("*.part"))


def test_cut_connection_goes_on_where_it_stopped(get, server):
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts = 1_000_000, 2
    assert get(sha256=DIGEST).read_bytes() == BODY
    assert server.sent() == [1_000_000, 1_000_000, len(BODY) - 2_000_000]
    assert server.asked[2][1] == "bytes=2000000-"


def test_truncated_again_and_again_is_an_error_that_keeps_the_part(
    get, server, monkeypatch
):
    monkeypatch.setattr(module, "_TRIES", 3)
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts = 500_000, 3
    with pytest.raises(DataError, match=r"connection lost.*1,500,000 bytes are kept"):
        get()
    assert get().read_bytes() == BODY
    assert server.sent()[-1] == len(BODY) - 1_500_000


def test_file_that_changed_between_tries_is_fetched_whole(get, server, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 1)
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts = 500_000, 1
    with pytest.raises(DataError, match="connection lost"):
        get()
    page.body, page.etag = gzip.compress(b"new"), '"v2"'
    assert get().read_bytes() == page.body


def test_part_without_validator_or_digest_is_not_continued(get, server):
    page = server.pages["/a.tar.gz"]
    page.etag, page.cut_after, page.cuts = "", 500_000, 1
    assert get().read_bytes() == BODY
    assert [asked for _, asked, _ in server.asked] == ["", ""]


def test_part_without_validator_is_continued_when_the_digest_is_known(get, server):
    page = server.pages["/a.tar.gz"]
    page.etag, page.cut_after, page.cuts = "", 500_000, 1
    assert get(sha256=DIGEST).read_bytes() == BODY
    assert server.asked[1][1] == "bytes=500000-"


def test_server_without_ranges_sends_all_again(get, server):
    page = server.pages["/a.tar.gz"]
    page.ranges, page.cut_after, page.cuts = False, 500_000, 1
    assert get(sha256=DIGEST).read_bytes() == BODY


def test_complete_part_of_a_killed_process_is_kept(get, server, tmp_path):
    get()
    done = next((tmp_path / "parts").glob("*.done"))
    done.rename(done.with_suffix(".part"))
    done.with_suffix(".json").write_text('"\\"v1\\""')
    assert get().read_bytes() == BODY
    assert server.sent() == [len(BODY), 0]


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/gzip"])
def test_html_page_is_not_taken_for_an_archive(get, server, tmp_path, kind):
    server.pages["/a.tar.gz"] = Page(HTML, content_type=kind)
    with pytest.raises(DataError, match=r"not a \.gz file \(a web page\)"):
        get()
    assert not list((tmp_path / "parts").glob("*.done"))


def test_json_error_is_not_taken_for_an_archive(get, server):
    server.pages["/a.zip"] = Page(b'{"message": "rate limit"}')
    with pytest.raises(DataError, match=r"not a \.zip file .*mess"):
        get("/a.zip")


def test_missing_file_is_refused_at_once(get, server):
    with pytest.raises(DataError, match=r"404 Not Found; check the address"):
        get("/b.tar.gz")
    assert len(server.asked) == 1


def test_busy_server_is_asked_again(get, server):
    server.pages["/a.tar.gz"].statuses = [503, 429]
    assert get().read_bytes() == BODY
    assert len(server.asked) == 3


def test_server_that_stays_busy_is_given_up(get, server):
    server.pages["/a.tar.gz"].statuses = [503] * 9
    with pytest.raises(DataError, match=r"503 Service Unavailable.*run it again"):
        get()
    assert len(server.asked) == 3


def test_unreachable_server_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.0,))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/a.*refused"):
        download("http://127.0.0.1:9/a", tmp_path / "a", downloads=tmp_path / "p")


@pytest.mark.parametrize("url", ["ftp://a/b", "a/b.zip", "javascript:x"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DataError, match="expected http, https or file"):
        download(url, tmp_path / "a", downloads=tmp_path)


def test_file_address_is_a_mirror(tmp_path):
    (tmp_path / "b.gz").write_bytes(BODY)
    url = (tmp_path / "b.gz").as_uri()
    found = download(url, tmp_path / "a.gz", downloads=tmp_path / "p", sha256=DIGEST)
    assert found.read_bytes() == BODY


def test_missing_file_address_is_named(tmp_path):
    url = (tmp_path / "b.gz").as_uri()
    with pytest.raises(DataError, match=r"b\.gz: cannot be fetched"):
        download(url, tmp_path / "a.gz", downloads=tmp_path / "p")


def test_full_disk_is_noticed_before_the_download(get, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 1000))
    with pytest.raises(DataError, match=r"needs [\d,]+ bytes, but 1,000 are free"):
        get()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_disk_that_fills_up_is_an_error_that_keeps_the_part(
    server, tmp_path, monkeypatch
):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 0, 1 << 40))
        with pytest.raises(DataError, match=r"No space left.*make room"):
            download(server.url + "/a.tar.gz", tmp_path / "a.gz", downloads=small)
        assert not list(small.glob("*.done"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_first_digest_is_recorded_and_enforced(get, server, tmp_path):
    get()
    table = json.loads((tmp_path / "parts" / module.CHECKSUMS).read_text())
    url = f"{server.url}/a.tar.gz"
    assert table == {url: {"sha256": DIGEST, "size": len(BODY)}}
    for done in (tmp_path / "parts").glob("*.done"):
        done.unlink()
    server.pages["/a.tar.gz"] = Page(gzip.compress(b"other"), etag='"v2"')
    with pytest.raises(DataError, match=f"expected {len(BODY):,}"):
        get()
    server.pages["/a.tar.gz"] = Page(BODY[:-1] + b"x", etag='"v3"')
    with pytest.raises(DataError, match=f"expected {DIGEST}"):
        get()


def test_contents_verified_otherwise_are_not_recorded(get, tmp_path):
    get(record=False)
    assert not (tmp_path / "parts" / module.CHECKSUMS).exists()


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}'])
def test_damaged_record_is_an_error(get, tmp_path, text):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / module.CHECKSUMS).write_text(text)
    with pytest.raises(DataError, match=r"checksums\.json: cannot be read"):
        get()


SCRIPT = """
import sys
from pathlib import Path
from rehear.download import download
url, folder = sys.argv[1:]
download(url, Path(folder, "raw/a.tar.gz"), downloads=Path(folder, "parts"))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_download_goes_on(get, server, tmp_path, how):
    page = server.pages["/a.tar.gz"]
    # More than one block, so that a whole one has been written.
    page.cut_after, page.cuts, page.hold = 2_500_000, 1, threading.Event()
    command = [sys.executable, "-c", SCRIPT, server.url + "/a.tar.gz", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert server.reached.wait(30)
        deadline = time.monotonic() + 30
        while not kept(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(how)
        assert process.wait(30) != 0
    page.hold.set()
    have = kept(tmp_path)
    assert have >= 1 << 20
    assert not (tmp_path / "raw").exists()
    assert get().read_bytes() == BODY
    assert server.sent()[-1] == len(BODY) - have


def kept(tmp_path):
    return sum(path.stat().st_size for path in (tmp_path / "parts").glob("*.part"))


def test_decompress_gives_all_members_of_a_gzip_file(tmp_path):
    packed = tmp_path / "a.gz"
    plain = [os.urandom(5000), b"x" * 3_000_000, b""]
    packed.write_bytes(b"".join(map(gzip.compress, plain)) + b"\0" * 512)
    decompress(packed, tmp_path / "a", limit=4_000_000)
    assert (tmp_path / "a").read_bytes() == b"".join(plain)


def test_compression_bomb_is_refused(tmp_path):
    packed = tmp_path / "bomb.gz"
    with gzip.open(packed, "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    with pytest.raises(DataError, match=r"bomb\.gz: more than 1,000,000 bytes"):
        decompress(packed, tmp_path / "a", limit=1_000_000)
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.gz"]


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:-5] + b"xxxxx"])
def test_damaged_gzip_file_is_refused(tmp_path, damage):
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(os.urandom(9000))))
    with pytest.raises(DataError, match=r"a\.gz: damaged gzip file"):
        decompress(tmp_path / "a.gz", tmp_path / "a", limit=1 << 20)
    assert not (tmp_path / "a").exists()
