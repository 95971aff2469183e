"""From params.yaml to the objects of a run. It knows no paths."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rehear import signals, tasks
from rehear.augmentations import AUGMENTATIONS
from rehear.clips import OF_ONE_LENGTH, ClipSet, Lengths, Step
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest
from rehear.models import GIVEN, MODELS
from rehear.params import FILE, Params, Part, Train
from rehear.signals import UNKNOWN, Signal
from rehear.store import Store, widened
from rehear.transforms import TRANSFORMS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Online:
    """A transform that runs while training, and where it stands.

    Attributes:
        spec: as in params.yaml
        apply: the transform
        place: its ``order``, or its place in the list of all transforms
    """

    spec: Mapping[str, Any]
    apply: Any
    place: float

    def runs_in(self, split: str) -> bool:
        """Tell whether it is for the clips of a split."""
        return split in self.spec.get("splits", (split,))

    def record(self) -> dict[str, Any]:
        """Return what ``restore_online`` needs, as JSON."""
        state = self.apply.state() if getattr(self.apply, "learns", False) else {}
        return {"spec": dict(self.spec), "place": self.place, "state": state}


def build_online(
    specs: Iterable[Mapping[str, Any]], before: Signal, *, study: Path = Path()
) -> list[Online]:
    """Build those of all transforms that are marked ``online: true``.

    Args:
        specs: all transforms of the study
        before: what the store holds
        study: folder that paths of parts are relative to
    """
    records = [
        {"spec": spec, "place": spec.get("order", place), "state": None}
        for place, spec in enumerate(specs)
        if spec.get("online")
    ]
    return restore_online(records, before, study=study)


def restore_online(
    records: Iterable[Mapping[str, Any]], before: Signal, *, study: Path = Path()
) -> list[Online]:
    """Rebuild online transforms, with what they learnt, from a model's record."""
    restored = []
    for record in sorted(records, key=lambda record: record["place"]):
        spec = record["spec"]
        part = TRANSFORMS.build(spec, sample_rate=before.rate, study=study)
        if record["state"]:
            part.restore(record["state"])
        restored.append(Online(spec, part, record["place"]))
        before = signals.after(part, spec["name"], before)
    return restored


def check_shapes(store: Store, online: Sequence[Online]) -> None:
    """Refuse features of which no model takes all, before any work.

    Raises:
        DataError: if clips differ in more than length, and no transform is left
            that could mend it
    """
    if store.shape is None and not online and not store.differs_in_length_only:
        raise DataError(OF_ONE_LENGTH)


def learn_online(online: Sequence[Online], store: Store, rows: Sequence[int]) -> None:
    """Let transforms take their statistics from the training clips.

    What stands before them and is for other splits only has no part in it.
    """
    mine = [entry for entry in online if entry.runs_in("train")]
    for number, entry in enumerate(mine):
        if getattr(entry.apply, "learns", False):
            before = [earlier.apply for earlier in mine[:number]]
            clips = (widened(store[row]) for row in rows)
            entry.apply.learn(_through(x, before) for x in clips)


def _through(x: np.ndarray, parts: Iterable[Callable[..., np.ndarray]]) -> np.ndarray:
    for part in parts:
        x = part(x)
    return x


def arrange(
    online: Sequence[Online],
    augment: Sequence[Part],
    *,
    split: str,
    before: Signal = UNKNOWN,
    study: Path = Path(),
) -> tuple[list[Step], list[Any]]:
    """Put online transforms and augmentations of a split in their order.

    The order is that of the lists, transforms first. An ``order`` number moves
    a part: transforms count from 0 in their list, so an augmentation with
    ``order: 2.5`` stands behind the third one. ``splits`` limits a part to some
    splits; augmentations are for the training split where it says nothing.

    Args:
        online: transforms
        augment: parts of kind augmentation
        split: train, dev or test
        before: what the store holds
        study: folder that paths of parts are relative to

    Returns:
        Steps of one clip, and mixes of a batch.

    Raises:
        ParamsError: if a part does not take what comes before it
    """
    placed: list[tuple[float, str, Part, Any]] = [
        (entry.place, "", Part(entry.spec), entry.apply)
        for entry in online
        if entry.runs_in(split)
    ]
    placed += [
        (spec.get("order", math.inf), f"augment.{index}", spec, None)
        for index, spec in enumerate(augment)
    ]
    steps: list[Step] = []
    mixes: list[tuple[str, Any]] = []
    for _, key, spec, apply in sorted(placed, key=lambda entry: entry[0]):
        name, draws = spec["name"], apply is None
        if draws:
            apply = _augmentation(key, spec, rate=before.rate, study=study)
            if split not in spec.get("splits", ("train",)):
                continue
        if getattr(apply, "batch", False):
            mixes.append((name, apply))
            continue
        what = "augmentation" if draws else "transform"
        before = signals.after(apply, name, before, what=what)
        by_clip = getattr(apply, "by_clip", False)
        steps.append(Step(apply, name, draws=draws, by_clip=by_clip))
    for name, mix in mixes:
        signals.after(mix, name, before, what="augmentation")
    return steps, [mix for _, mix in mixes]


