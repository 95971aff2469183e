"""Models on disk: safetensors for numbers, JSON for everything else.

Nothing is ever unpickled, so that loading somebody's model cannot run code.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rehear import atomic
from rehear.errors import ModelError
from rehear.models import MODELS

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
_RECORD = "record"
_ENTRIES = ("model", "state_dict", "model_state_dict")


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, record: Any = None
) -> None:
    """Write tensors; equal tensors give equal bytes.

    Args:
        path: of the file
        tensors: by name
        record: what belongs to them, ready for JSON; kept in the same file, so
            that neither can be there without the other
    """
    from safetensors.numpy import save

    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    note = None if record is None else {_RECORD: json.dumps(record, allow_nan=False)}
    with atomic.file(path) as stream:
        stream.write(save(arrays, metadata=note))


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.float()
    return np.asarray(tensor.numpy(), order="C")  # of no dimension, too


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors.

    Raises:
        ModelError: if the file is missing or damaged
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; train the model first") from None
    except SafetensorError as error:
        raise ModelError(
            f"{path} is damaged ({error}); delete it and train again"
        ) from None
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def read_foreign(path: Path, *, entry: str = "") -> dict[str, Tensor]:
    """Read tensors that somebody else has saved, by their names there.

    Args:
        path: of a safetensors file, or of one that ``torch.save`` wrote
        entry: under which the file holds them; looked for if empty

    Raises:
        ModelError: if there are none, or the file holds code
    """
    from pickle import UnpicklingError  # noqa: TID251 - only to catch it

    if _is_safetensors(path):
        return read_tensors(path)
    try:
        with torch.serialization.safe_globals(_numbers()):
            saved: Any = torch.load(path, "cpu", weights_only=True)  # noqa: TID251
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({_line(error)})") from None
    except UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than tensors, which is never run here "
            f"({_line(error)}); save its state_dict() alone"
        ) from None
    for key in (entry,) if entry else ("", *_ENTRIES):
        found = saved.get(key) if key and isinstance(saved, Mapping) else saved
        if isinstance(found, Mapping):
            tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
            if tensors:
                return tensors
    held = ", ".join(map(str, saved)) if isinstance(saved, Mapping) else type(saved)
    raise ModelError(
        f"{path} holds no tensors by name, but {held}; save a model's state_dict()"
    )


def _is_safetensors(path: Path) -> bool:
    """Tell by the first bytes: the length of a header, and the header in JSON."""
    with path.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _numbers() -> list[Any]:
    """Return what numpy's numbers in a checkpoint, such as a score, are made of."""
    core: Any = np._core.multiarray  # type: ignore[attr-defined]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    made = [np.dtype, np.ndarray, *kinds]
    return [
        *made,
        *((core.scalar, f"numpy.{c}.multiarray.scalar") for c in ("core", "_core")),
        *(
            (core._reconstruct, f"numpy.{c}.multiarray._reconstruct")
            for c in ("core", "_core")
        ),
    ]


def read_record(path: Path) -> Any:
    """Return the record that ``write_tensors`` put beside the tensors.

    Raises:
        ModelError: if the file has none
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {})[_RECORD])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged ({error}); delete it and train again"
        ) from None


def save(folder: Path, state: Mapping[str, Tensor], config: dict[str, Any]) -> None:
    """Write a model's weights and configuration into ``folder``."""
    write_tensors(folder / WEIGHTS, state)
    atomic.write_json(folder / CONFIG, config)


def load(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a trained model, in evaluation mode, and its configuration.

    Raises:
        ModelError: if a file is missing or damaged, or the weights do not fit
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no model; run `rehear train` first") from None
    except ValueError as error:
        raise ModelError(
            f"{folder / CONFIG} is damaged ({error}); delete {folder} and train again"
        ) from None
    model = MODELS.build(
        config["model"],
        num_outputs=len(config["task"]["labels"]),
        input_shape=tuple(config["input_shape"]),
        sample_rate=config.get("sample_rate", 0),
    )
    try:
        model.load_state_dict(read_tensors(folder / WEIGHTS), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{folder / WEIGHTS} does not fit the model in {CONFIG}: {reason}; "
            "train again"
        ) from None
    model.eval()
    return model, config
