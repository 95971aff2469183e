"""``rehear fetch`` when a download fails: one line, no success, nothing half-done."""

import gzip
import io
import os
import subprocess
import sys
import tarfile

import pytest

from loopback import Page, serve

resource = pytest.importorskip("resource", reason="limits the size of files")
NAME = "/fsdd-26eb9aa.tar.gz"


def packed(count=3):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for number in range(count):
            entry = tarfile.TarInfo(f"fsdd/recordings/{number}_theo_0.wav")
            entry.size = 2_000_000
            tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return gzip.compress(stream.getvalue(), compresslevel=0)


@pytest.fixture
def server():
    with serve() as loopback:
        loopback.pages[NAME] = Page(packed())
        yield loopback


@pytest.fixture
def rehear_fetch(tmp_path, server):
    def run(mirror=None, version="26eb9aa", limit=resource.RLIM_INFINITY):
        mirror = server.url if mirror is None else mirror
        (tmp_path / "params.yaml").write_text(
            f"dataset: {{name: fsdd, mirror: '{mirror}', version: '{version}'}}"
        )
        return subprocess.run(
            [sys.executable, "-m", "rehear", "fetch"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (limit, limit)
            ),
        )

    return run


def check(done, tmp_path, said):
    assert done.returncode == 1
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if "rehear:" in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in done.stderr
    for name in ("raw", "manifest.csv", "card.json"):
        assert not (tmp_path / "data" / name).exists()


PAGES = {
    "404 Not Found": None,
    "not a .gz file (a web page)": Page(b"<html>", content_type="text/html"),
    "not a .gz file (it begins b'PK": Page(b"PK\x03\x04"),
    "the gzip file is damaged": Page(packed(1)[:-100]),
    "holds 3 recordings, expected 3000": Page(packed()),
    "archive is damaged": Page(gzip.compress(b"no tar" * 999)),
}


@pytest.mark.parametrize("said", PAGES)
def test_what_comes_is_no_archive(rehear_fetch, server, tmp_path, said):
    if PAGES[said] is None:
        server.pages.clear()
    else:
        server.pages[NAME] = PAGES[said]
    check(rehear_fetch(), tmp_path, said)


def test_another_file_than_the_published_one(rehear_fetch, server, tmp_path):
    server.pages["/fsdd-1.0.9.tar.gz"] = Page(packed())
    check(rehear_fetch(version="1.0.9"), tmp_path, "bytes, expected 11,975,353")
    server.pages["/fsdd-1.0.9.tar.gz"] = Page(b"\x1f\x8b" + bytes(11975351))
    check(rehear_fetch(version="1.0.9"), tmp_path, "expected 8bc44cde129d505c")


@pytest.mark.parametrize("mirror", ["/mnt/archives", "ftp://a", "archives"])
def test_mirror_that_is_no_address(rehear_fetch, tmp_path, mirror):
    said = f"rehear: {mirror}{NAME}: cannot be fetched; expected http, https or file"
    check(rehear_fetch(mirror), tmp_path, said)


def test_mirror_without_the_file(rehear_fetch, tmp_path):
    said = "cannot be fetched ([Errno 2] No such file or directory"
    check(rehear_fetch(tmp_path.as_uri()), tmp_path, said)


def test_file_that_may_not_grow(rehear_fetch, server, tmp_path):
    """As on a full disk, where the system refuses to write more."""
    done = rehear_fetch(limit=3_000_000)
    check(done, tmp_path, "downloads: cannot be written (File too large); make room")
    (part,) = (tmp_path / ".rehear" / "downloads").glob("*.part")
    assert part.stat().st_size == 3_000_000
    check(rehear_fetch(), tmp_path, "holds 3 recordings")
    assert server.sent()[-1] == len(server.pages[NAME].body) - 3_000_000


def test_damaged_checksums(rehear_fetch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "checksums.json").write_text("{")
    check(rehear_fetch(), tmp_path, "checksums.json: cannot be read")
