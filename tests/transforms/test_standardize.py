"""Statistics of the training split against numpy's two passes in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehear.errors import ParamsError
from rehear.transforms.standardize import Standardize

DRAWS = np.random.default_rng(0)
SPLITS = {
    "far from zero": [DRAWS.normal(1e4, 1, (1, 8, 50)) for _ in range(50)],
    "the first clip is silent": [
        np.full((1, 8, 50), -100.0),
        *(DRAWS.normal(-30, 10, (1, 8, 50)) for _ in range(100)),
    ],
    "the first clip is far away": [
        np.full((1, 8, 50), -1e6),
        *(DRAWS.normal(-30, 1e-3, (1, 8, 50)) for _ in range(100)),
    ],
    "clips of many lengths": [DRAWS.normal(i, 1 + i, (2, 5, 1 + i)) for i in range(60)],
    "vectors": [DRAWS.normal([0, 5, 1e5], [1, 2, 3]) for _ in range(2500)],
}


def learnt(clips):
    part = Standardize()
    part.learn(iter(clips))  # a stream: no clip is asked for twice
    return part


@pytest.mark.parametrize("name", SPLITS)
def test_statistics_are_those_of_two_passes(name):
    clips = [clip.astype(np.float32) for clip in SPLITS[name]]
    part = learnt(clips)
    frames = (
        np.stack(clips, axis=-1) if clips[0].ndim == 1 else np.concatenate(clips, -1)
    )
    frames = frames.astype(np.float64)
    shape = part.mean.shape
    mean = frames.mean(axis=-1)
    std = np.sqrt(np.square(frames - mean[..., None]).mean(axis=-1))
    np.testing.assert_allclose(part.mean, mean.reshape(shape), rtol=1e-7)
    np.testing.assert_allclose(part.scale, 1 / std.reshape(shape), rtol=1e-7)


@given(
    value=st.floats(-1e6, 1e6, width=32),
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
)
def test_a_constant_feature_becomes_zero(value, lengths):
    clips = [np.full((1, 2, n), value, np.float32) for n in lengths]
    part = learnt(clips)
    np.testing.assert_array_equal(part.scale, 0)
    np.testing.assert_array_equal(part(clips[0] + 5), 0)


def test_standardised_clips_have_mean_0_and_deviation_1():
    clips = [clip.astype(np.float32) for clip in SPLITS["the first clip is silent"]]
    part = learnt(clips)
    out = np.concatenate([part(clip) for clip in clips], axis=-1)
    np.testing.assert_allclose(out.mean(axis=-1), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=-1), 1, atol=1e-4)
    assert out.dtype == np.float32


def test_the_state_brings_the_same_numbers_back():
    part = learnt([clip.astype(np.float32) for clip in SPLITS["vectors"]])
    restored = Standardize()
    restored.restore(part.state())
    x = np.ones(3, np.float32)
    np.testing.assert_array_equal(restored(x), part(x))


def test_what_has_learnt_nothing_is_refused():
    with pytest.raises(ParamsError, match="online: true"):
        Standardize()(np.ones(3, np.float32))
    with pytest.raises(ParamsError, match="no training clips"):
        learnt([])
    assert Standardize().state() == {}
