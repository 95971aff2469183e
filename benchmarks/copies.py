"""How many planted copies are found, how many other pairs, and at what cost.

Every clip of a set of recordings is planted a second time, changed in one way; then
the whole set, the originals and these copies, is searched as ``fetch`` does it. A
pair of two clips that come from other recordings is a false one.
"""

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import BenchmarkError, program
from benchmarks.results import Finding
from benchmarks.workspace import Workspace
from rehear import audio, similarity
from rehear.manifest import Clip
from rehear.prints import Prints
from rehear.randomness import generator
from rehear.survey import examine

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((1000, 1), (10_000, 1), (100_000, 1), (1000, 10), (10_000, 10))
_SEED = 0
Draw = np.random.Generator
Changed = tuple[np.ndarray, int, dict[str, Any]]


@dataclass(frozen=True)
class Sound:
    """A clip to plant a copy of.

    Attributes:
        waveform: ``(1, samples)``
        rate: in Hz
        other: one second of other sound, as loud
    """

    waveform: np.ndarray
    rate: int
    other: np.ndarray

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.waveform.shape[1] / self.rate


Change = Callable[[Sound, Draw], Changed]


def _stored(waveform: np.ndarray, rate: int, **how: Any) -> Changed:
    """Say how a copy is written; the default keeps every sample."""
    return waveform, rate, how or {"format": "WAV", "subtype": "FLOAT"}


def _noisy(sound: Sound, draw: Draw) -> Changed:
    noise = draw.standard_normal(sound.waveform.shape)
    noise *= np.sqrt(np.square(sound.waveform).mean() / 100)
    return _stored(sound.waveform + noise, sound.rate)


def _mp3(kbps: int) -> Change:
    """Return the change to MP3, at a rate that has this number of kbit/s."""

    def change(sound: Sound, draw: Draw) -> Changed:
        rate = 16000 if sound.rate < 16000 and kbps > 64 else sound.rate
        low, high = (8, 64) if rate < 16000 else (8, 160) if rate < 32000 else (32, 320)
        # libsndfile goes from the highest rate, at level 0, to the lowest.
        level = (high - kbps) / (high - low)
        waveform = audio.resample(sound.waveform, sound.rate, rate)
        return _stored(
            waveform,
            rate,
            format="MP3",
            bitrate_mode="CONSTANT",
            compression_level=level,
        )

    return change


def _opus(sound: Sound, draw: Draw) -> Changed:
    rate = next(r for r in (8000, 12000, 16000, 24000, 48000) if r >= sound.rate)
    waveform = audio.resample(sound.waveform, sound.rate, rate)
    return _stored(waveform, rate, format="OGG", subtype="OPUS")


def _loud(sound: Sound) -> np.ndarray:
    """Return a waveform with a peak of 0.9."""
    return sound.waveform * (0.9 / max(float(np.abs(sound.waveform).max()), 1e-6))


def _bits(kind: str, *, raised: bool) -> Change:
    def change(sound: Sound, draw: Draw) -> Changed:
        waveform = _loud(sound) if raised else sound.waveform
        return _stored(waveform, sound.rate, format="WAV", subtype=kind)

    return change


def _resampled(share: float) -> Change:
    def change(sound: Sound, draw: Draw) -> Changed:
        rate = round(sound.rate * share)
        return _stored(audio.resample(sound.waveform, sound.rate, rate), rate)

    return change


def _stereo(sound: Sound, draw: Draw) -> Changed:
    """Return the sound from the left: later and quieter in the right channel."""
    late = round(sound.rate * 0.0003)
    right = 0.6 * np.pad(sound.waveform, ((0, 0), (late, 0)))[:, : -late or None]
    return _stored(np.concatenate([sound.waveform, right]), sound.rate)


def _joined(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=1)


def _late(sound: Sound, draw: Draw) -> Changed:
    silence = np.zeros((1, sound.rate), np.float32)
    return _stored(_joined(silence, sound.waveform), sound.rate)


def _after_other(sound: Sound, draw: Draw) -> Changed:
    return _stored(_joined(sound.other, sound.waveform), sound.rate)


def _between_other(sound: Sound, draw: Draw) -> Changed:
    parts = (sound.other, sound.waveform, sound.other)
    return _stored(_joined(*parts), sound.rate)


def _without_first(sound: Sound, draw: Draw) -> Changed:
    first = sound.rate if sound.seconds >= 1.5 else sound.waveform.shape[1] // 3
    return _stored(sound.waveform[:, first:], sound.rate)


