"""Building blocks of synthesised sound, against formulas and numpy's own."""

import numpy as np
import pytest

from rehear.datasets import synthesis
from rehear.randomness import generator

RATE = 16000


def draws(*keys):
    return generator(0, "test synthesis", *keys)


def power_spectrum(waveform):
    return np.abs(np.fft.rfft(waveform)) ** 2  # 1 Hz a bin for one second


def test_normalized_has_unit_power_and_keeps_silence():
    assert synthesis.rms(synthesis.normalized(np.arange(5.0))) == pytest.approx(1)
    assert not synthesis.normalized(np.zeros(4)).any()


def test_six_decibels_double_the_amplitude():
    assert synthesis.gain(6.0206) == pytest.approx(2.0, rel=1e-5)


def test_log_uniform_draws_every_octave_as_often():
    g = draws("octaves")
    octaves = np.log2([synthesis.log_uniform(g, 100, 1600) / 100 for _ in range(4000)])
    counts, _ = np.histogram(octaves, bins=4, range=(0, 4))
    assert counts.sum() == 4000
    assert counts.min() > 900


def test_harmonics_are_at_the_multiples_with_their_amplitudes():
    tone = synthesis.harmonics(np.full(RATE, 500.0), [1.0, 0.0, 0.5], RATE)
    amplitude = 2 * np.sqrt(power_spectrum(tone)) / RATE
    assert amplitude[500] == pytest.approx(1.0)
    assert amplitude[1500] == pytest.approx(0.5)
    amplitude[[500, 1500]] = 0
    assert amplitude.max() < 1e-9


def test_harmonics_do_not_fold_back():
    tone = synthesis.harmonics(np.full(RATE, 3000.0), [1.0] * 9, RATE)
    spectrum = power_spectrum(tone)
    assert np.flatnonzero(spectrum > 1.0).tolist() == [3000, 6000]


def test_glide_sounds_at_its_frequency():
    frequency = np.linspace(400.0, 800.0, RATE)
    tone = synthesis.harmonics(frequency, [1.0], RATE)
    crossings = np.count_nonzero(np.diff(np.signbit(tone)))
    assert crossings == pytest.approx(2 * 600, abs=2)


def test_pitch_is_the_mean_over_octaves_of_what_is_heard():
    frequency = np.array([100.0, 400.0, 5000.0])
    assert synthesis.pitch_of(frequency, np.array([1.0, 1.0, 0.0])) == pytest.approx(
        200.0
    )


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 2.0])
def test_noise_has_the_slope(slope):
    waveform = synthesis.noise(draws("slope"), 8 * RATE, RATE, slope=slope)
    assert synthesis.rms(waveform) == pytest.approx(1.0)
    power = power_spectrum(waveform)[: 4 * 8000].reshape(-1, 8).mean(axis=1)
    frequency = np.arange(len(power)) + 0.5
    band = slice(100, 3900)
    measured, _ = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)
    assert measured == pytest.approx(-slope, abs=0.05)


def test_noise_of_an_odd_length():
    assert len(synthesis.noise(draws("odd"), 1001, RATE, slope=1.0)) == 1001


def test_wander_is_smooth_and_near_unit_deviation():
    curve = synthesis.wander(draws("wander"), 60 * RATE, RATE, 5.0)
    assert len(curve) == 60 * RATE
    assert abs(curve.mean()) < 0.2
    assert 0.6 < curve.std() < 1.1  # less than 1 between the knots
    assert np.abs(np.diff(curve)).max() < 0.005


def test_edges_rise_stay_and_fall():
    curve = synthesis.edges(100, 10, 20)
    assert curve[0] < 0.01
    assert (curve[10:80] == 1).all()
    assert curve[-1] < 0.01
    assert (np.diff(curve[:10]) > 0).all()
    assert (np.diff(curve[80:]) < 0).all()
    assert len(synthesis.edges(5, 50, 50)) == 5


@pytest.mark.parametrize("least", [1, 2, 16000, 17000, 24577])
def test_fast_length_is_long_enough_and_not_much_longer(least):
    length = synthesis.fast_length(least)
    assert least <= length <= 1.25 * least + 1
    while length % 2 == 0:
        length //= 2
    assert length in (1, 3, 5, 9, 15)


def test_filter_scales_a_tone_by_its_response_without_delay():
    tone = np.sin(2 * np.pi * 1000 * synthesis.times(RATE, RATE))
    half = synthesis.filtered(tone, RATE, lambda f: np.where(f < 2000, 0.5, 1.0))
    middle = slice(4000, 12000)
    assert half[middle] == pytest.approx(0.5 * tone[middle], abs=2e-3)


def test_filter_works_on_each_channel():
    both = draws("channels").standard_normal((2, 1000))
    result = synthesis.filtered(both, RATE, lambda f: 1 / (1 + f / 100))
    alone = synthesis.filtered(both[1], RATE, lambda f: 1 / (1 + f / 100))
    assert result[1] == pytest.approx(alone)


def test_convolution_equals_numpys():
    g = draws("convolve")
    waveform, kernel = g.standard_normal(1000), g.standard_normal(77)
    expected = np.convolve(waveform, kernel)[:1000]
    assert synthesis.convolved(waveform, kernel) == pytest.approx(expected)


def test_resonance_is_1_at_its_centre_and_3_db_less_at_its_edges():
    frequencies = np.array([950.0, 1000.0, 1050.0])
    curve = synthesis.resonances(frequencies, [1000.0], [100.0])
    assert curve == pytest.approx([np.sqrt(0.5), 1.0, np.sqrt(0.5)])


def test_modes_decay_to_1_over_e():
    body = synthesis.modes(
        RATE, RATE, frequencies=[1000.0, 9000.0], decays=[0.1, 1], amplitudes=[2.0, 1]
    )
    peaks = np.abs(body).reshape(-1, 160).max(axis=1)  # every 10 ms
    assert peaks[10] / peaks[0] == pytest.approx(np.exp(-1), rel=1e-3)
    assert 1.7 < peaks[0] < 2.0  # so the one above the highest frequency is left out


def test_pulses_share_their_height_and_leave_out_what_is_outside():
    train = synthesis.pulses([-0.1, 2.25 / RATE, 1.0], [9.0, 4.0, 9.0], 10, RATE)
    assert train[[2, 3]] == pytest.approx([3.0, 1.0])
    assert train.sum() == pytest.approx(4.0)


def test_events_are_cut_at_both_ends():
    canvas = np.zeros(4)
    synthesis.place(canvas, np.array([1.0, 2.0, 3.0]), -1)
    synthesis.place(canvas, np.array([5.0, 6.0]), 3)
    synthesis.place(canvas, np.array([7.0]), 9)
    assert canvas.tolist() == [2.0, 3.0, 0.0, 5.0]


def test_beats_keep_their_period():
    onsets = np.array(list(synthesis.beats(draws("beats"), 10.0, 0.5)))
    assert np.diff(onsets) == pytest.approx(0.5)
    assert onsets[0] < 0.5
    assert 9.5 <= onsets[-1] < 10.0


def test_beats_sound_in_every_clip_even_if_slower_than_it():
    for number in range(50):
        assert list(synthesis.beats(draws("slow", number), 0.25, 3.0, jitter=0.5))
