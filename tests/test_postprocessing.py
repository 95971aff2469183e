import numpy as np
import pytest

from fake_runs import fake_predictions
from rehear.evaluation import score
from rehear.metrics import choose
from rehear.postprocessing import (
    Run,
    calibration_rows,
    confusion_counts,
    confusion_rows,
    curve_rows,
    per_class_rows,
    per_group_rows,
    pool,
    run_rows,
    scatter_rows,
    summary,
    worst_examples,
)


def make_run(seed, fold="none", task="classification", **options):
    test = fake_predictions(task, seed=seed, split=f"test-{fold}", n=60, **options)
    metrics = choose([], task=task)
    scores = score(test, test, metrics=metrics, confidence=0.95, bootstrap=100)
    return Run(f"{seed}-{fold}", seed, fold, scores, test)


def summarised(runs, task="classification"):
    metrics = choose([], task=task)
    pooled = pool(runs, metrics=metrics, confidence=0.95)
    return summary(runs, pooled, names=list(metrics), confidence=0.95)


def test_summary_is_mean_and_sample_deviation_over_runs():
    runs = [make_run(seed) for seed in (1, 2, 3)]
    found = summarised(runs)
    values = [run.scores["test"]["uar"]["value"] for run in runs]
    assert list(found) == ["uar", "accuracy", "f1_macro", "runs"]
    assert found["runs"] == 3
    assert found["uar"]["mean"] == pytest.approx(np.mean(values))
    assert found["uar"]["std"] == pytest.approx(np.std(values, ddof=1))
    assert found["uar"]["n"] == 3


def test_summary_of_one_run_has_no_spread():
    found = summarised([make_run(1)])
    assert found["uar"]["std"] is None
    assert found["uar"]["n"] == 1
    assert "pooled" not in found


def test_folds_of_a_seed_are_pooled():
    runs = [make_run(seed, fold) for seed in (1, 2) for fold in ("a", "b", "c")]
    metrics = choose([], task="classification")
    pooled = pool(runs, metrics=metrics, confidence=0.95)
    assert [run.name for run in pooled] == ["1", "2"]
    assert pooled[0].scores["n"]["test"] == 180
    targets = np.concatenate([run.test.targets for run in runs[:3]])
    said = np.concatenate([run.test.predictions for run in runs[:3]])
    accuracy = pooled[0].scores["test"]["accuracy"]["value"]
    assert accuracy == pytest.approx(np.mean(targets == said))
    found = summarised(runs)
    assert found["uar"]["n"] == 6
    assert found["pooled"]["uar"]["n"] == 2


def test_runs_without_folds_are_not_pooled():
    runs = [make_run(1), make_run(2)]
    assert pool(runs, metrics={}, confidence=0.95) == runs


def test_confusion_agrees_between_rows_and_counts():
    runs = [make_run(1), make_run(2)]
    labels, counts = confusion_counts(runs)
    rows = confusion_rows(runs)
    assert counts.sum() == len(rows) == 120
    first = sum(
        row["actual"] == labels[0] and row["predicted"] == labels[1] for row in rows
    )
    assert counts[0, 1] == first


def test_tables_have_one_row_for_each_label_group_and_bin():
    runs = [make_run(1), make_run(2)]
    rows = per_class_rows(runs)
    assert [row["label"] for row in rows] == list(runs[0].test.labels)
    each = [run.scores["per_class"][0]["recall"] for run in runs]
    assert rows[0]["recall"] == pytest.approx(np.mean(each))
    assert [row["group"] for row in per_group_rows(runs)] == sorted(
        set(runs[0].test.groups.tolist())
    )
    assert sum(row["n"] for row in calibration_rows(runs)) == 120


def test_a_class_undefined_in_one_run_is_averaged_over_the_others():
    runs = [make_run(1), make_run(2)]
    runs[0].scores["per_class"][0]["recall"] = None
    expected = runs[1].scores["per_class"][0]["recall"]
    assert per_class_rows(runs)[0]["recall"] == expected
    runs[1].scores["per_class"][0]["recall"] = None
    assert per_class_rows(runs)[0]["recall"] is None


def test_run_rows_hold_the_best_epoch():
    run = make_run(1)
    history = [{"epoch": 1.0, "best": 0.0}, {"epoch": 2.0, "best": 1.0}]
    run = Run(run.name, 1, "none", run.scores, run.test, history)
    row = run_rows([run], ["uar", "accuracy"])[0]
    assert row["best_epoch"] == 2
    assert row["test_uar"] == run.scores["test"]["uar"]["value"]
    assert row["low"] < row["test_uar"] < row["high"]
    assert curve_rows([run])[1] == {"run": "1-none", "epoch": 2.0, "best": 1.0}


def test_scatter_has_one_row_for_each_clip_and_target():
    rows = scatter_rows([make_run(1, task="regression")])
    assert len(rows) == 120
    assert {row["target"] for row in rows} == {"arousal", "valence"}


def test_an_example_that_most_runs_get_wrong_comes_first():
    runs = []
    for seed in (1, 2):
        run = make_run(seed)
        wrong = np.flatnonzero(run.test.targets != run.test.predictions)
        runs.append((run, wrong))
    both = set(runs[0][1]) & set(runs[1][1])
    only = [min(set(runs[0][1]) - both), min(set(runs[1][1]) - both)]
    common = f"test-none-{min(both):04d}"
    with_examples = [
        Run(
            run.name, run.seed, "none", run.scores, run.test,
            examples=[
                {"clip": str(run.test.clips[alone]), "score": 0.99},
                {"clip": common, "score": 0.6 + 0.1 * run.seed},
            ],
        )
        for (run, _), alone in zip(runs, only, strict=True)
    ]  # fmt: skip
    found = worst_examples(with_examples, 1)
    assert [entry["clip"] for entry in found] == [common]
    assert found[0]["score"] == pytest.approx(0.8)
    assert (found[0]["wrong"], found[0]["runs"]) == (2, 2)
