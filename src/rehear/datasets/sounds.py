"""Twelve sounds of animals, machines, objects and weather, from physical models.

Each is a function ``(generator, samples, sample_rate) -> Sound``: it draws one
individual (its size, speed, surface) and lets it sound for the whole clip.
To add a sound, write such a function and name it in ``SOUNDS``.

Sources: N. Fletcher and T. Rossing, "The Physics of Musical Instruments", 1998
(bells, modes of struck bodies); N. Fletcher, "Acoustic Systems in Biology",
1992 (syrinx, stridulation, vocal sacs); M. Minnaert, "On musical air-bubbles",
1933 (drops); V. Strouhal, 1878 (the tone of wind around a wire).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rehear.datasets.synthesis import (
    Generator,
    Samples,
    beats,
    convolved,
    edges,
    filtered,
    harmonics,
    log_uniform,
    modes,
    noise,
    normalized,
    phase,
    pitch_of,
    place,
    pulses,
    resonances,
    times,
    wander,
)


@dataclass(frozen=True)
class Sound:
    """A sound without its surroundings.

    Attributes:
        waveform: in shape ``(samples,)``
        pitch: mean fundamental in Hz, or ``None`` for a sound without one
    """

    waveform: Samples
    pitch: float | None = None


def bird(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """A syllable, swept and warbled, repeated as a song."""
    length = generator.uniform(0.04, 0.18)
    size = max(2, int(length * sample_rate))
    t = times(size, sample_rate)
    warble = generator.uniform(0.0, 0.12) * np.sin(
        2 * np.pi * generator.uniform(12.0, 45.0) * t
    )
    sweep = generator.uniform(-0.7, 0.7) * (t / length - 0.5)
    frequency = log_uniform(generator, 1800.0, 5200.0) * 2.0 ** (sweep + warble)
    envelope = np.hanning(size + 2)[1:-1] ** generator.uniform(0.5, 1.5)
    # The syrinx is close to a sine; its second partial varies by species.
    amplitudes = (1.0, generator.uniform(0.0, 0.4), generator.uniform(0.0, 0.15))
    syllable = envelope * harmonics(frequency, amplitudes, sample_rate)
    song = np.zeros(samples)
    period = length * generator.uniform(1.2, 3.0)
    for onset in beats(generator, samples / sample_rate, period, jitter=0.05):
        place(song, generator.uniform(0.6, 1.0) * syllable, int(onset * sample_rate))
    return Sound(song, pitch_of(frequency, envelope))


def insect(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """Stridulation: every tooth that the scraper hits rings the wing."""
    carrier = log_uniform(generator, 2500.0, 6500.0)
    strikes = log_uniform(generator, 25.0, 110.0)
    ring = log_uniform(generator, 0.15, 0.5) / strikes
    t = times(samples, sample_rate)
    since = (t * strikes + generator.uniform()) % 1.0 / strikes
    pulse = np.exp(-since / ring) * (1.0 - np.exp(-since / (0.2 * ring)))
    frequency = carrier * (1.0 + 0.004 * wander(generator, samples, sample_rate, 8.0))
    song = pulse * harmonics(frequency, (1.0, 0.15), sample_rate)
    if generator.uniform() < 0.6:  # chirps rather than an endless trill
        chirp = generator.uniform(2.0, 9.0)
        turn = (t * chirp + generator.uniform()) % 1.0
        open_part = generator.uniform(0.35, 0.75)
        song = song * np.clip(20.0 * np.minimum(turn, open_part - turn), 0.0, 1.0)
    return Sound(song)


def frog(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """Croaks: a vocal sac that is pulsed by the breath."""
    size = int(generator.uniform(0.12, 0.4) * sample_rate)
    t = times(size, sample_rate)
    glide = generator.uniform(-0.25, 0.25) * np.linspace(-1.0, 1.0, size)
    frequency = log_uniform(generator, 180.0, 900.0) * 2.0**glide
    rate = generator.uniform(18.0, 60.0)
    breath = (0.5 - 0.5 * np.cos(2 * np.pi * rate * t)) ** generator.uniform(0.7, 2.0)
    envelope = edges(size, size // 5, size // 3) * breath
    tone = harmonics(frequency, 0.75 ** np.arange(14), sample_rate)
    sac = log_uniform(generator, 500.0, 2400.0)

    def sac_resonance(frequencies: Samples) -> Samples:
        return 0.1 + resonances(frequencies, [sac], [0.4 * sac])

    croak = filtered(envelope * tone, sample_rate, sac_resonance)
    call = np.zeros(samples)
    period = size / sample_rate * generator.uniform(1.1, 2.2)
    for onset in beats(generator, samples / sample_rate, period, jitter=0.1):
        place(call, generator.uniform(0.6, 1.0) * croak, int(onset * sample_rate))
    return Sound(call, pitch_of(frequency, envelope))


def dog(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """Barks: a harsh voice that rises and falls within a fifth of a second."""
    size = int(generator.uniform(0.08, 0.24) * sample_rate)
    arch = np.sin(np.pi * np.linspace(0.05, 0.95, size))
    centre = log_uniform(generator, 250.0, 900.0)
    frequency = centre * 2.0 ** (generator.uniform(0.2, 0.8) * (arch - 0.6))
    envelope = edges(size, size // 8, size // 2)
    voice = harmonics(frequency, 0.85 ** np.arange(20), sample_rate)
    breath = generator.uniform(0.2, 0.8) * noise(generator, size, sample_rate)
    tract = generator.uniform(0.75, 1.3)  # a small dog has high formants
    formants = [800.0 * tract, 1900.0 * tract, 3100.0 * tract]

    def vocal_tract(frequencies: Samples) -> Samples:
        return 0.05 + resonances(frequencies, formants, [350.0, 500.0, 800.0])

    bark = filtered(envelope * (voice + breath), sample_rate, vocal_tract)
    barks = np.zeros(samples)
    period = generator.uniform(0.25, 0.7)
    for onset in beats(generator, samples / sample_rate, period, jitter=0.15):
        place(barks, generator.uniform(0.5, 1.0) * bark, int(onset * sample_rate))
    return Sound(barks, pitch_of(frequency, envelope))


def whale(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """A moan that glides slowly, with few partials."""
    glide = generator.uniform(0.05, 0.5) * wander(generator, samples, sample_rate, 2.0)
    frequency = log_uniform(generator, 150.0, 1000.0) * 2.0**glide
    decline = generator.uniform(0.3, 0.75)
    tone = harmonics(frequency, decline ** np.arange(10), sample_rate)
    envelope = np.zeros(samples)
    size = max(2, int(generator.uniform(0.5, 1.0) * samples))
    place(
        envelope,
        edges(size, size // 3, size // 3),
        int(generator.integers(0, samples - size + 1)),
    )
    return Sound(envelope * tone, pitch_of(frequency, envelope))


def engine(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """A four-stroke engine: each firing excites the exhaust.

    Cylinders fire once in two turns, ``turns / 60 * cylinders / 2`` a second.
    They differ, which gives partials between those of the firing.
    """
    cylinders = int(generator.choice([3, 4, 6, 8]))
    turns = log_uniform(generator, 700.0, 3600.0)
    drift = 1.0 + 0.03 * wander(generator, samples, sample_rate, 3.0)
    frequency = turns / 60.0 * cylinders / 2.0 * drift
    fired = phase(frequency, sample_rate) / (2.0 * np.pi) + generator.uniform()
    strokes = np.arange(int(fired[0]) + 1, int(fired[-1]) + 1)
    onsets = np.interp(strokes, fired, times(samples, sample_rate))
    onsets += 0.01 / frequency.mean() * generator.standard_normal(len(onsets))
    unequal = 1.0 + generator.uniform(0.03, 0.3) * generator.standard_normal(cylinders)
    train = pulses(onsets, unequal[strokes % cylinders], samples, sample_rate)
    exhaust = modes(
        sample_rate // 10,
        sample_rate,
        frequencies=[log_uniform(generator, *band) for band in EXHAUST],
        decays=[generator.uniform(0.002, 0.012) for _ in EXHAUST],
        amplitudes=[1.0, 0.7, 0.4, 0.25],
    )
    hiss = noise(generator, samples, sample_rate, slope=1.0)
    roar = normalized(convolved(train, exhaust))
    return Sound(roar + generator.uniform(0.05, 0.6) * hiss, float(frequency.mean()))


EXHAUST = ((60.0, 200.0), (200.0, 600.0), (600.0, 1600.0), (1600.0, 4000.0))


def drone(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """A multicopter: four rotors, almost in tune, and the whine of their motors."""
    passing = log_uniform(generator, 70.0, 260.0)  # blades a second and rotor
    detune = generator.uniform(0.005, 0.03)
    amplitudes = np.arange(1, 24) ** -0.8 * generator.uniform(0.2, 1.0, size=23)
    hum = np.zeros(samples)
    rotors = []
    for _ in range(4):
        drift = 0.01 * wander(generator, samples, sample_rate, 4.0)
        frequency = passing * (1.0 + detune * generator.standard_normal() + drift)
        hum += harmonics(frequency, amplitudes, sample_rate)
        rotors.append(float(frequency.mean()))
    pole_pairs = 7  # a usual brushless motor; it whines at this multiple
    whine = harmonics(pole_pairs * frequency, (1.0, 0.0, 0.5), sample_rate)
    wash = noise(generator, samples, sample_rate, slope=0.5)
    mixture = (
        normalized(hum)
        + generator.uniform(0.05, 0.3) * whine
        + generator.uniform(0.1, 0.8) * wash
    )
    return Sound(mixture, float(np.mean(rotors)))


def siren(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """A wail, a yelp or two notes in turn, through a horn."""
    t = times(samples, sample_rate)
    low = log_uniform(generator, 350.0, 800.0)
    octaves = generator.uniform(0.4, 1.3)
    kind = int(generator.integers(3))
    speed = generator.uniform(*((0.15, 0.5), (2.0, 4.0), (0.8, 2.0))[kind])
    turn = (t * speed + generator.uniform()) % 1.0
    triangle = 1.0 - np.abs(2.0 * turn - 1.0)
    height = 0.5 * (turn < 0.5) if kind == 2 else triangle
    frequency = low * 2.0 ** (octaves * height)
    # A square wave, softened: the odd partials are strong.
    odd = np.arange(1, 16) % 2
    amplitudes = np.where(odd == 1, 1.0, generator.uniform(0.0, 0.5)) / np.arange(1, 16)
    tone = harmonics(frequency, amplitudes, sample_rate)
    horn = log_uniform(generator, 700.0, 2000.0)

    def horn_resonance(frequencies: Samples) -> Samples:
        return 0.2 + resonances(frequencies, [horn], [horn])

    blast = filtered(tone, sample_rate, horn_resonance)
    return Sound(blast, pitch_of(frequency, np.ones(samples)))


# Partials of a bell relative to its prime: hum, prime, tierce, quint, nominal,
# and above (Fletcher and Rossing, 1998, table 21.1), with the time to decay
# relative to the hum's.
BELL_PARTIALS = (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.67, 3.0, 4.0)
BELL_DECAYS = (1.0, 0.7, 0.6, 0.4, 0.35, 0.25, 0.22, 0.18, 0.1)


def bell(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """A church bell or a small one: inharmonic partials that beat and decay."""
    prime = log_uniform(generator, 220.0, 1400.0)
    decay = generator.uniform(0.5, 2.5) * (300.0 / prime) ** 0.5
    ratios = np.asarray(BELL_PARTIALS) * (
        1.0 + 0.004 * generator.standard_normal(len(BELL_PARTIALS))
    )
    # A cast bell is never round: every partial is a close pair.
    split = 1.0 + generator.uniform(0.0005, 0.003, size=len(ratios))
    strength = generator.uniform(0.3, 1.0, size=len(ratios))
    toll = modes(
        samples,
        sample_rate,
        frequencies=[*(prime * ratios), *(prime * ratios * split)],
        decays=[decay * part for part in BELL_DECAYS * 2],
        amplitudes=[*strength, *(0.5 * strength)],
    )
    ringing = np.zeros(samples)
    period = generator.uniform(0.4, 1.2)
    for onset in beats(generator, samples / sample_rate, period, jitter=0.1):
        place(ringing, generator.uniform(0.5, 1.0) * toll, int(onset * sample_rate))
    return Sound(ringing, prime)


def footsteps(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """Heel and toe on a floor with its own modes, and the scuff of the sole."""
    floor = modes(
        sample_rate // 6,
        sample_rate,
        frequencies=[log_uniform(generator, *band) for band in FLOOR],
        decays=[generator.uniform(0.006, 0.03) for _ in FLOOR],
        amplitudes=[1.0, 0.6, 0.3],
    )
    loose = generator.uniform(0.05, 1.2)  # from a hard floor to gravel
    walk, scuffs = np.zeros(samples), np.zeros(samples)
    between = generator.uniform(0.04, 0.12)
    for onset in beats(
        generator, samples / sample_rate, generator.uniform(0.28, 0.6), jitter=0.06
    ):
        for late, weight in ((0.0, 1.0), (between, generator.uniform(0.3, 0.8))):
            start = int((onset + late) * sample_rate)
            place(walk, weight * floor, start)
            size = int(generator.uniform(0.03, 0.1) * sample_rate)
            grains = generator.standard_normal(size) * generator.uniform(size=size) ** 4
            place(scuffs, weight * grains * edges(size, size // 8, size), start)
    sole = log_uniform(generator, 1000.0, 4000.0)

    def sole_resonance(frequencies: Samples) -> Samples:
        return resonances(frequencies, [sole], [1.5 * sole])

    scuffed = normalized(filtered(scuffs, sample_rate, sole_resonance))
    return Sound(normalized(walk) + loose * scuffed)


FLOOR = ((70.0, 200.0), (180.0, 500.0), (400.0, 1500.0))


def rain(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """Drops at random times, each closing a bubble that rings.

    A bubble of radius r rings at ``3.26 m/s / r`` (Minnaert).
    """
    seconds = samples / sample_rate
    count = int(generator.poisson(log_uniform(generator, 40.0, 500.0) * seconds)) + 1
    largest = generator.uniform(1.2e-3, 3.0e-3)
    radii = generator.uniform(0.5e-3, largest, size=count)
    strengths = generator.lognormal(0.0, 0.8, size=count)
    starts = generator.integers(0, samples, size=count)
    drops = np.zeros(samples)
    for radius, strength, start in zip(radii, strengths, starts, strict=True):
        drop = modes(
            sample_rate // 60,
            sample_rate,
            frequencies=[3.26 / radius],
            decays=[1.2 * radius],  # large bubbles ring longer
            amplitudes=[strength],
        )
        place(drops, drop, int(start))
    wash = noise(generator, samples, sample_rate, slope=generator.uniform(0.0, 1.0))
    return Sound(normalized(drops) + generator.uniform(0.3, 1.8) * wash)


def wind(generator: Generator, samples: int, sample_rate: int) -> Sound:
    """Gusts: turbulence at the microphone, and wires that sing in it.

    A wire of diameter d sings at ``0.2 * speed / d`` (Strouhal).
    """
    gusts = wander(generator, samples, sample_rate, generator.uniform(1.5, 5.0))
    speed = generator.uniform(5.0, 12.0) * np.exp(0.25 * gusts)
    slope = generator.uniform(0.7, 2.0)
    turbulence = noise(generator, samples, sample_rate, slope=slope)
    pressure = (speed / speed.mean()) ** 2
    tone = 0.2 * speed / log_uniform(generator, 2e-3, 8e-3)
    flutter = wander(generator, samples, sample_rate, 60.0) + 1j * wander(
        generator, samples, sample_rate, 60.0
    )
    song = (flutter * np.exp(1j * phase(tone, sample_rate))).real
    audible = generator.uniform(0.0, 0.7)
    return Sound(pressure * (turbulence + audible * normalized(song)))


SOUNDS: Mapping[str, Callable[[Generator, int, int], Sound]] = MappingProxyType(
    {
        "bell": bell,
        "bird": bird,
        "dog": dog,
        "drone": drone,
        "engine": engine,
        "footsteps": footsteps,
        "frog": frog,
        "insect": insect,
        "rain": rain,
        "siren": siren,
        "whale": whale,
        "wind": wind,
    }
)
# Those with a fundamental that the clip keeps or circles around.
PITCHED = ("bell", "bird", "dog", "drone", "engine", "frog", "siren", "whale")
