import json
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from loopback import Page, serve
from rehear import audio, download, manifest, params
from rehear.catalogue import Catalogue
from rehear.datasets import DATASETS, fsdd
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest
from rehear.params import Fetch, Params, Part, Split
from rehear.stages import fetch

OWN = Part(name="csv")
REASON = "It is the protocol that others report"


def tone(path, number, seconds=0.05):
    time = np.arange(round(8000 * seconds)) / 8000
    audio.write(path, 0.5 * np.sin(2 * np.pi * (100 + 7 * number) * time)[None], 8000)


@pytest.fixture
def study(tmp_path):
    """A study with own recordings: 12 clips of 2 classes and 6 speakers."""
    own = tmp_path / "data" / "own"
    own.mkdir(parents=True)
    rows = ["path,label,group"]
    for number in range(12):
        tone(own / f"{number}.wav", number)
        rows.append(f"{number}.wav,{'ab'[number % 2]},s{number // 2}")
    (own / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def settings(**fields):
    return Params(dataset=OWN, fetch=Fetch(**fields))


def card_of(study):
    return json.loads((study / "data" / "card.json").read_text())


def clips_of(study):
    return manifest.read(study / "data" / "manifest.csv").clips


def written(study):
    return [
        (study / "data" / name).read_bytes() for name in ("manifest.csv", "card.json")
    ]


def test_own_recordings_stay_where_they_are(study):
    fetch.run(settings(), study)
    assert not (study / "data" / "raw").exists()
    for clip in clips_of(study):
        assert (study / clip.file).is_file()
        assert clip.file.startswith("data/own/")
        assert (clip.duration, clip.sample_rate) == (0.05, 8000)
    assert card_of(study)["clips"] == 12
    assert {c.split for c in clips_of(study)} == {"train", "dev", "test"}


def test_equal_bytes_whatever_the_number_of_processes(study):
    outputs = []
    for processes in (1, 2, 3):
        fetch.run(settings(), study, processes=processes)
        outputs.append(written(study))
    assert outputs[0] == outputs[1] == outputs[2]


def test_unreadable_recordings_are_named_together(study):
    own = study / "data" / "own"
    for number in range(11):
        (own / f"{number}.wav").write_bytes(b"")
    with pytest.raises(DataError, match="11 of 12 clips cannot be used") as caught:
        fetch.run(settings(), study)
    text = str(caught.value)
    assert "9.wav: the file is empty" in text
    assert "10.wav" not in text
    assert "and 1 more" in text
    assert "fetch.on_error: skip" in text
    assert "\n" not in text
    assert not (study / "data" / "manifest.csv").exists()


def test_unreadable_recordings_can_be_left_out(study):
    (study / "data" / "own" / "3.wav").write_bytes(b"RIFF")
    fetch.run(settings(on_error="skip"), study)
    assert len(clips_of(study)) == 11
    (skipped,) = card_of(study)["skipped"]
    assert skipped["clip"] == "3.wav"
    assert "3.wav" in skipped["reason"]


def test_nothing_left_is_an_error(study):
    for path in (study / "data" / "own").glob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no clip is left"):
        fetch.run(settings(on_error="skip"), study)


def with_split(study):
    """Give every speaker's clips two splits."""
    table = study / "data" / "own" / "labels.csv"
    header, *rows = table.read_text().splitlines()
    words = ["train", "test"] * 6
    rows = [f"{row},{word}" for row, word in zip(rows, words, strict=True)]
    table.write_text("\n".join([header + ",split", *rows]) + "\n")


def test_leaking_split_is_refused_without_a_reason(study):
    with_split(study)
    with pytest.raises(DataError, match=r"group 's0' is in .*fetch\.allow_leak"):
        fetch.run(settings(), study)
    assert not (study / "data" / "card.json").exists()


def test_leak_goes_on_the_card_with_its_reason(study):
    with_split(study)
    fetch.run(settings(allow_leak=REASON), study)
    card = card_of(study)
    assert card["allow_leak"] == REASON
    assert card["leak_count"] >= 6
    assert any("group 's0'" in text for text in card["leaks"])


@pytest.mark.parametrize("reason", ["yes", "true", "just because"])
def test_reason_must_say_something(study, reason):
    with pytest.raises(ParamsError, match="is no reason"):
        fetch.run(settings(allow_leak=reason), study)


def test_copies_under_two_labels_cannot_be_in_two_splits(study):
    own = study / "data" / "own"
    shutil.copy(own / "0.wav", own / "11.wav")
    text = (
        (own / "labels.csv").read_text().replace("path,label,group", "path,label,who")
    )
    (own / "labels.csv").write_text(text)
    fetch.run(settings(), study)
    splits = {clip.clip: clip.split for clip in clips_of(study)}
    assert splits["0.wav"] == splits["11.wav"]


def test_copy_in_another_format_is_a_leak(tmp_path, recordings):
    calls = recordings / "orca_codecs" / "audio"
    own = tmp_path / "data" / "own"
    own.mkdir(parents=True)
    rows = ["path,label,split"]
    for number, path in enumerate(sorted((calls / "flac").iterdir())[:9]):
        shutil.copy(path, own / path.name)
        rows.append(
            f"{path.name},{'ab'[number % 2]},{['train', 'dev', 'test'][number % 3]}"
        )
    copied = sorted((calls / "mp3").iterdir())[0]
    shutil.copy(copied, own / copied.name)
    table = own / "labels.csv"
    table.write_text("\n".join([*rows, f"{copied.name},a,test"]) + "\n")
    with pytest.raises(DataError, match=f"{copied.name}' \\(test\\) are copies of one"):
        fetch.run(settings(), tmp_path)
    # Without given splits, copies are drawn into the same one.
    lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines) + "\n")
    fetch.run(settings(), tmp_path)
    splits = {clip.clip: clip.split for clip in clips_of(tmp_path)}
    assert splits[copied.name] == splits[copied.stem + ".flac"]


