"""Batches of clips: rows of the packed store, changed and paired with targets.

Small sets are gathered in memory once and batches are cut out of them in
process. With ``workers``, batches are made by other processes; since every draw
is keyed by seed, epoch and clip, they are the same to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rehear.errors import DataError
from rehear.randomness import generator

if TYPE_CHECKING:
    import torch

    from rehear.store import Store

# Beyond this a set stays on disk and is read through the memory map.
MEMORY_SHARE = 0.25


@dataclass(frozen=True)
class Step:
    """One change on the way from stored features to a batch.

    Attributes:
        apply: ``(x) → x``, or ``(x, generator) → x`` if it draws
        name: as in params.yaml
        draws: whether it takes a generator
        by_clip: whether it takes the clip's id, too
    """

    apply: Callable[..., np.ndarray]
    name: str
    draws: bool = False
    by_clip: bool = False


@dataclass(frozen=True)
class Batch:
    """Features and targets of some clips; ``size`` of them in the whole batch."""

    features: "torch.Tensor"
    targets: "torch.Tensor"
    size: int


class ClipSet:
    """The clips of one split, ready to be batched.

    Args:
        store: packed features
        rows: positions of the clips in the store
        targets: target of each clip, first axis as ``rows``
        steps: changes of one clip, in order
        mixes: changes of a batch, in order, on targets that ``spread`` made
        spread: targets as ``(batch, outputs)`` weights
        seed: key of all draws

    Raises:
        DataError: if the clips' features differ in shape
    """

    def __init__(
        self,
        store: "Store",
        rows: Sequence[int],
        targets: np.ndarray,
        *,
        steps: Sequence[Step] = (),
        mixes: Sequence[Callable[..., tuple[np.ndarray, np.ndarray]]] = (),
        spread: Callable[[np.ndarray], np.ndarray] | None = None,
        seed: int = 0,
    ) -> None:
        if store.shape is None:
            raise DataError(
                "features of the clips differ in length, and a batch needs one: add "
                "{name: fit, seconds: …} to preprocess.transforms, after mono"
            )
        self.store, self.targets, self.seed = store, targets, seed
        self.rows = np.asarray(rows, dtype=np.int64)
        self.ids = [store.ids[row] for row in self.rows]
        self.mixes, self.spread = tuple(mixes), spread
        size = len(self.rows) * int(np.prod(store.shape)) * 4
        fits = size < MEMORY_SHARE * _memory()
        fixed = next((i for i, s in enumerate(steps) if s.draws), len(steps))
        before, self.steps = (steps[:fixed], steps[fixed:]) if fits else ((), steps)
        self._features = self._gather(before) if fits else None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's features in a batch."""
        first = self.features(0, np.arange(1))
        return first.shape[1:]

    def order(self, epoch: int, *, shuffle: bool) -> np.ndarray:
        """Return the positions of all clips in the order of this epoch."""
        if not shuffle:
            return np.arange(len(self))
        return generator(self.seed, "shuffle", epoch).permutation(len(self))

    def features(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the features of some clips as ``(clips, *shape)``."""
        if self._features is not None:
            features = self._features[positions]
        else:
            features = self.store.gather(self.rows[positions])
        if not self.steps:
            return features
        return np.stack(
            [
                self._change(x, self.steps, epoch, self.ids[position])
                for x, position in zip(features, positions, strict=True)
            ]
        )

    def batch(self, epoch: int, index: int, positions: np.ndarray) -> Batch:
        """Return the batch with number ``index`` of an epoch."""
        import torch

        features, targets = self.features(epoch, positions), self.targets[positions]
        if self.mixes and self.spread is not None:
            targets = self.spread(targets)
            for number, mix in enumerate(self.mixes):
                draw = generator(self.seed, "mix", epoch, index, number)
                features, targets = mix(features, targets, draw)
        return Batch(
            torch.from_numpy(np.ascontiguousarray(features)),
            torch.from_numpy(np.ascontiguousarray(targets)),
            len(positions),
        )

    def batches(
        self,
        epoch: int,
        size: int,
        *,
        shuffle: bool = False,
        first: int = 0,
        workers: int = 0,
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch, from number ``first`` on."""
        cuts = cut(self.order(epoch, shuffle=shuffle), size)
        jobs = [(epoch, i, cuts[i]) for i in range(first, len(cuts))]
        if workers == 0:
            return (self.batch(*job) for job in jobs)
        return self._from_workers(jobs, workers)

    def _from_workers(
        self, jobs: list[tuple[int, int, np.ndarray]], workers: int
    ) -> Iterator[Batch]:
        import torch
        from torch.utils.data import DataLoader

        # The jobs are the sampler: a worker gets (epoch, number, positions),
        # and needs no state of its own.
        # A generator of its own: the loader draws a number that nothing here uses.
        loader: Any = DataLoader(
            _Jobs(self),  # type: ignore[arg-type]
            sampler=jobs,
            batch_size=None,
            num_workers=min(workers, len(jobs)),
            generator=torch.Generator(),
        )
        return iter(loader)

    def _gather(self, steps: Sequence[Step]) -> np.ndarray:
        features = self.store.gather(self.rows)
        if not steps or not len(features):
            return features
        return np.stack([self._change(x, steps, 0, "") for x in features])

    def _change(
        self, x: np.ndarray, steps: Sequence[Step], epoch: int, clip: str
    ) -> np.ndarray:
        draws = 0
        for step in steps:
            if step.draws:
                draw = generator(self.seed, "augment", draws, epoch, clip)
                named = (clip,) if step.by_clip else ()
                x, draws = step.apply(x, draw, *named), draws + 1
            else:
                x = step.apply(x)
        return x


class _Jobs:
    """A map from jobs to batches, as torch's loader wants it."""

    def __init__(self, clips: ClipSet) -> None:
        self.clips = clips

    def __getitem__(self, job: tuple[int, int, np.ndarray]) -> Batch:
        return self.clips.batch(*job)


def cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut an order into batches; a last batch of one joins the one before.

    Batch normalisation cannot train on one clip. Where all batches are of one,
    they stay so.
    """
    cuts = [order[start : start + size] for start in range(0, len(order), size)]
    if len(cuts) > 1 and size > 1 and len(cuts[-1]) == 1:
        last = cuts.pop()
        cuts[-1] = np.concatenate([cuts[-1], last])
    return cuts


def _memory() -> float:
    import os

    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return 8e9
