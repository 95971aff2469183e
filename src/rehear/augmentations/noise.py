"""Noise at a signal-to-noise ratio."""

import csv
import math
from pathlib import Path

import numpy as np

from rehear import randomness
from rehear.augmentations.chance import probability, skips
from rehear.augmentations.recordings import Recordings
from rehear.errors import DataError
from rehear.signals import SAME, WAVEFORM, check_shape

_KEY = "clip"  # column of clips' ids
_TRIES = 10  # draws of a stretch of noise that is not silent


class NoiseAtSnr:
    """Add noise at a random signal-to-noise ratio (SNR), uniform in dB.

    The SNR is the ratio of the mean squares of clip and noise, over all samples
    and channels. Noise is white and Gaussian, or a random stretch of a random
    recording; one that is too short goes round. Where a recording has another
    number of channels than the clip, its mean is added to every channel. A silent
    clip stays as it is, and so does one for which ten draws find silence only.

    Args:
        sample_rate: of the waveform, in Hz
        study: folder that paths are relative to
        snr_low: lowest SNR in dB
        snr_high: highest SNR in dB
        folder: of noise recordings, in the study; empty takes white noise
        fixed: a clip gets the same SNR and noise in every epoch and run
        p: probability that a clip is changed; never fixed

    Shape:
        ``(channels, samples)``, kept

    Raises:
        ValueError: if snr_low is above snr_high, or the folder has no recordings
    """

    takes, gives = WAVEFORM, SAME
    by_clip = True
    reads = ("folder",)

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        study: Path = Path(),
        snr_low: float = 0.0,
        snr_high: float = 30.0,
        folder: str = "",
        fixed: bool = False,
        p: float = 1.0,
    ) -> None:
        if snr_low > snr_high:
            raise ValueError(f"snr_low {snr_low} is above snr_high {snr_high}")
        self.snr_low, self.snr_high = snr_low, snr_high
        self.fixed, self.p = fixed, probability(p)
        self.noise = _Noise(study, folder, sample_rate=sample_rate)

    def __call__(
        self, x: np.ndarray, generator: np.random.Generator, clip: str = ""
    ) -> np.ndarray:
        check_shape(self, "noise_at_snr", x, what="augmentation")
        if skips(generator, self.p):
            return x
        if self.fixed:
            generator = randomness.generator(0, "noise_at_snr", clip)
        snr = generator.uniform(self.snr_low, self.snr_high)
        return _added(x, self.noise.draw(x.shape, generator), snr)


class NoiseByTable:
    """Add noise at the signal-to-noise ratio that a table has for the clip.

    All else is as for ``noise_at_snr``.

    Args:
        sample_rate: of the waveform, in Hz
        study: folder that paths are relative to
        table: CSV file, in the study; its column ``clip`` holds ids of clips, as in
            data/manifest.csv
        column: of the table, with SNRs in dB
        folder: of noise recordings, in the study; empty takes white noise
        fixed: a clip gets the same noise in every epoch and run
        p: probability that a clip is changed; never fixed

    Shape:
        ``(channels, samples)``, kept

    Raises:
        ValueError: if the folder has no recordings
        DataError: if the table cannot be used, or lacks a clip
    """

    takes, gives = WAVEFORM, SAME
    by_clip = True
    reads = ("table", "folder")

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        study: Path = Path(),
        table: str = "snr.csv",
        column: str = "snr",
        folder: str = "",
        fixed: bool = False,
        p: float = 1.0,
    ) -> None:
        self.table, self.fixed, self.p = table, fixed, probability(p)
        self.snrs = read_snrs(study / table, column)
        self.noise = _Noise(study, folder, sample_rate=sample_rate)

    def __call__(
        self, x: np.ndarray, generator: np.random.Generator, clip: str = ""
    ) -> np.ndarray:
        check_shape(self, "noise_by_table", x, what="augmentation")
        if clip not in self.snrs:
            raise DataError(
                f"augmentation 'noise_by_table': {self.table} has no row of the clip "
                f"'{clip}'; add it"
            )
        if skips(generator, self.p):
            return x
        if self.fixed:
            generator = randomness.generator(0, "noise_by_table", clip)
        return _added(x, self.noise.draw(x.shape, generator), self.snrs[clip])


class _Noise:
    """White noise, or that of a folder."""

    def __init__(self, study: Path, folder: str, *, sample_rate: int) -> None:
        self.recordings = (
            Recordings(study / folder, sample_rate=sample_rate) if folder else None
        )

    def draw(
        self, shape: tuple[int, ...], generator: np.random.Generator
    ) -> np.ndarray:
        """Return noise for a clip of the shape ``(channels, samples)``."""
        if self.recordings is None:
            return generator.standard_normal(shape, dtype=np.float32)
        for _ in range(_TRIES):
            number = int(generator.integers(0, len(self.recordings)))
            noise = _stretch(self.recordings[number], shape[-1], generator)
            if noise.any():
                break
        if len(noise) == shape[0]:
            return noise
        return np.broadcast_to(noise.mean(axis=0), shape)


def _added(x: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Return a clip with noise at an SNR in dB."""
    power, of_noise = _power(x), _power(noise)
    if power == 0 or of_noise == 0:
        return x
    gain = math.sqrt(power / of_noise) * 10 ** (-snr / 20)
    return x + (gain * noise).astype(x.dtype)


def read_snrs(path: Path, column: str) -> dict[str, float]:
    """Return the SNR in dB of each clip of a table.

    Args:
        path: CSV file with the columns ``clip`` and ``column``
        column: of SNRs

    Raises:
        DataError: if there is no such file or column, a clip stands there twice,
            or an SNR is no number
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            missing = {_KEY, column} - {*(rows.fieldnames or ())}
            if missing:
                raise DataError(
                    f"{path}: has no column {' or '.join(sorted(missing))}; expected "
                    f"{_KEY} and {column}"
                )
            return _snrs(path, column, rows)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; correct 'table'") from None


def _snrs(path: Path, column: str, rows: "csv.DictReader[str]") -> dict[str, float]:
    snrs: dict[str, float] = {}
    for row in rows:
        clip, text = row[_KEY], row[column]
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise DataError(
                f"{path} line {rows.line_num}: {column}: expected a number of dB, "
                f"found {text!r}"
            )
        if clip in snrs:
            raise DataError(
                f"{path} line {rows.line_num}: clip '{clip}' stands there twice; "
                "remove one row"
            )
        snrs[clip] = value
    return snrs


def _power(x: np.ndarray) -> float:
    return float(np.square(x, dtype=np.float64).mean()) if x.size else 0.0


def _stretch(
    recording: np.ndarray, samples: int, generator: np.random.Generator
) -> np.ndarray:
    """Return ``samples`` of a recording from a random one on; short ones go round."""
    length = recording.shape[-1]
    if length >= samples:
        start = int(generator.integers(0, length - samples + 1))
        return recording[:, start : start + samples]
    start = int(generator.integers(0, length))
    return recording[:, (start + np.arange(samples)) % length]
