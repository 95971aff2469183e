"""Which layers of a model learn, when, and how fast.

Groups of layers stand in the order of ``rehear.models.structure``: those nearest to
the input come first, the head comes last.
"""

from typing import Any

from torch import nn

from rehear.errors import ParamsError
from rehear.models import structure
from rehear.params import Train


def hold(model: nn.Module, settings: Train, *, epoch: int) -> None:
    """Let the layers of an epoch learn, and keep all others as they are.

    Frozen layers work as when predicting: without dropout in them and before, and
    with the statistics of batch normalisation that they have.

    Args:
        model: in training mode
        settings: the ``train`` section
        epoch: from 0

    Raises:
        ParamsError: if the model has fewer groups than are to be frozen
    """
    groups, frozen = parameters(model), count(model, settings, epoch=epoch)
    for number, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(number >= frozen)
    structure.still(model, structure.blocks(model)[:frozen])


def check(settings: Train, *, processes: int) -> None:
    """Refuse what several processes, which agree on gradients at the start, cannot do.

    Raises:
        ParamsError: if layers are to thaw
    """
    if settings.unfreeze_every is not None and processes > 1:
        raise ParamsError(
            "train.unfreeze_every works in one process only; start training without "
            "torchrun or accelerate launch, or set it to null"
        )


def count(model: nn.Module, settings: Train, *, epoch: int) -> int:
    """Return how many of the first groups are frozen in an epoch."""
    total = len(structure.blocks(model))
    wanted = {"all": total, "extractor": structure.extractor(model)}
    asked = settings.freeze
    first = wanted[asked] if isinstance(asked, str) else asked
    if not 0 <= first <= total:
        raise ParamsError(
            f"train.freeze: expected 0 to {total}, as many groups of layers as the "
            f"model has before its head, found {first}"
        )
    if settings.unfreeze_every is None:
        return first
    return max(0, first - epoch // settings.unfreeze_every)


def parameters(model: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters of each group, those of the head last.

    Parameters that are in no group, such as a token, belong to the first.
    """
    names = [*structure.blocks(model), structure.head(model)]
    groups: list[list[nn.Parameter]] = [[] for _ in names]
    for name, parameter in model.named_parameters():
        places = (i for i, group in enumerate(names) if structure.is_under(name, group))
        groups[next(places, 0)].append(parameter)
    return groups


def learning(model: nn.Module, settings: Train) -> list[Any]:
    """Return what an optimiser takes: all that will ever learn, with its rates.

    Args:
        model: whose layers are held as in the last epoch
        settings: the ``train`` section
    """
    groups = [[p for p in group if p.requires_grad] for group in parameters(model)]
    if settings.lr_body == settings.lr_decay == 1:
        return [p for p in model.parameters() if p.requires_grad]
    places = reversed(range(len(groups)))  # the head first: its rate is on record
    found = []
    for distance, place in enumerate(places):
        share = settings.lr_body * settings.lr_decay**distance if distance else 1.0
        if groups[place]:
            found.append({"params": groups[place], "lr": settings.lr * share})
    return found
