"""The classifiers of torchvision, on spectrograms and images."""

import contextlib
import functools
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rehear.errors import ModelError, suggest
from rehear.extras import needed
from rehear.models import images
from rehear.models.sources import Source
from rehear.signals import IMAGE, SPECTROGRAM

_AUXILIARY = ("googlenet", "inception_v3")
_AUXILIARY_HEADS = ("AuxLogits.", "aux1.", "aux2.")
_RESERVED = ("aux_logits", "image_size", "init_weights", "input_size", "num_classes")
_DEPTH = "stochastic_depth_prob"
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_POSITIONS = "encoder.pos_embedding"
_RGB = 3


class TorchvisionModel(images.ImageModel):
    """A classifier of torchvision, from AlexNet to vision transformers.

    Of images with other than three channels, the first convolution is another, and
    the kernels of published weights are adapted as timm does it: summed for one
    channel, else repeated and scaled. Everything else is torchvision's: outputs are
    equal where weights are. GoogLeNet and Inception v3 come without their
    auxiliary heads. Vision transformers are built for the size of the images,
    which must be square; published position embeddings are interpolated.

    Arguments besides those below are of the architecture, such as ``dropout`` or
    ``stochastic_depth_prob``.

    Source: https://docs.pytorch.org/vision/stable/models.html, where the paper of
    each architecture is given.

    Args:
        architecture: such as ``resnet18``, ``efficientnet_b0``, ``squeezenet1_0``,
            ``vit_b_16``, ``swin_t``
        num_outputs: given by the program
        input_shape: ``(channels, height, width)``, given by the program
        arguments: of the architecture, in place of its defaults

    Shape:
        ``(batch, channels, height, width)`` to ``(batch, num_outputs)``

    Raises:
        ParamsError: if torchvision is not installed
        ValueError: if there is no such architecture or argument
        ModelError: if features are no images, or of a size that it does not take
    """

    takes = (IMAGE, SPECTROGRAM)

    def __init__(
        self,
        *,
        architecture: str = "resnet18",
        num_outputs: int,
        input_shape: tuple[int, ...],
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.input_shape = input_shape
        images.check_shape("torchvision", input_shape)
        _check(architecture, arguments)
        if arguments.get("transform_input") and input_shape[0] != _RGB:
            raise ModelError(
                f"model.transform_input: takes images of 3 channels, but features "
                f"are {input_shape}; add rgb to preprocess.transforms"
            )
        self.network = images.build(
            functools.partial(
                _for_images, architecture, input_shape[0], num_classes=num_outputs
            ),
            arguments,
            _size(architecture, input_shape),
            input_shape=input_shape,
            outputs=num_outputs,
            misfits=functools.partial(_misfits, architecture, input_shape),
        )
        head = _head(self.network)
        self.head_modules = (f"network.{head}",)
        self.blocks = tuple(
            tuple(f"network.{name}" for name in group)
            for group in images.stages(self.network, [head])
        )

    def embed(self, features: Tensor) -> Tensor:
        """Return what the last layer sees, averaged over the image where it has one.

        ``(batch, size)``, such as 512 for ``resnet18`` and 768 for ``vit_b_16``.
        """
        x = self.seen_by(self.get_submodule(self.head_modules[0]), features)
        return x.mean(dim=(2, 3)) if x.ndim == 4 else x

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load tensors, as of the present layout where they do not say which.

        MNASNet asks for the version of its layout, which safetensors do not keep.
        """
        tensors = OrderedDict(state_dict)
        version = {"version": self.network._version}
        tensors._metadata = {"network": version}  # type: ignore[attr-defined]
        return super().load_state_dict(tensors, strict, assign)

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Return all weights of classifiers that torchvision publishes."""
        library = _library()
        return {
            source.name: source
            for name in library.list_models(module=library)
            for weights in library.get_model_weights(name)
            for source in [_source(name, weights)]
        }

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return torchvision's tensors under our names, for our images.

        Auxiliary heads are left out, names of old DenseNet files made new, kernels
        of the first convolution adapted to the channels, and position embeddings
        to the size.
        """
        ours = {
            _OLD_DENSENET.sub(r"\1\2", name): tensor
            for name, tensor in tensors.items()
            if not name.startswith(_AUXILIARY_HEADS)
        }
        name, convolution = _first_convolution(self.network)
        kernel = ours.get(f"{name}.weight")
        if kernel is not None and kernel.ndim == 4 and kernel.shape[1] == _RGB:
            ours[f"{name}.weight"] = _for_channels(kernel, convolution.in_channels)
        if _POSITIONS in ours and hasattr(self.network, "image_size"):
            ours = _for_size(ours, self.network)
        return {f"network.{name}": tensor for name, tensor in ours.items()}


class _OnCpu(TorchFunctionMode):
    """Numbers that are given are there on any device.

    The widths of a RegNet are computed by tensors, which the meta device does not.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.arange, torch.tensor):
            kwargs = {"device": "cpu", **kwargs}
        return func(*args, **kwargs)


