"""From clips to features, in blocks that survive an interruption.

Clips are worked on in blocks of consecutive ones. A finished block is two files
in a checkpoint folder, whose name is a digest of everything that the features
depend on; after an interruption only missing blocks are made.
"""

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rehear import audio, inputs
from rehear.earlier import Earlier
from rehear.errors import DataError
from rehear.manifest import Clip
from rehear.transforms import Chain

_CLIPS = (8, 128)  # clips in a block: at least, at most
_SAMPLES = 2**24  # samples in a block at most, about: 64 MiB of waveforms
_USUAL_SECONDS = 10.0  # duration of a clip where the manifest does not say


@dataclass
class Block:
    """What is known of some consecutive clips, besides their features.

    Attributes:
        dtype: of the features, little-endian
        shapes: of the features of each clip; ``None`` for one that failed
        crcs: of the bytes of each clip's features; 0 for one that failed
        failed: ``(position in the block, reason)``
        taken: number of clips whose features an earlier run had made
        count: number of values
        mean: of all values
        squares: sum of squared deviations from ``mean``
        low: smallest value
        high: largest value
        errors: of rounding each clip's features to ``dtype``: the largest, and the
            sum of squares
        crc: of the bytes of the features
    """

    dtype: str = "<f4"
    shapes: list[list[int] | None] = field(default_factory=list)
    crcs: list[int] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    taken: int = 0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    errors: list[tuple[float, float]] = field(default_factory=list)
    crc: int = 0


