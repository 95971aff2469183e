"""What dvc.yaml must list for DVC to notice every change."""

from collections.abc import Iterable
from pathlib import Path

from rehear.errors import ParamsError


def check_source(study: Path, source: str) -> None:
    """Refuse own data that DVC would not watch.

    Args:
        study: its folder
        source: ``fetch.source``, which the data set reads

    Raises:
        ParamsError: if ``dvc.yaml`` does not list ``${fetch.source}``
    """
    for stage in ("fetch", "preprocess", "evaluate"):
        if not {"${fetch.source}", source} & _listed(study, stage):
            raise ParamsError(
                f"dvc.yaml: stage '{stage}' reads {source} but does not "
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
    """Return what a stage depends on; everything, where no pipeline has it."""
    from ruamel.yaml import YAML

    pipeline, stages = study / "dvc.yaml", {}
    if pipeline.is_file():
        stages = YAML(typ="safe").load(pipeline.read_text(encoding="utf-8"))["stages"]
    if stage not in stages:
        return {".", "${fetch.source}"}
    return {str(dep) for dep in stages[stage].get("deps", [])}
