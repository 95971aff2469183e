"""The twelve sounds: physical facts that a listener would check."""

import numpy as np
import pytest

from rehear.datasets.sounds import BELL_PARTIALS, PITCHED, SOUNDS
from rehear.datasets.synthesis import rms
from rehear.randomness import generator

RATE = 16000
EVERY = sorted(SOUNDS)


def sound(name, number, samples=RATE, rate=RATE):
    return SOUNDS[name](generator(0, "test sounds", name, number), samples, rate)


def power_spectrum(waveform):
    return np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2


def power_between(spectrum, low, high):
    return spectrum[round(low) : round(high) + 1].sum()


def share(waveform, low, high):
    spectrum = power_spectrum(waveform)  # 1 Hz a bin for one second
    return power_between(spectrum, low, high) / spectrum.sum()


def autocorrelation(waveform):
    power = np.abs(np.fft.rfft(waveform, 2 * len(waveform))) ** 2
    return np.fft.irfft(power)[: len(waveform)]


def envelope(waveform, cutoff=200):
    spectrum = np.fft.rfft(np.abs(waveform))
    spectrum[cutoff:] = 0
    return np.fft.irfft(spectrum, len(waveform))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("samples", "rate"), [(RATE, RATE), (4000, RATE), (22051, 44100), (32000, 16000)]
)
def test_every_sound_is_finite_and_audible_at_any_rate_and_length(name, samples, rate):
    for number in range(4):
        result = sound(name, number, samples, rate)
        assert result.waveform.shape == (samples,)
        assert np.isfinite(result.waveform).all()
        assert rms(result.waveform) > 1e-4


@pytest.mark.parametrize("name", EVERY)
def test_every_sound_is_deterministic_and_varies(name):
    first, again, other = sound(name, 1), sound(name, 1), sound(name, 2)
    assert (first.waveform == again.waveform).all()
    assert first.pitch == again.pitch
    assert not np.allclose(first.waveform, other.waveform)


@pytest.mark.parametrize("name", EVERY)
def test_pitch_is_given_where_there_is_one(name):
    pitches = [sound(name, number).pitch for number in range(8)]
    if name in PITCHED:
        assert len(set(pitches)) == 8
        assert all(15 < pitch < RATE / 2 for pitch in pitches)
    else:
        assert pitches == [None] * 8


@pytest.mark.parametrize("number", range(6))
def test_bell_has_its_power_at_inharmonic_partials(number):
    bell = sound("bell", number)
    spectrum = power_spectrum(bell.waveform)
    partials = [ratio * bell.pitch for ratio in BELL_PARTIALS if ratio <= 2]
    strong = [power_between(spectrum, 0.98 * f, 1.02 * f) for f in partials]
    between = [0.75, 1.1, 1.35, 1.75]
    weak = [
        power_between(spectrum, 0.98 * ratio * bell.pitch, 1.02 * ratio * bell.pitch)
        for ratio in between
    ]
    assert min(strong) > 5 * max(weak)


@pytest.mark.parametrize("number", range(8))
def test_engine_repeats_with_its_firing_period(number):
    engine = sound("engine", number)
    period = RATE / engine.pitch
    lags = np.arange(int(0.7 * period), int(1.35 * period))
    best = lags[np.argmax(autocorrelation(engine.waveform)[lags])]
    assert best == pytest.approx(period, rel=0.08)  # it drifts by some percent


@pytest.mark.parametrize("number", range(6))
def test_drone_has_its_power_at_the_multiples_of_its_blade_passing(number):
    drone = sound("drone", number)
    spectrum = power_spectrum(drone.waveform)
    for order in (1, 2, 3):
        at = order * drone.pitch
        width = 0.2 * drone.pitch
        on = power_between(spectrum, at - width, at + width)
        off = power_between(spectrum, at + 0.3 * drone.pitch, at + 0.7 * drone.pitch)
        assert on > 1.5 * off


@pytest.mark.parametrize("number", range(8))
def test_insect_is_a_high_carrier_that_is_struck_25_to_110_times_a_second(number):
    insect = sound("insect", number)
    assert share(insect.waveform, 2300, 7000) > 0.9
    modulation = power_spectrum(envelope(insect.waveform))
    rates = np.arange(20, 125)
    assert 24 <= rates[np.argmax(modulation[20:125])] <= 111


@pytest.mark.parametrize("number", range(8))
def test_bird_is_close_to_a_sine_at_its_pitch(number):
    bird = sound("bird", number)
    assert share(bird.waveform, bird.pitch / 1.6, bird.pitch * 1.6) > 0.8


@pytest.mark.parametrize("name", ["siren", "whale"])
@pytest.mark.parametrize("number", range(6))
def test_glides_stay_around_their_pitch(name, number):
    result = sound(name, number)
    frames = result.waveform[: 15 * 1024].reshape(15, 1024)
    loud = frames[np.argmax((frames**2).sum(axis=1))]
    lags = np.arange(int(RATE / result.pitch / 2.6), int(RATE / result.pitch * 2.6))
    best = lags[np.argmax(autocorrelation(loud)[lags])]
    assert 1 / 2.6 < RATE / best / result.pitch < 2.6
    normal = autocorrelation(loud)[best] / autocorrelation(loud)[0]
    assert normal > 0.6  # nothing but a tone is that periodic


def test_frog_is_pulsed_by_its_breath():
    peaks = []
    for number in range(12):
        modulation = power_spectrum(envelope(sound("frog", number).waveform))
        peaks.append(15 + np.argmax(modulation[15:75]))
    assert 17 <= np.median(peaks) <= 61


def test_barks_and_steps_are_events_with_silence_between():
    for name in ("dog", "footsteps"):
        for number in range(6):
            frames = sound(name, number).waveform[:15840].reshape(99, 160)
            power = np.sort((frames**2).sum(axis=1))
            assert power[-10:].sum() > 10 * power[:10].sum()


def test_steps_are_low_rain_is_high_and_wind_falls():
    def mean_share(name, low, high):
        return np.mean([share(sound(name, n).waveform, low, high) for n in range(12)])

    assert mean_share("footsteps", 50, 1000) > 0.5
    assert mean_share("rain", 1000, 8000) > 0.7
    assert mean_share("wind", 0, 1000) > 0.7


def test_rain_is_more_than_noise():
    # Gaussian noise has a kurtosis of 3; drops are rarer and stronger.
    kurtosis = []
    for number in range(12):
        waveform = sound("rain", number).waveform
        kurtosis.append(np.mean(waveform**4) / np.mean(waveform**2) ** 2)
    assert np.median(kurtosis) > 4
