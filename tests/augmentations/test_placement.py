"""Shifts and crops."""

import numpy as np
import pytest

from rehear.augmentations import AUGMENTATIONS
from rehear.errors import DataError, ParamsError
from rehear.randomness import generator

RAMP = np.arange(1, 11, dtype=np.float32)[None]


def build(name, rate=1000, **spec):
    return AUGMENTATIONS.build({"name": name, **spec}, sample_rate=rate)


def shifts(part, x):
    for seed in range(200):
        yield part(x, generator(seed, "test"))


@pytest.mark.parametrize("fill", ["zeros", "wrap"])
def test_shifts_go_as_far_either_way(fill):
    part = build("time_shift", seconds=0.003, fill=fill)
    expected = {}
    for shift in range(-3, 4):
        rolled = np.roll(RAMP, shift, axis=1)
        if fill == "zeros" and shift > 0:
            rolled[:, :shift] = 0
        elif fill == "zeros" and shift < 0:
            rolled[:, shift:] = 0
        expected[rolled.tobytes()] = shift
    found = [expected[moved.tobytes()] for moved in shifts(part, RAMP)]
    assert set(found) == set(range(-3, 4))
    assert abs(np.mean(found)) < 0.5


def test_spectrograms_are_shifted_by_frames():
    x = np.tile(RAMP, (2, 3, 1))
    for moved in shifts(build("time_shift", rate=0, frames=2, fill="wrap"), x):
        assert any(np.array_equal(moved, np.roll(x, n, -1)) for n in range(-2, 3))


def test_shifts_beyond_the_clip_leave_silence():
    part = build("time_shift", seconds=1.0)
    assert any((moved == 0).all() for moved in shifts(part, RAMP))


def test_what_is_shifted_follows_from_the_arguments():
    assert build("time_shift").takes == "waveform"
    assert build("time_shift", frames=3).takes == ("spectrogram", "image")
    with pytest.raises(DataError, match="'time_shift' takes a waveform"):
        build("time_shift")(np.zeros((1, 2, 3), np.float32), generator(1, "test"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "time_shift", "seconds": 1, "frames": 1}, r"or frames \(.*not both"),
        ({"name": "time_shift", "seconds": -1}, "seconds must be 0 or above"),
        ({"name": "time_shift", "frames": -1}, "frames must be 0 or above, not -1"),
        ({"name": "time_shift", "fill": "zero"}, "fill must be zeros or wrap"),
        ({"name": "time_shift", "rate": 0}, "seconds need a sample rate; give frames"),
        ({"name": "random_crop", "size": 0}, "the part is empty"),
        ({"name": "random_crop", "seconds": 1, "size": 1}, "not both"),
        ({"name": "random_crop", "pad": "wrap"}, "pad must be zeros or repeat"),
    ],
)
def test_arguments_are_checked(spec, message):
    with pytest.raises(ParamsError, match=message):
        build(**spec)


def test_crops_begin_everywhere_and_are_parts_of_the_clip():
    part = build("random_crop", seconds=0.004)
    found = {tuple(crop[0]) for crop in shifts(part, RAMP)}
    assert found == {tuple(range(n, n + 4)) for n in range(1, 8)}


def test_crops_go_along_another_axis():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for crop in shifts(build("random_crop", size=2, axis=1), x):
        assert any(np.array_equal(crop, x[:, n : n + 2]) for n in range(2))
    with pytest.raises(DataError, match="axis 3 is none of an array of shape"):
        build("random_crop", size=2, axis=3)(x, generator(1, "test"))


@pytest.mark.parametrize(
    ("pad", "expected"),
    [("zeros", [1, 2, 3, 0, 0, 0, 0]), ("repeat", [1, 2, 3] * 2 + [1])],
)
def test_short_clips_are_padded(pad, expected):
    part = build("random_crop", size=7, pad=pad)
    assert part(RAMP[:, :3], generator(1, "test")).tolist() == [expected]
