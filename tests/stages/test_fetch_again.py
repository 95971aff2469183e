"""``fetch`` after a file of nobody's checksum did not hold what it should.

The layout is that of EmoDB, with noise in place of the recordings.
"""

import hashlib
import io
import json
import threading
import zipfile

import pytest

from emotions import noise, packed, published
from loopback import Page, serve
from rehear import download, paths
from rehear.catalogue import Catalogue
from rehear.errors import DataError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch

WHOLE = {f"wav/{name}.wav": noise(n) for n, name in enumerate(published())}
FEWER = dict([*WHOLE.items()][:-1])
RIGHT, WRONG = packed(WHOLE), packed(FEWER)
NAME = "/download.zip"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))
    table = {"emodb": "rehear.datasets.emodb:EmoDB"}
    monkeypatch.setattr(fetch, "DATASETS", Catalogue("data set", table))
    with serve() as loopback:
        yield loopback


@pytest.fixture
def run(server, tmp_path):
    def run(mirror=""):
        part = Part(name="emodb", mirror=server.url + mirror, emotions=["sadness"])
        fetch.run(Params(dataset=part), tmp_path)
        return json.loads((tmp_path / paths.CARD).read_text())

    return run


def refused(run, said, mirror=""):
    with pytest.raises(DataError, match=said):
        run(mirror)


def test_archive_that_its_server_mends_is_fetched_anew(run, server, tmp_path):
    server.pages[NAME] = Page(WRONG)
    refused(run, "holds other recordings")
    assert not (tmp_path / paths.CHECKSUMS).exists()
    server.pages[NAME] = Page(RIGHT, etag='"v2"')
    assert run()["clips"] == 62
    assert [*json.loads((tmp_path / paths.CHECKSUMS).read_text())]


def damaged():
    """Return the right archive, but with other bytes in one of its members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for name, data in WHOLE.items():
            out.writestr(name, data)
    name = next(name for name in WHOLE if name[-6] == "T")
    sound = WHOLE[name][1000:1400]
    assert stream.getvalue().count(sound) == 1
    return name, stream.getvalue().replace(sound, bytes(400))


def test_archive_with_a_damaged_member_is_fetched_anew(run, server, tmp_path):
    name, body = damaged()
    server.pages[NAME] = Page(body)
    for _ in range(2):
        refused(run, rf"1 of 62 clips cannot be used .*{name}.*CRC")
        assert not (tmp_path / paths.CHECKSUMS).exists()
    server.pages[NAME] = Page(RIGHT, etag='"v2"')
    assert run()["clips"] == 62
    (entry,) = json.loads((tmp_path / paths.CHECKSUMS).read_text()).values()
    assert entry["sha256"] == hashlib.sha256(RIGHT).hexdigest()
    assert server.sent() == [len(body), 0, len(RIGHT)]


def test_damaged_member_that_is_left_out_does_not_matter(server, tmp_path):
    _, body = damaged()
    server.pages[NAME] = Page(body)
    part = Part(name="emodb", mirror=server.url, emotions=["sadness"])
    fetch.run(Params(dataset=part, fetch=Fetch(on_error="skip")), tmp_path)
    (entry,) = json.loads((tmp_path / paths.CHECKSUMS).read_text()).values()
    assert entry["sha256"] == hashlib.sha256(body).hexdigest()


def test_leak_says_nothing_against_the_archive(run, server, tmp_path):
    names = [name for name in WHOLE if name[-6] == "T"]
    first, last = names[0], names[-1]
    server.pages[NAME] = Page(packed({**WHOLE, last: WHOLE[first]}))
    for _ in range(2):
        refused(run, "the splits leak")
    assert [path for path, _, _ in server.asked] == [NAME]
    assert [*json.loads((tmp_path / paths.CHECKSUMS).read_text())]


def test_server_that_stalls_is_asked_for_the_rest(run, server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    page = server.pages[NAME] = Page(RIGHT)
    page.cut_after, page.cuts, page.hold = len(RIGHT) // 2, 1, threading.Event()
    assert run()["clips"] == 62
    assert server.asked[-1][1] == f"bytes={len(RIGHT) // 2}-"
    page.hold.set()


def test_server_that_says_nothing_leaves_nothing_behind(
    run, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    page = server.pages[NAME] = Page(RIGHT, silent=threading.Event())
    refused(run, "timed out")
    page.silent.set()
    assert not (tmp_path / paths.RAW).exists()
    assert not (tmp_path / paths.MANIFEST).exists()


def test_link_in_an_archive_is_not_followed(run, server, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for name, data in FEWER.items():
            out.writestr(name, data)
        link = zipfile.ZipInfo(next(name for name in WHOLE if name not in FEWER))
        link.create_system, link.external_attr = 3, 0o120777 << 16
        out.writestr(link, "/etc/passwd")
    server.pages[NAME] = Page(stream.getvalue())
    refused(run, "holds other recordings")
    assert not (tmp_path / paths.MANIFEST).exists()


def test_archive_that_stays_as_it_is_is_not_sent_twice(run, server):
    server.pages[NAME] = Page(WRONG)
    for _ in range(3):
        refused(run, "holds other recordings")
    assert server.sent() == [len(WRONG), 0, 0]


def test_right_copy_on_another_mirror_is_taken(run, server):
    server.pages["/bad" + NAME], server.pages["/good" + NAME] = Page(WRONG), Page(RIGHT)
    refused(run, "holds other recordings", mirror="/bad")
    assert run("/good")["clips"] == 62


def test_checksum_that_git_has_still_stands(run, server, tmp_path):
    server.pages[NAME] = Page(RIGHT)
    run()
    before = (tmp_path / paths.CHECKSUMS).read_bytes()
    server.pages["/other" + NAME] = Page(WRONG)
    refused(run, r"expected .* as recorded in checksums\.json", mirror="/other")
    assert (tmp_path / paths.CHECKSUMS).read_bytes() == before
    assert run()["clips"] == 62
    assert [path for path, _, _ in server.asked] == [NAME, "/other" + NAME]


def test_server_that_is_busy_at_first_is_asked_again(run, server):
    server.pages[NAME] = Page(RIGHT, statuses=[503, 503])
    assert run()["clips"] == 62


def test_members_that_lead_outside_are_not_listed(run, server, tmp_path):
    server.pages[NAME] = Page(packed({**WHOLE, "../wav/03a01Ta.wav": noise(0)}))
    assert run()["clips"] == 62
    assert not (tmp_path / "data" / "wav").exists()


def test_bomb_in_the_archive_is_refused(run, server):
    name = next(name for name in WHOLE if name[-6] == "T")
    server.pages[NAME] = Page(packed({**WHOLE, name: bytes(70 << 20)}))
    refused(run, "refused as a compression bomb")
