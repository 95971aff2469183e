"""Sections of the report about scores: runs, curves, errors, groups, sounds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rehear.metrics import METRICS, Metric, title
from rehear.postprocessing import (
    Run,
    calibration_rows,
    confusion_counts,
    curve_rows,
    per_class_rows,
    per_group_rows,
    scatter_rows,
)
from rehear.randomness import generator
from rehear.report import charts
from rehear.report.content import Content
from rehear.report.markup import card, details, grid, stack, table, text
from rehear.report.picture import player
from rehear.report.tables import number, percent

_MOST_GROUPS = 12
_MOST_POINTS = 600
_COLUMNS = {
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
    "ap": "Average precision",
    "ccc": "CCC",
    "pcc": "PCC",
    "mae": "MAE",
    "rmse": "RMSE",
}


def typical_interval(content: Content, name: str) -> str:
    """Return how far one run's score would vary with other test clips, in words."""
    cells = [run.scores["test"][name] for run in content.pooled]
    if any(cell["low"] is None for cell in cells):
        return ""
    low = number(float(np.mean([cell["low"] for cell in cells])), content.decimals)
    high = number(float(np.mean([cell["high"] for cell in cells])), content.decimals)
    level = percent(content.confidence)
    mean = ", mean of the runs" if len(cells) > 1 else ""
    what = _drawn(content.pooled[0])
    return f"{level} bootstrap interval over {what}{mean}: [{low}, {high}]"


def _drawn(run: Run) -> str:
    """Return what the bootstrap draws in a run, in words."""
    return "groups of test clips" if run.scores["clustered"] else "test clips"


def runs_chart(content: Content) -> str:
    """Return the tracked score of every run with its interval."""
    name = content.names[0]
    rows = [
        {"run": _run(content, run)} | dict(run.scores["test"][name])
        for run in content.runs
        if run.scores["test"][name]["value"] is not None
    ]
    if not rows:
        return ""
    figure = charts.svg(
        charts.runs(rows, title=f"{title(name)}, test"),
        name="runs",
        description=f"{title(name)} of every run on the test split, with intervals",
    )
    level = percent(content.confidence)
    hint = f"Lines: {level} bootstrap intervals over {_drawn(content.runs[0])}."
    if len(rows) > 1:
        hint += " Dashed: mean of the runs."
    return card(figure, heading=f"{title(name)} of every run", hint=hint)


def _run(content: Content, run: Any) -> str:
    seed = f"seed {run.seed}"
    return f"{seed}, fold {run.fold}" if content.has_folds else seed


def runs_table(content: Content) -> str:
    """Return dev and test score of every run."""
    name = content.names[0]
    header = ["Run", f"Dev {title(name)}", *map(title, content.names)]
    rows = []
    for run in content.runs:
        cells = [run.scores["dev"][name]]
        cells += [run.scores["test"][n]["value"] for n in content.names]
        rows.append([_run(content, run), *(number(c, content.decimals) for c in cells)])
    return card(
        table(header, rows), heading="Every run", hint="Scores without Dev: test."
    )


def training(content: Content) -> str:
    """Return the learning curves."""
    rows = curve_rows(content.runs)
    if not rows:
        return ""
    name = content.names[0]
    columns = {"train_loss": "train", "dev_loss": "dev"}
    losses = charts.svg(
        charts.curves(rows, columns, title="loss"),
        name="loss",
        description="Loss on the train and dev split over epochs",
    )
    cards = [card(losses, heading="Loss")]
    if name in rows[0]:
        figure = charts.svg(
            charts.curves(rows, {name: "dev"}, title=title(name)),
            name="score",
            description=f"{title(name)} on the dev split over epochs",
        )
        cards.append(card(figure, heading=f"{title(name)}, dev"))
    several = len(content.runs) > 1
    hint = '<p class="hint">Thin: every run. Thick: their mean.</p>' if several else ""
    return hint + grid(cards)


def errors(content: Content) -> str:
    """Return confusion or scatter, every label's scores, and calibration."""
    beside = [_per_class(content)]
    if content.task != "regression":
        beside.append(_calibration(content))
    if content.task == "classification":
        cards = [_confusion(content), stack(beside)]
    elif content.task == "regression":
        cards = [*_scatters(content), *beside]
    else:
        cards = beside
    return grid(cards) + _class_table(content)


def _confusion(content: Content) -> str:
    labels, counts = confusion_counts(content.pooled)
    figure = charts.svg(
        charts.confusion(labels, counts.tolist()),
        name="confusion",
        description="Confusion matrix of actual and predicted classes",
    )
    hint = "Rows: actual. Columns: predicted. Percent of the clips of the actual class"
    hint += ", over all runs." if len(content.pooled) > 1 else "."
    return card(figure, heading="Confusion matrix", hint=hint)


