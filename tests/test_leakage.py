import numpy as np

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


def test_digital_silence_is_no_duplicate():
    silence = {"sha256": "a", "sample_rate": 8000, "level": None}
    assert not find(row("a", "train", **silence), row("b", "dev", **silence))
    # Features have no level either.
    silence["sample_rate"] = 0
    assert find(row("a", "train", **silence), row("b", "dev", **silence))


def test_copies_in_two_splits():
    clips = tuple(
        Clip(clip=name, file=name, split=split)
        for name, split in [("a", "train"), ("b", "test"), ("c", "test")]
    )
    (leak,) = leakage.find(Manifest(clips), copies=[("a", "b"), ("b", "c"), ("a", "x")])
    assert leak.kind == "copy"
    assert leak.text == (
        "clips 'a' (train), 'b' (test), 'c' (test) are copies of one recording"
    )


def copies_of(*clips, copies):
    clips = tuple(Clip(file=fields["clip"], **fields) for fields in clips)
    found = leakage.find(Manifest(clips), copies=copies)
    return [leak.text for leak in found if leak.kind == "copy"]


def test_copies_are_linked_through_a_clip_that_is_in_no_split():
    clips = [
        {"clip": "a", "fold": "1"},
        {"clip": "b", "split": "test"},  # held out of cross-validation
        {"clip": "c", "fold": "2"},
    ]
    assert copies_of(*clips, copies=[("a", "b"), ("b", "c")]) == [
        "clips 'a' (fold 1), 'c' (fold 2) are copies of one recording"
    ]


def test_a_copy_of_a_clip_is_one_of_all_that_are_identical_to_it():
    clips = [
        {"clip": "a", "split": "train", "sha256": "x"},
        {"clip": "b", "split": "train", "sha256": "y"},
        {"clip": "c", "split": "test", "sha256": "y"},
        {"clip": "d", "split": "dev", "sha256": "z"},
    ]
    assert copies_of(*clips, copies=[("a", "b")]) == [
        "clips 'a' (train), 'c' (test), 'b' (train) are copies of one recording"
    ]
    assert copies_of(*clips, copies=[("a", "nowhere")]) == []


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
    assert "'c0' (train), 'c9' (test), 'c1' (train)" in found[1]
    assert "and 5 more have identical samples" in found[1]


def test_clip_without_a_fold_trains_for_every_fold():
    assert find(
        {"file": "a", "group": "theo", "fold": "1"},
        {"file": "b", "group": "theo"},
        {"file": "c", "group": "lucas", "fold": "2"},
    ) == [("group", "group 'theo' is in fold 1 (1 clips) and no fold (1 clips)")]


def test_held_out_clip_without_a_fold_is_no_part_of_cross_validation():
    assert not find(
        {"file": "a", "group": "theo", "fold": "1", "split": "train"},
        {"file": "b", "group": "lucas", "fold": "2", "split": "train"},
        {"file": "c", "sha256": "c", "split": "test"},
        {"file": "d", "sha256": "c", "split": "test"},
    )


def test_everything_is_looked_for_in_folds_too():
    clips = (
        Clip(clip="a", file="x", start=0.0, end=2.0, fold="1", sha256="s"),
        Clip(clip="b", file="x", start=1.0, end=3.0, fold="2"),
        Clip(clip="c", file="y", fold="2", sha256="s"),
        Clip(clip="d", file="z", fold="2"),
    )
    found = leakage.find(Manifest(clips), copies=[("a", "d")])
    assert {leak.kind for leak in found} == {
        *("recording", "overlap", "duplicate", "copy")
    }
    assert all("fold 1" in leak.text for leak in found)
    assert all("fold 2" in leak.text for leak in found)


def test_label_of_one_fold_alone():
    found = find(
        {"file": "a", "fold": "1", "labels": ("x",)},
        {"file": "b", "fold": "2", "labels": ("x", "y")},
        {"file": "c", "fold": "2", "labels": ("y", "z")},
        {"file": "d", "labels": ("z",)},
    )
    assert found == [("label", "label 'y' is in fold 2, but in no other")]


def test_every_clip_within_one_of_another_split_counts():
    ((kind, text),) = find(
        row("a", "train", start=0.0, end=2.0, group="x"),
        row("a", "test", start=1.0, end=9.0, group="y"),
        row("a", "test", start=1.5, end=1.6, group="y"),
        row("a", "train", start=8.0, end=8.5, group="x"),
        row("a", "train", start=9.0, end=9.5, group="x"),
    )
    assert kind == "overlap"
    assert text == (
        "clips 'c0' (train) and 'c1' (test), and 2 more clips, overlap in recording 'a'"
    )


def test_overlaps_are_found_as_by_trying_all_pairs():
    draws = np.random.default_rng(0)
    for _ in range(200):
        starts = draws.uniform(0, 10, 6)
        ends = starts + draws.exponential(1.0, 6)
        splits = draws.choice(["train", "dev", "test"], 6)
        pairs = zip(starts, ends, splits, strict=True)
        rows = [row("a", s, start=a, end=b, group=s) for a, b, s in pairs]
        expected = any(
            max(one["start"], other["start"]) < min(one["end"], other["end"])
            and one["split"] != other["split"]
            for one in rows
            for other in rows
        )
        assert expected == any(kind == "overlap" for kind, _ in find(*rows))


def test_the_first_of_every_kind_comes_first():
    rows = [
        row(f"{split}{i}", split, group=f"g{i}", labels=(split,))
        for i in range(5)
        for split in ("train", "test")
    ]
    kinds = [kind for kind, _ in find(*rows)]
    assert kinds == ["group", "label", *["group"] * 4]


def test_what_is_said_does_not_depend_on_the_order_of_clips():
    rows = [{"file": str(i), "group": "g", "fold": str(i % 3)} for i in range(9)]
    assert find(*rows) == find(*rows[::-1])
