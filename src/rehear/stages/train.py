"""The stage ``train``: features → models/<run>/."""

import contextlib
import csv
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rehear import (
    __version__,
    atomic,
    blas,
    building,
    checkpoint,
    engine,
    fingerprint,
    manifest,
    metrics,
    paths,
    pipeline,
    pretrained,
    resume,
    splits,
    training,
    workspace,
)
from rehear.augmentations import AUGMENTATIONS
from rehear.clips import ClipSet
from rehear.manifest import Manifest
from rehear.params import Params, run_name
from rehear.store import Store

log = logging.getLogger(__name__)
STATE = "state.safetensors"


# Else online transforms would depend on the machine's number of cores.
@blas.single_threaded()
def run(params: Params, study: Path, *, seed: int, fold: str) -> Path:
    """Train one run of a study.

    Args:
        params: of the study
        study: its folder
        seed: of this run
        fold: that is tested, or ``none`` for the splits

    Returns:
        The folder of the model.

    Raises:
        RehearError: if the features, the parameters or the training fail
    """
    settings = params.train
    engine.set_up(threads=settings.threads, deterministic=settings.deterministic)
    pipeline.check_files(study, "train", AUGMENTATIONS.files(params.augment))
    clips = manifest.read(study / paths.MANIFEST)
    _check_recordings(study, clips)
    store = Store.open(study / paths.FEATURES)
    draw = params.fetch.split
    clips = splits.for_fold(clips, fold, dev=draw.dev, seed=draw.seed)
    task = building.task_of(params, clips)
    found = {s: building.of_split(clips, store, s) for s in ("train", "dev")}
    online = building.build_online(store.meta["transforms"], store.signal, study=study)
    building.check_shapes(store, online)
    building.learn_online(online, store, [row for row, _ in found["train"]])
    sets, pads = {}, building.takes_lengths(params.model)
    for split, entries in found.items():
        steps, mixes = building.arrange(
            online, params.augment, split=split, before=store.signal, study=study
        )
        sets[split] = building.clip_set(
            store,
            entries,
            task,
            steps=steps,
            mixes=mixes,
            seed=seed,
            lengths="padded" if pads else "equal" if split == "train" else "grouped",
        )
    shape, arriving = sets["dev"].shape, building.arrival(online, store.signal)
    pretrained.check(params, study, arriving=arriving)
    model = building.build_model(
        params.model, task, shape, arriving=arriving, seed=seed
    )
    start = pretrained.start(model, params, study, labels=task.labels)
    trainer = training.Trainer(
        model,
        building.build_loss(settings, task, sets["train"].targets),
        task=task,
        settings=settings,
        metrics=metrics.choose((), task=task.name, track=settings.track),
        seed=seed,
    )
    for clip_set in sets.values():
        clip_set.leave_to(trainer.engine.device)
    truth = task.truth([clip for _, clip in found["dev"]])
    config = _config(params, store, seed=seed, fold=fold)
    config["task"], config["online"] = task.state(), [o.record() for o in online]
    config["input_shape"], config["sample_rate"] = list(shape), arriving.rate
    config["pretrained"] = start | asdict(params.pretrained) if start else None
    config["without_features"] = store.meta["failed"]
    config["clips"] = {split: len(entries) for split, entries in found.items()}
    target = paths.model_of(study, seed, fold)
    key = _fingerprint(params, study, seed=seed, fold=fold)
    with _kept(trainer, workspace.checkpoint_root(study), key) as kept:
        _fit(trainer, sets["train"], sets["dev"], truth, kept)
        if kept:
            _write(target, trainer, config)
            _report(trainer, target)
    return target


def _check_recordings(study: Path, clips: Manifest) -> None:
    """Compare the recordings with those that git has on record."""
    changed = fingerprint.check_manifest(study, clips)
    if changed and workspace.is_main_process():
        log.warning("train: %s", changed)


