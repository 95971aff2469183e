"""EDANSA-2019: sounds of the Alaskan north."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from rehear import archives, transfers
from rehear.datasets import choices, members, rows
from rehear.datasets.rows import Row
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest

ARCHIVE = transfers.Remote(
    "EDANSA-2019.zip", "https://zenodo.org/records/6824272/files/EDANSA-2019.zip"
)
CLIPS = 10_771
TAGS = (
    *("Anth", "Bio", "Geo", "Sil", "Auto", "Airc", "Mach", "Flare", "Bird", "Mam"),
    *("Bug", "Wind", "Rain", "Water", "Truck", "Car", "Helo", "Jet", "Corv", "SongB"),
    *("DGS", "Grous", "Loon", "SeaB", "Rapt", "ShorB", "Woof", "Fly"),
)
BASELINE = ("Anth", "Bio", "Sil", "Airc", "Bird", "Bug", "SongB", "DGS", "Grous")
_SPLITS = {"train": "train", "valid": "dev", "test": "test"}
_PRESENT = {"0": False, "1": True}


class EDANSA2019:
    """What recorders on the North Slope of Alaska and around it heard, in 28 tags.

    Çoban, Perra, Pir and Mandel, "EDANSA-2019: The Ecoacoustic Dataset from
    Arctic North Slope Alaska", DCASE 2022 Workshop. Recorded from 2018 to 2021,
    mostly in the summer of 2019, at 48 kHz; each WAV file is one clip of at most
    10 s.

    Size: 10,771 clips, 27.7 h, from 76 sites in five regions.

    Tags: 28 columns of ``labels.csv`` have examples. Four are coarse: ``Anth``
    (people and machines), ``Bio``, ``Geo`` and ``Sil``; the others stand below
    them and never without them, as ``SongB`` below ``Bird`` below ``Bio``. ``Sil``
    may stand beside others. By default these are the nine that the authors train
    their baseline on, as they have enough examples: ``Anth``, ``Bio``, ``Sil``,
    ``Airc`` (aircraft), ``Bird``, ``Bug``, ``SongB`` (songbirds), ``DGS`` (ducks,
    geese, swans) and ``Grous`` (grouse). autrainer's preset has ``[Anth, Bio,
    Geo, Sil]``. Clips without any of the chosen tags stay in.

    Splits: the column ``set`` of ``labels.csv``, train (6,645), valid as dev
    (1,873) and test (2,253). No site is in two of them; the group is the site,
    ``prudhoe/12``. One recorder, S4A10274, stood at sites of two of them.
    The authors' baseline leaves out the 117 clips below 2 s; they stay in here.

    Attributes: ``region``, ``site`` (as the group) and ``date`` (year-month-day).

    Checksums: none is published. That of the first download is recorded and
    enforced from then on. A listed clip that the archive lacks is handled like
    one that cannot be read, as ``fetch.on_error`` says.

    Args:
        tags: the columns to predict, as ``[Anth, Bio, Geo, Sil]``; all 28 for
            ``[]``
        mirror: another place that has ``EDANSA-2019.zip``, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such tag
    """

    title = "EDANSA-2019"
    citation = (
        "Çoban, E. B., Perra, M., Pir, D. and Mandel, M. I.: EDANSA-2019: The "
        "Ecoacoustic Dataset from Arctic North Slope Alaska, 7th Workshop on Detection "
        "and Classification of Acoustic Scenes and Events (DCASE), 2022."
    )
    licence = "see Zenodo; the repository of the authors is under the MIT licence"
    url = "https://zenodo.org/records/6824272"
    tasks = ("tagging",)
    needs_source = False
    published = True
    size = "10,771 clips of up to 10 s, 27.7 h"
    folds: tuple[str, ...] = ()

    def __init__(self, *, tags: Sequence[str] = BASELINE, mirror: str = "") -> None:
        self.tags = choices.some("tags", tags, TAGS)
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archive and list its recordings, which stay in it.

        Args:
            raw: existing folder, in which the archive is put
            task: ``tagging``
            source: not used
            downloads: keeps the download between tries

        Raises:
            DataError: if the download fails, a row of ``labels.csv`` cannot be
                understood, or it has another number of rows than was published
        """
        paths = transfers.fetch([ARCHIVE], raw, downloads=downloads, mirror=self.mirror)
        table = members.table(paths[ARCHIVE.name], "labels.csv")
        folder = table.rpartition(archives.SEPARATOR)[2].removesuffix("labels.csv")
        audio = f"{ARCHIVE.name}{archives.SEPARATOR}{folder}data"
        header, listed = rows.read(table)
        lacking = [tag for tag in self.tags if tag not in header]
        if lacking:
            raise DataError(
                f"{table}: no column '{lacking[0]}' for the tag of that name; choose "
                "others in dataset.tags, or report that the data set has changed"
            )
        clips = tuple(self._clip(row, audio) for row in listed)
        if len(clips) != CLIPS:
            raise DataError(
                f"{table}: lists {len(clips):,} clips, expected {CLIPS:,} as "
                "published; check dataset.mirror, or report that it has changed"
            )
        return Manifest(clips, attributes=("region", "site", "date"))

    def _clip(self, row: Row, audio: str) -> Clip:
        path, split = row.text("Clip Path"), row.text("set")
        if split not in _SPLITS:
            row.fail(f"set is '{split}', expected {', '.join(_SPLITS)}")
        region = row.text("region")
        site = f"{region}/{row.text('Site ID')}"
        return Clip(
            clip=PurePosixPath(path).stem,
            file=f"{audio}/{path}",
            labels=tuple(tag for tag in self.tags if _is_present(row, tag)),
            split=_SPLITS[split],
            group=site,
            attributes=(region, site, _date(row)),
        )


def _is_present(row: Row, tag: str) -> bool:
    cell = row.text(tag)
    if cell not in _PRESENT:
        row.fail(f"'{cell}' in column '{tag}', expected 0 or 1")
    return _PRESENT[cell]


def _date(row: Row) -> str:
    cell = row.text("Date")
    try:
        return datetime.strptime(cell, "%m/%d/%Y").date().isoformat()  # noqa: DTZ007
    except ValueError:
        row.fail(f"Date is '{cell}', expected month/day/year, as 05/20/2019")
