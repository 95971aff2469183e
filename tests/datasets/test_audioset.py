import json
import logging
from collections import Counter

import pytest

from packing import noise
from rehear import audio, manifest
from rehear.catalogue import Catalogue
from rehear.datasets.audioset import BALANCED, EVALUATION, UNBALANCED, AudioSet
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part, Split
from rehear.stages import fetch as stage

# Name, children and restrictions.
ONTOLOGY = {
    "/m/0jbk": ("Animal", ["/m/068hy"], []),
    "/m/068hy": ("Domestic animals, pets", ["/m/0bt9lr", "/m/01yrx"], []),
    "/m/0bt9lr": ("Dog", ["/m/05tny_"], []),
    "/m/05tny_": ("Bark", [], []),
    "/m/01yrx": ("Cat", [], []),
    "/m/0dgw9r": ("Human sounds", ["/m/09x0r"], ["abstract"]),
    "/m/09x0r": ("Speech", [], []),
    "/m/04rlf": ("Music", [], []),
    "/m/0old": ("Fax machine", [], ["blacklist"]),
}
TRAIN = {
    "--4gqARaEJE": (0, "/m/068hy,/m/05tny_"),
    "--BfvyPmVMo": (20, "/m/09x0r"),
    "Y_-Dashes_0": (30, "/m/01yrx,/m/04rlf"),
    "-0RWZT-miFs": (420, "/m/04rlf"),
}
MORE = {"zz0unbal_nc": (10, "/m/0bt9lr"), "zz1unbal_nc": (12, "/m/09x0r")}
TEST = {
    "-0QVvx3QbkY": (30, "/m/05tny_"),
    "-0ZG9wV-qXE": (70, "/m/09x0r,/m/04rlf"),
    "0YtestVideo": (0, "/m/01yrx"),
}
LABELS = {
    "--4gqARaEJE": ("Animal", "Bark", "Dog", "Domestic animals, pets"),
    "--BfvyPmVMo": ("Speech",),
    "Y_-Dashes_0": ("Animal", "Cat", "Domestic animals, pets", "Music"),
    "-0RWZT-miFs": ("Music",),
    "zz0unbal_nc": ("Animal", "Dog", "Domestic animals, pets"),
    "zz1unbal_nc": ("Speech",),
    "-0QVvx3QbkY": ("Animal", "Bark", "Dog", "Domestic animals, pets"),
    "-0ZG9wV-qXE": ("Music", "Speech"),
    "0YtestVideo": ("Animal", "Cat", "Domestic animals, pets"),
}
LISTS = {BALANCED: TRAIN, UNBALANCED: MORE, EVALUATION: TEST}


def segments(rows):
    text = "# Segments csv created Sun Mar  5 10:54:31 2017\n"
    text += f"# num_ytids={len(rows)}, num_segs={len(rows)}, num_unique_labels=527\n"
    text += "# YTID, start_seconds, end_seconds, positive_labels\n"
    for video, (start, labels) in rows.items():
        text += f'{video}, {start}.000, {start + 10}.000, "{labels}"\n'
    return text


@pytest.fixture
def source(tmp_path):
    """Return a folder with lists, ontology and all recordings as ``Y<id>.wav``."""
    folder = tmp_path / "audioset"
    folder.mkdir()
    entries = [
        {"id": id_, "name": name, "child_ids": children, "restrictions": restrictions}
        for id_, (name, children, restrictions) in ONTOLOGY.items()
    ]
    (folder / "ontology.json").write_text(json.dumps(entries))
    number = 0
    for name, rows in LISTS.items():
        (folder / name).write_text(segments(rows))
        (folder / name.removesuffix(".csv")).mkdir()
        for video in rows:
            path = folder / name.removesuffix(".csv") / f"Y{video}.wav"
            path.write_bytes(noise(number := number + 1))
    return folder


@pytest.fixture
def fetch(source, tmp_path):
    def run(**arguments):
        found = AudioSet(**arguments).fetch(
            tmp_path, task="tagging", source=source, downloads=tmp_path
        )
        return found.clips

    return run


