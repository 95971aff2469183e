"""Labels to targets and outputs to predictions."""

import numpy as np
import pytest
import torch

from rehear import tasks
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest


def clips(*labels, split="train"):
    return tuple(
        Clip(str(i), "x.wav", labels=own, split=split) for i, own in enumerate(labels)
    )


def test_classes_are_sorted_and_encoded_by_place():
    task = tasks.learn({"name": "classification"}, Manifest(clips(("b",), ("a",))))
    assert task.labels == ("a", "b")
    assert task.truth(clips(("b",), ("a",))).tolist() == [1, 0]


def test_softmax_and_argmax_agree_with_torch():
    task = tasks.Classification(labels=["a", "b", "c"])
    logits = np.random.default_rng(0).standard_normal((20, 3)) * 50
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    np.testing.assert_allclose(task.scores(logits), expected, atol=1e-12)
    assert (task.decode(task.scores(logits)) == logits.argmax(axis=1)).all()


def test_unseen_label_names_clip_split_and_likely_label():
    task = tasks.Classification(labels=["happy", "sad"])
    clip = Clip("c7", "x.wav", labels=("hapy",), split="test")
    with pytest.raises(DataError, match=r"'c7' \(test\).*'hapy'.*mean 'happy'"):
        task.encode(clip)


def test_classification_needs_one_label_a_clip_and_two_classes():
    with pytest.raises(DataError, match="has 2 labels; classification needs exactly"):
        tasks.learn({"name": "classification"}, Manifest(clips(("a", "b"))))
    with pytest.raises(DataError, match=r"has 1 class \(a\)"):
        tasks.learn({"name": "classification"}, Manifest(clips(("a",), ("a",))))


def test_tags_are_multi_hot_and_decoded_by_threshold():
    train = Manifest(clips(("b", "a"), (), ("c",)))
    task = tasks.learn({"name": "tagging", "threshold": 0.3}, train)
    assert task.truth(train.clips).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    logits = np.array([[-0.5, -1.0, 800.0]])
    expected = torch.sigmoid(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(task.scores(logits), expected, atol=1e-12)
    assert task.decode(task.scores(logits)).tolist() == [[1, 0, 1]]


def test_regression_scores_are_on_the_scale_of_the_targets():
    values = [(0.0, 10.0), (2.0, 30.0), (4.0, 80.0)]
    train = Manifest(
        tuple(Clip(str(i), "x", targets=v) for i, v in enumerate(values)), ("x", "y")
    )
    task = tasks.learn({"name": "regression"}, train)
    encoded = np.array([task.encode(clip) for clip in train])
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(encoded.std(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(task.scores(encoded), values, atol=1e-5)


def test_constant_target_is_refused():
    train = Manifest((Clip("a", "x", targets=(1.0,)), Clip("b", "x", targets=(1.0,))))
    train = Manifest(train.clips, ("snr",))
    with pytest.raises(DataError, match="target 'snr' has the same value"):
        tasks.learn({"name": "regression"}, train)


@pytest.mark.parametrize("name", tasks.TASKS.names())
def test_state_restores_the_task(name):
    given = {"classification": (("a",), ("b",)), "tagging": (("a", "b"), ())}
    if name == "regression":
        train = Manifest(
            (Clip("a", "x", targets=(1.0,)), Clip("b", "x", targets=(0.3,))), ("snr",)
        )
    else:
        train = Manifest(clips(*given[name]))
    task = tasks.learn({"name": name}, train)
    again = tasks.restore(task.state())
    logits = np.random.default_rng(1).standard_normal((5, len(task.labels)))
    assert (again.scores(logits) == task.scores(logits)).all()
    assert again.state() == task.state()


def test_wrong_arguments_are_refused():
    with pytest.raises(ParamsError, match="no argument 'treshold'. Did you mean 'thre"):
        tasks.learn({"name": "tagging", "treshold": 0.1}, Manifest(clips(("a",))))
    with pytest.raises(ParamsError, match=r"threshold: expected 0 to 1"):
        tasks.learn({"name": "tagging", "threshold": 2}, Manifest(clips(("a",))))
