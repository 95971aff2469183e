"""Speech Commands: single English words of thousands of speakers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rehear import archives, audio, transfers
from rehear.datasets import choices
from rehear.errors import DataError, ParamsError
from rehear.manifest import Clip, Manifest

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
PROTOCOLS = ("words", "commands")
LISTS = {"validation_list.txt": "dev", "testing_list.txt": "test"}
DEV_NOISE = "running_tap"
_URL = "https://storage.googleapis.com/download.tensorflow.org/data"
_MEMBER = re.compile(r"(?:\./)?(([a-z]+)/([0-9a-f]+)_nohash_([0-9]+))\.wav")
_NOISE = re.compile(r"(?:\./)?(_background_noise_/(\w+))\.wav")
# In the folder _unknown_, the word comes first, and the ending twice.
_TESTED = re.compile(
    r"(?:\./)?(([a-z_]+)/(?:(?:([a-z]+)_)?([0-9a-f]+)_nohash_)?([0-9]+))(?:\.wav)+"
)
_FIRST_WORDS = (
    *("bed", "bird", "cat", "dog", "down", "eight", "five", "four", "go", "happy"),
    *("house", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven"),
    *("sheila", "six", "stop", "three", "tree", "two", "up", "wow", "yes", "zero"),
)


@dataclass(frozen=True, slots=True)
class Release:
    """One published state of the data set.

    Attributes:
        words: all of them, in the order of the alphabet
        recordings: number of recorded words
        archive: with the recorded words, the lists and the background noise
        tested: number of clips in ``test``
        test: archive with the test clips of the protocol ``commands``
    """

    words: tuple[str, ...]
    recordings: int
    archive: transfers.Remote
    tested: int
    test: transfers.Remote


def _remote(
    name: str, size: int | None = None, sha256: str | None = None
) -> transfers.Remote:
    return transfers.Remote(name, f"{_URL}/{name}", size=size, sha256=sha256)


RELEASES = {
    "0.02": Release(
        words=tuple(
            sorted((*_FIRST_WORDS, "backward", "follow", "forward", "learn", "visual"))
        ),
        recordings=105829,
        archive=_remote(
            "speech_commands_v0.02.tar.gz",
            2428923189,
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
        tested=4890,
        test=_remote(
            "speech_commands_test_set_v0.02.tar.gz",
            112563277,
            "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
        ),
    ),
    "0.01": Release(
        words=_FIRST_WORDS,
        recordings=64721,
        archive=_remote(
            "speech_commands_v0.01.tar.gz",
            1489096277,
            "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        ),
        tested=3081,
        test=_remote("speech_commands_test_set_v0.01.tar.gz"),
    ),
}


class SpeechCommands:
    """One word in about a second, said by thousands of volunteers.

    Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech
    Recognition", 2018, https://arxiv.org/abs/1804.03209, CC BY 4.0. WAV, 16 kHz,
    mono, at most 1 s.

    Size: 105,829 recordings of 35 words in version ``0.02`` (train 84,843, dev
    9,981, test 11,005); 64,721 of 30 words in ``0.01`` (51,088, 6,798, 6,835).

    Protocol ``words``: every word is a class. The splits are those of the lists
    in the archive, which follow from a hash of the speaker, so that no speaker is
    in two of them.

    Protocol ``commands``: the paper's twelve classes, which are ten words,
    ``_unknown_`` (every other word) and ``_silence_``. The test split is the
    archive that the author made for it ("canonical test set", 4,890 clips, 408 of
    them unknown and 408 silent). Train and dev follow TensorFlow Datasets
    (``speech_commands`` 0.0.3; 85,511 and 10,102 clips): the lists as above;
    silence is cut from the recordings of background noise into clips of 1 s,
    every 0.5 s, those of ``running_tap`` for dev. About two thirds of train are
    ``_unknown_``: balance the loss or the sampling. Where the silent clips of the
    test archive come from is not published; where they are copies of the noise
    that the model trains on, ``fetch`` finds and refuses them.

    Attributes: ``word``, and ``utterance``, the number of the recording among
    those of its speaker and word. The group is the speaker; of cut silence, the
    recording that it is cut from.

    Checksums: those in torchaudio and TensorFlow Datasets. For the test archive
    of version 0.01, none is known; that of the first download is recorded and
    enforced from then on.

    Args:
        version: ``0.02`` or ``0.01``
        protocol: ``words`` or ``commands``
        words: the words to use with the protocol ``words``; all if none is given
        mirror: another place that has the archives, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such version, protocol or word, or words are
            chosen for the protocol ``commands``
    """

    title = "Speech Commands"
    citation = (
        "Warden, P.: Speech Commands: A Dataset for Limited-Vocabulary Speech "
        "Recognition, 2018, arXiv:1804.03209."
    )
    licence = "CC BY 4.0"
    url = "https://arxiv.org/abs/1804.03209"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "105,829 recordings of 35 words, 2.4 GB (version 0.02)"
    folds: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        version: str = "0.02",
        protocol: str = "words",
        words: Sequence[str] = (),
        mirror: str = "",
    ) -> None:
        self.release = RELEASES[choices.one("version", version, RELEASES)]
        self.protocol = choices.one("protocol", protocol, PROTOCOLS)
        self.words = choices.some("words", words, self.release.words)
        if self.protocol == "commands" and words:
            raise ParamsError(
                "dataset.words: the protocol 'commands' has its own words; remove "
                "dataset.words, or set dataset.protocol: words"
            )
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archives and list their recordings, which stay in them.

        Args:
            raw: existing folder, in which the archives are put
            task: ``classification``
            source: not used
            downloads: keeps the downloads between tries

        Raises:
            DataError: if a download fails, or an archive holds other recordings
                than were published
        """
        release = self.release
        remotes = [release.archive]
        if self.protocol == "commands":
            remotes.append(release.test)
        paths = transfers.fetch(remotes, raw, downloads=downloads, mirror=self.mirror)
        archive = paths[release.archive.name]
        spoken = list(_spoken(archive))
        _count(archive, len(spoken), release.recordings)
        if self.protocol == "words":
            clips = [clip for clip in spoken if clip.labels[0] in self.words]
        else:
            tested = list(_tested(paths[release.test.name]))
            _count(paths[release.test.name], len(tested), release.tested)
            trained = (_as_command(clip) for clip in spoken if clip.split != "test")
            clips = [*trained, *_silences(archive), *tested]
        clips.sort(key=lambda clip: clip.clip)
        return Manifest(tuple(clips), attributes=("word", "utterance"))


