"""Everything that can be found wrong before the expensive work.

``rehear check`` validates params.yaml, part by part, and sends one clip
through the whole path, so that a mistake shows in seconds.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rehear import audio, inputs, paths, pipeline, tasks, transforms
from rehear.catalogue import Catalogue, name_of
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip
from rehear.params import FILE, NO_FOLD, Params, load
from rehear.randomness import generator
from rehear.transforms.chain import check_kind

if TYPE_CHECKING:
    from rehear.building import Online
    from rehear.clips import Step

# What the program gives to parts of each kind; see the kinds' own modules.
GIVEN = {
    "transform": ("sample_rate", "study"),
    "augmentation": ("sample_rate", "study"),
    "model": ("num_outputs", "input_shape", "sample_rate"),
    "loss": ("counts", "task"),
    "optimizer": ("parameters", "lr"),
    "scheduler": ("optimizer", "lr", "steps_per_epoch", "total_steps"),
    "task": ("labels", "mean", "std"),
}


def check(study: Path) -> Iterator[str]:
    """Check a study; yield what was found right, line by line.

    Args:
        study: its folder

    Raises:
        RehearError: at the first thing that is wrong
    """
    params = load(study / FILE)
    check_parts(params)
    yield f"{FILE}: {len(params.runs())} run(s), every part known"
    yield from _fold_notes(params)
    yield from _check_pipeline(study, params)
    yield " → ".join(dry_run(study, params))
    yield from _weights_notes(study, params)


def _weights_notes(study: Path, params: Params) -> Iterator[str]:
    """Say what will be downloaded for the model, and under which licence."""
    from rehear import pretrained
    from rehear.models.sources import Source

    weights = params.pretrained.weights
    if not weights:
        return
    found = pretrained.find(weights, study, model=name_of(params.model))
    if isinstance(found, Source):
        size = f", {found.size / 1e6:.0f} MB" if found.size else ""
        yield f"pretrained weights: {weights}{size}, licence {found.licence}"


def _fold_notes(params: Params) -> Iterator[str]:
    """Say so where a study leaves out folds of the published protocol."""
    official = getattr(data_set(params), "folds", ())
    missing = [fold for fold in official if fold not in params.folds]
    if official and missing and NO_FOLD not in params.folds:
        yield (
            f"{FILE}: note: folds {', '.join(missing)} of {len(official)} are left "
            f"out; published results of '{name_of(params.dataset)}' are means over "
            "all of them"
        )


def check_parts(params: Params) -> None:
    """Check names and arguments of all parts.

    Raises:
        ParamsError: at the first that does not fit; the text names its key
    """
    from rehear import losses, metrics

    for key, catalogue, spec in _parts(params):
        try:
            catalogue.check(spec, given=GIVEN.get(catalogue.kind, ()))
        except ParamsError as error:
            raise ParamsError(f"{FILE}: {error.within(key)}") from None
    task = name_of(params.task)
    supported = getattr(data_set(params), "tasks", (task,))
    if task not in supported:
        raise ParamsError(
            f"{FILE}: data set '{params.dataset['name']}' is for "
            f"{' or '.join(supported)}, but task is {task}"
        )
    metrics.choose(params.evaluate.metrics, task=task, track=params.train.track)
    losses.choose(params.train.loss, task=task)


def data_set(params: Params) -> Any:
    """Return the class of a study's data set."""
    from rehear.datasets import DATASETS

    return DATASETS.get(params.dataset["name"])


def _parts(params: Params) -> Iterator[tuple[str, Catalogue, Mapping[str, Any]]]:
    from rehear.augmentations import AUGMENTATIONS
    from rehear.datasets import DATASETS
    from rehear.losses import LOSSES
    from rehear.models import MODELS
    from rehear.optim import OPTIMIZERS, SCHEDULERS

    yield "task", tasks.TASKS, params.task
    yield "dataset", DATASETS, params.dataset
    for index, spec in enumerate(params.preprocess.transforms):
        yield f"preprocess.transforms.{index}", transforms.TRANSFORMS, spec
    yield "model", MODELS, params.model
    for index, spec in enumerate(params.augment):
        yield f"augment.{index}", AUGMENTATIONS, spec
    yield "train.optimizer", OPTIMIZERS, params.train.optimizer
    if params.train.scheduler:
        yield "train.scheduler", SCHEDULERS, params.train.scheduler
    if params.train.loss:
        yield "train.loss", LOSSES, params.train.loss