CHANGES: dict[str, Change] = {
    "gain −20 dB": lambda s, _: _stored(0.1 * s.waveform, s.rate),
    "polarity": lambda s, _: _stored(-s.waveform, s.rate),
    "white noise, 20 dB SNR": _noisy,
    "MP3, 64 kbit/s": _mp3(64),
    "MP3, 128 kbit/s": _mp3(128),
    "Ogg Vorbis": lambda s, _: _stored(
        s.waveform, s.rate, format="OGG", subtype="VORBIS"
    ),
    "Ogg Opus": _opus,
    "16 bits": _bits("PCM_16", raised=True),
    "8 bits": _bits("PCM_U8", raised=True),
    "8 bits, its own level": _bits("PCM_U8", raised=False),
    "half the rate": _resampled(0.5),
    "rate × 16/44.1": _resampled(16 / 44.1),
    "stereo, mixed down": _stereo,
    "1 s of silence in front": _late,
    "1 s of other sound in front": _after_other,
    "inside a longer one": _between_other,
    "first second, or third, cut off": _without_first,
}


@dataclass(frozen=True)
class Planted:
    """What the search for one kind of copies has found.

    Attributes:
        found: of each planted copy, in order
        false: pairs of clips from different recordings
    """

    found: list[bool]
    false: list[tuple[str, str]]


def plant(
    sounds: dict[str, Sound], change: str, root: Path, folder: str = "copies"
) -> list[str]:
    """Write changed copies beside the originals; return their files."""
    import soundfile

    files = []
    (root / folder).mkdir()
    for name, sound in sounds.items():
        draw = generator(_SEED, "benchmark", change, name)
        waveform, rate, how = CHANGES[change](sound, draw)
        stream = io.BytesIO()
        frames = np.clip(waveform, -1, 1) if "FLOAT" not in how.values() else waveform
        soundfile.write(stream, frames.T.astype(np.float32), rate, **how)
        files.append(f"{folder}/{name}.{how['format'].lower()}")
        (root / files[-1]).write_bytes(stream.getvalue())
    return files


def search(
    originals: dict[str, Clip], prints: Prints, root: Path, files: dict[str, str]
) -> Planted:
    """Search originals and their copies, and tell true pairs from false ones.

    Args:
        originals: by name, examined
        prints: of the originals
        root: folder of all files
        files: of the copies, by the name of their original
    """
    origin = {clip.clip: name for name, clip in originals.items()}
    copies = {f"copy of {name}": name for name in files}
    clips = [Clip(clip=clip, file=files[name]) for clip, name in copies.items()]
    seen = examine(clips, root)
    if seen.faults:
        raise BenchmarkError(f"a planted copy cannot be read: {seen.faults[0].reason}")
    both = Prints(
        np.concatenate([prints.peaks, seen.prints.peaks]),
        np.append(prints.ends, seen.prints.ends + len(prints.peaks)),
    )
    pairs = similarity.find([*originals.values(), *seen.clips], both, root)
    there = set(pairs)
    found = [
        # Identical samples are found by their digest.
        clip.sha256 == originals[copies[clip.clip]].sha256
        or tuple(sorted((clip.clip, originals[copies[clip.clip]].clip))) in there
        for clip in seen.clips
    ]
    origin |= copies
    return Planted(
        found, [pair for pair in pairs if origin[pair[0]] != origin[pair[1]]]
    )


