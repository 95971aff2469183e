"""A data set with its card, as ``fetch`` leaves them, made without reading audio."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from rehear import audio, card, cautions, fingerprint, shortcuts
from rehear.card import Findings
from rehear.leakage import Leak
from rehear.manifest import Clip, Manifest
from rehear.survey import Fault

REASON = "It is the protocol that <others> report"
LABELS = ("<b>bird</b>", "rain & wind", "frog")


def made(
    folder, *, count=60, labels=LABELS, seconds=1.5, task="classification", leaks=0
):
    """Write one recording, and return the card and the manifest of its clips."""
    draws = np.random.default_rng(0)
    wave = draws.normal(0, 0.05, (1, 16000 * 12))
    audio.write(folder / "data" / "raw" / "noise.flac", wave, 16000)
    split = ("train", "train", "train", "dev", "test")
    rows = []
    for i in range(count):
        start = float(i % 5)
        rows.append(
            Clip(
                clip=f"clip-{i}",
                file="data/raw/noise.flac",
                start=start,
                end=start + seconds,
                labels=_labels(task, labels, i),
                targets=(float(draws.normal()),) if task == "regression" else (),
                split=split[i % 5],
                fold=str(i % 4),
                group=f"g{i % 5}-{i % 3}",
                attributes=(("Köln", "Łódź", "")[i % 3], f"m{i % 120}"),
                duration=seconds * (1 + i % 7),
                sample_rate=16000,
                channels=1 + i % 2,
                level=None if i == 3 else float(draws.normal(-30, 5)),
                sha256=f"{i}",
            )
        )
    names = ("loudness",) if task == "regression" else ()
    manifest = Manifest(tuple(rows), names, ("city", "microphone"))
    return _card(manifest, task, leaks), manifest


def _labels(task, labels, i):
    if task == "regression":
        return ()
    chosen = [label for k, label in enumerate(labels) if (i + k) % 3]
    return tuple(chosen) if task == "tagging" else (labels[i % len(labels)],)


def _card(manifest, task, leaks):
    told = shortcuts.measure(manifest)
    if told:
        told[0] = replace(told[0], strong=True)
    findings = Findings(
        skipped=[
            Fault("x", "x.wav", f"x{i}.wav: the file is empty") for i in range(20)
        ],
        leaks=[Leak("group", f"group '<i>{i}</i>' is in two") for i in range(leaks)],
        cautions=cautions.find(manifest, told=told),
        shortcuts=told,
    )
    about = SimpleNamespace(
        title="Sounds of a <pond>",
        licence="CC BY 4.0",
        citation="Müller, Ö. and O'Neill, P.: A pond. Journal of Ponds, 2026. " * 3,
        url="https://example.org/pond",
        size="60 clips",
    )
    return card.describe(
        manifest,
        about,
        task=task,
        fingerprint=fingerprint.of(manifest, mean=1e-4, std=0.07),
        recorded_as="pond, classification",
        findings=findings,
        allow_leak=REASON,
    )


#: What cards of older versions do not have.
NEW = (
    "size", "by_fold", "by_group", "groups", "attributes", "channels", "levels",
    "histograms", "samples", "shortcuts", "recorded_as", "cautions", "caution_count",
)  # fmt: skip


def older(described):
    """Return a card as older versions made it."""
    return {key: value for key, value in described.items() if key not in NEW}
