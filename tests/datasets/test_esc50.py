import hashlib
import subprocess
import wave
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from loopback import Page, serve
from rehear import audio, download, manifest
from rehear.catalogue import Catalogue
from rehear.datasets import esc50
from rehear.datasets.esc50 import ESC50
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

# As the README lists them, ten for each major category.
MAJOR = {
    "Animals": [
        *("dog", "rooster", "pig", "cow", "frog"),
        *("cat", "hen", "insects", "sheep", "crow"),
    ],
    "Natural soundscapes & water sounds": [
        *("rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds"),
        *("water_drops", "wind", "pouring_water", "toilet_flush", "thunderstorm"),
    ],
    "Human, non-speech sounds": [
        *("crying_baby", "sneezing", "clapping", "breathing", "coughing"),
        *("footsteps", "laughing", "brushing_teeth", "snoring", "drinking_sipping"),
    ],
    "Interior/domestic sounds": [
        *(
            "door_wood_knock",
            "mouse_click",
            "keyboard_typing",
            "door_wood_creaks",
            "can_opening",
        ),
        *(
            "washing_machine",
            "vacuum_cleaner",
            "clock_alarm",
            "clock_tick",
            "glass_breaking",
        ),
    ],
    "Exterior/urban noises": [
        *("helicopter", "chainsaw", "siren", "car_horn", "engine"),
        *("train", "church_bells", "airplane", "fireworks", "hand_saw"),
    ],
}
CATEGORIES = [category for categories in MAJOR.values() for category in categories]
ESC10 = (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)
# Recordings that are in two folds: fold and target of each clip.
SHARED = {
    "131943": [(2, 38), (3, 37)],
    "134049": [(2, 6), (3, 1)],
    "209698": [(4, 37), (5, 38)],
    "234879": [(4, 6), (5, 1), (5, 1)],
}
HEADER = "filename,fold,target,category,esc10,src_file,take"


