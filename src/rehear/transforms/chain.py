"""Transforms in a row: in which order, when, and whether they fit together."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rehear.catalogue import Spec, name_of
from rehear.errors import DataError, ParamsError

WAVEFORM, FEATURES, ANY = "waveform", "features", "any"
_TAKES = {WAVEFORM: "a waveform", FEATURES: "features"}
_HOLDS = {WAVEFORM: "sound", FEATURES: "an array or an image"}
_Transform = Callable[[np.ndarray], np.ndarray]


class Step(NamedTuple):
    """A transform and its name in params.yaml."""

    name: str
    apply: _Transform


class Chain:
    """Transforms, applied one after the other.

    Args:
        steps: in the order of execution

    Raises:
        ParamsError: if a transform takes what the one before does not give
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        _check_order(self.steps)

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


def build(specs: Sequence[Spec], *, sample_rate: int) -> Chain:
    """Build a chain of the given parts, in the given order.

    Args:
        specs: parts of kind transform, as ``offline`` or ``online`` return them
        sample_rate: of the waveforms, in Hz

    Raises:
        ParamsError: if a part is unknown, refuses its arguments or does not fit
            the one before
    """
    from rehear.transforms import TRANSFORMS

    return Chain(
        [
            Step(name_of(spec), TRANSFORMS.build(spec, sample_rate=sample_rate))
            for spec in specs
        ]
    )


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
        takes = getattr(TRANSFORMS.get(name_of(spec)), "takes", ANY)
        if takes not in (ANY, kind):
            advice = "remove it" if kind == FEATURES else "put another one before it"
            raise ParamsError(
                f"preprocess.transforms: '{name_of(spec)}' takes {_TAKES[takes]}, but "
                f"{file} holds {_HOLDS[kind]}; {advice}"
            )


def _is_online(spec: Spec) -> bool:
    return not isinstance(spec, str) and bool(spec.get("online", False))


def _check_order(steps: Sequence[Step]) -> None:
    for before, step in itertools.pairwise(steps):
        gives, takes = _gives(before.apply), getattr(step.apply, "takes", ANY)
        if takes not in (ANY, gives) and gives != ANY:
            raise ParamsError(
                f"transform '{step.name}' takes a {takes}, but '{before.name}' before "
                f"it gives {gives}; change the order of the transforms"
            )


def _gives(transform: Any) -> str:
    return getattr(transform, "gives", ANY)


def _applied(step: Step, x: np.ndarray) -> np.ndarray:
    if getattr(step.apply, "takes", ANY) == WAVEFORM and x.ndim != 2:
        raise DataError(
            f"transform '{step.name}' takes a waveform (channels, samples), but got "
            f"features {x.shape}; change the order of the transforms"
        )
    try:
        return step.apply(x)
    except DataError as error:
        raise DataError(f"transform '{step.name}': {error}") from error
