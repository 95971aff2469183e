"""Sounds to see and to hear: a player below a spectrogram.

The PNG is written by hand: no imaging library is worth its import.
"""

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from rehear.report.markup import text

# Dark to bright, so that a louder sound is a lighter spot on any page.
_STOPS = np.array(
    [
        (12, 10, 32),
        (45, 22, 84),
        (96, 32, 110),
        (150, 44, 104),
        (202, 66, 78),
        (238, 108, 46),
        (250, 168, 48),
        (250, 224, 120),
        (255, 252, 224),
    ]
)


def _palette() -> bytes:
    place = np.linspace(0, len(_STOPS) - 1, 256)
    columns = [np.interp(place, range(len(_STOPS)), c) for c in _STOPS.T]
    return np.rint(np.stack(columns, axis=1)).astype(np.uint8).tobytes()


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def png(values: np.ndarray) -> bytes:
    """Return an image with one palette colour for each value.

    Args:
        values: ``(height, width)`` uint8, top row first
    """
    height, width = values.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    # every line begins with its filter, 0: none
    lines = np.pad(values, ((0, 0), (1, 0))).tobytes()
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", _palette()),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        ]
    )


def spectrogram(stored: Mapping[str, Any]) -> str:
    """Return the spectrogram of an example as a data URI.

    Args:
        stored: ``shape`` (mels, frames) and base64 ``values``, low frequencies
            first
    """
    data = np.frombuffer(base64.b64decode(stored["values"]), np.uint8)
    image = png(data.reshape(stored["shape"])[::-1])
    return "data:image/png;base64," + base64.b64encode(image).decode()


def player(entry: Mapping[str, Any]) -> str:
    """Return a spectrogram and a player as HTML.

    Args:
        entry: ``clip``, and ``audio`` and ``spectrogram`` as ``listening.player``
            gives them; without these, that the recording is missing
    """
    if not entry.get("audio") or not entry.get("spectrogram"):
        return '<div class="silent">recording not at hand</div>'
    name = text(f"Mel spectrogram of {entry['clip']}")
    return (
        f'<img src="{spectrogram(entry["spectrogram"])}" alt="{name}">'
        f'<audio controls preload="metadata" src="{text(entry["audio"])}"></audio>'
    )