class _AveragePool(nn.Module):
    """Adaptive average pooling as matrix products.

    Their gradient is deterministic on GPUs too, that of torch's function is not.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.sides = (height, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            _windows(old, new, like=x)
            for old, new in zip(x.shape[2:], self.sides, strict=True)
        )
        return rows @ x @ columns.T


def _windows(old: int, new: int, *, like: Tensor) -> Tensor:
    """Return the share of each old value in each new one, ``(new, old)``."""
    places = torch.arange(old, device=like.device)
    index = torch.arange(new, device=like.device)[:, None]
    starts, ends = index * old // new, -(-(index + 1) * old // new)
    inside = (starts <= places) & (places < ends)
    return inside.to(like.dtype) / (ends - starts)


def _library() -> Any:
    with needed("model 'torchvision'", "torchvision"):
        import torchvision.models
    return torchvision.models


def _check(architecture: str, arguments: Mapping[str, Any]) -> None:
    library = _library()
    known = library.list_models(module=library)
    if architecture not in known:
        raise ValueError(
            f"unknown architecture '{architecture}'.{suggest(architecture, known)} "
            f"Known: {', '.join(known)}"
        )
    if arguments:
        with torch.device("meta"):
            plain = type(_network(architecture))
        images.check_arguments(
            architecture,
            arguments,
            network=plain,
            reserved=_RESERVED,
            settable=functools.partial(_is_settable, architecture),
        )


def _is_settable(architecture: str, name: str, default: Any) -> bool:
    """Tell whether an architecture leaves an argument of its class to others."""
    try:
        with torch.device("meta"):
            _network(architecture, **{name: default})
    except images.REFUSALS:
        return False
    return True


def _for_images(architecture: str, channels: int, **arguments: Any) -> nn.Module:
    network = _network(architecture, **arguments)
    if channels != _RGB:
        _replace_first_convolution(network, channels)
    _pool_deterministically(network)
    return network


def _network(architecture: str, **arguments: Any) -> nn.Module:
    if architecture in _AUXILIARY:
        arguments = {"aux_logits": False, "init_weights": True, **arguments}
    swin = architecture.startswith("swin")
    depth = arguments.pop(_DEPTH, None) if swin else None
    regnet = architecture.startswith("regnet")
    with _OnCpu() if regnet else contextlib.nullcontext():
        network: nn.Module = _library().get_model(
            architecture, weights=None, **arguments
        )
    if depth is not None:
        _set_stochastic_depth(network, depth)
    return network


def _set_stochastic_depth(network: nn.Module, probability: float) -> None:
    """Let a probability grow from 0 to this over the blocks, as their class does.

    The functions that build Swin transformers do not let the class be told another.
    """
    from torchvision.ops import StochasticDepth

    layers = [x for x in network.modules() if isinstance(x, StochasticDepth)]
    for place, layer in enumerate(layers):
        layer.p = probability * float(place) / (len(layers) - 1)


def _size(architecture: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the argument for the size of images, of architectures that have one."""
    if architecture.startswith("vit_"):
        return {"image_size": input_shape[1]}
    if architecture.startswith("maxvit"):
        return {"input_size": tuple(input_shape[1:])}
    return {}


def _misfits(architecture: str, input_shape: tuple[int, ...], why: str) -> ModelError:
    side = 299 if architecture == "inception_v3" else 224
    return images.misfitting(architecture, input_shape, side=side, why=why)


def _head(network: nn.Module) -> str:
    """Return the name of the last linear layer; SqueezeNets end with a convolution."""
    for kind in (nn.Linear, nn.Conv2d):
        found = [name for name, x in network.named_modules() if isinstance(x, kind)]
        if found:
            return found[-1]
    raise ModelError(f"no last layer in {type(network).__name__}")


def _first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    modules = network.named_modules()
    return next((name, x) for name, x in modules if isinstance(x, nn.Conv2d))


def _replace_first_convolution(network: nn.Module, channels: int) -> None:
    name, old = _first_convolution(network)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    network.set_submodule(name, new)


def _pool_deterministically(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.AdaptiveAvgPool2d):
            size: Any = module.output_size
            if size not in (1, (1, 1)):
                network.set_submodule(name, _AveragePool(*size))


def _for_channels(kernel: Tensor, channels: int) -> Tensor:
    """Return kernels of colour images for another number of channels, as timm does."""
    if channels == _RGB:
        return kernel
    if channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    repeated = kernel.repeat(1, -(-channels // _RGB), 1, 1)[:, :channels]
    return repeated * (_RGB / channels)


def _for_size(tensors: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    from torchvision.models.vision_transformer import interpolate_embeddings

    size, patch = network.image_size, network.patch_size
    return dict(interpolate_embeddings(size, patch, dict(tensors)))


def _source(architecture: str, weights: Any) -> Source:
    digest = re.search(r"-([0-9a-f]{8,64})\.pth$", weights.url)
    arguments: dict[str, Any] = {"architecture": architecture}
    if architecture in _AUXILIARY:
        arguments["transform_input"] = True
    swag = "SWAG" in weights.name
    return Source(
        name=f"torchvision/{architecture}.{weights.name.lower()}",
        url=weights.url,
        licence="CC-BY-NC-4.0 (SWAG)"
        if swag
        else "BSD-3-Clause (torchvision's code); "
        "the images of ImageNet are for non-commercial research",
        citation="TorchVision maintainers and contributors, TorchVision: PyTorch's "
        "Computer Vision library, 2016, https://github.com/pytorch/vision; recipe: "
        + weights.meta["recipe"],
        arguments=arguments,
        sha256=digest[1] if digest else "",
    )
