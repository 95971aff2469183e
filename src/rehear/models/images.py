"""What models of images have in common, whichever library they come from."""

import copy
import inspect
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from rehear.catalogue import misfit
from rehear.errors import ModelError, suggest
from rehear.models import structure
from rehear.models.structure import Group

Build = Callable[..., nn.Module]
Network = TypeVar("Network", bound=nn.Module)
REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
_SIMPLE = (bool, int, float, str, type(None))
# Modules whose children are the stages of a network, in the order of the input.
_TRUNKS = {
    "blocks",
    "dense_stages",
    "encoder",
    "features",
    "layers",
    "stages",
    "transformers",
    "trunk_output",
}


class ImageModel(nn.Module):
    """A network of a library, which is cut in two where its last layer begins.

    Subclasses set all attributes.
    """

    network: nn.Module
    input_shape: tuple[int, ...]
    head_modules: Group
    blocks: tuple[Group, ...]

    def forward(self, features: Tensor) -> Tensor:
        return self.network(features)

    def encode(self, features: Tensor) -> Tensor:
        """Return what the last layer takes, or what dropout before it does."""
        return self.seen_by(self._last()[0], features)

    def decode(self, encoded: Tensor) -> Tensor:
        return self._last()(encoded)

    def seen_by(self, module: nn.Module, features: Tensor) -> Tensor:
        """Return what comes to a module of the network."""
        seen: list[Tensor] = []
        # A copy, since the module may work in place.
        with module.register_forward_pre_hook(lambda _, x: seen.append(x[0].clone())):
            self.network(features)
        return seen[0]

    def divides(self) -> bool:
        """Tell whether outputs are those of the last layer, run once.

        Where a frozen network draws random numbers before it, as for dropout between
        layers, they are not: that gives other numbers each time.
        """
        if len(self.head_modules) > 1:
            return False
        model = _without_values(self).train()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(structure.is_under(name, self.head_modules))
        structure.still(model, self.blocks)
        draws = _Draws()  # type: ignore[no-untyped-call]
        before: list[int] = []
        made: list[Tensor] = []
        last = model._last()
        last[0].register_forward_pre_hook(lambda *_: before.append(draws.number))
        last[-1].register_forward_hook(lambda *args: made.append(args[-1]))
        try:
            with torch.no_grad(), draws:
                outputs = model(torch.empty(2, *self.input_shape, device="meta"))
        except (NotImplementedError, *REFUSALS):
            return False
        return before == [0] and outputs is made[0]

    def _last(self) -> nn.Sequential:
        """Return the head, with what has no weights before and behind it."""
        (path,) = self.head_modules
        head = self.get_submodule(path)
        outer = self.get_submodule(path.rpartition(".")[0])
        if not isinstance(outer, nn.Sequential):
            return nn.Sequential(head)
        layers = list(outer)
        weighty = [n for n, x in enumerate(layers) if list(x.parameters())]
        *before, _ = (-1, *weighty)
        return nn.Sequential(*layers[before[-1] + 1 :])


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that draw random numbers."""

    number = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.number += torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


def check_shape(name: str, input_shape: tuple[int, ...]) -> None:
    """Refuse features that are no image.

    Raises:
        ModelError: if so
    """
    if len(input_shape) != 3:
        raise ModelError(
            f"model '{name}' takes an image or spectrogram (channels, height, width), "
            f"but features are {input_shape}; end preprocess.transforms with log_mel "
            "or spectrogram_image"
        )


def misfitting(name: str, shape: tuple[int, ...], *, side: int, why: str) -> ModelError:
    """Return the error for images that an architecture does not take.

    Args:
        name: of the architecture
        shape: of the features
        side: of square images that it takes
        why: what the library says
    """
    advice = f"{{name: resize, height: {side}, width: {side}}}"
    if shape[1:] == (side, side):
        advice = "rgb"
    return ModelError(
        f"model.architecture: {name} does not take features {shape} ({_short(why)}); "
        f"add {advice} to preprocess.transforms, or choose another architecture"
    )


def said(error: Exception) -> str:
    """Return what an exception says, on one line."""
    text = " ".join(str(error).split())
    bare = isinstance(error, KeyError) or not text  # of a key, nothing but its name
    return f"{type(error).__name__} {text}".rstrip() if bare else text


def _short(why: str) -> str:
    return textwrap.shorten(why.rstrip("."), 120, placeholder=" …")


def build(
    make: Build,
    arguments: Mapping[str, Any],
    size: Mapping[str, Any],
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    misfits: Callable[[str], ModelError],
) -> nn.Module:
    """Build a network, and hand the shape of images through it.

    Args:
        make: builds it, as is usual for the architecture where nothing is given
        arguments: of the user
        size: arguments for images of another than the usual size
        input_shape: of one image
        outputs: number of outputs that it must have
        misfits: from what the library says to the error for a size that it refuses

    Raises:
        ModelError: if only the size is refused
        ValueError: if arguments are, which the text names, or anything else is
    """
    try:
        network = make(**size, **arguments)
        why = trial(network, input_shape, outputs=outputs)
    except REFUSALS as error:
        why = said(error)
    if not why:
        return network

    def refusal(given: Mapping[str, Any]) -> str:
        made, why = _on_meta(make, {**size, **given})
        return trial(made, input_shape, outputs=outputs) if made else why

    def usual(given: Mapping[str, Any]) -> str:
        return _on_meta(make, given)[1]

    if fault := _blame(arguments, refusal) or _blame(arguments, usual) or usual({}):
        raise ValueError(fault)
    raise misfits(why) if refusal(arguments) else ValueError(why)


def _on_meta(make: Build, given: Mapping[str, Any]) -> tuple[nn.Module | None, str]:
    """Return a network without values, or why there is none."""
    try:
        with torch.device("meta"):
            return make(**given), ""
    except REFUSALS as error:
        return None, said(error)


def _blame(
    arguments: Mapping[str, Any], refusal: Callable[[Mapping[str, Any]], str]
) -> str:
    """Return which arguments alone are at fault, or ``""`` if none is.

    Args:
        arguments: of the user
        refusal: why there is no network of some of them, or ``""`` if there is
    """
    if not arguments or refusal({}):
        return ""
    for name, value in arguments.items():
        if why := refusal({name: value}):
            return f"{name}: cannot be {value!r} ({_short(why)}); correct or remove it"
    why = refusal(arguments)
    return why and (
        f"{', '.join(arguments)}: cannot stand together ({_short(why)}); correct or "
        "remove one of them"
    )


def trial(network: nn.Module, input_shape: tuple[int, ...], *, outputs: int) -> str:
    """Return why a network cannot take images of a shape, or ``""`` if it can.

    Nothing is computed: only shapes are handed on.

    Args:
        network: as built
        input_shape: of one image
        outputs: number of outputs that it must have
    """
    if any(isinstance(module, nn.RNNBase) for module in network.modules()):
        return ""  # shapes take seconds, step by step; any size will do
    try:
        with torch.no_grad():
            # A copy, since some networks keep what depends on the size or device.
            copied = _without_values(network).eval()
            made = copied(torch.empty(2, *input_shape, device="meta"))
    except NotImplementedError:
        return ""  # an operation that knows no shapes
    except REFUSALS as error:
        return said(error)
    shape = tuple(made.shape)
    return "" if shape == (2, outputs) else f"two clips give outputs of {shape}"


def _without_values(network: Network) -> Network:
    """Return a copy on the meta device."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(x): x.detach().to("meta") for x in tensors})


