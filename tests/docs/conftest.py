"""Studies for the documentation's commands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

#: Few clips, one small model, one epoch: seconds instead of minutes.
SMALL = {
    "seeds": [1],
    "dataset": {"clips_per_class": 12},
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
) -> Callable[[str], Path]:
    """Copy a small study: ``new_study("dataset=csv")``.

    One on sounds of the toolkit has been run and committed.
    """

    def copied(answers: str) -> Path:
        name = answers.replace("=", "-").replace(" ", "-") or "default"
        made = shared_folder / name
        with FileLock(f"{made}.lock"):
            if not made.exists():
                unfinished = made.with_suffix(".part")
                shutil.rmtree(unfinished, ignore_errors=True)
                study = _generate(unfinished, answers, variables)
                _shrink(study / "params.yaml")
                commands = ["git commit -qam Small"]
                if "dataset" not in answers:
                    commands = ["dvc repro -q", "git add .", "git commit -qm Small"]
                for command in commands:
                    subprocess.run(
                        command.split(), cwd=study, env=variables, check=True
                    )
                unfinished.rename(made)
        return Path(shutil.copytree(made / "my-audio-study", tmp_path / "study"))

    return copied


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
