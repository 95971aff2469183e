"""A whole study: its files, its toolkit, its repository."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rehear

ALWAYS = {
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots/calibration.json",
    ".dvc/plots/labels.json",
    ".dvc/plots/learning_curves.json",
    ".dvcignore",
    ".gitattributes",
    ".github/workflows/ci.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CITATION.cff",
    "LICENSE",
    "Makefile",
    "README.md",
    "dvc.yaml",
    "params.yaml",
    "pyproject.toml",
    "requirements.lock",
    "src/my_audio_study/__init__.py",
    "src/my_audio_study/parts.py",
    "tests/test_parts.py",
    "tests/test_study.py",
    f"vendor/rehear-{rehear.__version__}-py3-none-any.whl",
}


def files(study):
    return {
        file.relative_to(study).as_posix()
        for file in study.rglob("*")
        if file.is_file() and ".git" not in file.relative_to(study).parts
    }


def git(study, *arguments):
    answer = subprocess.run(
        ["git", *arguments], cwd=study, capture_output=True, text=True, check=True
    )
    return answer.stdout


def test_default_answers_give_exactly_these_files(default_study):
    assert files(default_study) == ALWAYS
    assert not (default_study / "data").exists()


@pytest.mark.parametrize(
    ("dataset", "more"),
    [
        ("fsdd", set()),
        ("csv", {"data/README.md", "data/own/labels.csv"}),
        ("folder", {"data/README.md"}),
    ],
)
def test_a_data_set_brings_exactly_these_files(dataset, more, render, tmp_path):
    study = render(tmp_path, hooks=True, dataset=dataset)
    assert files(study) == ALWAYS | more
    assert (study / "data" / "own").is_dir() == bool(more)
    # own recordings never land in git by accident
    assert "data/own/labels.csv" not in git(study, "ls-files")


def test_everything_is_in_the_first_commit(default_study):
    assert git(default_study, "status", "--porcelain") == ""
    assert git(default_study, "log", "--format=%s") == (
        "Begin the study: My audio study\n"
    )
    assert set(git(default_study, "ls-files").splitlines()) == ALWAYS


def test_the_wheel_holds_the_toolkit_file_by_file(default_study, repository):
    wheel = next((default_study / "vendor").iterdir())
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name: archive.read(name)
            for name in archive.namelist()
            if name.startswith("rehear/")
        }
    source = repository / "src"
    expected = {
        file.relative_to(source).as_posix(): file.read_bytes()
        for file in (source / "rehear").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert packed.keys() == expected.keys()
    assert packed == expected


def test_the_wheel_has_the_same_bytes_every_time(
    template_copy, hook, tmp_path, monkeypatch
):
    build = hook("toolkit_wheel").build
    wheels = [
        tmp_path / when / f"rehear-{rehear.__version__}-py3-none-any.whl"
        for when in ("now", "later")
    ]
    build(template_copy, wheels[0])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    for file in (template_copy / "src").rglob("*.py"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    build(template_copy, wheels[1])
    first, second = (hashlib.sha256(file.read_bytes()).hexdigest() for file in wheels)
    assert first == second


def test_another_version_of_the_toolkit_is_refused(repository, hook, tmp_path):
    module = hook("toolkit_wheel")
    with pytest.raises(module.BuildError, match="__toolkit in cookiecutter"):
        module.build(repository, tmp_path / "rehear-9.9.9-py3-none-any.whl")


def test_without_any_tool_to_build_with_it_says_what_to_do(
    repository, hook, tmp_path, monkeypatch
):
    module = hook("toolkit_wheel")
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_imports", lambda name: False)
    with pytest.raises(module.BuildError, match="Install uv") as caught:
        module.build(repository, tmp_path / "rehear.whl")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(module, "_imports", lambda name: True)
    tools = [" ".join(command) for command in module.commands(repository, tmp_path)]
    assert "-m pip wheel" in tools[0]
    assert "-m build --wheel" in tools[1]


def test_a_tool_that_fails_is_quoted(hook, repository, tmp_path, monkeypatch):
    module = hook("toolkit_wheel")
    tool = tmp_path / "uv"
    tool.write_text("#!/bin/sh\necho 'no route to index' >&2\nexit 2\n")
    tool.chmod(0o755)
    monkeypatch.setenv("UV", str(tool))
    monkeypatch.setattr(module, "_imports", lambda name: False)
    with pytest.raises(module.BuildError, match="says: no route to index"):
        module.build(repository, tmp_path / "rehear.whl")


@pytest.fixture
def repository_module(hook):
    return hook("study_repository")


def test_without_git_there_is_a_note(repository_module, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (note,) = repository_module.begin(tmp_path, title="x")
    assert note == (
        "git is not installed; install it, then run in the study: git init && "
        "git add . && git commit -m 'Begin the study'"
    )


def test_generating_without_git_succeeds(
    repository, cookiecutter_config, tmp_path, monkeypatch
):
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    wrapper = tmp_path / "bin" / "uv"
    wrapper.parent.mkdir()
    wrapper.write_text(f"#!/bin/sh\nPATH='{os.environ['PATH']}' exec '{uv}' \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(wrapper.parent))
    answer = cookiecut(repository, tmp_path, cookiecutter_config)
    assert answer.returncode == 0, answer.stderr
    assert "NOTE: git is not installed" in answer.stderr
    assert files(tmp_path / "my-audio-study") == ALWAYS
    assert not (tmp_path / "my-audio-study" / ".git").exists()


def cookiecut(template, folder, config):
    command = [sys.executable, "-m", "cookiecutter", "--no-input"]
    return subprocess.run(
        [*command, "--config-file", str(config), str(template)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_template_named_by_a_relative_path_is_found(
    repository, cookiecutter_config, tmp_path
):
    link = tmp_path / "template"
    link.symlink_to(repository, target_is_directory=True)
    answer = cookiecut(Path("template"), tmp_path, cookiecutter_config)
    assert answer.returncode == 0, answer.stderr
    assert files(tmp_path / "my-audio-study") == ALWAYS


def test_no_repository_is_made_in_a_repository(repository_module, tmp_path):
    git(tmp_path, "init", "-q")
    study = tmp_path / "study"
    study.mkdir()
    (study / "x").write_text("x")
    notes = repository_module.begin(study, title="x")
    assert len(notes) == 1
    assert f"inside the git repository {tmp_path}" in notes[0]
    assert not (study / ".git").exists()
    assert git(tmp_path, "status", "--porcelain") == "?? study/\n"


def test_a_study_that_has_a_repository_keeps_it(repository_module, tmp_path):
    git(tmp_path, "init", "-q")
    assert repository_module.begin(tmp_path, title="x") == []


def test_without_an_identity_there_is_a_note(repository_module, tmp_path, monkeypatch):
    (tmp_path / "x").write_text("x")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME", raising=False)
        monkeypatch.delenv(f"GIT_{name}_EMAIL", raising=False)
    (note,) = repository_module.begin(tmp_path, title="x")
    assert "git config --global user.name" in note
    assert git(tmp_path, "diff", "--cached", "--name-only") == "x\n"


def test_dvc_init_would_have_written_the_same(default_study, tmp_path):
    dvc = [sys.executable, "-m", "dvc"]
    git(tmp_path, "init", "-q")
    for command in (
        ["init", "-q"],
        ["config", "core.analytics", "false"],
        ["config", "core.autostage", "false"],
        ["config", "cache.type", "hardlink,symlink,copy"],
    ):
        subprocess.run([*dvc, *command], cwd=tmp_path, check=True)
    for name in (".dvc/config", ".dvc/.gitignore"):
        made = (tmp_path / name).read_text()
        assert (default_study / name).read_text() == made, name


def test_dvc_reads_the_study(default_study):
    answer = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=default_study,
        capture_output=True,
        text=True,
        check=True,
    )
    stages = answer.stdout.split()
    assert stages[:3] == ["fetch", "pretrained", "preprocess"]
    assert "train@1-none" in stages


def test_the_study_passes_its_own_lint(default_study):
    for command in (["check"], ["format", "--check"]):
        answer = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache"],
            cwd=default_study,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("MIT", "Copyright (c) Zoë Ort"),
        ("BSD-3-Clause", "Copyright (c) Zoë Ort"),
        ("Apache-2.0", "Version 2.0, January 2004"),
        ("CC-BY-4.0", "Creative Commons Attribution 4.0 International"),
        ("proprietary", "All rights reserved"),
    ],
)
def test_the_licence_is_the_one_asked_for(licence, words, hook, tmp_path):
    hook("study_licence").write(tmp_path, licence=licence, author="Zoë Ort")
    text = (tmp_path / "LICENSE").read_text(encoding="utf-8")
    assert words in text
    assert "<author>" not in text
