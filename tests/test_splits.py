import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehear import leakage, splits
from rehear.errors import DataError
from rehear.manifest import SPLITS, Clip, Manifest, read, write


def make(labels, groups=None, **fields):
    groups = groups or [""] * len(labels)
    return Manifest(
        tuple(
            Clip(clip=f"c{i}", file=f"{i}.wav", labels=(label,), group=group, **fields)
            for i, (label, group) in enumerate(zip(labels, groups, strict=True))
        )
    )


def split_of(manifest):
    return {clip.clip: clip.split for clip in manifest}


def draw(manifest, dev=0.15, test=0.15, seed=0):
    return splits.draw(manifest, dev=dev, test=test, seed=seed)


@given(
    groups=st.lists(st.integers(0, 30), min_size=3, max_size=200),
    seed=st.integers(0, 5),
    data=st.data(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_groups_are_never_shared_and_no_split_is_empty(groups, seed, data):
    if len(set(groups)) < 3:
        groups = [0, 1, 2, *groups]
    labels = [data.draw(st.sampled_from("abc")) for _ in groups]
    drawn = draw(make(labels, [f"g{g}" for g in groups]), seed=seed)
    of_group = {}
    for clip in drawn:
        of_group.setdefault(clip.group, set()).add(clip.split)
    assert all(len(found) == 1 for found in of_group.values())
    assert {clip.split for clip in drawn} == set(SPLITS)


@given(seed=st.integers(0, 1000), size=st.integers(20, 300))
@settings(max_examples=30, deadline=None)
def test_labels_are_spread_evenly_without_groups(seed, size):
    labels = ["rare"] * 20 + ["often"] * size
    drawn = draw(make(labels), seed=seed)
    for label in ("rare", "often"):
        n = labels.count(label)
        counts = Counter(clip.split for clip in drawn if clip.labels == (label,))
        assert abs(counts["dev"] - 0.15 * n) <= 1
        assert abs(counts["test"] - 0.15 * n) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_order_of_files_does_not_matter(seed):
    generator = np.random.Generator(np.random.Philox(seed))
    labels = [str(x) for x in generator.integers(4, size=200)]
    groups = [f"g{x}" for x in generator.integers(17, size=200)]
    manifest = make(labels, groups)
    shuffled = [manifest.clips[i] for i in generator.permutation(200)]
    assert split_of(draw(manifest, seed=seed)) == split_of(
        draw(Manifest(tuple(shuffled)), seed=seed)
    )


def test_another_seed_is_another_division():
    manifest = make(list("ab") * 50)
    drawn = [split_of(draw(manifest, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_shares_hold_with_few_groups_of_different_size():
    groups = [f"g{i}" for i in range(12) for _ in range(10 + 5 * i)]
    drawn = draw(make([str(i % 3) for i in range(len(groups))], groups))
    counts = Counter(clip.split for clip in drawn)
    assert abs(counts["dev"] / len(groups) - 0.15) < 0.05
    assert abs(counts["test"] / len(groups) - 0.15) < 0.05


@pytest.mark.parametrize("seed", range(10))
def test_label_of_one_group_is_for_training(seed):
    groups = [f"g{i}" for i in range(6) for _ in range(10)]
    labels = ["only here" if g == "g3" else "all" for g in groups]
    drawn = draw(make(labels, groups), seed=seed)
    assert not [leak for leak in leakage.find(drawn) if leak.kind == "label"]


def test_three_groups_are_one_for_each_split():
    drawn = draw(make(["a"] * 9, ["x"] * 5 + ["y"] * 3 + ["z"]))
    assert len({(clip.group, clip.split) for clip in drawn}) == 3


def test_two_groups_for_three_splits_are_refused():
    manifest = make(["a"] * 4, ["x", "y"] * 2)
    with pytest.raises(DataError, match=r"2 groups \(x, y\).*into 3 parts"):
        draw(manifest)
    assert {clip.split for clip in draw(manifest, dev=0)} == {"train", "test"}


def test_parts_of_one_recording_stay_together():
    clips = [
        Clip(clip=f"{file}-{i}", file=f"{file}.wav", start=i, end=i + 1, labels=("a",))
        for file in range(10)
        for i in range(5)
    ]
    assert leakage.find(draw(Manifest(tuple(clips)))) == []


def test_identical_recordings_stay_together():
    clips = [
        replace(clip, sha256=str(i % 10))
        for i, clip in enumerate(make(["a"] * 40, [f"g{i // 2}" for i in range(40)]))
    ]
    for seed in range(5):
        assert leakage.find(draw(Manifest(tuple(clips)), seed=seed)) == []


def test_copies_stay_together():
    copies = [(f"c{i}", f"c{i + 20}") for i in range(20)]
    manifest = splits.link(make(["a"] * 40), copies)
    for seed in range(5):
        drawn = splits.draw(manifest, dev=0.2, test=0.2, seed=seed)
        folded = splits.draw_folds(drawn, 4, seed=seed)
        assert leakage.find(folded, copies=copies) == []


def test_copies_stay_together_in_every_run_of_cross_validation(tmp_path):
    copies = [(f"c{i}", f"c{i + 20}") for i in range(20)]
    linked = splits.link(make(["a"] * 40), copies)
    path = tmp_path / "manifest.csv"
    write(path, splits.draw_folds(linked, 4, seed=0))
    for seed in range(5):
        for fold in "1234":
            run = splits.for_fold(read(path), fold, dev=0.25, seed=seed)
            assert leakage.find(replace_folds(run), copies=copies) == []


def replace_folds(manifest):
    """Return the splits of a run, as if there were no folds."""
    return Manifest(tuple(replace(clip, fold="") for clip in manifest))


def test_link_names_the_first_of_all_copies():
    clips = [
        replace(clip, sha256=digest)
        for clip, digest in zip(make(["a"] * 6), "xxyzzw", strict=True)
    ]
    # c0 and c1 are identical, and so are c3 and c4: one of each is in the pairs.
    linked = splits.link(
        Manifest(tuple(clips)), [("c2", "c3"), ("c0", "c2"), ("c5", "-")]
    )
    assert [clip.copies for clip in linked] == ["c0"] * 5 + [""]
    assert splits.link(linked, []) is linked


def test_regression_targets_are_spread_evenly():
    values = np.random.Generator(np.random.Philox(1)).gamma(1.0, size=300)
    clips = tuple(
        Clip(clip=str(i), file=f"{i}", targets=(float(v), -float(v)))
        for i, v in enumerate(values)
    )
    drawn = draw(Manifest(clips, ("x", "y")))
    high = Counter(c.split for c in drawn if c.targets[0] > np.quantile(values, 0.8))
    assert abs(high["test"] - 9) <= 2
    assert abs(high["dev"] - 9) <= 2


def test_tags_are_spread_evenly():
    generator = np.random.Generator(np.random.Philox(2))
    chances = {"often": 0.5, "seldom": 0.1, "rare": 0.03}
    clips = tuple(
        Clip(
            clip=str(i),
            file=str(i),
            labels=tuple(t for t, p in chances.items() if generator.random() < p),
        )
        for i in range(1000)
    )
    drawn = draw(Manifest(clips))
    for tag in chances:
        counts = Counter(clip.split for clip in drawn if tag in clip.labels)
        assert abs(counts["test"] - 0.15 * counts.total()) <= 2


def test_given_splits_stay():
    manifest = make(["a"] * 3)
    clips = [replace(c, split=s) for c, s in zip(manifest, SPLITS, strict=True)]
    assert draw(Manifest(tuple(clips))).clips == tuple(clips)


def test_missing_dev_is_drawn_from_train():
    clips = [
        replace(clip, split="test" if i < 20 else "train")
        for i, clip in enumerate(
            make(["a", "b"] * 50, [f"{'gt'[i < 20]}{i % 20}" for i in range(100)])
        )
    ]
    drawn = draw(Manifest(tuple(clips)))
    counts = Counter(clip.split for clip in drawn)
    assert counts["test"] == 20
    assert 8 <= counts["dev"] <= 16
    assert not {c.group for c in drawn if c.split == "dev"} & {
        c.group for c in drawn if c.split == "train"
    }


def test_half_given_splits_are_refused():
    first, *rest = make(["a"] * 5)
    with pytest.raises(DataError, match="'c1' has no split"):
        draw(Manifest((replace(first, split="train"), *rest)))


def test_splits_without_train_are_refused():
    with pytest.raises(DataError, match="no clip is for training"):
        draw(make(["a"] * 5, split="test"))


def test_folds_without_splits_stay():
    manifest = make(["a"] * 5, fold="1")
    assert draw(manifest) == manifest


def test_folds_are_of_equal_size_and_share_no_group():
    manifest = make(list("ab") * 60, [f"g{i // 4}" for i in range(120)])
    drawn = splits.draw_folds(manifest, 5, seed=0)
    assert Counter(clip.fold for clip in drawn) == dict.fromkeys("12345", 24)
    assert leakage.find(drawn) == []
    assert splits.draw_folds(manifest, 0, seed=0) == manifest


def test_more_folds_than_groups_are_refused():
    with pytest.raises(DataError, match="into 5 parts"):
        splits.draw_folds(make(["a"] * 6, list("xyz") * 2), 5, seed=0)
    with pytest.raises(DataError, match=r"fetch\.split\.folds is 1"):
        splits.draw_folds(make(["a"] * 6), 1, seed=0)


def test_fold_is_tested_and_dev_comes_from_the_rest():
    manifest = make(list("ab") * 60, [f"g{i // 4}" for i in range(120)])
    manifest = splits.draw_folds(manifest, 5, seed=0)
    run = splits.for_fold(manifest, "3", dev=0.2, seed=0)
    for clip, before in zip(run, manifest, strict=True):
        assert (clip.split == "test") == (before.fold == "3")
    assert abs(Counter(clip.split for clip in run)["dev"] - 0.2 * 96) <= 4
    assert not [leak for leak in leakage.find(run) if leak.kind == "group"]
    assert {c.split for c in splits.for_fold(manifest, "3", dev=0, seed=0)} == {
        "train",
        "test",
    }


def test_clips_held_out_of_cross_validation_are_left_out():
    manifest = make(["a"] * 10)
    folds = ["1", "1", "2", "2", "3", "3", "", "", "", ""]
    given_splits = ["", "", "", "", "", "", "train", "test", "dev", ""]
    clips = [
        replace(clip, fold=fold, split=split)
        for clip, fold, split in zip(manifest, folds, given_splits, strict=True)
    ]
    run = splits.for_fold(Manifest(tuple(clips)), "1", dev=0, seed=0)
    assert [clip.clip for clip in run if clip.split == "test"] == ["c0", "c1"]
    assert [clip.clip for clip in run if clip.split == "train"] == [
        *("c2", "c3", "c4", "c5", "c6", "c9")
    ]


def test_unknown_fold_and_missing_splits_are_named():
    manifest = make(["a"] * 4, fold="theo")
    with pytest.raises(DataError, match="unknown fold 'teo'.*'theo'"):
        splits.for_fold(manifest, "teo", dev=0.1, seed=0)
    with pytest.raises(DataError, match=r"set folds: \[theo\]"):
        splits.for_fold(manifest, "none", dev=0.1, seed=0)
    manifest = make(["a"] * 4, split="train")
    assert splits.for_fold(manifest, "none", dev=0.1, seed=0) == manifest
    with pytest.raises(DataError, match=r"fetch\.split\.folds"):
        splits.for_fold(manifest, "1", dev=0.1, seed=0)


def test_many_clips_take_seconds():
    generator = np.random.Generator(np.random.Philox(3))
    labels = [str(x) for x in generator.integers(50, size=20_000)]
    manifest = make(labels)
    start = time.process_time()
    draw(manifest)
    assert time.process_time() - start < 8


def test_a_protocol_on_known_speakers_keeps_all_of_them_in_training():
    clips = tuple(
        Clip(
            f"{speaker}-{label}-{number}",
            f"{speaker}-{label}-{number}.wav",
            labels=(str(label),),
            split="test" if number == 0 else "train",
            group=speaker,
        )
        for speaker in ("ann", "bob", "eve")
        for label in range(3)
        for number in range(10)
    )
    drawn = splits.draw(Manifest(clips), dev=0.2, test=0.2, seed=0)
    found = {split: {c.group for c in drawn if c.split == split} for split in SPLITS}
    assert found == {key: {"ann", "bob", "eve"} for key in SPLITS}
    assert {c.clip for c in drawn if c.split == "test"} == {
        c.clip for c in clips if c.split == "test"
    }
