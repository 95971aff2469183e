import json
import shutil
from collections import Counter

import pytest

from rehear import manifest
from rehear.catalogue import Catalogue
from rehear.datasets import fau_aibo
from rehear.datasets.fau_aibo import FauAibo
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

LABELS = "labels/IS2009EmotionChallenge"
TWO, FIVE = "chunk_labels_2cl_corpus.txt", "chunk_labels_5cl_corpus.txt"
SPEAKERS = ("Ohm_01", "Ohm_02", "Ohm_11", "Ohm_31", "Ohm_32", "Mont_01", "Mont_32")


@pytest.fixture
def corpus(tmp_path, recordings, monkeypatch):
    """A corpus in its own layout: 7 speakers, 10 chunks each."""
    monkeypatch.setattr(fau_aibo, "CHUNKS", {"Ohm": 50, "Mont": 20})
    root = tmp_path / "data" / "own"
    (root / LABELS).mkdir(parents=True)
    (root / "wav").mkdir()
    audio = sorted((recordings / "emodb4" / "audio").glob("*.wav"))
    two, five = [], []
    for number in range(70):
        chunk = f"{SPEAKERS[number // 10]}_{number % 10:03}_00"
        shutil.copy(audio[4 * number], root / "wav" / f"{chunk}.wav")
        two.append(f"{chunk} {('IDL', 'NEG')[number % 3 == 0]} 0.{number % 5 + 5}\n")
        five.append(f"{chunk} {'AENPR'[number % 5]} 1\n")
    (root / LABELS / TWO).write_text("".join(two))
    (root / LABELS / FIVE).write_text("".join(five))
    return root


def fetch(root, **arguments):
    return FauAibo(**arguments).fetch(
        root, task="classification", source=root, downloads=root
    )


def splits(found):
    groups = {}
    for clip in found:
        groups.setdefault(clip.split, set()).add(clip.group)
    return groups


def test_challenge_tests_on_the_other_school(corpus):
    found = fetch(corpus)
    assert splits(found) == {"train": {*SPEAKERS[:5]}, "test": {*SPEAKERS[5:]}}
    assert found.attributes == ("school", "confidence")
    clip = found.clips[51]
    assert (clip.clip, clip.file) == ("Mont_01_001_00", "wav/Mont_01_001_00.wav")
    assert (clip.labels, clip.attributes) == (("negative",), ("Mont", "0.6"))


def test_two_and_five_classes(corpus):
    assert Counter(c.labels[0] for c in fetch(corpus)) == {"idle": 46, "negative": 24}
    assert Counter(c.labels[0] for c in fetch(corpus, classes=5)) == dict.fromkeys(
        ("anger", "emphatic", "neutral", "positive", "rest"), 14
    )


def test_autrainer_holds_out_the_last_two_speakers(corpus):
    assert splits(fetch(corpus, split="autrainer")) == {
        "train": {"Ohm_01", "Ohm_02", "Ohm_11"},
        "dev": {"Ohm_31", "Ohm_32"},
        "test": {"Mont_01", "Mont_32"},
    }


def test_autrainer_split_is_the_one_of_its_own_table(corpus):
    # The same division with other means: as strings of the second part of the id.
    rows = [line.split() for line in (corpus / LABELS / TWO).read_text().splitlines()]
    ohm = sorted({r[0].split("_")[1] for r in rows if r[0].split("_")[0] == "Ohm"})
    expected = {
        r[0]: "test"
        if r[0].startswith("Mont")
        else "dev"
        if r[0].split("_")[1] in ohm[-2:]
        else "train"
        for r in rows
    }
    assert {c.clip: c.split for c in fetch(corpus, split="autrainer")} == expected


@pytest.mark.parametrize(("classes", "other"), [(2, FIVE), (5, TWO)])
def test_only_the_label_file_of_the_task_is_needed(corpus, classes, other):
    (corpus / LABELS / other).unlink()
    assert len(fetch(corpus, classes=classes)) == 70


def test_label_file_may_lie_at_the_top(corpus):
    expected = fetch(corpus)
    shutil.move(corpus / LABELS / TWO, corpus / TWO)
    shutil.rmtree(corpus / "labels")
    assert fetch(corpus) == expected