def _augmentation(key: str, spec: Part, *, rate: int, study: Path) -> Any:
    try:
        return AUGMENTATIONS.build(spec, sample_rate=rate, study=study)
    except ParamsError as error:
        raise error.within(f"{FILE}: {key}") from error


def of_split(manifest: Manifest, store: Store, split: str) -> list[tuple[int, Clip]]:
    """Return row in the store and clip, for the clips of a split.

    Clips whose features could not be made are left out, as preprocess said.

    Raises:
        DataError: if no clip is left
    """
    rows = {clip: row for row, clip in enumerate(store.ids)}
    found = [
        (rows[clip.clip], clip)
        for clip in manifest
        if clip.split == split and clip.clip in rows
    ]
    if not found:
        raise DataError(
            f"no clip is in the split '{split}'; give it some in the data set, or let "
            "fetch.split draw it"
        )
    return found


def task_of(params: Params, manifest: Manifest) -> tasks.Task:
    """Let the task learn from the training split."""
    train = tuple(clip for clip in manifest if clip.split == "train")
    return tasks.learn(params.task, replace(manifest, clips=train))


def clip_set(
    store: Store,
    found: Sequence[tuple[int, Clip]],
    task: tasks.Task,
    *,
    steps: Sequence[Step] = (),
    mixes: Sequence[Any] = (),
    seed: int = 0,
    lengths: Lengths = "equal",
) -> ClipSet:
    """Return the clips of a split with their targets; see ``ClipSet``."""
    return ClipSet(
        store,
        [row for row, _ in found],
        np.stack([task.encode(clip) for _, clip in found]),
        steps=steps,
        mixes=mixes,
        spread=task.spread,
        seed=seed,
        lengths=lengths,
    )


def arrival(online: Sequence[Online], before: Signal) -> Signal:
    """Return what comes to the model.

    Args:
        online: transforms
        before: what the store holds
    """
    for entry in online:
        before = signals.after(entry.apply, entry.spec["name"], before)
    return before


def takes_lengths(spec: Mapping[str, Any]) -> bool:
    """Tell whether clips of a batch may differ in length for a model."""
    return bool(getattr(MODELS.get(spec["name"]), "varied", False))


def build_model(
    spec: Mapping[str, Any],
    task: tasks.Task,
    shape: Sequence[int],
    *,
    arriving: Signal = UNKNOWN,
    seed: int,
) -> "nn.Module":
    """Build a model; its first weights are drawn from a key of the seed.

    Args:
        spec: as in params.yaml
        task: decides on the outputs
        shape: of one clip's features
        arriving: what comes to the model
        seed: of the run

    Raises:
        ParamsError: if the model takes something else
    """
    from rehear.training import seed_torch

    signals.after(MODELS.get(spec["name"]), spec["name"], arriving, what="model")
    seed_torch(seed, "initialise")
    return MODELS.build(
        spec,
        num_outputs=len(task.labels),
        input_shape=tuple(int(n) for n in shape),
        sample_rate=arriving.rate,
    )


def resolved_model(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's part with every argument written out."""
    return MODELS.resolve(spec, given=GIVEN)


def build_loss(settings: Train, task: tasks.Task, targets: np.ndarray) -> "nn.Module":
    """Build the loss; ``targets`` of the training split give label counts."""
    from rehear.losses import LOSSES, choose

    counts: list[int] = []
    if task.name != "regression":
        counts = [int(n) for n in task.spread(targets).sum(axis=0)]
    spec = choose(settings.loss, task=task.name) or task.loss
    return LOSSES.build(spec, counts=counts, task=task)
