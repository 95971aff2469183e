"""A folder of recordings to add to clips, or to convolve them with."""

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

from rehear import audio, ffmpeg

_ENDINGS = ffmpeg.ENDINGS | {
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
    *(".au", ".caf", ".w64", ".rf64"),
}
_CACHE = 2**28  # bytes of decoded recordings that each process keeps: 256 MiB


class Recordings:
    """Recordings under a folder, decoded, at one sample rate.

    They are numbered in the alphabetical order of their paths, so that the order
    on disk does not matter. Those used last are kept in memory.

    Args:
        folder: searched with all its folders; hidden files are left out
        sample_rate: that recordings are resampled to, in Hz
        cache: most bytes to keep

    Raises:
        ValueError: if there is no such folder, or no recording in it
    """

    def __init__(self, folder: Path, *, sample_rate: int, cache: int = _CACHE) -> None:
        if not folder.is_dir():
            raise ValueError(f"folder {folder} does not exist; correct its path")
        if sample_rate < 1:
            raise ValueError("recordings need the sample rate of a waveform")
        self.folder, self.sample_rate, self.cache = folder, sample_rate, cache
        self.files = sorted(_found(folder))
        if not self.files:
            raise ValueError(f"folder {folder} holds no recordings; put some there")
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> np.ndarray:
        """Return a recording ``(channels, samples)``, which must not be changed.

        Raises:
            AudioError: if it cannot be read
        """
        file = self.files[number]
        if file in self._kept:
            self._kept.move_to_end(file)
            return self._kept[file]
        waveform, rate = audio.read(self.folder / file)
        waveform = audio.resample(waveform, rate, self.sample_rate)
        waveform.flags.writeable = False
        if waveform.nbytes <= self.cache:
            self._kept[file] = waveform
            self._bytes += waveform.nbytes
        while self._bytes > self.cache:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
        return waveform


def _found(folder: Path) -> list[str]:
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            Path(place, name).relative_to(folder).as_posix()
            for name in names
            if Path(name).suffix.lower() in _ENDINGS and not name.startswith(".")
        ]
    return files
