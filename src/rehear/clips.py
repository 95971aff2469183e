"""Batches of clips: rows of the packed store, changed and paired with targets.

Small sets are gathered in memory once and batches are cut out of them in
process. With ``workers``, batches are made by other processes; since every draw
is keyed by seed, epoch and clip, they are the same to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rehear.errors import DataError
from rehear.randomness import generator
from rehear.store import Store, widened

if TYPE_CHECKING:
    import torch
    from torch import nn

# Beyond this a set stays on disk and is read through the memory map.
MEMORY_SHARE = 0.25
OF_ONE_LENGTH = (
    "features of the clips differ in length, and a batch needs one: add {name: fit, "
    "seconds: …} to preprocess.transforms, after mono, or {name: random_crop, "
    "seconds: …} to augment"
)
Lengths = Literal["equal", "grouped", "padded"]
MIXED_LENGTHS = (
    "clips of different lengths cannot be mixed: leave out augmentations such as "
    "mixup, or give all clips one length with {name: fit, seconds: …} in "
    "preprocess.transforms"
)


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

    def __call__(
        self, x: np.ndarray, draw: np.random.Generator | None, clip: str
    ) -> np.ndarray:
        """Change a clip.

        Args:
            x: its features
            draw: for a step that draws
            clip: its id

        Raises:
            DataError: if the part refuses the clip; the text names both
        """
        given = (draw, clip) if self.by_clip else (draw,) if self.draws else ()
        try:
            return self.apply(x, *given)
        except DataError as error:
            place = f", clip '{clip}'" if clip else ""
            raise DataError(f"'{self.name}'{place}: {error}") from error


@dataclass(frozen=True)
class Batch:
    """Features and targets of some clips.

    Attributes:
        features: ``(clips, *shape)``
        targets: ``(clips, …)``
        size: how many clips count
        lengths: of the last axis of features before padding; ``None`` without any
    """

    features: "torch.Tensor"
    targets: "torch.Tensor"
    size: int
    lengths: "torch.Tensor | None" = None

    def take(self, which: slice, *, size: int) -> "Batch":
        """Return some of the clips."""
        lengths = None if self.lengths is None else self.lengths[which]
        return Batch(self.features[which], self.targets[which], size, lengths)


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
        lengths: ``equal`` of all clips, ``grouped`` into batches of equal ones by
            ``groups``, or ``padded`` with zeros, for models that take lengths

    Attributes:
        front: what ``steps`` leave to be done with whole batches, on the device

    Raises:
        DataError: if clips differ in length although they must not
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[int],
        targets: np.ndarray,
        *,
        steps: Sequence[Step] = (),
        mixes: Sequence[Callable[..., tuple[np.ndarray, np.ndarray]]] = (),
        spread: Callable[[np.ndarray], np.ndarray] | None = None,
        seed: int = 0,
        lengths: Lengths = "equal",
    ) -> None:
        self.pads = lengths == "padded"
        self.store, self.targets, self.seed = store, targets, seed
        self.front: nn.Module | None = None
        self.rows = np.asarray(rows, dtype=np.int64)
        self.ids = [store.ids[row] for row in self.rows]
        self.mixes, self.spread = tuple(mixes), spread
        fixed = next((i for i, s in enumerate(steps) if s.draws), len(steps))
        fits = 4 * store.size(self.rows) < MEMORY_SHARE * _memory()
        before, self.steps = (steps[:fixed], steps[fixed:]) if fits else ((), steps)
        self._features = self._gather(before) if fits else None
        if self._varies():
            if lengths == "equal" or not store.differs_in_length_only:
                raise DataError(OF_ONE_LENGTH)
            if self.pads and mixes:
                raise DataError(MIXED_LENGTHS)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first clip's features in a batch."""
        return self.features(0, np.arange(1)).shape[1:]

    @property
    def changes(self) -> bool:
        """Whether clips differ from epoch to epoch."""
        return bool(self.mixes) or any(step.draws for step in self.steps)

    def leave_to(self, device: "torch.device") -> None:
        """Leave the last steps to a device that does whole batches faster.

        These are steps after all draws, which can be done nowhere but in each
        epoch, and of which the transform has a form for batches of tensors.

        Args:
            device: of the model; a CPU is left nothing, since numpy is faster
        """
        from torch import nn

        if device.type == "cpu" or self.mixes or self.pads:
            return
        first = len(self.steps)
        while first and hasattr(self.steps[first - 1].apply, "on_device"):
            first -= 1
        if first < len(self.steps):
            left: list[Any] = [step.apply for step in self.steps[first:]]
            self.front = nn.Sequential(*(part.on_device() for part in left))
            self.steps = self.steps[:first]

    def groups(self, size: int) -> list[np.ndarray]:
        """Return the positions of all clips in batches of one shape."""
        if not self._varies():
            return np.split(np.arange(len(self)), range(size, len(self), size))
        if self.pads:  # of about the same length, so that little is padded
            lengths = [self.store[row].shape[-1] for row in self.rows]
            places = range(size, len(self), size)
            return np.split(np.argsort(lengths, kind="stable"), places)
        alike: dict[tuple[int, ...], list[int]] = {}
        for position, row in enumerate(self.rows):
            alike.setdefault(self.store[row].shape, []).append(position)
        return [
            np.array(positions[first : first + size])
            for positions in alike.values()
            for first in range(0, len(positions), size)
        ]

    def order(self, epoch: int, *, shuffle: bool) -> np.ndarray:
        """Return the positions of all clips in the order of this epoch."""
        if not shuffle:
            return np.arange(len(self))
        return generator(self.seed, "shuffle", epoch).permutation(len(self))

    def features(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the features of some clips as ``(clips, *shape)``, float32.

        Raises:
            DataError: if they differ in shape
        """
        return _stacked(self._clips(epoch, positions)).astype(np.float32, copy=False)

    def padded(
        self, epoch: int, positions: np.ndarray
    ) -> tuple[np.ndarray, "torch.Tensor | None"]:
        """Return the features of some clips, and their lengths where some are padded.

        Raises:
            DataError: if they differ in shape, and are not to be padded
        """
        import torch

        clips = self._clips(epoch, positions)
        lengths = [x.shape[-1] for x in clips]
        if not self.pads or len(set(lengths)) == 1:
            return _stacked(clips).astype(np.float32, copy=False), None
        whole = np.zeros((len(clips), *clips[0].shape[:-1], max(lengths)), np.float32)
        for row, x in zip(whole, clips, strict=True):
            row[..., : x.shape[-1]] = x
        return whole, torch.tensor(lengths)

    def _clips(
        self, epoch: int, positions: np.ndarray
    ) -> np.ndarray | list[np.ndarray]:
        if self._features is None:
            features = self._stored(self.rows[positions])
        elif isinstance(self._features, list):
            features = [self._features[position] for position in positions]
        else:
            features = self._features[positions]
        if self.steps:
            features = [
                self._change(x, self.steps, epoch, self.ids[position])
                for x, position in zip(features, positions, strict=True)
            ]
        return features

    def batch(self, epoch: int, index: int, positions: np.ndarray) -> Batch:
        """Return the batch with number ``index`` of an epoch."""
        import torch

        features, lengths = self.padded(epoch, positions)
        targets = self.targets[positions]
        if self.mixes and self.spread is not None:
            targets = self.spread(targets)
            for number, mix in enumerate(self.mixes):
                draw = generator(self.seed, "mix", epoch, index, number)
                features, targets = mix(features, targets, draw)
        return Batch(
            torch.from_numpy(np.ascontiguousarray(features)),
            torch.from_numpy(np.ascontiguousarray(targets)),
            len(positions),
            lengths,
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

    def _stored(self, rows: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """Return stored features; those in half precision as float32."""
        if self.store.shape is not None:
            return widened(self.store.gather(rows))
        return [widened(self.store[row]) for row in rows]

    def _gather(self, steps: Sequence[Step]) -> np.ndarray | list[np.ndarray]:
        features = self._stored(self.rows)
        if not steps or not len(features):
            return features
        changed = [self._change(x, steps, 0, "") for x in features]
        same = len({x.shape for x in changed}) == 1
        return np.stack(changed) if same else changed

    def _varies(self) -> bool:
        """Tell whether clips differ in shape after all steps."""
        if isinstance(self._features, np.ndarray) or self.store.shape is not None:
            return False
        sizes = [self.store[row].size for row in self.rows]
        ends = {int(np.argmin(sizes)), int(np.argmax(sizes))}
        shapes = {self._first_epoch(position).shape for position in ends}
        return len(shapes) > 1

    def _first_epoch(self, position: int) -> np.ndarray:
        return self.features(0, np.array([position]))[0]

    def _change(
        self, x: np.ndarray, steps: Sequence[Step], epoch: int, clip: str
    ) -> np.ndarray:
        draws = 0
        for step in steps:
            if step.draws:
                draw = generator(self.seed, "augment", draws, epoch, clip)
                x, draws = step(x, draw, clip), draws + 1
            else:
                x = step(x, None, clip)
        return x


def _stacked(features: np.ndarray | list[np.ndarray]) -> np.ndarray:
    if isinstance(features, np.ndarray):
        return features
    if len({x.shape for x in features}) > 1:
        raise DataError(OF_ONE_LENGTH)
    return np.stack(features)


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
