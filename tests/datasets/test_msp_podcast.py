import json
import shutil
from collections import Counter

import pytest

from rehear import manifest
from rehear.catalogue import Catalogue
from rehear.datasets.msp_podcast import EMOTIONS, MspPodcast
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
# Split of each speaker.
SPEAKERS = {"30": "Train", "41": "Train", "7": "Development", "39": "Test1"}
REGRESSION = "regression"
EIGHT = (
    *("angry", "sad", "happy", "surprise"),
    *("fear", "disgust", "contempt", "neutral"),
)


def rows():
    """Return a turn of each emotion for every speaker, and some of Test2."""
    number = 0
    for speaker, split in [*SPEAKERS.items(), ("Unknown", "Train"), ("39", "Test2")]:
        for letter in EMOTIONS:
            number += 1
            name = f"MSP-PODCAST_{number:04}_0008.wav"
            gender = "Unknown" if speaker == "Unknown" else "Male"
            means = f"{1 + number / 10:.6f},{7 - number / 10:.6f},4.0"
            yield f"{name},{letter},{means},{speaker},{gender},{split}"


@pytest.fixture
def corpus(tmp_path, recordings):
    """A release in its own layout."""
    root = tmp_path / "data" / "own"
    (root / "Labels").mkdir(parents=True)
    (root / "Audios").mkdir()
    audio = sorted((recordings / "emodb4" / "audio").glob("*.wav"))
    lines = list(rows())
    for number, line in enumerate(lines):
        shutil.copy(audio[5 * number], root / "Audios" / line.partition(",")[0])
    table = "\n".join([HEADER, *lines]) + "\n"
    (root / "Labels" / "labels_consensus.csv").write_text(table)
    return root


def fetch(root, task="classification", **arguments):
    return MspPodcast(**arguments).fetch(root, task=task, source=root, downloads=root)


def test_eight_emotions_by_default(corpus):
    found = fetch(corpus)
    assert Counter(c.labels[0] for c in found) == dict.fromkeys(EIGHT, 5)
    assert found.attributes == ("gender",)
    assert found.targets == ()
    clip = found.clips[0]
    assert (clip.clip, clip.file) == (
        "MSP-PODCAST_0001_0008",
        "Audios/MSP-PODCAST_0001_0008.wav",
    )
    assert (clip.group, clip.attributes) == ("30", ("Male",))


@pytest.mark.parametrize("emotions", [list("AHNS"), ["neutral", "happy", "S", "angry"]])
def test_big_four_by_letter_or_name(corpus, emotions):
    labels = {c.labels[0] for c in fetch(corpus, emotions=emotions)}
    assert labels == {"angry", "happy", "neutral", "sad"}


def test_what_is_no_emotion_can_be_asked_for(corpus):
    labels = {c.labels[0] for c in fetch(corpus, emotions=[*EMOTIONS])}
    assert labels == set(EMOTIONS.values())


def test_splits_are_those_of_the_table(corpus):
    of = {c.clip: c.split for c in fetch(corpus, emotions=[*EMOTIONS])}
    words = {"Train": "train", "Development": "dev", "Test1": "test"}
    expected = {}
    for line in rows():
        name, *_, word = line.split(",")
        if word in words:
            expected[name.removesuffix(".wav")] = words[word]
    assert of == expected
    assert Counter(of.values()) == {"train": 30, "dev": 10, "test": 10}


def test_other_test_set_takes_the_place_of_the_first(corpus):
    tested = {c.clip for c in fetch(corpus, test="test2") if c.split == "test"}
    assert len(tested) == 8
    assert not tested & {c.clip for c in fetch(corpus)}


def test_unknown_speakers_have_no_group(corpus):
    found = fetch(corpus)
    assert {c.group for c in found} == {"", *SPEAKERS}
    assert {c.attributes for c in found if not c.group} == {("Unknown",)}


def test_regression_keeps_the_scale_and_all_turns(corpus):
    found = fetch(corpus, REGRESSION)
    assert found.targets == ("activation", "valence", "dominance")
    assert found.attributes == ("gender", "emotion")
    assert len(found) == 50
    clip = found.clips[9]
    assert (clip.labels, clip.targets) == ((), (2.0, 6.0, 4.0))
    assert clip.attributes == ("Male", "no agreement")


@pytest.mark.parametrize("targets", ["valence", ["valence"]])
def test_one_target(corpus, targets):
    found = fetch(corpus, REGRESSION, targets=targets)
    assert (found.targets, found.clips[0].targets) == (("valence",), (6.9,))


