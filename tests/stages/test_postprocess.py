import csv
import json
import shutil
import subprocess
import sys

import pytest

from fake_runs import fake_study
from rehear import params
from rehear.errors import ParamsError, StageError
from rehear.stages import postprocess


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


FILES = {
    "classification": {"confusion", "calibration"},
    "tagging": {"calibration"},
    "regression": {"scatter"},
}


@pytest.mark.parametrize("task", FILES)
def test_every_task_has_its_files(task, tmp_path):
    values = fake_study(tmp_path, task)
    text = postprocess.run(values, tmp_path)
    names = {path.stem for path in (tmp_path / "metrics").glob("*.csv")}
    assert names == {"runs", "curves", "per_class", "per_group"} | FILES[task]
    reports = {path.name for path in (tmp_path / "reports").iterdir()}
    assert reports == {
        "report.html",
        "model_card.md",
        "results.csv",
        "results.md",
        "results.tex",
    }
    assert json.loads((tmp_path / "provenance.json").read_text())["seeds"] == [1, 2, 3]
    assert "Mean ± std" in text
    assert text.endswith("report.html")


def test_tables_agree_with_the_runs(tmp_path):
    postprocess.run(fake_study(tmp_path), tmp_path)
    summary = json.loads((tmp_path / "metrics" / "summary.json").read_text())
    runs = rows_of(tmp_path / "metrics" / "runs.csv")
    mean = sum(float(row["test_uar"]) for row in runs) / 3
    assert summary["uar"]["mean"] == pytest.approx(mean)
    assert [row["best_epoch"] for row in runs] == ["12", "12", "12"]
    assert len(rows_of(tmp_path / "metrics" / "curves.csv")) == 36
    assert len(rows_of(tmp_path / "metrics" / "confusion.csv")) == 600
    results = rows_of(tmp_path / "reports" / "results.csv")
    assert float(results[0]["mean"]) == pytest.approx(summary["uar"]["mean"])


def test_the_report_tells_how_many_clips_gave_no_features(tmp_path):
    values = fake_study(tmp_path)
    for path in tmp_path.glob("models/*/config.json"):
        config = json.loads(path.read_text()) | {"without_features": 1234}
        path.write_text(json.dumps(config))
    postprocess.run(values, tmp_path)
    text = (tmp_path / "reports" / "report.html").read_text()
    assert "1,234 clips that gave no features" in text


def test_all_results_carry_the_mark_of_a_leak(tmp_path):
    note = (
        "The split leaks, so these scores may be too good. Reason for using it: the "
        "official split of the data set"
    )
    text = postprocess.run(fake_study(tmp_path, leaks=["a"], sounds=0), tmp_path)
    assert note in text
    for name in ("results.md", "results.tex"):
        assert note in (tmp_path / "reports" / name).read_text()
    rows = rows_of(tmp_path / "reports" / "results.csv")
    assert {row["leak"] for row in rows} == {note}


def test_clean_results_have_no_mark(tmp_path):
    text = postprocess.run(fake_study(tmp_path, sounds=0), tmp_path)
    rows = rows_of(tmp_path / "reports" / "results.csv")
    assert {row["leak"] for row in rows} == {""}
    for name in ("results.md", "results.tex"):
        text += (tmp_path / "reports" / name).read_text()
    assert "leak" not in text


def test_numbers_are_the_same_bytes_every_time(tmp_path):
    values = fake_study(tmp_path)
    postprocess.run(values, tmp_path)
    files = [
        *(tmp_path / "metrics").iterdir(),
        *(tmp_path / "reports").glob("results.*"),
        tmp_path / "reports" / "model_card.md",
    ]
    before = {path: path.read_bytes() for path in files}
    postprocess.run(values, tmp_path)
    assert before == {path: path.read_bytes() for path in files}


def test_a_missing_run_is_named(tmp_path):
    values = fake_study(tmp_path, sounds=0)
    shutil.rmtree(tmp_path / "predictions" / "2-none")
    with pytest.raises(StageError, match=r"run 2-none has no .*scores\.json.*--seed 2"):
        postprocess.run(values, tmp_path)
    assert not (tmp_path / "metrics").exists()