def test_folds_are_drawn_where_they_are_asked_for(study):
    fetch.run(settings(split=Split(folds=3)), study)
    assert {clip.fold for clip in clips_of(study)} == {"1", "2", "3"}
    assert {clip.split for clip in clips_of(study)} == {""}
    assert card_of(study)["folds"] == {"1": 4, "2": 4, "3": 4}


def test_task_that_the_data_set_lacks_is_named(study):
    wrong = replace(settings(), dataset=Part(name="folder"), task=Part(name="tagging"))
    with pytest.raises(ParamsError, match="'folder' has no task 'tagging'"):
        fetch.run(wrong, study)


def test_embedded_data_set_is_written_to_raw(tmp_path):
    small = Part(name="embedded", clips_per_class=3, seconds=0.25, recorders=3)
    fetch.run(Params(dataset=small), tmp_path)
    assert all((tmp_path / clip.file).is_file() for clip in clips_of(tmp_path))
    assert clips_of(tmp_path)[0].file.startswith("data/raw/")
    assert not (tmp_path / "data" / "checksums.json").exists()


class Broken:
    """A study's own data set that makes a mistake."""

    title = citation = licence = url = ""
    tasks = ("classification",)
    needs_source = False

    def __init__(self, *, mistake=""):
        self.mistake = mistake

    def fetch(self, raw, *, task, source, downloads):
        tone(raw / "a.wav", 1)
        clip = Clip(clip="a", file="a.wav", labels=("x",))
        changed = {
            "id": [clip, clip],
            "none": [],
            "split": [replace(clip, split="training")],
            "fold": [replace(clip, fold="none")],
            "path": [replace(clip, fold="a/b")],
        }
        return Manifest(tuple(changed[self.mistake]))


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("id", "'a' occurs 2 times"),
        ("none", "has no clips"),
        ("split", "unknown split 'training'"),
        ("fold", "'none' cannot name a fold"),
        ("path", "'a/b' cannot name a fold"),
    ],
)
def test_mistakes_of_own_data_sets_are_named(tmp_path, monkeypatch, mistake, message):
    monkeypatch.setattr(fetch, "DATASETS", Catalogue("data set", {}))
    fetch.DATASETS.add("broken", Broken)
    with pytest.raises(DataError, match=message):
        fetch.run(Params(dataset=Part(name="broken", mistake=mistake)), tmp_path)
    assert not (tmp_path / "data" / "raw").exists()


class Fetched(Broken):
    """A data set without published checksum."""

    def __init__(self, *, url=""):
        self.address = url

    def fetch(self, raw, *, task, source, downloads):
        for name in "abc":
            url = f"{self.address}/{name}.wav"
            download.download(url, raw / f"{name}.wav", downloads=downloads)
        return Manifest(
            tuple(Clip(clip=n, file=f"{n}.wav", labels=("x",)) for n in "abc")
        )


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "DATASETS", Catalogue("data set", {}))
    fetch.DATASETS.add("fetched", Fetched)
    monkeypatch.setattr(download, "PAUSES", ())
    with serve() as loopback:
        for number, name in enumerate("abc"):
            tone(tmp_path / "tone.wav", number)
            body = (tmp_path / "tone.wav").read_bytes()
            loopback.pages[f"/{name}.wav"] = Page(body)
        yield loopback, Params(dataset=Part(name="fetched", url=loopback.url))


