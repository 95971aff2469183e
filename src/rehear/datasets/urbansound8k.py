"""UrbanSound8K: sounds of the city."""

from collections.abc import Sequence
from pathlib import Path

from rehear import archives, transfers
from rehear.datasets import rows
from rehear.datasets.folds import without_shared
from rehear.datasets.rows import Row
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest

ARCHIVE = transfers.Remote(
    "UrbanSound8K.tar.gz",
    "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz?download=1",
    md5="9aa69802bbf37fb986f71ec1483a196e",
)
SLICES = 8732
SALIENCE = {"1": "foreground", "2": "background"}
_FOLDER = "UrbanSound8K"


class UrbanSound8K:
    """Ten kinds of sounds from field recordings of cities, at most 4 s long.

    Salamon, Jacoby and Bello, "A Dataset and Taxonomy for Urban Sound Research",
    ACM Multimedia 2014, https://doi.org/10.1145/2647868.2655045. WAV, with the
    sample rate, bit depth and channels of each original on Freesound. CC BY-NC
    3.0, as its own README says (soundata names 4.0).

    Size: 8,732 slices of 1,297 recordings, 8.75 h, about 6 GB packed.

    Protocol: the authors' ten folds, see ``folds_note``. Set ``folds: ['1', '2',
    …, '10']`` in ``params.yaml``; the dev split of a run is drawn from its training
    folds, by recording.

    Leaks: the folds are meant to keep the slices of one recording together. In the
    published table, five of the recordings (77751, 106905, 132016, 176638 and
    180937, 152 slices) are nevertheless in two folds, with a class of its own in
    each, and slices of three of them overlap in time across the folds. ``fetch``
    finds them and asks for a reason; ``disjoint`` leaves them out.

    Attribute: ``salience``, ``foreground`` or ``background``, as the annotators
    heard it. The group is the recording on Freesound. ``start`` and ``end`` of the
    table are positions in that recording, not in the slice, so nothing is cut.

    Checksums: that of the archive on Zenodo, as soundata and PaddleAudio have it.

    Args:
        disjoint: leave out the recordings that are in two folds
        mirror: another place that has ``UrbanSound8K.tar.gz``, a URL or
            ``file:///…``
    """

    title = "UrbanSound8K"
    citation = (
        "Salamon, J., Jacoby, C. and Bello, J. P.: A Dataset and Taxonomy for Urban "
        "Sound Research, Proceedings of the 22nd ACM International Conference on "
        "Multimedia, 2014, doi:10.1145/2647868.2655045."
    )
    licence = "CC BY-NC 3.0"
    url = "https://urbansounddataset.weebly.com/urbansound8k.html"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "8,732 slices, 8.75 h, about 6 GB"
    folds = tuple(str(number + 1) for number in range(10))
    folds_note = (
        "the authors ask for their ten folds, all of them, and the mean score: in "
        "folds or splits drawn anew, slices of one recording would be in training "
        "and test, 'leading to inflated scores', and some folds are easier than "
        "others, so one alone says little "
        "(https://urbansounddataset.weebly.com/urbansound8k.html#10foldCV)"
    )

    def __init__(self, *, disjoint: bool = False, mirror: str = "") -> None:
        self.disjoint = disjoint
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archive and list its slices, which stay in it.

        Args:
            raw: existing folder, in which the archive is put
            task: ``classification``
            source: not used
            downloads: keeps the download between tries

        Raises:
            DataError: if the download fails, or the archive lacks slices
        """
        paths = transfers.fetch([ARCHIVE], raw, downloads=downloads, mirror=self.mirror)
        archive = paths[ARCHIVE.name]
        prefix = f"{archives.SEPARATOR}{_FOLDER}/"
        _, listed = rows.read(f"{archive}{prefix}metadata/UrbanSound8K.csv")
        clips = [_clip(row, f"{archive.name}{prefix}audio/") for row in listed]
        _verify(archive, clips)
        if self.disjoint:
            clips = without_shared(clips)
        return Manifest(tuple(clips), attributes=("salience",))


def _clip(row: Row, folder: str) -> Clip:
    name, fold = row.text("slice_file_name"), row.text("fold")
    return Clip(
        clip=name.removesuffix(".wav"),
        file=f"{folder}fold{fold}/{name}",
        labels=(row.text("class"),),
        fold=fold,
        group=row.text("fsID"),
        attributes=(SALIENCE[row.text("salience")],),
    )


def _verify(archive: Path, clips: Sequence[Clip]) -> None:
    present = {
        f"{archive.name}{archives.SEPARATOR}{m}" for m in archives.members(archive)
    }
    missing = [clip.file for clip in clips if clip.file not in present]
    if missing or len(clips) != SLICES:
        named = f", and lacks {missing[0]} ({len(missing)} in all)" if missing else ""
        raise DataError(
            f"{archive.name}: lists {len(clips)} slices, expected {SLICES}{named}; "
            "fetch it from another dataset.mirror"
        )
