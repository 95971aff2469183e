"""Published weights: where they are, and what they ask of a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HUB = "https://huggingface.co/{repository}/resolve/{revision}/{file}"


@dataclass(frozen=True)
class Source:
    """A file of published weights.

    Attributes:
        name: as in ``pretrained.weights``
        url: of the file, of one revision that does not change where there is such
        licence: of the weights
        citation: how to cite them
        arguments: arguments that the model must have
        sha256: published digest, or its first digits; without any, that of the first
            download is recorded and enforced
        size: published size in bytes
        entry: under which the file holds the tensors, such as ``model``
        rate: sample rate that the weights were trained at, in Hz; 0 for any
        front_end: the transform that must make the features, with the arguments
            that matter, as ``{"name": "log_mel", "n_mels": 64}``; empty for any
    """

    name: str
    url: str
    licence: str
    citation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    size: int | None = None
    entry: str = ""
    rate: int = 0
    front_end: Mapping[str, Any] = field(default_factory=dict)


def on_hub(repository: str, *, file: str, revision: str = "main") -> str:
    """Return the address of a file on the Hugging Face hub.

    Args:
        repository: as ``facebook/wav2vec2-base``
        file: in the repository
        revision: commit; a branch may move, which the recorded digest then tells
    """
    return HUB.format(repository=repository, revision=revision, file=file)
