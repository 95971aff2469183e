"""The cost of prints, and of the search among them, for many synthetic clips.

``python -m benchmarks.copies_cost 10000 1`` prints time and memory as JSON. Every
hundredth clip is a copy of another one, with noise. One core is used.
"""

import json
import resource
import sys
import time

import numpy as np

from rehear import landmarks
from rehear.prints import Prints, spectral_print
from rehear.randomness import generator

RATE = 16000
_SEED = 0
_TONES = 12  # in each second


def synthetic(number: int, seconds: int) -> np.ndarray:
    """Return gliding tones that swell and fade, over noise that does so too."""
    draw = generator(_SEED, "synthetic", number)
    time_ = np.arange(RATE, dtype=np.float32) / RATE
    parts = []
    for _ in range(seconds):
        part = 0.02 * draw.standard_normal(RATE, dtype=np.float32)
        for _ in range(_TONES):
            low, glide = 100 * 60 ** draw.random(), draw.normal(0, 300)
            middle, width = draw.random(), 0.05 + 0.3 * draw.random()
            phase = (2 * np.pi * (low + glide * time_) * time_).astype(np.float32)
            part += np.exp(-np.square((time_ - middle) / width)) * np.sin(phase)
        parts.append(part)
    return 0.1 * np.concatenate(parts)[None]


def noisy(waveform: np.ndarray, number: int) -> np.ndarray:
    """Return a waveform with white noise at 30 dB SNR."""
    draw = generator(_SEED, "noise", number)
    noise = draw.standard_normal(waveform.shape, dtype=np.float32)
    return waveform + noise * np.sqrt(np.square(waveform).mean() / 1000)


def measure(clips: int, seconds: int) -> dict[str, float]:
    """Return what prints and search cost."""
    spent, prints, copies = 0.0, [], {}
    for number in range(clips):
        is_copy = number % 100 == 99
        waveform = synthetic(number - 50 if is_copy else number, seconds)
        if is_copy:
            waveform = noisy(waveform, number)
            copies[number] = number - 50
        start = time.perf_counter()
        prints.append(spectral_print(waveform, RATE))
        spent += time.perf_counter() - start
    together = Prints.of(prints)
    del prints
    before = peak()
    start = time.perf_counter()
    found = landmarks.matches(together)
    search = time.perf_counter() - start
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    return {
        "clips": clips,
        "seconds": seconds,
        "print_seconds": spent,
        "print_mib": together.peaks.nbytes / 2**20,
        "peak_before_mib": before,
        "search_seconds": search,
        "peak_mib": peak(),
        "matches": len(found),
        "planted": len(copies),
        "found": sum((one, other) in pairs for other, one in copies.items()),
    }


def peak() -> float:
    """Return the largest memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