def check_arguments(
    architecture: str,
    arguments: Mapping[str, Any],
    *,
    network: type,
    reserved: Collection[str],
    settable: Callable[[str, Any], bool] = lambda name, default: True,
) -> None:
    """Refuse arguments that the class of a network does not have.

    Args:
        architecture: for messages
        arguments: as they stand in params.yaml
        network: class of the network
        reserved: arguments that the model sets itself
        settable: tells by name and default of an argument whether the architecture
            does not set it itself

    Raises:
        ValueError: if there is no such argument, or one is of a wrong type, or a
            probability not between 0 and 1
    """
    known = known_arguments(network, reserved)
    for name, value in arguments.items():
        if name not in known or not settable(name, known[name]):
            free = [key for key, default in known.items() if settable(key, default)]
            problem = f"{architecture} has no argument '{name}'.{suggest(name, free)}"
            if name in known:
                problem = f"'{name}' of {architecture} is fixed; remove it."
            raise ValueError(f"{problem} It takes: {', '.join(free) or 'none'}")
        if expected := _misfit(name, known[name], value):
            raise ValueError(f"{name}: expected {expected}, found {value!r}")


def known_arguments(network: type, reserved: Collection[str]) -> dict[str, Any]:
    """Return the arguments of a class with defaults that YAML can hold, and these."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(network).parameters.items()
        if type(parameter.default) in _SIMPLE and name not in reserved
    }


def _misfit(name: str, default: Any, value: Any) -> str:
    """Return what was expected in place of a value, by the default."""
    kind = type(default)
    expected = misfit(float if kind is int else kind, value)
    if expected and default is not None:
        return expected
    chance = "drop" in name or name.endswith(("_rate", "_prob"))
    if chance and _is_chance(default or 0) and not _is_chance(value or 0):
        return "a number from 0 to 1"
    return ""


def _is_chance(value: Any) -> bool:
    """Tell whether a value may be a probability, as for all that is no number."""
    return type(value) not in (int, float) or 0 <= value <= 1


def stages(network: nn.Module, head: Collection[str]) -> list[Group]:
    """Return the names of modules with weights, in groups from the input on.

    Parameters outside of any layer and normalisations go with what they belong to.

    Args:
        network: whose modules are defined in the order of the input
        head: names of the modules to leave out
    """
    groups: list[list[str]] = [[]]
    layered = False
    for name, module in _units(network, head):
        layer = module is not None and not _is_norm(module)
        if layer and layered:
            groups.append([])
        layered = layered or layer
        groups[-1].append(name)
    return [tuple(group) for group in groups]


def _is_norm(module: nn.Module) -> bool:
    return "Norm" in type(module).__name__ and not list(module.children())


def _units(
    module: nn.Module, head: Collection[str], prefix: str = ""
) -> Iterator[tuple[str, nn.Module | None]]:
    for name, _ in module.named_parameters(recurse=False):
        yield prefix + name, None
    for name, child in module.named_children():
        path = prefix + name
        if path in head or next(child.parameters(), None) is None:
            continue
        if name in _TRUNKS or any(part.startswith(path + ".") for part in head):
            yield from _units(child, head, path + ".")
        else:
            yield path, child


def covering(module: nn.Module, names: Collection[str], prefix: str = "") -> Group:
    """Return the fewest modules that hold the parameters of these names, only.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        >>> covering(net, {"0.weight", "0.bias", "1.bias"})
        ('0', '1.bias')
    """
    found = [n for n, _ in module.named_parameters(prefix, recurse=False) if n in names]
    for name, child in module.named_children():
        path = f"{prefix}.{name}" if prefix else name
        inside = [n in names for n, _ in child.named_parameters(path)]
        if inside and all(inside):
            found.append(path)
        elif any(inside):
            found += covering(child, names, path)
    return tuple(found)
