import json
from collections import Counter

import pytest

from packing import lines, noise, pack
from rehear import leakage, manifest
from rehear.catalogue import Catalogue
from rehear.datasets import edansa2019
from rehear.datasets.edansa2019 import BASELINE, EDANSA2019, TAGS
from rehear.errors import DataError, ParamsError
from rehear.manifest import Manifest
from rehear.params import Params, Part
from rehear.stages import fetch as stage

FIXED = (
    *("batch", "set", "region", "Site ID", "Date"),
    *("Start Time", "End Time", "Length", "Clip Path"),
)
# Published without any example.
EMPTY = (
    *("Prop", "Crane", "Owl", "Hum", "Woop", "Bear", "Mous", "Deer", "Weas"),
    *("Meow", "Hare", "Shrew", "Mosq"),
)
COLUMNS = (*FIXED, *TAGS, *EMPTY)
# Site and set, then the tags of each of its clips.
SITES = {
    ("prudhoe", "11", "train"): ["Bio Bird SongB", "Geo Wind", "Sil", "Anth Airc"],
    ("anwr", "41", "train"): ["Bio Bird DGS", "Bio Bird Grous", "Bio Bug Sil", ""],
    ("prudhoe", "12", "valid"): ["Anth Airc", "Bio Bird SongB"],
    ("anwr", "31", "test"): ["Bio Bug", "Geo Rain", "Anth Airc Geo Wind"],
}
COUNT = 13


def rows():
    """Return the rows of labels.csv, by the path of the clip."""
    found = {}
    for (region, site, split), clips in SITES.items():
        for number, tags in enumerate(clips):
            path = f"{region}/{site}/S4A102{site}_20190520_0700{number}0_splt-0.wav"
            begin, end = f"07:00:{number}0.000000", f"07:00:{number + 1}0.000000"
            row = [1, split, region, site, "05/20/2019"]
            row += [begin, end, "00:00:10.000000", path]
            found[path] = row + [int(tag in tags.split()) for tag in (*TAGS, *EMPTY)]
    return found


