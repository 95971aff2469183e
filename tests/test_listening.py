import base64
import io

import numpy as np
import pytest
import soundfile

from rehear import audio
from rehear.errors import AudioError
from rehear.listening import player, spectrogram
from rehear.manifest import Clip


def heard(found):
    mp3 = base64.b64decode(found["audio"].removeprefix("data:audio/mpeg;base64,"))
    return soundfile.read(io.BytesIO(mp3))


def test_player_plays_the_beginning_of_a_clip_and_no_more(tmp_path):
    time = np.arange(8 * 16000) / 16000
    tones = np.where(time < 3, np.sin(2 * np.pi * 400 * time), np.sin(9000 * time))
    audio.write(tmp_path / "a.wav", 0.5 * tones[np.newaxis], 16000)
    clip = Clip(clip="a", file="a.wav", start=1.0, end=7.0)
    waveform, rate = heard(player(clip, tmp_path, longest=2.0))
    assert len(waveform) / rate == pytest.approx(2.0, abs=0.1)
    spectrum = abs(np.fft.rfft(waveform[: 2 * rate]))
    assert spectrum.argmax() / 2 == pytest.approx(400, abs=2)


def test_player_mixes_channels_down_and_lowers_high_rates(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 48000))
    audio.write(tmp_path / "a.wav", noise, 96000)
    found = player(Clip(clip="a", file="a.wav"), tmp_path)
    waveform, rate = heard(found)
    assert (waveform.ndim, rate) == (1, 32000)
    mels, frames = found["spectrogram"]["shape"]
    values = base64.b64decode(found["spectrogram"]["values"])
    assert len(values) == mels * frames


def test_player_of_a_missing_recording_says_which(tmp_path):
    with pytest.raises(AudioError, match=r"b\.wav"):
        player(Clip(clip="b", file="b.wav"), tmp_path)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_spectrogram_of_a_tone_has_its_peak_at_the_tone(rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    image = spectrogram(tone, rate)
    assert image.dtype == np.uint8
    assert image.max() == 255
    top = 2595 * np.log10(1 + rate / 2 / 700)
    expected = 2595 * np.log10(1 + 1000 / 700) / top * 65 - 1
    assert abs(image[:, 20:-20].mean(axis=1).argmax() - expected) <= 1


@pytest.mark.parametrize("samples", [1, 7, 300, 12345, 500000])
def test_spectrogram_of_any_length_stays_small(samples):
    image = spectrogram(np.ones(samples, np.float32), 16000)
    assert image.shape[0] == 64
    assert 1 <= image.shape[1] <= 200


def test_spectrogram_of_silence_is_finite():
    assert spectrogram(np.zeros(1000, np.float32), 16000).max() == 255
