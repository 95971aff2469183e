"""AudioSet: sounds of all kinds, in videos."""

import csv
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

from rehear.datasets import autrainer, choices, restricted
from rehear.datasets.folders import ENDINGS
from rehear.datasets.ontology import Ontology
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest

BALANCED = "balanced_train_segments.csv"
UNBALANCED = "unbalanced_train_segments.csv"
EVALUATION = "eval_segments.csv"
ONTOLOGY = "ontology.json"
MISSING = ("skip", "stop")
_HOW = (
    "AudioSet comes without recordings: put the segment lists of "
    "https://research.google.com/audioset/download.html and the ontology.json of "
    "https://github.com/audioset/ontology there, and below it the sound of the "
    "segments, 10 s cut from their YouTube videos, as <id>.wav, Y<id>.wav or "
    "<id>_<start>.wav"
)
_NUMBER = r"\d+(?:\.\d+)?"
_STEM = re.compile(
    rf"Y?([\w-]{{11}})(?:_({_NUMBER})(?:[_-]{_NUMBER})?)?", flags=re.ASCII
)
_NONE: frozenset[str] = frozenset()
_Found = Mapping[str, Sequence[tuple[str, str]]]  # start and path, by the video's id
logger = logging.getLogger(__name__)


class _Segment(NamedTuple):
    """One row of a list: its number, the video, the start in ms, ids of labels."""

    row: int
    video: str
    start: int
    labels: list[str]


class AudioSet:
    """Ten-second parts of YouTube videos, tagged with 527 kinds of sounds.

    Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio
    events", ICASSP 2017, https://doi.org/10.1109/ICASSP.2017.7952261.

    The recordings are not published: whoever needs them downloads the videos,
    and many of these are gone, so no two copies are equal. What the folder
    ``fetch.source`` has to hold: ``balanced_train_segments.csv``,
    ``eval_segments.csv`` and, with ``unbalanced``,
    ``unbalanced_train_segments.csv``; ``ontology.json``; and below it the
    segments, cut out already, in any folders. A file is found by its name: the
    video's id, with or without a ``Y`` before it, and if need be ``_<start>`` and
    ``_<end>`` or ``-<end>`` after it, in seconds (``30``, ``30.000``) or
    milliseconds (``30000``). Of several files of one segment, the first in the
    alphabet is used.

    Size: 22,160 segments in the balanced list, 2,041,789 in the unbalanced and
    20,371 in the evaluation list. How many of them are there is logged.

    Labels: the names of the ontology, sorted. A segment has those that raters
    gave it and, with ``parents``, all that these are a kind of, so that every
    ``Giggle`` is ``Laughter`` as well. Categories that the ontology marks as
    ``abstract`` or ``blacklist`` are no labels. Numbers in the literature are
    mostly on the published labels alone: ``parents: false``.

    Splits: balanced, and unbalanced if asked for, are for training, evaluation
    is the test split. There is no dev split; one is drawn. The group is the
    video. ``autrainer`` has the test split as dev too, for which ``fetch`` asks
    for a reason; ``abstract`` parents are labels there, and labels that train or
    test lacks are none.

    Args:
        audio: folder of the segments in ``fetch.source``; all of it if not given
        unbalanced: train on the unbalanced list as well
        parents: add to each label what it is a kind of
        include: use only segments with a label within these categories, as
            ``[Bird]``, or any kind of them
        exclude: use no segment with a label within these categories
        missing: ``skip`` segments without a recording, or ``stop``
        split: ``official`` or ``autrainer``

    Raises:
        ParamsError: if there is no such choice
    """

    title = "AudioSet"
    citation = (
        "Gemmeke, J. F., Ellis, D. P. W., Freedman, D., Jansen, A., Lawrence, W., "
        "Moore, R. C., Plakal, M. and Ritter, M.: Audio Set: An ontology and "
        "human-labeled dataset for audio events, IEEE International Conference on "
        "Acoustics, Speech and Signal Processing (ICASSP), 2017, "
        "doi:10.1109/ICASSP.2017.7952261."
    )
    licence = (
        "CC BY 4.0 (labels), CC BY-SA 4.0 (ontology); videos belong to their authors"
    )
    url = "https://research.google.com/audioset"
    tasks = ("tagging",)
    needs_source = True
    published = False  # every copy lacks other videos
    size = "22,160 + 20,371 clips of 10 s, with the unbalanced list 2,084,320"
    folds: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        audio: str = "",
        unbalanced: bool = False,
        parents: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        missing: str = "skip",
        split: str = "official",
    ) -> None:
        self.audio = audio
        self.lists = {BALANCED: "train", EVALUATION: "test"}
        if unbalanced:
            self.lists[UNBALANCED] = "train"
        self.parents = parents
        self.include = [include] if isinstance(include, str) else list(include)
        self.exclude = [exclude] if isinstance(exclude, str) else list(exclude)
        self.missing = choices.one("missing", missing, MISSING)
        self.split = choices.one("split", split, autrainer.SPLITS)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """List the segments whose recordings are there.

        Args:
            raw: not used
            task: ``tagging``
            source: folder of lists, ontology and recordings
            downloads: not used

        Raises:
            DataError: if a list, the ontology or all recordings are missing, with
                ``missing: stop`` if any is, or a list cannot be understood
        """
        needed = [*self.lists, ONTOLOGY, *([self.audio] if self.audio else [])]
        if lacking := [name for name in needed if not (source / name).exists()]:
            restricted.refuse(source, lacking, how=_HOW)
        tags = _Tags(Ontology(source / ONTOLOGY), self)
        found = _recordings(source, self.audio)
        clips = [
            clip
            for name, split in self.lists.items()
            for clip in self._clips(source / name, split, tags=tags, found=found)
        ]
        if not clips:
            restricted.refuse(source, ["all recordings that are asked for"], how=_HOW)
        if self.split == "autrainer":
            clips = list(autrainer.with_test_as_dev(_with_common_labels(clips)))
        return Manifest(tuple(clips))

    def _clips(
        self, path: Path, split: str, *, tags: "_Tags", found: _Found
    ) -> list[Clip]:
        clips, lacking = [], []
        for row, video, start, ids in _segments(path):
            if not tags.wanted(ids):
                continue
            name = f"{video}_{start}"
            file = _file(start, found[video]) if video in found else ""
            if not file:
                lacking.append(name)
                continue
            labels = tags.names(ids)
            if labels is None:
                _fail(path, row, f"'{','.join(ids)}' are not all in {ONTOLOGY}")
            clips.append(Clip(name, file, labels=labels, split=split, group=video))
        if lacking and self.missing == "stop":
            restricted.refuse(path.parent, lacking, how=_HOW)
        if lacking:
            logger.warning(
                "audioset: %s: %d of %d recordings are there",
                path.name,
                len(clips),
                len(clips) + len(lacking),
            )
        return clips


