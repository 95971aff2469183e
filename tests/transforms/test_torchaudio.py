"""torchaudio's transforms against calls of torchaudio itself."""

import inspect

import numpy as np
import pytest
import torch
import torchaudio

from rehear import transforms
from rehear.errors import DataError, ParamsError
from rehear.signals import SPECTROGRAM, WAVEFORM
from rehear.transforms import TRANSFORMS
from rehear.transforms import torchaudio as part


def noise(samples=16000, channels=1):
    draws = np.random.default_rng(0).normal(size=(channels, samples)) / 10
    return draws.astype(np.float32)


def spectrogram(bands=201, frames=30):
    draws = np.random.default_rng(0).exponential(size=(1, bands, frames))
    return draws.astype(np.float32)


def build(transform, sample_rate=16000, **arguments):
    spec = {"name": "torchaudio", "transform": transform, **arguments}
    return TRANSFORMS.build(spec, sample_rate=sample_rate)


def called(x, transform, *given, **arguments):
    with torch.no_grad():
        out = getattr(torchaudio.transforms, transform)(*given, **arguments)(
            torch.from_numpy(x.copy())
        )
    return (out[0] if isinstance(out, tuple) else out).float().numpy()


MELKWARGS = {"n_fft": 400, "hop_length": 160, "n_mels": 40, "center": False}
CASES = {
    "MelSpectrogram": ({"n_mels": 64, "norm": "slaney"}, {"sample_rate": 8000}),
    "MFCC": ({"n_mfcc": 13, "melkwargs": MELKWARGS}, {"sample_rate": 8000}),
    "LFCC": ({"n_lfcc": 20, "speckwargs": {"n_fft": 512}}, {"sample_rate": 8000}),
    "Spectrogram": ({"n_fft": 256, "power": 1.0}, {}),
    "SpectralCentroid": ({}, {"sample_rate": 8000}),
    "Preemphasis": ({"coeff": 0.9}, {}),
    "Deemphasis": ({}, {}),
    "Fade": ({"fade_in_len": 100, "fade_shape": "logarithmic"}, {}),
    "Vol": ({"gain": 0.5}, {}),
    "Vad": ({}, {"sample_rate": 8000}),
    "Loudness": ({}, {"sample_rate": 8000}),
    "PitchShift": ({"n_steps": 4}, {"sample_rate": 8000}),
    "Speed": ({"factor": 0.9}, {"orig_freq": 8000}),
    "Resample": ({"new_freq": 4000}, {"orig_freq": 8000}),
    "MuLawEncoding": ({}, {}),
}


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@pytest.mark.parametrize("transform", CASES)
def test_transforms_of_waveforms_equal_torchaudio(transform):
    arguments, rates = CASES[transform]
    clip = noise(9000, channels=2)
    chosen = build(transform, sample_rate=8000, **arguments)
    got = chosen(clip)
    expected = np.atleast_1d(called(clip, transform, **rates, **arguments))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert got.dtype == np.float32
    assert chosen.takes == WAVEFORM
    np.testing.assert_array_equal(clip, noise(9000, channels=2))


@pytest.mark.parametrize(
    ("transform", "arguments", "given"),
    [
        ("AmplitudeToDB", {"top_db": 40.0}, {}),
        ("ComputeDeltas", {"win_length": 9}, {}),
        ("MelScale", {"n_mels": 30}, {"sample_rate": 16000}),
        ("GriffinLim", {"rand_init": False, "n_iter": 3}, {}),
    ],
)
def test_transforms_of_spectrograms_equal_torchaudio(transform, arguments, given):
    x = spectrogram()
    chosen = build(transform, **arguments)
    expected = called(x, transform, **given, **arguments)
    np.testing.assert_allclose(chosen(x), expected, rtol=1e-4, atol=1e-6)
    assert chosen.takes == SPECTROGRAM


