"""Rooms, backgrounds and recorders."""

import numpy as np
import pytest

from rehear.datasets import recorder
from rehear.datasets.recorder import Recorder
from rehear.datasets.synthesis import normalized, rms
from rehear.randomness import generator

RATE = 16000


def draws(*keys):
    return generator(0, "test recorder", *keys)


def recorded(snr, *, number=0, key=0):
    sound = draws("sound", key).standard_normal(RATE)
    return recorder.record(
        draws("record", key),
        sound,
        recorder=Recorder.draw(0, number),
        snr=snr,
        sample_rate=RATE,
    )


@pytest.mark.parametrize("snr", [-40.0, -3.0, 0.0, 12.5, 60.0])
def test_signal_to_noise_ratio_is_the_one_asked_for(snr):
    result = recorded(snr)
    measured = 20 * np.log10(rms(result.source) / rms(result.noise))
    assert measured == pytest.approx(snr, abs=1e-9)


def test_recording_is_never_clipped():
    sound = np.zeros(RATE)
    sound[5000] = 1.0  # as peaky as can be
    result = recorder.record(
        draws("peak"), sound, recorder=Recorder.draw(0, 0), snr=20, sample_rate=RATE
    )
    assert np.abs(result.waveform).max() <= recorder.CEILING + 1e-12


def test_recorder_is_drawn_from_seed_and_number_alone():
    assert Recorder.draw(3, 7) == Recorder.draw(3, 7)
    assert Recorder.draw(3, 7) != Recorder.draw(3, 8)
    assert Recorder.draw(3, 7).ripple != Recorder.draw(4, 7).ripple


def test_recorder_passes_its_band_and_colours_it():
    frequencies = np.array([1.0, 1000.0, 60000.0])
    for number in range(12):
        device = Recorder.draw(0, number)
        low, middle, high = device.response(frequencies)
        assert low < 0.1 * middle
        assert high < 0.1 * middle
        assert np.std(20 * np.log10(device.response(np.geomspace(200, 4000, 50)))) > 0.5


def test_recorder_colours_the_recording():
    spectra = []
    for number in (0, 1):
        device = Recorder.draw(0, number)
        result = recorded(60.0, number=number)
        power = np.abs(np.fft.rfft(normalized(result.source))) ** 2
        bands = power[200:4200].reshape(20, 200).mean(axis=1)
        response = device.response(np.arange(300.0, 4300.0, 200.0)) ** 2
        spectra.append((np.log(bands), np.log(response)))
    measured = spectra[0][0] - spectra[1][0]
    expected = spectra[0][1] - spectra[1][1]
    assert np.corrcoef(measured, expected)[0, 1] > 0.9


def test_room_decays_after_the_sound():
    click = np.zeros(RATE)
    click[0] = 1.0
    tail = recorder.in_room(draws("room"), click, RATE)[1:]
    power = (tail[:12000].reshape(-1, 400) ** 2).sum(axis=1)
    assert power[0] > 0
    assert power[0] > 10 * power[10]
    assert power[-1] < 1e-6 * power[0]


def test_background_varies_in_colour():
    slopes = []
    for number in range(12):
        power = np.abs(np.fft.rfft(recorder.background(draws(number), RATE, RATE))) ** 2
        low, high = power[450:1000].mean(), power[4500:7000].mean()
        slopes.append(10 * np.log10(low / high))
    assert min(slopes) < 4
    assert max(slopes) > 12
