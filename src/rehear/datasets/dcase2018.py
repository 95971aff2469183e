"""Bird audio detection, task 3 of the DCASE challenge of 2018."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rehear import archives, transfers
from rehear.datasets import autrainer, choices, members, rows
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest
from rehear.transfers import Remote

SPLITS = ("corpora", "autrainer")
ROWS = {"freefield1010": 7690, "BirdVox-DCASE-20k": 20_000, "warblrb10k": 8000}
LABELS = {"1": "bird", "0": "no bird"}
_FIGSHARE = "https://ndownloader.figshare.com/files"
_ARCHIVE_ORG = "https://archive.org/download"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpus:
    """One of the three sets of recordings.

    Attributes:
        name: as the challenge calls it
        audio: its recordings
        table: its labels
        split: ``train`` or ``test``
    """

    name: str
    audio: Remote
    table: Remote
    split: str


CORPORA = (
    Corpus(
        name="freefield1010",
        audio=Remote(
            "ff1010bird_wav.zip", f"{_ARCHIVE_ORG}/ff1010bird/ff1010bird_wav.zip"
        ),
        table=Remote("ff1010bird_metadata_2018.csv", f"{_FIGSHARE}/10853303"),
        split="train",
    ),
    Corpus(
        name="BirdVox-DCASE-20k",
        audio=Remote(
            "BirdVox-DCASE-20k.zip",
            "https://zenodo.org/records/1208080/files/BirdVox-DCASE-20k.zip",
        ),
        table=Remote("BirdVoxDCASE20k_csvpublic.csv", f"{_FIGSHARE}/10853300"),
        split="train",
    ),
    Corpus(
        name="warblrb10k",
        audio=Remote(
            "warblrb10k_public_wav.zip",
            f"{_ARCHIVE_ORG}/warblrb10k_public/warblrb10k_public_wav.zip",
        ),
        table=Remote("warblrb10k_public_metadata_2018.csv", f"{_FIGSHARE}/10853306"),
        split="test",
    ),
)


class BirdDetection2018:
    """Is a bird to be heard? Three corpora, recorded in three ways.

    Stowell et al., "Automatic acoustic detection of birds through deep learning:
    the first Bird Audio Detection challenge", Methods in Ecology and Evolution
    10(3), 2019, https://doi.org/10.1111/2041-210X.13103. WAV, 44.1 kHz, mono,
    about 10 s each. Labels are ``bird`` and ``no bird`` (``hasbird`` 1 and 0).

    Size: 35,690 clips. ``freefield1010`` are 7,690 excerpts of field recordings
    from all over the world, on Freesound; ``BirdVox-DCASE-20k`` 20,000 clips of
    one night of bird migration, from six sensors near Ithaca, USA;
    ``warblrb10k`` 8,000 recordings from smartphones in the United Kingdom. The
    evaluation sets of the challenge have no public labels.

    Protocol: the challenge asks for recordings made under other conditions than
    those of training, and defines no split of these corpora; in practice, one
    corpus is left out. So each corpus is a fold, and without folds (``corpora``)
    ``warblrb10k`` is the test split, and the others are for training. Dev is
    drawn from these, as ``fetch.split.dev`` says; it is not of a third kind.
    ``autrainer`` has the same test split, and draws ``dev_split`` of all training
    clips at random. With ``dev_split: 0``, its own default, the test split is dev
    as well, for which ``fetch`` asks for a reason.

    No groups are published: neither the sensor of a clip of BirdVox, nor the
    phone of one of Warblr, nor the source of one of freefield1010.

    Attribute: ``corpus``.

    Checksums: none is published; a catalogue gives one and the same MD5 for all
    these files, so it is a placeholder. Those of the first download are recorded
    and enforced from then on. A labelled recording that its archive lacks is
    handled like one that cannot be read, as ``fetch.on_error`` says; recordings
    without a label are left out.

    Args:
        split: ``corpora`` or ``autrainer``
        dev_split: share of the training clips in dev, of ``autrainer`` only
        dev_split_seed: of that draw
        mirror: another place that has the six files, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such split, or the share is none
    """

    title = "DCASE 2018 Task 3: Bird Audio Detection"
    citation = (
        "Stowell, D., Wood, M. D., Pamuła, H., Stylianou, Y. and Glotin, H.: "
        "Automatic acoustic detection of birds through deep learning: the first Bird "
        "Audio Detection challenge, Methods in Ecology and Evolution 10(3), 2019, "
        "doi:10.1111/2041-210X.13103."
    )
    licence = "CC BY 4.0 (labels); the recordings are under Creative Commons licences"
    url = "https://dcase.community/challenge2018/task-bird-audio-detection"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "35,690 clips of 10 s, 99 h"
    folds = tuple(corpus.name for corpus in CORPORA)

    def __init__(
        self,
        *,
        split: str = "corpora",
        dev_split: float = 0.1,
        dev_split_seed: int = 0,
        mirror: str = "",
    ) -> None:
        self.split = choices.one("split", split, SPLITS)
        self.dev_split = autrainer.share("dev_split", dev_split)
        self.dev_split_seed = dev_split_seed
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download tables and archives, and list the recordings, which stay in them.

        Args:
            raw: existing folder, in which the files are put
            task: ``classification``
            source: not used
            downloads: keeps the downloads between tries

        Raises:
            DataError: if a download fails, a table says neither 0 nor 1, or it has
                another number of rows than was published
        """
        remotes = [r for corpus in CORPORA for r in (corpus.table, corpus.audio)]
        paths = transfers.fetch(remotes, raw, downloads=downloads, mirror=self.mirror)
        clips = [clip for corpus in CORPORA for clip in _clips(corpus, paths)]
        if self.split == "autrainer":
            clips = list(self._as_autrainer(clips))
        return Manifest(tuple(clips), attributes=("corpus",))

    def _as_autrainer(self, clips: Iterable[Clip]) -> Iterable[Clip]:
        clips = list(clips)
        if self.dev_split == 0:
            return autrainer.with_test_as_dev(clips)
        train = [number for number, clip in enumerate(clips) if clip.split == "train"]
        order = np.random.default_rng(self.dev_split_seed).permutation(len(train))
        for number in order[int(len(train) * (1 - self.dev_split)) :]:
            clips[train[number]] = clips[train[number]].moved(split="dev")
        return clips


def _clips(corpus: Corpus, paths: Mapping[str, Path]) -> Iterator[Clip]:
    archive = paths[corpus.audio.name]
    packed = members.recordings([archive])
    listed = list(rows.read(paths[corpus.table.name])[1])
    labelled = 0
    for row in listed:
        item, has_bird = row.text("itemid"), row.text("hasbird")
        if has_bird not in LABELS:
            row.fail(f"hasbird is '{has_bird}', expected 0 or 1")
        file = f"{item}.wav"
        labelled += file in packed
        yield Clip(
            clip=item,
            file=packed.get(file, f"{archive.name}{archives.SEPARATOR}wav/{file}"),
            labels=(LABELS[has_bird],),
            split=corpus.split,
            fold=corpus.name,
            attributes=(corpus.name,),
        )
    if len(listed) != ROWS[corpus.name]:
        raise DataError(
            f"{corpus.table.name}: lists {len(listed):,} recordings, expected "
            f"{ROWS[corpus.name]:,} as published; check dataset.mirror, or report that "
            "the data set has changed"
        )
    if labelled < len(packed):
        logger.info(
            "dcase2018: %d recordings of %s have no label and are left out",
            len(packed) - labelled,
            corpus.name,
        )
