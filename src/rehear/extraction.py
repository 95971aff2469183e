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
        shapes: of the features of each clip; ``None`` for one that failed
        failed: ``(position in the block, reason)``
        count: number of values
        mean: of all values
        squares: sum of squared deviations from ``mean``
        low: smallest value
        high: largest value
        crc: of the bytes of the features
    """

    shapes: list[list[int] | None] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    crc: int = 0


def plan(clips: Sequence[Clip], *, sample_rate: int) -> list[range]:
    """Cut the manifest into blocks of consecutive clips.

    Blocks depend on the manifest alone. They are small enough to share out
    evenly, to lose little in an interruption, and to fit in memory.

    Args:
        clips: of the manifest
        sample_rate: after resampling, in Hz
    """
    most = max(_CLIPS[0], min(_CLIPS[1], len(clips) // 64))
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
    """

    clips: Sequence[Clip]
    blocks: Sequence[range]
    root: Path
    sample_rate: int
    chain: Chain
    checkpoints: Path

    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are not there, or not whole."""
        return [i for i in range(len(self.blocks)) if not self._is_whole(i)]

    def work(self, number: int) -> None:
        """Make one block.

        Raises:
            DataError: if it cannot be written
        """
        block, arrays = Block(), []
        for position, index in enumerate(self.blocks[number]):
            try:
                features = self.features(self.clips[index])
            except DataError as error:
                block.failed.append((position, str(error)))
                block.shapes.append(None)
                continue
            block.shapes.append(list(features.shape))
            arrays.append(features.reshape(-1))
        values = np.concatenate(arrays) if arrays else np.empty(0, np.float32)
        _measure(block, values)
        try:
            # The description comes second: where it is, the features are.
            _put(self._path(number, "f32"), values.data.cast("B"))
            _put(self._path(number, "json"), json.dumps(asdict(block)).encode())
        except OSError as error:
            raise unwritable(self.checkpoints, error) from None

    def features(self, clip: Clip) -> np.ndarray:
        """Return the features of one clip, float32.

        Raises:
            DataError: if the clip's file cannot be read, or a transform refuses
                the clip or gives nothing or numbers that are not finite
        """
        x, rate = inputs.read(self.root / clip.file, clip.start, clip.end)
        if rate:
            x = audio.resample(x, rate, self.sample_rate)
        features = np.ascontiguousarray(self.chain(x), np.float32)
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
        path = self._path(number, "f32")
        if path.stat().st_size == 0:
            return np.empty(0, np.float32)
        return np.asarray(np.memmap(path, np.float32, mode="r"))

    def _path(self, number: int, ending: str) -> Path:
        return self.checkpoints / f"{number:06}.{ending}"

    def _is_whole(self, number: int) -> bool:
        try:
            block, data = self.read(number), self._path(number, "f32").read_bytes()
        except (OSError, ValueError, TypeError):
            return False
        return len(data) == 4 * block.count and zlib.crc32(data) == block.crc


def _measure(block: Block, values: np.ndarray) -> None:
    block.crc = zlib.crc32(values.data.cast("B")) if values.size else 0
    block.count = values.size
    if values.size:
        block.mean = float(values.mean(dtype=np.float64))
        deviations = values - np.float32(block.mean)
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
