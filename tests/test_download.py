import email.utils
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from loopback import Page, serve
from rehear import download as module
from rehear.download import download, obtain
from rehear.errors import DataError
from rehear.halt import Halt
from rehear.published import Remote

BODY = gzip.compress(np.random.default_rng(0).bytes(3_000_000), mtime=0)
DIGEST = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sha256": "0" * 64}, f"SHA-256 {DIGEST}, expected {'0' * 64} as published"),
        ({"md5": "0" * 32}, f"MD5 {MD5}, expected {'0' * 32} as published"),
        # One right digest does not outweigh a wrong one.
        ({"sha256": DIGEST, "md5": "0" * 32}, f"MD5 {MD5}, expected"),
    ],
)
def test_wrong_digest_is_refused_and_the_file_removed(
    get, server, tmp_path, wrong, said
):
    with pytest.raises(DataError, match=said):
        get(**wrong)
    assert not (tmp_path / "raw").exists()
    assert list((tmp_path / "parts").iterdir()) == []
    assert get(sha256=DIGEST.upper(), md5=MD5).read_bytes() == BODY
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


def test_changed_file_is_noticed_where_the_server_passes_over_the_question(
    get, server, monkeypatch
):
    monkeypatch.setattr(module, "_TRIES", 1)
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts, page.obeys = 500_000, 1, False
    with pytest.raises(DataError, match="connection lost"):
        get()
    monkeypatch.setattr(module, "_TRIES", 3)
    page.body, page.etag = gzip.compress(os.urandom(3_000_000)), '"v2"'
    assert get().read_bytes() == page.body


