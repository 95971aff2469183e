"""The stage ``preprocess``: manifest and recordings → data/features/."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rehear import (
    archives,
    atomic,
    blas,
    earlier,
    extraction,
    ffmpeg,
    forks,
    inputs,
    manifest,
    packing,
    paths,
    pipeline,
    resampling,
    resume,
    transforms,
    workspace,
)
from rehear.errors import DataError
from rehear.extraction import Block, Extraction
from rehear.params import Params, Preprocess
from rehear.signals import ANY, Signal
from rehear.transforms.chain import Chain, check_kind

_NAMED = 10
_RESAMPLER = f"{resampling.NAME} {resampling.VERSION}"
logger = logging.getLogger(__name__)


def run(params: Params, study: Path, *, processes: int | None = None) -> Path:
    """Make the features of all clips of a study.

    The result does not depend on the number of processes. An interrupted run is
    continued by the next one.

    Args:
        params: of the study
        study: its folder
        processes: how many work at a time; one for each core if not given

    Returns:
        The folder of the store.

    Raises:
        ParamsError: if the transforms do not fit together, or are not for what
            the clips hold
        DataError: if a clip gives no features and ``preprocess.on_error`` is
            ``stop``, if no clip does, or if the store cannot be written
    """
    started = time.monotonic()
    settings = params.preprocess
    rate, specs = settings.sample_rate, transforms.offline(settings.transforms)
    pipeline.check_files(study, "preprocess", transforms.TRANSFORMS.files(specs))
    chain = transforms.build(specs, sample_rate=rate, study=study)
    clips = manifest.read(study / paths.MANIFEST).clips
    if not clips:
        raise DataError(f"{study / paths.MANIFEST} lists no clips; run `rehear fetch`")
    files = {inputs.kind(clip.file): clip.file for clip in clips}
    for kind, file in files.items():
        check_kind(settings.transforms, kind=kind, file=file)
    kind = next(iter(files)) if len(files) == 1 else ANY
    chain = Chain(chain.steps, Signal(kind, rate))
    # Without online transforms: changing one of those makes no new features.
    given = ("sample_rate", "study")
    resolved = [transforms.TRANSFORMS.resolve(spec, given=given) for spec in specs]
    # Before forking, so that the version is noted in the log once.
    decoder = ffmpeg.version_for(clip.file for clip in clips)
    decisive = [rate, _RESAMPLER, decoder, settings.dtype, resolved]
    reads = [file for _, file in transforms.TRANSFORMS.files(specs)]
    recipe = resume.recipe(chain, decisive, study=study, reads=reads)
    key = resume.fingerprint(recipe, clips, root=study)
    with resume.folder(workspace.checkpoint_root(study), key) as checkpoints:
        plan = extraction.plan(clips, sample_rate=rate)
        known = earlier.find(study, recipe)
        work = Extraction(
            clips, plan, study, rate, chain, checkpoints, settings.dtype, known
        )
        _extract(work, processes)
        blocks = [work.read(number) for number in range(len(plan))]
        _refuse_failures(work, blocks, settings)
        with atomic.folder(study / paths.FEATURES) as folder:
            described = _described(settings, chain.after)
            meta = packing.assemble(work, folder, blocks, description=described)
    earlier.record(study, recipe)
    if taken := sum(block.taken for block in blocks):
        logger.info("preprocess: %d of %d clips were known", taken, len(clips))
    _report(meta, time.monotonic() - started)
    return study / paths.FEATURES


def _described(settings: Preprocess, after: Signal) -> dict[str, Any]:
    """Return what ``meta.json`` says of the parameters, defaults written out."""
    return {
        "kind": after.kind,
        "rate": after.rate,
        "sample_rate": settings.sample_rate,
        "resampler": _RESAMPLER,
        "transforms": [
            transforms.TRANSFORMS.resolve(spec, given=("sample_rate", "study"))
            for spec in transforms.ordered(settings.transforms)
        ],
    }


def _extract(work: Extraction, processes: int | None) -> None:
    """Make the blocks that are missing."""
    missing = work.missing()
    total = len(work.clips)
    done = total - sum(len(work.blocks[number]) for number in missing)
    if done:
        logger.info("preprocess: continues after %d of %d clips", done, total)
    packed = {clip.file.partition("::")[0] for clip in work.clips if "::" in clip.file}
    for archive in packed:
        # Read before forking, so that processes share the index.
        with contextlib.suppress(DataError):
            archives.members(work.root / archive)
    with blas.single_threaded(), _progress(done, total) as advance:
        jobs = forks.each(missing, work.work, processes=processes or forks.cores())
        for number in jobs:
            advance(len(work.blocks[number]))


@contextlib.contextmanager
def _progress(done: int, total: int) -> Iterator[Callable[[int], object]]:
    if not sys.stderr.isatty():
        yield lambda clips: None
        return
    from tqdm import tqdm

    # Its monitor is a thread, and forking with threads about is not safe.
    tqdm.monitor_interval = 0
    with tqdm(total=total, initial=done, desc="preprocess", unit="clip") as bar:
        yield bar.update


def _refuse_failures(
    work: Extraction, blocks: Sequence[Block], settings: Preprocess
) -> None:
    failed, total = packing.failures(work, blocks), len(work.clips)
    if not failed or (settings.on_error == "skip" and len(failed) < total):
        return
    named = "; ".join(f"{clip}: {reason}" for clip, _, reason in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    advice = "set preprocess.on_error to skip to leave them out, or mend them"
    if len(failed) == total:
        advice = "no clip is left; correct the manifest or preprocess.transforms"
    raise DataError(
        f"{len(failed)} of {total} clips gave no features ({advice}): {named}{more}"
    )


def _report(meta: dict[str, Any], seconds: float) -> None:
    shape = meta["shape"]
    logger.info(
        "preprocess: %d clips, features %s, %.1f MB, in %.1f s%s",
        meta["count"],
        "of different shapes" if shape is None else tuple(shape),
        sum(meta["shards"]) * np.dtype(meta["dtype"]).itemsize / 1e6,
        seconds,
        f"; {meta['failed']} left out, see failed.csv" if meta["failed"] else "",
    )
    found = meta["statistics"]
    if "rms_error" in found:
        logger.info(
            "preprocess: float16 is off by %.2g at most, %.2g on average (rms); the "
            "features' standard deviation is %.3g",
            *(found["largest_error"], found["rms_error"], found["std"]),
        )
