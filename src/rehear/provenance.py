"""Where numbers come from: commit, data, code, environment, seeds, time."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rehear import __version__, environment
from rehear.params import Params, run_name

FILE = "provenance.json"
LOCK = "dvc.lock"
# What the pipeline itself rewrites says nothing about the state of the code.
MADE = (
    *(LOCK, "metrics/", "reports/", FILE, "dvc.yaml.lock"),
    *("data/checksums.json", "data/fingerprint.json"),
)


def collect(params: Params, study: Path) -> dict[str, Any]:
    """Return the provenance of a study's numbers, ready for JSON.

    Nothing here is needed to compute a number, and what cannot be found (git,
    ``dvc.lock``, a GPU) is ``None``: a study also runs without them.

    Args:
        params: of the study
        study: its folder
    """
    here = environment.describe()
    # A machine's name is nobody's business once this file is published.
    here.pop("host", None)
    return {
        "toolkit": __version__,
        "git": git_state(study),
        "dvc": locked(study),
        "seeds": list(params.seeds),
        "folds": list(params.folds),
        "environment": here | {"gpus": gpus()},
        "stages": durations(params, study),
    }


def git_state(study: Path) -> dict[str, Any] | None:
    """Return commit, branch and changed files of the study's repository.

    Files that the pipeline writes do not count as changes.
    """
    commit = _git(study, "rev-parse", "HEAD")
    if commit is None:
        return None
    # -z: unquoted paths; a renamed file's old name follows as its own entry
    status = _git(study, "status", "--porcelain", "-z", "--", ".") or ""
    prefix = _git(study, "rev-parse", "--show-prefix") or ""
    entries = [entry for entry in status.split("\0") if len(entry) > 3]
    paths = [entry[3:].removeprefix(prefix) for entry in entries if entry[2] == " "]
    changed = sorted(path for path in paths if not path.startswith(MADE))
    return {
        "commit": commit,
        "branch": _git(study, "rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(changed),
        "changed": changed,
    }


def _git(study: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=study,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip("\n")


def locked(study: Path) -> dict[str, Any] | None:
    """Return command and hashes of every stage in ``dvc.lock``."""
    path = study / LOCK
    if not path.exists():
        return None
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        lock = YAML(typ="safe", pure=False).load(path.read_text(encoding="utf-8"))
    except YAMLError:
        return None
    stages = (lock or {}).get("stages") or {}
    return {
        name: {
            "cmd": stage.get("cmd"),
            "deps": _hashes(stage.get("deps") or ()),
            "outs": _hashes(stage.get("outs") or ()),
        }
        for name, stage in sorted(stages.items())
    }


def _hashes(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {
        entry["path"]: f"{entry.get('hash', 'md5')}:{entry.get('md5', '')}"
        for entry in entries
    }


def gpus() -> list[str]:
    """Return name and driver of the GPUs, as far as ``nvidia-smi`` tells."""
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return []
    query = ["--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            [tool, *query], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def durations(params: Params, study: Path) -> dict[str, dict[str, Any]]:
    """Return when each stage last ran here, for how long, and on what.

    Stages that were restored from a cache, or ran elsewhere, are left out.
    """
    runs = [run_name(seed, fold) for seed, fold in params.runs()]
    found = {}
    for stage in _stages(runs):
        path = study / ".rehear" / "runs" / f"{stage.replace('/', '_')}.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        facts = record.get("environment") or {}
        found[stage] = {
            "started": record.get("started"),
            "seconds": record.get("seconds"),
            "processor": facts.get("processor"),
        }
    return found


def _stages(runs: Sequence[str]) -> list[str]:
    each = [f"{stage}-{run}" for stage in ("train", "evaluate") for run in runs]
    return ["fetch", "pretrained", "preprocess", *each]
