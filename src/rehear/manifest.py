"""The manifest: one row for each clip of a study.

``data/manifest.csv`` says which stretch of which recording is a clip, what it
is labelled with, and which part of the study it belongs to. It is a plain CSV,
so that it can be read, diffed and corrected with any tool.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from rehear import atomic
from rehear.errors import DataError

SPLITS = ("train", "dev", "test")
LABEL_SEPARATOR = ";"
TARGET_PREFIX = "target."


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled stretch of audio.

    Attributes:
        clip: unique and stable identifier
        file: recording, relative to the study's folder; ``x.tar::member`` for
            a file inside an archive
        start: beginning in seconds; ``None`` for the beginning of the file
        end: end in seconds; ``None`` for the end of the file
        labels: one for classification, any number for tagging
        targets: numbers to predict, in the order of ``Manifest.targets``
        split: ``train``, ``dev`` or ``test``; empty when only folds are given
        fold: name of the cross-validation fold, or empty
        group: what must not be shared by two splits (speaker, recorder, site)
        duration: length in seconds
        sample_rate: of the recording, in Hz
        sha256: digest of the decoded samples of the clip
    """

    clip: str
    file: str
    start: float | None = None
    end: float | None = None
    labels: tuple[str, ...] = ()
    targets: tuple[float, ...] = ()
    split: str = ""
    fold: str = ""
    group: str = ""
    duration: float = 0.0
    sample_rate: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Manifest:
    """All clips of a study, and the names of their regression targets."""

    clips: tuple[Clip, ...]
    targets: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)


COLUMNS = tuple(field.name for field in fields(Clip) if field.name != "targets")


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest; equal manifests give equal bytes."""
    with atomic.file(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*COLUMNS, *(TARGET_PREFIX + t for t in manifest.targets)])
        writer.writerows(_row(clip) for clip in manifest)


def _row(clip: Clip) -> list[str]:
    return [
        clip.clip,
        clip.file,
        _number(clip.start),
        _number(clip.end),
        LABEL_SEPARATOR.join(clip.labels),
        clip.split,
        clip.fold,
        clip.group,
        _number(clip.duration),
        str(clip.sample_rate),
        clip.sha256,
        *(_number(target) for target in clip.targets),
    ]


def read(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: if the file is missing, a column is missing, or a row is
            malformed; the text names the row
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            targets = _targets(path, header)
            clips = tuple(
                _clip(path, number, row, width=len(COLUMNS) + len(targets))
                for number, row in enumerate(rows, start=2)
            )
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; run `rehear fetch` (or `dvc repro`) first"
        ) from None
    return Manifest(clips, targets)


def _targets(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    known, extra = header[: len(COLUMNS)], header[len(COLUMNS) :]
    if tuple(known) != COLUMNS or any(not c.startswith(TARGET_PREFIX) for c in extra):
        raise DataError(
            f"{path} row 1: columns are {', '.join(header) or 'missing'}; expected "
            f"{', '.join(COLUMNS)}, then {TARGET_PREFIX}<name>; "
            "run `rehear fetch` again"
        )
    return tuple(column.removeprefix(TARGET_PREFIX) for column in extra)


def _clip(path: Path, number: int, row: Sequence[str], *, width: int) -> Clip:
    if len(row) != width:
        raise DataError(
            f"{path} row {number}: {len(row)} cells, expected {width}; "
            "run `rehear fetch` again"
        )
    clip, file, start, end, labels, split, fold, group, duration, rate, sha = row[:11]
    try:
        return Clip(
            clip=clip,
            file=file,
            start=float(start) if start else None,
            end=float(end) if end else None,
            labels=tuple(labels.split(LABEL_SEPARATOR)) if labels else (),
            targets=tuple(float(value) for value in row[11:]),
            split=split,
            fold=fold,
            group=group,
            duration=float(duration),
            sample_rate=int(rate),
            sha256=sha,
        )
    except ValueError as error:
        raise DataError(
            f"{path} row {number}: {error}; run `rehear fetch` again"
        ) from None
