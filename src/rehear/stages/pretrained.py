"""The stage ``pretrained``: weights that training starts from → data/pretrained/."""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from rehear import atomic, paths, pipeline, published, workspace
from rehear.catalogue import name_of
from rehear.download import obtain, stored
from rehear.errors import DataError, ModelError
from rehear.params import Params
from rehear.published import CHECKSUMS, Remote, recorded

CACHE = "REHEAR_CACHE"
_DIGITS = 64  # of a whole SHA-256
logger = logging.getLogger(__name__)


def run(params: Params, study: Path) -> Path:
    """Get the weights that ``pretrained.weights`` names, as safetensors.

    Published files are kept in ``~/.cache/rehear``, or where ``REHEAR_CACHE`` says,
    for all studies of this user; their digests in ``data/checksums.json``.

    Args:
        params: of the study
        study: its folder

    Returns:
        The folder of the weights; it holds none where training starts from scratch.

    Raises:
        ParamsError: if there are no such weights
        DataError: if they cannot be had, or are others than expected
        ModelError: if the file holds no tensors
    """
    weights, target = params.pretrained.weights, study / paths.PRETRAINED
    if not weights:
        with atomic.folder(target) as folder:
            atomic.write_json(folder / paths.RECORD, {})
        return target
    # Importing torch takes a second, which studies without weights do not pay.
    from rehear import checkpoint, pretrained
    from rehear.models.sources import Source

    found = pretrained.find(weights, study, model=name_of(params.model))
    facts: dict[str, Any] = {}
    if isinstance(found, Source):
        tensors = _published(found, study)
        facts = {"url": found.url, "licence": found.licence, "citation": found.citation}
    else:
        pipeline.check_files(study, "pretrained", [(pretrained.KEY, weights)])
        tensors, config = pretrained.read(found)
        if config:
            facts = {"labels": config["task"]["labels"], "model": config["model"]}
    with atomic.folder(target) as folder:
        checkpoint.write_tensors(folder / checkpoint.WEIGHTS, tensors)
        digest = published.measured(folder / checkpoint.WEIGHTS).sha256
        record = {"weights": weights, "sha256": digest, **facts}
        atomic.write_json(folder / paths.RECORD, record)
    size = sum(tensor.numel() for tensor in tensors.values())
    logger.info("pretrained: %s: %s numbers", weights, f"{size:,}")
    return target


def _published(source: Any, study: Path) -> Any:
    """Return the tensors of published weights, from the cache or their server.

    Nothing is recorded, and nothing kept that nobody vouches for, before a file
    was read as weights: a server may answer with something else.

    Raises:
        DataError: if the file cannot be had, or is another one than expected
        ModelError: if it cannot be read
    """
    from rehear import pretrained

    tracked = study / paths.CHECKSUMS
    on_record = recorded(tracked).get(source.url, {})
    place = cache() / hashlib.sha256(source.url.encode()).hexdigest()[:16]
    with workspace.waiting(place / "lock"):
        folder = _folder(place, source, on_record)
        done, digest = _obtain(source, folder, on_record)
        try:
            tensors, _ = pretrained.read(done, entry=source.entry, name=source.name)
        except ModelError:
            if not (source.sha256 or on_record):
                _remove(done, source.url)
            raise
        found = published.Known(done.stat().st_size, None, digest)
        published.record(folder / CHECKSUMS, source.url, found)
        published.accept(folder)
    if on_record.get("sha256") != digest:
        published.record(tracked, source.url, found)
        logger.info("pretrained: checksum recorded in %s; add it to git", tracked.name)
    return tensors


def _folder(place: Path, source: Any, on_record: Mapping[str, Any]) -> Path:
    """Return where the file lies that a study expects.

    Where a file has changed at its address, studies may expect different ones. The
    first is in the folder of the address, others in folders of their own in it.
    """
    digest = _pinned(source) or on_record.get("sha256")
    first = recorded(place / CHECKSUMS).get(source.url, {}).get("sha256")
    return place if not digest or first in (None, digest) else place / digest[:16]


def _obtain(
    source: Any, folder: Path, on_record: Mapping[str, Any]
) -> tuple[Path, str]:
    """Return the file of published weights in the cache, and its digest."""
    name = PurePosixPath(unquote(urlsplit(source.url).path)).name
    remote = Remote(name, source.url, size=source.size, sha256=_pinned(source))
    table, (done, _) = folder / CHECKSUMS, stored(source.url, folder)
    kept = done.exists()
    if on_record and not remote.sha256:
        expected = published.Known(on_record.get("size"), None, on_record.get("sha256"))
        published.record(table, source.url, expected)
    elif not kept:  # what is not here any more binds nobody
        published.forget(table, source.url)
    try:
        obtain(remote, downloads=folder)
    except DataError:
        if not kept or done.exists():
            raise
        logger.info("pretrained: the file in %s was damaged, and is fetched", folder)
        return _obtain(source, folder, on_record)
    digest: str = remote.sha256 or recorded(table)[source.url]["sha256"]
    if not digest.startswith(source.sha256):
        _remove(done, source.url)
        published.refuse(
            source.url, f"SHA-256 {digest}, expected {source.sha256}… as published"
        )
    return done, digest


def _pinned(source: Any) -> str | None:
    """Return the digest of weights, if the whole of it is published."""
    return source.sha256 if len(source.sha256) == _DIGITS else None


def _remove(done: Path, url: str) -> None:
    """Take a file out of the cache, and out of its table."""
    done.unlink()
    done.with_suffix(".json").unlink(missing_ok=True)
    published.accept(done.parent)
    published.forget(done.parent / CHECKSUMS, url)


def cache() -> Path:
    """Return the folder of published files that all studies of a user share."""
    given = os.environ.get(CACHE)
    if given:
        return Path(given) / "weights"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rehear" / "weights"
