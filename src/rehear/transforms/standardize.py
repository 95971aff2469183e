"""Standardisation with statistics of the training split."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rehear.errors import ParamsError
from rehear.signals import ANY, SAME

if TYPE_CHECKING:
    from torch import nn

_VECTORS = 1024  # clips in a bundle


class Standardize:
    """Subtract the mean and divide by the standard deviation of each feature.

    Statistics come from the training split of the run alone and are stored with
    its model, so this transform runs while training: ``online: true``. A vector
    has statistics for each element; a spectrogram ``(channels, mels, frames)``
    for each channel and mel band, over all frames. A feature that is constant in
    the training split becomes 0.

    Shape:
        any, kept
    """

    takes, gives = ANY, SAME
    learns = True

    def __init__(self) -> None:
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def learn(self, clips: Iterable[np.ndarray]) -> None:
        """Take the statistics of clips, in float64, one pass."""
        clips = iter(clips)
        first = next(clips, None)
        if first is None:
            raise ParamsError("transform 'standardize' got no training clips")
        bundles = _frames(itertools.chain([first], clips))
        some = next(bundles)
        offset = some.mean(axis=-1, keepdims=True)
        count, total, squares = 0, np.zeros_like(offset), np.zeros_like(offset)
        for frames in itertools.chain([some], bundles):
            # An offset near the mean keeps the difference of sums exact.
            frames = frames - offset
            total += frames.sum(axis=-1, keepdims=True)
            squares += np.square(frames).sum(axis=-1, keepdims=True)
            count += frames.shape[-1]
        shift = total / count
        variance = np.maximum(squares / count - np.square(shift), 0)
        scale = np.where(
            variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1)), 0
        )
        self._set(offset + shift, scale, vector=first.ndim == 1)

    def _set(self, mean: np.ndarray, scale: np.ndarray, *, vector: bool) -> None:
        mean, scale = mean.astype(np.float32), scale.astype(np.float32)
        self.mean, self.scale = (mean[:, 0], scale[:, 0]) if vector else (mean, scale)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self.mean is None or self.scale is None:
            raise ParamsError(
                "transform 'standardize' learns from the training split: write "
                "{name: standardize, online: true}"
            )
        return (x - self.mean) * self.scale

    def on_device(self) -> "nn.Module":
        """Return the same for batches of tensors."""
        from rehear.transforms import on_device

        if self.mean is None or self.scale is None:
            raise ParamsError("transform 'standardize' has learnt nothing yet")
        return on_device.Affine(self.mean, self.scale)

    def state(self) -> dict[str, Any]:
        """Return the statistics as lists of numbers."""
        if self.mean is None or self.scale is None:
            return {}
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take statistics that ``state`` returned."""
        self.mean = np.array(state["mean"], dtype=np.float32)
        self.scale = np.array(state["scale"], dtype=np.float32)


def _frames(clips: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield clips as float64 ``(…, frames)``.

    Vectors are bundled as if they were the frames of one clip: arithmetic on one
    at a time would take longer than to train a small network on it.
    """
    for clip in clips:
        if clip.ndim > 1:
            yield clip.astype(np.float64)
        else:
            bundle = [clip, *itertools.islice(clips, _VECTORS - 1)]
            yield np.stack(bundle, axis=-1).astype(np.float64)
