"""Weights that training starts from: found, checked, and fitted, strictly.

They are published ones, by a name that a model's ``sources`` list, or a file or
folder of the study: a model of ours, or a checkpoint of somebody else.
"""

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rehear import checkpoint, paths, transforms
from rehear.catalogue import name_of
from rehear.errors import ModelError, ParamsError, suggest
from rehear.models import GIVEN, MODELS, structure
from rehear.models.sources import Source
from rehear.params import Params
from rehear.signals import Signal

KEY = "pretrained.weights"
_COUNTER = "num_batches_tracked"  # older checkpoints lack it, and nothing reads it
_NAMED = 4
# What the program gives to transforms.
_OF_TRANSFORMS = ("sample_rate", "study")


def find(weights: str, study: Path, *, model: str) -> Source | Path:
    """Return where weights are.

    Args:
        weights: ``pretrained.weights``
        study: folder that a path is relative to
        model: name of the model, which is asked first

    Raises:
        ParamsError: if there is no such name and no such file
    """
    mine = sources_of(model)
    if weights in mine:
        return mine[weights]
    if (study / weights).exists():
        return study / weights
    known = [*mine]
    # Asking all models takes seconds, for the libraries that it loads.
    for name in MODELS.names():
        with contextlib.suppress(ParamsError):  # a library that is not installed
            sources = sources_of(name)
            if weights in sources:
                return sources[weights]
            known += sources
    listed = f" Known for '{model}': {', '.join([*mine][:_NAMED])}" if mine else ""
    more = ", …" if len(mine) > _NAMED else ""
    raise ParamsError(
        f"{KEY}: no published weights are called '{weights}', and no file or folder "
        f"of the study is.{suggest(weights, known)}{listed}{more}"
    )


def sources_of(name: str) -> Mapping[str, Source]:
    """Return the published weights of a model by name.

    Raises:
        ParamsError: if the library of the model is not installed
    """
    part: Any = MODELS.get(name)
    return part.sources() if hasattr(part, "sources") else {}


def check(params: Params, study: Path, *, arriving: Signal) -> None:
    """Refuse weights that are not for the model or the front end of a study.

    Args:
        params: of the study
        study: its folder
        arriving: what comes to the model

    Raises:
        ParamsError: if so
    """
    weights, name = params.pretrained.weights, name_of(params.model)
    if not weights:
        return
    mine = sources_of(name)
    found = mine.get(weights) or find(weights, study, model=name)
    if isinstance(found, Path):
        return
    if weights not in mine:
        raise ParamsError(
            f"{KEY}: '{weights}' are not for the model '{name}'; choose others, or "
            "another model"
        )
    asked = MODELS.resolve(params.model, given=GIVEN)
    for key, value in found.arguments.items():
        if asked.get(key) != value:
            raise ParamsError(
                f"{KEY}: '{weights}' need model.{key}: {value}, but it is "
                f"{asked.get(key)}"
            )
    if found.rate and arriving.rate and found.rate != arriving.rate:
        raise ParamsError(
            f"{KEY}: '{weights}' were trained on {found.rate} Hz, but sound comes with "
            f"{arriving.rate} Hz; set preprocess.sample_rate to {found.rate}"
        )
    _check_front_end(params, found)


def _check_front_end(params: Params, source: Source) -> None:
    """Compare the transforms with those that the weights were trained on."""
    wanted = dict(source.front_end)
    if not wanted:
        return
    name = wanted.pop("name")
    written = ", ".join(f"{key}: {value}" for key, value in wanted.items())
    same = [s for s in params.preprocess.transforms if name_of(s) == name]
    if not same:
        raise ParamsError(
            f"{KEY}: '{source.name}' need the transform '{name}' in "
            f"preprocess.transforms, with {written or 'its defaults'}"
        )
    given = transforms.TRANSFORMS.resolve(same[-1], given=_OF_TRANSFORMS)
    for key, value in wanted.items():
        if given.get(key) != value:
            raise ParamsError(
                f"{KEY}: '{source.name}' were trained with {name}.{key}: {value}, but "
                f"preprocess.transforms have {given.get(key)}; all of it: {written}"
            )


