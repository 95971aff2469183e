import pytest

import databases
from rehear.datasets import audtables
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest

audformat = databases.audformat
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def database(**tables):
    """Return a database in memory; tables are ``{column: {key: value}}``."""
    made = audformat.Database("small")
    for name, columns in tables.items():
        every = {key for values in columns.values() for key in values}
        keys = sorted(every, key=str)
        files, starts, ends = zip(*keys, strict=True)
        table = made[name] = audformat.Table(databases.segmented(files, starts, ends))
        for column, values in columns.items():
            table[column] = audformat.Column()
            table[column].set([values.get(key) for key in keys])
    return made


def read(made, *, task="classification", **wanted):
    return audtables.read(made, audtables.Choice(**wanted), task=task)


def test_clips_are_in_the_order_of_files_and_times():
    keys = [("b", 0, 1), ("a", 2, 3), ("a", 0, 2), ("a", 2, 2.5), ("a", 0, 4)]
    found = read(database(t={"call": dict.fromkeys(keys, "x")}), label=("call",))
    assert [clip.clip for clip in found] == [
        *("a[0.0-2.0]", "a[0.0-4.0]", "a[2.0-2.5]", "a[2.0-3.0]", "b[0.0-1.0]")
    ]


def test_several_targets_in_several_tables():
    made = database(
        one={"arousal": {("a", 0, 1): 0.5, ("b", 0, 1): 0.25}},
        two={"valence": {("b", 0, 1): -1, ("a", 0, 1): 1, ("c", 0, 1): 0}},
    )
    found = read(made, task="regression", targets=("valence", "arousal"))
    assert found.targets == ("valence", "arousal")
    assert [(clip.file, clip.targets) for clip in found] == [
        ("a", (1.0, 0.5)),
        ("b", (-1.0, 0.25)),
    ]


def test_what_is_known_of_other_parts_counts_where_it_is_clear():
    made = database(
        calls={"call": {("a", 0, 1): "x", ("a", 1, 2): "y", ("b", 1, 2): "x"}},
        birds={
            "bird": {
                ("a", 0, 1): "p",
                ("a", 0, 5): "q",
                ("b", 0, 4): "r",
                ("b", 4, 8): "r",
            }
        },
    )
    found = read(made, label=("call",), attributes=("bird",))
    assert [clip.attributes for clip in found] == [("p",), ("",), ("r",)]


def test_what_is_known_of_a_file_counts_for_its_parts():
    made = database(
        calls={"call": {("a", 0, 1): "x", ("a", 1, 2): "y"}},
        files={"bird": {("a", 0, None): "q"}},
        parts={"bird": {("a", 0, 1): "p"}},
    )
    found = read(made, label=("call",), attributes=("bird",))
    assert [clip.attributes for clip in found] == [("p",), ("q",)]


def test_columns_may_be_one_name_or_several():
    wanted = audtables.choice("t", {"label": "call", "split": ""}, "x", ["a", "b"])
    assert wanted == audtables.Choice(("t",), ("call",), ("x",), ("a", "b"), split="")
    assert audtables.choice((), None, (), ()) == audtables.Choice()


def test_files_of_archives_beside_others(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    clips = tuple(Clip(clip=name, file=f"{name}.wav") for name in "ab")
    with pytest.raises(DataError, match=r"lacks 1 of 2 files .*: b\.wav"):
        audtables.located(Manifest(clips), tmp_path)
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    assert audtables.located(Manifest(clips), tmp_path).clips == clips
