"""What dvc.yaml must list for DVC to notice every change."""

from collections.abc import Iterable
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
    if not getattr(data_set(params), "needs_source", False):
        return
    for stage in ("fetch", "preprocess", "evaluate"):
        if not {"${fetch.source}", params.fetch.source} & _listed(study, stage):
            raise ParamsError(
                f"dvc.yaml: stage '{stage}' reads {params.fetch.source} but does not "
                f"list it, so changed recordings would go unnoticed: add the line "
                f"'- ${{fetch.source}}' to its deps"
            )


def check_files(study: Path, stage: str, files: Iterable[tuple[str, str]]) -> None:
    """Refuse files that parts read but DVC would not watch.

    Args:
        study: its folder
        stage: that reads them
        files: names of parts and paths, as ``Catalogue.files`` yields them

    Raises:
        ParamsError: if the stage does not list the file or folder of a part, such
            as recordings of noise, or if it does not exist
    """
    for name, file in files:
        if not (study / file).exists():
            raise ParamsError(f"'{name}' reads {file}, which does not exist in {study}")
        places = {path.as_posix() for path in (Path(file), *Path(file).parents)}
        if not places & {Path(dep).as_posix() for dep in _listed(study, stage)}:
            raise ParamsError(
                f"dvc.yaml: stage '{stage}' reads {file} for '{name}' but does not "
                f"list it, so changes would go unnoticed: add the line '- {file}' to "
                "its deps"
            )


def _listed(study: Path, stage: str) -> set[str]:
    """Return what a stage depends on; everything, where there is no pipeline."""
    from ruamel.yaml import YAML

    pipeline = study / "dvc.yaml"
    if not pipeline.is_file():
        return {".", "${fetch.source}"}
    stages = YAML(typ="safe").load(pipeline.read_text(encoding="utf-8"))["stages"]
    return {str(dep) for dep in stages.get(stage, {}).get("deps", [])}
