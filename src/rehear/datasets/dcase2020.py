"""TAU Urban Acoustic Scenes 2020 Mobile, task 1A of the DCASE challenge of 2020."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from rehear import transfers
from rehear.datasets import autrainer, choices, members, rows
from rehear.datasets.rows import Row
from rehear.manifest import Clip, Manifest
from rehear.transfers import Remote

CATEGORIES = {
    "indoor": ("airport", "metro_station", "shopping_mall"),
    "outdoor": ("park", "public_square", "street_pedestrian", "street_traffic"),
    "transportation": ("bus", "metro", "tram"),
}
CITIES = (
    *("barcelona", "helsinki", "lisbon", "london", "lyon"),
    *("milan", "paris", "prague", "stockholm", "vienna"),
)
_CATEGORY_OF = {scene: name for name, found in CATEGORIES.items() for scene in found}
_NAME = re.compile(r"([a-z_]+)-([a-z]+)-(\d+)-(\d+)-([a-z0-9]+)")


def _remote(name: str, size: int, md5: str) -> Remote:
    file = f"TAU-urban-acoustic-scenes-2020-mobile-development.{name}.zip"
    url = f"https://zenodo.org/records/3819968/files/{file}"
    return Remote(file, url, size=size, md5=md5)


META = _remote("meta", 214159, "6eae9db553ce48e4ea246e34e50a3cf5")
AUDIO = tuple(
    _remote(f"audio.{number}", size, md5)
    for number, size, md5 in (
        (1, 1726039031, "b1e85b8a908d3d6a6ab73268f385d5c8"),
        (2, 1782268370, "4310a13cc2943d6ce3f70eba7ba4c784"),
        (3, 1870468865, "ed38956c4246abb56190c1e9b602b7b8"),
        (4, 1879413176, "97ab8560056b6816808dedc044dcc023"),
        (5, 1823936584, "b50f5e0bfed33cd8e52cb3e7f815c6cb"),
        (6, 1827246144, "fbf856a3a86fff7520549c899dc94372"),
        (7, 1728630243, "0dbffe7b6e45564da649378723284062"),
        (8, 1748646043, "bb6f77832bf0bd9f786f965beb251b2e"),
        (9, 1780487215, "a65596a5372eab10c78e08a0de797c9e"),
        (10, 1726068853, "2ad595819ffa1d56d2de4c7ed43205a6"),
        (11, 1744480272, "0ad29f7040a4e6a22cfd639b3a6738e5"),
        (12, 1738707195, "e5f4400c6b9697295fab4cf507155a2f"),
        (13, 1835797785, "8855ab9f9896422746ab4c5d89d8da2f"),
        (14, 1846390881, "092ad744452cd3e7de78f988a3d13020"),
        (15, 1869032508, "4b5eb85f6592aebf846088d9df76b420"),
        (16, 436971777, "2e0a89723e58a3836be019e6996ae460"),
    )
)


class AcousticScenes2020:
    """Ten kinds of places in ten European cities, through nine devices.

    Heittola, Mesaros and Virtanen, "Acoustic scene classification in DCASE 2020
    Challenge: generalization across devices and low complexity solutions",
    DCASE 2020 Workshop, arXiv:2005.14623. WAV, 44.1 kHz, mono, 24 bit, 10 s each.
    Labels are the ten scenes: ``airport``, ``bus``, ``metro`` …

    Size: 23,040 clips, 64 h, 27.4 GB. Device ``a`` is a binaural microphone, ``b``
    and ``c`` are consumer devices, ``s1`` to ``s6`` are simulated from ``a``; the
    same moment may be there through several of them.

    Protocol (README of the development set): 13,962 clips of the list
    ``fold1_train`` are for training, 2,968 of ``fold1_evaluate`` are the test
    split; no location is in both. The other clips, 6,105 according to the README,
    are left out, as they are there: ``s4`` to ``s6`` are for testing only, and
    test has as many clips of each device. There is no dev split; whole locations
    of train are drawn for it, as ``fetch.split.dev`` says. The evaluation set of
    the challenge has no public labels.

    ``autrainer`` has the same train and test, and draws locations for dev until
    at least ``dev_split`` of the training clips are in them. With
    ``dev_split: 0``, its own default, the test split is dev as well, for which
    ``fetch`` asks for a reason.

    The group is the city with the number of the location, ``barcelona-0`` of
    ``airport-barcelona-0-0-a.wav``.

    Attributes: ``city``, ``device`` and ``scene_category`` (``indoor``,
    ``outdoor`` or ``transportation``).

    Args:
        scene_category: use only the scenes of one category; all if not given
        exclude_cities: leave these out of training, to test on cities never
            heard; they stay in test, and in the dev split of ``autrainer``
        split: ``official`` or ``autrainer``
        dev_split: least share of the training clips in dev, of ``autrainer`` only
        dev_split_seed: of that draw
        mirror: another place that has the archives, a URL or ``file:///…``

    Raises:
        ParamsError: if there is no such category, city or split, or the share is
            none
    """

    title = "TAU Urban Acoustic Scenes 2020 Mobile, development set"
    citation = (
        "Heittola, T., Mesaros, A. and Virtanen, T.: Acoustic scene classification in "
        "DCASE 2020 Challenge: generalization across devices and low complexity "
        "solutions, Detection and Classification of Acoustic Scenes and Events "
        "Workshop (DCASE), 2020, arXiv:2005.14623."
    )
    licence = "free for academic, non-commercial use (Tampere University)"
    url = "https://zenodo.org/records/3819968"
    tasks = ("classification",)
    needs_source = False
    published = True
    size = "23,040 clips of 10 s, 64 h, 27.4 GB"
    folds: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        scene_category: str = "",
        exclude_cities: Sequence[str] = (),
        split: str = "official",
        dev_split: float = 0.1,
        dev_split_seed: int = 0,
        mirror: str = "",
    ) -> None:
        if scene_category:
            choices.one("scene_category", scene_category, CATEGORIES)
        self.scene_category = scene_category
        listed = [exclude_cities] if isinstance(exclude_cities, str) else exclude_cities
        self.exclude_cities = {
            choices.one("exclude_cities", city, CITIES) for city in listed
        }
        self.split = choices.one("split", split, autrainer.SPLITS)
        self.dev_split = autrainer.share("dev_split", dev_split)
        self.dev_split_seed = dev_split_seed
        self.mirror = mirror

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Download the archives and list their recordings, which stay in them.

        Args:
            raw: existing folder, in which the archives are put
            task: ``classification``
            source: not used
            downloads: keeps the downloads between tries

        Raises:
            DataError: if a download fails, a list names a recording that is in no
                archive, or a name has another form than was published
        """
        remotes = [META, *AUDIO]
        paths = transfers.fetch(remotes, raw, downloads=downloads, mirror=self.mirror)
        packed = members.recordings(paths[remote.name] for remote in AUDIO)
        clips: list[Clip] = []
        for words, split in (("train", "train"), ("evaluate", "test")):
            path = members.table(
                paths[META.name], f"evaluation_setup/fold1_{words}.csv"
            )
            for row in rows.read(path, delimiter="\t")[1]:
                clips.append(replace(_clip(row, packed), split=split))
        return Manifest(
            tuple(self._chosen(self._divided(clips))),
            attributes=("city", "device", "scene_category"),
        )

    def _divided(self, clips: Sequence[Clip]) -> Iterator[Clip]:
        if self.split == "autrainer" and self.dev_split == 0:
            yield from autrainer.with_test_as_dev(clips)
            return
        dev = self._dev_locations(clips) if self.split == "autrainer" else set()
        for clip in clips:
            moved = clip.split == "train" and _location(clip) in dev
            yield replace(clip, split="dev") if moved else clip

    def _dev_locations(self, clips: Sequence[Clip]) -> set[int]:
        # Drawn by their numbers alone, in the order of the list, as there.
        counts = Counter(_location(clip) for clip in clips if clip.split == "train")
        order = np.array(list(counts))
        np.random.default_rng(self.dev_split_seed).shuffle(order)
        least = counts.total() * self.dev_split
        dev: set[int] = set()
        drawn = 0
        for location in order.tolist():
            if drawn < least:
                dev.add(location)
                drawn += counts[location]
        return dev

    def _chosen(self, clips: Iterator[Clip]) -> Iterator[Clip]:
        for clip in clips:
            city, _, category = clip.attributes
            if self.scene_category not in ("", category):
                continue
            if clip.split == "train" and city in self.exclude_cities:
                continue
            yield clip


def _clip(row: Row, packed: dict[str, str]) -> Clip:
    file = PurePosixPath(row.text("filename"))
    scene = row.text("scene_label")
    match = _NAME.fullmatch(file.stem)
    if match is None or match[1] != scene or scene not in _CATEGORY_OF:
        row.fail(
            f"'{file}' is labelled '{scene}'; expected a known scene and a name such "
            "as 'audio/airport-barcelona-0-0-a.wav'"
        )
    if file.name not in packed:
        row.fail(f"'{file.name}' is in none of the archives; fetch them again")
    _, city, location, _, device = match.groups()
    return Clip(
        clip=file.stem,
        file=packed[file.name],
        labels=(scene,),
        group=f"{city}-{location}",
        attributes=(city, device, _CATEGORY_OF[scene]),
    )


def _location(clip: Clip) -> int:
    return int(clip.group.rpartition("-")[2])
