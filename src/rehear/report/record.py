"""Sections of the report about where numbers come from."""

from collections.abc import Mapping
from typing import Any

from rehear.report.content import Content
from rehear.report.facts import facts, length
from rehear.report.markup import card, details, grid, pairs, pre, stack, table
from rehear.report.tables import NOTHING

_MOST_LABELS = 15
_HASH = 12


def data(content: Content) -> str:
    """Return the data card."""
    given = content.card
    if not given:
        return ""
    beside = stack([_splits(given), *_labels(given)])
    return grid([card(pairs(facts(given)), heading="Data set"), beside])


def _splits(given: Mapping[str, Any]) -> str:
    splits = {k: v for k, v in (given.get("splits") or {}).items() if v["clips"]}
    if splits:
        rows = [
            [name, f"{s['clips']:,}", length(s["hours"]), f"{s['groups']:,}"]
            for name, s in splits.items()
        ]
        body = table(["Split", "Clips", "Length", "Groups"], rows)
    else:
        folds = given.get("folds") or {}
        rows = [[name, f"{n:,}"] for name, n in folds.items()]
        body = table(["Fold", "Clips"], rows)
    return card(body, heading="Splits")


def _labels(given: Mapping[str, Any]) -> list[str]:
    if given.get("targets"):
        header = ["Target", "Lowest", "Mean", "Highest"]
        rows = [
            [name, *(f"{t[key]:.3g}" for key in ("min", "mean", "max"))]
            for name, t in given["targets"].items()
        ]
        return [card(table(header, rows), heading="Targets")]
    labels = given.get("labels") or {}
    if not labels:
        return []
    parts = [
        part
        for part in ("train", "dev", "test")
        if any(row.get(part) for row in labels.values())
    ]
    header = ["Label", *(parts or ["clips"])]
    rows = [
        [name, *(f"{row[part]:,}" for part in (parts or ["clips"]))]
        for name, row in labels.items()
    ]
    body = table(header, rows[:_MOST_LABELS])
    if len(rows) > _MOST_LABELS:
        more = table(header, rows[_MOST_LABELS:])
        body += details(f"{len(rows) - _MOST_LABELS} more labels", more)
    return [card(body, heading="Clips of every label")]


def configuration(content: Content) -> str:
    """Return the model's facts and all parameters."""
    config = content.runs[0].config
    model = dict(config.get("model") or {})
    name = model.pop("name", "")
    parameters = config.get("parameters")
    shape = config.get("input_shape") or ()
    facts = {
        "Model": name,
        "Arguments": ", ".join(f"{key}: {value}" for key, value in model.items()),
        "Pretrained weights": content.start,
        "Parameters": f"{parameters:,}" if parameters else "",
        "Input": " × ".join(map(str, shape)),
    }
    cards = [card(pairs(facts), heading="Model")] if name else []
    if content.params:
        whole = details("params.yaml with all defaults", pre(content.params))
        cards.append(card(whole, heading="Parameters"))
    return grid(cards) if cards else ""


def provenance(content: Content) -> str:
    """Return commit, environment, hashes and durations."""
    given = content.provenance
    if not given:
        return ""
    environment = given.get("environment") or {}
    packages = environment.get("packages") or {}
    facts = {
        "Commit": _commit(given.get("git")),
        "Changed files": ", ".join((given.get("git") or {}).get("changed") or []),
        "Toolkit": f"rehear {given.get('toolkit', '')}",
        "Seeds": ", ".join(map(str, given.get("seeds") or [])),
        "Folds": ", ".join(map(str, given.get("folds") or [])),
        "Python": environment.get("python"),
        "System": environment.get("system"),
        "Processor": environment.get("processor"),
        "GPU": ", ".join(environment.get("gpus") or []) or "none",
        "Packages": ", ".join(f"{k} {v}" for k, v in packages.items()),
    }
    cards = [card(pairs(facts), heading="Code and environment"), _stages(given)]
    return grid(part for part in cards if part) + _hashes(given)


def _commit(git: Mapping[str, Any] | None) -> str:
    if not git:
        return "not under git"
    changed = git.get("changed") or []
    state = f", with {len(changed)} changed files" if changed else ", clean"
    return f"{git['commit'][:_HASH]}{state}"


def _stages(given: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            _seconds(stage.get("seconds")),
            str(stage.get("started") or NOTHING)[:16],
        ]
        for name, stage in (given.get("stages") or {}).items()
    ]
    if not rows:
        return ""
    hint = "As last run on this machine; stages restored from a cache are not listed."
    body = table(["Stage", "Took", "Started (UTC)"], rows)
    return card(body, heading="Time", hint=hint)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _hashes(given: Mapping[str, Any]) -> str:
    rows = [
        [name, kind, path, digest]
        for name, stage in (given.get("dvc") or {}).items()
        for kind in ("deps", "outs")
        for path, digest in stage[kind].items()
    ]
    if not rows:
        return ""
    words = {"deps": "reads", "outs": "writes"}
    cells = [[name, words[kind], path, digest] for name, kind, path, digest in rows]
    whole = table(["Stage", "", "Path", "Hash"], cells, numbers_from=9)
    return details("Hashes of everything that stages read and wrote", card(whole))


def reproduce(content: Content) -> str:
    """Return the commands that make these numbers again."""
    git = content.provenance.get("git") or {}
    commit = str(git.get("commit") or "HEAD")[:_HASH]
    commands = (
        f"git checkout {commit}\n"
        "dvc pull    # restore data, features and models from the remote\n"
        "dvc repro   # or make them again\n"
        f"rehear verify {commit}"
    )
    note = (
        "verify clones that commit into an empty folder, makes its environment, runs "
        "every stage again, and says for every number whether it is identical, within "
        "tolerance, or different."
    )
    warning = ""
    if git.get("dirty"):
        warning = (
            '<p class="hint">Files had been changed since that commit (see above): '
            "commit them and run <code>dvc repro</code> again, so that the commit "
            "holds what made these numbers.</p>"
        )
    return warning + card(pre(commands), hint=note)
