"""What a command costs before it does anything."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import (
    BenchmarkError,
    Cost,
    command,
    environment,
    interleave,
    median,
)
from benchmarks.results import Comparison, Finding, compare
from benchmarks.study import rehear
from benchmarks.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
_LIGHT = ("fetch", "preprocess", "postprocess")
_HEAVY = ("train", "evaluate")
#: Modules that cost more than what they would be used for.
_NEVER = ("torch._dynamo", "torchvision", "accelerate", "sklearn", "scipy", "pandas")


def run(workspace: Workspace) -> Finding:
    """Measure ``--help``, the imports of each stage, and ``dvc repro`` idle."""
    python, place = sys.executable, workspace.scratch
    own = environment(PYTHONPATH=str(ROOT / "src"))

    def load(statement: str) -> Cost:
        return command([python, "-c", statement], cwd=place, env=own)

    modules = {f"import {name}": f"rehear.stages.{name}" for name in _LIGHT + _HEAVY}
    costs = interleave(
        {
            "autrainer --help": lambda _: workspace.peer.run("--help"),
            "rehear --help": lambda _: command([*rehear(), "--help"], cwd=place),
            "python": lambda _: load("pass"),
            "import torch": lambda _: load("import torch"),
            **{
                name: lambda _, module=module: load(f"import {module}")
                for name, module in modules.items()
            },
        },
        workspace.repeats(7),
    )
    works: dict[str, tuple[str, float | None]] = {
        "autrainer --help": ("`--help`", None),
        "python": ("– `python -c pass` against our `--help`", None),
    }
    comparisons = compare(costs, "rehear --help", works, unit="ms")
    floors = {"light": median(costs["python"]), "heavy": median(costs["import torch"])}
    beyond = {
        name: median(costs[f"import {name}"])
        - floors["light" if name in _LIGHT else "heavy"]
        for name in _LIGHT + _HEAVY
    }
    notes = [
        "imports of a stage beyond those of python ("
        + ", ".join(f"{n} {beyond[n] * 1000:.0f} ms" for n in _LIGHT)
        + ") or of torch ("
        + ", ".join(f"{n} {beyond[n] * 1000:.0f} ms" for n in _HEAVY)
        + f"); python itself {floors['light'] * 1000:.0f} ms, import torch "
        f"{floors['heavy'] * 1000:.0f} ms",
        *_needless(own),
    ]
    comparisons += _idle(workspace, notes)
    return Finding("startup", comparisons, notes, {"beyond_floor": beyond})


def _needless(env: dict[str, str]) -> list[str]:
    """Return a note for each stage that imports what it must not."""
    notes = []
    for stage in _LIGHT + _HEAVY:
        unwanted = _NEVER + (("torch",) if stage in _LIGHT else ())
        code = (
            f"import sys, rehear.stages.{stage}; "
            f"print(*[m for m in {unwanted!r} if m in sys.modules])"
        )
        found = _output([sys.executable, "-c", code], env).strip()
        if found:
            notes.append(f"stage {stage} imports {found}, which it should not need")
    return notes or ["no stage imports " + ", ".join(_NEVER)]


def _output(words: Sequence[str], env: dict[str, str]) -> str:
    answer = subprocess.run(
        words, cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise BenchmarkError(f"{' '.join(words)} failed:\n{answer.stderr[-2000:]}")
    return answer.stdout


def _idle(workspace: Workspace, notes: list[str]) -> list[Comparison]:
    """Measure ``dvc repro`` with nothing to do; only if there is nothing to do."""
    dvc = Path(sys.executable).parent / "dvc"
    tools = f"{dvc.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = environment(PATH=tools, DVC_NO_ANALYTICS="1")
    if not (ROOT / "dvc.lock").is_file() or shutil.which(str(dvc)) is None:
        notes.append("no dvc.lock: `dvc repro` with nothing to do was not measured")
        return []
    if _output([str(dvc), "status"], env).strip() != (
        "Data and pipelines are up to date."
    ):
        notes.append("`dvc status` has changes: an idle `dvc repro` was not measured")
        return []
    costs = interleave(
        {
            "dvc": lambda _: command([dvc, "--version"], cwd=ROOT, env=env),
            "repro": lambda _: command([dvc, "repro"], cwd=ROOT, env=env),
        },
        workspace.repeats(3),
    )
    notes.append(
        f"`dvc repro` with nothing to do: {median(costs['repro']):.2f} s, of which "
        f"`dvc --version` alone takes {median(costs['dvc']):.2f} s"
    )
    return []