def _kept(
    trainer: training.Trainer, root: Path, key: str
) -> contextlib.AbstractContextManager[Path | None]:
    """Return the folder of resume states; ``None`` but in the main process."""
    if not trainer.engine.is_main_process:
        return contextlib.nullcontext()
    return resume.folder(root, key)


def _report(trainer: training.Trainer, target: Path) -> None:
    now = trainer.progress
    if now.best is None:
        log.warning(
            "%s: %s is undefined on the dev split in every epoch; kept the last one",
            target.name,
            trainer.track,
        )
        return
    log.info(
        "%s: best dev %s %.3f in epoch %d of %d",
        target.name,
        trainer.track,
        now.best,
        now.best_epoch,
        now.epoch,
    )


def _fit(
    trainer: training.Trainer,
    train: ClipSet,
    dev: ClipSet,
    truth: Any,
    kept: Path | None,
) -> None:
    from tqdm import tqdm

    def save(tensors: Mapping[str, Any], where: dict[str, Any]) -> None:
        if kept:
            checkpoint.write_tensors(kept / STATE, tensors, record=where)

    def report(now: training.Progress) -> None:
        bar.update(now.epoch - bar.n)
        best = "–" if now.best is None else f"{now.best:.3f}"
        loss = now.history[-1]["train_loss"]
        bar.set_postfix_str(f"loss {loss:.3f}, best dev {trainer.track} {best}")

    state = None
    if kept and (kept / STATE).exists():
        where = checkpoint.read_record(kept / STATE)
        state = (checkpoint.read_tensors(kept / STATE), where)
    state = engine.from_main(trainer.engine, state)
    total, quiet = trainer.settings.epochs, None if kept else True
    with tqdm(total=total, desc="train", unit="epoch", disable=quiet) as bar:
        trainer.fit(train, dev, truth=truth, resume=state, save=save, report=report)


def _write(target: Path, trainer: training.Trainer, config: dict[str, Any]) -> None:
    now = trainer.progress
    config["track"] = trainer.track
    config["best"] = {"epoch": now.best_epoch or None, trainer.track: now.best}
    config["parameters"] = sum(p.numel() for p in trainer.model.parameters())
    with atomic.folder(target) as folder:
        checkpoint.save(folder, trainer.final_state(), config)
        with atomic.file(folder / paths.HISTORY, "w") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow([*now.history[0], "best"])
            for row in now.history:
                best = int(row["epoch"] == now.best_epoch)
                cells = ("" if value is None else value for value in row.values())
                writer.writerow([*cells, best])


def _config(params: Params, store: Store, *, seed: int, fold: str) -> dict[str, Any]:
    """Return the resolved configuration of a run, defaults written out."""
    return {
        "rehear": __version__,
        "run": run_name(seed, fold),
        "seed": seed,
        "fold": fold,
        "split": asdict(params.fetch.split),
        "model": building.resolved_model(params.model),
        "preprocess": {
            "sample_rate": store.meta["sample_rate"],
            "transforms": store.meta["transforms"],
        },
        "augment": list(params.augment),
        "train": asdict(params.train),
    }


def _fingerprint(params: Params, study: Path, *, seed: int, fold: str) -> str:
    """Return a name that changes with anything that could change the weights."""
    import torch

    digest = hashlib.sha256()
    sections = [params.task, params.model, params.augment, asdict(params.train)]
    sections.append(asdict(params.pretrained))
    split = asdict(params.fetch.split)
    facts = [*sections, split, seed, fold, torch.__version__]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    reads = [study / file for _, file in AUGMENTATIONS.files(params.augment)]
    digest.update(resume.digest_of(reads).encode())
    inputs = [study / paths.MANIFEST, study / paths.FEATURES / "meta.json"]
    if params.pretrained.weights:
        inputs.append(study / paths.PRETRAINED / paths.RECORD)
    package = Path(__file__).resolve().parents[1]
    code = [*package.rglob("*.py"), *(study / "src").rglob("*.py")]
    for path in inputs + sorted(code):
        digest.update(path.read_bytes())
    return f"train-{run_name(seed, fold)}-{digest.hexdigest()[:16]}"
