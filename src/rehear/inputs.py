"""What a clip's file holds: sound, an array of numbers, or an image.

Which of them, its ending says. Sound is the rule; features that were computed
elsewhere come as ``.npy`` files, spectrograms and the like as images.
"""

import io
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rehear import audio
from rehear.archives import SEPARATOR, Source, locate
from rehear.errors import AudioError
from rehear.signals import FEATURES, WAVEFORM

ARRAYS = frozenset({".npy"})
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
# Full scale of Pillow's modes that are taken as they are.
_FULL_SCALE: Mapping[str, float] = MappingProxyType(
    {"L": 255, "LA": 255, "RGB": 255, "RGBA": 255, "I;16": 65535, "F": 1}
)
_WITH_ALPHA = ("LA", "RGBA")
_TOO_DEEP = frozenset({"I", "I;16S", "I;16BS", "I;32S", "I;32BS", "I;32"})


def kind(path: os.PathLike[str] | str) -> str:
    """Return what a file holds, as transforms call it: waveform or features."""
    return WAVEFORM if is_sound(path) else FEATURES


def is_sound(path: os.PathLike[str] | str) -> bool:
    """Tell by its ending whether a file holds sound, not an array or an image."""
    return _ending(path) not in ARRAYS | IMAGES


def read(
    path: os.PathLike[str] | str, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Read what a clip's file holds, or a part of a recording.

    An array on disk is memory-mapped where it is float32 already. Complex
    numbers, objects and arrays without elements are refused. Nothing in a file
    is ever unpickled.

    Images have values in 0…1: of 8 bits, or of 16 where they are grey (Pillow
    gives the upper 8 bits of 16-bit colours); those of floating-point TIFFs are
    taken as they are. Palettes and other colour spaces become red, green and
    blue; where an image is transparent, it lies on black. Pixels are in the
    order of the file: a rotation that a camera has noted is not applied.

    Args:
        path: a file, or ``archive.tar::member``, ``archive.zip::member``
        start: beginning in seconds; for sound only
        end: end in seconds; for sound only

    Returns:
        For sound as ``audio.read``: the waveform ``(channels, samples)`` and its
        sample rate in Hz. Otherwise an array in the shape that it is stored in,
        or an image ``(channels, height, width)`` of 1 or 3 channels, and 0. All
        are float32, and must not be changed.

    Raises:
        AudioError: if the file does not exist, is damaged, or holds nothing that
            can be used, or if a part is wanted of what is no sound; the text
            names file and reason
    """
    if is_sound(path):
        return audio.read(path, start, end)
    source = locate(path)
    what = "an array" if _ending(path) in ARRAYS else "an image"
    if start is not None or end is not None:
        raise AudioError(
            f"{source.name}: is {what}, which has no start and end in seconds; leave "
            "these cells of the table empty"
        )
    if source.size == 0:
        raise AudioError(f"{source.name}: the file is empty (0 bytes); make it again")
    values = _array(source) if _ending(path) in ARRAYS else _image(source)
    return _checked(values, source), 0


def _ending(path: os.PathLike[str] | str) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()  # noqa: PTH122 - may be a member


def _checked(values: np.ndarray, source: Source) -> np.ndarray:
    """Return values as finite float32."""
    if values.ndim == 0 or values.size == 0:
        raise AudioError(
            f"{source.name}: an array of shape {values.shape} holds no features; make "
            "it again, or skip it"
        )
    if values.dtype.kind not in "fiub":
        raise AudioError(
            f"{source.name}: holds {values.dtype} values, expected real numbers; save "
            "it as float32"
        )
    with np.errstate(over="ignore"):  # the next lines tell
        numbers = np.ascontiguousarray(values, np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        raise AudioError(
            f"{source.name}: {int(finite.size - finite.sum())} of {finite.size} values "
            "are NaN, infinite or beyond float32; make it again, or skip it"
        )
    return numbers


def _array(source: Source) -> np.ndarray:
    inside = source.data is not None or SEPARATOR in source.name
    try:
        if inside:
            stream = io.BytesIO(source.read(0, source.size))
            return np.lib.format.read_array(stream, allow_pickle=False)
        # A plain view: indexing a memmap costs ten times as much.
        return np.asarray(np.lib.format.open_memmap(source.file, mode="r"))
    except (ValueError, OSError, EOFError, MemoryError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or "it is too large"
        raise AudioError(
            f"{source.name}: damaged, or no array that can be read ({reason}); save "
            "numbers with numpy.save, or skip it"
        ) from None


def _image(source: Source) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise AudioError(
            f"{source.name}: images are read with Pillow, which is not installed: "
            "pip install 'rehear[images]'"
        ) from None
    import struct

    try:
        with source.stream() as stream, Image.open(stream) as image:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise AudioError(
                    f"{source.name}: holds {frames} images; save each of them "
                    "to a file of its own"
                )
            return _pixels(image, source)
    except (
        OSError,
        SyntaxError,
        ValueError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        reason = str(error).partition(" <")[0].rstrip(".")
        raise AudioError(
            f"{source.name}: damaged, or no image that can be read ({reason}); make it "
            "again, or skip it"
        ) from None


def _pixels(image: Any, source: Source) -> np.ndarray:
    """Return an image as ``(channels, height, width)``, its alpha applied."""
    if image.mode in _TOO_DEEP:
        raise AudioError(
            f"{source.name}: has pixels of mode {image.mode}; save it with 8 or 16 "
            "bits for each channel, without sign"
        )
    if image.mode == "I;16B":
        image = image.convert("I;16")
    if image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data and image.mode not in _WITH_ALPHA:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode not in _FULL_SCALE:
        image = image.convert("RGB")
    scale = np.float32(_FULL_SCALE[image.mode])
    pixels = np.atleast_3d(np.asarray(image, np.float32)) / scale
    if image.mode in _WITH_ALPHA:
        pixels = pixels[..., :-1] * pixels[..., -1:]
    return pixels.transpose(2, 0, 1)
