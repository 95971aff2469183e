"""TUT Acoustic Scenes 2016, task 1 of the DCASE challenge of that year."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rehear import transfers
from rehear.datasets import choices, members, rows
from rehear.datasets.rows import Row
from rehear.manifest import Clip, Manifest
from rehear.transfers import Remote

FOLDS = ("1", "2", "3", "4")
_DEVELOPMENT = "TUT-acoustic-scenes-2016-development"
_EVALUATION = "TUT-acoustic-scenes-2016-evaluation"
_ZENODO = {_DEVELOPMENT: "45739", _EVALUATION: "165995"}


def _remote(part: str, name: str, size: int, md5: str) -> Remote:
    file = f"{part}.{name}.zip"
    url = f"https://zenodo.org/records/{_ZENODO[part]}/files/{file}"
    return Remote(file, url, size=size, md5=md5)


META = _remote(_DEVELOPMENT, "meta", 28815, "779b33da2ebbf8bde494b3c981827251")
ERRORS = _remote(_DEVELOPMENT, "error", 1283, "a0d3e0d81b0a36ece87d0f3a9124a386")
TEST_META = _remote(_EVALUATION, "meta", 5962, "0d5c131fc3f50c682de62e0e648aceba")
AUDIO = tuple(
    _remote(_DEVELOPMENT, f"audio.{number}", size, md5)
    for number, size, md5 in (
        (1, 1070981236, "e39546e65f2e72517b6335aaf0c8323d"),
        (2, 1067186166, "d36cf3253e2c041f68e937a3fe804807"),
        (3, 1073644405, "0393a9620ab882b1c26d884eccdcffdd"),
        (4, 1072111347, "fb3e4e0cd7ea82120ec07031dee558ce"),
        (5, 1069681513, "a19cf600b33c8f88f6ad607bafd74057"),
        (6, 1072890150, "591aad3219d1155342572cc1f6af5680"),
        (7, 1069265197, "9e6c1897789e6bce13ac69c6caedb7ab"),
        (8, 528461098, "c4718354f48fcc9dfc7305f6cd8325c8"),
    )
)
TEST_AUDIO = tuple(
    _remote(_EVALUATION, f"audio.{number}", size, md5)
    for number, size, md5 in (
        (1, 1067685684, "7c6c2e54b8a9c4c37a803b81446d16fe"),
        (2, 1068308900, "7930f1dc26707ab3ba9526073af87333"),
        (3, 538894804, "17187d633d6402aee4b481122a1b28f0"),
    )
)
logger = logging.getLogger(__name__)


class AcousticScenes2016:
    """Fifteen places in Finland, recorded with microphones in the ears.

    Mesaros, Heittola and Virtanen, "TUT Database for Acoustic Scene
    Classification and Sound Event Detection", EUSIPCO 2016. WAV, 44.1 kHz, two
    channels, 24 bit, 30 s each. Labels are the 15 scenes as they are published:
    ``beach``, ``bus``, ``cafe/restaurant`` …

    Size: a development set of 1,170 clips from 177 recordings, 78 of each scene,
    and an evaluation set of 390 clips, 26 of each scene; 13 h, 10.7 GB.

    Protocol (README of the data set): the development set has four folds. Of
    ``fold``, the list ``evaluate`` is the dev split and the list ``train`` is for
    training; test is the evaluation set of the challenge. Each development clip
    belongs to the fold that evaluates it, so ``folds: ['1', '2', '3', '4']`` is
    the official cross-validation; it leaves the evaluation set out.

    The group is the original recording, which is one place: ``b020`` of
    ``b020_90_120.wav``. No recording is in two folds, or in both sets. Clips of
    the evaluation set are called ``1.wav`` …; their ids here are the original
    names.

    Errors: ``error.txt`` lists moments at which a microphone failed or a mobile
    phone interfered, with begin and end. The official baseline keeps these clips
    for training and for testing, unless it is told to cut those moments out
    (``audio_error_handling: clean_data: false``), and so does this data set.
    ``drop_errors`` leaves out every development clip that is listed, in training
    and in dev, as autrainer does.

    Args:
        fold: whose ``evaluate`` list is the dev split, 1 to 4
        drop_errors: leave out development clips with annotated errors
        mirror: another place that has the archives, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such fold
    """

    title = "TUT Acoustic Scenes 2016"
    citation = (
        "Mesaros, A., Heittola, T. and Virtanen, T.: TUT Database for Acoustic Scene "
        "Classification and Sound Event Detection, 24th European Signal Processing "
        "Conference (EUSIPCO), 2016."
    )
    licence = "free for academic, non-commercial use (EULA of Tampere University)"
    url = "https://zenodo.org/records/45739"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "1,170 + 390 clips of 30 s, 13 h, 10.7 GB"
    folds = FOLDS

    def __init__(
        self, *, fold: int = 1, drop_errors: bool = False, mirror: str = ""
    ) -> None:
        self.fold = choices.one("fold", fold, FOLDS)
        self.drop_errors = drop_errors
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archives and list their recordings, which stay in them.

        Args:
            raw: existing folder, in which the archives are put
            task: ``classification``
            source: not used
            downloads: keeps the downloads between tries

        Raises:
            DataError: if a download fails, or a list names a recording that is in
                no archive
        """
        remotes = [META, ERRORS, *AUDIO, TEST_META, *TEST_AUDIO]
        paths = transfers.fetch(remotes, raw, downloads=downloads, mirror=self.mirror)
        packed = members.recordings(paths[remote.name] for remote in AUDIO)
        clips = self._divided(_development(paths[META.name], packed), paths[META.name])
        if self.drop_errors:
            clips = _without_errors(clips, paths[ERRORS.name])
        packed = members.recordings(paths[remote.name] for remote in TEST_AUDIO)
        return Manifest((*clips, *_evaluation(paths[TEST_META.name], packed)))

    def _divided(self, clips: Iterable[Clip], meta: Path) -> list[Clip]:
        listed = members.table(meta, f"evaluation_setup/fold{self.fold}_train.txt")
        train = {_stem(row) for row in _listed(listed, "file", "scene")}
        divided = []
        for clip in clips:
            if clip.fold == self.fold:
                divided.append(replace(clip, split="dev"))
            elif clip.clip in train:
                divided.append(replace(clip, split="train"))
        return divided


