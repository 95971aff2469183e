"""A clip to hear and to see: a short MP3 and a spectrogram, for pages."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from rehear import audio
from rehear.manifest import Clip

LONGEST = 10.0  # seconds that a report carries
PLAYER_RATE = 32000  # Hz; MP3 above this grows without being heard
N_MELS, MOST_FRAMES, RANGE_DB = 64, 200, 80.0


def player(clip: Clip, study: Path, *, longest: float = LONGEST) -> dict[str, Any]:
    """Return the beginning of a clip, ready for JSON.

    Args:
        clip: of a sound
        study: folder that the clip's file is relative to
        longest: seconds after which it is cut

    Returns:
        ``audio``, a data URI, and ``spectrogram``, with its ``shape`` and base64
        ``values``

    Raises:
        AudioError: if the recording cannot be read
    """
    start = clip.start or 0.0
    end = start + longest if clip.end is None else min(clip.end, start + longest)
    waveform, sample_rate = audio.read(study / clip.file, start, end)
    waveform = waveform.mean(axis=0, keepdims=True, dtype=np.float32)
    if sample_rate > PLAYER_RATE:
        waveform = audio.resample(waveform, sample_rate, PLAYER_RATE)
        sample_rate = PLAYER_RATE
    mp3 = base64.b64encode(audio.encode_mp3(waveform, sample_rate)).decode()
    image = spectrogram(waveform[0], sample_rate)
    return {
        "audio": f"data:audio/mpeg;base64,{mp3}",
        "spectrogram": {
            "shape": list(image.shape),
            "values": base64.b64encode(image.tobytes()).decode(),
        },
    }


def spectrogram(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return a small mel spectrogram for the eye.

    Args:
        samples: ``(samples,)``
        sample_rate: in Hz

    Returns:
        ``(mels, frames)`` uint8, low frequencies first: 255 is the loudest
        value, 0 is 80 dB below; at most 200 frames.
    """
    width = 1 << max(5, round(np.log2(0.032 * sample_rate)))
    hop = max(width // 4, -(-len(samples) // MOST_FRAMES))
    padded = np.pad(samples, (width // 2, width))
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)
    frames = frames[: len(samples) : hop]
    power = abs(np.fft.rfft(frames * np.hanning(width), axis=1)) ** 2
    mel = power @ _mel_filters(power.shape[1], sample_rate)
    level = 10 * np.log10(np.maximum(mel, 1e-12)).T
    scaled = 255 * (1 + (level - level.max()) / RANGE_DB)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _mel_filters(n_bins: int, sample_rate: int) -> np.ndarray:
    """Return triangles ``(bins, mels)``, equally spaced on the HTK mel scale."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, N_MELS + 2) / 2595) - 1)
    bins = np.linspace(0, sample_rate / 2, n_bins)[:, np.newaxis]
    # Narrow filters at low frequencies would fall between two bins.
    width = np.maximum(np.diff(edges), bins[1])
    rising = (bins - edges[1:-1]) / width[:-1] + 1
    falling = (edges[1:-1] - bins) / width[1:] + 1
    return np.maximum(0, np.minimum(rising, falling))
