"""The Berlin Database of Emotional Speech."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rehear import archives, transfers
from rehear.datasets import choices
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest

ARCHIVE = transfers.Remote(
    name="download.zip", url="http://emodb.bilderbar.info/download/download.zip"
)
EMOTIONS = {  # by the first letter of the German word in a file's name
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
RECORDINGS = {
    "anger": 127,
    "boredom": 81,
    "disgust": 46,
    "fear": 69,
    "happiness": 71,
    "neutral": 79,
    "sadness": 62,
}
SPEAKERS = {  # gender and age
    "03": ("male", "31"),
    "08": ("female", "34"),
    "09": ("female", "21"),
    "10": ("male", "32"),
    "11": ("male", "26"),
    "12": ("male", "30"),
    "13": ("female", "32"),
    "14": ("female", "35"),
    "15": ("male", "25"),
    "16": ("female", "31"),
}
_MEMBER = re.compile(r"wav/((\d\d)([ab]\d\d)([WLEAFNT])([a-z]))\.wav")


class EmoDB:
    """German sentences, acted in six emotions and in a neutral voice.

    Burkhardt et al., "A Database of German Emotional Speech", Interspeech 2005,
    https://doi.org/10.21437/Interspeech.2005-446. Ten sentences, recorded in an
    anechoic chamber; WAV, 16 kHz, mono. Labels are ``anger``, ``boredom``,
    ``disgust``, ``fear``, ``happiness``, ``neutral`` and ``sadness``.

    Size: 10 actors (5 women, 5 men) and 535 recordings: those in which at least
    80 % of 20 listeners recognised the emotion.

    Splits: there is no official one. By default, speakers 13 and 14 are dev, 15
    and 16 are test, and the others (3, 8, 9, 10, 11, 12) train, as in autrainer's
    preset, whose numbers can so be compared. The split that audb publishes is
    ``test_speakers: [12, 14, 15, 16]`` with ``dev_speakers: []`` (dev is then
    drawn). Each speaker is a fold as well: leave one speaker out. All speakers
    say the same ten sentences, so no split here is one of unseen texts.

    Attributes: ``gender``, ``age`` (years), ``sentence`` (``a01`` … ``b10``) and
    ``version`` (``a``, ``b`` …, of the same sentence, emotion and speaker).

    Checksums: none is published, and the host is known by plain http only. That
    of the first download is recorded and enforced from then on; in addition, the
    number of recordings of each emotion must be the published one.

    Args:
        dev_speakers: numbers of the speakers in dev; for none, dev is drawn
        test_speakers: numbers of the speakers in test
        emotions: the labels to use, as ``[anger, happiness, neutral, sadness]``;
            all if none is given
        mirror: another place that has ``download.zip``, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such speaker or emotion, or a speaker is in
            both dev and test
    """

    title = "Berlin Database of Emotional Speech"
    citation = (
        "Burkhardt, F., Paeschke, A., Rolfes, M., Sendlmeier, W. and Weiss, B.: "
        "A Database of German Emotional Speech, Interspeech 2005, "
        "doi:10.21437/Interspeech.2005-446."
    )
    licence = "CC0 1.0, as stated in audb"
    url = "http://emodb.bilderbar.info"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "535 recordings, 10 speakers"
    folds = tuple(SPEAKERS)

    def __init__(
        self,
        *,
        dev_speakers: Sequence[int | str] = (13, 14),
        test_speakers: Sequence[int | str] = (15, 16),
        emotions: Sequence[str] = (),
        mirror: str = "",
    ) -> None:
        self.dev = _speakers("dev_speakers", dev_speakers)
        self.test = _speakers("test_speakers", test_speakers)
        if both := sorted(self.dev & self.test):
            raise ParamsError(
                f"dataset.test_speakers: speaker {', '.join(both)} is in "
                "dataset.dev_speakers as well; a speaker has one split"
            )
        self.emotions = choices.some("emotions", emotions, RECORDINGS)
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archive and list its recordings, which stay in it.

        Args:
            raw: existing folder, in which ``download.zip`` is put
            task: ``classification``
            source: not used
            downloads: keeps the download between tries

        Raises:
            DataError: if the download fails, or the archive holds other
                recordings than were published
        """
        paths = transfers.fetch([ARCHIVE], raw, downloads=downloads, mirror=self.mirror)
        archive = paths[ARCHIVE.name]
        members = sorted(filter(_MEMBER.fullmatch, archives.members(archive)))
        clips = [self._clip(archive.name, member) for member in members]
        _verify(clips)
        return Manifest(
            tuple(clip for clip in clips if clip.labels[0] in self.emotions),
            attributes=("gender", "age", "sentence", "version"),
        )

    def _clip(self, archive: str, member: str) -> Clip:
        match = _MEMBER.fullmatch(member)
        assert match is not None
        name, speaker, sentence, emotion, version = match.groups()
        return Clip(
            clip=name,
            file=f"{archive}{archives.SEPARATOR}{member}",
            labels=(EMOTIONS[emotion],),
            split=self._split(speaker),
            fold=speaker,
            group=speaker,
            attributes=(*SPEAKERS.get(speaker, ("", "")), sentence, version),
        )

    def _split(self, speaker: str) -> str:
        if speaker in self.test:
            return "test"
        return "dev" if speaker in self.dev else "train"


def _speakers(argument: str, numbers: Sequence[int | str]) -> frozenset[str]:
    listed = [numbers] if isinstance(numbers, str) else numbers
    return frozenset(choices.one(argument, f"{n:0>2}", SPEAKERS) for n in listed)


def _verify(clips: Iterable[Clip]) -> None:
    found = Counter(clip.labels[0] for clip in clips)
    wrong = [
        f"{found[emotion]} of {emotion} (expected {count})"
        for emotion, count in RECORDINGS.items()
        if found[emotion] != count
    ]
    if wrong:
        raise DataError(
            f"{ARCHIVE.name}: holds other recordings than were published: "
            f"{', '.join(wrong)}; check dataset.mirror, or report that the data set "
            "has changed"
        )