def labels_of(clips):
    return {clip.group: clip.labels for clip in clips}


def test_lists_are_the_splits(fetch):
    found = fetch()
    assert {c.group: c.split for c in found} == {
        **dict.fromkeys(TRAIN, "train"),
        **dict.fromkeys(TEST, "test"),
    }
    (clip,) = (clip for clip in found if clip.group == "-0RWZT-miFs")
    assert clip.clip == "-0RWZT-miFs_420000"
    assert clip.file == "balanced_train_segments/Y-0RWZT-miFs.wav"
    more = fetch(unbalanced=True)
    assert {c.group for c in more if c.split == "train"} == {*TRAIN, *MORE}
    assert len({c.clip for c in more}) == 9


def test_parents_are_labels_too_but_not_abstract_ones(fetch):
    found = labels_of(fetch(unbalanced=True))
    assert found == LABELS


def test_published_labels_alone(fetch):
    found = labels_of(fetch(parents=False))
    assert found["--4gqARaEJE"] == ("Bark", "Domestic animals, pets")
    assert found["-0ZG9wV-qXE"] == ("Music", "Speech")


def test_blacklisted_label_that_is_published_stays(fetch, source):
    (source / EVALUATION).write_text(segments({"-0QVvx3QbkY": (30, "/m/0old")}))
    assert labels_of(fetch())["-0QVvx3QbkY"] == ("Fax machine",)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ({"include": ["Dog"]}, {"--4gqARaEJE", "-0QVvx3QbkY"}),
        (
            {"include": ["Domestic animals, pets"]},
            {"--4gqARaEJE", "Y_-Dashes_0", "-0QVvx3QbkY", "0YtestVideo"},
        ),
        ({"include": "Human sounds"}, {"--BfvyPmVMo", "-0ZG9wV-qXE"}),
        (
            {"exclude": ["Dog", "Music"]},
            {"--BfvyPmVMo", "0YtestVideo"},
        ),
        (
            {"include": ["Animal"], "exclude": ["Music", "Bark"]},
            {"0YtestVideo"},
        ),
    ],
)
def test_categories_hold_all_kinds_of_them(fetch, arguments, kept):
    found = labels_of(fetch(**arguments))
    assert set(found) == kept
    assert all(found[video] == LABELS[video] for video in kept)


@pytest.mark.parametrize(
    "name",
    [
        *("-0RWZT-miFs.wav", "Y-0RWZT-miFs.flac", "-0RWZT-miFs_420.mp3"),
        *("-0RWZT-miFs_420000.wav", "-0RWZT-miFs_420000_430000.flac"),
        *("Y-0RWZT-miFs_420.000_430.000.wav", "-0RWZT-miFs_420.0-430.0.m4a"),
        *("-0RWZT-miFs_000420_000430.mp4", "-0RWZT-miFs_420_430.WAV"),
    ],
)
def test_usual_names_are_understood(fetch, source, name):
    (source / "balanced_train_segments" / "Y-0RWZT-miFs.wav").unlink()
    path = source / "Music" / "more" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    files = {clip.group: clip.file for clip in fetch()}
    assert files["-0RWZT-miFs"] == f"Music/more/{name}"


@pytest.mark.parametrize(
    "name",
    [
        *("-0RWZT-miFs_410.wav", "-0RWZT-miFs_410000.wav", "-0RWZT-miFs.txt"),
        *("x-0RWZT-miFs.wav", "YY-0RWZT-miFs.wav", "-0RWZT-miFs_a.wav"),
        "-0RWZT-miF.wav",
    ],
)
def test_other_names_are_not(fetch, source, name):
    folder = source / "balanced_train_segments"
    (folder / "Y-0RWZT-miFs.wav").rename(folder / name)
    assert "-0RWZT-miFs" not in labels_of(fetch())