def test_mean_normalisation_slides_along_frames():
    x = spectrogram(bands=20, frames=300)
    got = build("SlidingWindowCmn", cmn_window=100, center=True)(x)
    turned = np.ascontiguousarray(x.swapaxes(1, 2))
    expected = called(turned, "SlidingWindowCmn", cmn_window=100, center=True)
    np.testing.assert_allclose(got, expected.swapaxes(1, 2), rtol=1e-5, atol=1e-6)


def test_windows_are_given_by_name_at_any_depth():
    got = build("Spectrogram", window_fn="hamming_window")(noise())
    expected = called(noise(), "Spectrogram", window_fn=torch.hamming_window)
    np.testing.assert_array_equal(got, expected)
    got = build("MFCC", melkwargs={**MELKWARGS, "window_fn": "blackman_window"})
    melkwargs = {**MELKWARGS, "window_fn": torch.blackman_window}
    expected = called(noise(), "MFCC", melkwargs=melkwargs)
    np.testing.assert_allclose(got(noise()), expected, rtol=1e-5, atol=1e-4)


def test_every_class_of_torchaudio_is_known():
    classes = {
        name
        for name, entry in vars(torchaudio.transforms).items()
        if inspect.isclass(entry) and issubclass(entry, torch.nn.Module)
    }
    assert classes == {*part._KINDS, *part._REFUSED}


def test_resampling_hands_its_rate_on():
    resample = {"name": "torchaudio", "transform": "Resample", "new_freq": 8000}
    chain = transforms.build([resample, "fit"], sample_rate=16000)
    assert chain(noise(32000)).shape == (1, 8000)


def test_a_wrong_order_is_refused():
    deltas = {"name": "torchaudio", "transform": "ComputeDeltas"}
    with pytest.raises(ParamsError, match="'torchaudio' takes a spectrogram"):
        transforms.build(["mono", deltas], sample_rate=16000)
    transforms.build(["mono", "log_mel", deltas], sample_rate=16000)


def test_threads_of_torch_come_back():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        build("MelSpectrogram")(noise())
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_warning_of_torchaudio_goes_to_the_log(caplog):
    build("MelSpectrogram", n_mels=256)
    assert "mel filterbank has all zero values" in caplog.text


def test_a_clip_that_torchaudio_refuses_is_told():
    chain = transforms.build(["torchaudio"], sample_rate=16000)
    with pytest.raises(DataError, match=r"MelSpectrogram of .* shape \(1, 10\)"):
        chain(noise(10))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"transform": "MFC"}, "no transform 'MFC'. Did you mean 'MFCC'"),
        ({"transform": "torch"}, "no transform 'torch'"),
        ({"transform": "_transforms"}, "no transform '_transforms'"),
        ({"transform": "MFCC", "n_mfc": 3}, "Did you mean 'n_mfcc'"),
        ({"transform": "TimeMasking"}, "augmentation time_mask"),
        ({"transform": "FrequencyMasking"}, "augmentation frequency_mask"),
        ({"transform": "SpecAugment"}, "time_mask and frequency_mask"),
        ({"transform": "AddNoise"}, "augmentation gaussian_noise"),
        ({"transform": "TimeStretch", "fixed_rate": 1.2}, "complex spectrograms"),
        ({"transform": "GriffinLim"}, "rand_init: false"),
        ({"transform": "Spectrogram", "power": None}, "power: 1 for magnitudes"),
        ({"transform": "Resample", "orig_freq": 1}, "'orig_freq' is set by the"),
        ({"transform": "Spectrogram", "window_fn": "hann"}, "Known: bartlett_window"),
        ({"transform": "Spectrogram", "n_fft": "wide"}, "transform 'torchaudio'"),
        ({"transform": "MFCC", "n_mfcc": 500}, "Cannot select more MFCC"),
        ({"transform": "PitchShift"}, "n_steps"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "torchaudio", **arguments}, sample_rate=16000)
