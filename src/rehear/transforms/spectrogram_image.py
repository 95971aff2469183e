"""Pictures of spectrograms, for models that were trained on images."""

from typing import Any

import numpy as np

from rehear.errors import DataError, ParamsError, suggest
from rehear.signals import IMAGE, SPECTROGRAM
from rehear.transforms.image import Resize
from rehear.transforms.values import scaled

_COLOURS = 256


class SpectrogramImage:
    """A picture of a spectrogram, low frequencies at the bottom.

    The smallest value of the clip gets the first colour and the largest the last;
    a clip of one value has the first colour all over. Colours are interpolated
    after they are given. ``colormap: none`` gives the scaled values themselves.

    Source: Amiriparian et al., "Snore sound classification using image-based deep
    spectrum features", 2017; colours are those of matplotlib.

    Args:
        height: of the picture; one row for each band if ``null``
        width: of the picture; one column for each frame if ``null``
        colormap: of matplotlib, such as ``magma`` or ``viridis``; ``none`` for one
            channel of numbers from 0 to 1
        interpolation: ``bilinear``, ``nearest`` or ``bicubic``

    Shape:
        ``(1, bands, frames)`` to ``(3, height, width)``, uint8; with
        ``colormap: none`` to ``(1, height, width)``, float32

    Raises:
        ParamsError: if matplotlib is needed and not installed
        ValueError: if there is no such colormap, or an argument is out of range
        DataError: if there is more than one channel
    """

    takes, gives = SPECTROGRAM, IMAGE

    def __init__(
        self,
        *,
        height: int | None = 224,
        width: int | None = 224,
        colormap: str = "magma",
        interpolation: str = "bilinear",
    ) -> None:
        self._resize = Resize(height=height, width=width, interpolation=interpolation)
        self.colours = None if colormap == "none" else _table(colormap)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) != 1:
            raise DataError(
                f"takes one channel, got {len(x)}; put 'mono' before the spectrogram"
            )
        values = scaled(x, 0, 1)[:, ::-1]
        if self.colours is None:
            # Bicubic curves leave the range of what they connect.
            return np.clip(self._resize(values), 0, 1)
        places = np.minimum((values[0] * _COLOURS).astype(int), _COLOURS - 1)
        return self._resize(np.ascontiguousarray(self.colours[:, places]))


def _table(name: str) -> np.ndarray:
    """Return the colours of a colormap, ``(3, 256)``, uint8."""
    colormaps = _matplotlib().colormaps
    if name not in colormaps:
        raise ValueError(
            f"unknown colormap '{name}'.{suggest(name, colormaps)} Take none, or one "
            "of matplotlib's, such as magma, viridis, gray"
        )
    places = (np.arange(_COLOURS) + 0.5) / _COLOURS
    return np.ascontiguousarray(colormaps[name](places, bytes=True)[:, :3].T)


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ParamsError(
            "transform 'spectrogram_image' needs the package matplotlib for its "
            "colours, which is not installed; install it with `pip install "
            "'rehear[images]'`, or write colormap: none"
        ) from None
    return matplotlib
