"""The stage ``postprocess``: all runs → metrics/, reports/, provenance.json."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rehear import (
    atomic,
    inspection,
    metrics,
    paths,
    postprocessing,
    predictions,
    provenance,
)
from rehear.catalogue import name_of
from rehear.errors import StageError
from rehear.params import Params, run_name
from rehear.postprocessing import Run
from rehear.report import tables
from rehear.report.card import model_card
from rehear.report.content import Content
from rehear.report.page import render

METRICS = "metrics"
REPORTS = "reports"
TABLES = tuple(
    f"{name}.csv"
    for name in (
        "curves",
        "per_class",
        "per_group",
        "confusion",
        "calibration",
        "scatter",
    )
)


def run(params: Params, study: Path) -> str:
    """Summarise all runs of a study.

    The runs are those that ``params.yaml`` asks for, never what happens to lie
    in ``predictions/``: a seed that was taken out does not count any more.

    Args:
        params: of the study
        study: its folder

    Returns:
        The results as a short table, and where the report is.

    Raises:
        StageError: if a run is missing; the text names it
    """
    content = _content(params, study)
    made = {METRICS: _metrics(content), REPORTS: _reports(content)}
    for folder, files in made.items():
        _write(study / folder, files)
    atomic.write_json(study / provenance.FILE, content.provenance)
    text = tables.to_text(
        content.summary,
        content.names,
        decimals=content.decimals,
        confidence=content.confidence,
        note=content.leak_note,
    )
    return f"{text}\n\nReport: {study / REPORTS / 'report.html'}"


def _content(params: Params, study: Path) -> Content:
    runs = [_read(study, seed, fold) for seed, fold in params.runs()]
    task = name_of(params.task)
    chosen = metrics.choose(
        params.evaluate.metrics, task=task, track=params.train.track
    )
    _check(runs, list(chosen))
    confidence = params.evaluate.confidence
    pooled = postprocessing.pool(runs, metrics=chosen, confidence=confidence)
    return Content(
        task=task,
        names=list(chosen),
        summary=postprocessing.summary(
            runs, pooled, names=list(chosen), confidence=confidence
        ),
        runs=runs,
        pooled=pooled,
        examples=postprocessing.worst_examples(runs, params.postprocess.examples),
        confidence=confidence,
        decimals=params.postprocess.decimals,
        card=_json(study / paths.CARD, {}) | _featureless(runs),
        params=inspection.resolved(params),
        provenance=provenance.collect(params, study),
    )


def _featureless(runs: Sequence[Run]) -> dict[str, int]:
    """Return how many clips preprocess has left out, for the card."""
    most = max(run.config.get("without_features", 0) for run in runs)
    return {"without_features": most} if most else {}


def _read(study: Path, seed: int, fold: str) -> Run:
    name = run_name(seed, fold)
    folder = paths.predictions_of(study, seed, fold)
    scores = _json(folder / "scores.json", None)
    if scores is None:
        raise StageError(
            f"run {name} has no {folder.relative_to(study) / 'scores.json'}, but seed "
            f"{seed} and fold '{fold}' stand in params.yaml; run `dvc repro`, or "
            f"`rehear train --seed {seed} --fold {fold}` and `rehear evaluate --seed "
            f"{seed} --fold {fold}`"
        )
    model = paths.model_of(study, seed, fold)
    return Run(
        name=name,
        seed=seed,
        fold=fold,
        scores=scores,
        test=predictions.read(folder / "test.csv"),
        history=_history(model / paths.HISTORY),
        config=_json(model / "config.json", {}),
        examples=_json(folder / "examples.json", []),
    )


def _json(path: Path, missing: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return missing
    except ValueError as error:
        raise StageError(
            f"{path}: not valid JSON ({error}); delete it and run `dvc repro`"
        ) from None


def _history(path: Path) -> list[dict[str, float | None]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {key: float(cell) if cell else None for key, cell in row.items()}
            for row in csv.DictReader(stream)
        ]


def _check(runs: Sequence[Run], names: Sequence[str]) -> None:
    for run in runs:
        for name in names:
            if name not in run.scores["test"]:
                raise StageError(
                    f"run {run.name} was not scored with '{name}' (it has "
                    f"{', '.join(run.scores['test'])}); run `rehear evaluate` again"
                )


def _metrics(content: Content) -> dict[str, str]:
    """Return the numbers for ``dvc metrics`` and ``dvc plots``, by file."""
    runs, pooled = content.runs, content.pooled
    found = {
        "runs": postprocessing.run_rows(runs, content.names),
        "curves": postprocessing.curve_rows(runs),
        "per_class": postprocessing.per_class_rows(pooled),
        "per_group": postprocessing.per_group_rows(pooled),
    }
    if content.task == "classification":
        found["confusion"] = postprocessing.confusion_rows(pooled)
    if content.task != "regression":
        found["calibration"] = postprocessing.calibration_rows(pooled)
    else:
        found["scatter"] = postprocessing.scatter_rows(pooled)
    files = {f"{name}.csv": tables.to_csv(rows) for name, rows in found.items() if rows}
    summary = json.dumps(content.summary, indent=2, allow_nan=False)
    return {"summary.json": summary + "\n"} | files


def _reports(content: Content) -> dict[str, str]:
    """Return tables, model card and report, by file."""
    rows = [
        {**row, "leak": content.leak_note}
        for row in tables.results(content.summary, content.names)
    ]
    form: dict[str, Any] = {
        "decimals": content.decimals,
        "confidence": content.confidence,
        "note": content.leak_note,
    }
    results = (content.summary, content.names)
    return {
        "results.csv": tables.to_csv(rows),
        "results.md": tables.to_markdown(*results, **form),
        "results.tex": tables.to_tex(*results, **form),
        "model_card.md": model_card(content),
        "report.html": render(content),
    }


def _write(folder: Path, files: dict[str, str]) -> None:
    # A study may keep files of its own here, so only what this stage makes for
    # some task, and not for this one, is removed.
    for name in TABLES:
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    for name, text in files.items():
        atomic.write_text(folder / name, text)
