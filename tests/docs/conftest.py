"""Studies for the documentation's commands."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

#: Few clips, one small model, one epoch: seconds instead of minutes.
SMALL = {
    "seeds": [1],
    "dataset": {"clips_per_class": 12, "recorders": 12},
    "model": {"width": 4},
    "train": {"epochs": 1},
    "evaluate": {"bootstrap": 100, "examples": 2},
    "postprocess": {"examples": 2},
}


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of this session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "docs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def variables(shared_folder: Path, repository: Path) -> dict[str, str]:
    """The environment of the documentation's commands."""
    identity = shared_folder / "gitconfig"
    identity.write_text("[user]\n  name = Somebody\n  email = somebody@localhost\n")
    programs = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": str(identity),
        "GIT_PAGER": "cat",
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(shared_folder / "dvc"),
        "OMP_NUM_THREADS": "1",
        "REHEAR": str(repository),
        "REHEAR_VENV": str(programs.parent),
    }


@pytest.fixture
def new_study(
    shared_folder: Path, variables: dict[str, str], tmp_path: Path
) -> Callable[[str], tuple[Path, dict[str, str]]]:
    """Copy a small study: ``new_study("dataset=csv")``.

    One on sounds of the toolkit has been run and committed. Returns the study and
    the environment of its commands, with the toolkit that the study pins.
    """

    def copied(answers: str) -> tuple[Path, dict[str, str]]:
        made = shared_folder / (re.sub(r"\W+", "-", answers) or "default")
        with FileLock(f"{made}.lock"):
            if not made.exists():
                unfinished = made.with_suffix(".part")
                shutil.rmtree(unfinished, ignore_errors=True)
                _make(unfinished, answers, variables)
                unfinished.rename(made)
        shutil.copytree(made, tmp_path / "made")
        study = tmp_path / "made" / "my-audio-study"
        return study, _with_toolkit(study, variables)

    return copied


def _make(folder: Path, answers: str, variables: dict[str, str]) -> None:
    study = _generate(folder, answers, variables)
    _shrink(study / "params.yaml")
    (wheel,) = (study / "vendor").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "toolkit")
    commands = ["git add .", "git commit -qm Small"]
    if "dataset" not in answers:
        commands.insert(0, "dvc repro -q")
    for command in commands:
        subprocess.run(
            command.split(), cwd=study, env=_with_toolkit(study, variables), check=True
        )


def _with_toolkit(study: Path, variables: dict[str, str]) -> dict[str, str]:
    return {**variables, "PYTHONPATH": str(study.parent / "toolkit")}


def _generate(folder: Path, answers: str, variables: dict[str, str]) -> Path:
    folder.mkdir()
    settings = folder / "cookiecutter.yaml"
    settings.write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    command = [sys.executable, "-m", "cookiecutter", variables["REHEAR"], "--no-input"]
    command += ["--config-file", str(settings), "-o", str(folder), *answers.split()]
    subprocess.run(command, env=variables, check=True)
    return folder / "my-audio-study"


def _shrink(file: Path) -> None:
    yaml = YAML()
    tree = yaml.load(file)
    for key, value in SMALL.items():
        if not isinstance(value, dict):
            tree[key] = value
        elif key != "dataset" or tree[key]["name"] == "embedded":
            tree[key].update(value)
    yaml.dump(tree, file)