def test_id_that_begins_with_y_needs_no_second_one(fetch, source):
    folder = source / "balanced_train_segments"
    (folder / "YY_-Dashes_0.wav").rename(folder / "Y_-Dashes_0_30000.wav")
    files = {clip.group: clip.file for clip in fetch()}
    assert files["Y_-Dashes_0"].endswith("/Y_-Dashes_0_30000.wav")


def test_first_of_several_recordings_is_used_wherever_it_is_found(fetch, source):
    for name in ("b/-0RWZT-miFs_420000.wav", "a/-0RWZT-miFs_420000.wav"):
        (source / name).parent.mkdir()
        (source / name).write_bytes(b"")
    files = {clip.group: clip.file for clip in fetch()}
    assert files["-0RWZT-miFs"] == "a/-0RWZT-miFs_420000.wav"
    files = {clip.group: clip.file for clip in fetch(audio="b")}
    assert files == {"-0RWZT-miFs": "b/-0RWZT-miFs_420000.wav"}


def test_parts_of_one_video_are_told_apart(fetch, source):
    rows = {"-0QVvx3QbkY": (30, "/m/05tny_")}
    text = segments(rows) + '-0QVvx3QbkY, 90.000, 100.000, "/m/04rlf"\n'
    (source / EVALUATION).write_text(text)
    folder = source / "eval_segments"
    (folder / "Y-0QVvx3QbkY.wav").rename(folder / "-0QVvx3QbkY_30000.wav")
    (folder / "-0QVvx3QbkY_90000.wav").write_bytes(b"")
    found = {c.clip: c.file for c in fetch() if c.split == "test"}
    assert found == {
        f"-0QVvx3QbkY_{start}": f"eval_segments/-0QVvx3QbkY_{start}.wav"
        for start in (30000, 90000)
    }


def test_missing_recordings_are_counted(fetch, source, caplog):
    (source / "balanced_train_segments" / "Y--BfvyPmVMo.wav").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(fetch()) == 6
    assert "balanced_train_segments.csv: 3 of 4 recordings are there" in caplog.text
    assert "eval_segments.csv" not in caplog.text
    # Only what is asked for is missed.
    caplog.clear()
    assert len(fetch(include=["Animal"], missing="stop")) == 4
    assert not caplog.text


def test_missing_recordings_can_be_refused(fetch, source):
    (source / "balanced_train_segments" / "Y--BfvyPmVMo.wav").unlink()
    with pytest.raises(DataError, match=r"lacks --BfvyPmVMo_20000; AudioSet comes"):
        fetch(missing="stop")


def test_without_any_recording_it_is_said_what_to_do(fetch, source):
    for path in source.rglob("*.wav"):
        path.unlink()
    with pytest.raises(DataError, match=r"lacks all recordings.*Y<id>\.wav"):
        fetch()


@pytest.mark.parametrize("name", [BALANCED, EVALUATION, UNBALANCED, "ontology.json"])
def test_missing_files_are_named(fetch, source, name):
    (source / name).unlink()
    if name == UNBALANCED:
        assert len(fetch()) == 7
    with pytest.raises(DataError, match=rf"lacks {name}; .*research\.google\.com"):
        fetch(unbalanced=True)


def test_all_that_is_missing_is_named_at_once(tmp_path):
    with pytest.raises(DataError, match=r"balanced_.*, eval_.*, ontology.json, cut;"):
        AudioSet(audio="cut").fetch(
            tmp_path, task="tagging", source=tmp_path / "none", downloads=tmp_path
        )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('abcdefghijk, 0.000, "/m/04rlf"', r"row 4: found abcdefghijk, 0\.000, /m"),
        ('abcdefghijk, zero, 10.000, "/m/04rlf"', "row 4: found abcdefghijk, zero"),
        ('-0QVvx3QbkY, 0.000, 10.000, "/m/nix"', r"row 4: '/m/nix' are not all in"),
    ],
)
def test_list_that_is_not_as_published_is_named(fetch, source, row, message):
    (source / EVALUATION).write_text(segments({}) + row + "\n")
    with pytest.raises(DataError, match=message):
        fetch()


