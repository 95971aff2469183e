"""Augmentations of torchvision."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rehear.augmentations.external import Pictures, missing
from rehear.augmentations.seeding import one_thread

_HOLDS = "it holds other transforms; write them one by one in augment, each with its p"
_TYPE = "it changes the type of an array, not what it holds"
_BOXES = "it needs bounding boxes or key points, which clips have not"
_BATCH = "it mixes a batch and its labels; take the augmentation 'mixup'"
_SIZE = "it changes the size of images; take RandomResizedCrop or RandomAffine"
_SEVERAL = "it gives several images"


class Torchvision(Pictures):
    """Change an image or spectrogram by a class of ``torchvision.transforms.v2``.

    ``{name: torchvision, transform: RandAugment, num_ops: 2, magnitude: 15}``, for
    example; ``interpolation`` and ``policy`` are given by name, such as
    ``bilinear``. The class's own ``p``, if it has one, is 1. Classes that change
    values as those of images, such as ``ColorJitter``, take floats from 0 to 1 or
    ``uint8``; those that move or mask pixels take any.

    Args:
        transform: name of the class
        p: probability that a clip is changed
        settings: further arguments are those of the class

    Shape:
        ``(channels, height, width)`` with 1 or 3 channels, kept

    Raises:
        ParamsError: if there is no such class or argument, or torchvision is not
            installed

    Source: https://docs.pytorch.org/vision/0.26/transforms.html
    """

    name = "torchvision"
    integers = frozenset({"JPEG"})
    free = frozenset(
        {
            "CenterCrop",
            "ElasticTransform",
            "GaussianBlur",
            "Grayscale",
            "Identity",
            "Normalize",
            "RGB",
            "RandomAffine",
            "RandomChannelPermutation",
            "RandomCrop",
            "RandomErasing",
            "RandomGrayscale",
            "RandomHorizontalFlip",
            "RandomPerspective",
            "RandomResizedCrop",
            "RandomRotation",
            "RandomVerticalFlip",
            "Resize",
        }
    )
    unusable: ClassVar[Mapping[str, str]] = {
        "ClampBoundingBoxes": _BOXES,
        "ClampKeyPoints": _BOXES,
        "Compose": _HOLDS,
        "ConvertBoundingBoxFormat": _BOXES,
        "ConvertImageDtype": _TYPE,
        "CutMix": _BATCH,
        "FiveCrop": _SEVERAL,
        "Lambda": "it needs a function",
        "LinearTransformation": "it needs a matrix of the size of an image",
        "MixUp": _BATCH,
        "PILToTensor": _TYPE,
        "Pad": _SIZE,
        "RandomApply": _HOLDS,
        "RandomChoice": _HOLDS,
        "RandomIoUCrop": _BOXES,
        "RandomOrder": _HOLDS,
        "RandomResize": _SIZE,
        "RandomShortestSize": _SIZE,
        "RandomZoomOut": _SIZE,
        "SanitizeBoundingBoxes": _BOXES,
        "SanitizeKeyPoints": _BOXES,
        "ScaleJitter": _SIZE,
        "SetClampingMode": _BOXES,
        "TenCrop": _SEVERAL,
        "ToDtype": _TYPE,
        "ToImage": _TYPE,
        "ToPILImage": _TYPE,
        "ToPureTensor": _TYPE,
        "ToTensor": _TYPE,
        "Transform": "it is the base class of others",
        "UniformTemporalSubsample": "it takes films",
    }

    def __init__(
        self, *, transform: str = "RandAugment", p: float = 1.0, **settings: Any
    ) -> None:
        super().__init__(transform, p, settings, {"p": 1.0})

    def library(self) -> tuple[Any, type]:
        try:
            from torchvision.transforms import v2
        except ModuleNotFoundError as error:
            raise missing(error, "torchvision", "torchvision") from None
        return v2, v2.Transform

    def change(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        import torch

        with one_thread():
            return self._part(torch.from_numpy(x)).numpy()
