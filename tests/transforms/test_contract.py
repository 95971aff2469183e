"""What every transform keeps to, on every kind of clip that it takes."""

import contextlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehear import signals
from rehear.errors import DataError, ParamsError
from rehear.signals import ANY, FEATURES, IMAGE, SPECTROGRAM, WAVEFORM
from rehear.transforms import TRANSFORMS

EXTRAS = {
    "feature_extractor": "transformers",
    "opensmile": "opensmile",
    "spectrogram_image": "matplotlib",
}
TORCH = ("feature_extractor", "torchaudio")
# Beside the defaults of each transform, arguments that take another way.
SPECS = [
    *TRANSFORMS.names(),
    {"name": "expand", "seconds": 3.0, "mode": "repeat"},
    {"name": "expand", "size": 70, "axis": 1},
    {"name": "feature_extractor", "model": "wav2vec2"},
    {"name": "feature_extractor", "model": "whisper", "chunk_length": 1},
    {"name": "mel", "mel_scale": "htk", "norm": "none"},
    {"name": "decibel", "top_db": 80},
    {"name": "opensmile", "level": "lld"},
    {"name": "opensmile", "feature_set": "IS09", "level": "lld", "deltas": True},
    {"name": "resample", "rate": 11025},
    {"name": "resize", "height": None, "interpolation": "nearest"},
    {"name": "resize", "width": 7, "interpolation": "bicubic", "antialias": False},
    {"name": "spectrogram_image", "colormap": "none"},
    {"name": "square", "mode": "crop"},
    {"name": "torchaudio", "transform": "MFCC"},
    {"name": "torchaudio", "transform": "ComputeDeltas"},
    {"name": "torchaudio", "transform": "SlidingWindowCmn"},
    {"name": "torchaudio", "transform": "Resample", "new_freq": 4000},
]
RATES = (8000, 16000)


def built(spec, rate):
    name = spec if isinstance(spec, str) else spec["name"]
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    full = {"name": spec} if isinstance(spec, str) else dict(spec)
    if rate == 8000:
        full |= {"log_mel": {"f_max": 4000}}.get(name, {})
        full |= {"feature_extractor": {"sampling_rate": 8000}}.get(name, {})
    part = TRANSFORMS.build(full, sample_rate=rate)
    if name == "standardize":
        part.learn([np.ones(1, np.float32)])
    return part


def waveforms():
    for channels in (1, 2):
        for samples in (1, 10, 400, 5000):
            draws = np.random.default_rng(samples).normal(size=(channels, samples))
            yield (draws / 10).astype(np.float32)
            yield np.zeros((channels, samples), np.float32)


def pictures():
    for shape in ((1, 64, 101), (2, 40, 1), (3, 9, 30), (4, 1, 1), (1, 201, 12)):
        draws = np.random.default_rng(0).random(shape, np.float32)
        yield draws
        yield (draws * 255).astype(np.uint8)
        yield np.zeros(shape, np.float32)


def vectors():
    yield np.random.default_rng(0).random(88, np.float32)
    yield np.zeros(1, np.float32)
    yield np.ones((5, 7), np.float32)


def clips(part):
    makers = {WAVEFORM: waveforms, SPECTROGRAM: pictures, IMAGE: pictures}
    kinds = signals.taken(part)
    if ANY in kinds:
        kinds = (WAVEFORM, IMAGE, FEATURES)
    for maker in {makers.get(kind, vectors): None for kind in kinds}:
        yield from maker()


def outcome(part, x):
    """Return what a part makes of a clip, or ``None`` where it refuses it."""
    with contextlib.suppress(DataError):
        return part(x)
    return None


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_contract_holds(spec, rate):
    part, accepted = built(spec, rate), 0
    for x in clips(part):
        before = x.copy()
        x.setflags(write=False)  # as features of a store are
        got = outcome(part, x)
        np.testing.assert_array_equal(x, before)
        if got is None:
            continue
        accepted += 1
        assert got.dtype in (np.float32, np.uint8)
        assert got.size > 0
        assert np.isfinite(got).all()
        np.testing.assert_array_equal(part(x), got)
        gives = getattr(part, "gives", ANY)
        if gives in (WAVEFORM, SPECTROGRAM, IMAGE):
            assert got.ndim == signals._DIMENSIONS[gives]
    assert accepted > 0


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_clips_before_change_nothing(spec):
    """A part keeps nothing of the clips that it had."""
    part = built(spec, 16000)
    some = [x for x in clips(part) if outcome(part, x) is not None]
    fresh = built(spec, 16000)
    for x in reversed(some):
        np.testing.assert_array_equal(fresh(x), part(x))


SHAPES = {
    "mono": lambda c, n: (1, n),
    "fit": lambda c, n: (c, 16000),
    "expand": lambda c, n: (c, max(n, 16000)),
    "resample": lambda c, n: (c, -(-n // 2)),
    "log_mel": lambda c, n: (c, 64, 1 + n // 160),
    "mel": lambda c, n: (c, 64, 1 + n // 160),
    "mfcc": lambda c, n: (c, 13, 1 + n // 160),
    "scale": lambda c, n: (c, n),
    "normalize": lambda c, n: (c, n),
}
PICTURES = {
    "decibel": lambda c, h, w: (c, h, w),
    "pcen": lambda c, h, w: (c, h, w),
    "cepstrum": lambda c, h, w: (c, 13, w),
    "grey": lambda c, h, w: (1, h, w),
    "rgb": lambda c, h, w: (3, h, w),
    "square": lambda c, h, w: (c, max(h, w), max(h, w)),
    "resize": lambda c, h, w: (c, 64, 64),
    "spectrogram_image": lambda c, h, w: (3, 224, 224),
    "scale": lambda c, h, w: (c, h, w),
    "normalize": lambda c, h, w: (c, h, w),
}
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("name", SHAPES)
@quick
@given(channels=st.integers(1, 3), samples=st.integers(1, 40000), loud=st.booleans())
def test_shapes_of_waveforms_are_those_of_the_docstring(name, channels, samples, loud):
    x = np.full((channels, samples), loud, np.float32)
    got = built(name, 16000)(x)
    assert got.shape == SHAPES[name](channels, samples)


@pytest.mark.parametrize("name", PICTURES)
@quick
@given(
    channels=st.sampled_from([1, 3, 4]),
    height=st.integers(13, 80),
    width=st.integers(1, 150),
    seed=st.integers(0, 9),
)
def test_shapes_of_pictures_are_those_of_the_docstring(
    name, channels, height, width, seed
):
    channels = 1 if name == "spectrogram_image" else channels
    x = np.random.default_rng(seed).random((channels, height, width), np.float32)
    got = built(name, 16000)(x)
    assert got.shape == PICTURES[name](channels, height, width)
    assert np.isfinite(got).all()


def test_every_transform_but_two_works_without_torch():
    names = [n for n in TRANSFORMS.names() if n not in (*TORCH, *EXTRAS)]
    code = (
        "import sys\n"
        "from rehear.transforms import TRANSFORMS\n"
        f"for name in {names}: TRANSFORMS.build(name, sample_rate=16000)\n"
        "print([name for name in ('torch', 'scipy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", TRANSFORMS.names())
def test_an_unknown_argument_is_refused(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    with pytest.raises(ParamsError, match="has no argument 'colour'"):
        TRANSFORMS.build({"name": name, "colour": 1}, sample_rate=16000)
