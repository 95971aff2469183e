"""Building blocks of synthesised sound: tones, noises, impacts, filters.

Everything is computed in double precision with numpy alone. The last digit of
a sine or a Fourier transform differs between processors; sixteen-bit samples,
rounded from doubles, do not.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.floating[Any]]
Generator = np.random.Generator
# Partials stop here, so that nothing folds back at the highest frequency.
HIGHEST = 0.47


def rms(waveform: Samples) -> float:
    """Return the root of the mean power."""
    return float(np.sqrt(np.mean(np.square(waveform))))


def normalized(waveform: Samples) -> Samples:
    """Return the waveform at a root mean square of 1; silence stays silence."""
    level = rms(waveform)
    return waveform / level if level > 0 else waveform


def gain(decibels: float) -> float:
    """Return the factor on the amplitude.

    Example:
        >>> round(gain(-20.0), 6)
        0.1
    """
    return float(10.0 ** (decibels / 20.0))


def log_uniform(generator: Generator, low: float, high: float) -> float:
    """Draw a number so that every octave from ``low`` to ``high`` is as likely."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def times(samples: int, sample_rate: int) -> Samples:
    """Return the time of every sample, in seconds."""
    return np.arange(samples) / sample_rate


def phase(frequency: Samples, sample_rate: int) -> Samples:
    """Return the phase of a tone with a changing frequency, in radians."""
    return 2.0 * np.pi * np.cumsum(frequency) / sample_rate


def harmonics(
    frequency: Samples, amplitudes: Sequence[float] | Samples, sample_rate: int
) -> Samples:
    """Return a tone with partials at the multiples of its fundamental.

    Args:
        frequency: fundamental at every sample, in Hz
        amplitudes: of the fundamental, the second partial, and so on; a
            partial is left out wherever it would be above the highest frequency
        sample_rate: in Hz
    """
    step = np.exp(1j * phase(frequency, sample_rate))
    turning = step.copy()
    tone = np.zeros(len(frequency))
    for order, amplitude in enumerate(amplitudes, start=1):
        audible = order * frequency < HIGHEST * sample_rate
        if not audible.any():
            break
        # The mask costs as much as the partial, and is rarely needed.
        heard = turning.imag if audible.all() else audible * turning.imag
        tone += amplitude * heard
        turning *= step
    return tone


def pitch_of(frequency: Samples, envelope: Samples) -> float:
    """Return the mean fundamental in Hz: over octaves, weighted by power."""
    return float(np.exp(np.average(np.log(frequency), weights=envelope**2)))


def wander(
    generator: Generator, samples: int, sample_rate: int, rate: float
) -> Samples:
    """Return a smooth random curve around 0 with a standard deviation near 1.

    Args:
        generator: source of the draws
        samples: length
        sample_rate: in Hz
        rate: independent values per second
    """
    knots = generator.standard_normal(int(samples / sample_rate * rate) + 3)
    position = times(samples, sample_rate) * rate + generator.uniform()
    before = position.astype(np.int64)
    # A cosine between the knots: no corner, so no sideband of its own.
    weight = 0.5 - 0.5 * np.cos(np.pi * (position - before))
    return (1.0 - weight) * knots[before] + weight * knots[before + 1]


def edges(samples: int, attack: int, release: int) -> Samples:
    """Return an envelope that rises to 1, stays, and falls, as half cosines."""
    curve = np.ones(samples)
    attack, release = min(attack, samples), min(release, samples)
    curve[:attack] *= 0.5 - 0.5 * np.cos(np.pi * (np.arange(attack) + 0.5) / attack)
    fall = 0.5 + 0.5 * np.cos(np.pi * (np.arange(release) + 0.5) / release)
    curve[samples - release :] *= fall
    return curve


