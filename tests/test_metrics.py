import audmetric
import numpy as np
import pytest
from sklearn import metrics as sk

from fake_runs import fake_predictions
from rehear.errors import ParamsError
from rehear.metrics import METRICS, Metric, average_precisions, choose, confusion
from rehear.predictions import Predictions


def value(name, predictions):
    return METRICS.get(name)(predictions)


def classified(targets, predicted, classes=3):
    n = len(targets)
    labels = tuple("abcdefgh"[:classes])
    names = [str(i) for i in range(n)]
    return Predictions(
        "classification",
        labels,
        names,
        [""] * n,
        targets,
        predicted,
        np.eye(classes)[predicted],
    )


def numbers(targets, predicted):
    targets, predicted = np.array(targets, float), np.array(predicted, float)
    if targets.ndim == 1:
        targets, predicted = targets[:, None], predicted[:, None]
    n, width = targets.shape
    labels = tuple("xyz"[:width])
    names = [str(i) for i in range(n)]
    return Predictions(
        "regression", labels, names, [""] * n, targets, predicted, predicted
    )


@pytest.mark.parametrize("seed", range(5))
def test_classification_agrees_with_scikit_learn_and_audmetric(seed):
    p = fake_predictions(n=40, seed=seed)
    true, said = p.targets, p.predictions
    assert value("accuracy", p) == pytest.approx(sk.accuracy_score(true, said))
    assert value("accuracy", p) == pytest.approx(audmetric.accuracy(true, said))
    assert value("uar", p) == pytest.approx(sk.balanced_accuracy_score(true, said))
    uar = audmetric.unweighted_average_recall(true, said, labels=sorted(set(true)))
    assert value("uar", p) == pytest.approx(uar)
    f1 = sk.f1_score(true, said, average="macro", zero_division=0)
    assert value("f1_macro", p) == pytest.approx(f1)
    labels = range(len(p.labels))
    np.testing.assert_array_equal(
        confusion(p), sk.confusion_matrix(true, said, labels=labels)
    )


def test_uar_leaves_out_classes_without_targets():
    assert value("uar", classified([0, 0, 1], [0, 2, 1])) == pytest.approx(0.75)


def test_uar_ignores_class_sizes():
    few = classified([0, 0, 1], [0, 1, 1])
    many = classified([0, 0] * 50 + [1], [0, 1] * 50 + [1])
    assert value("uar", few) == pytest.approx(value("uar", many)) == pytest.approx(0.75)


def test_f1_counts_a_class_that_is_only_predicted():
    p = classified([0, 0, 1], [0, 2, 1])
    expected = sk.f1_score(p.targets, p.predictions, average="macro")
    assert value("f1_macro", p) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_tagging_agrees_with_scikit_learn(seed):
    p = fake_predictions("tagging", n=60, seed=seed)
    mean_ap = sk.average_precision_score(p.targets, p.scores, average="macro")
    assert value("map_macro", p) == pytest.approx(mean_ap)
    for average in ("macro", "micro"):
        f1 = sk.f1_score(p.targets, p.predictions, average=average)
        assert value(f"f1_{average}", p) == pytest.approx(f1)


def test_average_precision_takes_equal_scores_as_one_step():
    scores = np.array([[0.9], [0.5], [0.5], [0.5], [0.1]])
    targets = np.array([[0], [1], [0], [1], [1]])
    p = Predictions(
        "tagging", ("a",), list("vwxyz"), [""] * 5, targets, targets, scores
    )
    expected = sk.average_precision_score(targets, scores)
    assert average_precisions(p)[0] == pytest.approx(expected)


def test_a_tag_without_targets_has_no_average_precision():
    p = fake_predictions("tagging", n=60)
    targets = p.targets.copy()
    targets[:, 1] = 0
    q = Predictions(
        p.task, p.labels, p.clips, p.groups, targets, p.predictions, p.scores
    )
    assert np.isnan(average_precisions(q)).tolist() == [False, True, False, False]
    keep = [0, 2, 3]
    expected = sk.average_precision_score(targets[:, keep], p.scores[:, keep])
    assert value("map_macro", q) == pytest.approx(expected)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_regression_agrees_with_scikit_learn_and_audmetric(offset):
    p = fake_predictions("regression", n=80)
    q = numbers(p.targets + offset, p.predictions + offset)
    true, said = q.targets, q.predictions.astype(float)
    pairs = list(zip(true.T, said.T, strict=True))
    expected = {
        "ccc": np.mean([audmetric.concordance_cc(t, s) for t, s in pairs]),
        "pcc": np.mean([audmetric.pearson_cc(t, s) for t, s in pairs]),
        "mse": sk.mean_squared_error(true, said),
        "mae": sk.mean_absolute_error(true, said),
        "rmse": sk.root_mean_squared_error(true, said),
    }
    for name, number in expected.items():
        assert value(name, q) == pytest.approx(number, rel=1e-9), name


