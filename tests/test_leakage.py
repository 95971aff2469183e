from rehear import leakage
from rehear.manifest import Clip, Manifest


def find(*clips):
    return [
        (leak.kind, leak.text)
        for leak in leakage.find(
            Manifest(
                tuple(Clip(clip=f"c{i}", **fields) for i, fields in enumerate(clips))
            )
        )
    ]


def row(file, split, **fields):
    return {"file": file, "split": split, **fields}


def test_clean_splits_have_no_leak():
    assert not find(
        row("a", "train", labels=("x",), group="1", sha256="a", fold="1"),
        row("b", "dev", labels=("x",), group="2", sha256="b", fold="2"),
        row("c", "test", labels=("x",), group="3", sha256="c", fold="3"),
    )


def test_duplicates_in_one_split_are_no_leak():
    assert not find(row("a", "train", sha256="a"), row("b", "train", sha256="a"))


def test_group_in_two_splits():
    assert find(
        row("a", "train", group="theo"),
        row("b", "train", group="theo"),
        row("c", "test", group="theo"),
    ) == [("group", "group 'theo' is in train (2 clips) and test (1 clips)")]


def test_group_in_two_folds():
    assert find(
        {"file": "a", "group": "theo", "fold": "1"},
        {"file": "b", "group": "theo", "fold": "2"},
    ) == [("group", "group 'theo' is in fold 1 (1 clips) and fold 2 (1 clips)")]


def test_identical_samples_in_two_splits():
    assert find(row("a", "train", sha256="a"), row("b", "dev", sha256="a")) == [
        ("duplicate", "clips 'c0' (train), 'c1' (dev) have identical samples")
    ]


def test_copies_in_two_splits():
    clips = tuple(
        Clip(clip=name, file=name, split=split)
        for name, split in [("a", "train"), ("b", "test"), ("c", "test")]
    )
    (leak,) = leakage.find(Manifest(clips), copies=[("a", "b"), ("b", "c"), ("a", "x")])
    assert leak.kind == "copy"
    assert leak.text == "clips 'a' (train) and 'b' (test) are copies of one recording"


def test_dev_equal_to_test():
    kinds = [
        kind
        for kind, _ in find(
            row("a", "train", sha256="a"),
            row("b", "dev", sha256="b"),
            row("b", "test", sha256="b", group="x"),
        )
    ]
    assert "equal" in kinds


def test_overlapping_parts_of_a_recording():
    found = find(
        row("a", "train", start=0.0, end=2.0, group="x"),
        row("a", "train", start=1.0, end=1.5, group="x"),
        row("a", "test", start=1.9, end=3.0, group="y"),
        row("a", "test", start=2.5, group="y"),
    )
    assert found == [
        ("overlap", "clips 'c0' (train) and 'c2' (test) overlap in recording 'a'")
    ]


def test_touching_parts_do_not_overlap():
    assert not find(
        row("a", "train", start=0.0, end=2.0, group="x"),
        row("a", "test", start=2.0, end=3.0, group="y"),
    )


def test_parts_of_one_recording_without_groups():
    found = find(
        row("a", "train", start=0.0, end=1.0), row("a", "test", start=5.0, end=6.0)
    )
    assert found == [
        ("recording", "recording 'a' has clips in train (1 clips) and test (1 clips)")
    ]


def test_label_that_training_lacks():
    assert find(
        row("a", "train", labels=("x",)),
        row("b", "test", labels=("y",)),
        row("c", "dev", labels=("x",)),
    ) == [("label", "label 'y' is in test, but not in train")]


def test_long_lists_are_cut():
    (found,) = find(
        *[row(str(i), "train", sha256="a") for i in range(9)],
        row("x", "test", sha256="a"),
    )
    assert "and 5 more have identical samples" in found[1]
