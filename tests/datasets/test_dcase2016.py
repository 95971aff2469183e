import json
import logging
from collections import Counter

import pytest

from packing import lines, noise, pack, unpinned
from rehear import manifest, splits
from rehear.catalogue import Catalogue
from rehear.datasets import dcase2016
from rehear.datasets.dcase2016 import AcousticScenes2016
from rehear.errors import DataError, ParamsError
from rehear.params import Params, Part
from rehear.stages import fetch as stage

DEVELOPMENT = "TUT-acoustic-scenes-2016-development"
EVALUATION = "TUT-acoustic-scenes-2016-evaluation"
SCENES = ("bus", "cafe/restaurant", "home")
# Original recordings of each fold: one of each scene; all have three segments.
RECORDINGS = {
    "1": ("a112", "a083", "b032"),
    "2": ("a104", "a052", "a036"),
    "3": ("b111", "a126", "a034"),
    "4": ("b109", "a130", "b030"),
}
HELD_OUT = ("b105", "a081", "b028")
SEGMENTS = ("0_30", "30_60", "150_180")


def named(recordings):
    return {
        f"{recording}_{segment}": scene
        for recording, scene in zip(recordings, SCENES, strict=True)
        for segment in SEGMENTS
    }


FOLDS = {fold: named(recordings) for fold, recordings in RECORDINGS.items()}
CLIPS = {name: scene for clips in FOLDS.values() for name, scene in clips.items()}
TEST = named(HELD_OUT)