def plan(clips: Sequence[Clip], *, sample_rate: int) -> list[range]:
    """Cut the manifest into blocks of consecutive clips.

    Blocks depend on the manifest alone. They are small enough to share out
    evenly, to lose little in an interruption, and to fit in memory.

    Args:
        clips: of the manifest
        sample_rate: after resampling, in Hz
    """
    most = max(_CLIPS[0], min(_CLIPS[1], len(clips) // 128))
    blocks, first, samples = [], 0, 0.0
    for position, clip in enumerate(clips):
        length = (clip.duration or _USUAL_SECONDS) * max(sample_rate, clip.sample_rate)
        full = position - first >= most or samples + length > _SAMPLES
        if full and position > first:
            blocks.append(range(first, position))
            first, samples = position, 0.0
        samples += length
    if len(clips) > first:
        blocks.append(range(first, len(clips)))
    return blocks


@dataclass(frozen=True)
class Extraction:
    """From clips to blocks of features in a checkpoint folder.

    Attributes:
        clips: of the manifest
        blocks: as ``plan`` returns them
        root: folder that ``Clip.file`` is relative to
        sample_rate: that sound is resampled to, in Hz
        chain: the transforms
        checkpoints: folder of finished blocks
        dtype: of the store, ``float32`` or ``float16``; whole numbers of one
            byte, such as images, are kept as they are
        earlier: features that an earlier run has made, by content
    """

    clips: Sequence[Clip]
    blocks: Sequence[range]
    root: Path
    sample_rate: int
    chain: Chain
    checkpoints: Path
    dtype: str = "float32"
    earlier: Earlier | None = None

    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are not there, or not whole."""
        return [i for i in range(len(self.blocks)) if not self._is_whole(i)]

    def work(self, number: int) -> None:
        """Make one block.

        Raises:
            DataError: if it cannot be written
        """
        block = Block()
        arrays: list[np.ndarray] = []
        for position, index in enumerate(self.blocks[number]):
            try:
                features, errors = self._stored(self.clips[index], block)
                _check_type(features, arrays[:1], self.clips[index].file)
            except DataError as error:
                block.failed.append((position, str(error)))
                block.shapes.append(None)
                block.crcs.append(0)
                block.errors.append((0.0, 0.0))
                continue
            block.shapes.append(list(features.shape))
            block.crcs.append(zlib.crc32(features.data.cast("B")))
            block.errors.append(errors)
            arrays.append(features.reshape(-1))
        values = np.concatenate(arrays) if arrays else np.empty(0, np.float32)
        block.dtype = values.dtype.newbyteorder("<").str
        _measure(block, values)
        try:
            # The description comes second: where it is, the features are.
            _put(self._path(number, "values"), values.data.cast("B"))
            _put(self._path(number, "json"), json.dumps(asdict(block)).encode())
        except OSError as error:
            raise unwritable(self.checkpoints, error) from None

    def _stored(
        self, clip: Clip, block: Block
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Return the features of a clip as they are stored, and errors of rounding."""
        known = self.earlier.features(clip) if self.earlier else None
        if known is not None:
            block.taken += 1
            return known
        features = self.features(clip)
        if features.dtype == np.uint8 or self.dtype == "float32":
            return features, (0.0, 0.0)
        with np.errstate(over="ignore"):
            rounded = features.astype(self.dtype)
        if not np.isfinite(rounded).all():
            raise DataError(
                f"{clip.file}: the feature {np.abs(features).max():g} is beyond "
                f"{self.dtype}; set preprocess.dtype: float32"
            )
        errors = np.abs(rounded.astype(np.float32) - features)
        squares = np.square(errors, dtype=np.float64).sum()
        return rounded, (float(errors.max()), float(squares))

    def features(self, clip: Clip) -> np.ndarray:
        """Return the features of one clip, float32, or uint8 as an image has it.

        Raises:
            DataError: if the clip's file cannot be read, or a transform refuses
                the clip or gives nothing or numbers that are not finite
        """
        x, rate = inputs.read(self.root / clip.file, clip.start, clip.end)
        if rate:
            x = audio.resample(x, rate, self.sample_rate)
        features = np.asarray(self.chain(x))
        kept = np.uint8 if features.dtype == np.uint8 else np.float32
        features = np.ascontiguousarray(features, kept)
        if features.size == 0:
            raise DataError(
                f"{clip.file}: its features {features.shape} are empty; check "
                "preprocess.transforms"
            )
        if not np.isfinite(features).all():
            raise DataError(
                f"{clip.file}: {_culprit(self.chain, x)} gave NaN or infinite "
                "values; skip the clip, or change preprocess.transforms"
            )
        return features

    def read(self, number: int) -> Block:
        """Return the description of a finished block."""
        fields = json.loads(self._path(number, "json").read_bytes())
        return Block(**fields)

    def values(self, number: int) -> np.ndarray:
        """Return the features of a finished block, flat, memory-mapped."""
        path, dtype = self._path(number, "values"), self.read(number).dtype
        if path.stat().st_size == 0:
            return np.empty(0, dtype)
        return np.asarray(np.memmap(path, np.dtype(dtype), mode="r"))

    def _path(self, number: int, ending: str) -> Path:
        return self.checkpoints / f"{number:06}.{ending}"

    def _is_whole(self, number: int) -> bool:
        try:
            block, data = self.read(number), self._path(number, "values").read_bytes()
            size = np.dtype(block.dtype).itemsize * block.count
        except (OSError, ValueError, TypeError):
            return False
        return len(data) == size and zlib.crc32(data) == block.crc


def _check_type(features: np.ndarray, others: list[np.ndarray], file: str) -> None:
    for other in others:
        if other.dtype != features.dtype:
            raise DataError(
                f"{file}: its features are {features.dtype}, but others are "
                f"{other.dtype}; end preprocess.transforms with one that gives the "
                "same for all, such as to_float"
            )


def _measure(block: Block, values: np.ndarray) -> None:
    block.crc = zlib.crc32(values.data.cast("B")) if values.size else 0
    block.count = values.size
    if values.size:
        block.mean = float(values.mean(dtype=np.float64))
        deviations = values.astype(np.float32, copy=False) - np.float32(block.mean)
        block.squares = float(np.square(deviations, dtype=np.float64).sum())
        block.low, block.high = float(values.min()), float(values.max())


def _put(path: Path, data: Any) -> None:
    # Not rehear.atomic: it waits for the disk at every file, and a block that a
    # power cut took can be made again.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _culprit(chain: Chain, x: np.ndarray) -> str:
    for name, array in chain.trace(x):
        if not np.isfinite(array).all():
            return f"transform '{name}'"
    return "resampling"


def unwritable(folder: Path, error: OSError) -> DataError:
    """Return the error for a folder that cannot be written."""
    return DataError(
        f"{folder}: cannot be written ({error.strerror}); free some space or mend the "
        "permissions, then run the stage again: finished blocks are kept"
    )