def fast_length(least: int) -> int:
    """Return a length from ``least`` that the Fourier transform is quick at.

    Example:
        >>> fast_length(17000)
        18432
    """
    return min(odd << (-(-least // odd) - 1).bit_length() for odd in (1, 3, 5, 9, 15))


def filtered(
    waveform: Samples, sample_rate: int, response: Callable[[Samples], Samples]
) -> Samples:
    """Filter without a delay.

    Args:
        waveform: in shape ``(samples,)`` or ``(channels, samples)``
        sample_rate: in Hz
        response: from frequencies in Hz to factors on the amplitude
    """
    # Room for the filter to ring, so that the end does not reach the beginning.
    samples = waveform.shape[-1]
    padded = fast_length(samples + sample_rate // 16)
    frequencies = np.fft.rfftfreq(padded, 1.0 / sample_rate)
    spectrum = np.fft.rfft(waveform, padded) * response(frequencies)
    return np.fft.irfft(spectrum, padded)[..., :samples]


def convolved(waveform: Samples, kernel: Samples) -> Samples:
    """Return the linear convolution, cut to the length of the waveform."""
    padded = fast_length(len(waveform) + len(kernel) - 1)
    spectrum = np.fft.rfft(waveform, padded) * np.fft.rfft(kernel, padded)
    return np.fft.irfft(spectrum, padded)[: len(waveform)]


def noise(
    generator: Generator, samples: int, sample_rate: int, *, slope: float = 0.0
) -> Samples:
    """Return coloured Gaussian noise at a root mean square of 1.

    Args:
        generator: source of the draws
        samples: length
        sample_rate: in Hz
        slope: power falls with ``frequency ** slope``: 0 white, 1 pink, 2 brown
    """
    if slope == 0.0:
        return normalized(generator.standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1.0 / sample_rate)
    real, imaginary = generator.standard_normal((2, len(frequencies)))
    # Below 20 Hz the power stays as it is: a waveform needs a finite one.
    amplitude = np.maximum(frequencies, 20.0) ** (-slope / 2.0)
    return normalized(np.fft.irfft(amplitude * (real + 1j * imaginary), samples))


def resonances(
    frequencies: Samples, centres: Sequence[float], widths: Sequence[float]
) -> Samples:
    """Return the sum of resonance curves, each 1 at its centre.

    Args:
        frequencies: where to evaluate, in Hz
        centres: of the resonances, in Hz
        widths: between the points 3 dB below, in Hz
    """
    total = np.zeros(len(frequencies))
    for centre, width in zip(centres, widths, strict=True):
        total += 1.0 / np.sqrt(1.0 + (2.0 * (frequencies - centre) / width) ** 2)
    return total


def modes(
    samples: int,
    sample_rate: int,
    *,
    frequencies: Sequence[float],
    decays: Sequence[float],
    amplitudes: Sequence[float],
) -> Samples:
    """Return what a struck body sounds: partials that die away.

    Args:
        samples: length
        sample_rate: in Hz
        frequencies: of the modes, in Hz; too high ones are left out
        decays: time to fall to 1/e of the amplitude, in seconds
        amplitudes: at the strike
    """
    t = times(samples, sample_rate)
    body = np.zeros(samples)
    for frequency, decay, amplitude in zip(
        frequencies, decays, amplitudes, strict=True
    ):
        if frequency < HIGHEST * sample_rate:
            body += amplitude * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t)
    return body


def pulses(
    onsets: Sequence[float] | Samples,
    heights: Sequence[float] | Samples,
    samples: int,
    sample_rate: int,
) -> Samples:
    """Return impulses at ``onsets`` (in seconds), shared by two samples each.

    What falls outside the clip is left out.
    """
    position = np.asarray(onsets, dtype=np.float64) * sample_rate
    height = np.asarray(heights, dtype=np.float64)
    inside = (position >= 0) & (position < samples - 1)
    position, height = position[inside], height[inside]
    left = position.astype(np.int64)
    train = np.zeros(samples)
    np.add.at(train, left, height * (1.0 - (position - left)))
    np.add.at(train, left + 1, height * (position - left))
    return train


def place(canvas: Samples, event: Samples, start: int) -> None:
    """Add an event to the canvas in place; what does not fit is cut off."""
    first, last = max(start, 0), min(start + len(event), len(canvas))
    if first < last:
        canvas[first:last] += event[first - start : last - start]


def beats(
    generator: Generator, seconds: float, period: float, *, jitter: float = 0.0
) -> Iterator[float]:
    """Yield onsets in seconds, from a random first one to the end of the clip.

    Args:
        generator: source of the draws
        seconds: length of the clip
        period: mean distance, in seconds
        jitter: standard deviation of the distance, as a part of the period
    """
    onset = generator.uniform(0.0, min(period, 0.6 * seconds))
    while onset < seconds:
        yield onset
        onset += period * max(0.2, 1.0 + jitter * generator.standard_normal())
