"""The stage ``evaluate``: model and features → predictions/<run>/."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from rehear import (
    atomic,
    blas,
    building,
    checkpoint,
    engine,
    evaluation,
    inference,
    manifest,
    metrics,
    paths,
    predictions,
    splits,
    tasks,
)
from rehear.clips import Lengths
from rehear.manifest import Clip, Manifest
from rehear.params import Params, Train
from rehear.predictions import Predictions
from rehear.store import Store

log = logging.getLogger(__name__)


# Else online transforms would depend on the machine's number of cores.
@blas.single_threaded()
def run(params: Params, study: Path, *, seed: int, fold: str) -> Path:
    """Predict the dev and test split of one run, and score the predictions.

    Args:
        params: of the study
        study: its folder
        seed: of the run
        fold: of the run, or ``none``

    Returns:
        The folder of the predictions.

    Raises:
        RehearError: if the model, the features or the parameters do not fit
    """
    model, config = checkpoint.load(paths.model_of(study, seed, fold))
    settings = Train(**config["train"])
    engine.set_up(threads=settings.threads, deterministic=settings.deterministic)
    clips = manifest.read(study / paths.MANIFEST)
    draw = config["split"]
    clips = splits.for_fold(clips, fold, dev=draw["dev"], seed=draw["seed"])
    task = tasks.restore(config["task"])
    chosen = metrics.choose(
        params.evaluate.metrics, task=task.name, track=settings.track
    )
    store = Store.open(study / paths.FEATURES)
    batch_size = params.evaluate.batch_size
    tables = _predict(model, config, clips, store, settings, batch_size, study)
    with atomic.folder(paths.predictions_of(study, seed, fold)) as folder:
        for split, table in tables.items():
            predictions.write(folder / f"{split}.csv", table)
        scores = evaluation.score(
            tables["dev"],
            tables["test"],
            metrics=chosen,
            confidence=params.evaluate.confidence,
            bootstrap=params.evaluate.bootstrap,
        )
        scores = {"run": config["run"], "seed": seed, "fold": fold, **scores}
        atomic.write_json(folder / "scores.json", scores)
        worst = evaluation.worst(tables["test"], params.evaluate.examples)
        examples = evaluation.examples(worst, tables["test"], clips, study)
        atomic.write_json(folder / "examples.json", examples)
    _report(scores)
    return paths.predictions_of(study, seed, fold)


def _report(scores: dict[str, Any]) -> None:
    name, value = next(iter(scores["test"].items()))
    shown = "undefined" if value["value"] is None else f"{value['value']:.3f}"
    interval = ""
    if value["low"] is not None and value["high"] is not None:
        percent = f"{100 * scores['confidence']:g} %"
        interval = f" [{value['low']:.3f}, {value['high']:.3f}] ({percent})"
    log.info("%s: test %s %s%s", scores["run"], name, shown, interval)


def _predict(
    model: Any,
    config: dict[str, Any],
    clips: Manifest,
    store: Store,
    settings: Train,
    batch_size: int,
    study: Path,
) -> dict[str, Predictions]:
    task = tasks.restore(config["task"])
    online = building.restore_online(config["online"], store.signal, study=study)
    run = engine.pick(settings.device, settings.precision)
    model = engine.place(model, run.device, settings)
    pads, tables = building.takes_lengths(config["model"]), {}
    lengths: Lengths = "padded" if pads else "grouped"
    for split in ("dev", "test"):
        found = building.of_split(clips, store, split)
        steps, _ = building.arrange(online, (), split=split, before=store.signal)
        clip_set = building.clip_set(store, found, task, steps=steps, lengths=lengths)
        clip_set.leave_to(run.device)
        logits = inference.predict(
            model,
            clip_set,
            batch_size=batch_size,
            run=run,
            settings=settings,
        )
        tables[split] = _table(task, [clip for _, clip in found], logits)
    return tables


def _table(task: tasks.Task, clips: list[Clip], logits: np.ndarray) -> Predictions:
    scores = task.scores(logits.astype(np.float64))
    return Predictions(
        task=task.name,
        labels=task.labels,
        clips=np.array([clip.clip for clip in clips]),
        groups=np.array([clip.group for clip in clips]),
        targets=task.truth(clips),
        predictions=task.decode(scores),
        scores=scores,
    )
