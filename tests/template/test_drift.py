"""The template's default study and the repository's own are one and the same."""

import json
import subprocess

import pytest
from ruamel.yaml import YAML

import rehear


@pytest.fixture(scope="module")
def study(render, tmp_path_factory):
    return render(tmp_path_factory.mktemp("drift"))


def test_params_are_the_same_text(study, repository):
    rendered = (study / "params.yaml").read_text(encoding="utf-8")
    assert rendered == (repository / "params.yaml").read_text(encoding="utf-8")


def is_code(dep):
    return dep.startswith(("src/", "vendor/"))


def test_pipelines_differ_only_in_the_code(study, repository):
    yaml = YAML(typ="safe")
    rendered, own = (yaml.load(folder / "dvc.yaml") for folder in (study, repository))
    for pipeline in (rendered, own):
        for stage in pipeline["stages"].values():
            deps = stage.get("deps", [])
            stage["deps"] = [dep for dep in deps if not is_code(dep)]
    assert rendered == own


@pytest.mark.parametrize(
    "file",
    [
        ".dvc/.gitignore",
        ".dvc/config",
        ".dvc/plots/calibration.json",
        ".dvc/plots/labels.json",
        ".dvc/plots/learning_curves.json",
        ".gitattributes",
    ],
)
def test_small_files_are_the_same_text(file, study, repository):
    rendered = (study / file).read_text(encoding="utf-8")
    assert rendered == (repository / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", [".gitignore", ".dvcignore"])
def test_what_the_repository_ignores_is_no_less(file, study, repository):
    rendered, own = (
        {
            line
            for line in (folder / file).read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")
        }
        for folder in (study, repository)
    )
    assert rendered <= own, rendered - own


def test_the_template_knows_the_version_of_the_toolkit(repository):
    answers = json.loads((repository / "cookiecutter.json").read_text(encoding="utf-8"))
    assert answers["__toolkit"] == rehear.__version__


def test_git_ignores_no_file_of_the_template(repository):
    # the .gitignore that a study gets works inside the template's folder, too
    template = "{{cookiecutter.study_slug}}"
    answer = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", template],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        pytest.skip("not a git repository")
    left_out = [name for name in answer.stdout.splitlines() if "cache" not in name]
    assert left_out == []
