"""Archives and recordings as publishers pack them, made small."""

import io
import wave
import zipfile
from dataclasses import replace

import numpy as np


def noise(number, *, seconds=0.6, rate=8000):
    """Return a WAV file that no other number's is like."""
    generator = np.random.default_rng(number)
    steps = generator.uniform(0.02, 0.3, 30)
    envelope = np.repeat(steps, round(seconds * rate / 30))
    samples = envelope * generator.standard_normal(len(envelope))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return stream.getvalue()


def pack(archive, files):
    """Write a zip archive of files, by their paths in it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, data in files.items():
            stream.writestr(name, data)


def unpinned(remotes):
    """Return published files without the digests that small ones cannot have."""
    return tuple(replace(remote, size=None, md5=None) for remote in remotes)


def lines(*rows, separator="\t"):
    """Return the text of a table."""
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)