def test_part_is_gone_before_the_mark_of_another_version(get, server, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 1)
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts = 500_000, 1
    with pytest.raises(DataError, match="connection lost"):
        get()
    page.body, page.etag = gzip.compress(b"new"), '"v2"'

    def killed(path, value):
        write(path, value)
        raise KeyboardInterrupt

    write = module.atomic.write_json
    with monkeypatch.context() as patch:
        patch.setattr(module.atomic, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            get()
    assert get().read_bytes() == page.body


def test_part_without_validator_or_digest_is_not_continued(get, server):
    page = server.pages["/a.tar.gz"]
    page.etag, page.cut_after, page.cuts = "", 500_000, 1
    assert get().read_bytes() == BODY
    assert [asked for _, asked, _ in server.asked] == ["", ""]


@pytest.mark.parametrize("known", [{"sha256": DIGEST}, {"md5": MD5}])
def test_part_without_validator_is_continued_when_a_digest_is_known(get, server, known):
    page = server.pages["/a.tar.gz"]
    page.etag, page.cut_after, page.cuts = "", 500_000, 1
    assert get(**known).read_bytes() == BODY
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


def test_html_page_is_not_taken_for_a_table(get, server, tmp_path):
    server.pages["/a.csv"] = Page(b"\n" + HTML, content_type="text/plain")
    with pytest.raises(DataError, match=r"not a \.csv file \(a web page\)"):
        get("/a.csv")
    server.pages["/a.csv"] = Page(b"a,b\n", content_type="text/html")
    assert get("/a.csv").read_bytes() == b"a,b\n"


def test_json_error_is_not_taken_for_an_archive(get, server):
    server.pages["/a.zip"] = Page(b'{"message": "rate limit"}')
    with pytest.raises(DataError, match=r"not a \.zip file .*mess"):
        get("/a.zip")


def test_missing_file_is_refused_at_once(get, server):
    with pytest.raises(DataError, match=r"404 Not Found; check .* dataset\.mirror"):
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


def after(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("99999", module.PATIENCE, module.PATIENCE),
        (3600, module.PATIENCE, module.PATIENCE),
        (-3600, 0, 0),
        ("soon", 0, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_wait_that_a_server_asks_for_is_kept(
    get, server, monkeypatch, caplog, status, asked, least, most
):
    waited = []
    monkeypatch.setattr(Halt, "wait", lambda self, seconds: waited.append(seconds))
    page = server.pages["/a.tar.gz"]
    said = asked if isinstance(asked, str) else after(asked)
    page.statuses, page.headers = [status], {"Retry-After": said}
    caplog.set_level("INFO")
    assert get().read_bytes() == BODY
    assert len(waited) == 1
    assert least <= waited[0] <= most
    assert ("asks to wait" in caplog.text) == (most > 0)


def test_silent_server_is_given_up(get, server, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    server.pages["/a.tar.gz"].silent = silent = threading.Event()
    with pytest.raises(DataError, match=r"timed out\); 0 bytes are kept.*run it again"):
        get()
    assert len(server.asked) == 3
    silent.set()


def test_server_that_stalls_is_asked_for_the_rest(get, server, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts, page.hold = 1_000_000, 1, threading.Event()
    assert get(sha256=DIGEST).read_bytes() == BODY
    assert server.asked[1][1] == "bytes=1000000-"
    page.hold.set()


def test_file_without_length_is_whole_or_refused(get, server):
    page = server.pages["/a.tar.gz"]
    page.chunked, page.cut_after, page.cuts = True, 1_000_000, 1
    assert get().read_bytes() == BODY
    assert [asked for _, asked, _ in server.asked] == ["", "bytes=1000000-"]


def test_unreachable_server_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.0,))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/a.*refused"):
        download("http://127.0.0.1:9/a", tmp_path / "a", downloads=tmp_path / "p")


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:x/a"])
def test_what_is_no_address_is_refused_at_once(tmp_path, monkeypatch, url):
    monkeypatch.setattr(Halt, "wait", lambda *_: pytest.fail("it is tried again"))
    with pytest.raises(DataError, match=r"cannot be fetched.*(http|address)"):
        download(url, tmp_path / "a", downloads=tmp_path)


@pytest.mark.parametrize("url", ["ftp://a/b", "a/b.zip", "javascript:x"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DataError, match="expected http, https or file"):
        download(url, tmp_path / "a", downloads=tmp_path)


@pytest.mark.parametrize("name", ["b.gz", "Größe 1.gz"])
def test_file_address_is_a_mirror(tmp_path, name):
    (tmp_path / name).write_bytes(BODY)
    for url in ((tmp_path / name).as_uri(), f"file://{tmp_path}/{name}"):
        found = download(url, tmp_path / "a.gz", downloads=tmp_path / "p")
        assert found.read_bytes() == BODY


def test_address_is_escaped(get, server):
    server.pages["/a%20%C3%BC%20b.gz?c=1"] = Page(BODY)
    assert get("/a ü%20b.gz?c=1").read_bytes() == BODY


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


def test_published_digest_is_not_recorded(get, tmp_path):
    get(sha256=DIGEST)
    assert not (tmp_path / "parts" / module.CHECKSUMS).exists()


def test_first_digest_is_recorded_beside_a_published_md5(get, tmp_path):
    get(md5=MD5)
    table = json.loads((tmp_path / "parts" / module.CHECKSUMS).read_text())
    assert [entry["sha256"] for entry in table.values()] == [DIGEST]


@pytest.fixture
def unstable(server, tmp_path):
    """Fetch a file that its server packs anew from time to time."""

    def fetch(**known):
        for done in (tmp_path / "parts").glob("*.done"):
            done.unlink()
        url = server.url + "/a.tar.gz"
        remote = Remote("a.tar.gz", url, stable=False, **known)
        return obtain(remote, downloads=tmp_path / "parts").read_bytes()

    return fetch


def test_file_packed_anew_is_reported_and_recorded(unstable, server, tmp_path, caplog):
    assert unstable(sha256=DIGEST, md5=MD5, size=len(BODY)) == BODY
    assert caplog.messages == []
    assert not (tmp_path / "parts" / module.CHECKSUMS).exists()
    anew = gzip.compress(gzip.decompress(BODY), compresslevel=1)
    server.pages["/a.tar.gz"] = Page(anew, etag='"v2"')
    for _ in range(2):
        assert unstable(sha256=DIGEST, md5=MD5, size=len(BODY)) == anew
        # A change is told once.
        (message,) = caplog.messages
        assert f"got {len(anew):,} bytes, expected {len(BODY):,}" in message
        (entry,) = json.loads(
            (tmp_path / "parts" / module.CHECKSUMS).read_text()
        ).values()
        assert entry["sha256"] == hashlib.sha256(anew).hexdigest()


def test_unstable_file_is_not_put_together_from_two(unstable, server):
    page = server.pages["/a.tar.gz"]
    page.etag, page.cut_after, page.cuts = "", 500_000, 1
    assert unstable(sha256=DIGEST) == BODY
    assert [asked for _, asked, _ in server.asked] == ["", ""]


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}'])
def test_damaged_record_is_an_error(get, tmp_path, text):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / module.CHECKSUMS).write_text(text)
    with pytest.raises(DataError, match=r"checksums\.json: cannot be read"):
        get()


SCRIPT = """
import sys
import tarfile
from pathlib import Path
from rehear.download import download, obtain
url, folder = sys.argv[1:]
download(url, Path(folder, "raw/a.tar.gz"), downloads=Path(folder, "parts"))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_download_goes_on(get, server, tmp_path, how):
    page = server.pages["/a.tar.gz"]
    page.cut_after, page.cuts, page.hold = 2_500_000, 1, threading.Event()
    command = [sys.executable, "-c", SCRIPT, server.url + "/a.tar.gz", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert server.reached.wait(30)
        deadline = time.monotonic() + 30
        while kept(tmp_path) < 1 << 20 and time.monotonic() < deadline:
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


@pytest.mark.parametrize("status", [201, 203, 205, 226])
def test_answer_that_is_neither_error_nor_file_is_refused(get, server, status):
    server.pages["/a.tar.gz"] = Page(BODY, status=status)
    with pytest.raises(DataError, match=f"the server answers {status} .*expected 200"):
        get()


def test_no_content_is_refused(get, server):
    server.pages["/a.csv"] = Page(b"a,b\n", statuses=[204])
    with pytest.raises(DataError, match="the server answers 204 No Content"):
        get("/a.csv")


def test_accepted_is_asked_again(get, server):
    server.pages["/a.csv"] = Page(b"a,b\n", statuses=[202, 202])
    assert get("/a.csv").read_bytes() == b"a,b\n"
    assert len(server.asked) == 3


def test_accepted_for_ever_is_an_error(get, server):
    server.pages["/a.csv"] = Page(b"a,b\n", statuses=[202] * 60)
    with pytest.raises(DataError, match=r"cannot be fetched \(202 Accepted, so not"):
        get("/a.csv")


def test_empty_file_is_refused_unless_it_is_published_as_such(get, server, tmp_path):
    server.pages["/a.csv"] = Page(b"")
    with pytest.raises(DataError, match=r"the file is empty \(0 bytes\)"):
        get("/a.csv")
    assert not list((tmp_path / "parts").glob("*.done"))
    assert get("/a.csv", size=0).read_bytes() == b""


def archive(kind):
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as out:
            out.writestr("a.wav", BODY)
    else:
        with tarfile.open(fileobj=stream, mode="w") as out:
            entry = tarfile.TarInfo("a.wav")
            entry.size = len(BODY)
            out.addfile(entry, io.BytesIO(BODY))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("lost", [100_000, 2_000_000])
def test_archive_of_unknown_length_that_is_cut_is_refused(
    get, server, tmp_path, kind, lost
):
    whole = archive(kind)
    page = server.pages[f"/x.{kind}"] = Page(whole, endless=True)
    page.cut_after, page.cuts = len(whole) - lost, 1
    with pytest.raises(DataError, match=rf"/x\.{kind}: cut short, or damaged: "):
        get(f"/x.{kind}")
    assert not (tmp_path / "parts" / module.CHECKSUMS).exists()
    assert get(f"/x.{kind}").read_bytes() == whole
