"""ESC-50 and ESC-10: environmental sounds."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from rehear import archives, transfers
from rehear.datasets import choices, rows
from rehear.datasets.folds import without_shared
from rehear.datasets.rows import Row
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest

COMMIT = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
ARCHIVE = transfers.Remote(
    "ESC-50-master.zip",
    f"https://github.com/karolpiczak/ESC-50/archive/{COMMIT}.zip",
    sha256="661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f",
    stable=False,
)
CONTENTS = "7dac98ebb302b554321c1ceacd9ab75bb0769516f66d19b4f3a6a6874355c2f2"
TABLE = "54a0d0055a10bb7df84ad340a148722e"
RECORDINGS = 2000
LICENCES = {"esc50": "CC BY-NC 3.0", "esc10": "CC BY 3.0"}
MAJOR_CATEGORIES = (
    "Animals",
    "Natural soundscapes & water sounds",
    "Human, non-speech sounds",
    "Interior/domestic sounds",
    "Exterior/urban noises",
)
_CLASSES = 10  # of each major category
_TITLES = {"esc50": "ESC-50", "esc10": "ESC-10"}
_AUDIO = re.compile(r"[^/]+/audio/([^/]+\.wav)")
_META = re.compile(r"[^/]+/meta/esc50\.csv")


class ESC50:
    """Sounds of animals, nature, people, homes and cities, 40 of each kind.

    Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia
    2015, https://doi.org/10.1145/2733373.2806390. WAV, 44.1 kHz, mono, 5 s each.

    Size: ESC-50 has 2,000 clips of 50 classes, CC BY-NC 3.0; its subset ESC-10
    has 400 clips of 10 classes, CC BY 3.0. The archive, about 600 MB, is the same.

    Protocol: the author's five folds (README of the repository). Each is the test
    part of one run, and the mean over all five is reported. There are no other
    splits, so set ``folds: ['1', '2', '3', '4', '5']`` in ``params.yaml``; the dev
    split of a run is drawn from its training folds, by source recording.

    Leaks: according to the README, a fold holds all clips of a source recording.
    The names of the files say otherwise for four of the 1,524 recordings (131943,
    134049, 209698 and 234879, 9 clips): each is in two folds, with a class of its
    own in each. ``fetch`` finds them and asks for a reason; ``disjoint`` leaves
    them out. ESC-10 has none. The README also warns that some recordings came
    band-limited, which may tell their class.

    Attribute: ``major_category``, one of five, of ten classes each. The group is
    the source recording on Freesound.

    Checksums: GitHub packs the archive of a commit anew, so another digest of it
    is reported, not refused. Its contents are pinned instead, by the digests of all
    files that soundata 0.1.3 publishes: ``LC_ALL=C md5sum *.wav | sha256sum`` in
    the folder ``audio``, and ``md5sum esc50.csv``.

    Args:
        subset: ``esc50`` or ``esc10``
        disjoint: leave out the recordings that are in two folds
        mirror: another place that has ``ESC-50-master.zip``, a URL or
            ``file:///…``

    Raises:
        ParamsError: if there is no such subset
    """

    title = _TITLES["esc50"]
    citation = (
        "Piczak, K. J.: ESC: Dataset for Environmental Sound Classification, "
        "Proceedings of the 23rd ACM International Conference on Multimedia, 2015, "
        "doi:10.1145/2733373.2806390."
    )
    licence = LICENCES["esc50"]
    url = "https://github.com/karolpiczak/ESC-50"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "2,000 clips of 50 classes, 2.8 h, about 600 MB"
    folds = ("1", "2", "3", "4", "5")

    def __init__(
        self, *, subset: str = "esc50", disjoint: bool = False, mirror: str = ""
    ) -> None:
        self.subset = choices.one("subset", subset, LICENCES)
        self.title, self.licence = _TITLES[self.subset], LICENCES[self.subset]
        self.disjoint = disjoint
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archive and list its recordings, which stay in it.

        Args:
            raw: existing folder, in which the archive is put
            task: ``classification``
            source: not used
            downloads: keeps the download between tries

        Raises:
            DataError: if the download fails, or the archive holds other
                recordings or another table than were published
        """
        paths = transfers.fetch([ARCHIVE], raw, downloads=downloads, mirror=self.mirror)
        archive = paths[ARCHIVE.name]
        names = archives.members(archive)
        recordings = {m[1]: m[0] for name in names if (m := _AUDIO.fullmatch(name))}
        table = next((name for name in names if _META.fullmatch(name)), "")
        _verify(archive, recordings, table)
        _, listed = rows.read(_path(archive, table))
        clips = [
            _clip(row, f"{archive.name}{archives.SEPARATOR}", recordings)
            for row in listed
            if self.subset == "esc50" or row.text("esc10") == "True"
        ]
        if self.disjoint:
            clips = without_shared(clips)
        return Manifest(tuple(clips), attributes=("major_category",))


def _clip(row: Row, prefix: str, recordings: Mapping[str, str]) -> Clip:
    name = row.text("filename")
    return Clip(
        clip=name.removesuffix(".wav"),
        file=prefix + recordings[name],
        labels=(row.text("category"),),
        fold=row.text("fold"),
        group=row.text("src_file"),
        attributes=(MAJOR_CATEGORIES[int(row.text("target")) // _CLASSES],),
    )


def _verify(archive: Path, recordings: Mapping[str, str], table: str) -> None:
    """Check that an archive holds what was published.

    Args:
        archive: the archive
        recordings: its members with audio, by the names of the files
        table: its member with the labels
    """
    advice = (
        "fetch it from another dataset.mirror, or report that the data set has changed"
    )
    if len(recordings) != RECORDINGS or not table:
        raise DataError(
            f"{archive.name}: holds {len(recordings)} recordings, expected "
            f"{RECORDINGS}{'' if table else ', and no meta/esc50.csv'}; {advice}"
        )
    lines = "".join(
        f"{_md5(archive, recordings[name])}  {name}\n" for name in sorted(recordings)
    )
    for what, found, expected in (
        ("meta/esc50.csv has the MD5", _md5(archive, table), TABLE),
        (
            "the recordings have the digest",
            hashlib.sha256(lines.encode()).hexdigest(),
            CONTENTS,
        ),
    ):
        if found != expected:
            raise DataError(
                f"{archive.name}: {what} {found}, expected {expected}; {advice}"
            )


def _md5(archive: Path, member: str) -> str:
    stretch = archives.locate(_path(archive, member))
    data = stretch.read(0, stretch.size)
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _path(archive: Path, member: str) -> str:
    return f"{archive}{archives.SEPARATOR}{member}"
