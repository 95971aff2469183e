from dataclasses import replace

import pytest

from rehear import cautions
from rehear.manifest import Clip, Manifest
from rehear.shortcuts import Shortcut


def clips(label, split, count, *, groups=3, **fields):
    return [
        Clip(
            clip=f"{label}-{split}-{i}",
            file=f"{label}-{split}-{i}",
            labels=(label,),
            split=split,
            group=f"{split}{i % groups}" if groups else "",
            **fields,
        )
        for i in range(count)
    ]


def find(*parts, **options):
    manifest = Manifest(tuple(clip for part in parts for clip in part))
    return [(c.kind, c.text) for c in cautions.find(manifest, **options)]


BALANCED = [clips(x, s, 6) for x in "ab" for s in ("train", "dev", "test")]


def test_balanced_splits_need_no_caution():
    assert find(*BALANCED) == []


def test_label_that_dev_or_test_lacks():
    assert find(*BALANCED, clips("c", "train", 6), clips("c", "dev", 1)) == [
        ("missing", "labels in train, but not in test: 'c'")
    ]


def test_a_split_that_nobody_asked_for_lacks_nothing():
    assert find(clips("a", "train", 6), clips("a", "test", 6)) == []


def test_few_clips_to_learn_from():
    more = [clips("c", split, 4) for split in ("train", "dev", "test")]
    assert find(*BALANCED, *more) == [
        ("few", "labels with fewer than 5 clips in train: 'c' (4)")
    ]


def test_label_learnt_from_one_group():
    more = [clips("c", split, 6, groups=1) for split in ("train", "dev", "test")]
    assert find(*BALANCED, *more) == [
        ("group", "labels from a single group in train: 'c'")
    ]


def test_without_groups_nothing_is_said_of_them():
    assert find(*[clips("a", s, 6, groups=0) for s in ("train", "test")]) == []


def folds(label, *counts, groups=2):
    return [
        replace(clip, fold=str(fold))
        for fold, count in enumerate(counts, start=1)
        for clip in clips(label, "", count, groups=groups)
    ]


def regrouped(found):
    """Give every fold groups of its own."""
    return [
        replace(c, group=f"{c.fold}{c.group}", clip=f"{c.fold}{c.clip}") for c in found
    ]


def test_folds_are_looked_at_as_they_are_trained():
    even = regrouped(folds("a", 4, 4, 4))
    assert find(even) == []
    assert find(even, regrouped(folds("b", 4, 0, 4))) == [
        ("missing", "labels missing from as many of 3 folds: 'b' (1)"),
        (
            "few",
            "labels with fewer than 5 clips in the training for some fold: 'b' (4)",
        ),
    ]
    assert find(even, regrouped(folds("c", 9, 9, groups=1)), even[:0]) == [
        ("missing", "labels missing from as many of 3 folds: 'c' (1)"),
        ("group", "labels from a single group in the training for some fold: 'c'"),
    ]


def test_clips_without_a_fold_are_learnt_from_too():
    fixed = [replace(c, group="elsewhere") for c in clips("b", "train", 9)]
    fixed += [replace(c, group="there", clip=f"x{c.clip}") for c in fixed]
    even = regrouped(folds("a", 4, 4, 4)) + regrouped(folds("b", 1, 1, 1))
    texts = [text for _, text in find(even, fixed)]
    assert not any("few" in text for text in texts)


def test_only_strong_shortcuts_are_cautions():
    weak = Shortcut("level", "", "uar", 0.4, 0.1, strong=False)
    strong = replace(weak, number="duration", score=0.62, strong=True)
    ((kind, text),) = find(*BALANCED, told=[weak, strong])
    assert kind == "shortcut"
    assert text == (
        "duration alone tells the classes apart: UAR 0.62 where chance is 0.10; "
        "a model may learn it instead of the sound"
    )


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_regression_and_empty_manifests_are_fine(names):
    rows = [Clip(n, n, targets=(1.0,), split="train") for n in names]
    assert cautions.find(Manifest(tuple(rows), ("x",) if names else ())) == []


def test_long_lists_are_cut():
    rare = [clips(f"r{i}", s, 1) for i in range(9) for s in ("train", "dev", "test")]
    kinds = dict(find(*BALANCED, *rare))
    assert "'r4' (1) and 4 more" in kinds["few"]


def test_digital_silence_is_a_caution():
    clips = (
        Clip("a", "a.wav", sample_rate=8000, level=None, split="train"),
        Clip("b", "b.wav", sample_rate=8000, level=-20.0, split="train"),
        Clip("c", "c.npy", split="train"),
    )
    (found,) = cautions.find(Manifest(clips))
    assert (found.kind, found.text) == ("silence", "1 clips are digital silence: 'a'")
