"""Augmentations of albumentations."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rehear.augmentations.external import Pictures, missing
from rehear.augmentations.seeding import python_random

_BASE = "it is the base class of others"
_BOXES = "it needs bounding boxes, which clips have not"
_FILES = "it needs other images or files, which the pipeline would not follow"
_MASK = "it needs a mask, which clips have not"
_CHANNELS = "it changes the number of channels"
_FUNCTION = "it needs a function"
_HOLDS = "it holds other transforms; write them one by one in augment, each with its p"
_SCALE = "it changes the scale of values, which the other splits would not share"
_SIZE = "it changes the size of images; take RandomSizedCrop or Affine"
_SOLID = "it takes volumes, not images"
_TYPE = "it changes the type of an array, not what it holds"
_CONSTANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "interpolation": (
        "INTER_",
        (
            "nearest",
            "linear",
            "cubic",
            "area",
            "lanczos4",
            "linear_exact",
            "nearest_exact",
        ),
    ),
    "border_mode": (
        "BORDER_",
        ("constant", "replicate", "reflect", "wrap", "reflect_101"),
    ),
}


class Albumentations(Pictures):
    """Change an image or spectrogram by a class of ``albumentations``.

    ``{name: albumentations, transform: Affine, rotate: [-5, 5]}``, for example;
    ``interpolation`` and ``border_mode`` are given by name, such as ``linear`` and
    ``reflect_101``. The class's own ``p`` is 1. Classes that change values as those
    of images take floats from 0 to 1 or ``uint8``; those that move or mask pixels
    take any. OpenCV runs in one thread from then on, since its threads do not
    survive in the processes that make batches.

    Args:
        transform: name of the class
        p: probability that a clip is changed
        settings: further arguments are those of the class

    Shape:
        ``(channels, height, width)`` with 1 or 3 channels, kept

    Raises:
        ParamsError: if there is no such class or argument, or albumentations is not
            installed

    Source: https://albumentations.ai/docs/
    """

    name = "albumentations"
    integers: ClassVar[frozenset[str]] = frozenset()
    free = frozenset(
        {
            "Affine",
            "Blur",
            "CenterCrop",
            "ChannelDropout",
            "ChannelShuffle",
            "CoarseDropout",
            "Crop",
            "CropAndPad",
            "D4",
            "ElasticTransform",
            "Erasing",
            "FrequencyMasking",
            "GlassBlur",
            "GridDistortion",
            "GridDropout",
            "GridElasticDeform",
            "HorizontalFlip",
            "LongestMaxSize",
            "Morphological",
            "NoOp",
            "OpticalDistortion",
            "Pad",
            "PadIfNeeded",
            "Perspective",
            "PiecewiseAffine",
            "PixelDropout",
            "RandomCrop",
            "RandomGridShuffle",
            "RandomResizedCrop",
            "RandomRotate90",
            "RandomSizedCrop",
            "Resize",
            "Rotate",
            "SafeRotate",
            "ShiftScaleRotate",
            "SmallestMaxSize",
            "SquareSymmetry",
            "ThinPlateSpline",
            "TimeMasking",
            "TimeReverse",
            "ToGray",
            "Transpose",
            "VerticalFlip",
            "XYMasking",
        }
    )
    unusable: ClassVar[Mapping[str, str]] = {
        "AtLeastOneBBoxRandomCrop": _BOXES,
        "BBoxSafeRandomCrop": _BOXES,
        "BasicTransform": _BASE,
        "CenterCrop3D": _SOLID,
        "CoarseDropout3D": _SOLID,
        "Compose": _HOLDS,
        "ConstrainedCoarseDropout": _MASK,
        "CropNonEmptyMaskIfExists": _MASK,
        "CubicSymmetry": _SOLID,
        "DualTransform": _BASE,
        "FDA": _FILES,
        "FromFloat": _TYPE,
        "HistogramMatching": _FILES,
        "ImageOnlyTransform": _BASE,
        "Lambda": _FUNCTION,
        "MaskDropout": _MASK,
        "Mosaic": _FILES,
        "Normalize": _SCALE,
        "OneOf": _HOLDS,
        "OneOrOther": _HOLDS,
        "OverlayElements": _FILES,
        "Pad3D": _SOLID,
        "PadIfNeeded3D": _SOLID,
        "PixelDistributionAdaptation": _FILES,
        "RandomCrop3D": _SOLID,
        "RandomCropFromBorders": _SIZE,
        "RandomCropNearBBox": _BOXES,
        "RandomOrder": _HOLDS,
        "RandomScale": _SIZE,
        "RandomSizedBBoxSafeCrop": _BOXES,
        "ReplayCompose": _HOLDS,
        "SelectiveChannelTransform": _HOLDS,
        "Sequential": _HOLDS,
        "SomeOf": _HOLDS,
        "TextImage": _FILES,
        "ToFloat": _TYPE,
        "ToRGB": _CHANNELS,
        "ToTensor3D": _SOLID,
        "ToTensorV2": _TYPE,
        "Transform3D": _BASE,
    }

    def __init__(
        self, *, transform: str = "CoarseDropout", p: float = 1.0, **settings: Any
    ) -> None:
        super().__init__(transform, p, settings, {"p": 1.0})

    def library(self) -> tuple[Any, type]:
        # Otherwise it asks the network for a newer version of itself.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        try:
            import albumentations
            import cv2
        except ModuleNotFoundError as error:
            raise missing(error, "albumentations", "albumentations") from None
        cv2.setNumThreads(0)
        return albumentations, albumentations.BasicTransform

    def convert(self, key: str, value: Any, default: Any) -> Any:
        import cv2

        if key in _CONSTANTS and isinstance(value, str):
            prefix, names = _CONSTANTS[key]
            known = {name: getattr(cv2, prefix + name.upper()) for name in names}
            return self.choose(key, value, known)
        if key == "interpolation_pair" and isinstance(value, dict):
            return {
                side: self.convert("interpolation", name, None)
                for side, name in value.items()
            }
        return super().convert(key, value, default)

    def change(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        import cv2

        self._part.set_random_state(generator, python_random(generator))
        cv2.setRNGSeed(int(generator.integers(2**31)))
        image = np.ascontiguousarray(x.transpose(1, 2, 0))
        changed = self._part(image=image)["image"]
        if changed.ndim == 2:
            changed = changed[:, :, None]
        return changed.transpose(2, 0, 1)
