"""A generated study runs: environment, stages, tests, and once more."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rehear import params

pytestmark = pytest.mark.slow


def make(study, target, **variables):
    settings = [f"{name}={value}" for name, value in variables.items()]
    answer = subprocess.run(
        ["make", target, *settings],
        cwd=study,
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
    )
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return answer.stdout


@pytest.fixture(scope="module")
def environment(default_study, tmp_path_factory):
    """This environment, but with the study's toolkit in front."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    purelib = Path(sysconfig.get_path("purelib"))
    site = folder / purelib.relative_to(sys.prefix)
    (wheel,) = (default_study / "vendor").iterdir()
    shutil.unpack_archive(wheel, site, format="zip")
    # .pth files of this environment (editable installs) are not followed
    (site / "rest.pth").write_text(f"{purelib}\n")
    python = folder / "bin" / "python"
    for name, call in (
        ("rehear", "from rehear.cli import script; script()"),
        ("dvc", "import sys; from dvc.cli import main; sys.exit(main())"),
        ("pytest", "import sys, pytest; sys.exit(pytest.console_main())"),
    ):
        file = folder / "bin" / name
        file.write_text(f"#!{python}\n{call}\n")
        file.chmod(0o755)
    return folder


def test_a_default_study_runs_from_end_to_end(default_study, environment, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(default_study, study)
    file = study / params.FILE
    text = file.read_text(encoding="utf-8")
    for old, new in (
        ("epochs: 12", "epochs: 2"),
        ("clips_per_class: 90", "clips_per_class: 24"),
        ("recorders: 30", "recorders: 12"),
        ("  - 3\n", ""),
        ("bootstrap: 2000", "bootstrap: 200"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    assert "logits" in make(study, "check", VENV=environment)
    assert "passed" in make(study, "test", VENV=environment)
    told = make(study, "repro", VENV=environment)
    assert "report: reports/report.html" in told
    summary = json.loads((study / "metrics" / "summary.json").read_text())
    assert summary["uar"]["n"] == 2
    assert 0 <= summary["uar"]["mean"] <= 1
    assert (study / "reports" / "report.html").is_file()
    again = make(study, "repro", VENV=environment)
    assert "Running stage" not in again
    # data are DVC's, results are git's
    untracked = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=study,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "dvc.lock" in untracked
    assert "metrics/summary.json" in untracked
    of_data = [line for line in untracked.splitlines() if " data/" in line]
    assert of_data == ["?? data/fingerprint.json"]
    assert "models/" not in untracked


@pytest.mark.parametrize(
    ("task", "front_end"), [("tagging", "log_mel"), ("regression", "egemaps")]
)
def test_every_task_writes_what_its_pipeline_lists(task, front_end, render, tmp_path):
    study = render(tmp_path, task=task, front_end=front_end)
    file = study / params.FILE
    text = file.read_text(encoding="utf-8")
    text = re.sub(r"epochs: \d+", "epochs: 1", text)
    text = text.replace("clips_per_class: 90", "clips_per_class: 12")
    text = text.replace("recorders: 30", "recorders: 12")
    file.write_text(text.replace("  - 2\n  - 3\n", ""), encoding="utf-8")
    command = [sys.executable, "-m", "rehear", "run"]
    answer = subprocess.run(
        command, cwd=study, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    pipeline = YAML(typ="safe").load(study / "dvc.yaml")
    last = pipeline["stages"]["postprocess"]
    listed = [next(iter(out)) for out in last["outs"] + last["metrics"]]
    assert [name for name in listed if not (study / name).is_file()] == []
    # every column that a plot draws is in its table
    for plot in pipeline["plots"]:
        ((name, drawn),) = plot.items()
        ((table, columns),) = drawn["y"].items()
        assert table in listed, name
        header = (study / table).read_text(encoding="utf-8").splitlines()[0].split(",")
        wanted = [columns] if isinstance(columns, str) else columns
        assert {drawn["x"], *wanted} <= set(header), name


def test_make_repro_without_git_says_what_to_do(render, environment, tmp_path):
    study = render(tmp_path)
    answer = subprocess.run(
        ["make", "repro", f"VENV={environment}"],
        cwd=study,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert "git init && git add ." in answer.stdout
