import json
from collections import Counter, defaultdict

import pytest

from packing import lines, noise, pack, unpinned
from rehear import leakage, manifest
from rehear.catalogue import Catalogue
from rehear.datasets import dcase2020
from rehear.datasets.dcase2020 import CATEGORIES, CITIES, AcousticScenes2020
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part, Split
from rehear.stages import fetch as stage

SET = "TAU-urban-acoustic-scenes-2020-mobile-development"
SCENES = (
    *("airport", "bus", "metro", "metro_station", "park", "public_square"),
    *("shopping_mall", "street_pedestrian", "street_traffic", "tram"),
)
DEVICES = ("a", "b", "c", "s1", "s2", "s3")


def listed():
    """Return names, scenes and splits of 199 clips from 100 locations."""
    clips = []
    for j, city in enumerate(CITIES):
        for i, scene in enumerate(SCENES):
            for _ in range(1 + (i + 2 * j) % 3):
                number, device = len(clips), DEVICES[len(clips) % 6]
                name = f"{scene}-{city}-{10 * i + j}-{number}-{device}"
                clips.append((name, scene, "test" if (i + j) % 4 == 0 else "train"))
    return clips


CLIPS = listed()
UNUSED = "airport-paris-6-500-s5"


def table(split, clips=CLIPS):
    rows = ((f"audio/{name}.wav", scene) for name, scene, s in clips if s == split)
    return lines(("filename", "scene_label"), *rows)