@pytest.mark.parametrize("audio", ["Audios", "Audio"])
@pytest.mark.parametrize(
    "table", ["Labels/labels_concensus.csv", "labels/labels_concensus.csv"]
)
def test_layouts_of_older_releases(corpus, table, audio):
    expected = {c.clip for c in fetch(corpus)}
    old = corpus / "Labels" / "labels_consensus.csv"
    text = old.read_text().replace("Development", "Validation")
    old.unlink()
    (corpus / table).parent.mkdir(exist_ok=True)
    (corpus / table).write_text(text)
    (corpus / "Audios").rename(corpus / audio)
    found = fetch(corpus)
    assert {c.clip for c in found} == expected
    assert {c.split for c in found} == {"train", "dev", "test"}
    assert found.clips[0].file.startswith(f"{audio}/")


def test_what_is_missing_and_whom_to_ask_is_said(tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(tmp_path)
    text = str(caught.value)
    assert "lacks Labels/labels_consensus.csv, the folder Audios;" in text
    assert "busso@utdallas.edu" in text
    assert MspPodcast.url in text
    assert "fetch.source" in text
    assert "\n" not in text


def test_recordings_elsewhere_are_missed(corpus):
    shutil.rmtree(corpus / "Audios")
    (corpus / "Audios").mkdir()
    with pytest.raises(DataError, match="lacks every recording of Labels/"):
        fetch(corpus)


def test_table_of_another_kind_is_refused(corpus):
    (corpus / "Labels" / "labels_consensus.csv").write_text("FileName,EmoClass\n")
    with pytest.raises(DataError, match=r"no column EmoAct, .*Split_Set; expected"):
        fetch(corpus)


WRONG = {
    "emotion": ("a.wav,Z,1,1,1,3,Male,Train", "row 62: unknown EmoClass 'Z'"),
    "split": ("a.wav,A,1,1,1,3,Male,Dev", "row 62: unknown Split_Set 'Dev'; expected"),
    "path": ("../a.wav,A,1,1,1,3,Male,Train", r"row 62: '\.\./a\.wav' is not the name"),
    "cells": ("a.wav,A,1,1,1,3,Male", "row 62: 7 cells"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_row(corpus, name):
    line, message = WRONG[name]
    with (corpus / "Labels" / "labels_consensus.csv").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=message):
        fetch(corpus)


def test_target_that_is_no_number_is_named(corpus):
    with (corpus / "Labels" / "labels_consensus.csv").open("a") as stream:
        stream.write("a.wav,A,1,,1,3,Male,Train\n")
    assert len(fetch(corpus)) == 41
    with pytest.raises(DataError, match="row 62: '' in column 'EmoVal'"):
        fetch(corpus, REGRESSION)
    assert len(fetch(corpus, REGRESSION, targets=["activation"])) == 51


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"emotions": ["Z"]}, "unknown 'Z'"),
        ({"targets": ["valense"]}, "mean 'valence'"),
        ({"test": "test4"}, r"unknown 'test4'.*Known: test1, test2"),
        ({"test": "Test3"}, "labels of Test3 are not public"),
    ],
)
def test_what_cannot_be_chosen_is_named(arguments, message):
    with pytest.raises(ParamsError, match=message):
        MspPodcast(**arguments)


@pytest.fixture
def run(corpus, tmp_path, monkeypatch):
    table = {"msp_podcast": "rehear.datasets.msp_podcast:MspPodcast"}
    monkeypatch.setattr(stage, "DATASETS", Catalogue("data set", table))

    def run(task="classification", on_error="stop", **arguments):
        part = Part(name="msp_podcast", **arguments)
        settings = Fetch(source="data/own", on_error=on_error)
        stage.run(Params(task=Part(name=task), dataset=part, fetch=settings), tmp_path)
        return json.loads((tmp_path / "data" / "card.json").read_text())

    return run


@pytest.mark.parametrize("task", ["classification", REGRESSION])
def test_stage_finds_no_leak_between_the_speakers(run, tmp_path, task):
    card = run(task)
    assert card["leak_count"] == 0
    found = manifest.read(tmp_path / "data" / "manifest.csv")
    assert Counter(clip.split for clip in found).keys() == {"train", "dev", "test"}
    assert found.clips[0].file.startswith("data/own/Audios/")


def test_stage_names_missing_recordings_and_may_skip_them(run, corpus):
    (corpus / "Audios" / "MSP-PODCAST_0002_0008.wav").unlink()
    with pytest.raises(DataError, match=r"1 of 40 clips .*0002_0008\.wav"):
        run()
    card = run(on_error="skip")
    assert [s["clip"] for s in card["skipped"]] == ["MSP-PODCAST_0002_0008"]


def test_speaker_in_two_splits_is_refused(run, corpus):
    path = corpus / "Labels" / "labels_consensus.csv"
    path.write_text(path.read_text().replace(",7,Male,", ",30,Male,"))
    with pytest.raises(DataError, match="group '30' is in train .* and dev"):
        run()