def labels(changes=()):
    text = lines(COLUMNS, *rows().values(), separator=",")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Write the archive in the layout of Zenodo, with fewer clips."""
    monkeypatch.setattr(edansa2019, "CLIPS", COUNT)

    def write(text=None, lost=()):
        files = {"EDANSA-2019/labels.csv": text or labels()}
        for number, path in enumerate(rows()):
            if path not in lost:
                files[f"EDANSA-2019/data/{path}"] = noise(number)
        pack(tmp_path / "zenodo" / "EDANSA-2019.zip", files)
        return (tmp_path / "zenodo").as_uri()

    return write


@pytest.fixture
def fetch(tmp_path):
    def run(mirror, **arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = EDANSA2019(mirror=mirror, **arguments)
        return part.fetch(raw, task="tagging", source=raw, downloads=tmp_path / "parts")

    return run


def test_rows_are_clips_with_their_site_as_group(fetch, published):
    found = {clip.clip: clip for clip in fetch(published())}
    assert len(found) == COUNT
    clip = found["S4A10241_20190520_070010_splt-0"]
    assert clip.file == (
        "EDANSA-2019.zip::EDANSA-2019/data/anwr/41/S4A10241_20190520_070010_splt-0.wav"
    )
    assert (clip.split, clip.group) == ("train", "anwr/41")
    assert clip.labels == ("Bio", "Bird", "Grous")
    assert clip.attributes == ("anwr", "anwr/41", "2019-05-20")


def test_column_set_is_the_split(fetch, published):
    found = fetch(published())
    assert Counter(c.split for c in found) == {"train": 8, "dev": 2, "test": 3}
    assert found.attributes == ("region", "site", "date")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (BASELINE, ("Anth", "Airc")),
        (["Geo", "Anth"], ("Anth", "Geo")),
        ("Wind", ("Wind",)),
        ([], ("Anth", "Geo", "Airc", "Wind")),
        (["Sil"], ()),
    ],
)
def test_chosen_tags_are_the_labels(fetch, published, tags, expected):
    found = fetch(published(), tags=tags)
    assert len(found) == COUNT
    (clip,) = (c for c in found if c.clip == "S4A10231_20190520_070020_splt-0")
    assert clip.labels == expected


@pytest.fixture(scope="module")
def true_labels(recordings, tmp_path_factory):
    """Read all of the published labels.csv, with all tags."""
    folder = tmp_path_factory.mktemp("edansa")
    text = (recordings / "metadata_fixtures" / "edansa2019_labels.csv").read_text()
    pack(folder / "zenodo" / "EDANSA-2019.zip", {"EDANSA-2019/labels.csv": text})
    mirror = (folder / "zenodo").as_uri()

    def read(**arguments):
        return EDANSA2019(mirror=mirror, **arguments).fetch(
            folder, task="tagging", source=folder, downloads=folder / "parts"
        )

    return read, text


def test_published_split_shares_no_site(true_labels):
    read, _ = true_labels
    found = read(tags=[])
    assert Counter(c.split for c in found) == {
        "train": 6645,
        "dev": 1873,
        "test": 2253,
    }
    assert len({clip.group for clip in found}) == 76
    assert len({clip.clip for clip in found}) == 10771
    assert leakage.find(found) == []
    # One recorder was moved, and is in two splits, at two sites.
    moved = [c for c in found if c.clip.startswith("S4A10274_")]
    assert len({clip.split for clip in moved}) == 2


def test_tags_with_examples_are_those_of_the_publisher(true_labels):
    read, text = true_labels
    header, *table = (line.split(",") for line in text.splitlines())
    positives = {
        name: sum(int(row[number]) for row in table)
        for number, name in enumerate(header)
        if number >= len(FIXED)
    }
    assert {name for name, count in positives.items() if count} == set(TAGS)
    assert {name for name, count in positives.items() if not count} == set(EMPTY)
    counted = Counter(label for clip in read(tags=[]) for label in clip.labels)
    assert counted == {name: count for name, count in positives.items() if count}


def test_finer_tags_never_stand_without_the_coarser_one(true_labels):
    read, _ = true_labels
    above = {
        "Anth": ("Auto", "Airc", "Mach", "Flare"),
        "Auto": ("Truck", "Car"),
        "Airc": ("Helo", "Jet"),
        "Bio": ("Bird", "Mam", "Bug"),
        "Bird": ("Corv", "SongB", "DGS", "Grous", "Loon", "SeaB", "Rapt", "ShorB"),
        "Bug": ("Fly",),
        "Mam": ("Woof",),
        "Geo": ("Wind", "Rain", "Water"),
    }
    assert {tag for finer in above.values() for tag in finer} | {
        *("Anth", "Bio", "Geo", "Sil")
    } == set(TAGS)
    for clip in read(tags=[]):
        for coarse, finer in above.items():
            assert coarse in clip.labels or not set(finer) & set(clip.labels)


def test_tags_of_the_baseline_have_examples_in_every_split(true_labels):
    read, _ = true_labels
    counts = Counter((c.split, label) for c in read() for label in c.labels)
    assert {label for _, label in counts} == set(BASELINE)
    assert (
        min(
            counts[split, tag] for split in ("train", "dev", "test") for tag in BASELINE
        )
        >= 80
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,valid,", "1,eval,", r"row 10: set is 'eval', expected train, valid, test"),
        ("05/20/2019", "2019-05-20", r"row 2: Date is '2019-05-20', expected month"),
        ("Anth,Bio", "Anthro,Bio", r"no column 'Anth' for the tag"),
        ("splt-0.wav,0", "splt-0.wav,?", r"row 2: '\?' in column 'Anth', expected 0"),
        ("Clip Path", "Path", r"row 2: no column 'Clip Path'"),
    ],
)
def test_labels_that_are_not_as_published_are_named(
    fetch, published, old, new, message
):
    with pytest.raises(DataError, match=message):
        fetch(published(labels([(old, new)])))


def test_table_with_fewer_rows_is_refused(fetch, published):
    text = "".join(labels().splitlines(keepends=True)[:-1])
    with pytest.raises(DataError, match=r"labels\.csv: lists 12 clips, expected 13 as"):
        fetch(published(text))


def test_unknown_tag_is_refused():
    with pytest.raises(ParamsError, match=r"dataset\.tags: unknown 'Birds'.*'Bird'"):
        EDANSA2019(tags=["Bio", "Birds"])
    with pytest.raises(ParamsError, match="unknown 'Owl'"):
        EDANSA2019(tags=["Owl"])


def test_archive_has_no_published_checksum():
    assert edansa2019.ARCHIVE.md5 is None
    assert edansa2019.ARCHIVE.sha256 is None


@pytest.fixture
def run_stage(tmp_path, monkeypatch):
    parts = Catalogue("data set", {})
    parts.add("edansa2019", EDANSA2019)
    monkeypatch.setattr(stage, "DATASETS", parts)
    study = tmp_path / "study"
    study.mkdir()

    def run(mirror):
        part = Part(name="edansa2019", mirror=mirror)
        stage.run(Params(dataset=part, task=Part(name="tagging")), study)
        return study / "data"

    return run


def test_stage_accepts_the_published_split(run_stage, published, served, tmp_path):
    published()
    data = run_stage(served(tmp_path / "zenodo"))
    card = json.loads((data / "card.json").read_text())
    assert (card["leak_count"], card["clips"]) == (0, COUNT)
    assert set(card["labels"]) == set(BASELINE)
    found: Manifest = manifest.read(data / "manifest.csv")
    blank = [clip for clip in found if not clip.labels]
    assert len(blank) == 3
    assert all(clip.duration == 0.6 for clip in found)


def test_listed_clip_that_the_archive_lacks_is_named(run_stage, published):
    lost = "anwr/31/S4A10231_20190520_070000_splt-0.wav"
    with pytest.raises(DataError, match=rf"1 of 13 clips.*no member .*{lost}"):
        run_stage(published(lost=[lost]))
