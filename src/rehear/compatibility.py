"""Whether presets fit a study: its task, its sample rate, its front end."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rehear import building, checking, pipeline, signals, transforms
from rehear.augmentations import AUGMENTATIONS
from rehear.catalogue import name_of
from rehear.errors import DataError, ParamsError
from rehear.params import FILE, Params
from rehear.signals import ANY, FEATURES, KINDS, WAVEFORM, Signal

if TYPE_CHECKING:
    from rehear.presets import Preset


class Features(NamedTuple):
    """What comes out of the transforms, and of an example.

    Attributes:
        stored: what the transforms of the stage preprocess give
        signal: what all of them give
        online: transforms that run while training
        example: what becomes of noise in preprocess; null where clips hold no sound
    """

    stored: Signal
    signal: Signal
    online: list[building.Online]
    example: np.ndarray | None


def check(params: Params, chosen: "Sequence[Preset]") -> None:
    """Check a study with the presets that it would have.

    Whether the model takes the features, only ``rehear check`` tells.

    Args:
        params: of the study, presets included
        chosen: those presets

    Raises:
        ParamsError: if a part, or one of the presets, does not fit
    """
    checking.check_parts(params)
    for preset in chosen:
        _check_settings(params, preset)
    features = _features(params)
    for preset in chosen:
        _check_kind(params, preset, features)
    _check_augment(params, features)


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


def _features(params: Params) -> Features:
    """Send noise through the transforms; those that learn keep the shape."""
    specs, rate = params.preprocess.transforms, params.preprocess.sample_rate
    # What lies in the user's own files is not known here.
    own = getattr(pipeline.data_set(params), "needs_source", False)
    kind = ANY if own else WAVEFORM
    chain = transforms.build(transforms.offline(specs), sample_rate=rate, kind=kind)
    online = building.build_online(specs, chain.after)
    signal = chain.after
    for entry in online:
        signal = signals.after(entry.apply, entry.spec["name"], signal)
    parts = [step.apply for step in chain.steps][:1]
    if not any(signals.taken(part) == (WAVEFORM,) for part in parts):
        return Features(chain.after, signal, online, None)
    noise = np.random.Generator(np.random.Philox(0)).standard_normal((1, rate))
    example = chain(0.1 * noise.astype(np.float32))
    return Features(chain.after, signal, online, example)


def _check_kind(params: Params, preset: "Preset", features: Features) -> None:
    kinds = tuple(_listed(preset, "kind"))
    needed = SimpleNamespace(takes=kinds or ANY)
    shape, x = "", features.example
    fits = signals.fits(needed, features.signal.kind)
    if fits and x is not None and features.signal.kind == FEATURES:
        shape = f" of shape {x.shape}"
        try:
            signals.check_shape(needed, preset.name, x, what="preset")
        except DataError:
            fits = False
    if not fits:
        advice = _on_waveforms if kinds == (WAVEFORM,) else _with_front_end
        raise ParamsError(
            f"preset '{preset.name}' takes {signals.described(needed)}, but "
            f"preprocess.transforms give {KINDS[features.signal.kind]}{shape}; "
            f"{advice(params, preset, kinds)}"
        )


def _with_front_end(params: Params, preset: "Preset", kinds: Sequence[str]) -> str:
    """Say which transform, or preset of transforms, gives what is needed."""
    from rehear import presets

    catalogue = transforms.TRANSFORMS
    giving = [
        name
        for name in catalogue.names()
        if getattr(catalogue.get(name), "gives", ANY) in kinds
    ]
    rate = params.preprocess.sample_rate
    ends = [front for front in presets.everything() if front.gives in kinds]
    ends.sort(key=lambda end: end.settings()["preprocess", "sample_rate"] != rate)
    return (
        f"add a transform that gives one ({', '.join(giving)}), or a preset that has "
        f"one: `rehear use {ends[0].name} {preset.name}`"
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


def _check_augment(params: Params, features: Features) -> None:
    """Check the list ``augment``, part by part, without building any."""
    placed: list[tuple[float, str, Any]] = [
        (entry.place, entry.spec["name"], entry.apply) for entry in features.online
    ]
    keys = {}
    for index, spec in enumerate(params.augment):
        part: Any = AUGMENTATIONS.get(spec["name"])
        last = 1 if getattr(part, "batch", False) else 0
        order = float("inf") if last else spec.get("order", float("inf"))
        keys[len(placed)] = f"augment.{index}"
        placed.append((order, spec["name"], part))
    signal, x = features.stored, features.example
    for number in sorted(range(len(placed)), key=lambda number: placed[number][0]):
        _, name, part = placed[number]
        if number not in keys:
            signal = signals.after(part, name, signal)
            x = _applied(part, x)
            continue
        try:
            signal = signals.after(part, name, signal, what="augmentation")
            if x is not None:
                signals.check_shape(part, name, x, what="augmentation")
        except (DataError, ParamsError) as error:
            raise ParamsError(
                f"{FILE}: {keys[number]}: {error}; or leave it out: the preset "
                "no_augmentation empties the list"
            ) from None


def _applied(part: Any, x: np.ndarray | None) -> np.ndarray | None:
    return x if x is None or getattr(part, "learns", False) else part(x)
