"""Optimisers and learning-rate schedulers, as torch defines them."""

import inspect
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from rehear.catalogue import Catalogue

_COMPILER_GUARDED = ("add_param_group", "state_dict", "load_state_dict")


def _plain(optimizer: type[Optimizer]) -> type[Any]:
    """Return the optimizer without the wrappers that a small network feels.

    Some keep ``torch.compile`` out of methods, and load it: 0.8 s and 900
    modules in every process. Others name ``step`` and ``zero_grad`` for torch's
    profiler, at the cost of a tenth of a step.
    """
    methods = {
        key: inspect.unwrap(getattr(optimizer, key)) for key in _COMPILER_GUARDED
    }
    step = torch.no_grad()(inspect.unwrap(optimizer.step))
    step.hooked = True  # torch's own mark of a step that has the profiler's wrapper
    methods |= {"step": step, "zero_grad": _zero_grad}
    return type(optimizer.__name__, (optimizer,), methods)


def _zero_grad(self: Optimizer, set_to_none: bool = True) -> None:
    for group in self.param_groups:
        for parameter in group["params"]:
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.detach_().zero_()


_Adam = _plain(torch.optim.Adam)
_AdamW = _plain(torch.optim.AdamW)
_SGD = _plain(torch.optim.SGD)


def adam(
    *,
    parameters: Iterable[nn.Parameter],
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam, fused into one kernel.

    Source: Kingma and Ba, "Adam", 2015, https://arxiv.org/abs/1412.6980.

    Args:
        parameters: given by the program
        lr: given by the program
        betas: decay of the running means of gradients and of their squares
        eps: added to the denominator
        weight_decay: added to the gradient, as a share of the weights
    """
    return _Adam(
        parameters,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        fused=True,
    )


def adamw(
    *,
    parameters: Iterable[nn.Parameter],
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Adam with decoupled weight decay, fused into one kernel.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization",
    2019, https://arxiv.org/abs/1711.05101.

    Args:
        parameters: given by the program
        lr: given by the program
        betas: decay of the running means of gradients and of their squares
        eps: added to the denominator
        weight_decay: share of the weights taken off in a step, times the rate
    """
    return _AdamW(
        parameters,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        fused=True,
    )


def sgd(
    *,
    parameters: Iterable[nn.Parameter],
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Optimizer:
    """Stochastic gradient descent.

    Args:
        parameters: given by the program
        lr: given by the program
        momentum: share of the last step that is kept
        weight_decay: added to the gradient, as a share of the weights
        nesterov: look ahead along the momentum
    """
    return _SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov,
    )


OPTIMIZERS = Catalogue(
    "optimizer",
    {
        "adam": "rehear.optim:adam",
        "adamw": "rehear.optim:adamw",
        "sgd": "rehear.optim:sgd",
    },
)


def one_cycle(
    *,
    optimizer: Optimizer,
    total_steps: int,
    warmup: float = 0.3,
    start_factor: float = 0.04,
    end_factor: float = 4e-6,
) -> Any:
    """One cycle: up to the learning rate and down again by cosine, stepped every batch.

    Source: Smith and Topin, "Super-convergence", 2018,
    https://arxiv.org/abs/1708.07120.

    Args:
        optimizer: given by the program
        total_steps: given by the program
        warmup: share of the steps that go up
        start_factor: first rate, as a share of the highest
        end_factor: last rate, as a share of the highest
    """
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=warmup,
        div_factor=1 / start_factor,
        final_div_factor=start_factor / end_factor,
        cycle_momentum=False,
    )


def cosine(
    *, optimizer: Optimizer, lr: float, total_steps: int, min_lr: float = 0.0
) -> Any:
    """Half a cosine from the learning rate down, stepped every batch.

    Args:
        optimizer: given by the program
        lr: given by the program
        total_steps: given by the program
        min_lr: last rate; layers with a lower rate end at the same share of theirs

    Raises:
        ValueError: if the last rate is above the first
    """
    if not 0 <= min_lr <= lr:
        raise ValueError(f"min_lr: expected 0 to the learning rate {lr}, not {min_lr}")
    last = min_lr / lr if lr else 0.0

    def share(step: int) -> float:
        return last + (1 - last) * (1 + math.cos(math.pi * step / total_steps)) / 2

    return lr_scheduler.LambdaLR(optimizer, share)


def step(
    *,
    optimizer: Optimizer,
    steps_per_epoch: int,
    epochs: int = 30,
    factor: float = 0.1,
) -> Any:
    """Multiply the rate by ``factor`` every so many epochs.

    Args:
        optimizer: given by the program
        steps_per_epoch: given by the program
        epochs: epochs between two changes
        factor: what the rate is multiplied with
    """
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more, not {epochs}")
    return lr_scheduler.StepLR(optimizer, epochs * steps_per_epoch, gamma=factor)


SCHEDULERS = Catalogue(
    "scheduler",
    {
        "one_cycle": "rehear.optim:one_cycle",
        "cosine": "rehear.optim:cosine",
        "step": "rehear.optim:step",
    },
)
