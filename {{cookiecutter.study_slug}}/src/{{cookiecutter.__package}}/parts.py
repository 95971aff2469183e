"""The study's own parts: ``rehear`` imports this module before every stage.

A part is a class or function, registered under the name that it gets in
params.yaml. Every kind has its catalogue: ``rehear.transforms.TRANSFORMS``,
``rehear.models.MODELS``, ``rehear.losses.LOSSES``, ``rehear.metrics.METRICS``,
``rehear.datasets.DATASETS`` … `rehear list` shows what there is already.
"""

import numpy as np
from rehear.transforms import TRANSFORMS


class PreEmphasis:
    """Raise high frequencies: ``y[n] = x[n] - coefficient * x[n - 1]``.

    An example of a part. To use it, write in params.yaml, before the front end::

        - name: pre_emphasis
          coefficient: 0.97

    Args:
        coefficient: of the previous sample; 0 changes nothing

    Shape:
        ``(channels, samples)``, kept
    """

    takes = gives = "waveform"

    def __init__(self, *, coefficient: float = 0.97) -> None:
        if not 0 <= coefficient < 1:
            raise ValueError(f"coefficient must be in [0, 1), not {coefficient}")
        self.coefficient = np.float32(coefficient)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the filtered waveform; before its start there is silence."""
        y = x.copy()
        y[:, 1:] -= self.coefficient * x[:, :-1]
        return y


TRANSFORMS.add("pre_emphasis", PreEmphasis)
