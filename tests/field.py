"""Field recordings whose events are known, made of real or drawn sounds."""

import numpy as np

from rehear import audio


def noise(seconds, rate=8000, *, seed=0, channels=1):
    """Return faint noise ``(channels, samples)``."""
    size = (channels, round(seconds * rate))
    return 0.001 * np.random.default_rng(seed).standard_normal(size)


def recording(path, seconds, rate=8000, *, seed=0, channels=1):
    """Write a recording of faint noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, noise(seconds, rate, seed=seed, channels=channels), rate)


def joined(path, calls, gap=0.5, *, seed=0):
    """Write a recording of several others, with faint noise around each.

    Returns the start and end of each in seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sounds = [audio.read(call) for call in calls]
    rate = sounds[0][1]
    assert {own for _, own in sounds} == {rate}
    parts, spans, at = [noise(gap, rate, seed=1000 * seed)], [], round(gap * rate)
    for number, (waveform, _) in enumerate(sounds):
        length = waveform.shape[1]
        spans.append((at / rate, (at + length) / rate))
        parts += [waveform, noise(gap, rate, seed=1000 * seed + number + 1)]
        at += length + round(gap * rate)
    audio.write(path, np.concatenate(parts, axis=1), rate)
    return spans


def table(path, header, *rows):
    """Write a table whose cells are separated by tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *rows]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