def setup(folds=FOLDS):
    """Return the lists of meta.zip."""
    files = {"meta.txt": lines(*((f"audio/{n}.wav", s) for n, s in CLIPS.items()))}
    for fold, own in folds.items():
        others = {n: s for f, c in folds.items() if f != fold for n, s in c.items()}
        for kind, clips in (("train", others), ("evaluate", own)):
            rows = ((f"audio/{name}.wav", scene) for name, scene in clips.items())
            files[f"evaluation_setup/fold{fold}_{kind}.txt"] = lines(*rows)
        rows = ([f"audio/{name}.wav"] for name in own)
        files[f"evaluation_setup/fold{fold}_test.txt"] = lines(*rows)
    return {f"{DEVELOPMENT}/{name}": text for name, text in files.items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Serve small archives in the layout of Zenodo."""
    folder = tmp_path_factory.mktemp("zenodo")
    pack(folder / f"{DEVELOPMENT}.meta.zip", setup())
    errors = lines(
        ("audio/a112_0_30.wav", 11.2, 11.9, "radio interference"),
        ("audio/a112_0_30.wav", 20.0, 20.5, "radio interference"),
        ("audio/a034_30_60.wav", 0.0, 1.5, "microphone failure"),
    )
    pack(folder / f"{DEVELOPMENT}.error.zip", {f"{DEVELOPMENT}/error.txt": errors})
    audio = {
        f"{DEVELOPMENT}/audio/{name}.wav": noise(number)
        for number, name in enumerate(CLIPS)
    }
    for number in range(8):
        part = dict(list(audio.items())[number::8])
        pack(folder / f"{DEVELOPMENT}.audio.{number + 1}.zip", part)
    rows = [
        (f"audio/{number}.wav", scene, f"audio/{name}.wav")
        for number, (name, scene) in enumerate(TEST.items(), start=1)
    ]
    texts = {
        "evaluation_setup/evaluate.txt": lines(*rows),
        "evaluation_setup/test.txt": lines(*([row[0]] for row in rows)),
        "meta.txt": lines(*(row[:2] for row in rows)),
    }
    pack(
        folder / f"{EVALUATION}.meta.zip",
        {f"{EVALUATION}/{name}": text for name, text in texts.items()},
    )
    audio = {f"{EVALUATION}/{row[0]}": noise(100 + n) for n, row in enumerate(rows)}
    for number in range(3):
        part = dict(list(audio.items())[number::3])
        pack(folder / f"{EVALUATION}.audio.{number + 1}.zip", part)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name in ("META", "ERRORS", "TEST_META"):
        (free,) = unpinned([getattr(dcase2016, name)])
        monkeypatch.setattr(dcase2016, name, free)
    for name in ("AUDIO", "TEST_AUDIO"):
        monkeypatch.setattr(dcase2016, name, unpinned(getattr(dcase2016, name)))


@pytest.fixture
def fetch(published, tmp_path):
    def run(mirror=published, **arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = AcousticScenes2016(mirror=mirror.as_uri(), **arguments)
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


@pytest.mark.parametrize("fold", [1, 3])
def test_lists_of_a_fold_and_the_evaluation_set_are_the_splits(fetch, fold):
    clips = {clip.clip: clip for clip in fetch(fold=fold)}
    assert set(clips) == set(CLIPS) | set(TEST)
    for name, scene in {**CLIPS, **TEST}.items():
        assert clips[name].labels == (scene,)
        assert clips[name].group == name.split("_")[0]
    in_split = {
        split: {name for name, clip in clips.items() if clip.split == split}
        for split in ("train", "dev", "test")
    }
    assert in_split["dev"] == set(FOLDS[str(fold)])
    assert in_split["test"] == set(TEST)
    assert in_split["train"] == set(CLIPS) - set(FOLDS[str(fold)])


def test_fold_is_the_one_that_evaluates_a_clip(fetch):
    found = fetch()
    assert {c.clip: c.fold for c in found if c.fold} == {
        name: fold for fold, clips in FOLDS.items() for name in clips
    }
    run = splits.for_fold(found, "2", dev=0, seed=0)
    assert {c.clip for c in run if c.split == "test"} == set(FOLDS["2"])
    assert {c.clip for c in run} == set(CLIPS)


def test_recordings_of_the_evaluation_set_have_their_original_names(fetch):
    (clip,) = (clip for clip in fetch() if clip.clip == "b105_30_60")
    assert clip.file == f"{EVALUATION}.audio.2.zip::{EVALUATION}/audio/2.wav"
    assert clip.labels == ("bus",)


def test_clips_with_annotated_errors_stay_unless_they_are_to_go(fetch, caplog):
    every = {clip.clip: clip.split for clip in fetch()}
    with caplog.at_level(logging.INFO):
        kept = {clip.clip: clip.split for clip in fetch(drop_errors=True)}
    assert set(every) - set(kept) == {"a112_0_30", "a034_30_60"}
    assert {name: every[name] for name in kept} == kept
    assert "2 of 36 development clips have annotated errors" in caplog.text


def changed(published, tmp_path, name, files):
    """Return a copy of what is published in which one archive is another."""
    folder = tmp_path / "changed"
    folder.mkdir()
    for path in published.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / name).unlink()
    pack(folder / name, files)
    return folder


def test_recording_that_no_archive_has_is_named(fetch, published, tmp_path):
    name = f"{DEVELOPMENT}.audio.1.zip"
    mirror = changed(published, tmp_path, name, {"README.md": b""})
    with pytest.raises(
        DataError, match=r"fold1_evaluate\.txt row 1: 'a112_0_30\.wav' is in none"
    ):
        fetch(mirror)


def test_recording_in_two_folds_is_refused(fetch, published, tmp_path):
    twice = {**FOLDS, "2": {**FOLDS["2"], "a112_0_30": "bus"}}
    mirror = changed(published, tmp_path, f"{DEVELOPMENT}.meta.zip", setup(twice))
    with pytest.raises(DataError, match="'a112_0_30' is evaluated in fold 1 already"):
        fetch(mirror)


def test_missing_list_is_named(fetch, published, tmp_path):
    files = {n: t for n, t in setup().items() if "fold4_evaluate" not in n}
    mirror = changed(published, tmp_path, f"{DEVELOPMENT}.meta.zip", files)
    with pytest.raises(DataError, match=r"holds no files called .*fold4_evaluate\.txt"):
        fetch(mirror)


def test_clip_that_the_fold_lists_nowhere_is_left_out(fetch, published, tmp_path):
    files = setup()
    name = f"{DEVELOPMENT}/evaluation_setup/fold1_train.txt"
    files[name] = "".join(
        line for line in files[name].splitlines(keepends=True) if "a052" not in line
    )
    mirror = changed(published, tmp_path, f"{DEVELOPMENT}.meta.zip", files)
    assert not any(clip.group == "a052" for clip in fetch(mirror))


def test_unknown_fold_is_refused():
    with pytest.raises(ParamsError, match=r"dataset\.fold: unknown '5'.*1, 2, 3, 4"):
        AcousticScenes2016(fold=5)


def test_other_archives_than_the_published_ones_are_refused(
    fetch, published, monkeypatch
):
    monkeypatch.undo()
    with pytest.raises(DataError, match="28,815"):
        fetch()


def test_published_files_are_pinned(monkeypatch):
    monkeypatch.undo()
    listed = [
        *(dcase2016.META, dcase2016.ERRORS, *dcase2016.AUDIO),
        *(dcase2016.TEST_META, *dcase2016.TEST_AUDIO),
    ]
    assert len({remote.md5 for remote in listed}) == len(listed) == 14
    assert all(len(remote.md5) == 32 for remote in listed)
    # Without the documentation, which are 69,671 and 69,217 bytes.
    assert sum(remote.size for remote in listed) == 10_699_285_448 - 138_888


def test_stage_accepts_the_official_split(published, served, tmp_path, monkeypatch):
    parts = Catalogue("data set", {})
    parts.add("dcase2016", AcousticScenes2016)
    monkeypatch.setattr(stage, "DATASETS", parts)
    part = Part(name="dcase2016", fold=4, mirror=served(published))
    stage.run(Params(dataset=part), tmp_path)
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert (card["leak_count"], card["clips"]) == (0, 45)
    assert card["folds"] == {"1": 9, "2": 9, "3": 9, "4": 9}
    found = manifest.read(tmp_path / "data" / "manifest.csv")
    assert Counter(clip.split for clip in found) == {"train": 27, "dev": 9, "test": 9}
    assert all(clip.duration == 0.6 for clip in found)