def test_ccc_is_one_only_for_equal_values():
    assert value("ccc", numbers([1, 2, 3], [1, 2, 3])) == pytest.approx(1)
    assert value("ccc", numbers([1, 2, 3], [2, 4, 6])) < 1
    assert value("pcc", numbers([1, 2, 3], [2, 4, 6])) == pytest.approx(1)


def test_ccc_with_one_constant_side_is_zero_and_pcc_undefined():
    p = numbers([0.1, 0.5, 0.3], [0.1, 0.1, 0.1])
    assert value("ccc", p) == 0
    assert value("pcc", p) is None


@pytest.mark.parametrize(
    ("name", "predictions"),
    [
        ("ccc", numbers([0.25, 0.25, 0.25], [0.25, 0.25, 0.25])),
        ("ccc", numbers([1.0], [1.0])),
        ("pcc", numbers([0.1, 0.1, 0.1], [1, 2, 3])),
        ("uar", classified([], [])),
        ("accuracy", classified([], [])),
        ("f1_macro", classified([], [])),
        ("mse", numbers(np.zeros((0, 2)), np.zeros((0, 2)))),
    ],
)
def test_undefined_is_none(name, predictions):
    assert value(name, predictions) is None


def test_a_target_without_correlation_makes_the_mean_undefined():
    p = numbers([[0, 1], [1, 1], [2, 1]], [[0, 1], [1, 2], [2, 3]])
    assert value("pcc", p) is None


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_ignores_the_order_of_clips(name):
    metric = METRICS.get(name)
    assert metric.title
    for task in metric.tasks:
        p = fake_predictions(task, n=50)
        shuffled = p.take(np.random.default_rng(0).permutation(50))
        assert metric(p) == pytest.approx(metric(shuffled), rel=1e-12)


def test_choose_takes_the_defaults_and_puts_the_tracked_metric_first():
    assert list(choose([], task="classification")) == ["uar", "accuracy", "f1_macro"]
    assert list(choose(["uar"], task="classification", track="f1_macro")) == [
        "f1_macro",
        "uar",
    ]


def test_choose_refuses_a_metric_of_another_task():
    with pytest.raises(ParamsError, match="'ccc' is for regression, not for classif"):
        choose(["ccc"], task="classification")


def test_choose_refuses_an_unknown_metric():
    with pytest.raises(
        ParamsError, match=r"unknown metric 'uaar'\. Did you mean 'uar'"
    ):
        choose(["uaar"], task="classification")


def test_a_study_adds_a_metric(monkeypatch):
    monkeypatch.setattr(METRICS, "_table", dict(METRICS._table))
    half = Metric(lambda p: 0.5, tasks=("classification",))
    METRICS.add("half", half)
    assert choose(["half"], task="classification")["half"](fake_predictions()) == 0.5


def test_a_metric_that_is_not_finite_is_none():
    assert (
        Metric(lambda p: float("nan"), tasks=("tagging",))(fake_predictions()) is None
    )


def test_a_bare_function_is_refused_as_metric(monkeypatch):
    monkeypatch.setattr(METRICS, "_table", dict(METRICS._table))
    METRICS.add("bare", lambda p: 1.0)
    with pytest.raises(ParamsError, match="'bare' is a function; register it as"):
        choose(["bare"], task="classification")


def test_a_weight_counts_a_clip_several_times():
    p = fake_predictions("tagging", n=30)
    weights = np.array([[0, 1, 2] * 10, [1] * 30])
    repeated = p.take(np.repeat(np.arange(30), weights[0]))
    np.testing.assert_allclose(
        average_precisions(p, weights),
        [average_precisions(repeated), average_precisions(p)],
    )