def _check_pipeline(study: Path, params: Params) -> Iterator[str]:
    """Check that dvc.yaml lists what the stages will read."""
    from rehear.augmentations import AUGMENTATIONS

    if not (study / "dvc.yaml").is_file():
        return
    if getattr(data_set(params), "needs_source", False):
        pipeline.check_source(study, params.fetch.source)
    specs = params.preprocess.transforms
    stored, later = transforms.offline(specs), transforms.online(specs)
    for stage, catalogue, parts in (
        ("preprocess", transforms.TRANSFORMS, stored),
        ("train", transforms.TRANSFORMS, later),
        ("evaluate", transforms.TRANSFORMS, later),
        ("train", AUGMENTATIONS, params.augment),
    ):
        pipeline.check_files(study, stage, catalogue.files(parts))
    weights = params.pretrained.weights
    if weights and (study / weights).exists():
        pipeline.check_files(study, "pretrained", [("pretrained.weights", weights)])
    yield "dvc.yaml: lists what the stages read"


def dry_run(study: Path, params: Params) -> list[str]:
    """Send one clip through the whole path.

    Args:
        study: its folder; before the stage ``fetch`` the clip is the first of the
            user's own recordings, or else noise
        params: of the study

    Returns:
        The shape after each part, from what the clip holds to outputs.

    Raises:
        RehearError: if a part refuses what the part before it gives
    """
    from rehear import building, pretrained

    file, x, task = _one_clip(study, params)
    specs, rate = params.preprocess.transforms, params.preprocess.sample_rate
    kind = inputs.kind(file)
    check_kind(specs, kind=kind, file=file)
    chain = transforms.build(
        transforms.offline(specs), sample_rate=rate, kind=kind, study=study
    )
    trace = chain.trace(x, kind)
    path = [f"{name} {_shape(x)}" for name, x in trace]
    stored = features = _as_stored(trace[-1][1])
    online = building.build_online(specs, chain.after, study=study)
    for entry in online:
        if not entry.runs_in("train"):
            continue
        if getattr(entry.apply, "learns", False):
            entry.apply.learn([features, features * 0.9])
        features = _applied(entry, features)
        path.append(f"{entry.spec['name']} {_shape(features)}")
    features = features.astype(np.float32, copy=False)
    arriving = building.arrival(online, chain.after)
    pretrained.check(params, study, arriving=arriving)
    model = building.build_model(
        params.model, task, features.shape, arriving=arriving, seed=0
    )
    labels = task.labels if (study / paths.MANIFEST).is_file() else None
    pretrained.try_out(model, params, study, labels=labels)
    outputs = _outputs(params, model, features)
    steps, _ = building.arrange(
        online, params.augment, split="train", before=chain.after, study=study
    )
    _try_out(steps, stored)
    _check_lengths(study, params, chain, steps)
    _build_rest(params, task, model)
    path += [str(params.model["name"]), f"logits {_shape(outputs)}"]
    return path


def _as_stored(features: np.ndarray) -> np.ndarray:
    kept = np.uint8 if features.dtype == np.uint8 else np.float32
    return np.ascontiguousarray(features, kept)


def _applied(entry: "Online", features: np.ndarray) -> np.ndarray:
    try:
        return entry.apply(features)
    except DataError as error:
        raise DataError(f"transform '{entry.spec['name']}': {error}") from error


def check_order(study: Path, params: Params) -> None:
    """Check that all parts of the path are built and fit each other.

    It costs little: no clip is read, and no model is built.

    Raises:
        ParamsError: at the first that does not fit
    """
    from rehear import building

    specs, rate = params.preprocess.transforms, params.preprocess.sample_rate
    chain = transforms.build(transforms.offline(specs), sample_rate=rate, study=study)
    online = building.build_online(specs, chain.after, study=study)
    building.arrange(
        online, params.augment, split="train", before=chain.after, study=study
    )


