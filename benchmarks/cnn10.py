"""Training steps of Cnn10: processes that are loaded and warm, in turns."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import log_mel, study
from benchmarks.measure import Costs, environment, interleave, median
from benchmarks.pacing import Paced
from benchmarks.results import Finding, compare
from benchmarks.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
_WARM, _STEPS, _TURNS = 2, 2, 7
_OURS = {
    "float32, the peer's memory layout": (
        {"precision": "fp32", "channels_last": False},
        1.3,
    ),
    "float32, channels last": ({"precision": "fp32", "channels_last": True}, 1.5),
    "bfloat16, channels last": ({"precision": "bf16", "channels_last": True}, 2.5),
}

#: Multiplications and additions of the eight convolutions on 32 clips, forward and
#: twice backward.
_GFLOP = 247
_NO_BFLOAT16 = (
    "bfloat16 was not measured: this processor has no instructions for it (avx512_bf16 "
    "or amx_bf16), and would be tens of times slower than with float32"
)


def run(workspace: Workspace) -> Finding:
    """Measure a step of 32 clips of 101 frames by 64 mel bands on both sides."""
    if not _complete(workspace):
        workspace.peer.extract("mel", log_mel.PRESET)
    ours = {
        name: entry
        for name, entry in _OURS.items()
        if _is_fp32(entry) or _has_bfloat16()
    }
    sides = {"autrainer": _peer(workspace)}
    try:
        for name, (settings, _) in ours.items():
            sides[name] = _rehear(workspace, settings)
        steps = 1 if workspace.quick else _STEPS
        for side in sides.values():
            side.run(1 if workspace.quick else _WARM)
        costs = interleave(
            {
                name: lambda _, side=side: side.run(steps)
                for name, side in sides.items()
            },
            workspace.repeats(_TURNS),
        )
        peaks = {name: side.end() for name, side in sides.items()}
    finally:
        for side in sides.values():
            side.kill()
    costs = _with_peaks(costs, peaks)
    comparisons = []
    for name, (_, target) in ours.items():
        works = {"autrainer": (f"Cnn10, step of 32, {name}", target)}
        comparisons += compare(costs, name, works, unit="ms")
    quickest = min(median(costs[name]) for name in ours if _is_fp32(ours[name]))
    notes = _notes(steps, _GFLOP / quickest, _matrix_products(workspace))
    if len(ours) < len(_OURS):
        notes.append(_NO_BFLOAT16)
    return Finding("cnn10", comparisons, notes)


def _notes(steps: int, speed: float, limit: float) -> list[str]:
    method = (
        f"each turn is {steps} step(s) with their batches, after {_WARM} to warm up; "
        "autrainer's own trainer with reproducible: true, Rehear's own stage with "
        "deterministic: true; Adam, 2 threads each; Rehear's model without the dropout "
        "around its last hidden layer, which the peer's lacks"
    )
    room = (
        f"the convolutions of a step are {_GFLOP} GFLOP, which our quickest float32 "
        f"step does at {speed:.0f} GFLOP/s; products of large float32 matrices, the "
        f"limit of this processor, run at {limit:.0f} GFLOP/s when it is idle"
    )
    return [method, room]


def _complete(workspace: Workspace) -> bool:
    folder = workspace.peer.features(log_mel.PRESET)
    return len(list(folder.glob("*.npy"))) == len(workspace.recordings)


def _is_fp32(entry: tuple[dict[str, Any], float]) -> bool:
    return entry[0]["precision"] == "fp32"


def _matrix_products(workspace: Workspace) -> float:
    """Return the GFLOP/s of products of large matrices, the best of some."""
    code = (
        "import time, torch; torch.set_num_threads(2); x = torch.randn(2048, 2048); "
        "best = 9e9\nfor _ in range(8):\n"
        "    start = time.perf_counter(); x @ x\n"
        "    best = min(best, time.perf_counter() - start)\n"
        "print(2 * 2048**3 / best / 1e9)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workspace.scratch,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout)


def _has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True  # let it be measured
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags.split()


def _peer(workspace: Workspace) -> Paced:
    settings = {
        "results_dir": str(workspace.scratch / "peer-cnn10"),
        "iterations": "1000",
        "progress_bar": "false",
        "+callbacks": "[benchmarks.paced_peer.Pace]",
    }
    words = workspace.peer.words("train", "-cn", "mel", settings=settings)
    env = workspace.peer.environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="2")
    return Paced(words, cwd=workspace.peer.folder, env=env)


def _rehear(workspace: Workspace, settings: dict[str, Any]) -> Paced:
    name = "cnn10-" + "-".join(str(value) for value in settings.values())
    ours = workspace.study(
        name,
        transforms=study.FRAMES,
        model={"name": "cnn10", "width": 64, "head_dropout": 0.0},
        train={
            "epochs": 1000,
            "batch_size": 32,
            "lr": 0.001,
            "optimizer": "adam",
            "track": "accuracy",
            "threads": 2,
            "device": "cpu",
            **settings,
        },
    )
    ours.run("run", "fetch", "preprocess")
    words = [sys.executable, "-m", "benchmarks.paced_rehear"]
    env = environment(PYTHONPATH=f"{ROOT}:{ROOT / 'src'}")
    return Paced(words, cwd=ours.folder, env=env)


def _with_peaks(costs: Costs, peaks: dict[str, float]) -> Costs:
    return {
        name: [replace(cost, peak=peaks[name]) for cost in side]
        for name, side in costs.items()
    }