def listed():
    """Yield fold, target, source and take of 2,000 clips, 8 for each fold and class."""
    free = {(fold, target): 8 for fold in range(1, 6) for target in range(50)}
    for source, places in SHARED.items():
        for (fold, target), take in zip(places, "AAB", strict=False):
            free[fold, target] -= 1
            yield fold, target, source, take
    for (fold, target), left in free.items():
        for number in range(left):
            # Two takes of every recording, but of the last one.
            source = f"{fold}{target:02d}{number // 2}"
            yield fold, target, source, "AB"[number % 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The repository as its server packs it, with 20 ms of noise in each file."""
    root = tmp_path_factory.mktemp("esc") / "ESC-50-master"
    for name in ("audio", "meta"):
        (root / name).mkdir(parents=True)
    lines = [HEADER]
    noise = np.random.default_rng(0)
    for fold, target, source, take in sorted(listed()):
        name = f"{fold}-{source}-{take}-{target}.wav"
        lines.append(
            f"{name},{fold},{target},{CATEGORIES[target]},{target in ESC10},{source},"
            f"{take}"
        )
        with wave.open(str(root / "audio" / name), "wb") as stream:
            stream.setparams((1, 2, 44100, 882, "NONE", ""))
            stream.writeframes(noise.bytes(2 * 882))
    (root / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    (root / "meta" / "esc50-human.xlsx").write_bytes(b"PK")
    (root / "README.md").write_text("# ESC-50")
    return root


def pack(folder, path, *, without=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{folder.name}/", b"")
        for file in sorted(folder.rglob("*.*")):
            if file.name != without:
                archive.write(file, file.relative_to(folder.parent).as_posix())
    return path.read_bytes()


@pytest.fixture(scope="module")
def server(folder):
    with serve() as loopback:
        body = pack(folder, folder.parent / "ESC-50-master.zip")
        loopback.pages["/ESC-50-master.zip"] = Page(body)
        yield loopback


@pytest.fixture
def known(folder, monkeypatch):
    """Pin what is served instead of what is published."""
    command = "LC_ALL=C md5sum *.wav | sha256sum"
    shell = subprocess.run(
        command, shell=True, cwd=folder / "audio", capture_output=True, check=True
    )
    monkeypatch.setattr(esc50, "CONTENTS", shell.stdout.decode().split()[0])
    table = (folder / "meta" / "esc50.csv").read_bytes()
    monkeypatch.setattr(esc50, "TABLE", hashlib.md5(table).hexdigest())
    monkeypatch.setattr(download, "PAUSES", ())


@pytest.fixture
def fetch(server, tmp_path):
    def run(*, path="", **arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = ESC50(mirror=server.url + path, **arguments)
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


def test_every_recording_is_a_clip(fetch, known, tmp_path):
    found = fetch()
    assert Counter(clip.labels[0] for clip in found) == dict.fromkeys(CATEGORIES, 40)
    assert Counter(clip.fold for clip in found) == dict.fromkeys(ESC50.folds, 400)
    assert {clip.split for clip in found} == {""}
    assert found.attributes == ("major_category",)
    clip = next(clip for clip in found if clip.clip == "5-234879-B-1")
    assert clip.file == "ESC-50-master.zip::ESC-50-master/audio/5-234879-B-1.wav"
    assert (clip.labels, clip.fold, clip.group) == (("rooster",), "5", "234879")
    waveform, rate = audio.read(tmp_path / "raw" / clip.file)
    assert (waveform.shape, rate) == ((1, 882), 44100)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["ESC-50-master.zip"]


def test_major_categories_are_those_of_the_readme(fetch, known):
    found = {(clip.attributes[0], clip.labels[0]) for clip in fetch()}
    assert found == {(major, name) for major, names in MAJOR.items() for name in names}


def test_esc10_is_the_column_of_that_name(fetch, known):
    found = fetch(subset="esc10")
    names = {CATEGORIES[target] for target in ESC10}
    assert Counter(clip.labels[0] for clip in found) == dict.fromkeys(names, 40)
    assert (ESC50(subset="esc10").title, ESC50().title) == ("ESC-10", "ESC-50")
    assert ESC50(subset="esc10").licence == "CC BY 3.0"
    assert ESC50().licence == "CC BY-NC 3.0"


def test_recordings_in_two_folds_can_be_left_out(fetch, known):
    every, parted = fetch(), fetch(disjoint=True)
    left = {clip.group for clip in every} - {clip.group for clip in parted}
    assert left == set(SHARED)
    assert len(every) - len(parted) == 9


def test_archive_of_the_commit_has_another_folder(fetch, known, folder, server):
    other = folder.rename(folder.with_name(f"ESC-50-{esc50.COMMIT}"))
    try:
        body = pack(other, other.parent / "other.zip")
    finally:
        other.rename(folder)
    server.pages["/commit/ESC-50-master.zip"] = Page(body)
    assert len(fetch(path="/commit")) == 2000


def test_other_recordings_than_published_are_refused(fetch):
    with pytest.raises(DataError, match=r"the MD5 .* expected 54a0d005.* report that"):
        fetch()


def test_changed_recording_is_refused(fetch, known, folder, server, monkeypatch):
    monkeypatch.setattr(esc50, "CONTENTS", "0" * 64)
    with pytest.raises(DataError, match="recordings have the digest .* expected 0000"):
        fetch()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1-1000-A-0.wav", "holds 1999 recordings, expected 2000; fetch"),
        ("esc50.csv", "holds 2000 recordings, expected 2000, and no meta/esc50.csv"),
    ],
)
def test_missing_file_is_told(fetch, known, folder, server, name, message):
    body = pack(folder, folder.parent / "fewer.zip", without=name)
    server.pages["/fewer/ESC-50-master.zip"] = Page(body)
    with pytest.raises(DataError, match=message):
        fetch(path="/fewer")


def test_unknown_subset_is_named():
    with pytest.raises(ParamsError, match="subset: unknown 'esc5'.*'esc50'"):
        ESC50(subset="esc5")


@pytest.mark.slow
def test_stage_refuses_the_recordings_in_two_folds(
    server, known, tmp_path, monkeypatch
):
    monkeypatch.setattr(stage, "DATASETS", Catalogue("data set", {}))
    stage.DATASETS.add("esc50", ESC50)
    part = Part(name="esc50", subset="esc50", mirror=server.url)
    values = Params(dataset=part, fetch=Fetch())
    with pytest.raises(DataError, match=r"group '131943' is in fold 2 .* and fold 3"):
        stage.run(values, tmp_path)
    part = Part(name="esc50", disjoint=True, mirror=server.url)
    stage.run(replace(values, dataset=part), tmp_path)
    clips = manifest.read(tmp_path / "data" / "manifest.csv").clips
    assert len(clips) == 1991
    assert {clip.fold for clip in clips} == set(ESC50.folds)