class _Tags:
    """The labels of segments."""

    def __init__(self, ontology: Ontology, settings: AudioSet) -> None:
        self._within = ontology.within("include", settings.include)
        self._without = ontology.within("exclude", settings.exclude)
        self._all = not settings.include
        containers = settings.split == "autrainer"
        self._names = {
            id_: frozenset(
                ontology.name(other)
                for other in (ontology.with_parents([id_]) if settings.parents else ())
                if containers or ontology.is_label(other)
            )
            | {ontology.name(id_)}
            for id_ in ontology
        }

    def wanted(self, ids: Iterable[str]) -> bool:
        """Say whether a segment with these labels is to be used."""
        return self._without.isdisjoint(ids) and (
            self._all or not self._within.isdisjoint(ids)
        )

    def names(self, ids: Iterable[str]) -> tuple[str, ...] | None:
        """Return names, sorted and with parents; ``None`` if an id is unknown."""
        try:
            return tuple(sorted(_NONE.union(*map(self._names.__getitem__, ids))))
        except KeyError:
            return None


def _fail(path: Path, row: int, problem: str) -> NoReturn:
    raise DataError(
        f"{path} row {row}: {problem}; expected rows such as '--4gqARaEJE, 0.000, "
        '10.000, "/m/068hy,/m/07q6cd_"\', as published'
    )


def _segments(path: Path) -> Iterator[_Segment]:
    """Read a list; its first three rows are comments."""
    with path.open(encoding="utf-8", newline="") as stream:
        lines = csv.reader(stream, skipinitialspace=True)
        for number, cells in enumerate(lines, start=1):
            if not cells or cells[0].startswith("#"):
                continue
            try:
                video, start, _, labels = cells
                yield _Segment(
                    number, video, round(float(start) * 1000), labels.split(",")
                )
            except ValueError:
                _fail(path, number, f"found {', '.join(cells)}")


def _recordings(source: Path, audio: str) -> _Found:
    """Return what is named like a segment, by the id of its video."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(_audio_files(source, audio)):
        # Not pathlib, in which two million names take as long as all the rest.
        stem = path.rpartition("/")[2].rpartition(".")[0]
        if match := _STEM.fullmatch(stem):
            found.setdefault(match[1], []).append((match[2] or "", path))
    return found


def _audio_files(source: Path, audio: str) -> Iterator[str]:
    for folder, _, names in os.walk(source / audio):
        prefix = Path(folder).relative_to(source).as_posix()
        for name in names:
            if os.path.splitext(name)[1].lower() in ENDINGS:  # noqa: PTH122
                yield name if prefix == "." else f"{prefix}/{name}"


def _file(start: int, named: Iterable[tuple[str, str]]) -> str:
    """Return the recording that starts at ``start`` ms, ``""`` if there is none."""
    for begin, path in named:
        seconds = round(float(begin or 0) * 1000)
        milliseconds = int(begin) if begin.isdecimal() else -1
        if not begin or start in (seconds, milliseconds):
            return path
    return ""


def _with_common_labels(clips: Sequence[Clip]) -> Iterator[Clip]:
    """Give all clips, without the labels that train or test lacks."""
    train, test = (
        {label for clip in clips if clip.split == split for label in clip.labels}
        for split in ("train", "test")
    )
    for clip in clips:
        labels = (label for label in clip.labels if label in train & test)
        yield replace(clip, labels=tuple(labels))