def sounds_of(clips: Sequence[Clip], root: Path) -> dict[str, Sound]:
    """Read clips, each with a second of the next one backwards."""
    read = [audio.read(root / clip.file) for clip in clips]
    found = {}
    for number, (waveform, rate) in enumerate(read):
        after, its_rate = read[(number + 1) % len(read)]
        other = audio.resample(after[:1, ::-1], its_rate, rate)
        other = np.tile(other, -(-rate // other.shape[1]))[:, :rate]
        loudness = np.sqrt(np.square(waveform).mean() / np.square(other).mean())
        found[clips[number].clip] = Sound(waveform[:1], rate, other * loudness)
    return found


@dataclass(frozen=True)
class Recordings:
    """A set of recordings that are all different."""

    name: str
    root: Path
    files: list[str]


def sets(fsdd: Path, *, quick: bool) -> Iterator[Recordings]:
    """Yield the sets that are there.

    Args:
        fsdd: folder of the FSDD recordings; the other sets are beside its parent
        quick: a few of each
    """
    step = 10 if quick else 1
    place = fsdd.parent.parent
    for name, root, pattern in (
        ("FSDD", fsdd, "*.wav"),
        ("emodb4", place / "emodb4" / "audio", "*.wav"),
        ("orca_codecs", place / "orca_codecs" / "audio", "flac/*.flac"),
    ):
        files = sorted(p.relative_to(root).as_posix() for p in root.glob(pattern))
        if files:
            yield Recordings(name, root, files[::step])


def measure(recordings: Recordings, scratch: Path) -> dict[str, Any]:
    """Return recall and false pairs for every change of one set."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = Path(folder)
        (root / "originals").symlink_to(recordings.root, target_is_directory=True)
        named = [
            Clip(clip=Path(file).stem, file=f"originals/{file}")
            for file in recordings.files
        ]
        seen = examine(named, root)
        originals = {clip.clip: clip for clip in seen.clips}
        sounds = sounds_of(seen.clips, root)
        long = [sound.seconds >= 1 for sound in sounds.values()]
        rows, false = {}, set()
        for number, change in enumerate(CHANGES):
            files = plant(sounds, change, root, f"copies-{number}")
            by_name = dict(zip(sounds, files, strict=True))
            planted = search(originals, seen.prints, root, by_name)
            rows[change] = {
                "recall": float(np.mean(planted.found)),
                "recall_from_1_s": _mean_of(planted.found, long),
                "missed": [
                    name
                    for name, found in zip(sounds, planted.found, strict=True)
                    if not found
                ],
                "false": planted.false,
            }
            false |= set(planted.false)
            print(
                f"  {recordings.name}: {change}: recall {rows[change]['recall']:.4f}, "
                f"{len(planted.false)} false pairs",
                flush=True,
            )
    return {
        "clips": len(sounds),
        "clips_from_1_s": sum(long),
        "changes": rows,
        "false": sorted(false),
    }


def _mean_of(found: Sequence[bool], where: Sequence[bool]) -> float | None:
    chosen = [one for one, wanted in zip(found, where, strict=True) if wanted]
    return float(np.mean(chosen)) if chosen else None


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return recall by change and set as Markdown."""
    heads, lines = [], []
    for name, part in found.items():
        heads.append(f"{name} ({part['clips']})")
        if part["clips_from_1_s"] < part["clips"]:
            heads.append(f"of 1 s and more ({part['clips_from_1_s']})")
    lines = [f"| copy | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for change in CHANGES:
        cells = []
        for part in found.values():
            row = part["changes"][change]
            cells.append(_share(row["recall"]))
            if part["clips_from_1_s"] < part["clips"]:
                cells.append(_share(row["recall_from_1_s"]))
        lines.append(f"| {change} | {' | '.join(cells)} |")
    cells = []
    for part in found.values():
        cells.append(str(len(part["false"])))
        cells += [""] * (part["clips_from_1_s"] < part["clips"])
    lines.append(f"| **false pairs in all** | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    # Rounded down, so that only what is whole looks whole.
    return "1" if value == 1 else f"{np.floor(value * 1000) / 1000:.3f}"


def codecs(root: Path) -> dict[str, Any]:
    """Return which pairs are found among all three formats of the same calls."""
    files = sorted(p.relative_to(root).as_posix() for p in root.glob("*/*.*"))
    clips = [Clip(clip=file, file=file) for file in files]
    seen = examine(clips, root)
    pairs = similarity.find(seen.clips, seen.prints, root)
    stems = {clip.clip: Path(clip.file).stem for clip in seen.clips}
    expected = {
        (a, b)
        for number, a in enumerate(files)
        for b in files[number + 1 :]
        if stems[a] == stems[b]
    }
    return {
        "files": len(files),
        "expected": len(expected),
        "found": len(expected & set(pairs)),
        "false": sorted(set(pairs) - expected),
    }


def cost(clips: int, seconds: int) -> dict[str, float]:
    """Return time and memory of prints and search, in a process of its own."""
    found: dict[str, float] = program(
        "benchmarks.copies_cost", clips, seconds, OMP_NUM_THREADS="1"
    )
    print(f"  {found}", flush=True)
    return found


def cost_table(costs: Sequence[dict[str, float]]) -> str:
    """Return the costs as Markdown."""
    heads = (
        "clips",
        "of",
        "prints",
        "a second of sound",
        "MiB of prints",
        "search",
        "a clip",
        "peak MiB before, with search",
        "likely pairs",
        "planted copies among them",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {row['clips']:,} | {row['seconds']} s | {row['print_seconds']:.1f} s | "
        f"{1000 * row['print_seconds'] / row['clips'] / row['seconds']:.2f} ms | "
        f"{row['print_mib']:.1f} | {row['search_seconds']:.1f} s | "
        f"{1000 * row['search_seconds'] / row['clips']:.2f} ms | "
        f"{row['peak_before_mib']:.0f}, {row['peak_mib']:.0f} | {row['matches']:,} | "
        f"{row['found']} of {row['planted']} |"
        for row in costs
    ]
    return "\n".join(lines)


def run(workspace: Workspace) -> Finding:
    """Measure recall, false pairs and cost; print the tables."""
    found = {
        part.name: measure(part, workspace.scratch)
        for part in sets(workspace.audio, quick=workspace.quick)
    }
    notes = []
    orcas = workspace.audio.parent.parent / "orca_codecs" / "audio"
    facts: dict[str, Any] = {"sets": found}
    if orcas.is_dir():
        facts["codecs"] = three = codecs(orcas)
        notes.append(
            f"{three['files']} files of calls in three formats: {three['found']} of "
            f"{three['expected']} pairs found, {len(three['false'])} false"
        )
    sizes = SIZES[:1] if workspace.quick else SIZES
    facts["costs"] = [cost(*size) for size in sizes]
    print(f"\n{table(found)}\n\n{cost_table(facts['costs'])}")
    return Finding("copies", notes=notes, facts=facts)
