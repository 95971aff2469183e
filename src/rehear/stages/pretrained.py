"""The stage ``pretrained``: weights that training starts from → data/pretrained/."""

import hashlib
import logging
import os
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from rehear import atomic, paths, pipeline, published, workspace
from rehear.catalogue import name_of
from rehear.download import obtain
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
    facts: dict[str, Any]
    if isinstance(found, Source):
        file = _download(found, study)
        facts = {"url": found.url, "licence": found.licence, "citation": found.citation}
        entry = found.entry
    else:
        pipeline.check_files(study, "pretrained", [(pretrained.KEY, weights)])
        file, facts, entry = found, {}, ""
    tensors, config = pretrained.read(file, entry=entry)
    if config:
        facts = {"labels": config["task"]["labels"], "model": config["model"]}
    with atomic.folder(target) as folder:
        checkpoint.write_tensors(folder / checkpoint.WEIGHTS, tensors)
        digest = _digest(folder / checkpoint.WEIGHTS)
        record = {"weights": weights, "sha256": digest, **facts}
        atomic.write_json(folder / paths.RECORD, record)
    size = sum(tensor.numel() for tensor in tensors.values())
    logger.info("pretrained: %s: %s numbers", weights, f"{size:,}")
    return target


def _download(source: Any, study: Path) -> Path:
    """Return the file of published weights, from the cache or its server."""
    tracked = study / paths.CHECKSUMS
    whole = source.sha256 if len(source.sha256) == _DIGITS else None
    on_record = recorded(tracked).get(source.url, {})
    name = PurePosixPath(unquote(urlsplit(source.url).path)).name
    remote = Remote(
        name,
        source.url,
        size=source.size or on_record.get("size"),
        sha256=whole or on_record.get("sha256"),
    )
    key = hashlib.sha256(source.url.encode()).hexdigest()[:16]
    folder = cache() / key
    with workspace.waiting(folder / "lock"):
        done = obtain(remote, downloads=folder)
        digest = remote.sha256 or recorded(folder / CHECKSUMS)[source.url]["sha256"]
        if not digest.startswith(source.sha256):
            done.unlink()
            published.forget(folder / CHECKSUMS, source.url)
            published.refuse(
                source.url,
                f"SHA-256 {digest}, expected {source.sha256}… as published",
            )
        found = published.Known(done.stat().st_size, None, digest)
    if not on_record:
        published.record(tracked, source.url, found)
        logger.info("pretrained: checksum recorded in %s; add it to git", tracked.name)
    return done


def cache() -> Path:
    """Return the folder of published files that all studies of a user share."""
    given = os.environ.get(CACHE)
    if given:
        return Path(given) / "weights"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rehear" / "weights"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
