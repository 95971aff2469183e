import json
import subprocess
import sys
from pathlib import Path

import pytest

from rehear import comparison
from rehear.comparison import Result, Sides, Stage, Verdict
from rehear.errors import StageError
from rehear.tolerance import Limit

LOCK = """
schema: '2.0'
stages:
  post:
    cmd: rehear postprocess
    deps: [{path: predictions, hash: md5, md5: aa.dir, size: 1, nfiles: 1}]
    params: {params.yaml: {postprocess: {decimals: 3}, seeds: [1]}}
    outs: [{path: metrics/summary.json, hash: md5, md5: bb}]
  train@1:
    cmd: rehear train
    deps: [{path: own.csv, md5: old-style}]
    outs: [{path: predictions/1, hash: md5, md5: cc.dir}]
"""


def read(tmp_path: Path, text: str) -> dict[str, Stage]:
    file = tmp_path / "dvc.lock"
    file.write_text(text)
    return comparison.read_lock(file)


def test_read_lock_orders_stages_as_they_run(tmp_path):
    stages = read(tmp_path, LOCK)
    assert list(stages) == ["train@1", "post"]
    assert stages["post"].outs == {"metrics/summary.json": "bb"}
    assert stages["post"].settings == {
        "command": "rehear postprocess",
        "params.yaml:postprocess": {"decimals": 3},
        "params.yaml:seeds": [1],
    }
    assert "old-style" in stages["train@1"].deps["own.csv"]


@pytest.mark.parametrize("text", ["", "schema: '2.0'", "stages: [", "stages: 3"])
def test_read_lock_of_no_lock(tmp_path, text):
    with pytest.raises(StageError, match="run dvc repro and commit"):
        read(tmp_path, text)


def test_digest_is_that_of_dvc(tmp_path):
    folder = tmp_path / "data"
    for name in ("b.txt", "a-b/x", "a/z", "a.txt"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    for command in (["init", "-q", "--no-scm"], ["add", "-q", "data", "--no-commit"]):
        subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=tmp_path, check=True
        )
    assert f"md5: {comparison.digest(folder)}\n" in (tmp_path / "data.dvc").read_text()


def test_what_is_not_compared():
    assert comparison.is_compared("metrics/summary.json")
    assert not comparison.is_compared("reports/report.html")
    assert not comparison.is_compared("reports")
    assert comparison.is_compared("reports-of-others")


STAGES = {
    "train": Stage("train", {"models": "a"}, {"own": "x"}, {}),
    "evaluate": Stage("evaluate", {"predictions": "b"}, {"models": "a"}, {}),
    "post": Stage("post", {"metrics/summary.json": "c"}, {"predictions": "b"}, {}),
}


def found(**outs: str) -> dict[str, Stage]:
    """STAGES with other hashes of outputs, which readers then have as inputs."""
    made = {"models": "a", "predictions": "b", "metrics/summary.json": "c", **outs}
    return {
        name: Stage(
            name,
            {out: made[out] for out in stage.outs},
            {dep: made.get(dep, value) for dep, value in stage.deps.items()},
            {},
        )
        for name, stage in STAGES.items()
    }


def verdicts(results: list[Result]) -> list[str]:
    return [result.verdict.value for result in results]


@pytest.fixture
def sides(tmp_path) -> Sides:
    return Sides(tmp_path / "committed", tmp_path / "found", lambda value: {})


def put(sides: Sides, committed: float, found: float) -> dict[str, Stage]:
    """Write summaries; return the recorded stages with the committed one's hash."""
    for folder, mean in ((sides.committed, committed), (sides.found, found)):
        file = folder / "metrics" / "summary.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"uar": {"mean": mean, "n": 3}}))
    digest = comparison.digest(sides.committed / "metrics/summary.json")
    post = Stage("post", {"metrics/summary.json": digest}, STAGES["post"].deps, {})
    return {**STAGES, "post": post}


def test_equal_hashes(sides):
    results = comparison.compare(STAGES, found(), sides, {})
    assert verdicts(results) == ["bit-identical"] * 3
    assert comparison.overall(results) is Verdict.IDENTICAL
    assert comparison.first_difference(results) is None


@pytest.mark.parametrize(
    ("mean", "verdict"), [(0.805, "within tolerance"), (0.83, "different")]
)
def test_bytes_are_judged_by_what_follows(sides, mean, verdict):
    recorded = put(sides, 0.8, mean)
    other = found(**{"models": "1", "predictions": "2", "metrics/summary.json": "3"})
    results = comparison.compare(recorded, other, sides, {"uar": Limit(0.01, 0.04)})
    assert verdicts(results) == [verdict] * 3
    first = comparison.first_difference(results)
    assert (first.name, first.inputs) == ("train", [])


def test_other_weights_with_equal_predictions(sides):
    results = comparison.compare(STAGES, found(models="1"), sides, {})
    assert verdicts(results) == ["within tolerance", "bit-identical", "bit-identical"]


def test_bytes_that_nothing_reads_are_different(sides):
    recorded = {"train": STAGES["train"]}
    again = {"train": found(models="1")["train"]}
    (result,) = comparison.compare(recorded, again, sides, {})
    assert result.verdict is Verdict.DIFFERENT


def test_equal_inputs_leave_no_room(sides):
    recorded = put(sides, 0.8, 0.805)
    results = comparison.compare(
        recorded,
        found(**{"metrics/summary.json": "3"}),
        sides,
        {"uar": Limit(0.01, 0.04)},
    )
    assert verdicts(results)[2] == "different"


def test_an_edited_file_is_different(sides):
    put(sides, 0.9, 0.8)
    results = comparison.compare(STAGES, found(), sides, {"uar": Limit(1.0, 1.0)})
    assert results[2].edited == ["metrics/summary.json"]
    assert verdicts(results) == ["bit-identical", "bit-identical", "different"]


def test_scores_come_from_the_cache_of_the_original(sides, tmp_path):
    cached = tmp_path / "cached"
    for file, value in ((cached, 0.8), (sides.found / "predictions/scores.json", 0.9)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"test": {"uar": {"value": value}}}))
    known = {"b": {"scores.json": cached, "test.csv": cached}}
    sides = Sides(sides.committed, sides.found, lambda value: known.get(value, {}))
    for allowed, verdict in ((0.2, Verdict.CLOSE), (0.01, Verdict.DIFFERENT)):
        results = comparison.compare(
            STAGES, found(predictions="2"), sides, {"uar": Limit(0.0, allowed)}
        )
        assert results[1].verdict is verdict
        (gap,) = results[1].gaps
        assert gap.place == "test uar value"


def test_changed_inputs_of_the_researcher(sides):
    other = found(models="1")
    other["train"] = Stage("train", {"models": "1"}, {"own": "y"}, {"command": "c"})
    train, evaluate, _ = comparison.compare(STAGES, other, sides, {})
    assert train.own_inputs == ["own", "command"]
    assert (evaluate.inputs, evaluate.own_inputs) == (["models"], [])


def test_a_stage_that_was_never_recorded(sides):
    results = comparison.compare({}, STAGES, sides, {})
    assert verdicts(results) == ["different"] * 3
    assert results[0].is_unrecorded


def test_no_stage_at_all_is_no_success():
    assert comparison.overall([]) is Verdict.DIFFERENT
