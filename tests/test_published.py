import hashlib

import pytest

from rehear import published
from rehear.errors import DataError
from rehear.published import Known, Remote, known, record, recorded, verify

DATA = b"recordings" * 1000
MD5, SHA = hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()
FOUND = Known(len(DATA), None, SHA)
URL = "https://example.org/a.zip"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / published.CHECKSUMS
    record(path, URL, FOUND)
    return path


def test_what_was_recorded_fills_what_nobody_published(table):
    wanted = known(Remote("a.zip", URL, md5=MD5), table)
    assert (wanted.size, wanted.md5, wanted.sha256) == (len(DATA), MD5, SHA)


def test_what_is_published_stands_above_what_was_recorded(table):
    wanted = known(Remote("a.zip", URL, sha256="0" * 64), table)
    assert (wanted.size, wanted.sha256, wanted.source) == (None, "0" * 64, "published")


def test_where_bytes_change_the_last_that_were_seen_count(table):
    remote = Remote("a.zip", URL, size=1, md5="1", sha256="0" * 64, stable=False)
    wanted = known(remote, table)
    assert (wanted.size, wanted.md5, wanted.sha256) == (len(DATA), None, SHA)


def test_other_addresses_do_not_matter(table):
    wanted = known(Remote("a.zip", URL + "x"), table)
    assert (wanted.size, wanted.md5, wanted.sha256) == (None, None, None)


def test_record_is_kept_sorted_and_written_only_on_a_change(table):
    record(table, "a:first", FOUND)
    assert [*recorded(table)] == ["a:first", URL]
    before = table.stat().st_mtime_ns, table.stat().st_ino
    record(table, URL, FOUND)
    assert (table.stat().st_mtime_ns, table.stat().st_ino) == before


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(
    "expected",
    [
        Known(None, None, None),
        Known(len(DATA), MD5, SHA),
        Known(len(DATA), MD5.upper(), SHA.upper()),
    ],
)
def test_right_file_is_measured(file, expected):
    found = verify(file, expected, url=URL)
    assert (found.size, found.sha256) == (len(DATA), SHA)
    assert file.exists()


WRONG = [
    (Known(7, MD5, SHA), "got 10,000 bytes, expected 7 as published"),
    (Known(None, "0" * 32, SHA), f"got MD5 {MD5}, expected {'0' * 32} as published"),
    (
        Known(None, None, "0" * 64, source="recorded in checksums.json"),
        f"got SHA-256 {SHA}, expected {'0' * 64} as recorded in checksums.json",
    ),
]


@pytest.mark.parametrize(("expected", "said"), WRONG)
def test_wrong_file_is_removed(file, expected, said):
    with pytest.raises(DataError, match=f"{URL}: {said}; the file was removed"):
        verify(file, expected, url=URL)
    assert not file.exists()


@pytest.mark.parametrize(("expected", "said"), WRONG)
def test_file_that_is_not_stable_is_only_reported(file, expected, said, caplog):
    other = Known(expected.size, expected.md5, expected.sha256, False, expected.source)
    assert verify(file, other, url=URL).sha256 == SHA
    (message,) = caplog.messages
    assert said in message
    assert "\n" not in message
    assert file.exists()
