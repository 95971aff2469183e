"""Whether presets fit a study: its task, its sample rate, its front end."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rehear import building, checking, signals, transforms
from rehear.augmentations import AUGMENTATIONS
from rehear.catalogue import name_of
from rehear.errors import DataError, ParamsError
from rehear.models import MODELS
from rehear.params import FILE, Params
from rehear.signals import ANY, FEATURES, KINDS, WAVEFORM, Signal

if TYPE_CHECKING:
    from rehear.presets import Preset

VECTOR = "vector"
_TAKEN = {**KINDS, VECTOR: "one vector for each clip"}


class Features(NamedTuple):
    """What comes out of transforms, and of noise that is sent through them.

    Attributes:
        signal: what they give
        example: what becomes of noise; null where clips may hold no sound
    """

    signal: Signal
    example: np.ndarray | None

    def after(self, name: str, part: Any) -> "Features":
        """Return what comes out of one transform more."""
        signal, x = signals.after(part, name, self.signal), self.example
        if x is not None:
            if getattr(part, "learns", False):
                part.learn([x, x * 0.9])
            x = part(x)
        return Features(signal, x)


def check(params: Params, chosen: "Sequence[Preset]") -> None:
    """Check a study with the presets that it would have.

    A preset of a model is held against the front end. Whether features are of the
    right size for it, only ``rehear check`` tells, with a real clip.

    Args:
        params: of the study, presets included
        chosen: those presets

    Raises:
        ParamsError: if a part, or one of the presets, does not fit
    """
    checking.check_parts(params)
    for preset in chosen:
        _check_settings(params, preset)
    stored, online = _front_end(params)
    features = stored
    for entry in online:
        features = features.after(entry.spec["name"], entry.apply)
    for preset in chosen:
        _check_kind(params, preset, features)
        _check_range(preset, features.example)
    _check_augment(params, stored, online)


def _check_settings(params: Params, preset: "Preset") -> None:
    task, rate = name_of(params.task), params.preprocess.sample_rate
    tasks, rates = _listed(preset, "task"), _listed(preset, "sample_rate")
    if tasks and task not in tasks:
        raise ParamsError(
            f"preset '{preset.name}' is for {' or '.join(tasks)}, but task is {task}"
        )
    if rates and rate not in rates:
        raise ParamsError(
            f"preset '{preset.name}' needs preprocess.sample_rate "
            f"{' or '.join(map(str, rates))}, but it is {rate}; change it, or take "
            "another preset"
        )


def _listed(preset: "Preset", key: str) -> list[Any]:
    needed = preset.needs.get(key, [])
    return needed if isinstance(needed, list) else [needed]


def _front_end(params: Params) -> tuple[Features, list[building.Online]]:
    """Return what the stage preprocess gives, and the transforms that come later."""
    specs, rate = params.preprocess.transforms, params.preprocess.sample_rate
    # What lies in the user's own files is not known here.
    own = getattr(checking.data_set(params), "needs_source", False)
    kind = ANY if own else WAVEFORM
    chain = transforms.build(transforms.offline(specs), sample_rate=rate, kind=kind)
    online = building.build_online(specs, chain.after)
    first = chain.steps[0].apply if chain.steps else None
    if own and signals.taken(first) != (WAVEFORM,):
        return Features(chain.after, None), online
    noise = np.random.Generator(np.random.Philox(0)).standard_normal((1, rate))
    return Features(chain.after, chain(0.1 * noise.astype(np.float32))), online


def _check_kind(params: Params, preset: "Preset", features: Features) -> None:
    kinds = tuple(_listed(preset, "kind"))
    if preset.kind == "model" and not kinds:
        kinds = signals.taken(MODELS.get(params.model["name"]))
    kind, x = features.signal.kind, features.example
    shape = f" of shape {x.shape}" if x is not None and kind == FEATURES else ""
    if not _fits(preset, kinds, features):
        advice = _on_waveforms if kinds == (WAVEFORM,) else _with_front_end
        words = " or ".join(_TAKEN[kind] for kind in kinds)
        raise ParamsError(
            f"preset '{preset.name}' takes {words}, but preprocess.transforms give "
            f"{KINDS[kind]}{shape}; {advice(params, preset, kinds)}"
        )


def _fits(preset: "Preset", kinds: Sequence[str], features: Features) -> bool:
    kind, x = features.signal.kind, features.example
    if VECTOR in kinds:
        return kind in (ANY, FEATURES) and (x is None or x.ndim == 1)
    needed = SimpleNamespace(takes=kinds or ANY)
    if x is not None and kind == FEATURES:
        try:
            signals.check_shape(needed, preset.name, x, what="preset")
        except DataError:
            return False
    return signals.fits(needed, kind)


def _with_front_end(params: Params, preset: "Preset", kinds: Sequence[str]) -> str:
    """Say which transform, or preset of transforms, gives what is needed."""
    from rehear import presets

    catalogue, rate = transforms.TRANSFORMS, params.preprocess.sample_rate
    giving = [
        name
        for name in catalogue.names()
        if getattr(catalogue.get(name), "gives", ANY) in kinds
    ]
    ends = [front for front in presets.everything() if front.gives in kinds]
    ends.sort(key=lambda end: end.settings()["preprocess", "sample_rate"] != rate)
    advice = [f"add a transform that gives one ({', '.join(giving)})"] * bool(giving)
    if ends:
        also = f"`rehear use {ends[0].name} {preset.name}`"
        advice.append(f"use a preset that has one: {also}")
    return ", or ".join(advice)


def _check_range(preset: "Preset", x: np.ndarray | None) -> None:
    limits = preset.needs.get("range")
    # Whole numbers have a range of their own.
    if limits is None or x is None or x.dtype.kind != "f":
        return
    low, high = float(x.min()), float(x.max())
    if low < limits[0] or high > limits[1]:
        raise ParamsError(
            f"preset '{preset.name}' takes values from {limits[0]} to {limits[1]}, but "
            f"preprocess.transforms make {low:.3g} to {high:.3g} of noise; add the "
            "transform 'scale' at their end"
        )


def _on_waveforms(params: Params, preset: "Preset", _: Sequence[str]) -> str:
    """Say how an augmentation gets in front of the transform that ends waveforms."""
    place, name = next(
        (place, spec["name"])
        for place, spec in enumerate(params.preprocess.transforms)
        if _ends_waveforms(spec["name"])
    )
    return (
        f"give '{name}' and the transforms behind it `online: true`, and write the "
        f"lines of `rehear presets {preset.name}` by hand, with `order: {place - 0.5}`"
    )


def _ends_waveforms(name: str) -> bool:
    part = transforms.TRANSFORMS.get(name)
    return getattr(part, "gives", ANY) not in (ANY, WAVEFORM, signals.SAME)


def _check_augment(
    params: Params, features: Features, online: Sequence[building.Online]
) -> None:
    """Check the list ``augment`` where its parts stand, without building any."""
    placed: list[tuple[float, str, str, Any]] = [
        (entry.place, "", entry.spec["name"], entry.apply) for entry in online
    ]
    for index, spec in enumerate(params.augment):
        part: Any = AUGMENTATIONS.get(spec["name"])
        mixes = getattr(part, "batch", False)
        order = math.inf if mixes else spec.get("order", math.inf)
        placed.append((order, f"augment.{index}", spec["name"], part))
    for _, key, name, part in sorted(placed, key=lambda entry: entry[0]):
        if not key:
            features = features.after(name, part)
            continue
        try:
            signal = signals.after(part, name, features.signal, what="augmentation")
            if features.example is not None:
                signals.check_shape(part, name, features.example, what="augmentation")
        except (DataError, ParamsError) as error:
            raise ParamsError(
                f"{FILE}: {key}: {error}, or leave it out: the preset no_augmentation "
                "empties the list"
            ) from None
        features = Features(signal, features.example)