def test_a_run_that_params_do_not_name_does_not_count(tmp_path):
    fake_study(tmp_path, sounds=0)
    (tmp_path / "params.yaml").write_text("seeds: [1, 3]\n")
    postprocess.run(params.load(tmp_path / "params.yaml"), tmp_path)
    summary = json.loads((tmp_path / "metrics" / "summary.json").read_text())
    assert summary["runs"] == 2


def test_a_metric_that_was_not_scored_is_named(tmp_path):
    fake_study(tmp_path, "tagging", seeds=(1,), sounds=0)
    text = "seeds: [1]\ntask: tagging\nevaluate: {metrics: [f1_micro]}\n"
    (tmp_path / "params.yaml").write_text(text)
    values = params.load(tmp_path / "params.yaml")
    postprocess.run(values, tmp_path)
    scores = tmp_path / "predictions" / "1-none" / "scores.json"
    content = json.loads(scores.read_text())
    del content["test"]["f1_micro"]
    scores.write_text(json.dumps(content))
    with pytest.raises(StageError, match="run 1-none was not scored with 'f1_micro'"):
        postprocess.run(values, tmp_path)
    scores.write_text("{half")
    with pytest.raises(StageError, match="not valid JSON"):
        postprocess.run(values, tmp_path)


def test_a_metric_of_another_task_is_refused(tmp_path):
    fake_study(tmp_path, seeds=(1,), sounds=0)
    (tmp_path / "params.yaml").write_text("seeds: [1]\ntrain: {track: ccc}\n")
    with pytest.raises(ParamsError, match="'ccc' is for regression"):
        postprocess.run(params.load(tmp_path / "params.yaml"), tmp_path)


def test_one_run_has_null_spread(tmp_path):
    postprocess.run(fake_study(tmp_path, seeds=(7,), sounds=0), tmp_path)
    summary = json.loads((tmp_path / "metrics" / "summary.json").read_text())
    assert summary["uar"]["std"] is None
    html = (tmp_path / "reports" / "report.html").read_text()
    assert "One run (n = 1)" in html


def test_folds_are_pooled(tmp_path):
    values = fake_study(tmp_path, seeds=(1, 2), folds=("a", "b"), n=80, sounds=0)
    text = postprocess.run(values, tmp_path)
    summary = json.loads((tmp_path / "metrics" / "summary.json").read_text())
    assert summary["runs"] == 4
    assert summary["pooled"]["uar"]["n"] == 2
    assert len(rows_of(tmp_path / "metrics" / "confusion.csv")) == 2 * 160
    assert "UAR (folds pooled)" in text


def test_what_lies_there_stays_when_it_fails(tmp_path):
    values = fake_study(tmp_path, seeds=(1,), sounds=0)
    postprocess.run(values, tmp_path)
    before = (tmp_path / "metrics" / "summary.json").read_bytes()
    (tmp_path / "predictions" / "1-none" / "test.csv").write_text("clip\n")
    with pytest.raises(Exception, match="row 1: columns are clip"):
        postprocess.run(values, tmp_path)
    assert (tmp_path / "metrics" / "summary.json").read_bytes() == before


def test_heavy_libraries_are_not_imported():
    code = (
        "import sys; from rehear.stages import postprocess; "
        "heavy = {'torch', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'dvc'}; "
        "sys.exit(', '.join(sorted(heavy & sys.modules.keys())) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_files_of_ones_own_stay_and_those_of_another_task_go(tmp_path):
    own = tmp_path / "metrics" / "own.json"
    stale = tmp_path / "metrics" / "scatter.csv"
    own.parent.mkdir()
    own.write_text("{}")
    stale.write_text("target,actual,predicted\n")
    postprocess.run(fake_study(tmp_path, seeds=(1,), sounds=0), tmp_path)
    assert own.exists()
    assert not stale.exists()
