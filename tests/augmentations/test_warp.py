"""The warp, against SciPy's thin-plate spline and interpolation."""

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from rehear.augmentations.warp import TimeWarp, displacement, interpolate
from rehear.errors import DataError
from rehear.randomness import generator

X = np.random.default_rng(0).standard_normal((2, 13, 50)).astype(np.float32)


def reference(x, point, move):
    """Warp channels by SciPy; the point moves, six points stay."""
    bands, frames = x.shape[1:]
    heights = [0, (bands - 1) / 2, bands - 1]
    fixed = [(height, time) for height in heights for time in (0, frames - 1)]
    places = np.array([*fixed, ((bands - 1) / 2, point + move)], dtype=float)
    moves = np.array([0.0] * 6 + [move])
    spline = RBFInterpolator(places, moves, kernel="thin_plate_spline", degree=1)
    grid = np.stack(np.meshgrid(np.arange(bands), np.arange(frames), indexing="ij"), -1)
    moved = spline(grid.reshape(-1, 2).astype(float)).reshape(bands, frames)
    at = [grid[..., 0], grid[..., 1] - moved]
    warped = [map_coordinates(c, at, order=1, mode="nearest") for c in x]
    return moved, np.stack(warped)


@pytest.mark.parametrize(("point", "move"), [(20, 5.3), (11, -9.9), (38, 9.5), (25, 0)])
def test_displacement_and_warp_are_scipys(point, move):
    moved, warped = reference(X, point, move)
    ours = displacement(13, 50, point=point, move=move)
    np.testing.assert_allclose(ours, moved, atol=1e-7)
    np.testing.assert_allclose(interpolate(X, ours), warped, atol=1e-5)


def test_the_point_moves_and_the_ends_stay():
    moved = displacement(13, 50, point=20, move=6.0)
    assert moved[6, 26] == pytest.approx(6)
    assert moved[[0, 6, 12, 0, 6, 12], [0, 0, 0, 49, 49, 49]] == pytest.approx(0)


def test_one_band_is_stretched_piecewise():
    ramp = np.arange(50, dtype=np.float32)[None, None]
    warped = interpolate(ramp, displacement(1, 50, point=20, move=5.0))
    assert warped[0, 0, 25] == pytest.approx(20)
    assert (np.diff(warped[0, 0]) > 0).all()


def test_all_channels_are_warped_alike():
    draws = generator(1, "test")
    twice = TimeWarp(distance=10)(np.stack([X[0], X[0]]), draws)
    assert np.array_equal(twice[0], twice[1])
    assert not np.array_equal(twice[0], X[0])


def test_the_point_goes_as_far_to_the_left_as_to_the_right():
    ramp = np.tile(np.arange(50, dtype=np.float32), (1, 13, 1))
    part = TimeWarp(distance=10)
    moves = [(part(ramp, generator(s, "t")) - ramp)[0, 6] for s in range(400)]
    sides = np.array([move[np.abs(move).argmax()] for move in moves])
    assert abs((sides > 0).mean() - 0.5) < 0.08
    assert sides.min() < -9
    assert sides.max() > 9


@pytest.mark.parametrize("frames", range(1, 9))
def test_short_clips_are_warped_less_or_not_at_all(frames):
    x = X[..., :frames].copy()
    for seed in range(20):
        warped = TimeWarp(distance=80)(x, generator(seed, "test"))
        assert warped.shape == x.shape
        assert np.isfinite(warped).all()
        assert frames > 4 or np.array_equal(warped, x)


def test_refusals():
    with pytest.raises(ValueError, match="distance must be 0 or above, not -1"):
        TimeWarp(distance=-1)
    with pytest.raises(DataError, match="'time_warp' takes a spectrogram"):
        TimeWarp()(X[0], generator(1, "test"))
