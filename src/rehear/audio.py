"""Recordings in and out. No other module opens audio."""

import contextlib
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rehear import atomic, ffmpeg, ogg, riff
from rehear.archives import SEPARATOR, Source, locate
from rehear.errors import AudioError
from rehear.resampling import resample

__all__ = ["Facts", "encode_mp3", "facts", "read", "resample", "write"]

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_COUNTS = (b"Xing", b"Info")  # headers that count frames
_MP3_SLACK = 2 * 1152  # samples: two frames
_PCM_STEP = np.float32(1 / 32768)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a recording without decoding it.

    Attributes:
        sample_rate: in Hz
        channels: number of channels
        samples: of each channel
    """

    sample_rate: int
    channels: int
    samples: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate


def read(
    path: os.PathLike[str] | str, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a recording or a part of it.

    Everything that libsndfile decodes is read: WAV, FLAC, Ogg Vorbis and Opus,
    MP3, AIFF, AU, CAF … A part is found by seeking, so that its cost hardly
    depends on the length of the recording. Other formats (M4A, AAC, WMA, WebM,
    the sound of films …) are decoded by ffmpeg, where it is installed; then the
    recording is decoded whole, once for consecutive parts.

    Args:
        path: a file, or ``archive.tar::member``, ``archive.zip::member``
        start: beginning in seconds; rounded to the nearest sample
        end: end in seconds; an end after the recording's end means the latter,
            since tables of annotations round up

    Returns:
        The waveform ``(channels, samples)``, float32, full scale ±1 (files of
        floating-point numbers may exceed it), and the sample rate in Hz.

    Raises:
        AudioError: if there is no such file, it is no audio, is damaged or
            truncated, holds no samples or some that are not finite, needs an
            ffmpeg that is not there, or if the part lies outside it; the text
            names file and reason
    """
    source = locate(path)
    head = _head(source)
    wav = riff.header(source, head)
    if wav is not None and wav.is_plain:
        first, last = _part(source, wav.samples, wav.sample_rate, start, end)
        width = 2 * wav.channels
        data = _bytes(source, head, wav.data + first * width, wav.data + last * width)
        pcm = np.frombuffer(data, "<i2").reshape(-1, wav.channels).T
        return np.ascontiguousarray(pcm, np.float32) / np.float32(
            32768
        ), wav.sample_rate
    waveform, rate = _decode(source, head, start, end)
    if not np.isfinite(waveform).all():
        bad = int(waveform.size - np.isfinite(waveform).sum())
        raise AudioError(
            f"{source.name}: {bad} of {waveform.size} samples are NaN or infinite; "
            "export the recording again, or skip it"
        )
    return waveform, rate


def facts(path: os.PathLike[str] | str) -> Facts:
    """Return rate, channels and length of a recording, from its header.

    MP3 inside a WAV container is decoded, because its header counts padding, and
    so is what needs ffmpeg.

    Raises:
        AudioError: as ``read``; damage in the samples is found by ``read`` only
    """
    source = locate(path)
    head = _head(source)
    wav = riff.header(source, head)
    if wav is not None and wav.is_plain:
        _part(source, wav.samples, wav.sample_rate, None, None)
        return Facts(wav.sample_rate, wav.channels, wav.samples)
    with _opened(source, head) as stream:
        samples = stream.frames
        if _counts_padding(stream):
            samples = len(_frames(source, stream, 0, samples))
        _part(source, samples, stream.samplerate, None, None)
        return Facts(stream.samplerate, stream.channels, samples)