def test_split_of_autrainer_has_its_labels_and_test_as_dev(fetch):
    found = fetch(split="autrainer", unbalanced=True)
    files = {
        split: {clip.file for clip in found if clip.split == split}
        for split in ("dev", "test")
    }
    assert files["dev"] == files["test"]
    assert len({clip.clip for clip in found}) == len(found) == 12
    labels = labels_of(found)
    assert labels["-0ZG9wV-qXE"] == ("Human sounds", "Music", "Speech")
    # Without Music in the test split, it is no label of the training clips.
    labels = labels_of(fetch(split="autrainer", include=["Animal"]))
    assert labels["Y_-Dashes_0"] == ("Animal", "Cat", "Domestic animals, pets")


def test_unknown_choices_are_refused(fetch):
    for arguments, message in (
        ({"missing": "ignore"}, r"dataset\.missing: unknown 'ignore'.*skip, stop"),
        ({"split": "eval"}, r"dataset\.split: unknown 'eval'"),
        ({"include": ["Dogs"]}, r"dataset\.include: unknown category 'Dogs'.*'Dog'"),
    ):
        with pytest.raises(ParamsError, match=message):
            fetch(**arguments)


def test_published_classes_are_read_as_they_are(tmp_path, recordings):
    table = recordings / "metadata_fixtures" / "audioset_class_labels_indices.csv"
    header, *rows = table.read_text().splitlines()
    assert header == "index,mid,display_name"
    classes = {}
    for row in rows:
        _, mid, name = row.split(",", 2)
        classes[mid] = name.strip('"')
    entries = [
        {"id": mid, "name": name, "child_ids": [], "restrictions": []}
        for mid, name in classes.items()
    ]
    (tmp_path / "ontology.json").write_text(json.dumps(entries))
    rows = {f"video{n:06d}": (10 * n, mid) for n, mid in enumerate(classes)}
    (tmp_path / BALANCED).write_text(segments(rows))
    (tmp_path / EVALUATION).write_text(segments({}))
    for video in rows:
        (tmp_path / f"{video}.wav").write_bytes(b"")
    found = AudioSet().fetch(
        tmp_path, task="tagging", source=tmp_path, downloads=tmp_path
    )
    assert len(found) == len(classes) == 527
    assert [clip.labels for clip in found] == [(name,) for name in classes.values()]


@pytest.fixture
def run_stage(source, monkeypatch):
    parts = Catalogue("data set", {})
    parts.add("audioset", AudioSet)
    monkeypatch.setattr(stage, "DATASETS", parts)

    def run(*, dev=0.5, allow_leak="", **arguments):
        settings = Fetch(source="audioset", split=Split(dev=dev), allow_leak=allow_leak)
        values = Params(
            dataset=Part(name="audioset", **arguments),
            task=Part(name="tagging"),
            fetch=settings,
        )
        stage.run(values, source.parent)
        return manifest.read(source.parent / "data" / "manifest.csv").clips

    return run


def test_stage_draws_dev_from_training(run_stage, source):
    found = run_stage(unbalanced=True, include=["Music", "Speech"])
    assert Counter(c.split for c in found) == {"train": 2, "dev": 2, "test": 1}
    dev = {clip.group for clip in found if clip.split == "dev"}
    assert dev < {*TRAIN, *MORE}
    for clip in found:
        assert audio.facts(source.parent / clip.file).sample_rate == 8000
        assert clip.labels == LABELS[clip.group]


def test_stage_asks_for_a_reason_to_choose_on_the_test_split(run_stage, source):
    with pytest.raises(DataError, match=r"fetch\.allow_leak"):
        run_stage(split="autrainer", include=["Animal"])
    reason = "To compare with numbers of autrainer"
    run_stage(split="autrainer", include=["Animal"], allow_leak=reason)
    card = json.loads((source.parent / "data" / "card.json").read_text())
    assert card["allow_leak"] == reason
    assert {"dev": card["splits"]["dev"]["clips"]} == {"dev": 2}
