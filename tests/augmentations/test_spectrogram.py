"""Masks and SpecAugment, against the paper's and torchaudio's definition."""

import numpy as np
import pytest
import torch
from torchaudio import functional

from rehear.augmentations import AUGMENTATIONS
from rehear.errors import DataError, ParamsError
from rehear.randomness import generator

X = np.random.default_rng(0).standard_normal((2, 20, 30)).astype(np.float32)
AXES = [("time_mask", 2), ("frequency_mask", 1)]


def apply(name, seed, x=X, **spec):
    return AUGMENTATIONS.build({"name": name, **spec})(x, generator(seed, "test"))


def masked(changed, axis):
    return np.flatnonzero((changed != X).all(axis=tuple({0, 1, 2} - {axis})))


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_masks_are_stripes_of_at_most_the_width(name, axis):
    widths = []
    for seed in range(60):
        changed = apply(name, seed, width=7)
        places = masked(changed, axis)
        widths.append(len(places))
        if len(places):
            assert len(places) == places[-1] - places[0] + 1
            assert np.isclose(changed.take(places, axis), X.mean()).all()
    assert (min(widths), max(widths)) == (0, 7)


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_masks_can_be_filled_with_zero(name, axis):
    changed = apply(name, 3, width=15, fill="zero")
    assert (changed.take(masked(changed, axis), axis) == 0).all()
    assert (changed == 0).any()


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_proportion_limits_the_width(name, axis):
    widths = {
        len(masked(apply(name, seed, width=30, proportion=0.1), axis))
        for seed in range(60)
    }
    assert max(widths) == int(0.1 * X.shape[axis])


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_widths_and_places_of_masks_are_distributed_as_torchaudios(name, axis):
    count, length = 3000, X.shape[axis]
    ones = np.ones((1, *X.shape[1:]), np.float32)
    part = AUGMENTATIONS.build({"name": name, "width": 7, "fill": "zero"})
    ours, theirs = np.zeros((count, length)), np.zeros((count, length))
    other = tuple({0, 1, 2} - {axis})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for seed in range(count):
            ours[seed] = (part(ones, generator(seed, "test")) == 0).all(axis=other)
            # torchaudio leaves the largest width out, the paper does not.
            changed = functional.mask_along_axis(torch.from_numpy(ones), 8, 0.0, axis)
            theirs[seed] = (changed.numpy() == 0).all(axis=other)
    widths = [np.bincount(m.sum(axis=1).astype(int)) / count for m in (ours, theirs)]
    np.testing.assert_allclose(widths[0], widths[1], atol=0.03)
    np.testing.assert_allclose(widths[0], 1 / 8, atol=0.03)
    # torchaudio rounds down, so its last frame is never masked: it is 3/4 frames off.
    places = [
        (m.sum(axis=0) * np.arange(length)).sum() / m.sum() for m in (ours, theirs)
    ]
    assert places[0] == pytest.approx(places[1] + 0.75, abs=0.5)
    assert places[0] == pytest.approx((length - 1) / 2, abs=0.25)


def test_masks_wider_than_the_clip_fit():
    widths = {len(masked(apply("time_mask", s, width=100), 2)) for s in range(200)}
    assert (min(widths), max(widths)) == (0, 30)


def test_spec_augment_is_a_warp_then_bands_then_frames():
    given = {
        "frequency_width": 5,
        "frequency_masks": 2,
        "time_width": 8,
        "time_masks": 2,
        "time_proportion": 0.2,
        "fill": "zero",
    }
    draw = generator(4, "test")
    draw.random()
    expected = AUGMENTATIONS.build({"name": "time_warp", "distance": 6}).warped(X, draw)
    expected = expected.copy()
    for axis, length, widest in ((1, 20, 5), (2, 30, 6)):
        for _ in range(2):
            width = int(draw.integers(0, widest + 1))
            start = int(draw.integers(0, length - width + 1))
            np.moveaxis(expected, axis, 0)[start : start + width] = 0
    assert np.array_equal(apply("spec_augment", 4, time_warp=6, **given), expected)


def test_spec_augment_without_warp_and_masks_changes_nothing():
    given = {"time_warp": 0, "frequency_masks": 0, "time_masks": 0}
    assert np.array_equal(apply("spec_augment", 1, **given), X)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "time_mask", "width": -1}, "width must be 0 or above, not -1"),
        ({"name": "time_mask", "count": -1}, "count must be 0 or above, not -1"),
        ({"name": "time_mask", "fill": "zeros"}, "not 'zeros'. Did you mean 'zero'"),
        ({"name": "time_mask", "proportion": 2}, "proportion must be from 0 to 1"),
        ({"name": "spec_augment", "time_warp": -3}, "distance must be 0 or above"),
    ],
)
def test_arguments_are_checked(spec, message):
    with pytest.raises(ParamsError, match=message):
        AUGMENTATIONS.build(spec)


@pytest.mark.parametrize("name", ["time_mask", "frequency_mask", "spec_augment"])
def test_other_arrays_are_refused(name):
    with pytest.raises(DataError, match=f"'{name}' takes a spectrogram"):
        apply(name, 1, np.zeros((1, 400), np.float32))
