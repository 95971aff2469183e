"""The data set that needs no download: synthesised sounds of twelve classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rehear import audio, randomness
from rehear.datasets.recorder import Recorder, Recording, record
from rehear.datasets.sounds import PITCHED, SOUNDS
from rehear.datasets.synthesis import Generator, Samples, gain, normalized
from rehear.errors import ParamsError, suggest
from rehear.manifest import Clip, Manifest

TARGETS = ("snr", "pitch")
FOLDS = 4
MOST_EXTRA = 2  # sounds in a mixture besides the one that it is named after


@dataclass(frozen=True)
class Scene:
    """One clip before it is written.

    Attributes:
        labels: what sounds, sorted
        recording: sound and noise, still apart
        snr: power of the sound relative to the rest, in dB
        pitch: mean fundamental in semitones, 69 at 440 Hz; ``None`` for a
            mixture, and for a sound without one
    """

    labels: tuple[str, ...]
    recording: Recording
    snr: float
    pitch: float | None


class Embedded:
    """Sounds of animals, machines, objects and weather, made by the toolkit.

    Every clip is drawn from ``(seed, clip id)`` alone: its individual, timing,
    room, background, signal-to-noise ratio and level. So it does not depend on
    the number of clips, and equal arguments give equal bytes. It is meant for
    a first run, for teaching and for tests of a whole pipeline, not for claims
    on real sound.

    Tasks: ``classification`` of single sounds; ``tagging`` of mixtures of one to
    three; ``regression`` of the signal-to-noise ratio in dB and of the pitch in
    semitones (69 is 440 Hz) on the clips of ``classification``, those with a
    pitch where it is asked for.

    Splits: by recorder, of which each hears every class as often, give or take
    one. Of twelve, eight are for training, two are dev, two are test. Four folds
    of recorders serve cross-validation. Clips ``n``, ``n + recorders``, and so
    on of every class come from one recorder.

    Size: with the defaults 720 clips of 1 s, 23 MB in 12 files.

    Args:
        clips_per_class: number of clips for each of the twelve classes; for
            ``tagging``, of mixtures that surely hold the class
        seconds: length of every clip, a whole number of samples
        sample_rate: in Hz, at least 16000
        recorders: number of devices, at least 3
        snr_low: lowest signal-to-noise ratio, in dB
        snr_high: highest signal-to-noise ratio, in dB
        targets: for ``regression``: ``snr``, ``pitch`` or both
        seed: another seed gives other clips and other recorders

    Raises:
        ParamsError: if an argument is out of its range
    """

    title = "Rehear embedded sounds"
    citation = "The Rehear developers: embedded sounds, synthesised by the toolkit."
    licence = "CC0-1.0"
    url = ""
    tasks = ("classification", "tagging", "regression")
    needs_source = False

    def __init__(
        self,
        *,
        clips_per_class: int = 60,
        seconds: float = 1.0,
        sample_rate: int = 16000,
        recorders: int = 12,
        snr_low: float = -3.0,
        snr_high: float = 20.0,
        targets: Sequence[str] = TARGETS,
        seed: int = 0,
    ) -> None:
        self.clips_per_class = clips_per_class
        self.samples = round(seconds * sample_rate)
        self.sample_rate = sample_rate
        self.recorders = recorders
        self.snr = (snr_low, snr_high)
        self.targets = (targets,) if isinstance(targets, str) else tuple(targets)
        self.seed = seed
        self._check(seconds)

    def _check(self, seconds: float) -> None:
        # Birds and insects reach above 7 kHz.
        wide = self.sample_rate >= 16000
        _require("sample_rate", self.sample_rate, wide, "16000 Hz")
        _require("recorders", self.recorders, self.recorders >= 3, "3, one a split")
        _require("seconds", seconds, seconds >= 0.25, "0.25")
        enough = self.clips_per_class >= self.recorders
        each = f"{self.recorders}, one for each recorder"
        _require("clips_per_class", self.clips_per_class, enough, each)
        low, high = self.snr
        _require("snr_high", high, high >= low, f"{low}, as snr_low")
        if abs(self.samples - seconds * self.sample_rate) > 1e-6:
            raise ParamsError(
                f"dataset.seconds: {seconds} s are "
                f"{seconds * self.sample_rate:g} samples at {self.sample_rate} Hz; "
                "expected a whole number"
            )
        for target in self.targets:
            if target not in TARGETS:
                raise ParamsError(
                    f"dataset.targets: unknown target '{target}'."
                    f"{suggest(target, TARGETS)} Known: {', '.join(TARGETS)}"
                )
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ParamsError(
                "dataset.targets: expected one or both of snr, pitch, once each"
            )

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Synthesise the recordings, one file for each recorder.

        Args:
            raw: existing folder, in which the files are written
            task: ``classification``, ``tagging`` or ``regression``
            source: not used
            downloads: not used

        Raises:
            ParamsError: if there is no such task
        """
        if task not in self.tasks:
            raise ParamsError(
                f"data set 'embedded' has no task '{task}'.{suggest(task, self.tasks)} "
                f"It has: {', '.join(self.tasks)}"
            )
        clips: list[Clip] = []
        for number in range(self.recorders):
            name = Recorder.draw(self.seed, number).name
            scenes = {clip: self.scene(clip) for clip in self._ids(number, task)}
            recording = [scene.recording.waveform for scene in scenes.values()]
            waveform = np.concatenate(recording)[np.newaxis]
            audio.write(raw / f"{name}.wav", waveform, self.sample_rate)
            clips += [
                self._row(clip, scene, number=number, position=position, task=task)
                for position, (clip, scene) in enumerate(scenes.items())
            ]
        return Manifest(tuple(clips), self.targets if task == "regression" else ())

    def scene(self, clip: str) -> Scene:
        """Synthesise one clip.

        Args:
            clip: its id: ``<label>-<index>``, or ``mixture-<label>-<index>``
        """
        *mixture, label, index = clip.split("-")
        generator = randomness.generator(self.seed, "embedded", clip)
        labels = [label]
        if mixture:
            others = [name for name in SOUNDS if name != label]
            count = int(generator.integers(MOST_EXTRA + 1))
            labels += generator.choice(others, size=count, replace=False).tolist()
        sound, pitch = self._sound(generator, labels)
        snr = generator.uniform(*self.snr)
        recording = record(
            generator,
            sound,
            recorder=Recorder.draw(self.seed, int(index) % self.recorders),
            snr=snr,
            sample_rate=self.sample_rate,
        )
        semitones = None if pitch is None else 69.0 + 12.0 * float(np.log2(pitch / 440))
        return Scene(tuple(sorted(labels)), recording, snr, semitones)

    def _sound(
        self, generator: Generator, labels: Sequence[str]
    ) -> tuple[Samples, float | None]:
        mixture = np.zeros(self.samples)
        for label in labels:
            sound = SOUNDS[label](generator, self.samples, self.sample_rate)
            # The first one is the reference; the others are at most 6 dB off.
            level = generator.uniform(-6.0, 6.0) if label != labels[0] else 0.0
            mixture += gain(level) * normalized(sound.waveform)
        return mixture, sound.pitch if len(labels) == 1 else None

    def _ids(self, number: int, task: str) -> list[str]:
        """Return the ids of one recorder's clips; more clips come at the end."""
        pitched = task == "regression" and "pitch" in self.targets
        prefix = "mixture-" if task == "tagging" else ""
        return [
            f"{prefix}{label}-{index:04d}"
            for index in range(number, self.clips_per_class, self.recorders)
            for label in (PITCHED if pitched else SOUNDS)
        ]

    def _row(
        self, clip: str, scene: Scene, *, number: int, position: int, task: str
    ) -> Clip:
        name = Recorder.draw(self.seed, number).name
        return Clip(
            clip=clip,
            file=f"{name}.wav",
            start=position * self.samples / self.sample_rate,
            end=(position + 1) * self.samples / self.sample_rate,
            labels=scene.labels,
            targets=self._targets(scene) if task == "regression" else (),
            split=self._split(number),
            fold=str(number % FOLDS + 1),
            group=name,
            duration=self.samples / self.sample_rate,
            sample_rate=self.sample_rate,
        )

    def _targets(self, scene: Scene) -> tuple[float, ...]:
        values = {"snr": scene.snr, "pitch": scene.pitch}
        # Where the pitch is a target, only sounds that have one are in the study.
        asked = (values[target] for target in self.targets)
        return tuple(value for value in asked if value is not None)

    def _split(self, number: int) -> str:
        part = max(1, round(self.recorders / 6))
        if number >= self.recorders - part:
            return "test"
        return "dev" if number >= self.recorders - 2 * part else "train"


def _require(name: str, value: float, holds: bool, least: str) -> None:
    if not holds:
        raise ParamsError(f"dataset.{name} is {value}; expected at least {least}")
