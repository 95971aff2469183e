"""Whether a clip is changed: the first draw of every augmentation."""

import numpy as np


def probability(p: float) -> float:
    """Return ``p``.

    Raises:
        ValueError: if it is no probability
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be from 0 to 1, not {p}")
    return p


def skips(generator: np.random.Generator, p: float) -> bool:
    """Draw whether a clip stays as it is.

    What is drawn afterwards comes from the same stream, further on, so it does
    not depend on this decision.
    """
    return generator.random() >= p


def not_negative(name: str, value: float) -> None:
    """Refuse a negative number.

    Raises:
        ValueError: if it is one
    """
    if value < 0:
        raise ValueError(f"{name} must be 0 or above, not {value}")
