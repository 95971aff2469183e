"""Decoding what libsndfile cannot, with the program ffmpeg where there is one.

It is asked for recordings in other formats only, never for a second opinion on
a damaged one: of a truncated FLAC file it makes silence without a word. Numbers
may depend on its version (the length of an AAC file does), so the one that the
package imageio-ffmpeg brings, whose version a study's lock pins, comes before
one of the system.
"""

import contextlib
import functools
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from rehear import riff
from rehear.archives import SEPARATOR, Source
from rehear.errors import AudioError

ENDINGS = frozenset(
    {
        *(".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".aac", ".wma"),
        *(".asf", ".wmv", ".webm", ".mkv", ".mka", ".avi", ".flv", ".mpg", ".mpeg"),
        *(".ts", ".amr", ".awb", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta"),
        *(".tak", ".mpc", ".spx", ".ra", ".rm", ".dsf", ".dff"),
    }
)
# First bytes of formats: where they begin, what they are, and its name.
_MARKS = (
    (4, b"ftyp", "MP4"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (8, b"AVI LIST", "AVI"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"TTA1", "True Audio"),
    (0, b"tBaK", "TAK"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (28, b"Speex   ", "Speex"),
    (0, b".RMF", "RealMedia"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
)
# Formats of files that hold sound themselves. Others name further files to read
# (playlists, image sequences), which a recording must not.
_DEMUXERS = (
    "mov,asf,matroska,avi,flv,aac,amr,ac3,eac3,dts,ape,wv,tta,tak,mpc,mpc8,ogg,rm,"
    "dsf,iff,mpeg,mpegts,mp3,loas,latm"
)
# What it says, and what that means.
_SAID = {
    "matches no streams": "it has no sound track",
    "not on whitelist": "it is a list of other files, or no sound",
}
_QUICK, _PER_BYTE = 60.0, 1e-5  # seconds it may take, and more for each byte
_PREFIX = re.compile(r"^(\[[^\]]*\] )+")
logger = logging.getLogger(__name__)


class Recording:
    """A decoded recording, with what ``audio`` uses of ``soundfile.SoundFile``.

    Args:
        samples: ``(samples, channels)``, float32
        sample_rate: in Hz
    """

    format, subtype = "FFMPEG", "FLOAT"

    def __init__(self, samples: np.ndarray, sample_rate: int) -> None:
        self._samples, self._at = samples, 0
        self.samplerate = sample_rate
        self.frames, self.channels = samples.shape

    def seek(self, frame: int) -> None:
        self._at = frame

    def read(self, frames: int, *, dtype: str, always_2d: bool) -> np.ndarray:
        """Return the next samples ``(frames, channels)`` of each channel."""
        part = self._samples[self._at : self._at + frames]
        self._at += len(part)
        return np.array(part, dtype)


def kind(head: bytes) -> str:
    """Return the name of a format that ffmpeg is for, or ``""``.

    Args:
        head: first bytes of a file
    """
    for at, mark, name in _MARKS:
        if head.startswith(mark, at):
            return name
    return ""


def is_for(path: str) -> bool:
    """Tell by its ending whether a recording is likely to need ffmpeg."""
    return os.path.splitext(path)[1].lower() in ENDINGS  # noqa: PTH122 - a member


@functools.cache
def program() -> str:
    """Return the path of ffmpeg, or ``""`` where there is none."""
    with contextlib.suppress(ImportError, RuntimeError):
        # It finds its own first, then one of conda, then one of the system.
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return shutil.which("ffmpeg") or ""


@functools.cache
def version() -> str:
    """Return the version of ffmpeg, as it calls itself, or ``""``.

    The first call in a process notes it in the log, since numbers may depend on
    it.
    """
    if not program():
        return ""
    try:
        done = subprocess.run(
            [program(), "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_QUICK,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.match(r"ffmpeg version (\S+)", done.stdout.decode("utf-8", "replace"))
    if not found:
        return ""
    logger.info("ffmpeg %s decodes what libsndfile cannot", found[1])
    return found[1]


def version_for(files: Iterable[str]) -> str:
    """Return the version if some of the files are likely to need it, else ``""``."""
    return version() if any(is_for(file) for file in files) else ""


def opened(source: Source, format_name: str) -> Recording:
    """Decode a recording: the first sound track, whole.

    The last recording is kept, in a file without a name, since its facts are
    asked for before its samples, and its parts one after the other. A part is
    cut out of the whole: where seeking leads to in a lossy stream depends on the
    decoder, and on what stands before.

    Args:
        source: the file
        format_name: what it is, for messages

    Raises:
        AudioError: if there is no ffmpeg, or if it finds anything wrong
    """
    if not version():
        raise AudioError(
            f"{source.name}: is {format_name}, which libsndfile does not decode and "
            "ffmpeg does, but there is no ffmpeg; pip install 'rehear[ffmpeg]', "
            "install ffmpeg, or convert the recording to FLAC"
        )
    changed = os.stat(source.file).st_mtime_ns  # noqa: PTH116 - a name, not a path
    return Recording(*_decoded(source, format_name, changed))


@functools.lru_cache(maxsize=1)
def _decoded(source: Source, format_name: str, _changed: int) -> tuple[np.ndarray, int]:
    """Return the samples ``(samples, channels)``, memory-mapped, and their rate."""
    with tempfile.TemporaryFile(prefix="rehear-") as target:
        with _on_disk(source) as path:
            reason = _run(source, path, target)
        size = target.seek(0, os.SEEK_END)
        target.seek(0)
        inside = Source(source.name, "", 0, size, target.read(riff.HEAD))
        wav = riff.header(inside, inside.read(0, riff.HEAD)) if size else None
        if reason or wav is None or wav.channels < 1:
            _refuse(source, format_name, reason)
        count = wav.size // (4 * wav.channels)
        if not count:
            return np.empty((0, wav.channels), np.float32), wav.sample_rate
        shape = (count, wav.channels)
        samples = np.memmap(target, "<f4", mode="r", offset=wav.data, shape=shape)
    return np.asarray(samples), wav.sample_rate


@contextlib.contextmanager
def _on_disk(source: Source) -> Iterator[str]:
    """Yield the path of a file of its own: some formats are read by seeking."""
    if source.data is None and SEPARATOR not in source.name:
        yield os.path.abspath(source.file)  # noqa: PTH100 - a name, not a path
        return
    with tempfile.TemporaryDirectory(prefix="rehear-") as folder:
        member = Path(folder, "recording" + Path(source.name).suffix.lower())
        member.write_bytes(source.read(0, source.size))
        yield str(member)


def _run(source: Source, path: str, target: IO[bytes]) -> str:
    """Decode to a WAVE file of float32; return why that failed, or ``""``."""
    command = [
        *(program(), "-nostdin", "-hide_banner", "-v", "error", "-xerror"),
        # A name cannot be an option or an address, nor lead to other files.
        *("-protocol_whitelist", "file", "-format_whitelist", _DEMUXERS),
        *("-threads", "1", "-i", f"file:{path}", "-map", "0:a:0"),
        *("-map_metadata", "-1", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"),
    ]
    quiet = {name: v for name, v in os.environ.items() if name != "FFREPORT"}
    limit = _QUICK + _PER_BYTE * source.size
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.PIPE,
            env=quiet | {"AV_LOG_FORCE_NOCOLOR": "1"},
            timeout=limit,
            check=False,
        )
    except OSError as error:
        return f"it cannot be started: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"it took longer than {limit:.0f} s"
    said = done.stderr.decode("utf-8", "replace")
    for words, reason in _SAID.items():
        if words in said:
            return reason
    # It goes on after an error in a packet, and calls that a success.
    lines = [
        _PREFIX.sub("", line).replace(f"file:{path}", "") for line in said.split("\n")
    ]
    words = next((line.strip(" :.") for line in lines if line.strip(" :.")), "")
    return words or (f"it ended with {done.returncode}" if done.returncode else "")


def _refuse(source: Source, format_name: str, reason: str) -> NoReturn:
    raise AudioError(
        f"{source.name}: damaged, or no {format_name} sound that ffmpeg {version()} "
        f"decodes ({reason or 'no samples'}); fetch it again, or skip it"
    )
