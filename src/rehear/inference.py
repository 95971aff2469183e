"""What a model gives for clips."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rehear import engine
from rehear.clips import ClipSet
from rehear.params import Train


def predict(
    model: nn.Module,
    clips: ClipSet,
    *,
    batch_size: int,
    run: Any,
    settings: Train,
) -> np.ndarray:
    """Return the model's raw outputs ``(clips, outputs)`` as float32."""
    model.eval()
    found: dict[int, np.ndarray] = {}
    with torch.inference_mode():
        for positions in clips.groups(batch_size):
            made, lengths = clips.padded(0, positions)
            features = torch.from_numpy(made)
            features = engine.to_device(features, run.device, settings, clips.front)
            with run.autocast():
                raw = outputs(model, features, lengths).float().cpu().numpy()
            found.update(zip(positions.tolist(), raw, strict=True))
    return np.stack([found[position] for position in range(len(clips))])


def predict_one(model: nn.Module, features: np.ndarray) -> np.ndarray:
    """Return the raw outputs ``(outputs,)`` for the features of one clip."""
    model.eval()
    with torch.inference_mode():
        raw: Tensor = model(torch.from_numpy(features[None]))
    return raw[0].numpy()


def outputs(model: nn.Module, features: Tensor, lengths: Tensor | None) -> Tensor:
    """Return raw outputs; ``lengths`` are told where clips are padded."""
    if lengths is None:
        return model(features)
    return model(features, lengths.to(features.device, non_blocking=True))
