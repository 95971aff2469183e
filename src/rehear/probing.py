"""Training of nothing but the head, on what the frozen layers give.

That does not change from epoch to epoch, so it is computed once. A model that can
be trained so has ``encode``, from features to what its head takes, ``decode``, from
there to logits, and no ``divides`` that says no.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from rehear import freezing
from rehear.clips import ClipSet
from rehear.inference import predict
from rehear.models import structure
from rehear.params import Train


class _Encoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *features: Tensor) -> Tensor:
        encode: Any = self.model.encode
        return encode(*features)


class _Decoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, encoded: Tensor) -> Tensor:
        decode: Any = self.model.decode
        return decode(encoded)


class _Encoded:
    """A store in memory."""

    differs_in_length_only = False

    def __init__(self, values: np.ndarray, ids: Sequence[str]) -> None:
        self.values, self.ids, self.shape = values, ids, values.shape[1:]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return self.values[rows]

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[row]

    def size(self, rows: np.ndarray) -> int:
        return len(rows) * self.values[0].size


def applies(model: nn.Module, settings: Train, train: ClipSet) -> bool:
    """Tell whether all but the head is frozen to the end, and clips never change."""
    last = freezing.count(model, settings, epoch=settings.epochs - 1)
    if last < len(structure.blocks(model)) or train.changes:
        return False
    divides: Any = getattr(model, "divides", lambda: True)
    return hasattr(model, "encode") and divides()


def head_of(model: nn.Module) -> nn.Module:
    """Return the model as it takes what ``encoded`` makes."""
    return _Decoder(model)


def encoded(model: nn.Module, clips: ClipSet, *, run: Any, settings: Train) -> ClipSet:
    """Return the clips as the frozen layers of a model give them.

    Args:
        model: on its device
        clips: of a split
        run: the engine
        settings: the ``train`` section
    """
    values = predict(
        _Encoder(model),
        clips,
        batch_size=settings.batch_size,
        run=run,
        settings=settings,
    )
    store: Any = _Encoded(values, clips.ids)
    return ClipSet(store, range(len(clips)), clips.targets, seed=clips.seed)
