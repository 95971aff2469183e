"""Mixes of a batch, features and targets alike."""

import numpy as np
import pytest

from rehear.augmentations import AUGMENTATIONS
from rehear.errors import DataError, ParamsError
from rehear.randomness import generator

X = np.random.default_rng(1).standard_normal((6, 2, 8, 30)).astype(np.float32)
# Every clip its own class: a mixed target says which clips are in it, and how much.
HOT = np.eye(6, dtype=np.float32)
TAGS = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]])
NUMBERS = np.random.default_rng(2).standard_normal((6, 2))


def apply(name, seed=3, x=X, targets=HOT, **spec):
    part = AUGMENTATIONS.build({"name": name, **spec})
    return part(x, targets, generator(seed, "test"))


@pytest.mark.parametrize("per_clip", [False, True])
def test_mixup_mixes_features_and_targets_alike(per_clip):
    mixed, targets = apply("mixup", alpha=1.0, per_clip=per_clip)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed, np.einsum("ij,j...->i...", targets, X), atol=1e-6)
    weights = {round(float(weight), 5) for weight in targets[targets > 0]}
    assert (len(weights) > 3) == per_clip


@pytest.mark.parametrize("per_clip", [False, True])
@pytest.mark.parametrize("region", ["time", "box"])
def test_targets_of_cutmix_are_the_areas_that_are_kept(region, per_clip):
    for seed in range(30):
        mixed, targets = apply("cutmix", seed, region=region, per_clip=per_clip)
        for row, target in zip(mixed, targets, strict=True):
            areas = [(row == clip).mean() for clip in X]
            np.testing.assert_allclose(target, areas, atol=1e-6)


@pytest.mark.parametrize("region", ["time", "box"])
def test_cutmix_replaces_one_region(region):
    mixed, targets = apply("cutmix", 5, region=region)
    assert 0 < targets.max() < 1
    for row, own in zip(mixed, X, strict=True):
        places = np.argwhere(row != own)
        if len(places):
            sides = places.max(axis=0) - places.min(axis=0) + 1
            assert np.prod(sides) == len(places)
            assert sides[0] == 2
            assert region == "box" or sides[1] == 8


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("targets", [TAGS.astype(np.float32), NUMBERS])
def test_tags_and_numbers_are_weighted_means(name, targets):
    hot = apply(name, 7)[1]
    mixed = apply(name, 7, targets=targets)[1]
    assert mixed.dtype == targets.dtype
    np.testing.assert_allclose(mixed, hot @ targets, atol=1e-6)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("per_clip", [False, True])
def test_a_batch_of_one_clip_stays(name, per_clip):
    for seed in range(9):
        mixed, targets = apply(name, seed, X[:1], HOT[:1], per_clip=per_clip)
        assert np.array_equal(mixed, X[:1])
        assert np.array_equal(targets, HOT[:1])


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_unmixed_targets_stay_as_they_are(name):
    mixed, targets = apply(name, p=0.0, targets=TAGS.astype(np.float32))
    assert np.array_equal(targets, TAGS)
    assert np.array_equal(mixed, X)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_with_a_weight_for_each_clip_some_clips_stay(name):
    stayed = [
        np.array_equal(row, own)
        for seed in range(60)
        for row, own in zip(apply(name, seed, p=0.5, per_clip=True)[0], X, strict=True)
    ]
    assert 0.5 < np.mean(stayed) < 0.75  # half, and those mixed with themselves


def test_kept_share_of_cutmix_in_time_is_uniform_for_alpha_1():
    kept = [apply("cutmix", seed)[1][:, :].max() for seed in range(400)]
    drawn = np.array(
        [apply("cutmix", s, targets=HOT)[1].diagonal() for s in range(400)]
    )
    assert abs(np.median(drawn.min(axis=1)) - 0.5) < 0.07
    assert max(kept) <= 1


def test_arguments_are_checked():
    with pytest.raises(ParamsError, match="alpha must be above 0, not 0"):
        apply("mixup", alpha=0)
    with pytest.raises(ParamsError, match="alpha must be above 0, not -1"):
        apply("cutmix", alpha=-1)
    with pytest.raises(ParamsError, match="region must be time or box, not 'square'"):
        apply("cutmix", region="square")
    with pytest.raises(DataError, match="'cutmix' takes a spectrogram"):
        apply("cutmix", x=X[:, 0, 0], region="box")
