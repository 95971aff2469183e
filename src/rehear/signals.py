"""What the parts of a path take and give: the kind of array, and its sample rate.

A part says so by attributes: ``takes`` is a kind or a tuple of kinds, ``gives``
the kind that comes out, ``"same"`` where it is kept, and ``rate_after`` the new
sample rate of a part that resamples. So a wrong order is refused before any
audio is read. A model's ``front_end`` says which transform gives what it takes,
where the kind does not.
"""

from typing import Any, NamedTuple

import numpy as np

from rehear.errors import DataError, ParamsError

WAVEFORM, SPECTROGRAM, IMAGE = "waveform", "spectrogram", "image"
FEATURES = "features"  # of which nothing is known but that they are no waveform
ANY = "any"  # a part takes it, or gives what nobody knows
SAME = "same"
KINDS = {
    WAVEFORM: "a waveform (channels, samples)",
    SPECTROGRAM: "a spectrogram (channels, bands, frames)",
    IMAGE: "an image (channels, height, width)",
    FEATURES: "features",
}
# What gives a kind, for what takes it and gets another one.
_ENDS = {
    WAVEFORM: "mono, without a spectrogram or other features",
    SPECTROGRAM: "log_mel",
    IMAGE: "log_mel and spectrogram_image",
    FEATURES: "opensmile",
}
_DIMENSIONS = {WAVEFORM: 2, SPECTROGRAM: 3, IMAGE: 3}


class Signal(NamedTuple):
    """What is handed from one part to the next.

    Attributes:
        kind: ``waveform``, ``spectrogram``, ``image``, ``features`` or ``any``
        rate: sample rate of waveforms, in Hz
        part: name of the part that gives it; empty for what clips hold
    """

    kind: str = ANY
    rate: int = 0
    part: str = ""


UNKNOWN = Signal()


def taken(part: Any) -> tuple[str, ...]:
    """Return the kinds that a part takes."""
    takes = getattr(part, "takes", ANY)
    return (takes,) if isinstance(takes, str) else tuple(takes)


def fits(part: Any, kind: str) -> bool:
    """Tell whether a part takes a kind; what is not known fits until it comes."""
    takes = taken(part)
    if ANY in takes or kind == ANY or kind in takes:
        return True
    wide = kind == FEATURES and takes != (WAVEFORM,)
    return wide or (FEATURES in takes and kind != WAVEFORM)


def after(part: Any, name: str, before: Signal, *, what: str = "transform") -> Signal:
    """Return what a part gives.

    Args:
        part: transform or augmentation
        name: in params.yaml
        before: what the part gets
        what: kind of part, for messages

    Raises:
        ParamsError: if the part does not take what it gets
    """
    if not fits(part, before.kind):
        source = f"'{before.part}' before it gives" if before.part else "it gets"
        advice = "change the order of the parts"
        if what == "model":
            advice = f"end preprocess.transforms with {_front_end(part)}"
        raise ParamsError(
            f"{what} '{name}' takes {described(part)}, but {source} "
            f"{KINDS[before.kind]}; {advice}"
        )
    gives = getattr(part, "gives", ANY)
    kind = before.kind if gives == SAME else gives
    return Signal(kind, getattr(part, "rate_after", before.rate), name)


def _front_end(model: Any) -> str:
    """Return the transforms, one or the other, that give what a model takes."""
    ends = [end for kind, end in _ENDS.items() if kind in taken(model)]
    return str(getattr(model, "front_end", ", or ".join(ends)))


def described(part: Any) -> str:
    """Return what a part takes, in words."""
    return " or ".join(KINDS[kind] for kind in taken(part))


def check_shape(part: Any, name: str, x: np.ndarray, *, what: str) -> None:
    """Refuse an array whose number of axes no kind has that the part takes.

    Raises:
        DataError: if so
    """
    wanted = {_DIMENSIONS.get(kind) for kind in taken(part)}
    if None not in wanted and x.ndim not in wanted:
        raise DataError(
            f"{what} '{name}' takes {described(part)}, but got an array of shape "
            f"{x.shape}; change the order of the parts"
        )
