"""What the models have in common whose encoder is one of the library transformers.

Only the architecture is taken from there: nothing is downloaded, and weights are
random until published ones are loaded.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from rehear.errors import suggest
from rehear.extras import needed

Tensors = Mapping[str, Tensor]


def library(model: str) -> Any:
    """Return the package transformers.

    Args:
        model: that needs it, by its name in params.yaml

    Raises:
        ParamsError: if it is not installed
    """
    with needed(f"model '{model}'", "transformers"):
        import transformers
    return transformers


def choose(known: Mapping[str, Any], value: str, *, argument: str) -> Any:
    """Return what stands under ``value``.

    Raises:
        ValueError: if nothing does
    """
    if value not in known:
        raise ValueError(
            f"unknown {argument} '{value}'.{suggest(value, known)} Known: "
            f"{', '.join(known)}"
        )
    return known[value]


def first_layers(number: int | None, *, of: int) -> int:
    """Return how many layers to use.

    Raises:
        ValueError: if there are not as many
    """
    if number is not None and not 1 <= number <= of:
        raise ValueError(f"num_hidden_layers: expected 1 to {of}, not {number}")
    return of if number is None else number


def without(tensors: Tensors, prefixes: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors whose names do not begin like this."""
    dropped = tuple(prefixes)
    return {n: tensor for n, tensor in tensors.items() if not n.startswith(dropped)}


def within_layers(tensors: Tensors, layers: str, number: int) -> dict[str, Tensor]:
    """Return the tensors without those of layers that the model does not have.

    Args:
        tensors: by name
        layers: name of the list of layers, as ``encoder.layers``
        number: of layers that the model has
    """

    def is_kept(name: str) -> bool:
        index = name.removeprefix(f"{layers}.").split(".")[0]
        inside = name.startswith(f"{layers}.") and index.isdecimal()
        return not inside or int(index) < number

    return {name: tensor for name, tensor in tensors.items() if is_kept(name)}
