"""Optimisers are torch's own, without the weight of its compiler."""

import subprocess
import sys

import pytest
import torch

from rehear.errors import ParamsError
from rehear.optim import OPTIMIZERS, SCHEDULERS

TORCH = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def walk(optimizer, weights, steps=20):
    for step in range(steps):
        optimizer.zero_grad()
        ((weights - step) ** 2).sum().backward()
        optimizer.step()
    return weights.detach().clone()


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_steps_equal_those_of_torch(name):
    ours, theirs = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    moved = walk(OPTIMIZERS.build(name, parameters=[ours], lr=0.1), ours)
    expected = walk(TORCH[name]([theirs], lr=0.1), theirs)
    torch.testing.assert_close(moved, expected)


def test_a_step_does_not_load_the_compiler():
    code = """
import sys, torch
from rehear.optim import OPTIMIZERS, SCHEDULERS
for name in OPTIMIZERS.names():
    weights = torch.nn.Parameter(torch.ones(2))
    optimizer = OPTIMIZERS.build(name, parameters=[weights], lr=0.1)
    plan = SCHEDULERS.build("one_cycle", optimizer=optimizer, lr=0.1, total_steps=9)
    weights.sum().backward()
    optimizer.step(); plan.step(); optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def rates(name, steps=100, **spec):
    weights = torch.nn.Parameter(torch.ones(2))
    optimizer = OPTIMIZERS.build("sgd", parameters=[weights], lr=0.5)
    plan = SCHEDULERS.build(
        {"name": name, **spec},
        optimizer=optimizer,
        lr=0.5,
        total_steps=steps,
        steps_per_epoch=10,
    )
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        weights.sum().backward()
        optimizer.step()
        plan.step()
    return seen


def test_one_cycle_goes_up_to_the_rate_and_down_again():
    seen = rates("one_cycle", warmup=0.2, start_factor=0.1)
    assert seen[0] == pytest.approx(0.05)
    assert max(seen) == pytest.approx(0.5, rel=1e-2)
    assert 15 <= seen.index(max(seen)) <= 21
    assert seen[-1] < 1e-4


def test_cosine_ends_at_the_lowest_rate():
    seen = rates("cosine", min_lr=0.1)
    assert seen[0] == 0.5
    assert seen[-1] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("lowest", [0.0, 0.1])
def test_cosine_is_that_of_torch(lowest):
    weights = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weights], lr=0.5)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100, lowest)
    expected = []
    for _ in range(100):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates("cosine", min_lr=lowest) == pytest.approx(expected)


def test_no_layer_ends_faster_than_it_began():
    head, body = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    groups = [{"params": [head], "lr": 1e-3}, {"params": [body], "lr": 1e-5}]
    optimizer = OPTIMIZERS.build("sgd", parameters=groups, lr=1e-3)
    spec = {"name": "cosine", "min_lr": 1e-4}
    plan = SCHEDULERS.build(spec, optimizer=optimizer, lr=1e-3, total_steps=10)
    for _ in range(10):
        optimizer.step()
        plan.step()
    last = [group["lr"] for group in optimizer.param_groups]
    assert last == pytest.approx([1e-4, 1e-6])


def test_a_last_rate_above_the_first_is_refused():
    with pytest.raises(ParamsError, match="min_lr: expected 0 to the learning rate"):
        rates("cosine", min_lr=0.6)


def test_step_changes_after_whole_epochs():
    seen = rates("step", epochs=3, factor=0.1)
    assert seen[29] == 0.5
    assert seen[30] == pytest.approx(0.05)


def test_wrong_argument_is_refused():
    with pytest.raises(ParamsError, match="no argument 'weight_deca'. Did you mean 'w"):
        OPTIMIZERS.build({"name": "adam", "weight_deca": 1}, parameters=[], lr=1.0)
