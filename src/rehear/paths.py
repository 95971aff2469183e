"""Where a study keeps its files."""

from pathlib import Path

from rehear.params import run_name

PARAMS = "params.yaml"
RAW = "data/raw"
MANIFEST = "data/manifest.csv"
CARD = "data/card.json"
CARD_PAGE = "data/card.html"
CHECKSUMS = "data/checksums.json"
FINGERPRINT = "data/fingerprint.json"
DOWNLOADS = ".rehear/downloads"
FEATURES = "data/features"
PRETRAINED = "data/pretrained"
RECORD = "record.json"
MODELS = "models"
PREDICTIONS = "predictions"
HISTORY = "history.csv"


def model_of(study: Path, seed: int, fold: str) -> Path:
    """Return the folder of a run's model."""
    return study / MODELS / run_name(seed, fold)


def predictions_of(study: Path, seed: int, fold: str) -> Path:
    """Return the folder of a run's predictions."""
    return study / PREDICTIONS / run_name(seed, fold)
