"""Features of an earlier run, so that a clip that is added costs only itself.

DVC removes the outputs of a stage before it runs, but keeps them in its cache
under the hashes of ``dvc.lock``. Features are taken over if recipe (parameters,
code, versions) and content of the clip are the same, and if their checksum still
holds. Which recipe made which features, ``.rehear/features`` knows: in the store
itself it would change the hash of equal features.
"""

import contextlib
import csv
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rehear import atomic, paths
from rehear.manifest import Clip
from rehear.store import INDEX, META, Store

_STAGE = "preprocess"
logger = logging.getLogger(__name__)
_Rows = dict[str, tuple[int, int, tuple[float, float]]]


class Earlier:
    """The features of an earlier run, by the content of clips.

    Args:
        store: of that run
        rows: row of the store, checksum, and errors of rounding, by ``content``
    """

    def __init__(self, store: Store, rows: _Rows) -> None:
        self._store, self._rows = store, rows

    def features(self, clip: Clip) -> tuple[np.ndarray, tuple[float, float]] | None:
        """Return the features of a clip, and the errors of rounding them.

        Returns:
            ``None`` where they must be made.
        """
        found = self._rows.get(content(clip))
        if found is None:
            return None
        row, crc, errors = found
        known = self._store[row]
        return (known, errors) if zlib.crc32(known.data.cast("B")) == crc else None


def content(clip: Clip) -> str:
    """Return a digest of what a clip's features are made from.

    It is empty where the manifest has no digest of the samples.
    """
    if not clip.sha256:
        return ""
    shape = (clip.sha256, clip.sample_rate, clip.channels, clip.duration)
    # Of arrays and images the manifest does not have the shape.
    place = "" if clip.sample_rate else clip.file
    text = repr((*shape, place)).encode()
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def find(study: Path, recipe: str) -> Earlier | None:
    """Return the features of the last run, if they were made by the same recipe.

    Args:
        study: its folder
        recipe: digest of all but the clips that features depend on
    """
    note = _note(study, recipe)
    if not note.is_file():
        return None
    wanted = note.read_text(encoding="utf-8")
    for search in (_in_study, _in_cache):
        place = search(study)
        # Nothing is lost by an error: what cannot be taken over is made again.
        with contextlib.suppress(OSError, ValueError, KeyError):
            if place is not None and _digest(place(INDEX)) == wanted:
                return Earlier(Store.of(place), _rows(place(INDEX)))
    return None


def record(study: Path, recipe: str) -> None:
    """Note by which recipe the features of a study were made."""
    note = _note(study, recipe)
    note.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(note, _digest(study / paths.FEATURES / INDEX))


def _note(study: Path, recipe: str) -> Path:
    # An experiment of DVC runs in a copy without what git does not track.
    root = Path(os.environ.get("DVC_ROOT") or study)
    return root / ".rehear" / "features" / recipe


def _digest(index: Path) -> str:
    return hashlib.sha256(index.read_bytes()).hexdigest()


def _rows(index: Path) -> _Rows:
    with index.open(encoding="utf-8", newline="") as stream:
        return {
            entry["content"]: (row, int(entry["crc"]), _errors(entry))
            for row, entry in enumerate(csv.DictReader(stream))
            if entry["content"]
        }


def _errors(entry: dict[str, str]) -> tuple[float, float]:
    return float(entry["error"] or 0), float(entry["squared_error"] or 0)


def _in_study(study: Path) -> Callable[[str], Path] | None:
    folder = study / paths.FEATURES
    return folder.joinpath if (folder / META).is_file() else None


def _in_cache(study: Path) -> Callable[[str], Path] | None:
    """Return where DVC's cache has the files that ``dvc.lock`` lists."""
    lock = study / "dvc.lock"
    if "DVC_STAGE" not in os.environ or not lock.is_file():
        return None
    try:
        listed = _listed(lock)
        if listed is None:
            return None
        return _cached(study, listed)
    except Exception as error:  # noqa: BLE001 - DVC raises whatever it likes
        logger.debug("preprocess: no earlier features: %s", error)
        return None


def _listed(lock: Path) -> str | None:
    """Return the hash of the features in ``dvc.lock``."""
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
    outs: list[dict[str, Any]] = stages.get(_STAGE, {}).get("outs", [])
    hashes = [out.get("md5") for out in outs if out["path"] == paths.FEATURES]
    return next(iter(hashes), None)


def _cached(study: Path, listed: str) -> Callable[[str], Path]:
    from dvc.repo import Repo

    with Repo(str(study)) as repo:
        cache = repo.cache.local
        entries = json.loads(Path(cache.oid_to_path(listed)).read_text("utf-8"))
        files = {e["relpath"]: Path(cache.oid_to_path(e["md5"])) for e in entries}
    return files.__getitem__
