"""Fixtures that generate studies."""

import importlib.util
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

PARTS = (
    "cookiecutter.json",
    "hooks",
    "{{cookiecutter.study_slug}}",
    "src/rehear",
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "LICENSE",
)


def fitting_answers() -> list[dict[str, str]]:
    """Return every combination of task, data set and front end that fits.

    Remote and licence, which touch other files, take turns.
    """
    questions = {
        "dataset": ("embedded", "csv", "fsdd", "folder"),
        "task": ("classification", "tagging", "regression"),
        "front_end": ("log_mel", "egemaps"),
    }
    remotes = itertools.cycle(("none", "local", "s3"))
    licences = itertools.cycle(
        ("MIT", "BSD-3-Clause", "Apache-2.0", "CC-BY-4.0", "proprietary")
    )
    combinations = [
        dict(zip(questions, answers, strict=True))
        for answers in itertools.product(*questions.values())
    ]
    return [
        {**answers, "remote": next(remotes), "licence": next(licences)}
        for answers in combinations
        if answers["task"] == "classification"
        or answers["dataset"] in ("embedded", "csv")
    ]


@pytest.fixture(scope="session")
def cookiecutter_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that keep cookiecutter out of the home folder."""
    folder = tmp_path_factory.mktemp("cookiecutter")
    file = folder / "config.yaml"
    settings = {"cookiecutters_dir": str(folder), "replay_dir": str(folder)}
    file.write_text(json.dumps(settings), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def render(repository: Path, cookiecutter_config: Path) -> Callable[..., Path]:
    """Render the template: ``render(folder, hooks=False, task="tagging")``."""
    from cookiecutter.main import cookiecutter

    def rendered(folder: Path, *, hooks: bool = False, **answers: str) -> Path:
        return Path(
            cookiecutter(
                str(repository),
                no_input=True,
                extra_context=answers,
                output_dir=str(folder),
                config_file=str(cookiecutter_config),
                accept_hooks=hooks,
            )
        )

    return rendered


@pytest.fixture(scope="session")
def default_study(
    render: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A study as the template's default answers make it; not to be changed."""
    return render(tmp_path_factory.mktemp("default"), hooks=True)


@pytest.fixture(scope="session")
def hook(repository: Path) -> Callable[[str], ModuleType]:
    """Load a module of ``hooks/`` by its name."""

    def loaded(name: str) -> ModuleType:
        file = repository / "hooks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return loaded


@pytest.fixture
def template_copy(repository: Path, tmp_path: Path) -> Path:
    """A git repository of its own with what a study is generated from."""
    copy = tmp_path / "template"
    copy.mkdir()
    for part in PARTS:
        source, target = repository / part, copy / part
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copyfile(source, target)
    commit(copy, "Begin")
    return copy


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture(autouse=True, scope="session")
def git_identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let git know somebody, whatever machine this is."""
    file = tmp_path_factory.mktemp("git") / "config"
    file.write_text("[user]\n  name = Somebody\n  email = somebody@localhost\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(file))
        yield
