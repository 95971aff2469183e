"""What a report and a model card tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rehear.postprocessing import Run


@dataclass(frozen=True, eq=False)
class Content:
    """Everything in a report, read from disk already.

    Attributes:
        task: ``classification``, ``tagging`` or ``regression``
        names: metrics, the tracked one first
        summary: content of ``summary.json``
        runs: of the study
        pooled: one for each seed, with the clips of all folds
        examples: the worst errors
        confidence: level of all intervals
        decimals: after the point
        card: content of ``data/card.json``
        params: ``params.yaml`` with all defaults, as YAML
        provenance: content of ``provenance.json``
    """

    task: str
    names: Sequence[str]
    summary: Mapping[str, Any]
    runs: Sequence[Run]
    pooled: Sequence[Run]
    examples: Sequence[Mapping[str, Any]]
    confidence: float = 0.95
    decimals: int = 3
    card: Mapping[str, Any] = field(default_factory=dict)
    params: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def start(self) -> str:
        """What training started from; empty if from scratch."""
        start = self.runs[0].config.get("pretrained") or {}
        told = (start.get("citation"), start.get("licence"), start.get("url"))
        more = "; ".join(text for text in told if text)
        weights = str(start.get("weights", ""))
        return f"{weights} ({more})" if more else weights

    @property
    def model(self) -> str:
        """Name of the model."""
        model = self.runs[0].config.get("model") or {}
        return str(model.get("name", "model"))

    @property
    def title(self) -> str:
        """Title of the data set."""
        return str(self.card.get("title") or "Results")

    @property
    def has_folds(self) -> bool:
        """Whether the study cross-validates."""
        return "pooled" in self.summary

    @property
    def leaks(self) -> list[str]:
        """What of the test split is known in training, one text each."""
        return [str(leak) for leak in self.card.get("leaks") or []]

    @property
    def leak_note(self) -> str:
        """What has to stand wherever scores of a leaking split are shown."""
        if not self.leaks:
            return ""
        return (
            "The split leaks, so these scores may be too good. Reason for using it: "
            f"{self.leak_reason}"
        )

    @property
    def cautions(self) -> list[str]:
        """What else makes the scores uncertain, one text each."""
        return [str(caution) for caution in self.card.get("cautions") or []]

    @property
    def leak_reason(self) -> str:
        """Why a leaking split was used all the same."""
        return str(self.card.get("allow_leak") or "none given")
