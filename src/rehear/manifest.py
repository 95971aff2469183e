"""The manifest: one row for each clip of a study.

``data/manifest.csv`` says which stretch of which recording is a clip, what it
is labelled with, and which part of the study it belongs to. It is a plain CSV,
so that it can be read, diffed and corrected with any tool.
"""

import contextlib
import csv
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path

from rehear import atomic
from rehear.errors import DataError

SPLITS = ("train", "dev", "test")
LABEL_SEPARATOR = ";"
TARGET_PREFIX = "target."
ATTRIBUTE_PREFIX = "attribute."


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
        attributes: what else is known (device, city, gender), in the order of
            ``Manifest.attributes``; empty where it is not
        duration: length in seconds; 0 for what is no sound
        sample_rate: of the recording, in Hz; 0 for what is no sound
        channels: of the recording
        level: root mean square in dB of full scale; ``None`` for silence
        sha256: digest of the decoded samples of the clip
        copies: id of the first clip that is a copy of the same recording (in another
            format, at another level …); empty where there is no copy
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
    attributes: tuple[str, ...] = ()
    duration: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    level: float | None = None
    sha256: str = ""
    copies: str = ""

    def moved(self, *, split: str | None = None, fold: str | None = None) -> "Clip":
        """Return this clip in another split or fold."""
        # dataclasses.replace does the same in twice the time, which shows at a
        # million clips.
        values = list(_values(self))
        if split is not None:
            values[_SPLIT] = split
        if fold is not None:
            values[_FOLD] = fold
        return Clip(*values)


_NAMES = [field.name for field in fields(Clip)]
_SPLIT, _FOLD = _NAMES.index("split"), _NAMES.index("fold")
_values = attrgetter(*_NAMES)


@dataclass(frozen=True)
class Manifest:
    """All clips of a study, and the names of their targets and attributes."""

    clips: tuple[Clip, ...]
    targets: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)


_OTHER = ("targets", "attributes")
COLUMNS = tuple(name for name in _NAMES if name not in _OTHER)
_BEFORE = COLUMNS[: COLUMNS.index("copies")]  # as older versions wrote them


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest; equal manifests give equal bytes."""
    with atomic.file(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        targets = (TARGET_PREFIX + name for name in manifest.targets)
        attributes = (ATTRIBUTE_PREFIX + name for name in manifest.attributes)
        writer.writerow([*COLUMNS, *targets, *attributes])
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
        str(clip.channels),
        _number(clip.level),
        clip.sha256,
        clip.copies,
        *(_number(target) for target in clip.targets),
        *clip.attributes,
    ]


def read(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: if the file is missing, a column is missing, or a row is
            malformed; the text names the row
    """
    try:
        # utf-8-sig: spreadsheets begin a CSV file with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            fixed = _fixed(header)
            targets, attributes = _named(path, header, fixed)
            with _no_collection():
                clips = tuple(_clips(path, rows, header, fixed, len(targets)))
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; run `rehear fetch` (or `dvc repro`) first"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} row {rows.line_num + 1} or below: not CSV in UTF-8 ({error}); run "
            "`rehear fetch` again"
        ) from None
    return Manifest(clips, targets, attributes)


def _fixed(header: Sequence[str]) -> int:
    """Return how many columns all manifests have; older ones lack the last."""
    whole = len(COLUMNS)
    return whole if header[len(_BEFORE) : whole] == ["copies"] else len(_BEFORE)


def _named(
    path: Path, header: Sequence[str], fixed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of targets and attributes."""
    known, extra = header[:fixed], header[fixed:]
    targets = tuple(c for c in extra if c.startswith(TARGET_PREFIX))
    attributes = tuple(c for c in extra[len(targets) :])
    if (
        tuple(known) != COLUMNS[:fixed]
        or any(not c.startswith(ATTRIBUTE_PREFIX) for c in attributes)
        or tuple(extra[: len(targets)]) != targets
    ):
        raise DataError(
            f"{path} row 1: columns are {', '.join(header) or 'missing'}; expected "
            f"{', '.join(COLUMNS)}, then {TARGET_PREFIX}<name> and "
            f"{ATTRIBUTE_PREFIX}<name>; run `rehear fetch` again"
        )
    return (
        tuple(column.removeprefix(TARGET_PREFIX) for column in targets),
        tuple(column.removeprefix(ATTRIBUTE_PREFIX) for column in attributes),
    )


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Suspend the search for reference cycles, of which rows have none.

    It looks at all objects again and again while a million of them are made,
    which takes as long as making them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _clips(
    path: Path,
    rows: Iterator[list[str]],
    header: Sequence[str],
    fixed: int,
    targets: int,
) -> Iterator[Clip]:
    labels_of: dict[str, tuple[str, ...]] = {"": ()}
    width, named, linked = len(header), fixed + targets, fixed == len(COLUMNS)
    for number, row in enumerate(rows, start=2):
        if len(row) != width:
            raise DataError(
                f"{path} row {number}: {len(row)} cells, expected {width}; "
                "run `rehear fetch` again"
            )
        clip, file, start, end, labels, split, fold, group = row[:8]
        duration, rate, channels, level, sha256 = row[8:13]
        if labels not in labels_of:
            labels_of[labels] = tuple(labels.split(LABEL_SEPARATOR))
        try:
            # In the order of the fields: keywords cost a tenth of the time.
            yield Clip(
                clip,
                file,
                float(start) if start else None,
                float(end) if end else None,
                labels_of[labels],
                tuple(map(float, row[fixed:named])),
                split,
                fold,
                group,
                tuple(row[named:]),
                float(duration),
                int(rate),
                int(channels),
                float(level) if level else None,
                sha256,
                row[13] if linked else "",
            )
        except ValueError as error:
            raise DataError(
                f"{path} row {number}: {error}; run `rehear fetch` again"
            ) from None
