"""The FAU Aibo Emotion Corpus."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rehear.datasets import choices, restricted
from rehear.datasets.rows import Row
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest

LABELS = {
    2: {"IDL": "idle", "NEG": "negative"},
    5: {
        "A": "anger",
        "E": "emphatic",
        "N": "neutral",
        "P": "positive",
        "R": "rest",
    },
}
PROTOCOLS = ("official", "autrainer")
CHUNKS = {"Ohm": 9959, "Mont": 8257}  # of each school
AUDIO = "wav"
_COLUMNS = ("id", "class", "confidence")
_FOLDERS = ("labels/IS2009EmotionChallenge/", "")  # the corpus's own, autrainer's
_CHUNK = re.compile(r"((Ohm|Mont)_[0-9]+)_[0-9_]+")
_HELD_OUT = 2  # speakers of Ohm that are dev in autrainer


class FauAibo:
    """German children who talk to a robot dog that does not always obey.

    Steidl, "Automatic Classification of Emotion-Related User States in
    Spontaneous Children's Speech", Logos, Berlin 2009; in the state of the
    INTERSPEECH 2009 Emotion Challenge (Schuller, Steidl and Batliner,
    https://doi.org/10.21437/Interspeech.2009-103). WAV, 16 kHz, mono.

    Size: 51 children of two schools, Ohm and Mont, and 18,216 chunks (9,959 and
    8,257). Two classes: ``idle`` (6,601 and 5,792), ``negative`` (3,358 and
    2,465). Five classes: ``anger`` (881 and 611), ``emphatic`` (2,093 and 1,508),
    ``neutral`` (5,590 and 5,377), ``positive`` (674 and 215), ``rest`` (721 and
    546).

    Splits: ``official`` is the challenge's: the school Mont is test, Ohm is for
    training. It defines no dev split; one is drawn by speaker, as
    ``fetch.split.dev`` says. ``autrainer`` holds out the last two speakers of Ohm
    as dev instead.

    Attributes: ``school``, and ``confidence`` (0 to 1) of the label, as it stands
    in the label file.

    The corpus is licensed to researchers on request, and not downloaded. The
    folder ``fetch.source`` is that of the corpus: ``wav/<id>.wav``, and
    ``labels/IS2009EmotionChallenge/chunk_labels_2cl_corpus.txt`` (or ``_5cl_``,
    for five classes; only the one that is used), which may lie in ``fetch.source``
    itself. Recordings that are listed but not there are named by ``fetch``;
    ``fetch.on_error: skip`` leaves them out.

    Args:
        classes: 2 or 5
        split: ``official`` or ``autrainer``

    Raises:
        ParamsError: if there is no such number of classes or split
    """

    title = "FAU Aibo Emotion Corpus"
    citation = (
        "Steidl, S.: Automatic Classification of Emotion-Related User States in "
        "Spontaneous Children's Speech, Logos Verlag, Berlin 2009; Schuller, B., "
        "Steidl, S. and Batliner, A.: The INTERSPEECH 2009 Emotion Challenge, "
        "Interspeech 2009, pp. 312-315, doi:10.21437/Interspeech.2009-103."
    )
    licence = "on request, for research"
    url = "https://www5.cs.fau.de/de/mitarbeiter/steidl-stefan/fau-aibo-emotion-corpus/"
    tasks = ("classification",)
    needs_source = True
    published = True
    size = "18,216 chunks, 51 children"
    folds: tuple[str, ...] = ()

    def __init__(self, *, classes: int = 2, split: str = "official") -> None:
        if classes not in LABELS:
            raise ParamsError(f"dataset.classes: expected 2 or 5, found {classes}")
        self.classes = classes
        self.split = choices.one("split", split, PROTOCOLS)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Read the label file; the recordings stay where they are.

        Args:
            raw: not used
            task: ``classification``
            source: folder of the corpus
            downloads: not used

        Raises:
            DataError: if the label file or the recordings are missing, at the first
                row that is not usable, by its number, or if the file has another
                number of chunks than the corpus
        """
        table = self._table(source)
        clips = tuple(self._clip(row) for row in _rows(source / table))
        _verify(source / table, clips)
        if not any((source / clip.file).exists() for clip in clips):
            self._refuse(source, [f"every recording of {table} in {AUDIO}/"])
        if self.split == "autrainer":
            clips = _held_out(clips)
        return Manifest(clips, attributes=("school", "confidence"))

    def _table(self, source: Path) -> str:
        """Return the label file, relative to ``source``."""
        name = f"chunk_labels_{self.classes}cl_corpus.txt"
        table = restricted.first(source, (folder + name for folder in _FOLDERS))
        missing = [] if table else [_FOLDERS[0] + name]
        if not (source / AUDIO).is_dir():
            missing.append(f"the folder {AUDIO}")
        if missing:
            self._refuse(source, missing)
        return table

    def _refuse(self, source: Path, missing: list[str]) -> NoReturn:
        restricted.refuse(
            source,
            missing,
            how="the FAU Aibo Emotion Corpus must be requested from the Pattern "
            f"Recognition Lab of FAU Erlangen-Nürnberg ({self.url}); put its folders "
            f"{AUDIO} and labels there, or name their place in fetch.source",
        )

    def _clip(self, row: Row) -> Clip:
        chunk, label = row.text("id"), row.text("class")
        match = _CHUNK.fullmatch(chunk)
        if match is None:
            row.fail(f"'{chunk}' is no chunk; expected an id such as Ohm_01_000_00")
        names = LABELS[self.classes]
        if label not in names:
            row.fail(
                f"unknown class '{label}'; expected {', '.join(names)} in the file for "
                f"{self.classes} classes"
            )
        row.number("confidence")
        speaker, school = match.groups()
        return Clip(
            clip=chunk,
            file=f"{AUDIO}/{chunk}.wav",
            labels=(names[label],),
            split="test" if school == "Mont" else "train",
            group=speaker,
            attributes=(school, row.text("confidence")),
        )


def _rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table without a header, with cells parted by spaces."""
    lines = path.read_text("ascii", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if cells := line.split():
            row = Row(f"{path} row {number}", dict(zip(_COLUMNS, cells, strict=False)))
            if len(cells) != len(_COLUMNS):
                row.fail(f"{len(cells)} cells; expected {', '.join(_COLUMNS)}")
            yield row


def _verify(table: Path, clips: Iterable[Clip]) -> None:
    found = Counter(clip.attributes[0] for clip in clips)
    for school, count in CHUNKS.items():
        if found[school] != count:
            raise DataError(
                f"{table}: lists {found[school]:,} chunks of {school}, expected "
                f"{count:,} as the corpus has; copy the label file again, whole"
            )


def _held_out(clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
    speakers = sorted({clip.group for clip in clips if clip.split == "train"})
    return tuple(
        replace(clip, split="dev") if clip.group in speakers[-_HELD_OUT:] else clip
        for clip in clips
    )
