import pytest

from rehear import leakage
from rehear.datasets import autrainer
from rehear.errors import ParamsError
from rehear.manifest import Clip, Manifest


def test_test_split_is_dev_as_well_and_that_is_a_leak():
    clips = [
        Clip(clip=name, file=f"{name}.wav", labels=("x",), split=split)
        for name, split in (("a", "train"), ("b", "test"), ("c", "test"))
    ]
    found = list(autrainer.with_test_as_dev(clips))
    assert [(c.clip, c.file, c.split) for c in found] == [
        ("a", "a.wav", "train"),
        ("b", "b.wav", "test"),
        ("b (dev)", "b.wav", "dev"),
        ("c", "c.wav", "test"),
        ("c (dev)", "c.wav", "dev"),
    ]
    assert "equal" in {leak.kind for leak in leakage.find(Manifest(tuple(found)))}


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan")])
def test_share_must_leave_something_for_training(value):
    assert autrainer.share("dev_split", 0) == 0
    with pytest.raises(ParamsError, match=r"dataset\.dev_split is .*below 1"):
        autrainer.share("dev_split", value)
