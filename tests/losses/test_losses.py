"""Losses against bare formulas."""

import audmetric
import numpy as np
import pytest
import torch

from rehear.errors import ParamsError
from rehear.losses import LOSSES

LOGITS = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 3))).float()


def test_cross_entropy_takes_indices_and_weights_alike():
    loss = LOSSES.build("cross_entropy")
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    hot = torch.eye(3)[targets]
    expected = -(torch.log_softmax(LOGITS, 1) * hot).sum(1).mean()
    torch.testing.assert_close(loss(LOGITS, targets), expected)
    torch.testing.assert_close(loss(LOGITS, hot), expected)


def test_balanced_cross_entropy_weighs_by_inverse_frequency():
    loss = LOSSES.build({"name": "cross_entropy", "balance": True}, counts=[1, 2, 4])
    weights = np.array([1, 1 / 2, 1 / 4])
    weights = weights / weights.sum() * 3
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    own = -torch.log_softmax(LOGITS, 1)[torch.arange(6), targets].numpy()
    expected = (own * weights[targets]).sum() / weights[targets].sum()
    assert float(loss(LOGITS, targets)) == pytest.approx(expected, abs=1e-6)


def test_balance_needs_every_label():
    with pytest.raises(ParamsError, match="at least one training clip of each label"):
        LOSSES.build({"name": "cross_entropy", "balance": True}, counts=[1, 0])


def test_binary_cross_entropy():
    targets = torch.tensor([[1.0, 0, 1]] * 6)
    p = torch.sigmoid(LOGITS)
    expected = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    loss = LOSSES.build("binary_cross_entropy")
    torch.testing.assert_close(loss(LOGITS, targets), expected)


def test_ccc_loss_is_one_minus_the_metric():
    targets = LOGITS + torch.linspace(0, 2, 18).reshape(6, 3)
    expected = np.mean(
        [1 - audmetric.concordance_cc(targets[:, i], LOGITS[:, i]) for i in range(3)]
    )
    assert float(LOSSES.build("ccc")(LOGITS, targets)) == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize("name", LOSSES.names())
def test_losses_are_finite_in_half_precision_and_have_gradients(name):
    loss = LOSSES.build(name, counts=[1, 1, 1], task=None)
    logits = LOGITS.bfloat16().requires_grad_()
    value = loss(logits, torch.eye(3).repeat(2, 1))
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(logits.grad).all()
    assert value.ndim == 0
