import gzip
import io
import tarfile
import zipfile

import pytest

from rehear import kinds
from rehear.errors import DataError

URL = "https://example.org/x"
PAGES = [
    b"<!DOCTYPE html><html>",
    b"\n  <html lang='en'>",
    b"\xef\xbb\xbf<!doctype html>",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
]


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def v7():
    """Return a tar archive of the oldest kind, which has no magic number."""
    data = bytearray(tar())
    data[257:500] = bytes(243)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def zipped(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar", tar()),
        ("v7.tar", v7()),
        ("a.tar.gz", gzip.compress(tar())),
        ("A.ZIP", zipped(a=b"1")),
        ("empty.zip", zipped()),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt "),
        ("a.csv", b"a,b\n"),
        ("a.csv", b""),
        ("page.html", PAGES[0]),
        ("a.xml", PAGES[3]),
        ("noending", b"\0"),
    ],
    ids=range(11),
)
def test_what_a_name_says_passes(name, data):
    kinds.check(URL, name, data[: kinds.HEAD])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.csv", "a.wav", "a.pth"])
def test_pages_do_not(name, page):
    with pytest.raises(DataError, match=r"x: not a \.\w+ file \(a web page\)"):
        kinds.check(URL, name, page)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.flac"])
@pytest.mark.parametrize("data", [b"", b'{"message": "rate limit"}', b"\0" * 512])
def test_other_kinds_do_not(name, data):
    with pytest.raises(DataError, match=r"it begins b'"):
        kinds.check(URL, name, data)


@pytest.mark.parametrize("data", [b'{"message": "gone"}', b' [{"a": 1}]', b"[]"])
def test_answers_of_programs_are_no_tables(data):
    with pytest.raises(DataError, match=r"x: not a \.csv file \(it begins b'"):
        kinds.check(URL, "a.csv", data)
    kinds.check(URL, "a.json", data)


def test_type_of_a_page_is_enough_for_archives():
    with pytest.raises(DataError, match="a web page"):
        kinds.check_type(URL, "a.zip", "text/html; charset=utf-8")
    kinds.check_type(URL, "a.zip", "application/zip")
    kinds.check_type(URL, "a.csv", "text/html")
