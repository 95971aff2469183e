import numpy as np
import pytest

from fake_runs import fake_predictions
from rehear import predictions
from rehear.errors import DataError, ModelError
from rehear.predictions import Predictions

TASKS = ("classification", "tagging", "regression")


def assert_equal(a, b):
    assert (a.task, a.labels) == (b.task, b.labels)
    for name in ("clips", "groups", "targets", "predictions", "scores"):
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype.kind == right.dtype.kind
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("task", TASKS)
def test_read_gives_back_what_was_written_to_the_bit(task, tmp_path):
    path = tmp_path / "runs" / "test.csv"
    written = fake_predictions(task, n=50)
    predictions.write(path, written)
    assert_equal(predictions.read(path), written)


@pytest.mark.parametrize("task", TASKS)
def test_equal_predictions_give_equal_bytes(task, tmp_path):
    for name in ("a.csv", "b.csv"):
        predictions.write(tmp_path / name, fake_predictions(task, n=20))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_labels_with_commas_quotes_and_markup_survive(tmp_path):
    labels = ('a,"b"', "<b>bold</b>", "ö;ü")
    path = tmp_path / "test.csv"
    written = fake_predictions(n=30, labels=labels)
    predictions.write(path, written)
    assert_equal(predictions.read(path), written)


def test_a_clip_without_tags_survives(tmp_path):
    path = tmp_path / "test.csv"
    none = np.zeros((1, 2), dtype=int)
    written = Predictions("tagging", ("a", "b"), ["c"], [""], none, none, none)
    predictions.write(path, written)
    assert_equal(predictions.read(path), written)


@pytest.mark.parametrize("task", TASKS)
def test_a_table_without_rows_survives(task, tmp_path):
    path = tmp_path / "test.csv"
    predictions.write(path, fake_predictions(task, n=3).take(np.arange(0)))
    assert len(predictions.read(path)) == 0


def test_take_repeats_rows():
    taken = fake_predictions(n=5).take(np.array([1, 1, 4]))
    assert taken.clips.tolist() == ["test-0001", "test-0001", "test-0004"]


def test_concatenate_pools_folds():
    a, b = fake_predictions(n=5), fake_predictions(n=7, split="dev")
    assert len(predictions.concatenate([a, b])) == 12


def test_concatenate_aligns_classes_that_a_fold_lacks():
    a = fake_predictions(n=9, labels=("x", "z"))
    b = fake_predictions(n=9, labels=("x", "y"))
    both = predictions.concatenate([a, b])
    assert both.labels == ("x", "y", "z")
    words = [part.text(t) for part in (a, b) for t in part.targets]
    assert [both.text(t) for t in both.targets] == words
    np.testing.assert_array_equal(both.scores[:9, [0, 2]], a.scores)
    assert not both.scores[9:, 2].any()


def test_concatenate_aligns_tags():
    a = fake_predictions("tagging", n=5, labels=("x", "z"))
    b = fake_predictions("tagging", n=5, labels=("y",))
    both = predictions.concatenate([a, b])
    assert both.targets.shape == (10, 3)
    np.testing.assert_array_equal(both.targets[5:, [1]], b.targets)


def test_concatenate_refuses_another_task_or_target():
    a = fake_predictions("regression", n=5)
    for b in (
        fake_predictions("tagging", n=5),
        fake_predictions("regression", n=5, labels=("valence", "arousal")),
    ):
        with pytest.raises(DataError, match="cannot be pooled"):
            predictions.concatenate([a, b])


def test_scores_that_are_not_finite_are_refused():
    scores = np.array([[0.5, 0.5], [np.nan, 0.5]])
    with pytest.raises(ModelError, match=r"1 of 2 clips .* first 'q'; the model div"):
        Predictions(
            "classification", ("a", "b"), ["p", "q"], ["", ""], [0, 1], [0, 1], scores
        )


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"targets has the shape \(1,\)"):
        Predictions("tagging", ("a",), ["p"], [""], [0], [[0]], [[0.1]])


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"test\.csv does not exist; run `rehear eval"):
        predictions.read(tmp_path / "test.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row 1: columns are missing"),
        ("clip,group,label\n", "row 1: columns are clip, group, label; expected clip"),
        ("clip,group,target,prediction,score.a\nx,,a,a\n", "row 2: 4 cells, expected"),
        ("clip,group,target,prediction,score.a\nx,,b,a,1\n", "row 2: 'b' is no label"),
        ("clip,group,target,prediction,score.a\nx,,a,a,one\n", "row 2: .*'one'"),
    ],
)
def test_a_malformed_file_names_the_row(text, message, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        predictions.read(path)


def test_one_group_is_no_grouping():
    assert fake_predictions(groups=4).has_groups
    assert not fake_predictions(groups=1).has_groups
    assert not fake_predictions(groups=0).has_groups
