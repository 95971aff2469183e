import numpy as np
import pytest

from rehear import audio
from rehear.prints import Prints, spectral_print


def sound(seed, seconds=2.0, rate=16000):
    """Return tones that begin and end here and there, in a little noise."""
    generator = np.random.Generator(np.random.Philox(seed))
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.01 * generator.standard_normal(len(time))
    for _ in range(round(20 * seconds)):
        begin, length = generator.uniform(0, seconds), generator.uniform(0.05, 0.3)
        tone = np.sin(2 * np.pi * generator.uniform(150, 3500) * time)
        wave += 0.1 * tone * ((time >= begin) & (time < begin + length))
    return wave[None].astype(np.float32)


def share(one, other):
    """Return how many of one's peaks are in the other."""
    return len(set(one.tolist()) & set(other.tolist())) / len(one)


@pytest.mark.parametrize("change", [lambda x: 0.1 * x, lambda x: -x])
def test_level_and_polarity_change_no_peak(change):
    wave = sound(1)
    assert share(spectral_print(wave, 16000), spectral_print(change(wave), 16000)) == 1


def test_mixed_channels_have_the_peaks_of_their_mean():
    wave = sound(2)
    both = np.repeat(wave, 3, axis=0)
    assert share(spectral_print(wave, 16000), spectral_print(both, 16000)) > 0.99


def test_peaks_below_the_lower_rate_stay():
    wave = sound(3)
    low = spectral_print(audio.resample(wave, 16000, 8000), 8000)
    assert share(low, spectral_print(wave, 16000)) > 0.8


def test_other_sounds_have_other_peaks():
    one, other = spectral_print(sound(4), 16000), spectral_print(sound(5), 16000)
    assert share(one, other) < 0.2


@pytest.mark.parametrize("wave", [np.zeros((1, 4000)), np.full((2, 4000), 0.5)])
def test_silence_and_constants_have_no_peaks(wave):
    assert len(spectral_print(wave.astype(np.float32), 8000)) == 0


@pytest.mark.parametrize("rate", [4000, 8000, 44100, 500_000])
def test_any_rate_and_the_shortest_clips_have_a_print(rate):
    for samples in (1, 10, rate // 10):
        wave = sound(6, seconds=1.0, rate=rate)[:, :samples]
        peaks = spectral_print(wave, rate)
        assert peaks.dtype == np.uint32
        assert (np.diff(peaks.astype(np.int64)) > 0).all()


def test_prints_are_kept_by_clip():
    prints = [spectral_print(sound(n, 0.5), 16000) for n in range(4)]
    together = Prints.of(prints)
    assert len(together) == 4
    for number, peaks in enumerate(prints):
        np.testing.assert_array_equal(together[number], peaks)
    chosen = together.select(np.array([1, 3]))
    np.testing.assert_array_equal(chosen[1], prints[3])
