"""Augmentations draw from the generator they get, and from nothing else."""

import inspect

import numpy as np
import pytest

from augmentations.external import LIBRARIES  # with tests of their own
from rehear.augmentations import AUGMENTATIONS
from rehear.errors import ParamsError
from rehear.randomness import generator

SPECTROGRAM = np.random.default_rng(0).standard_normal((1, 20, 30)).astype(np.float32)
BATCH = np.random.default_rng(1).standard_normal((4, 1, 20, 30)).astype(np.float32)
HOT = np.eye(4, dtype=np.float32)


def apply(name, seed, **spec):
    part = AUGMENTATIONS.build({"name": name, **spec})
    if getattr(part, "batch", False):
        return part(BATCH, HOT, generator(seed, "test"))
    return (part(SPECTROGRAM, generator(seed, "test")),)


@pytest.fixture(params=[n for n in AUGMENTATIONS.names() if n not in LIBRARIES])
def name(request):
    return request.param


def test_same_key_same_clip_and_another_key_another(name):
    first, again, other = (apply(name, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_shape_and_type_are_kept_and_the_input_is_not_changed(name):
    before = SPECTROGRAM.copy(), BATCH.copy()
    changed = apply(name, 1)[0]
    assert changed.dtype == np.float32
    assert changed.shape in (SPECTROGRAM.shape, BATCH.shape)
    assert (SPECTROGRAM == before[0]).all()
    assert (BATCH == before[1]).all()


def test_probability_zero_changes_nothing(name):
    assert (apply(name, 1, p=0.0)[0] == (SPECTROGRAM, BATCH)[name == "mixup"]).all()


def test_arguments_are_documented(name):
    for key in AUGMENTATIONS.signature(name):
        assert f"{key}:" in inspect.getdoc(AUGMENTATIONS.get(name))


def test_gain_of_6_db_doubles_the_amplitude():
    (louder,) = apply("gain", 1, low_db=6.0206, high_db=6.0206)
    np.testing.assert_allclose(louder, 2 * SPECTROGRAM, rtol=1e-5)
    with pytest.raises(ParamsError, match="low_db 3 is above high_db 1"):
        apply("gain", 1, low_db=3, high_db=1)


def test_noise_has_the_standard_deviation_asked_for():
    part = AUGMENTATIONS.build({"name": "gaussian_noise", "std": 0.2})
    noise = part(np.zeros((1, 50_000), np.float32), generator(0, "test"))
    assert noise.std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize(("name", "axis"), [("time_mask", 2), ("frequency_mask", 1)])
def test_masks_are_stripes_of_at_most_the_width(name, axis):
    widths = []
    for seed in range(50):
        (masked,) = apply(name, seed, width=7)
        changed = (masked != SPECTROGRAM).any(axis=tuple({0, 1, 2} - {axis}))
        places = np.flatnonzero(changed)
        widths.append(len(places))
        if len(places):
            assert len(places) == places[-1] - places[0] + 1
            assert np.isclose(masked.take(places, axis), SPECTROGRAM.mean()).all()
    assert max(widths) == 7
    assert min(widths) <= 1


def test_mixup_mixes_features_and_targets_alike():
    mixed, targets = apply("mixup", 3, alpha=1.0)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    expected = np.einsum("ij,j...->i...", targets, BATCH)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
