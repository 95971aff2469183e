"""Log-mel spectrograms against torchlibrosa and librosa."""

import librosa
import numpy as np
import pytest
import torch
import torchlibrosa

from rehear import audio
from rehear.errors import ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.log_mel import LogMel
from rehear.transforms.mel import mel_filters


def expected_log_mel(waveform, dtype, sample_rate=16000, **arguments):
    n_fft = arguments.get("n_fft", 512)
    spectrogram = torchlibrosa.Spectrogram(
        n_fft=n_fft, hop_length=arguments.get("hop_length", 160), win_length=n_fft
    )
    filters = torchlibrosa.LogmelFilterBank(
        sr=sample_rate,
        n_fft=n_fft,
        n_mels=arguments.get("n_mels", 64),
        fmin=arguments.get("f_min", 50),
        fmax=arguments.get("f_max", 8000),
        ref=1.0,
        amin=1e-10,
        top_db=None,
    )
    with torch.no_grad():
        power = spectrogram.to(dtype)(torch.from_numpy(waveform).to(dtype))
        return filters.to(dtype)(power)[:, 0].transpose(1, 2).numpy()


def noise(samples=16000, channels=1):
    draws = np.random.default_rng(0).normal(size=(channels, samples)) / 10
    return draws.astype(np.float32)


@pytest.mark.parametrize(
    ("sample_rate", "arguments"),
    [
        (16000, {}),
        (32000, {"n_fft": 1024, "hop_length": 320, "f_max": 14000}),
        (8000, {"n_fft": 256, "hop_length": 80, "n_mels": 40, "f_max": 4000}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_mel_equals_torchlibrosa(sample_rate, arguments, dtype):
    waveform = noise(50001, channels=2)
    got = LogMel(sample_rate=sample_rate, **arguments)(waveform)
    expected = expected_log_mel(waveform, dtype, sample_rate, **arguments)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_log_mel_of_speech_equals_torchlibrosa(recordings):
    for path in sorted((recordings / "emodb4" / "audio").iterdir())[:5]:
        waveform, rate = audio.read(path)
        got = LogMel(sample_rate=rate)(waveform)
        expected = expected_log_mel(waveform, torch.float64, rate)
        # Of a quiet frequency beside a loud one, float32 keeps less.
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_mels", "f_min", "f_max"),
    [(16000, 512, 64, 50, 8000), (22050, 2048, 128, 0, 11025), (8000, 256, 40, 0, 900)],
)
def test_mel_filters_are_librosas(sample_rate, n_fft, n_mels, f_min, f_max):
    got = mel_filters(sample_rate, n_fft, n_mels, f_min=f_min, f_max=f_max)
    expected = librosa.filters.mel(
        sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max
    )
    np.testing.assert_array_equal(got, expected)


def test_log_mel_of_silence_is_the_floor():
    got = LogMel(sample_rate=16000)(np.zeros((1, 4000), np.float32))
    assert got.shape == (1, 64, 26)
    np.testing.assert_allclose(got, -100, atol=1e-4)


def test_log_mel_rises_by_6_db_when_the_amplitude_doubles():
    transform = LogMel(sample_rate=16000)
    np.testing.assert_allclose(
        transform(2 * noise()), transform(noise()) + 20 * np.log10(2), atol=1e-4
    )


@pytest.mark.parametrize("samples", [1, 2, 100, 256, 257, 300])
def test_log_mel_takes_clips_shorter_than_a_window(samples):
    waveform = noise(samples)
    got = LogMel(sample_rate=16000)(waveform)
    padded = np.pad(waveform[0], 256, mode="reflect")
    frames = librosa.util.frame(padded, frame_length=512, hop_length=160)
    window = librosa.filters.get_window("hann", 512)[:, None]
    power = np.abs(np.fft.rfft(frames * window, axis=0)) ** 2
    mel = librosa.filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=50, fmax=8000)
    expected = 10 * np.log10(np.maximum(mel @ power, 1e-10))
    np.testing.assert_allclose(got[0], expected, rtol=1e-4, atol=1e-2)


def test_log_mel_does_not_depend_on_how_many_frames_are_done_at_once():
    waveform = noise(160 * 600)
    whole = LogMel(sample_rate=16000)(waveform)
    part = LogMel(sample_rate=16000)(waveform[:, : 160 * 100])
    np.testing.assert_allclose(whole[:, :, :90], part[:, :, :90], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"f_max": 8001}, "f_max <= 8000 Hz"),
        ({"f_min": 9000}, "f_min < f_max"),
        ({"n_fft": 511}, "n_fft even"),
        ({"hop_length": 0}, "must be positive"),
        ({"amin": 0}, "amin must be positive"),
        ({"n_mel": 64}, "Did you mean 'n_mels'"),
        ({"sample_rate": 1}, "set by the program"),
    ],
)
def test_log_mel_refuses_arguments_out_of_range(arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "log_mel", **arguments}, sample_rate=16000)


def test_log_mel_tells_of_empty_filters(caplog):
    mel_filters.cache_clear()
    LogMel(sample_rate=16000, n_mels=256)
    assert "mel filters lie between two frequencies" in caplog.text
