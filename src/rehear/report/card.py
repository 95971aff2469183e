"""The model card: what the model is, how good it is, and where it fails.

After Mitchell et al., "Model Cards for Model Reporting", 2019,
https://arxiv.org/abs/1810.03993. It holds nothing that changes between equal
runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rehear.metrics import METRICS, Metric, title
from rehear.postprocessing import calibration_rows, per_class_rows, per_group_rows
from rehear.report.content import Content
from rehear.report.tables import markdown, number, percent, to_markdown

_DATA = (
    ("title", "Data set"),
    ("citation", "Citation"),
    ("licence", "Licence"),
    ("url", "Source"),
    ("fingerprint", "Fingerprint"),
)


_USE = (
    "Scores are those of recordings like the ones in the test split. For other "
    "microphones, speakers, sites or languages, test it first. `report.html` beside "
    "this file has the errors to see and to hear."
)


def model_card(content: Content) -> str:
    """Return the model card as Markdown."""
    parts = [
        f"# Model card: {markdown(content.model)} on {markdown(content.title)}",
        _warning(content),
        _cautions(content),
        "## Model",
        _list(_model(content)),
        "## Data",
        _list(
            (name, str(content.card[key]))
            for key, name in _DATA
            if content.card.get(key)
        ),
        "## Results on the test split",
        to_markdown(
            content.summary,
            content.names,
            decimals=content.decimals,
            confidence=content.confidence,
        ).rstrip(),
        _how(content),
        "## Where it fails",
        _list(failures(content)) or "Nothing stands out.",
        "## Use",
        _USE,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(pairs: Any) -> str:
    return "\n".join(f"- **{name}**: {markdown(value)}" for name, value in pairs)


def _warning(content: Content) -> str:
    if not content.leaks:
        return ""
    reason = markdown(content.leak_reason)
    leaks = "; ".join(markdown(leak) for leak in content.leaks)
    return f"> **Warning: the split leaks.** {leaks}. Reason for using it: {reason}."


def _cautions(content: Content) -> str:
    if not content.cautions:
        return ""
    items = "".join(f"\n> - {markdown(caution)}" for caution in content.cautions)
    return f"> **Before these scores are believed:**\n>{items}"


def _model(content: Content) -> list[tuple[str, str]]:
    config = content.runs[0].config
    model = dict(config.get("model") or {})
    name = model.pop("name", content.model)
    given = ", ".join(f"{key}: {value}" for key, value in model.items())
    pairs = [("Architecture", f"{name} ({given})" if given else name)]
    if content.start:
        pairs.append(("Pretrained weights", content.start))
    if config.get("parameters"):
        pairs.append(("Parameters", f"{config['parameters']:,}"))
    if config.get("input_shape"):
        shape = " × ".join(map(str, config["input_shape"]))
        pairs.append(("Input", f"{shape} features"))
    pairs.append(("Task", content.task))
    kind = "Targets" if content.task == "regression" else "Labels"
    pairs.append((kind, ", ".join(content.pooled[0].test.labels)))
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(r.seed for r in content.runs))
    return [*pairs, ("Seeds", seeds)]


def _how(content: Content) -> str:
    n = len(content.runs)
    if n == 1:
        return "One run: nothing is known about the spread over seeds."
    what = (
        "runs (seeds and folds)" if content.has_folds else "runs with different seeds"
    )
    level = percent(content.confidence)
    return f"Mean and sample standard deviation of {n} {what}; {level} t-interval."


def failures(content: Content) -> list[tuple[str, str]]:
    """Return the weakest label and group and the calibration error, in words."""
    found = []
    main = content.pooled[0].scores["interval_of"]
    classes = _lowest(per_class_rows(content.pooled), main, higher=True)
    if classes is not None:
        text = f"{classes['label']} ({main} {number(classes[main], content.decimals)}"
        found.append(("Weakest label", f"{text}, {classes['n']} test clips)"))
    name = content.names[0]
    metric = METRICS.get(name)
    higher = not isinstance(metric, Metric) or metric.higher_is_better
    group = _lowest(per_group_rows(content.pooled), name, higher=higher)
    if group is not None:
        text = (
            f"{group['group']} ({title(name)} {number(group[name], content.decimals)}"
        )
        found.append(("Weakest group", f"{text}, {group['n']} test clips)"))
    if content.task != "regression" and calibration_rows(content.pooled):
        errors = [run.scores["calibration"]["ece"] for run in content.pooled]
        defined = [error for error in errors if error is not None]
        if defined:
            mean = number(sum(defined) / len(defined), content.decimals)
            found.append(("Expected calibration error", mean))
    return found


def _lowest(
    rows: Sequence[Mapping[str, Any]], key: str, *, higher: bool
) -> Mapping[str, Any] | None:
    defined = [row for row in rows if row.get(key) is not None]
    if len(defined) < 2:
        return None
    return min(defined, key=lambda row: row[key] if higher else -row[key])
