"""A study under DVC: only what changed runs, experiments, sweeps, comparisons."""

import shutil
import subprocess

import pytest

from study.conftest import ROOT, Study, environment

pytestmark = pytest.mark.slow


def test_a_changed_number_reruns_only_the_stages_that_read_it(finished):
    assert finished.stages_run() == []
    finished.change(evaluate__bootstrap=300)
    ran = finished.stages_run()
    assert ran == ["evaluate@1-none", "evaluate@2-none", "postprocess"]
    finished.change(postprocess__decimals=2)
    assert finished.stages_run() == ["postprocess"]


def test_seeds_come_and_go(finished):
    finished.change(seeds=[1, 2, 3])
    ran = finished.stages_run()
    assert ran == ["train@3-none", "evaluate@3-none", "postprocess"]
    assert finished.json("metrics/summary.json")["runs"] == 3
    finished.change(seeds=[1])
    finished.dvc("repro")
    summary = finished.json("metrics/summary.json")
    assert summary["runs"] == 1
    assert summary["uar"]["std"] is None


def test_experiments_compare(finished):
    finished.dvc("exp", "run", "-n", "fast", "-S", "train.lr=0.01")
    shown = finished.dvc("exp", "show", "--csv")
    assert "fast" in shown
    assert "uar" in shown.splitlines()[0]
    assert "train.lr" in finished.dvc("exp", "diff", "--md")
    finished.dvc("exp", "apply", "fast")
    assert "lr: 0.01" in (finished.folder / "params.yaml").read_text()
    difference = finished.dvc("metrics", "diff", "--all", "--md")
    assert "uar" in difference
    page = finished.rehear("plots", "HEAD", "fast").strip().splitlines()[-1]
    text = (finished.folder / page).read_text(encoding="utf-8")
    assert "<svg" in text
    assert "cdn." not in text


def test_a_queued_sweep_runs_and_lands(finished):
    finished.dvc(
        *("exp", "run", "--queue", "-n", "sweep"),
        *("-S", "train.lr=choice(0.01,0.001)", "-S", "seeds=[1,2]"),
    )
    finished.run("dvc", "queue", "start", "-j", "2")
    for _ in range(120):
        status = finished.dvc("queue", "status")
        if "Queued" not in status and "Running" not in status:
            break
    assert status.count("Success") == 2, status
    shown = finished.dvc("exp", "show", "--csv")
    assert "sweep-1" in shown
    assert "sweep-2" in shown


def test_a_clone_with_the_remote_runs_nothing(finished, tmp_path):
    finished.dvc("remote", "add", "-d", "store", str(tmp_path / "remote"))
    finished.commit("remote")
    finished.dvc("push", "-q", "--run-cache", "--all-commits")
    finished.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Study(tmp_path / "clone")
    assert clone.stages_run("--pull", "--allow-missing") == []
    assert clone.git("status", "--porcelain") == ""
    clone.dvc("pull", "--allow-missing", "train@1-none")
    weights = "models/1-none/weights.safetensors"
    assert clone.bytes_of(weights) == finished.bytes_of(weights)
    # Recordings are not pushed: they can be fetched again.
    assert not (clone.folder / "data/raw").exists()


def test_an_untracked_part_is_refused(finished):
    package = finished.folder / "src" / "mine"
    package.mkdir(parents=True)
    (package / "parts.py").write_text("")
    finished.change(train__lr=0.5)
    said = finished.dvc("repro", code=255)
    assert "src/mine/parts.py: not tracked by git" in said.replace("__init__", "parts")


def test_a_temporary_workspace_runs_its_own_code(tmp_path):
    """An editable install points elsewhere; the copy's own src must run."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    shutil.copytree(ROOT / "src", clone / "src", dirs_exist_ok=True)
    version = clone / "src/rehear/__init__.py"
    version.write_text('"""Changed."""\n\n__version__ = "9.9.9"\n')
    done = subprocess.run(
        ["rehear", "--version"],
        cwd=clone,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "rehear 9.9.9\n"