def write(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write a recording in the format that the file's ending names.

    Samples beyond full scale are clipped. Formats without loss (WAV, FLAC,
    AIFF …) get 16 bits; what ``read`` gives of a 16-bit file is written back
    unchanged.

    Args:
        path: with an ending that libsndfile knows
        waveform: ``(channels, samples)``
        sample_rate: in Hz

    Raises:
        AudioError: if the ending is not known or the format refuses the rate or
            the number of channels
    """
    import soundfile

    kind = path.suffix.lstrip(".").upper()
    kind = {"OPUS": "OGG", "OGA": "OGG", "AIF": "AIFF"}.get(kind, kind)
    subtype = "OPUS" if path.suffix.lower() == ".opus" else None
    lossless = kind not in ("OGG", "MP3")
    # libsndfile writes floats times 32767 and reads them divided by 32768.
    scaled = np.clip(np.rint(np.asarray(waveform) * 32768.0), -32768, 32767)
    frames = scaled.astype(np.int16).T if lossless else np.asarray(waveform).T
    try:
        with atomic.file(path) as stream:
            soundfile.write(stream, frames, sample_rate, format=kind, subtype=subtype)
    except (soundfile.LibsndfileError, ValueError, TypeError) as error:
        raise AudioError(
            f"{path}: cannot be written with {frames.shape[1]} channels at "
            f"{sample_rate} Hz: {error}; use .wav or .flac"
        ) from None


def encode_mp3(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Return a waveform as MP3, for players in web pages.

    Channels beyond two are averaged. A rate that MP3 lacks is raised to the
    next one that it has, or lowered to 48 kHz.

    Args:
        waveform: ``(channels, samples)``
        sample_rate: in Hz
    """
    import soundfile

    if len(waveform) > 2:
        waveform = waveform.mean(axis=0, keepdims=True, dtype=np.float32)
    rate = next((r for r in MP3_RATES if r >= sample_rate), MP3_RATES[-1])
    waveform = resample(np.asarray(waveform, np.float32), sample_rate, rate)
    stream = io.BytesIO()
    soundfile.write(stream, np.clip(waveform.T, -1, 1), rate, format="MP3")
    return stream.getvalue()


def _head(source: Source) -> bytes:
    if source.size == 0:
        raise AudioError(f"{source.name}: the file is empty (0 bytes); fetch it again")
    return source.read(0, riff.HEAD)


def _bytes(source: Source, head: bytes, first: int, last: int) -> bytes:
    return head[first:last] if last <= len(head) else source.read(first, last - first)


def _part(
    source: Source, samples: int, rate: int, start: float | None, end: float | None
) -> tuple[int, int]:
    """Return the first sample and the one after the last."""
    if samples < 1 or rate < 1:
        raise AudioError(
            f"{source.name}: holds no samples, only a header; remove it, or skip it"
        )
    first = 0 if start is None else round(start * rate)
    last = samples if end is None else min(samples, round(end * rate))
    if first < 0 or first >= samples:
        raise AudioError(
            f"{source.name}: start {start:g} s lies outside its "
            f"{samples / rate:.3f} s; correct the manifest"
        )
    if last <= first:
        raise AudioError(
            f"{source.name}: start {start or 0:g} s and end {end:g} s leave no "
            "samples; correct the manifest"
        )
    return first, last


@contextlib.contextmanager
def _opened(source: Source, head: bytes) -> Iterator[Any]:
    import soundfile

    foreign = ffmpeg.kind(head)
    if foreign:
        yield ffmpeg.opened(source, foreign)
        return
    ogg.check_end(source, head)
    inside = source.data is not None or SEPARATOR in source.name
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.stream()) if inside else source.file
        stream: Any
        try:
            stream = stack.enter_context(soundfile.SoundFile(file))
        except soundfile.LibsndfileError as error:
            if not ffmpeg.is_for(source.name):
                _refuse(source, error)
            ending = source.name.rpartition(".")[2]
            stream = ffmpeg.opened(source, f".{ending.lower()}")
        yield stream


def _decode(
    source: Source, head: bytes, start: float | None, end: float | None
) -> tuple[np.ndarray, int]:
    with _opened(source, head) as stream:
        rate = stream.samplerate
        first, last = _part(source, stream.frames, rate, start, end)
        # Seeking is exact for lossy formats too, but not in a container that does
        # not know its length.
        if _counts_padding(stream):
            frames = _frames(source, stream, 0, last)[first:]
        else:
            frames = _frames(source, stream, first, last)
        if len(frames) == 0:
            _part(source, 0, rate, start, end)
        return np.ascontiguousarray(frames.T), rate


def _counts_padding(stream: Any) -> bool:
    return "MPEG" in stream.subtype and stream.format != "MP3"


def _frames(source: Source, stream: Any, first: int, last: int) -> np.ndarray:
    import soundfile

    try:
        if first:
            stream.seek(first)
        frames = stream.read(last - first, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        _refuse(source, error)
    missing = last - first - len(frames)
    if missing > 0 and missing > _allowed(source, stream):
        raise AudioError(
            f"{source.name}: truncated: {first + len(frames)} of {last} samples could "
            "be decoded; fetch it again, or skip it"
        )
    return frames


def _allowed(source: Source, stream: Any) -> float:
    """Return how many samples fewer than announced a whole recording may have.

    Without a header that counts its frames, the length of an MP3 file is a guess.
    """
    if "MPEG" not in stream.subtype:
        return 0
    head = source.read(0, riff.HEAD)
    counted = any(mark in head for mark in _MP3_COUNTS)
    return _MP3_SLACK if counted and not _counts_padding(stream) else math.inf


def _refuse(source: Source, error: Exception) -> NoReturn:
    text = str(error).strip().rstrip(".")
    # The decoder's own words where it has some; "File does not exist" is what
    # it says of an MP3 file without frames.
    words = "no audio" if "does not exist" in text else text.rpartition(": ")[2]
    raise AudioError(
        f"{source.name}: damaged, or not audio that can be decoded ({words}); fetch "
        "it again, or skip it"
    ) from None
