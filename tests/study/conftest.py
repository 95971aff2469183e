"""A small study that runs from end to end in seconds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "seeds": [1, 2],
    "dataset": {"name": "embedded", "clips_per_class": 6, "recorders": 6, "seed": 0},
    "model": {"name": "cnn10", "width": 4, "dropout": 0.1, "head_dropout": 0.1},
    "evaluate": {"metrics": ["uar", "accuracy"], "bootstrap": 200, "examples": 2},
}


class Study:
    """A study folder, and the commands that a researcher runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def change(self, **changes) -> None:
        """Set keys of params.yaml: ``train__lr=0.1``."""
        yaml, path = YAML(), self.folder / "params.yaml"
        tree = yaml.load(path)
        for dotted, value in changes.items():
            *keys, last = dotted.split("__")
            node = tree
            for key in keys:
                node = node[key]
            node[last] = value
        yaml.dump(tree, path)

    def run(self, *command, code=0, **options) -> str:
        """Run a command; return what it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environment(),
            **options,
        )
        assert done.returncode == code, f"{command}: {done.stdout}"
        return done.stdout

    def rehear(self, *arguments, code=0) -> str:
        return self.run("rehear", *arguments, code=code)

    def dvc(self, *arguments, code=0) -> str:
        return self.run("dvc", *arguments, code=code)

    def git(self, *arguments) -> str:
        return self.run("git", *arguments)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def stages_run(self, *arguments) -> list[str]:
        """Run ``dvc repro`` and return the stages that ran."""
        said = self.dvc("repro", *arguments)
        return [
            line.split("'")[1] for line in said.splitlines() if "Running stage" in line
        ]

    def bytes_of(self, *patterns) -> dict[str, bytes]:
        files = (f for pattern in patterns for f in self.folder.glob(pattern))
        return {
            file.relative_to(self.folder).as_posix(): file.read_bytes()
            for file in sorted(files)
            if file.is_file()
        }

    def json(self, path: str):
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def results(self) -> dict[str, bytes]:
        """Return what must not change: weights, predictions, metrics."""
        return self.bytes_of("models/*/*", "predictions/*/*", "metrics/*")


def environment() -> dict[str, str]:
    """Return an environment whose commands are those of this Python."""
    binaries = Path(sys.executable).parent
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    return kept | {
        "PATH": path,
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@localhost",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@localhost",
        "DVC_NO_ANALYTICS": "1",
    }


def make(folder: Path, **changes) -> Study:
    """Write a small study without the toolkit's code, and commit it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copy(ROOT / "requirements.lock", folder)
    yaml = YAML()
    pipeline = yaml.load(ROOT / "dvc.yaml")
    for stage in pipeline["stages"].values():
        stage["deps"] = [d for d in stage.get("deps", []) if not d.startswith("src/")]
        if not stage["deps"]:
            stage["deps"] = ["requirements.lock"]
    yaml.dump(pipeline, folder / "dvc.yaml")
    ignored = ["/data", "/models", "/predictions", ".rehear", ".ckpt", "__pycache__"]
    (folder / ".gitignore").write_text("\n".join(ignored) + "\n")
    study = Study(folder)
    study.change(**{**SMALL, "train__epochs": 2, "train__threads": 1, **changes})
    study.git("init", "-q")
    study.dvc("init", "-q")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    study.commit("begin")
    return study


@pytest.fixture
def study(tmp_path):
    """A small study, committed, not run."""
    return make(tmp_path / "study")


@pytest.fixture(scope="session")
def _finished(tmp_path_factory):
    study = make(tmp_path_factory.mktemp("finished") / "study")
    study.dvc("repro")
    study.commit("results")
    return study


@pytest.fixture
def finished(_finished, tmp_path):
    """A copy of a small study that has run and is committed."""
    shutil.copytree(_finished.folder, tmp_path / "study", symlinks=True)
    return Study(tmp_path / "study")
