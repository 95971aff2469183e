"""The MSP-Podcast corpus."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from rehear.datasets import choices, restricted, rows
from rehear.datasets.rows import Row
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest

EMOTIONS = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": "other",
    "X": "no agreement",
}
PRIMARY = tuple("ASHUFDCN")
TARGETS = {"activation": "EmoAct", "valence": "EmoVal", "dominance": "EmoDom"}
SPLITS = {"Train": "train", "Development": "dev", "Validation": "dev"}
TESTS = {"test1": "Test1", "test2": "Test2"}
UNKNOWN = "unknown"  # speaker, in lower case
# Releases differ: Audio or Audios, label, labels or Labels; up to 1.9, the name
# of the table is misspelt.
AUDIO = ("Audios", "Audio")
TABLES = tuple(
    f"{folder}/labels_{word}.csv"
    for folder in ("Labels", "labels", "label")
    for word in ("consensus", "concensus")
)
_COLUMNS = ("FileName", "EmoClass", *TARGETS.values(), "SpkrID", "Gender", "Split_Set")


class MspPodcast:
    """Speaking turns from podcasts, rated by at least five listeners each.

    Lotfian and Busso, "Building Naturalistic Emotionally Balanced Speech Corpus by
    Retrieving Emotional Speech from Existing Podcast Recordings", IEEE
    Transactions on Affective Computing 10(4), 2019,
    https://doi.org/10.1109/TAFFC.2017.2736999. WAV, 16 kHz, mono.

    Size: grows with each release: 151,654 turns (238 h) in 1.11, 207,136 (324 h)
    in 1.12.

    Labels (classification) are the listeners' plurality vote: ``angry`` (A),
    ``sad`` (S), ``happy`` (H), ``surprise`` (U), ``fear`` (F), ``disgust`` (D),
    ``contempt`` (C) and ``neutral`` (N). ``other`` (O) and ``no agreement`` (X)
    are no emotions and are left out, unless ``emotions`` names them.

    Targets (regression) are the listeners' means of ``activation`` (1 very calm, 7
    very active), ``valence`` (1 very negative, 7 very positive) and ``dominance``
    (1 very weak, 7 very strong), on this scale; all turns are used.

    Splits: the corpus's own, Train, Development and Test1. Test2 may be chosen
    instead. The labels of Test3 are not public. The publisher says that the test
    sets share speakers with each other, and that train has turns of speakers that
    are not identified.

    Attributes: ``gender``, as in the table; for regression, ``emotion`` as well.
    The group is the speaker; turns of unknown speakers have none.

    The corpus is licensed to researchers on request, and not downloaded. The
    folder ``fetch.source`` is that of a release from 1.6 on, with the folders
    ``Labels`` (``labels_consensus.csv``) and ``Audios``. Recordings that are
    listed but not there are named by ``fetch``; ``fetch.on_error: skip`` leaves
    them out.

    Args:
        emotions: letters or names of the labels to use, such as
            ``[A, H, N, S]``; the eight above if none is given; not used for
            regression
        targets: what to predict, for regression
        test: ``test1`` or ``test2``

    Raises:
        ParamsError: if there is no such emotion, target or test set
    """

    title = "MSP-Podcast corpus"
    citation = (
        "Lotfian, R. and Busso, C.: Building Naturalistic Emotionally Balanced Speech "
        "Corpus by Retrieving Emotional Speech from Existing Podcast Recordings, IEEE "
        "Transactions on Affective Computing 10(4), 2019, pp. 471-483, "
        "doi:10.1109/TAFFC.2017.2736999."
    )
    licence = "on request, academic licence"
    url = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html"
    tasks = ("classification", "regression")
    needs_source = True
    published = True
    size = "207,136 turns, 324 h (release 1.12)"
    folds: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        emotions: Sequence[str] = (),
        targets: Sequence[str] = tuple(TARGETS),
        test: str = "test1",
    ) -> None:
        letters = {name: letter for letter, name in EMOTIONS.items()}
        listed = [emotions] if isinstance(emotions, str) else emotions
        self.emotions = frozenset(
            choices.some("emotions", [letters.get(e, e) for e in listed], EMOTIONS)
            if listed
            else PRIMARY
        )
        self.targets = tuple(choices.some("targets", targets, TARGETS))
        if str(test).lower() == "test3":
            raise ParamsError(
                "dataset.test: the labels of Test3 are not public; set it to test1 or "
                "test2"
            )
        self.test = TESTS[choices.one("test", str(test).lower(), TESTS)]

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Read the table of labels; the recordings stay where they are.

        Args:
            raw: not used
            task: ``classification`` or ``regression``
            source: folder of a release
            downloads: not used

        Raises:
            DataError: if the table or the recordings are missing, or at the first
                row that is not usable, by its number
        """
        table, audio = self._places(source)
        header, listed = rows.read(source / table, delimiter=",")
        _check_header(source / table, header)
        clips = tuple(
            self._clip(row, split, audio=audio, task=task)
            for row in listed
            if (split := self._split(row))
            and (task == "regression" or _emotion(row) in self.emotions)
        )
        if not any((source / clip.file).exists() for clip in clips):
            self._refuse(source, [f"every recording of {table} in {audio}/"])
        if task == "regression":
            return Manifest(clips, self.targets, ("gender", "emotion"))
        return Manifest(clips, attributes=("gender",))

    def _places(self, source: Path) -> tuple[str, str]:
        """Return the table and the folder of recordings, relative to ``source``."""
        table = restricted.first(source, TABLES)
        audio = restricted.first(source, AUDIO)
        missing = [] if table else [TABLES[0]]
        if not audio:
            missing.append(f"the folder {AUDIO[0]}")
        if missing:
            self._refuse(source, missing)
        return table, audio

    def _refuse(self, source: Path, missing: list[str]) -> NoReturn:
        restricted.refuse(
            source,
            missing,
            how="the MSP-Podcast corpus must be requested from the MSP lab of Prof. "
            f"Carlos Busso ({self.url}, busso@utdallas.edu); put its folders Labels "
            "and Audios there, or name their place in fetch.source",
        )

    def _split(self, row: Row) -> str:
        """Return the split of a row, nothing for test sets that are not used."""
        word = row.text("Split_Set")
        if word in SPLITS:
            return SPLITS[word]
        if not word.startswith("Test"):
            known = (*SPLITS, *TESTS.values())
            row.fail(f"unknown Split_Set '{word}'; expected {', '.join(known)}")
        return "test" if word == self.test else ""

    def _clip(self, row: Row, split: str, *, audio: str, task: str) -> Clip:
        file, speaker, gender = map(row.text, ("FileName", "SpkrID", "Gender"))
        if PurePosixPath(file).name != file:
            row.fail(f"'{file}' is not the name of a file; expected one in {audio}/")
        regression = task == "regression"
        emotion = EMOTIONS[_emotion(row)]
        return Clip(
            clip=file.removesuffix(".wav"),
            file=f"{audio}/{file}",
            labels=() if regression else (emotion,),
            targets=tuple(row.number(TARGETS[name]) for name in self.targets)
            if regression
            else (),
            split=split,
            group="" if speaker.lower() in ("", UNKNOWN) else speaker,
            attributes=(gender, emotion) if regression else (gender,),
        )


def _emotion(row: Row) -> str:
    letter = row.text("EmoClass")
    if letter not in EMOTIONS:
        row.fail(f"unknown EmoClass '{letter}'; expected {', '.join(EMOTIONS)}")
    return letter


def _check_header(table: Path, header: Sequence[str]) -> None:
    if missing := [name for name in _COLUMNS if name not in header]:
        raise DataError(
            f"{table}: no column {', '.join(missing)}; expected the table of a release "
            f"from 1.6 on, with {', '.join(_COLUMNS)}"
        )
