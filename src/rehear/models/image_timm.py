"""The models of timm, on spectrograms and images."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rehear.errors import ModelError, suggest
from rehear.extras import needed
from rehear.models import images, structure
from rehear.models.sources import Source, on_hub
from rehear.signals import IMAGE, SPECTROGRAM

_RESERVED = (
    "cfg",
    "device",
    "dtype",
    "img_size",
    "in_chans",
    "input_size",
    "num_classes",
)


class TimmModel(images.ImageModel):
    """A classifier of timm, PyTorch Image Models, of which there are over a thousand.

    It is timm's own model for the channels and the size of the images. Published
    weights are adapted to both as timm does it: kernels of the first convolution
    are summed for one channel, else repeated and scaled, and position embeddings
    interpolated.

    Arguments besides those below are of the architecture, such as ``drop_rate``
    or ``drop_path_rate``.

    Source: Wightman, "PyTorch Image Models", 2019,
    https://github.com/huggingface/pytorch-image-models, where the paper of each
    architecture is given.

    Args:
        architecture: such as ``efficientnet_b0``, ``resnet18``,
            ``vit_small_patch16_224``, as ``timm.list_models()`` gives them
        num_outputs: given by the program
        input_shape: ``(channels, height, width)``, given by the program
        arguments: of the architecture, in place of its defaults

    Shape:
        ``(batch, channels, height, width)`` to ``(batch, num_outputs)``

    Raises:
        ParamsError: if timm is not installed
        ValueError: if there is no such architecture or argument
        ModelError: if features are no images, or of a size that it does not take
    """

    takes = (IMAGE, SPECTROGRAM)

    def __init__(
        self,
        *,
        architecture: str = "efficientnet_b0",
        num_outputs: int,
        input_shape: tuple[int, ...],
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.input_shape = input_shape
        images.check_shape("timm", input_shape)
        timm = _timm()
        _check(architecture, arguments)
        make = functools.partial(
            _network, architecture, num_classes=num_outputs, in_chans=input_shape[0]
        )
        self._make = functools.partial(make, **arguments)
        config = timm.models.get_pretrained_cfg(architecture)
        fixed = bool(config and config.fixed_input_size)
        size = {"img_size": tuple(input_shape[1:])} if fixed else {}
        side = config.input_size[-1] if config else 224
        self.network = images.build(
            make,
            arguments,
            size,
            input_shape=input_shape,
            outputs=num_outputs,
            misfits=lambda why: images.misfitting(
                architecture, input_shape, side=side, why=why
            ),
        )
        heads = _heads(self.network)
        self.head_modules = tuple(f"network.{name}" for name in heads)
        self.blocks = tuple(
            tuple(f"network.{name}" for name in group)
            for group in _blocks(self.network, heads)
        )

    def embed(self, features: Tensor) -> Tensor:
        """Return what the last layer sees, ``(batch, size)``.

        The size is timm's ``head_hidden_size``, such as 1280 for ``efficientnet_b0``.
        """
        network: Any = self.network
        return network.forward_head(network.forward_features(features), pre_logits=True)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return the weights that timm publishes, by the names that it gives them."""
        timm = _timm()
        found = (
            _source(name, timm.models.get_pretrained_cfg(name))
            for name in timm.list_pretrained()
        )
        return {source.name: source for source in found if source}

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published tensors under our names, for our images, as timm does it.

        Raises:
            ModelError: if they cannot be adapted to the channels
        """
        network: Any = self.network
        ours = dict(tensors)
        if adapt := _filter(self._make):
            one = len(inspect.signature(adapt).parameters) == 1
            ours = dict(adapt(ours) if one else adapt(ours, network))
        first = network.pretrained_cfg.get("first_conv") or ()
        for name in (first,) if isinstance(first, str) else first:
            key = f"{name}.weight"
            if key in ours:
                ours[key] = _for_channels(ours[key], network.get_submodule(name).weight)
        return {f"network.{name}": tensor for name, tensor in ours.items()}


def _timm() -> Any:
    with needed("model 'timm'", "timm", "torchvision"):
        import timm
    return timm


def _check(architecture: str, arguments: Mapping[str, Any]) -> None:
    timm = _timm()
    known = timm.list_models()
    if architecture not in known:
        raise ValueError(
            f"unknown architecture '{architecture}'.{suggest(architecture, known)} "
            f"There are {len(known)}; timm.list_models() lists them"
        )
    if arguments:
        with torch.device("meta"):
            plain = type(timm.create_model(architecture))
        images.check_arguments(
            architecture, arguments, network=plain, reserved=_RESERVED
        )


def _network(architecture: str, **arguments: Any) -> nn.Module:
    network: nn.Module = _timm().create_model(architecture, **arguments)
    if not any([*network.get_submodule(name).parameters()] for name in _heads(network)):
        raise ValueError(
            f"{architecture} is no classifier; choose another architecture"
        )
    return network


def _heads(network: Any) -> list[str]:
    """Return the names of the last layers, several for distilled models."""
    found = network.get_classifier() if hasattr(network, "get_classifier") else ()
    layers = found if isinstance(found, tuple | list) else (found,)
    return [n for n, x in network.named_modules() if any(x is y for y in layers)]


def _blocks(network: Any, heads: list[str]) -> list[structure.Group]:
    from timm.models import group_parameters

    try:
        matcher = network.group_matcher(coarse=True)
    except (AssertionError, AttributeError):  # some have none
        return images.stages(network, heads)
    inside = tuple(f"{name}." for name in heads)
    groups = [
        {name for name in names if not name.startswith(inside)}
        for names in group_parameters(network, matcher).values()
    ]
    return [images.covering(network, names) for names in groups if names]


def _filter(make: Callable[..., nn.Module]) -> Callable[..., Any] | None:
    """Return the function that timm sends published tensors of a network through.

    Only the function that builds an architecture knows it, and hands it to the one
    that loads weights; for one call, ours stands in its place.
    """
    from timm.models import _builder

    found: list[Callable[..., Any] | None] = []

    def keep(*_: Any, filter_fn: Callable[..., Any] | None = None, **__: Any) -> None:
        found.append(filter_fn)

    load = _builder.load_pretrained
    _builder.load_pretrained = keep
    try:
        with torch.device("meta"):
            make(pretrained=True)
    finally:
        _builder.load_pretrained = load
    return found[0]


def _for_channels(kernel: Tensor, ours: Tensor) -> Tensor:
    from timm.models import adapt_input_conv

    if kernel.shape == ours.shape:
        return kernel
    try:
        return adapt_input_conv(ours.shape[1], kernel)
    except (AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"the weights are for images of 3 channels and cannot be adapted to "
            f"{ours.shape[1]} ({images.said(error)}); add rgb to preprocess.transforms"
        ) from error


def _source(name: str, config: Any) -> Source | None:
    """Return where weights are; ``None`` if not in a file that is read as it is.

    Repositories of others than timm do not all hold safetensors.
    """
    repository = config.hf_hub_id or ""
    if repository.startswith("timm/") and config.custom_load != "hf":
        url = on_hub(repository, file="model.safetensors")
        page = f"https://huggingface.co/{repository}"
    elif not repository and not config.custom_load and config.url.endswith(".pth"):
        url = page = config.url
    else:
        return None
    digest = re.search(r"-([0-9a-f]{8,64})\.pth$", url)
    return Source(
        name=f"timm/{name}",
        url=url,
        licence=config.license or f"not stated; see {page}",
        citation="Wightman, R., PyTorch Image Models, 2019, "
        f"https://github.com/huggingface/pytorch-image-models; weights: {page}",
        arguments={"architecture": name.split(".")[0]},
        sha256=digest[1] if digest else "",
    )
