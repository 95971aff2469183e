"""The stage ``fetch``: a data set → data/raw, data/manifest.csv, data/card.json."""

import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rehear import (
    atomic,
    card,
    cautions,
    fingerprint,
    leakage,
    manifest,
    paths,
    pipeline,
    published,
    shortcuts,
    similarity,
    splits,
    survey,
)
from rehear.card import Findings
from rehear.catalogue import name_of
from rehear.datasets import DATASETS
from rehear.errors import DataError, ParamsError, suggest
from rehear.fingerprint import Fingerprint
from rehear.leakage import Leak
from rehear.manifest import Clip, Manifest
from rehear.params import Fetch, Params
from rehear.survey import Fault, Survey

_NAMED = 10  # unreadable recordings or leaks that an error names
_WORDS = 3  # of a reason that says something
_FOLD = re.compile(r"[\w.+-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
logger = logging.getLogger(__name__)


def run(params: Params, study: Path, *, processes: int | None = None) -> None:
    """Get the recordings of a study, check them, and describe every clip.

    The result does not depend on the number of processes. What was downloaded
    is kept, so that a later try goes on from there, and another split of the
    same data set needs no download.

    Args:
        params: of the study
        study: its folder
        processes: how many read recordings at a time; one for each core if not
            given

    Raises:
        ParamsError: if the data set does not have the task
        DataError: if the data set cannot be had, recordings cannot be read and
            ``fetch.on_error`` is ``stop``, splits cannot be drawn, or they leak
            and ``fetch.allow_leak`` gives no reason
    """
    task = name_of(params.task)
    dataset = DATASETS.build(params.dataset)
    _check_wishes(params, dataset)
    if dataset.needs_source:
        if "DVC_STAGE" in os.environ:
            pipeline.check_source(study, params.fetch.source)
        source = Path(params.fetch.source)
        found = dataset.fetch(
            study / paths.RAW, task=task, source=study / source, downloads=study
        )
        heard = _read(found, params, study, study / source, processes)
        checked = _check(found, heard, params, study / source, processes)
        _describe(params, study, dataset, checked, prefix=source.as_posix())
        return
    with atomic.folder(study / paths.RAW) as raw:
        downloads = study / paths.DOWNLOADS
        with published.trial(downloads, study / paths.CHECKSUMS):
            found = dataset.fetch(
                raw, task=task, source=study / paths.RAW, downloads=downloads
            )
            heard = _read(found, params, study, raw, processes)
        checked = _check(found, heard, params, raw, processes)
    _describe(params, study, dataset, checked, prefix=paths.RAW)
    _keep_downloads(study / paths.DOWNLOADS)


def _keep_downloads(downloads: Path) -> None:
    """Say what the kept files need; remove the folder if there are none.

    Where the file system has hard links, they are the files in data/raw.
    """
    size = sum(file.stat().st_size for file in downloads.glob("*.done"))
    if not size:
        shutil.rmtree(downloads, ignore_errors=True)
        return
    logger.info(
        "fetch: downloads (%.1f MB) are kept in %s for the next fetch; remove the "
        "folder when you need the space",
        size / 1e6,
        paths.DOWNLOADS,
    )


def _check_wishes(params: Params, dataset: Any) -> None:
    """Refuse what the data set does not have, or has already."""
    task, name = name_of(params.task), name_of(params.dataset)
    if task not in dataset.tasks:
        raise ParamsError(
            f"data set '{name}' has no task '{task}'."
            f"{suggest(task, dataset.tasks)} It has: {', '.join(dataset.tasks)}"
        )
    folds, drawn = getattr(dataset, "folds", ()), params.fetch.split.folds
    if folds and drawn:
        note = getattr(dataset, "folds_note", "")
        raise ParamsError(
            f"fetch.split.folds: {drawn} folds would be drawn, but data set '{name}' "
            f"has its own ({', '.join(folds)}).{f' {note}' if note else ''} Set "
            "fetch.split.folds: 0 and name the folds in 'folds'"
        )
    reason = params.fetch.allow_leak
    if reason and len(reason.split()) < _WORDS:
        raise ParamsError(
            f"fetch.allow_leak: '{reason}' is no reason; write in a sentence why the "
            "split is used although it leaks, since every report shows it"
        )


@dataclass(frozen=True)
class _Heard:
    """What reading all clips has shown.

    Attributes:
        survey: of the clips, and those that cannot be used
        fingerprint: of the recordings
        changed: how they differ from those on record; empty if they do not
    """

    survey: Survey
    fingerprint: Fingerprint
    changed: str


@dataclass(frozen=True)
class _Checked:
    """What the checks have shown.

    Attributes:
        manifest: complete, with splits
        findings: for the card
        heard: in the recordings
    """

    manifest: Manifest
    findings: Findings
    heard: _Heard


def _read(
    found: Manifest, params: Params, study: Path, root: Path, processes: int | None
) -> _Heard:
    """Read all clips, and refuse what is not the data set that it should be."""
    _check_clips(found)
    _check_folds(found, params.fetch.split.folds)
    seen = survey.examine(found.clips, root, processes=processes)
    _refuse_faults(seen.faults, params.fetch, total=len(found))
    here = fingerprint.of(
        replace(found, clips=seen.clips), mean=seen.mean, std=seen.std, exact=seen.exact
    )
    changed = fingerprint.check(study, _entry(params), here, left_out=len(seen.faults))
    return _Heard(seen, here, changed)


def _check(
    found: Manifest, heard: _Heard, params: Params, root: Path, processes: int | None
) -> _Checked:
    """Draw what splits are missing, and refuse leaks."""
    seen, wanted = heard.survey, params.fetch.split
    copies = similarity.find(seen.clips, seen.prints, root, processes=processes)
    read = splits.link(replace(found, clips=seen.clips), copies)
    read = splits.draw_folds(read, wanted.folds, seed=wanted.seed)
    read = splits.draw(read, dev=wanted.dev, test=wanted.test, seed=wanted.seed)
    leaks = leakage.find(read, copies=copies)
    _refuse_leaks(leaks, params.fetch.allow_leak)
    told = shortcuts.measure(read)
    findings = Findings(seen.faults, leaks, cautions.find(read, told=told), told)
    return _Checked(read, findings, heard)


def _entry(params: Params) -> str:
    """Return the name of the recordings in data/fingerprint.json."""
    return fingerprint.name_of(DATASETS.resolve(params.dataset), name_of(params.task))


def _check_clips(found: Manifest) -> None:
    """Check what a study's own data set may get wrong."""
    if not len(found):
        raise DataError("the data set has no clips; check its arguments")
    twice, times = Counter(clip.clip for clip in found).most_common(1)[0]
    if times > 1:
        raise DataError(f"clip '{twice}' occurs {times} times; ids must differ")
    for clip in found:
        _check_texts(clip)
        if clip.split not in ("", *manifest.SPLITS):
            raise DataError(
                f"clip '{clip.clip}': unknown split '{clip.split}'; expected "
                f"{', '.join(manifest.SPLITS)} or nothing"
            )
        if clip.fold and (
            clip.fold == splits.NO_FOLD or not _FOLD.fullmatch(clip.fold)
        ):
            raise DataError(
                f"clip '{clip.clip}': '{clip.fold}' cannot name a fold; use letters, "
                "digits and . + - _, and not 'none'"
            )
        for kind, values, names in (
            ("targets", clip.targets, found.targets),
            ("attributes", clip.attributes, found.attributes),
        ):
            if len(values) != len(names):
                raise DataError(
                    f"clip '{clip.clip}' has {len(values)} {kind}; expected "
                    f"{len(names)} ({', '.join(names) or 'none'})"
                )
        if any(manifest.LABEL_SEPARATOR in label for label in clip.labels):
            raise DataError(
                f"clip '{clip.clip}': a label holds '{manifest.LABEL_SEPARATOR}', "
                "which separates labels; rename it, or give several labels"
            )


def _check_texts(clip: Clip) -> None:
    """Refuse what a table cannot give back as it was written."""
    labels = (("label", label) for label in clip.labels)
    for field, text in (("id", clip.clip), ("group", clip.group), *labels):
        if _CONTROL.search(text):
            raise DataError(
                f"clip {clip.clip!r}: the {field} {text!r} holds a control character, "
                "such as the end of a line; remove it"
            )


def _check_folds(found: Manifest, folds: int) -> None:
    """Refuse to draw folds where the clips have some."""
    given = sorted({clip.fold for clip in found if clip.fold})
    if given and folds:
        raise ParamsError(
            f"fetch.split.folds: {folds} folds would be drawn, but the clips have "
            f"folds already ({leakage.some(given)}). Set fetch.split.folds: 0 and name "
            "the folds in 'folds'"
        )


def _refuse_faults(faults: Sequence[Fault], settings: Fetch, *, total: int) -> None:
    if not faults or (settings.on_error == "skip" and len(faults) < total):
        return
    named = "; ".join(f"{fault.reason}" for fault in faults[:_NAMED])
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    advice = "mend them, or set fetch.on_error: skip to leave them out"
    if len(faults) == total:
        advice = "no clip is left"
    raise DataError(
        f"{len(faults)} of {total} clips cannot be used ({advice}): {named}{more}"
    )


def _refuse_leaks(leaks: Sequence[Leak], reason: str) -> None:
    if not leaks or reason:
        return
    named = "; ".join(leak.text for leak in leaks[:_NAMED])
    more = f"; and {len(leaks) - _NAMED} more" if len(leaks) > _NAMED else ""
    raise DataError(
        f"the splits leak, so scores would be too good: {named}{more}; use another "
        "split, remove these clips, or say in fetch.allow_leak why it is right here"
    )


def _describe(
    params: Params, study: Path, dataset: Any, checked: _Checked, *, prefix: str
) -> None:
    """Write the manifest, the card and what git keeps of the recordings."""
    read, entry = checked.manifest, _entry(params)
    described = card.describe(
        read,
        dataset,
        task=name_of(params.task),
        fingerprint=checked.heard.fingerprint,
        recorded_as=entry,
        findings=checked.findings,
        allow_leak=params.fetch.allow_leak,
    )
    # An old manifest must not stand beside a new card if this is interrupted.
    (study / paths.MANIFEST).unlink(missing_ok=True)
    atomic.write_json(study / paths.CARD, described)
    clips = tuple(
        replace(clip, file=(PurePosixPath(prefix) / clip.file).as_posix())
        for clip in read
    )
    manifest.write(study / paths.MANIFEST, replace(read, clips=clips))
    _report(described)
    if checked.heard.changed:
        logger.warning("fetch: %s", checked.heard.changed)
    published = getattr(dataset, "published", False)
    if fingerprint.record(study, entry, checked.heard.fingerprint, published=published):
        logger.info("fetch: %s says what was got; add it to git", paths.FINGERPRINT)


def _report(described: dict[str, Any]) -> None:
    counts = ", ".join(
        f"{split} {part['clips']}"
        for split, part in described["splits"].items()
        if part["clips"]
    )
    logger.info(
        "fetch: %s: %d clips, %.2f h, %s%s",
        described["title"],
        described["clips"],
        described["hours"],
        counts or f"{len(described['folds'])} folds",
        f"; {described['skipped_clips']} left out" if described["skipped"] else "",
    )
    if described["leaks"]:
        logger.warning(
            "fetch: %d leaks are accepted: %s",
            described["leak_count"],
            described["allow_leak"],
        )
    for caution in described["cautions"]:
        logger.warning("fetch: note: %s", caution)
