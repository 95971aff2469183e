"""What dvc.yaml must list for DVC to notice every change."""

from pathlib import Path
from typing import Any

from rehear.errors import ParamsError
from rehear.params import Params


def data_set(params: Params) -> Any:
    """Return the class of a study's data set."""
    from rehear.datasets import DATASETS

    return DATASETS.get(params.dataset["name"])


def check_source(study: Path, params: Params) -> None:
    """Refuse own data that DVC would not watch.

    Raises:
        ParamsError: if ``dvc.yaml`` does not list ``${fetch.source}`` although
            the data set reads it
    """
    from ruamel.yaml import YAML

    if not getattr(data_set(params), "needs_source", False):
        return
    pipeline = study / "dvc.yaml"
    if not pipeline.is_file():
        return
    stages = YAML(typ="safe").load(pipeline.read_text(encoding="utf-8"))["stages"]
    for stage in ("fetch", "preprocess", "evaluate"):
        listed = stages.get(stage, {}).get("deps", [])
        if not {"${fetch.source}", params.fetch.source} & set(map(str, listed)):
            raise ParamsError(
                f"dvc.yaml: stage '{stage}' reads {params.fetch.source} but does not "
                f"list it, so changed recordings would go unnoticed: add the line "
                f"'- ${{fetch.source}}' to its deps"
            )