def meta(clips=CLIPS):
    """Return the files of meta.zip."""
    rows = []
    for name, scene, _ in [*clips, (UNUSED, "airport", "")]:
        _, city, location, _, device = name.split("-")
        rows.append((f"audio/{name}.wav", scene, f"{city}-{location}", device))
    header = ("filename", "scene_label", "identifier", "source_label")
    evaluate = table("test", clips)
    test = lines(*([line.split("\t")[0]] for line in evaluate.splitlines()))
    files = {
        "meta.csv": lines(header, *rows),
        "evaluation_setup/fold1_train.csv": table("train", clips),
        "evaluation_setup/fold1_evaluate.csv": evaluate,
        "evaluation_setup/fold1_test.csv": test,
    }
    return {f"{SET}/{name}": text for name, text in files.items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Serve small archives in the layout of Zenodo."""
    folder = tmp_path_factory.mktemp("zenodo")
    pack(folder / f"{SET}.meta.zip", meta())
    names = [*(name for name, _, _ in CLIPS), UNUSED]
    for number in range(16):
        files = {
            f"{SET}/audio/{names[n]}.wav": noise(n, seconds=0.3)
            for n in range(number, len(names), 16)
        }
        pack(folder / f"{SET}.audio.{number + 1}.zip", files)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    (free,) = unpinned([dcase2020.META])
    monkeypatch.setattr(dcase2020, "META", free)
    monkeypatch.setattr(dcase2020, "AUDIO", unpinned(dcase2020.AUDIO))


@pytest.fixture
def fetch(published, tmp_path):
    def run(mirror=published, **arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = AcousticScenes2020(mirror=mirror.as_uri(), **arguments)
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


def locations(clips, split):
    return sorted({int(c.group.split("-")[1]) for c in clips if c.split == split})


def test_official_lists_are_the_splits(fetch):
    found = fetch()
    assert [(c.clip, c.labels[0], c.split) for c in found] == [
        clip for split in ("train", "test") for clip in CLIPS if clip[2] == split
    ]
    assert found.attributes == ("city", "device", "scene_category")
    assert not leakage.find(found)


def test_name_tells_city_location_and_device(fetch):
    (clip,) = (clip for clip in fetch() if clip.clip.startswith("tram-barcelona-90-"))
    number = int(clip.clip.split("-")[3])
    archive = f"{SET}.audio.{number % 16 + 1}.zip"
    assert clip.file == f"{archive}::{SET}/audio/{clip.clip}.wav"
    assert clip.group == "barcelona-90"
    assert clip.attributes == ("barcelona", DEVICES[number % 6], "transportation")


def test_clips_in_no_list_are_left_out(fetch):
    assert UNUSED not in {clip.clip for clip in fetch()}


@pytest.mark.parametrize("category", CATEGORIES)
def test_one_category_of_scenes(fetch, category):
    found = fetch(scene_category=category)
    assert {clip.labels[0] for clip in found} == set(CATEGORIES[category])
    assert {clip.attributes[2] for clip in found} == {category}
    kept = [clip for clip in CLIPS if clip[1] in CATEGORIES[category]]
    assert Counter(c.split for c in found) == Counter(split for _, _, split in kept)


def test_cities_are_left_out_of_training_only(fetch):
    cities = defaultdict(set)
    for clip in fetch(exclude_cities=["paris", "lyon"]):
        cities[clip.split].add(clip.attributes[0])
    assert cities["train"] == set(CITIES) - {"paris", "lyon"}
    assert cities["test"] == set(CITIES)
    one = fetch(exclude_cities="paris")
    assert {c.attributes[0] for c in one if c.split == "train"} == {
        city for city in CITIES if city != "paris"
    }


def test_dev_is_what_autrainer_draws(fetch):
    # Locations and counts are those of autrainer 0.10.0, with the same lists.
    found = fetch(split="autrainer")
    assert locations(found, "dev") == [6, 11, 12, 25, 28, 49, 68, 70, 74, 77]
    assert Counter(c.split for c in found) == {"train": 135, "dev": 15, "test": 49}
    found = fetch(
        split="autrainer",
        dev_split=0.3,
        dev_split_seed=5,
        scene_category="indoor",
        exclude_cities=["paris", "lyon"],
    )
    assert locations(found, "dev") == [32, 34, 37, 38, 60, 61, 63, 64, 65, 69]
    assert Counter(c.split for c in found) == {"train": 19, "dev": 21, "test": 15}
    assert not [leak for leak in leakage.find(found) if leak.kind == "group"]


def test_without_a_share_dev_of_autrainer_is_the_test_split(fetch):
    found = fetch(split="autrainer", dev_split=0.0, scene_category="outdoor")
    dev, test = (
        {clip.file for clip in found if clip.split == split}
        for split in ("dev", "test")
    )
    assert dev == test
    assert {"equal", "group"} <= {leak.kind for leak in leakage.find(found)}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("audio/bus-", "audio/bus_", "expected a known scene and a name such as"),
        ("\tbus\n", "\ttram\n", "is labelled 'tram'; expected a known scene"),
        ("\tbus\n", "\n", r"row \d+: 1 cells, but 2 columns"),
        ("-0-a.wav", "-999-a.wav", "-999-a.wav' is in none of the archives"),
    ],
)
def test_list_that_is_not_as_published_is_named(
    fetch, published, tmp_path, old, new, message
):
    folder = tmp_path / "changed"
    folder.mkdir()
    for path in published.glob("*.audio.*"):
        (folder / path.name).symlink_to(path)
    texts = {name: text.replace(old, new) for name, text in meta().items()}
    pack(folder / f"{SET}.meta.zip", texts)
    with pytest.raises(DataError, match=message):
        fetch(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scene_category": "indoors"}, "unknown 'indoors'.*'indoor'"),
        ({"exclude_cities": ["Paris"]}, "unknown 'Paris'.*'paris'"),
        ({"split": "fold1"}, "unknown 'fold1'.*official, autrainer"),
        ({"dev_split": -0.5}, "dev_split is -0.5"),
    ],
)
def test_unknown_choices_are_refused(arguments, message):
    with pytest.raises(ParamsError, match=message):
        AcousticScenes2020(**arguments)


def test_published_files_are_pinned(monkeypatch):
    monkeypatch.undo()
    pinned = [dcase2020.META, *dcase2020.AUDIO]
    assert len({remote.md5 for remote in pinned}) == len(pinned) == 17
    assert all(len(remote.md5) == 32 for remote in pinned)
    # Without the documentation, which is 18,066 bytes.
    assert sum(remote.size for remote in pinned) == 27_364_817_167 - 18_066


def test_stage_draws_dev_by_location(published, served, tmp_path, monkeypatch):
    parts = Catalogue("data set", {})
    parts.add("dcase2020", AcousticScenes2020)
    monkeypatch.setattr(stage, "DATASETS", parts)
    part = Part(name="dcase2020", mirror=served(published))
    settings = Fetch(split=Split(dev=0.2))
    stage.run(Params(dataset=part, fetch=settings), tmp_path)
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert card["leak_count"] == 0
    found = manifest.read(tmp_path / "data" / "manifest.csv").clips
    official = {name: split for name, _, split in CLIPS}
    assert {c.clip for c in found if c.split == "test"} == {
        name for name, split in official.items() if split == "test"
    }
    dev, train = locations(found, "dev"), locations(found, "train")
    assert not set(dev) & set(train)
    share = sum(c.split == "dev" for c in found) / 150
    assert 0.15 < share < 0.25