def _check_lengths(
    study: Path, params: Params, chain: transforms.Chain, steps: Sequence["Step"]
) -> None:
    """Send the shortest and the longest clip of training through the path.

    Raises:
        ParamsError: if they differ in shape at its end, and so would in a batch
    """
    from rehear import building, manifest
    from rehear.clips import OF_ONE_LENGTH

    pads = building.takes_lengths(params.model)
    if not (study / paths.MANIFEST).is_file():
        return
    sounds = [
        clip
        for clip in manifest.read(study / paths.MANIFEST)
        if clip.duration and clip.split in ("", "train")
    ]
    shapes = set()
    for pick in (min, max) if sounds else ():
        clip = pick(sounds, key=lambda clip: clip.duration or 0.0)
        features = _as_stored(chain(_read(study, clip, params)))
        shapes.add(_try_out(steps, features).shape)
    ends = {shape[:-1] for shape in shapes}
    if len(shapes) > 1 and not (pads and len(ends) == 1):
        raise ParamsError(f"{FILE}: {OF_ONE_LENGTH}")


def _try_out(steps: Sequence["Step"], features: np.ndarray) -> np.ndarray:
    """Send a clip through what training does with it.

    Raises:
        DataError: if a part refuses the clip
    """
    for number, step in enumerate(steps):
        if not step.by_clip:  # it asks for a clip that may not be known yet
            features = step(features, generator(0, "check", number), "")
    return features


def _outputs(params: Params, model: Any, features: np.ndarray) -> np.ndarray:
    from rehear.inference import predict_one

    try:
        return predict_one(model, features)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ParamsError(
            f"{FILE}: model '{params.model['name']}' cannot take features "
            f"{_shape(features)}: {reason}; correct its arguments or "
            "preprocess.transforms"
        ) from error


def _build_rest(params: Params, task: tasks.Task, model: Any) -> None:
    """Build what only training needs, since parts check their arguments then."""
    from rehear import freezing, losses, optim

    settings = params.train
    loss = losses.choose(settings.loss, task=task.name) or task.loss
    losses.LOSSES.build(loss, counts=[1] * len(task.labels), task=task)
    freezing.hold(model, settings, epoch=settings.epochs - 1)
    optimizer = optim.OPTIMIZERS.build(
        settings.optimizer,
        parameters=freezing.learning(model, settings),
        lr=settings.lr,
    )
    if settings.scheduler:
        optim.SCHEDULERS.build(
            settings.scheduler,
            optimizer=optimizer,
            lr=settings.lr,
            steps_per_epoch=100,
            total_steps=100 * settings.epochs,
        )


def _shape(x: np.ndarray) -> str:
    return f"({', '.join(map(str, x.shape))})"


def _one_clip(study: Path, params: Params) -> tuple[str, np.ndarray, tasks.Task]:
    """Return the file of a clip, what it holds, and the task."""
    from rehear import building, manifest, splits

    if not (study / paths.MANIFEST).is_file():
        return *_stand_in(study, params), _stand_in_task(params)
    clips = manifest.read(study / paths.MANIFEST)
    draw = params.fetch.split
    fold = params.folds[0]
    clips = splits.for_fold(clips, fold, dev=draw.dev, seed=draw.seed)
    clip = next(iter(clips))
    return clip.file, _read(study, clip, params), building.task_of(params, clips)


def _stand_in(study: Path, params: Params) -> tuple[str, np.ndarray]:
    """Return a clip before the stage ``fetch``: one of the user's own, or noise."""
    from rehear.datasets import DATASETS

    dataset = DATASETS.build(params.dataset)
    if dataset.needs_source and not getattr(dataset, "published", True):
        source, name = Path(params.fetch.source), name_of(params.task)
        with contextlib.suppress(DataError):  # which fetch will tell
            found = dataset.fetch(
                study / paths.RAW, task=name, source=study / source, downloads=study
            )
            if not len(found):
                raise DataError("no clips")
            clip = next(iter(found))
            clip = replace(clip, file=(source / clip.file).as_posix())
            return clip.file, _read(study, clip, params)
    rate = params.preprocess.sample_rate
    noise = np.random.Generator(np.random.Philox(0)).standard_normal((1, rate))
    return "", 0.1 * noise.astype(np.float32)


def _read(study: Path, clip: Clip, params: Params) -> np.ndarray:
    x, rate = inputs.read(study / clip.file, clip.start, clip.end)
    return audio.resample(x, rate, params.preprocess.sample_rate) if rate else x


def _stand_in_task(params: Params) -> tasks.Task:
    name = name_of(params.task)
    learnt: dict[str, Any] = {"name": name, "labels": ["a", "b"]}
    if name == "regression":
        learnt.update(mean=[0.0, 0.0], std=[1.0, 1.0])
    return tasks.restore(learnt)
