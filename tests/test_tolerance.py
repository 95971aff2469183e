import json

import pytest

from rehear import tolerance
from rehear.tolerance import Limit, Rule, gaps

SUMMARY = {
    "uar": {"mean": 0.8, "std": 0.02, "low": 0.7, "high": 0.9, "n": 3},
    "accuracy": {"mean": 0.8, "std": 0.0, "n": 3},
    "runs": 3,
}


def as_json(tree) -> bytes:
    return json.dumps(tree).encode()


def test_limits_come_from_the_seed_spread():
    assert tolerance.limits({**SUMMARY, "pooled": {"uar": {"mean": 0.7}}}) == {
        "uar": Limit(mean=0.01, run=0.04),
        "accuracy": Limit(mean=1e-6, run=1e-6),
    }


def test_one_run_has_no_spread():
    summary = {"uar": {"mean": 0.8, "std": None, "n": 1}, "mse": {"mean": -40.0}}
    found = tolerance.limits(summary)
    assert found["uar"] == Limit(1e-3, 1e-3)
    assert found["mse"].mean == pytest.approx(0.04)


def test_undefined_metric_has_a_limit():
    assert tolerance.limits({"uar": {"mean": None}}) == {"uar": Limit(1e-3, 1e-3)}


@pytest.mark.parametrize(
    ("key", "value", "is_beyond"),
    [
        ("mean", 0.809, False),
        ("mean", 0.811, True),
        ("mean", None, True),
        ("std", 0.5, False),  # shown only: follows from the runs
        ("n", 2, True),
    ],
)
def test_summary_is_judged_by_its_means(key, value, is_beyond):
    changed = {**SUMMARY, "uar": {**SUMMARY["uar"], key: value}}
    rule = Rule(tolerance.limits(SUMMARY))
    (gap,) = gaps("metrics/summary.json", as_json(SUMMARY), as_json(changed), rule)
    assert gap.place == f"uar {key}"
    assert gap.is_beyond == is_beyond


def test_strict_rule_judges_every_value():
    rule = Rule({}, strict=True)
    (gap,) = gaps("metrics/confusion.csv", b"a,b\n1,2\n", b"a,b\n1,3\n", rule)
    assert (gap.place, gap.recorded, gap.found) == ("row 1 b", 2.0, 3.0)
    assert gap.is_beyond
    (gap,) = gaps("x.csv", b"a\n1\n", b"a\n1.0000000001\n", rule)
    assert not gap.is_beyond


def test_runs_table():
    rule = Rule({"uar": Limit(0.01, 0.04)})
    before = b"seed,fold,dev_uar,test_uar,best_epoch\n1,none,0.7,0.8,3\n"
    after = b"seed,fold,dev_uar,test_uar,best_epoch\n2,none,0.75,0.83,4\n"
    found = {
        gap.place: gap.is_beyond
        for gap in gaps("metrics/runs.csv", before, after, rule)
    }
    assert found == {
        "row 1 seed": True,
        "row 1 dev_uar": True,
        "row 1 test_uar": False,
        "row 1 best_epoch": False,
    }


def test_pooled_folds_are_judged_like_the_runs():
    rule = Rule({"uar": Limit(0.01, 0.04)})
    before, after = ({"pooled": {"uar": {"mean": mean}}} for mean in (0.8, 0.82))
    (gap,) = gaps("metrics/summary.json", as_json(before), as_json(after), rule)
    assert gap.is_beyond


def test_scores_of_a_run():
    rule = Rule({"uar": Limit(0.01, 0.04)})
    before = {
        "seed": 1,
        "test": {"uar": {"value": 0.8, "low": 0.7}},
        "dev": {"uar": 0.8},
    }
    after = {
        "seed": 1,
        "test": {"uar": {"value": 0.9, "low": 0.6}},
        "dev": {"uar": 0.83},
    }
    found = gaps("predictions/1/scores.json", as_json(before), as_json(after), rule)
    assert [gap.place for gap in found if gap.is_beyond] == ["test uar value"]


def test_missing_rows_and_empty_values():
    rule = Rule({"uar": Limit(0.01, 0.04)})
    found = gaps("metrics/runs.csv", b"test_uar\n0.8\n0.8\n", b"test_uar\n0.8\n", rule)
    assert [(gap.place, gap.found, gap.is_beyond) for gap in found] == [
        ("row 2 test_uar", None, True)
    ]
    assert gaps("x.csv", b"a,b\n,nan\n", b"a,b\n,nan\n", rule) == []


@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_a_broken_file_is_different(content):
    (gap,) = gaps("x.json", b"{}", content, Rule({}))
    assert gap.is_beyond
    assert "not readable" in gap.place
