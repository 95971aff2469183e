"""Training of a small network on eGeMAPS: whole commands, and their accuracies."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import egemaps, study
from benchmarks.measure import BenchmarkError, Cost, interleave
from benchmarks.peer import ALONE, LEAN
from benchmarks.results import Finding, compare
from benchmarks.workspace import Workspace

SEEDS = (1, 2, 3, 4, 5)
_MODEL = {"name": "ffnn", "hidden_size": 64, "num_layers": 2, "dropout": 0.5}


def run(workspace: Workspace) -> Finding:
    """Measure training with evaluation, one seed at a time, on both sides."""
    repeats = min(workspace.repeats(len(SEEDS)), len(SEEDS))
    epochs = 2 if workspace.quick else 20
    ours = _study(workspace, epochs)
    if not _complete(workspace):
        workspace.peer.extract("egemaps", egemaps.PRESET)
    results = {name: workspace.scratch / name for name in ("peer", "lean")}

    def theirs(kind: str, repeat: int, **variables: str) -> Cost:
        settings = {
            "results_dir": str(results[kind] / str(SEEDS[repeat])),
            "+seed": str(SEEDS[repeat]),
            "iterations": str(epochs),
            **(LEAN if kind == "lean" else {}),
        }
        return workspace.peer.run(
            "train", "-cn", "egemaps", settings=settings, **variables
        )

    def train(repeat: int) -> Cost:
        return ours.run("run", "train", "evaluate", "--seed", str(SEEDS[repeat]))

    costs = interleave(
        {
            "autrainer": lambda repeat: theirs("peer", repeat),
            "rehear": train,
            "autrainer, lean": lambda repeat: theirs("lean", repeat, **ALONE),
        },
        repeats,
    )
    works = {
        "autrainer": (f"FFNN on eGeMAPS, {epochs} epochs, whole command", 8.0),
        "autrainer, lean": (
            "– the peer without outputs, states and plots, OMP_NUM_THREADS=1",
            None,
        ),
    }
    notes, facts = _accuracies(ours, results["peer"], SEEDS[:repeats])
    first = f"{SEEDS[0]}-none"
    written = [
        _size(results["peer"] / str(SEEDS[0])),
        _size(results["lean"] / str(SEEDS[0])),
        _size(*(ours.folder / stage / first for stage in ("models", "predictions"))),
    ]
    notes.append(
        f"written for a run: autrainer {written[0]}, lean {written[1]}, rehear "
        f"{written[2]}. Rehear keeps the best state only and draws no plots here; it "
        "adds bootstrap intervals, per-class and per-speaker scores, calibration, "
        "and the worst errors with audio and spectrogram"
    )
    if not workspace.quick:
        ours.forget("models", "predictions")
        whole = ours.run("run", "train", "evaluate")
        notes.append(
            f"rehear, {len(SEEDS)} seeds in one process: {whole.wall:.2f} s wall, "
            f"{whole.cpu:.2f} s CPU"
        )
    return Finding("ffnn", compare(costs, "rehear", works), notes, facts)


def _study(workspace: Workspace, epochs: int) -> study.Study:
    ours = workspace.study(
        "ffnn",
        transforms=study.EGEMAPS,
        seeds=list(SEEDS),
        model=_MODEL,
        train={
            "epochs": epochs,
            "batch_size": 32,
            "lr": 0.001,
            "optimizer": "adam",
            "track": "accuracy",
            "threads": 1,
            "device": "cpu",
        },
        evaluate={"metrics": ["accuracy", "uar", "f1_macro"]},
    )
    ours.run("run", "fetch", "preprocess")
    return ours


def _complete(workspace: Workspace) -> bool:
    folder = workspace.peer.features(egemaps.PRESET)
    return len(list(folder.glob("*.npy"))) == len(workspace.recordings)


def _accuracies(
    ours: study.Study, results: Path, seeds: Sequence[int]
) -> tuple[list[str], dict[str, Any]]:
    theirs = [_peer_accuracy(results / str(seed)) for seed in seeds]
    own = []
    for seed in seeds:
        file = ours.folder / "predictions" / f"{seed}-none" / "scores.json"
        scores = json.loads(file.read_text(encoding="utf-8"))
        own.append(scores["test"]["accuracy"]["value"])
    facts: dict[str, Any] = {"autrainer": theirs, "rehear": own, "seeds": list(seeds)}
    note = f"test accuracy: autrainer {_spread(theirs)}, rehear {_spread(own)}"
    if len(seeds) > 1:
        low, high = welch(own, theirs)
        facts["difference"] = [low, high]
        note += (
            f" over {len(seeds)} seeds; 95 % interval of the difference (Welch): "
            f"{low:+.4f} to {high:+.4f}"
        )
    return [note], facts


def _peer_accuracy(results: Path) -> float:
    from ruamel.yaml import YAML

    files = list(results.glob("**/_test/test_holistic.yaml"))
    if len(files) != 1:
        raise BenchmarkError(f"{results}: {len(files)} test results, expected 1")
    return float(YAML(typ="safe").load(files[0].read_text())["accuracy"]["all"])


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def welch(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return Welch's 95 % interval of the difference of two means.

    Source: Welch, Biometrika 34, 1947.
    """
    from rehear.statistics import t_quantile

    parts = [statistics.variance(side) / len(side) for side in (one, other)]
    error = math.sqrt(sum(parts))
    difference = statistics.mean(one) - statistics.mean(other)
    if error == 0:
        return difference, difference
    sizes = (len(one), len(other))
    weights = sum(p**2 / (n - 1) for p, n in zip(parts, sizes, strict=True))
    degrees = math.floor(sum(parts) ** 2 / weights)
    reach = t_quantile(0.975, degrees) * error
    return difference - reach, difference + reach


def _size(*folders: Path) -> str:
    files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
    size = sum(file.stat().st_size for file in files) / 2**20
    return f"{len(files)} files, {size:.1f} MiB"