def _scatters(content: Content) -> list[str]:
    rows = scatter_rows(content.pooled)
    cards = []
    for index, label in enumerate(content.pooled[0].test.labels):
        points = [row for row in rows if row["target"] == label]
        if len(points) > _MOST_POINTS:
            drawn = generator(0, "scatter", label).permutation(len(points))
            points = [points[i] for i in sorted(drawn[:_MOST_POINTS])]
        figure = charts.svg(
            charts.scatter(points, title=label),
            name=f"scatter{index}",
            description=f"Predicted over actual {label}",
        )
        cards.append(card(figure, heading=label))
    return cards


def _per_class(content: Content) -> str:
    main = content.pooled[0].scores["interval_of"]
    rows = per_class_rows(content.pooled)
    points = [
        {"label": row["label"], "value": row[main]}
        for run in content.pooled
        for row in run.scores["per_class"]
    ]
    name = _COLUMNS[main]
    figure = charts.svg(
        charts.bars(rows, points, value=main, title=name),
        name="classes",
        description=f"{name} of every label with intervals",
    )
    hint = f"Lines: {percent(content.confidence)} bootstrap intervals."
    if len(content.pooled) > 1:
        hint += " Bars: mean of the runs. Ticks: every run."
    what = "target" if content.task == "regression" else "label"
    return card(figure, heading=f"{name} of every {what}", hint=hint)


def _class_table(content: Content) -> str:
    rows = per_class_rows(content.pooled)
    columns = [key for key in _COLUMNS if rows and key in rows[0]]
    cells = [
        [
            str(row["label"]),
            f"{row['n']:,}",
            *(number(row[key], content.decimals) for key in columns),
        ]
        for row in rows
    ]
    header = ["Label", "Test clips", *(_COLUMNS[key] for key in columns)]
    return details("All numbers of every label", card(table(header, cells)))


def _calibration(content: Content) -> str:
    rows = calibration_rows(content.pooled)
    if not rows:
        return ""
    single = content.task == "classification"
    right = "share that is right" if single else "share that has the tag"
    figure = charts.svg(
        charts.calibration(rows, sure="score", right=right),
        name="calibration",
        description="How often the model is right over how sure it is",
    )
    hint = "On the dashed line scores mean what they say; below, the model is too sure."
    return card(figure, heading="Calibration", hint=hint)


def groups(content: Content) -> str:
    """Return the scores of every group, the worst one first."""
    rows = per_group_rows(content.pooled)
    if len(rows) < 2:
        return ""
    name = content.names[0]
    metric = METRICS.get(name)
    sign = 1 if not isinstance(metric, Metric) or metric.higher_is_better else -1
    ranked = sorted(
        rows, key=lambda row: (row[name] is None, sign * (row[name] or 0), row["group"])
    )
    header = ["Group", "Test clips", *(title(n) for n in content.names)]
    body = [_group_cells(content, row) for row in ranked]
    whole = table(header, body[:_MOST_GROUPS])
    if len(body) > _MOST_GROUPS:
        rest = table(header, body[_MOST_GROUPS:])
        whole += details(f"{len(body) - _MOST_GROUPS} more groups", rest)
    # whether other splits share them, the warning about leaks says
    hint = "Speaker, recorder or site. The weakest group first."
    return card(whole, hint=hint)


def _group_cells(content: Content, row: Mapping[str, Any]) -> list[str]:
    scores = (number(row[name], content.decimals) for name in content.names)
    return [str(row["group"]), f"{row['n']:,}", *scores]


def listen(content: Content) -> str:
    """Return the worst errors, to see and to hear."""
    if not content.examples:
        return ""
    hint = {
        "classification": "Wrong in most runs first, then by the wrong class's score.",
        "tagging": "Wrong in most runs first, then by loss.",
        "regression": "Clips with the largest error.",
    }[content.task]
    entries = "".join(_example(content, entry) for entry in content.examples)
    return f'<p class="hint">{hint}</p><div class="examples">{entries}</div>'


def _example(content: Content, entry: Mapping[str, Any]) -> str:
    facts = [_strength(content.task, entry["score"])]
    if entry["runs"] > 1 and content.task != "regression":
        facts.append(f"wrong in {entry['wrong']} of {entry['runs']} runs")
    where = [entry["clip"], *([entry["group"]] if entry["group"] else [])]
    if entry["duration"]:  # an array or an image has none
        where.append(f"{entry['duration']:.2f} s")
    return (
        f'<div class="card example">{player(entry)}<div class="text">'
        f'<div class="verdict"><span class="said">{_said(entry["prediction"])}</span> '
        f"instead of {_said(entry['target'])}</div>"
        f'<p class="hint">{text(", ".join(facts))}</p>'
        f'<p class="hint">{text(" · ".join(where))}</p></div></div>'
    )


def _said(value: str) -> str:
    return text(value.replace(";", ", ") or "no tag")


def _strength(task: str, value: float) -> str:
    if task == "classification":
        return f"score {value:.2f}"
    return f"loss {value:.2f}" if task == "tagging" else f"{value:.1f} σ off"
