import hashlib
import json
import logging
from collections import Counter

import pytest

from packing import lines, noise, pack
from rehear import manifest, splits
from rehear.catalogue import Catalogue
from rehear.datasets import dcase2018
from rehear.datasets.dcase2018 import BirdDetection2018
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part, Split
from rehear.stages import fetch as stage

CORPORA = {
    "freefield1010": ("ff1010bird_wav.zip", "ff1010bird_metadata_2018.csv"),
    "BirdVox-DCASE-20k": ("BirdVox-DCASE-20k.zip", "BirdVoxDCASE20k_csvpublic.csv"),
    "warblrb10k": ("warblrb10k_public_wav.zip", "warblrb10k_public_metadata_2018.csv"),
}
ITEMS = {
    "freefield1010": ["55", "87", "99", "100", "101", "102"],
    "BirdVox-DCASE-20k": [f"0000{n}-6f1a-4a4c" for n in range(6)],
    "warblrb10k": [f"{n}3c1d-77e9-4d2b" for n in range(4)],
}
COUNT = 16
PUBLISHED = dict(dcase2018.ROWS)


def table(corpus, items):
    """Every second recording has a bird."""
    rows = ((item, corpus, number % 2) for number, item in enumerate(items))
    return lines(("itemid", "datasetid", "hasbird"), *rows, separator=",")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Let tables be as short as those of the tests."""
    for corpus, items in ITEMS.items():
        monkeypatch.setitem(dcase2018.ROWS, corpus, len(items))


@pytest.fixture
def mirror(tmp_path):
    """Write the six files in the layout of their publishers."""
    folder = tmp_path / "mirror"
    number = 0
    for corpus, (audio, labels) in CORPORA.items():
        recordings = {}
        for item in ITEMS[corpus]:
            recordings[f"wav/{item}.wav"] = noise(number := number + 1)
        pack(folder / audio, recordings)
        (folder / labels).write_text(table(corpus, ITEMS[corpus]))
    return folder


@pytest.fixture
def fetch(mirror, tmp_path):
    def run(**arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = BirdDetection2018(mirror=mirror.as_uri(), **arguments)
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


def test_every_labelled_recording_is_a_clip(fetch):
    found = fetch()
    assert found.attributes == ("corpus",)
    for clip in found:
        corpus, item = clip.fold, clip.clip
        assert clip.attributes == (corpus,)
        assert clip.file == f"{CORPORA[corpus][0]}::wav/{item}.wav"
        odd = ITEMS[corpus].index(item) % 2
        assert clip.labels == ("bird" if odd else "no bird",)
        assert clip.split == ("test" if corpus == "warblrb10k" else "train")
    assert Counter(clip.fold for clip in found) == {
        corpus: len(items) for corpus, items in ITEMS.items()
    }


@pytest.mark.parametrize("corpus", CORPORA)
def test_each_corpus_can_be_left_out(fetch, corpus):
    assert set(BirdDetection2018.folds) == set(CORPORA)
    run = splits.for_fold(fetch(), corpus, dev=0.25, seed=0)
    tested = {clip.clip for clip in run if clip.split == "test"}
    assert tested == set(ITEMS[corpus])
    assert len(run) == COUNT


def test_labels_of_freefield1010_are_read_as_they_are_published(
    fetch, mirror, recordings, monkeypatch
):
    monkeypatch.setitem(dcase2018.ROWS, "freefield1010", 7690)
    published = recordings / "metadata_fixtures" / "ff1010bird_metadata_2018.csv"
    (mirror / CORPORA["freefield1010"][1]).write_bytes(published.read_bytes())
    found = [clip for clip in fetch() if clip.fold == "freefield1010"]
    rows = [line.split(",") for line in published.read_text().splitlines()[1:]]
    assert len(found) == len(rows) == 7690
    labels = {"1": "bird", "0": "no bird"}
    assert [(c.clip, c.labels[0]) for c in found] == [
        (r[0], labels[r[2]]) for r in rows
    ]


@pytest.mark.parametrize(
    ("share", "seed", "count", "digest"),
    [
        (
            *(0.1, 0, 2769),
            "97bb2bd9b24aa1807ea168b330321807e6f92c42bf71e612863d7011018634fe",
        ),
        (
            *(0.25, 3, 6923),
            "a134d2c2e6210e70e206463b7b57b4370574aa3ff40162d9bfabdbe69d2fa1f5",
        ),
    ],
)
def test_dev_is_what_autrainer_draws(
    fetch, mirror, recordings, monkeypatch, share, seed, count, digest
):
    monkeypatch.setitem(dcase2018.ROWS, "freefield1010", 7690)
    monkeypatch.setitem(dcase2018.ROWS, "BirdVox-DCASE-20k", 20000)
    # The digests are those of autrainer 0.10.0, with the same tables.
    published = recordings / "metadata_fixtures" / "ff1010bird_metadata_2018.csv"
    (mirror / CORPORA["freefield1010"][1]).write_bytes(published.read_bytes())
    items = [f"bv{number:05d}" for number in range(20000)]
    text = table("BirdVox-DCASE-20k", items)
    (mirror / CORPORA["BirdVox-DCASE-20k"][1]).write_text(text)
    found = fetch(split="autrainer", dev_split=share, dev_split_seed=seed)
    drawn = sorted(clip.clip for clip in found if clip.split == "dev")
    assert len(drawn) == count
    assert hashlib.sha256("\n".join(drawn).encode()).hexdigest() == digest
    kept = {clip.clip for clip in found if clip.split == "train"}
    assert not kept & set(drawn)
    assert len(kept) == 27690 - count
    test = {clip.clip for clip in found if clip.split == "test"}
    assert test == set(ITEMS["warblrb10k"])


def test_without_a_share_dev_of_autrainer_is_the_test_split(fetch):
    found = fetch(split="autrainer", dev_split=0)
    files = {
        split: {clip.file for clip in found if clip.split == split}
        for split in ("train", "dev", "test")
    }
    assert files["dev"] == files["test"]
    assert len(files["test"]) == 4
    assert len(files["train"]) == 12


def test_recordings_without_a_label_are_left_out(fetch, mirror, caplog, monkeypatch):
    monkeypatch.setitem(dcase2018.ROWS, "warblrb10k", 3)
    labels = CORPORA["warblrb10k"][1]
    text = table("warblrb10k", ITEMS["warblrb10k"][:3])
    (mirror / labels).write_text(text)
    with caplog.at_level(logging.INFO):
        assert len(fetch()) == COUNT - 1
    assert "1 recordings of warblrb10k have no label" in caplog.text


def test_corpora_have_as_many_rows_as_the_publishers_say():
    assert PUBLISHED == dict(zip(CORPORA, (7690, 20000, 8000), strict=True))


@pytest.mark.parametrize(("kept", "count"), [(0, 0), (4, 4), (5, 5)])
def test_table_with_fewer_rows_is_refused(fetch, mirror, kept, count):
    text = table("freefield1010", ITEMS["freefield1010"][:kept])
    (mirror / CORPORA["freefield1010"][1]).write_text(text)
    said = rf"metadata_2018\.csv: lists {count} recordings, expected 6 as published"
    with pytest.raises(DataError, match=said):
        fetch()


@pytest.mark.parametrize("cell", ["", "2", "yes"])
def test_label_that_is_neither_0_nor_1_is_named(fetch, mirror, cell):
    path = mirror / CORPORA["freefield1010"][1]
    path.write_text(path.read_text().replace("87,freefield1010,1", f"87,x,{cell}"))
    with pytest.raises(
        DataError, match=rf"metadata_2018\.csv row 3: hasbird is '{cell}', expected 0"
    ):
        fetch()


def test_unknown_split_and_share_are_refused():
    with pytest.raises(ParamsError, match=r"unknown 'corpus'.*'corpora'"):
        BirdDetection2018(split="corpus")
    with pytest.raises(ParamsError, match=r"dataset\.dev_split is 1"):
        BirdDetection2018(dev_split=1.0)


def test_files_have_names_of_their_own_and_no_checksum():
    listed = [r for c in dcase2018.CORPORA for r in (c.audio, c.table)]
    assert {remote.name for remote in listed} == {
        n for p in CORPORA.values() for n in p
    }
    assert len({remote.url for remote in listed}) == 6
    assert all(remote.md5 is None and remote.sha256 is None for remote in listed)


@pytest.fixture
def run_stage(mirror, served, tmp_path, monkeypatch):
    parts = Catalogue("data set", {})
    parts.add("dcase2018", BirdDetection2018)
    monkeypatch.setattr(stage, "DATASETS", parts)
    study = tmp_path / "study"
    study.mkdir()

    def run(*, settings=None, **arguments):
        part = Part(name="dcase2018", mirror=served(mirror), **arguments)
        values = Params(dataset=part, fetch=settings or Fetch())
        stage.run(values, study)
        return manifest.read(study / "data" / "manifest.csv").clips

    return run


def test_stage_draws_dev_from_training_only(run_stage):
    drawn = run_stage(settings=Fetch(split=Split(dev=0.25)))
    folds = {clip.clip: clip.fold for clip in drawn}
    dev = [clip.clip for clip in drawn if clip.split == "dev"]
    assert len(dev) == 3
    assert "warblrb10k" not in {folds[name] for name in dev}
    test = {clip.clip for clip in drawn if clip.split == "test"}
    assert test == set(ITEMS["warblrb10k"])


def test_stage_asks_for_a_reason_to_choose_on_the_test_split(run_stage, tmp_path):
    with pytest.raises(DataError, match=r"identical samples.*fetch\.allow_leak"):
        run_stage(split="autrainer", dev_split=0)
    reason = "To compare with numbers of autrainer"
    run_stage(split="autrainer", dev_split=0, settings=Fetch(allow_leak=reason))
    card = json.loads((tmp_path / "study" / "data" / "card.json").read_text())
    assert card["allow_leak"] == reason
    assert any(
        "the model is chosen on the test split" in leak for leak in card["leaks"]
    )


def test_missing_recording_is_handled_like_an_unreadable_one(run_stage, mirror):
    archive = mirror / CORPORA["warblrb10k"][0]
    *kept, lost = ITEMS["warblrb10k"]
    pack(archive, {f"wav/{i}.wav": noise(50 + n) for n, i in enumerate(kept)})
    with pytest.raises(DataError, match=rf"1 of 16 clips.*no member 'wav/{lost}\.wav'"):
        run_stage()
    drawn = run_stage(settings=Fetch(on_error="skip"))
    assert lost not in {clip.clip for clip in drawn}
    assert len(drawn) == COUNT - 1