def read(path: Path, *, entry: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file or folder, and the record of a model of ours.

    Raises:
        ModelError: if there are no tensors
    """
    if not path.is_dir():
        return checkpoint.read_foreign(path, entry=entry), {}
    if (path / checkpoint.WEIGHTS).exists():
        config = json.loads((path / checkpoint.CONFIG).read_text(encoding="utf-8"))
        return checkpoint.read_tensors(path / checkpoint.WEIGHTS), config
    files = ("model.safetensors", "pytorch_model.bin")
    for file in files:
        if (path / file).exists():
            return checkpoint.read_foreign(path / file, entry=entry), {}
    raise ModelError(
        f"{path} holds no weights; expected {checkpoint.WEIGHTS} of a model of rehear, "
        f"or {' or '.join(files)} of the Hugging Face hub"
    )


def start(
    model: nn.Module, params: Params, study: Path, *, labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Put a study's pretrained weights into its model.

    Args:
        model: as built, with first weights
        params: of the study
        study: its folder, after the stage ``pretrained``
        labels: of the study's task

    Returns:
        The record of the weights; empty where training starts from scratch.

    Raises:
        ModelError: if the stage has not run, or the weights do not fit
    """
    weights = params.pretrained.weights
    if not weights:
        return {}
    folder = study / paths.PRETRAINED
    try:
        record = json.loads((folder / paths.RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        record = {}
    if record.get("weights") != weights:
        raise ModelError(
            f"{folder} does not hold {KEY} '{weights}'; run `rehear pretrained` first"
        )
    keep_head, known = params.pretrained.keep_head, record.get("labels")
    if keep_head and known is not None and list(known) != list(labels):
        raise ModelError(
            f"pretrained.keep_head: the last layer of '{weights}' is for the labels "
            f"{', '.join(known)}, but the study has {', '.join(labels)}; set it false"
        )
    tensors = checkpoint.read_tensors(folder / checkpoint.WEIGHTS)
    ours = known is not None
    fit(model, tensors, name=weights, ours=ours, keep_head=keep_head)
    return dict(record)


def fit(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    name: str,
    ours: bool = False,
    keep_head: bool = False,
) -> None:
    """Put weights into a model, all of them but those of the head.

    Args:
        model: whose head keeps its first weights
        tensors: by the names of whoever saved them
        name: of the weights, for messages
        ours: whether a model of ours has saved them
        keep_head: put the head's weights in, too

    Raises:
        ModelError: if anything else is missing, is left over or has another shape
    """
    adapted: Any = getattr(model, "adapted", None)
    if adapted and not ours:
        tensors = adapted(tensors)
    head = () if keep_head else structure.head(model)
    fresh = () if ours else tuple(getattr(model, "fresh", ()))
    own = model.state_dict()
    allowed = {key for key in own if structure.is_under(key, (*head, *fresh))}
    taken = {key: value for key, value in tensors.items() if key not in allowed}
    taken = {k: v for k, v in taken.items() if not structure.is_under(k, head)}
    missing = [k for k in own if k not in taken and k not in allowed]
    missing = [key for key in missing if not key.endswith(_COUNTER)]
    problems = [
        *_listed("it lacks", missing),
        *_listed("it has besides", taken.keys() - own.keys()),
        *_listed("of other shapes are", _misshapen(own, taken)),
    ]
    if problems:
        raise ModelError(
            f"{KEY}: '{name}' does not fit the model: {'; '.join(problems)}; choose "
            f"the weights of this architecture{_about_head(model, keep_head)}"
        )
    model.load_state_dict({**own, **taken})


def _misshapen(own: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key} {tuple(value.shape)}, not {tuple(own[key].shape)}"
        for key, value in taken.items()
        if key in own and value.shape != own[key].shape
    ]


def _listed(what: str, names: Collection[str]) -> list[str]:
    if not names:
        return []
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return [f"{what} {', '.join(ordered[:_NAMED])}{more}"]


def _about_head(model: nn.Module, keep_head: bool) -> str:
    if not keep_head:
        return ""
    return f", or set pretrained.keep_head: false ({', '.join(structure.head(model))})"
