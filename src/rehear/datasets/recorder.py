"""From a sound to its recording: room, background, recorder."""

from dataclasses import dataclass

import numpy as np

from rehear import randomness
from rehear.datasets.synthesis import (
    Generator,
    Samples,
    convolved,
    filtered,
    gain,
    harmonics,
    log_uniform,
    noise,
    normalized,
    times,
    wander,
)

# Loudest sample of a recording, so that nothing is clipped.
CEILING = 0.97


@dataclass(frozen=True)
class Recorder:
    """A device with a sound of its own, the same in all its recordings.

    Attributes:
        number: from 0
        low_cut: lower end of its band, in Hz
        high_cut: upper end of its band, in Hz
        ripple: deviations from a flat response in dB, at points that are evenly
            spaced in octaves over the hearing range
        self_noise: level of its white noise, in dB relative to the background
        sensitivity: in dB relative to the mean device
    """

    number: int
    low_cut: float
    high_cut: float
    ripple: tuple[float, ...]
    self_noise: float
    sensitivity: float

    @classmethod
    def draw(cls, seed: int, number: int) -> "Recorder":
        """Draw a device; other devices and clips do not change it."""
        generator = randomness.generator(seed, "embedded", "recorder", number)
        return cls(
            number=number,
            low_cut=log_uniform(generator, 30.0, 150.0),
            high_cut=log_uniform(generator, 4500.0, 12000.0),
            ripple=tuple(generator.normal(0.0, 4.0, size=9)),
            self_noise=generator.uniform(-28.0, -8.0),
            sensitivity=generator.uniform(-6.0, 6.0),
        )

    @property
    def name(self) -> str:
        """Name of the device, its file and its group."""
        return f"recorder-{self.number + 1:02d}"

    def response(self, frequencies: Samples) -> Samples:
        """Return the factor on the amplitude at ``frequencies`` in Hz."""
        points = np.geomspace(50.0, 12800.0, len(self.ripple))
        decibels = np.interp(
            np.log(np.maximum(frequencies, 1.0)), np.log(points), self.ripple
        )
        # Second order at both ends, as of a coupling and of an anti-alias filter.
        low = 1.0 / (1.0 + (self.low_cut / np.maximum(frequencies, 1e-3)) ** 2)
        high = 1.0 / (1.0 + (frequencies / self.high_cut) ** 2)
        return low * high * 10.0 ** (decibels / 20.0)


@dataclass(frozen=True)
class Recording:
    """What a recorder wrote, still apart.

    Attributes:
        source: the sound, in shape ``(samples,)``
        noise: everything else, in shape ``(samples,)``
    """

    source: Samples
    noise: Samples

    @property
    def waveform(self) -> Samples:
        """Sum of both, in shape ``(samples,)``, within -1 and 1."""
        return self.source + self.noise


def in_room(generator: Generator, waveform: Samples, sample_rate: int) -> Samples:
    """Add the reverberation of a room that is drawn: a decaying tail of noise."""
    reverberation = log_uniform(generator, 0.08, 0.6)  # seconds to fall by 60 dB
    size = int(reverberation * sample_rate)
    tail = generator.standard_normal(size)
    tail *= 10.0 ** (-3.0 * times(size, sample_rate) / reverberation)
    wet = normalized(convolved(waveform, tail))
    return normalized(waveform) + gain(generator.uniform(-20.0, -1.0)) * wet


def background(generator: Generator, samples: int, sample_rate: int) -> Samples:
    """Return surroundings: noise of any colour that swells, and perhaps mains hum."""
    swell = np.exp(0.3 * wander(generator, samples, sample_rate, 2.0))
    slope = generator.uniform(0.0, 2.0)
    surroundings = swell * noise(generator, samples, sample_rate, slope=slope)
    if generator.uniform() < 0.3:
        mains = np.full(samples, 50.0)
        hum = harmonics(mains, generator.uniform(0.0, 1.0, size=8), sample_rate)
        surroundings += generator.uniform(0.1, 0.8) * normalized(hum)
    return surroundings


def record(
    generator: Generator,
    sound: Samples,
    *,
    recorder: Recorder,
    snr: float,
    sample_rate: int,
) -> Recording:
    """Record a sound in a drawn room, before a drawn background.

    Args:
        generator: source of the draws
        sound: in shape ``(samples,)``
        recorder: colours the sound and the background alike
        snr: power of the recorded sound relative to that of all the rest in the
            recording, over the whole clip, in dB
        sample_rate: in Hz
    """
    heard = np.stack(
        (
            in_room(generator, sound, sample_rate),
            background(generator, len(sound), sample_rate),
        )
    )
    source, rest = map(normalized, filtered(heard, sample_rate, recorder.response))
    hiss = noise(generator, len(sound), sample_rate)
    rest = gain(-snr) * normalized(rest + gain(recorder.self_noise) * hiss)
    level = gain(generator.uniform(-36.0, -18.0) + recorder.sensitivity)
    loudest = float(np.abs(source + rest).max())
    level = min(level, CEILING / loudest)
    return Recording(level * source, level * rest)
