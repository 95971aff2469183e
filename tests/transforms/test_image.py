"""Transforms of images against torchvision."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torchvision.transforms import v2

from rehear.errors import DataError, ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.image import Grey, Resize, Rgb, Square

MODES = {
    mode: v2.InterpolationMode(mode) for mode in ("bilinear", "bicubic", "nearest")
}


def image(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def expected_resize(x, height, width, interpolation, antialias):
    return v2.functional.resize(
        torch.from_numpy(x),
        [height, width],
        interpolation=MODES[interpolation],
        antialias=antialias,
    ).numpy()


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((40, 60), (64, 64)),
        ((64, 101), (224, 224)),
        ((200, 300), (64, 33)),
        ((33, 7), (7, 33)),
        ((1, 50), (20, 20)),
        ((9, 9), (2, 3)),
    ],
)
def test_resize_equals_torchvision(interpolation, antialias, before, after):
    x = image(3, *before)
    resize = Resize(
        height=after[0],
        width=after[1],
        interpolation=interpolation,
        antialias=antialias,
    )
    got = resize(x)
    expected = expected_resize(x, *after, interpolation, antialias)
    assert got.dtype == np.float32
    # torch computes positions in float32.
    tolerance = 1e-5 if antialias else 1e-4
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


@given(
    # Of images one pixel wide, torch repeats the first pixel with antialias.
    sides=st.tuples(*[st.integers(2, 40)] * 4),
    interpolation=st.sampled_from(list(MODES)),
    antialias=st.booleans(),
)
@example(sides=(39, 2, 33, 2), interpolation="nearest", antialias=False)
def test_resize_of_any_size_equals_torchvision(sides, interpolation, antialias):
    x = image(1, *sides[:2])
    resize = Resize(
        height=sides[2],
        width=sides[3],
        interpolation=interpolation,
        antialias=antialias,
    )
    expected = expected_resize(x, *sides[2:], interpolation, antialias)
    np.testing.assert_allclose(resize(x), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("interpolation", MODES)
def test_resize_of_whole_numbers_is_torchvisions_but_for_rounding(interpolation):
    x = np.random.default_rng(0).integers(0, 256, (3, 50, 70)).astype(np.uint8)
    got = Resize(height=32, width=90, interpolation=interpolation)(x)
    expected = expected_resize(x, 32, 90, interpolation, True)
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1


def test_a_side_that_is_not_given_is_kept():
    x = image(2, 10, 20)
    assert Resize(height=None, width=5)(x).shape == (2, 10, 5)
    assert Resize(height=5, width=None)(x).shape == (2, 5, 20)
    np.testing.assert_array_equal(Resize(height=None, width=None)(x), x)


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_equals_torchvision(channels):
    x = image(channels, 12, 13)
    expected = v2.functional.rgb_to_grayscale(torch.from_numpy(x[:3])).numpy()
    np.testing.assert_allclose(Grey()(x), expected, rtol=0, atol=1e-6)


def test_grey_of_whole_numbers_equals_torchvision():
    levels = np.arange(0, 256, 15, np.uint8)
    x = np.array(list(itertools.product(levels, repeat=3)), np.uint8).T[:, None]
    expected = v2.functional.rgb_to_grayscale(torch.from_numpy(x)).numpy()
    got = Grey()(x)
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1
    assert (got == expected).mean() > 0.99


def test_rgb_repeats_one_channel_and_leaves_out_opacity():
    x = image(4, 5, 6)
    np.testing.assert_array_equal(Rgb()(x[:1]), np.stack([x[0]] * 3))
    np.testing.assert_array_equal(Rgb()(x), x[:3])
    np.testing.assert_array_equal(Rgb()(x[:3]), x[:3])
    np.testing.assert_array_equal(Grey()(x[:1]), x[:1])


@pytest.mark.parametrize("part", [Rgb(), Grey()])
@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_refused(part, channels):
    with pytest.raises(DataError, match="1, 3 or 4 channels"):
        part(image(channels, 3, 3))


@pytest.mark.parametrize(
    ("shape", "side"), [((2, 5, 8), 8), ((2, 8, 5), 8), ((1, 4, 4), 4)]
)
def test_square_pads_around_the_image(shape, side):
    x = image(*shape)
    got = Square()(x)
    assert got.shape == (shape[0], side, side)
    top, left = (side - shape[1]) // 2, (side - shape[2]) // 2
    inside = got[:, top : top + shape[1], left : left + shape[2]]
    np.testing.assert_array_equal(inside, x)
    assert np.count_nonzero(got) == np.count_nonzero(x)


@pytest.mark.parametrize("shape", [(2, 6, 8), (2, 8, 4), (3, 5, 9)])
def test_square_crops_as_torchvision(shape):
    x = image(*shape)
    side = min(shape[1:])
    expected = v2.functional.center_crop(torch.from_numpy(x), [side, side]).numpy()
    np.testing.assert_array_equal(Square(mode="crop")(x), expected)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"name": "resize", "height": 0}, "height must be positive or null"),
        ({"name": "resize", "interpolation": "cubic"}, "interpolation must be one of"),
        ({"name": "square", "mode": "fit"}, "mode must be pad or crop"),
    ],
)
def test_arguments_out_of_range_are_refused(spec, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build(spec, sample_rate=16000)
