"""Transforms in a row: in which order, when, and whether they fit together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rehear import signals
from rehear.catalogue import Spec, name_of
from rehear.errors import DataError, ParamsError
from rehear.signals import ANY, FEATURES, UNKNOWN, WAVEFORM, Signal

_HOLDS = {WAVEFORM: "sound", FEATURES: "an array or an image"}
_Transform = Callable[[np.ndarray], np.ndarray]


class Step(NamedTuple):
    """A transform and its name in params.yaml."""

    name: str
    apply: _Transform


class Chain:
    """Transforms, applied one after the other.

    Attributes:
        after: what comes out

    Args:
        steps: in the order of execution
        before: what goes in

    Raises:
        ParamsError: if a transform takes what the one before does not give
    """

    def __init__(self, steps: Sequence[Step], before: Signal = UNKNOWN) -> None:
        self.steps = tuple(steps)
        self.after = before
        for step in self.steps:
            self.after = signals.after(step.apply, step.name, self.after)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Send one clip through all transforms.

        Raises:
            DataError: if a transform cannot take this clip; the text names it
        """
        for step in self.steps:
            x = _applied(step, x)
        return x

    def trace(
        self, x: np.ndarray, kind: str = WAVEFORM
    ) -> list[tuple[str, np.ndarray]]:
        """Return ``(kind, x)``, and ``(name, array)`` after each transform."""
        arrays = [(kind, x)]
        for step in self.steps:
            arrays.append((step.name, _applied(step, arrays[-1][1])))
        return arrays


def ordered(specs: Sequence[Spec]) -> list[Spec]:
    """Return parts in the order of execution.

    Without ``order`` a part keeps its place in the list, counted from 0; with
    it, the part moves there. Equal numbers keep the order of the list.
    """
    places = [
        float(spec.get("order", place)) if not isinstance(spec, str) else float(place)
        for place, spec in enumerate(specs)
    ]
    return [specs[i] for i in sorted(range(len(specs)), key=places.__getitem__)]


def offline(specs: Sequence[Spec]) -> list[Spec]:
    """Return the parts that run once, in the stage ``preprocess``, in order.

    Raises:
        ParamsError: if one of them stands after a part that runs while training,
            or is for some splits only
    """
    parts = ordered(specs)
    for spec in parts:
        if not isinstance(spec, str) and "splits" in spec and not _is_online(spec):
            raise ParamsError(
                f"preprocess.transforms: '{name_of(spec)}' has splits, but features "
                "of all splits are made alike; give it online: true too"
            )
    stored = [spec for spec in parts if not _is_online(spec)]
    for spec, expected in zip(parts, stored, strict=False):
        if spec is not expected:
            raise ParamsError(
                f"preprocess.transforms: '{name_of(expected)}' stands after "
                f"'{name_of(spec)}', which runs later, while training; move it before "
                "that one, or give it online: true too"
            )
    return stored


def online(specs: Sequence[Spec]) -> list[Spec]:
    """Return the parts that run while training and evaluating, in order."""
    return [spec for spec in ordered(specs) if _is_online(spec)]


def build(
    specs: Sequence[Spec],
    *,
    sample_rate: int,
    kind: str = ANY,
    study: Path = Path(),
) -> Chain:
    """Build a chain of the given parts, in the given order.

    Args:
        specs: parts of kind transform, as ``offline`` or ``online`` return them
        sample_rate: of the waveforms that go in, in Hz
        kind: of what goes in
        study: folder that paths of parts are relative to

    Raises:
        ParamsError: if a part is unknown, refuses its arguments or does not fit
            the one before
    """
    from rehear.transforms import TRANSFORMS

    steps, rate = [], sample_rate
    for spec in specs:
        part = TRANSFORMS.build(spec, sample_rate=rate, study=study)
        steps.append(Step(name_of(spec), part))
        rate = getattr(part, "rate_after", rate)
    return Chain(steps, Signal(kind, sample_rate))


def check_kind(specs: Sequence[Spec], *, kind: str, file: str) -> None:
    """Check that what clips hold can go into the first transform.

    Args:
        specs: all parts of kind transform
        kind: ``waveform``, or ``features`` for arrays and images
        file: a clip's, for the message

    Raises:
        ParamsError: if the first transform takes the other kind
    """
    from rehear.transforms import TRANSFORMS

    for spec in ordered(specs)[:1]:
        part = TRANSFORMS.get(name_of(spec))
        if not signals.fits(part, kind):
            advice = "remove it" if kind == FEATURES else "put another one before it"
            raise ParamsError(
                f"preprocess.transforms: '{name_of(spec)}' takes "
                f"{signals.described(part)}, but {file} holds {_HOLDS[kind]}; {advice}"
            )


def _is_online(spec: Spec) -> bool:
    return not isinstance(spec, str) and bool(spec.get("online", False))


def _applied(step: Step, x: np.ndarray) -> np.ndarray:
    signals.check_shape(step.apply, step.name, x, what="transform")
    try:
        return step.apply(x)
    except DataError as error:
        raise DataError(f"transform '{step.name}': {error}") from error
