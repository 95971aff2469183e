"""The order of a model's modules, from its input to its head.

A model says it by its attributes ``head``, ``blocks`` and ``extractor``. Of one
that does not, the last module with weights is the head, and each of the others a
group of its own.
"""

from collections.abc import Iterable, Iterator, Sequence

from torch import nn

Group = tuple[str, ...]


def head(model: nn.Module) -> Group:
    """Return the names of the modules that belong to the task."""
    names: Sequence[str] = getattr(model, "head_modules", ())
    return tuple(names) or _weighty(model)[-1:]


def blocks(model: nn.Module) -> list[Group]:
    """Return the names of all other modules with weights, from the input on."""
    groups: Sequence[Group] = getattr(model, "blocks", ())
    return [tuple(group) for group in groups] or [(n,) for n in _weighty(model)[:-1]]


def extractor(model: nn.Module) -> int:
    """Return how many of the first groups are the front end."""
    return int(getattr(model, "extractor", 1))


def still(model: nn.Module, groups: Iterable[Group]) -> None:
    """Let frozen groups work as when predicting, and what stands before their layers.

    That is what has no parameters, such as dropout, and is followed by a frozen layer
    in the order of definition, and what holds frozen layers only.

    Args:
        model: in training mode
        groups: of modules whose parameters do not require gradients
    """
    frozen = {name for group in groups for name in group}
    learns = True
    for name, module in reversed(list(model.named_modules())):
        own = [p.requires_grad for p in module.parameters(recurse=False)]
        learns = any(own) if own else learns
        inside = [p.requires_grad for p in module.parameters()]
        if is_under(name, frozen) or not (any(inside) if inside else learns):
            module.training = False


def parameters(
    model: nn.Module, names: Iterable[str]
) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters of modules, or the parameters of these names."""
    wanted = tuple(names)
    for name, parameter in model.named_parameters():
        if is_under(name, wanted):
            yield name, parameter


def is_under(name: str, modules: Iterable[str]) -> bool:
    """Tell whether a tensor is one of these, or of a module of these."""
    return any(name == module or name.startswith(module + ".") for module in modules)


def _weighty(model: nn.Module) -> Group:
    return tuple(
        name
        for name, child in model.named_children()
        if next(child.parameters(), None) is not None
    )
