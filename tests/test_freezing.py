"""Frozen layers stay as they are, to the bit; the others learn at their rates."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from rehear import freezing, metrics, training
from rehear.errors import ParamsError
from rehear.losses import LOSSES
from rehear.models import structure
from rehear.tasks import Classification
from test_training import LABELS, SETTINGS, fit


class Layered(nn.Module):
    head_modules = ("head",)
    blocks = (("token", "front"), ("norm",), ("body.0",), ("body.1",))
    extractor = 2

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.ones(6))
        self.front = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.norm(self.front(x + self.token).relu())
        return self.head(self.drop(self.body(x)))


def trained(**settings):
    training.seed_torch(1, "initialise")
    model = Layered()
    before = training.clone(model)
    run = training.Trainer(
        model,
        LOSSES.build("cross_entropy"),
        task=Classification(labels=LABELS),
        settings=replace(SETTINGS, **settings),
        metrics=metrics.choose((), task="classification", track="uar"),
        seed=1,
    )
    fit(run)
    after = training.clone(model)
    return run, {k for k in after if not torch.equal(before[k], after[k])}


def changed_modules(changed):
    return {name.rsplit(".", 1)[0] if "." in name else name for name in changed}


@pytest.mark.parametrize(
    ("freeze", "learns"),
    [
        (0, {"token", "front", "norm", "body.0", "body.1", "head"}),
        (1, {"norm", "body.0", "body.1", "head"}),
        ("extractor", {"body.0", "body.1", "head"}),
        (3, {"body.1", "head"}),
        ("all", {"head"}),
    ],
)
def test_only_what_is_not_frozen_changes(freeze, learns):
    run, changed = trained(freeze=freeze)
    assert changed_modules(changed) == learns
    # Statistics of batch normalisation, too, which are no parameters.
    assert ("norm.running_mean" in changed) == ("norm" in learns)
    known = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
    assert all((id(p) in known) == p.requires_grad for p in run.model.parameters())


def test_groups_thaw_from_the_head_on():
    run, changed = trained(freeze="all", unfreeze_every=1, epochs=3)
    assert changed_modules(changed) == {"body.0", "body.1", "head"}
    counts = [
        freezing.count(run.model, replace(run.settings, epochs=9), epoch=epoch)
        for epoch in range(6)
    ]
    assert counts == [4, 3, 2, 1, 0, 0]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("saves", [2, 4, 7])
def test_gradual_thawing_resumes_to_the_same_bits(monkeypatch, saves):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(training, "STEPS_BETWEEN_CHECKS", 3)
    settings = {"freeze": "all", "unfreeze_every": 1, "lr_decay": 0.5}
    whole, _ = trained(**settings)
    kept = []

    def save(tensors, where):
        tensors = {k: v.clone() for k, v in tensors.items()}
        kept.append((tensors, {**where, "history": list(where["history"])}))
        if len(kept) == saves:
            raise Killed

    def untrained():
        training.seed_torch(1, "initialise")
        return training.Trainer(
            Layered(),
            LOSSES.build("cross_entropy"),
            task=Classification(labels=LABELS),
            settings=whole.settings,
            metrics=metrics.choose((), task="classification", track="uar"),
            seed=1,
        )

    with pytest.raises(Killed):
        fit(untrained(), save=save)
    again = fit(untrained(), resume=kept[-1])
    expected, found = whole.final_state(), again.final_state()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert again.progress == whole.progress


def test_lower_layers_learn_more_slowly():
    settings = replace(SETTINGS, lr=1.0, lr_body=0.5, lr_decay=0.1)
    groups = freezing.learning(Layered(), settings)
    rates = [group["lr"] for group in groups]
    assert rates == pytest.approx([1.0, 0.05, 0.005, 0.0005, 0.00005])
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(
        p.numel() for p in Layered().parameters()
    )
    assert groups[0]["params"][0].shape == (3, 8)
    run, changed = trained(lr_body=1e-30)
    assert changed_modules(changed) - {"head"} <= {"norm"}  # its statistics
    assert run.progress.history[0]["lr"] > 1e-4


def test_equal_rates_are_one_group_as_without_any():
    groups = freezing.learning(Layered(), SETTINGS)
    assert all(isinstance(p, nn.Parameter) for p in groups)


def test_models_that_do_not_say_are_cut_into_their_children():
    model = nn.Sequential(
        nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 1)
    )
    assert structure.head(model) == ("3",)
    assert structure.blocks(model) == [("0",), ("2",)]
    assert [len(group) for group in freezing.parameters(model)] == [2, 2, 2]


@pytest.mark.parametrize("freeze", [-1, 5])
def test_more_than_there_is_cannot_be_frozen(freeze):
    with pytest.raises(ParamsError, match=r"train.freeze: expected 0 to 4, .* found"):
        trained(freeze=freeze)


def test_several_processes_cannot_thaw():
    freezing.check(replace(SETTINGS, unfreeze_every=1), processes=1)
    with pytest.raises(ParamsError, match="unfreeze_every .* one process"):
        freezing.check(replace(SETTINGS, unfreeze_every=1), processes=2)
