"""Whether memory layout and precision change what a study finds, and what they save."""

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks import study
from benchmarks.ffnn import welch
from benchmarks.measure import interleave, median
from benchmarks.results import Finding, compare
from benchmarks.workspace import Workspace
from rehear import yaml_edit

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (1, 2, 3, 4, 5, 6, 7)
_PLAIN = "float32"
_SETTINGS = {
    _PLAIN: {"precision": "fp32", "channels_last": False},
    "float32, channels last": {"precision": "fp32", "channels_last": True},
    "bfloat16, channels last": {"precision": "bf16", "channels_last": True},
}


def run(workspace: Workspace) -> Finding:
    """Train the reference study with several seeds in each setting, in turns."""
    repeats = min(workspace.repeats(len(SEEDS)), len(SEEDS))
    studies = {
        name: _study(workspace, name, settings) for name, settings in _SETTINGS.items()
    }
    costs = interleave(
        {
            name: lambda repeat, made=made: made.run(
                "run", "train", "evaluate", "--seed", str(SEEDS[repeat])
            )
            for name, made in studies.items()
        },
        repeats,
    )
    scores = {name: _scores(made, repeats) for name, made in studies.items()}
    notes = [_note(name, scores) for name in _SETTINGS if name != _PLAIN]
    comparisons = [
        row
        for name in _SETTINGS
        if name != _PLAIN
        for row in compare(
            costs, name, {_PLAIN: (f"reference study, a seed, {name}", None)}
        )
    ]
    facts = {"uar": scores, "seconds": {n: median(side) for n, side in costs.items()}}
    return Finding("precision", comparisons, notes, facts)


def _study(workspace: Workspace, name: str, settings: dict[str, Any]) -> study.Study:
    """Return the reference study in one of the settings."""
    folder = workspace.scratch / name.replace(", ", "-").replace(" ", "-")
    folder.mkdir()
    made = study.Study(folder)
    sections = yaml_edit.values((ROOT / "params.yaml").read_text(encoding="utf-8"))
    sections["seeds"] = list(SEEDS)
    sections["train"] |= {**settings, "device": "cpu"}
    if workspace.quick:
        sections["train"]["epochs"] = 1
    sections["evaluate"]["examples"] = 0
    made.set(**sections)
    made.run("run", "fetch", "preprocess")
    return made


def _scores(made: study.Study, count: int) -> list[float]:
    files = (
        made.folder / "predictions" / f"{seed}-none" / "scores.json"
        for seed in SEEDS[:count]
    )
    return [json.loads(file.read_text())["test"]["uar"]["value"] for file in files]


def _note(name: str, scores: dict[str, list[float]]) -> str:
    plain, other = scores[_PLAIN], scores[name]
    text = (
        f"{name}: test UAR {statistics.mean(other):.4f}, float32 "
        f"{statistics.mean(plain):.4f}"
    )
    if len(plain) > 1:
        low, high = welch(other, plain)
        text += (
            f" over {len(plain)} seeds; 95 % interval of the difference (Welch) "
            f"{low:+.4f} to {high:+.4f}"
        )
    return text
