"""Presets of kind model, made from tables in ``presets_data/`` by a few rules.

A preset writes down all that one model needs: the part itself, the weights that it
starts from (none, so that those of another model do not stay), what is frozen, and
the front end where it takes one only.
"""

import functools
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rehear import yaml_edit

_FOLDER = Path(__file__).parent / "presets_data"
_LOG_MEL = "    - name: log_mel\n"
_LENGTHS = (
    "Clips of a batch must be of one length. Where yours are not, cut or pad them"
)
_SQUEEZED = (
    "Images are of one size. Longer clips are squeezed, unless you cut or pad them"
)
_USUAL = {"deltas": "true", "layers": "null", "more": "", "rate": 16000}
# Their weights take colours by another mean and deviation than those of ImageNet.
_SHIFTED = ("googlenet", "inception_v3")
_SHIFT = {"more": "transform_input: true   # as the weights were trained", "rgb": True}


def families() -> list[Mapping[str, Any]]:
    """Return all families: what its models share, and ``models``."""
    return [{"models": list(_networks()), **family} for family in _table("model")]


def _networks() -> Iterator[Mapping[str, Any]]:
    """Yield the models of torchvision."""
    for architecture, (peer, weights, *side) in _table("torchvision").items():
        licence = " (SWAG, non-commercial)" if "swag" in weights else ""
        yield {
            "name": architecture.replace("_", "-"),
            "peer": peer,
            "title": f"{peer} of torchvision",
            "architecture": architecture,
            "weights": f"torchvision/{architecture}.{weights}",
            **({"front": "log_mel_16k", "side": side[0]} if side else {}),
            "corpus": f"ImageNet{licence}",
            "pretrained": _SHIFT if architecture in _SHIFTED else {},
        }


def entries() -> Iterator[dict[str, Any]]:
    """Yield what each preset holds, as in the files of the other kinds."""
    for family in families():
        for model in family["models"]:
            model = {**_USUAL, **family, **model}
            weights = model.get("weights", "")
            if model.get("scratch", True):
                origin = ", from scratch" if weights else ""
                yield _entry(model, name=model["name"], origin=origin)
            if weights:
                yield _entry(
                    {**model, **model.get("pretrained", {})},
                    name=f"{model['name']}-pretrained{model.get('suffix', '')}",
                    weights=weights,
                    origin=f", pretrained on {model['corpus']}",
                )


def _entry(
    model: Mapping[str, Any], *, name: str, weights: str = "", origin: str
) -> dict[str, Any]:
    peer = [model["peer"]] if "peer" in model else []
    if weights:
        known = model.get("peer_pretrained", True)
        peer = [f"{n}-T{model.get('suffix', '')}" for n in peer if known]
    return {
        "name": name,
        "family": model["family"],
        "extra": model.get("extra", ""),
        "aka": peer,
        "summary": f"{model['title']}{origin}",
        "needs": {} if "front" in model else model["needs"],
        "fragment": _fragment(model, weights),
    }


def _fragment(model: Mapping[str, Any], weights: str) -> str:
    # Layers that have learnt nothing are not worth keeping.
    freeze = model.get("freeze", 0) if weights else 0
    part = textwrap.indent(model["part"].format(**model).rstrip(), "  ")
    return (
        f"model:\n{part}\n"
        f"pretrained:\n  weights: {weights or repr('')}\n  keep_head: false\n"
        f"{_front_end(model)}"
        f"train:\n  freeze: {freeze}\n"
    )


def _front_end(model: Mapping[str, Any]) -> str:
    """Return the text of the section ``preprocess``, empty for models of any."""
    front = model.get("front")
    if front is None:
        return ""
    own: Mapping[str, str] = _table("front_end")
    if front in own:
        return own[front].format(**model)
    shared = {preset["name"]: preset["fragment"] for preset in _table("preprocess")}
    text: str = shared[front]
    if model.get("online"):
        made = f"{_LOG_MEL}      online: true      # made while training\n"
        return text.replace(_LOG_MEL, made)
    if side := model.get("side"):
        resize = f"    - name: resize\n      height: {side}\n      width: {side}\n"
        colours = "    - name: rgb\n" if model.get("rgb") else ""
        return text.replace(_LENGTHS, _SQUEEZED) + resize + colours
    return text


@functools.cache
def _table(name: str) -> Any:
    return yaml_edit.values((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