def test_unpublished_checksums_are_recorded_and_enforced(fetched, tmp_path):
    server, values = fetched
    fetch.run(values, tmp_path)
    table = json.loads((tmp_path / "data" / "checksums.json").read_text())
    assert sorted(table) == [f"{server.url}/{name}.wav" for name in "abc"]
    kept = tmp_path / ".rehear" / "downloads"
    assert {path.suffix for path in kept.iterdir()} == {".done", ".json"}
    asked = len(server.asked)
    fetch.run(values, tmp_path)
    assert len(server.asked) == asked, "kept downloads are fetched again"
    shutil.rmtree(kept)
    before = written(tmp_path)
    page = server.pages["/b.wav"]
    page.body = page.body[:-1] + b"\x01"
    with pytest.raises(
        DataError, match="expected " + table[f"{server.url}/b.wav"]["sha256"]
    ):
        fetch.run(values, tmp_path)
    assert (tmp_path / "data" / "raw" / "b.wav").exists()
    assert written(tmp_path) == before


def test_later_failure_does_not_fetch_again(fetched, tmp_path):
    server, values = fetched
    missing = server.pages.pop("/c.wav")
    with pytest.raises(DataError, match="404"):
        fetch.run(values, tmp_path)
    assert not (tmp_path / "data" / "raw").exists()
    server.pages["/c.wav"] = missing
    fetch.run(values, tmp_path)
    paths = [path for path, _, _ in server.asked]
    assert paths.count("/a.wav") == paths.count("/b.wav") == 1


SCRIPT = """
import sys
from pathlib import Path
from rehear import params
from rehear.stages import fetch
fetch.run(params.load(Path(sys.argv[1], "params.yaml")), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_fetch_goes_on(digits, tmp_path, how):
    page = digits.pages["/fsdd-26eb9aa.tar.gz"]
    digits.reached.clear()
    page.cut_after, page.cuts, page.hold = len(page.body) - 1, 1, threading.Event()
    (tmp_path / "params.yaml").write_text(
        f"dataset: {{name: fsdd, mirror: '{digits.url}'}}"
    )
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    parts = tmp_path / ".rehear" / "downloads"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert digits.reached.wait(60)
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size for p in parts.glob("*.part")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(how)
        assert process.wait(30) != 0
    page.hold.set()
    assert not (tmp_path / "data" / "raw").exists()
    assert not (tmp_path / "data" / "manifest.csv").exists()
    (part,) = parts.glob("*.part")
    have = part.stat().st_size
    fetch.run(of_digits(digits, "speaker"), tmp_path)
    assert digits.sent()[-1] == len(page.body) - have
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert {"card.json", "checksums.json", "manifest.csv", "raw"} <= names
    assert not any(name.startswith(".") for name in names)


@pytest.fixture(scope="module")
def digits(recordings, tmp_path_factory):
    """The published archive, served by this machine."""
    archive = tmp_path_factory.mktemp("fsdd") / "fsdd.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted((recordings / "fsdd" / "audio").glob("*.wav")):
            tar.add(path, f"free-spoken-digit-dataset/recordings/{path.name}")
    with serve() as loopback:
        loopback.pages["/fsdd-26eb9aa.tar.gz"] = Page(archive.read_bytes())
        yield loopback


def of_digits(server, split, **fields):
    part = Part(name="fsdd", mirror=server.url, split=split)
    return Params(dataset=part, fetch=Fetch(**fields))


def test_speaker_protocol_of_fsdd_runs(digits, tmp_path):
    fetch.run(of_digits(digits, "speaker"), tmp_path)
    card = card_of(tmp_path)
    assert (card["clips"], card["leaks"], card["skipped"]) == (3000, [], [])
    assert [card["splits"][s]["clips"] for s in ("train", "dev", "test")] == [
        *(1500, 500, 1000)
    ]
    assert card["sample_rates"] == {"8000": 3000}
    waveform, rate = audio.read(tmp_path / clips_of(tmp_path)[0].file)
    assert waveform.shape[1] / rate == clips_of(tmp_path)[0].duration


def test_official_protocol_of_fsdd_needs_a_reason(digits, tmp_path):
    with pytest.raises(DataError, match="group 'theo' is in"):
        fetch.run(of_digits(digits, "official"), tmp_path)
    assert not (tmp_path / "data" / "raw").exists()
    asked = len(digits.asked)
    fetch.run(of_digits(digits, "official", allow_leak=REASON), tmp_path)
    assert len(digits.asked) == asked
    card = card_of(tmp_path)
    assert card["leak_count"] == 6
    assert card["splits"]["test"]["clips"] == 300
    assert card["allow_leak"] == REASON


def test_fetch_loads_no_heavy_library():
    script = (
        "import sys, rehear.stages.fetch, rehear.datasets.fsdd, rehear.datasets.table;"
        "print([m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", script]
    shell = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shell.stdout.strip() == "[]"


def test_all_data_sets_say_what_they_are():
    for name in DATASETS.names():
        part = DATASETS.get(name)
        assert part.title
        assert part.tasks
        assert isinstance(part.needs_source, bool)
        assert part.__doc__
        assert DATASETS.build(name) is not None
    assert params.Params().dataset["name"] in DATASETS.names()
    assert fsdd.RELEASES["1.0.9"].sha256