def test_line_ends_and_spaces_do_not_matter(corpus):
    expected = fetch(corpus)
    path = corpus / LABELS / TWO
    path.write_bytes(path.read_bytes().replace(b"\n", b" \r\n") + b"\r\n")
    assert fetch(corpus) == expected


def test_what_is_missing_and_whom_to_ask_is_said(tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, classes=5)
    text = str(caught.value)
    assert f"lacks {LABELS}/{FIVE}, the folder wav;" in text
    assert TWO not in text
    assert "requested from the Pattern Recognition Lab of FAU" in text
    assert FauAibo.url in text
    assert "fetch.source" in text
    assert "\n" not in text


def test_recordings_elsewhere_are_missed(corpus):
    shutil.rmtree(corpus / "wav")
    (corpus / "wav").mkdir()
    with pytest.raises(DataError, match=r"lacks every recording of .* in wav/; .*FAU"):
        fetch(corpus)


@pytest.mark.parametrize(("kept", "school"), [(0, "Ohm"), (49, "Ohm"), (69, "Mont")])
def test_label_file_that_is_cut_short_is_refused(corpus, kept, school):
    path = corpus / LABELS / TWO
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))
    with pytest.raises(DataError, match=rf"lists \d+ chunks of {school}, expected"):
        fetch(corpus)


def test_schools_have_as_many_chunks_as_the_corpus():
    assert (sum(fau_aibo.CHUNKS.values()), fau_aibo.CHUNKS["Mont"]) == (18216, 8257)


WRONG = {
    "class": ("Ohm_01_000_00 A 0.5", r"row 71: unknown class 'A'; expected IDL, NEG"),
    "school": ("Inn_01_000_00 IDL 0.5", r"row 71: 'Inn_01_000_00' is no chunk"),
    "word": ("Ohm_01 IDL 0.5", r"row 71: 'Ohm_01' is no chunk"),
    "path": ("Ohm_01_000/../x IDL 0.5", r"row 71: .* is no chunk"),
    "few": ("Ohm_01_000_00 IDL", r"row 71: 2 cells; expected id, class, confidence"),
    "many": ("Ohm_01_000_00 IDL 1 2", r"row 71: 4 cells"),
    "confidence": ("Ohm_01_000_00 IDL high", r"row 71: 'high' in column 'confidence'"),
    "encoding": ("Öhm_01_000_00 IDL 1", r"row 71: .* is no chunk"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_row(corpus, name):
    line, message = WRONG[name]
    path = corpus / LABELS / TWO
    path.write_text(path.read_text() + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        fetch(corpus)


def test_what_cannot_be_chosen_is_named():
    with pytest.raises(ParamsError, match="classes: expected 2 or 5, found 4"):
        FauAibo(classes=4)
    with pytest.raises(ParamsError, match="mean 'autrainer'"):
        FauAibo(split="autotrainer")


@pytest.fixture
def run(corpus, tmp_path, monkeypatch):
    table = {"fau_aibo": "rehear.datasets.fau_aibo:FauAibo"}
    monkeypatch.setattr(stage, "DATASETS", Catalogue("data set", table))

    def run(**fields):
        stage.run(
            Params(dataset=Part(name="fau_aibo"), fetch=Fetch(**fields)), tmp_path
        )
        return json.loads((tmp_path / "data" / "card.json").read_text())

    return run


def test_stage_draws_dev_by_speaker(run, tmp_path):
    card = run(source="data/own")
    assert (card["clips"], card["leak_count"]) == (70, 0)
    clips = manifest.read(tmp_path / "data" / "manifest.csv").clips
    groups = splits(clips)
    assert groups["test"] == {"Mont_01", "Mont_32"}
    assert groups["dev"]
    assert groups["train"] | groups["dev"] == {*SPEAKERS[:5]}
    assert not groups["train"] & groups["dev"]


def test_stage_names_missing_recordings_and_may_skip_them(run, corpus):
    for chunk in ("Ohm_01_003_00", "Mont_32_009_00"):
        (corpus / "wav" / f"{chunk}.wav").unlink()
    with pytest.raises(DataError, match=r"2 of 70 clips .*Ohm_01_003_00\.wav"):
        run(source="data/own")
    card = run(source="data/own", on_error="skip")
    assert [skipped["clip"] for skipped in card["skipped"]] == [
        *("Ohm_01_003_00", "Mont_32_009_00")
    ]
