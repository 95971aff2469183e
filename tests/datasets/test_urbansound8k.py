import csv
import gzip
import hashlib
import io
import tarfile
import wave
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from loopback import Page, serve
from rehear import audio, download, manifest
from rehear.catalogue import Catalogue
from rehear.datasets import urbansound8k
from rehear.datasets.urbansound8k import UrbanSound8K
from rehear.errors import DataError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

NAME = "UrbanSound8K.tar.gz"
SHARED = {"77751", "106905", "132016", "176638", "180937"}


@pytest.fixture(scope="module")
def table(recordings):
    """The published table."""
    return (recordings / "metadata_fixtures" / "UrbanSound8K.csv").read_bytes()


@pytest.fixture(scope="module")
def rows(table):
    return list(csv.DictReader(io.StringIO(table.decode())))


def slices(rows):
    """Yield the members with audio, each with 10 ms of noise of its own."""
    noise = np.random.default_rng(0)
    for row in rows:
        stream = io.BytesIO()
        with wave.open(stream, "wb") as sound:
            sound.setparams((1, 2, 8000, 80, "NONE", ""))
            sound.writeframes(noise.bytes(2 * 80))
        yield f"audio/fold{row['fold']}/{row['slice_file_name']}", stream.getvalue()


def pack(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members:
            entry = tarfile.TarInfo(f"UrbanSound8K/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=0)


@pytest.fixture(scope="module")
def archive(table, rows):
    """All 8,732 slices, in the folders of the publisher."""
    others = [
        ("UrbanSound8K_README.txt", b"UrbanSound8K"),
        ("audio/.DS_Store", b"\0"),
        ("metadata/UrbanSound8K.csv", table),
    ]
    return pack([*others, *slices(rows)])


@pytest.fixture(scope="module")
def server(archive):
    with serve() as loopback:
        loopback.pages[f"/{NAME}"] = Page(archive)
        yield loopback


@pytest.fixture
def known(archive, monkeypatch):
    """Pin what is served instead of what is published."""
    pinned = replace(urbansound8k.ARCHIVE, md5=hashlib.md5(archive).hexdigest())
    monkeypatch.setattr(urbansound8k, "ARCHIVE", pinned)
    monkeypatch.setattr(download, "PAUSES", ())


@pytest.fixture
def fetch(server, tmp_path):
    def run(path="", **arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = UrbanSound8K(mirror=server.url + path, **arguments)
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


def test_every_slice_is_a_clip(fetch, known, rows, tmp_path):
    found = fetch()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["UrbanSound8K.tar"]
    words = {"1": "foreground", "2": "background"}
    assert found.attributes == ("salience",)
    for clip, row in zip(found, rows, strict=True):
        assert f"{clip.clip}.wav" == row["slice_file_name"]
        assert clip.file.endswith(f"/audio/fold{row['fold']}/{clip.clip}.wav")
        assert clip.labels == (row["class"],)
        assert (clip.fold, clip.split) == (row["fold"], "")
        assert clip.group == row["fsID"]
        assert clip.attributes == (words[row["salience"]],)
        # The times of the table are those of the recording on Freesound.
        assert clip.start is clip.end is None
    waveform, rate = audio.read(tmp_path / "raw" / found.clips[-1].file)
    assert (waveform.shape, rate) == ((1, 80), 8000)


def test_the_published_folds_share_five_recordings(rows):
    folds = {}
    for row in rows:
        folds.setdefault(row["fsID"], set()).add(row["fold"])
    assert {name for name, found in folds.items() if len(found) > 1} == SHARED
    assert len(folds) == 1297
    hours = sum(float(row["end"]) - float(row["start"]) for row in rows) / 3600
    assert UrbanSound8K.size == f"8,732 slices, {hours:.2f} h, about 6 GB"


def test_recordings_in_two_folds_can_be_left_out(fetch, known):
    every, parted = fetch(), fetch(disjoint=True)
    left = set(every) - set(parted)
    assert {clip.group for clip in left} == SHARED
    assert len(left) == 152
    assert {clip.fold for clip in parted} == set(UrbanSound8K.folds)


def test_warning_names_its_source():
    assert UrbanSound8K.folds == (*"123456789", "10")
    assert "urbansounddataset.weebly.com" in UrbanSound8K.folds_note


def test_another_archive_is_refused(fetch):
    with pytest.raises(DataError, match="MD5 .*expected 9aa69802bbf37fb986f71ec1483a"):
        fetch()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("slice", r"lists 8732 .* and lacks .*/fold5/100032-3-0-0\.wav \(1 in all\)"),
        ("row", "lists 8731 slices, expected 8732; fetch it"),
    ],
)
def test_incomplete_archive_is_told(
    fetch, server, table, rows, monkeypatch, change, message
):
    text, members = table, list(slices(rows))
    if change == "slice":
        members = members[1:]
    else:
        text = b"".join(table.splitlines(keepends=True)[:-1])
    body = pack([("metadata/UrbanSound8K.csv", text), *members])
    server.pages[f"/{change}/{NAME}"] = Page(body)
    pinned = replace(urbansound8k.ARCHIVE, md5=hashlib.md5(body).hexdigest())
    monkeypatch.setattr(urbansound8k, "ARCHIVE", pinned)
    with pytest.raises(DataError, match=message):
        fetch(f"/{change}")


@pytest.mark.slow
def test_stage_refuses_the_recordings_in_two_folds(
    server, known, tmp_path, monkeypatch
):
    monkeypatch.setattr(stage, "DATASETS", Catalogue("data set", {}))
    stage.DATASETS.add("urbansound8k", UrbanSound8K)
    part = Part(name="urbansound8k", mirror=server.url)
    values = Params(dataset=part, fetch=Fetch())
    with pytest.raises(DataError, match=r"group '106905' is in fold 1 .* fold 8"):
        stage.run(values, tmp_path)
    part = Part(name="urbansound8k", disjoint=True, mirror=server.url)
    stage.run(replace(values, dataset=part), tmp_path)
    clips = manifest.read(tmp_path / "data" / "manifest.csv").clips
    assert Counter(clip.fold for clip in clips).keys() == set(UrbanSound8K.folds)
    assert len(clips) == 8580