def _listed(path: str, *columns: str) -> Iterator[Row]:
    return rows.read(path, delimiter="\t", columns=columns)[1]


def _stem(row: Row, column: str = "file") -> str:
    return PurePosixPath(row.text(column)).stem


def _development(meta: Path, packed: Mapping[str, str]) -> Iterator[Clip]:
    folds: dict[str, str] = {}
    for fold in FOLDS:
        path = members.table(meta, f"evaluation_setup/fold{fold}_evaluate.txt")
        for row in _listed(path, "file", "scene"):
            name = _stem(row)
            if name in folds:
                row.fail(
                    f"'{name}' is evaluated in fold {folds[name]} already; expected "
                    "each recording once, fetch the archive again"
                )
            folds[name] = fold
            yield replace(_clip(row, name, packed), fold=fold)


def _evaluation(meta: Path, packed: Mapping[str, str]) -> Iterator[Clip]:
    path = members.table(meta, "evaluation_setup/evaluate.txt")
    for row in _listed(path, "file", "scene", "original"):
        yield replace(_clip(row, _stem(row, "original"), packed), split="test")


def _clip(row: Row, name: str, packed: Mapping[str, str]) -> Clip:
    file = PurePosixPath(row.text("file")).name
    if file not in packed:
        row.fail(f"'{file}' is in none of the archives; fetch them again")
    return Clip(
        clip=name,
        file=packed[file],
        labels=(row.text("scene"),),
        group=name.partition("_")[0],
    )


def _without_errors(clips: Sequence[Clip], packed: Path) -> list[Clip]:
    path = members.table(packed, "error.txt")
    faulty = {_stem(row) for row in _listed(path, "file", "start", "end", "error")}
    kept = [clip for clip in clips if clip.clip not in faulty]
    logger.info(
        "dcase2016: %d of %d development clips have annotated errors and are left out",
        len(clips) - len(kept),
        len(clips),
    )
    return kept
