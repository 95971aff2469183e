"""A head trained on what frozen layers gave once is the head of frozen training."""

from dataclasses import replace

import pytest
import torch

from rehear import freezing, metrics, probing, training
from rehear.clips import ClipSet, Step
from rehear.losses import LOSSES
from rehear.tasks import Classification
from test_freezing import Layered
from test_training import DEV, LABELS, SETTINGS, TRAIN, Stored, fit

FROZEN = replace(SETTINGS, freeze="all")


class Counting(Layered):
    def __init__(self):
        super().__init__()
        self.clips = 0

    def encode(self, x):
        self.clips += len(x)
        return self.body(self.norm(self.front(x + self.token).relu()))

    def decode(self, encoded):
        return self.head(self.drop(encoded))

    def forward(self, x):
        return self.decode(self.encode(x))


def trainer(model, settings=FROZEN):
    training.seed_torch(1, "initialise")
    return training.Trainer(
        model(),
        LOSSES.build("cross_entropy"),
        task=Classification(labels=LABELS),
        settings=settings,
        metrics=metrics.choose((), task="classification", track="uar"),
        seed=1,
    )


def test_frozen_layers_are_computed_once_and_the_head_learns_the_same():
    once, always = fit(trainer(Counting)), fit(trainer(Layered))
    assert once.model.clips == len(TRAIN) + len(DEV)
    assert once.progress.epoch == 4
    for key, value in always.final_state().items():
        torch.testing.assert_close(once.final_state()[key], value, rtol=1e-5, atol=1e-6)
    for row, other in zip(once.progress.history, always.progress.history, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)


def changing():
    stored = Stored(51, 1)
    noise = Step(lambda x, draw: x + draw.normal(), "noise", draws=True)
    return ClipSet(stored, range(51), stored.targets, steps=[noise], seed=1)


@pytest.mark.parametrize(
    ("settings", "train"),
    [
        (replace(FROZEN, freeze=3), TRAIN),
        (replace(FROZEN, unfreeze_every=1), TRAIN),
        (FROZEN, changing()),
    ],
)
def test_what_changes_is_computed_in_every_epoch(settings, train):
    assert not probing.applies(Counting(), settings, train)
    assert probing.applies(Counting(), FROZEN, TRAIN)
    assert not probing.applies(Layered(), FROZEN, TRAIN)
    run = trainer(Counting, settings)
    run.fit(train, DEV, truth=DEV.targets)
    assert run.model.clips == 4 * (len(train) + len(DEV))
    assert freezing.count(run.model, settings, epoch=0) > 0
