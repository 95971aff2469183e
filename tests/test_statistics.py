import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from fake_runs import fake_predictions
from rehear.metrics import METRICS, Metric, counts, recalls
from rehear.predictions import Predictions
from rehear.statistics import Bootstrap, summarise, t_quantile


def boot(predictions, replicates=2000, confidence=0.95):
    return Bootstrap(predictions, replicates=replicates, confidence=confidence)


def without_sums(name):
    metric = METRICS.get(name)
    return Metric(metric.function, metric.tasks)


@pytest.mark.parametrize("groups", [0, 12])
@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("classification", ("accuracy", "uar", "f1_macro")),
        ("tagging", ("f1_micro", "f1_macro", "map_macro")),
        ("regression", ("ccc", "pcc", "mae", "rmse")),
    ],
)
def test_resampled_sums_agree_with_resampled_clips(task, names, groups):
    p = fake_predictions(task, n=100, groups=groups)
    for name in names:
        fast = boot(p, 4000).interval(METRICS.get(name))
        slow = boot(p, 1500).interval(without_sums(name))
        width = slow.high - slow.low
        assert fast.low == pytest.approx(slow.low, abs=0.12 * width), name
        assert fast.high == pytest.approx(slow.high, abs=0.12 * width), name


def test_interval_agrees_with_a_plain_scikit_learn_loop():
    p = fake_predictions(n=120, groups=0)
    draw = np.random.default_rng(7)
    values = []
    for _ in range(800):
        rows = draw.integers(120, size=120)
        values.append(balanced_accuracy_score(p.targets[rows], p.predictions[rows]))
    low, high = np.quantile(values, [0.025, 0.975])
    found = boot(p, 5000).interval(METRICS.get("uar"))
    assert found.low == pytest.approx(low, abs=0.015)
    assert found.high == pytest.approx(high, abs=0.015)


def test_interval_covers_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(3)
    truth, hits, trials = 0.8, 0, 300
    for _ in range(trials):
        right = draw.random(200) < truth
        said = np.where(right, 0, 1)
        p = Predictions(
            "classification", ("a", "b"), [""] * 200, [""] * 200, [0] * 200, said,
            np.eye(2)[said],
        )  # fmt: skip
        interval = boot(p, 500).interval(METRICS.get("accuracy"))
        hits += interval.low <= truth <= interval.high
    # 95 % of 300 is 285; five standard errors of a binomial are 19
    assert 266 <= hits <= 300


def test_groups_that_agree_within_make_the_interval_wider():
    # 20 speakers with 20 clips each; a speaker is all right or all wrong
    right = np.repeat(np.random.default_rng(0).random(20) < 0.7, 20)
    said = np.where(right, 0, 1)
    speakers = np.repeat([f"s{i}" for i in range(20)], 20)
    names, zeros, scores = [""] * 400, [0] * 400, np.eye(2)[said]
    labels = ("a", "b")
    alone = Predictions("classification", labels, names, names, zeros, said, scores)
    grouped = Predictions(
        "classification", labels, names, speakers, zeros, said, scores
    )
    narrow = boot(alone).interval(METRICS.get("accuracy"))
    wide = boot(grouped).interval(METRICS.get("accuracy"))
    assert boot(grouped).clustered
    # independent clips would be sqrt(20) = 4.5 times as sure
    assert 3.5 < (wide.high - wide.low) / (narrow.high - narrow.low) < 5.5


def test_the_same_predictions_give_the_same_interval():
    p = fake_predictions()
    assert boot(p).interval(METRICS.get("uar")) == boot(p).interval(METRICS.get("uar"))


def test_a_higher_confidence_gives_a_wider_interval():
    p = fake_predictions()
    at = {c: boot(p, confidence=c).interval(METRICS.get("uar")) for c in (0.8, 0.99)}
    assert at[0.99].low < at[0.8].low < at[0.8].high < at[0.99].high


def test_intervals_of_every_class():
    p = fake_predictions(groups=0)
    intervals = boot(p).intervals(counts, recalls)
    assert len(intervals) == len(p.labels)
    assert all(0 <= i.low < i.high <= 1 for i in intervals)


def test_an_undefined_metric_has_no_interval():
    nothing = Metric(lambda p: None, ("classification",))
    interval = boot(fake_predictions(), 100).interval(nothing)
    assert (interval.low, interval.high) == (None, None)


def test_no_clips_have_no_interval():
    empty = fake_predictions().take(np.arange(0))
    assert boot(empty).interval(METRICS.get("uar")).low is None
    assert boot(empty).intervals(counts, recalls)[0].low is None


def test_few_groups_are_noted_and_not_drawn():
    for groups, words in ((1, "only 1 group in"), (3, "only 3 groups in")):
        few = boot(fake_predictions(groups=groups))
        assert words in few.note
        assert not few.clustered
        interval = few.interval(METRICS.get("accuracy"))
        assert interval.high - interval.low > 0.02
    many = boot(fake_predictions(groups=9))
    assert (many.note, many.clustered) == ("", True)
    assert boot(fake_predictions(groups=0)).note == ""


def test_drawing_in_parts_does_not_change_the_distribution(monkeypatch):
    p = fake_predictions("regression", n=60, groups=0)
    whole = boot(p, 4000).interval(METRICS.get("mae"))
    monkeypatch.setattr("rehear.statistics._CHUNK", 1000)
    parts = boot(p, 4000).interval(METRICS.get("mae"))
    assert parts.low == pytest.approx(whole.low, rel=0.02)
    assert parts.high == pytest.approx(whole.high, rel=0.02)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 10, 29, 200])
@pytest.mark.parametrize("probability", [0.6, 0.95, 0.975, 0.9999])
def test_t_quantile_agrees_with_scipy(probability, degrees):
    expected = stats.t.ppf(probability, degrees)
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def test_summarise_agrees_with_scipy():
    values = [0.61, 0.66, 0.59, 0.7]
    low, high = stats.t.interval(0.9, 3, loc=np.mean(values), scale=stats.sem(values))
    found = summarise(values, confidence=0.9)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == 4


def test_one_run_has_no_spread():
    found = summarise([0.5], confidence=0.95)
    assert (found.mean, found.std, found.low, found.n) == (0.5, None, None, 1)


def test_undefined_runs_do_not_count():
    assert summarise([None, 0.5, 0.7], confidence=0.95).n == 2
    assert summarise([None], confidence=0.95).mean is None