def _spoken(archive: Path) -> Iterator[Clip]:
    """Yield every recorded word, with its split."""
    split_of = _listed(archive)
    for member in archives.members(archive):
        if match := _MEMBER.fullmatch(member):
            name, word, speaker, number = match.groups()
            yield Clip(
                clip=name,
                file=f"{archive.name}{archives.SEPARATOR}{member}",
                labels=(word,),
                split=split_of.pop(name, "train"),
                group=speaker,
                attributes=(word, number),
            )
    if split_of:
        raise DataError(
            f"{archive.name}: lacks {len(split_of)} recordings of its own lists, such "
            f"as '{next(iter(split_of))}.wav'; fetch it again"
        )


def _listed(archive: Path) -> dict[str, str]:
    """Return the split of every recording in the archive's lists."""
    split_of = {}
    places = {member.removeprefix("./"): member for member in archives.members(archive)}
    for name, split in LISTS.items():
        if name not in places:
            raise DataError(f"{archive.name}: has no member '{name}'; fetch it again")
        place = archives.locate(f"{archive}{archives.SEPARATOR}{places[name]}")
        for line in place.read(0, place.size).decode("ascii", "replace").split():
            split_of[line.removesuffix(".wav")] = split
    return split_of


def _as_command(clip: Clip) -> Clip:
    return clip if clip.labels[0] in COMMANDS else replace(clip, labels=(UNKNOWN,))


def _silences(archive: Path) -> Iterator[Clip]:
    """Cut the recordings of background noise."""
    for member in archives.members(archive):
        match = _NOISE.fullmatch(member)
        if match is None:
            continue
        name, noise = match.groups()
        facts = audio.facts(f"{archive}{archives.SEPARATOR}{member}")
        rate = facts.sample_rate
        for first in range(0, facts.samples - rate, rate // 2):
            start, end = first / rate, first / rate + 1
            yield Clip(
                clip=f"{name}[{start}-{end}]",
                file=f"{archive.name}{archives.SEPARATOR}{member}",
                start=start,
                end=end,
                labels=(SILENCE,),
                split="dev" if noise == DEV_NOISE else "train",
                group=noise,
                attributes=("", ""),
            )


def _tested(archive: Path) -> Iterator[Clip]:
    """Yield every clip of the archive with the twelve classes."""
    for member in archives.members(archive):
        if match := _TESTED.fullmatch(member):
            name, label, word, speaker, number = match.groups()
            spoken = label if label in COMMANDS else word
            yield Clip(
                clip=name,
                file=f"{archive.name}{archives.SEPARATOR}{member}",
                labels=(label,),
                split="test",
                group=speaker or "",
                attributes=(spoken or "", number if speaker else ""),
            )


def _count(archive: Path, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(
            f"{archive.name}: holds {found} recordings, expected {expected}; check "
            "dataset.mirror and dataset.version"
        )
