"""Every combination of answers gives files that can be read."""

import configparser
import re
import sys

import pytest
from ruamel.yaml import YAML

from rehear import checking, params, pipeline

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

from template.conftest import fitting_answers

ANSWERS = fitting_answers()


def text_files(study):
    return [f for f in study.rglob("*") if f.is_file() and f.suffix != ".whl"]


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda a: "-".join(a.values()))
def test_every_combination_of_answers_renders(answers, render, tmp_path):
    study = render(tmp_path, **answers)
    for file in text_files(study):
        if file.parent.name == "plots":
            continue  # Vega-Lite, copied as it is
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\{\{|\{%|%\}|cookiecutter\.", text), file
        assert text.endswith("\n"), file
        assert not text.endswith("\n\n"), file
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), file
        assert "\n\n\n" not in text or file.suffix == ".py", file
    values = params.load(study / params.FILE)
    checking.check_parts(values)
    assert values.task["name"] == answers["task"]
    assert values.dataset["name"] == answers["dataset"]
    stages = YAML(typ="safe").load(study / "dvc.yaml")["stages"]
    assert list(stages) == [
        "fetch",
        "pretrained",
        "preprocess",
        "train",
        "evaluate",
        "postprocess",
    ]
    if answers["dataset"] in ("csv", "folder"):
        pipeline.check_source(study, values.fetch.source)
    project = tomllib.loads((study / "pyproject.toml").read_text(encoding="utf-8"))
    extras = re.findall(r"opensmile|s3", project["project"]["dependencies"][0])
    assert ("opensmile" in extras) == (answers["front_end"] == "egemaps")
    assert ("s3" in extras) == (answers["remote"] == "s3")


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda a: "-".join(a.values()))
def test_a_clip_passes_the_whole_path(answers, render, tmp_path):
    study = render(tmp_path, **answers)
    lines = list(checking.check(study))
    assert "logits" in lines[-1]


def test_every_stage_depends_on_the_toolkit(render, tmp_path):
    study = render(tmp_path, dataset="csv")
    stages = YAML(typ="safe").load(study / "dvc.yaml")["stages"]
    for name, stage in stages.items():
        assert any("vendor/rehear-" in dep for dep in stage["deps"]), name
    outs = [str(out) for out in stages["fetch"]["outs"]]
    assert not any("data/raw" in out for out in outs)
    assert "${fetch.source}" in stages["fetch"]["deps"]
    assert "${fetch.source}" in stages["preprocess"]["deps"]


@pytest.mark.parametrize(
    ("url", "written"),
    [("../copies", "../../copies"), ("/mnt/copies", "/mnt/copies")],
)
def test_a_local_remote_is_relative_to_the_study(url, written, render, tmp_path):
    study = render(tmp_path, remote="local", remote_url=url)
    config = configparser.ConfigParser()
    config.read(study / ".dvc" / "config")
    assert config["'remote \"storage\"'"]["url"] == written


def test_an_s3_remote_is_verified_and_holds_no_secret(render, tmp_path):
    study = render(tmp_path, remote="s3", remote_url="s3://bucket/x")
    config = (study / ".dvc" / "config").read_text(encoding="utf-8")
    assert "verify = true" in config
    assert "secret" not in config
    assert "access_key" not in config


def test_names_are_written_where_they_belong(render, tmp_path):
    study = render(
        tmp_path,
        title="Grüße: 100 % Käse & Co.",
        study_slug="kaese-2",
        author="Zoë van Ort",
        email="zoe@example.org",
    )
    assert study.name == "kaese-2"
    assert (study / "src" / "kaese_2" / "parts.py").is_file()
    project = tomllib.loads((study / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["description"] == "Grüße: 100 % Käse & Co."
    assert project["project"]["authors"] == [
        {"name": "Zoë van Ort", "email": "zoe@example.org"}
    ]
    citation = YAML(typ="safe").load(study / "CITATION.cff")
    assert citation["title"] == "Grüße: 100 % Käse & Co."
    assert citation["authors"] == [
        {
            "given-names": "Zoë van",
            "family-names": "Ort",
            "email": "zoe@example.org",
        }
    ]
