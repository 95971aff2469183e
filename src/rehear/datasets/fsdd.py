"""The Free Spoken Digit Dataset."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rehear import archives, transfers
from rehear.errors import DataError, ParamsError, suggest
from rehear.manifest import Clip, Manifest
from rehear.transfers import Remote

PROTOCOLS = ("speaker", "official")
TEST_SPEAKERS = frozenset({"theo", "lucas"})
DEV_SPEAKERS = frozenset({"nicolas"})
_OFFICIAL_TEST = range(5)
_MEMBER = re.compile(r"[^/]+/recordings/(([0-9])_([a-z]+)_([0-9]+))\.wav")


@dataclass(frozen=True, slots=True)
class _Release:
    """One published state of the data set.

    Attributes:
        ref: tag or commit in the repository
        recordings: number of recordings
        contents: digest of all recordings, as ``contents_digest`` computes it
        size: of the archive, in bytes
        sha256: of the archive
    """

    ref: str
    recordings: int
    contents: str | None = None
    size: int | None = None
    sha256: str | None = None


RELEASES = {
    "26eb9aa": _Release(
        ref="26eb9aaf76e81b692f806f9140c2d2777410d7a1",
        recordings=3000,
        contents="1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959",
    ),
    "1.0.9": _Release(
        ref="v1.0.9",
        recordings=2500,
        size=11975353,
        sha256="8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
    ),
}


class FreeSpokenDigits:
    """English digits 0 to 9, spoken 50 times each by every speaker.

    Jackson et al., "Free Spoken Digit Dataset", https://doi.org/10.5281/zenodo.1342401,
    CC BY-SA 4.0. WAV, 8 kHz, mono, 0.14 to 2.28 s, trimmed.

    Size: 6 speakers and 3,000 recordings, 21 MB, in the state ``26eb9aa``;
    5 speakers (without lucas) and 2,500 recordings in release ``1.0.9``.

    Splits: ``official`` is the protocol of the data set's authors: recordings 0
    to 4 of every digit and speaker are the test split, the rest is for training.
    It shares all speakers, so it says nothing about new voices, and ``fetch``
    asks for a reason to use it. It defines no dev split; one is drawn.
    ``speaker`` is ours: test are theo (accent of the USA) and lucas (German),
    dev is nicolas (Belgian French), train are jackson (USA), yweweler (German)
    and george (Greek), so that both accents in test are known from training,
    but no voice is. Each speaker is a fold as well: leave one speaker out.

    Checksums: the archive of release ``1.0.9`` is pinned as TensorFlow Datasets
    publishes it. That of a commit is made anew by the server, whose compression
    may change, so its contents are pinned instead: ``contents`` is what
    ``LC_ALL=C sha256sum *.wav | sha256sum`` prints in the folder ``recordings``.

    Args:
        version: ``26eb9aa`` or ``1.0.9``
        split: ``speaker`` or ``official``
        mirror: another place that has the archive as ``fsdd-26eb9aa.tar.gz`` or
            ``fsdd-1.0.9.tar.gz``, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such version or split
    """

    title = "Free Spoken Digit Dataset"
    citation = (
        "Jackson, Z., Souza, C., Flaks, J., Pan, Y., Nicolas, H. and Thite, A.: "
        "Free Spoken Digit Dataset, 2018, doi:10.5281/zenodo.1342401."
    )
    licence = "CC BY-SA 4.0"
    url = "https://github.com/Jakobovski/free-spoken-digit-dataset"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "3,000 recordings, 21 MB"
    folds = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")

    def __init__(
        self, *, version: str = "26eb9aa", split: str = "speaker", mirror: str = ""
    ) -> None:
        for name, value, known in (
            ("version", version, tuple(RELEASES)),
            ("split", split, PROTOCOLS),
        ):
            if value not in known:
                raise ParamsError(
                    f"dataset.{name}: unknown {name} '{value}'."
                    f"{suggest(str(value), known)} Known: {', '.join(known)}"
                )
        self.release = RELEASES[version]
        self.split = split
        self.mirror = mirror
        self.remote = Remote(
            name=f"fsdd-{version}.tar.gz",
            url=f"{self.url}/archive/{self.release.ref}.tar.gz",
            size=self.release.size,
            sha256=self.release.sha256,
            stable=self.release.sha256 is not None,
        )

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archive and list its recordings, which stay in it.

        Args:
            raw: existing folder, in which the archive is put
            task: ``classification``
            source: not used
            downloads: keeps the download between tries

        Raises:
            DataError: if the download fails, or the archive holds other
                recordings than were published
        """
        (archive,) = transfers.fetch(
            [self.remote], raw, downloads=downloads, mirror=self.mirror
        ).values()
        names = [name for name in archives.members(archive) if _MEMBER.fullmatch(name)]
        self._verify(archive, names)
        return Manifest(tuple(self._clip(archive, name) for name in sorted(names)))

    def _verify(self, archive: Path, names: list[str]) -> None:
        if len(names) != self.release.recordings:
            raise DataError(
                f"{self.remote.name}: holds {len(names)} recordings, expected "
                f"{self.release.recordings}; check dataset.mirror and dataset.version"
            )
        if self.release.contents is None:
            return
        found = contents_digest(archive, names)
        if found != self.release.contents:
            raise DataError(
                f"{self.remote.name}: the recordings have the digest {found}, expected "
                f"{self.release.contents}; check dataset.mirror and dataset.version, "
                "or report that the data set has changed"
            )

    def _clip(self, archive: Path, member: str) -> Clip:
        match = _MEMBER.fullmatch(member)
        assert match is not None
        name, digit, speaker, index = match.groups()
        return Clip(
            clip=name,
            file=f"{archive.name}{archives.SEPARATOR}{member}",
            labels=(digit,),
            split=self._split(speaker, int(index)),
            fold=speaker,
            group=speaker,
        )

    def _split(self, speaker: str, index: int) -> str:
        if self.split == "official":
            return "test" if index in _OFFICIAL_TEST else "train"
        if speaker in TEST_SPEAKERS:
            return "test"
        return "dev" if speaker in DEV_SPEAKERS else "train"


def contents_digest(archive: Path, members: list[str]) -> str:
    """Return the SHA-256 of the lines that ``sha256sum`` prints for ``members``.

    The lines have the form ``<digest>  <file name>`` and are sorted by name, so
    that packing and compression do not matter.
    """
    digests = {}
    for member in members:
        stretch = archives.locate(f"{archive}{archives.SEPARATOR}{member}")
        data = stretch.read(0, stretch.size)
        digests[member.rpartition("/")[2]] = hashlib.sha256(data).hexdigest()
    lines = (f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
