"""What a study's recordings were when it began, on record in git.

``data/fingerprint.json`` has one entry for each data set and its arguments. A
later fetch, on this machine or another, and every training are compared with it:
a publisher may have exchanged a file, a download may lack some, and an own folder
grows. It is small and sorted, so that a diff shows what has changed.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from rehear import atomic, paths
from rehear.errors import DataError
from rehear.manifest import Manifest

_PARTS, _WIDTH = 64, 6  # digests of some of the clips each, and their hex digits
_TOLERANCE = 1e-4  # relative; decoders differ in the last bits
_DIGITS = 6
_ASIDE = frozenset({"name", "mirror", "title", "citation", "licence"})
_SECONDS_PER_HOUR = 3600
_ADVICE = (
    "get the same recordings; or, if the new ones are right, remove that entry from "
    f"{paths.FINGERPRINT} and say so in the commit"
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells one set of recordings from another.

    Attributes:
        clips: how many
        hours: their length
        mean: of all sample values; ``None`` if not known
        std: their standard deviation; ``None`` if not known
        sha256: digest of all clip ids and samples
        exact: whether all samples are those of integer PCM, which every decoder
            reads alike; ``False`` where it is not known
        parts: beginnings of the digests of 64 parts of the clips, which tell about
            how many have changed; empty if not known
    """

    clips: int
    hours: float
    mean: float | None
    std: float | None
    sha256: str
    exact: bool = False
    parts: str = ""


_FIELDS = tuple(field.name for field in fields(Fingerprint))
_NEEDED = _FIELDS[: _FIELDS.index("exact")]  # older records have no more


def of(
    manifest: Manifest,
    *,
    mean: float | None = None,
    std: float | None = None,
    exact: bool = False,
) -> Fingerprint:
    """Return the fingerprint of a complete manifest.

    Args:
        manifest: with durations and digests
        mean: of all sample values
        std: their standard deviation
        exact: whether every decoder reads these samples alike
    """
    return Fingerprint(
        clips=len(manifest),
        hours=_rounded(sum(clip.duration for clip in manifest) / _SECONDS_PER_HOUR),
        mean=None if mean is None else _rounded(mean),
        std=None if std is None else _rounded(std),
        sha256=digest(manifest),
        exact=exact,
        parts=_parts(manifest),
    )


def digest(manifest: Manifest) -> str:
    """Return the SHA-256 of all lines ``<clip> <sha256>``, sorted by clip."""
    lines = sorted(f"{clip.clip} {clip.sha256}\n" for clip in manifest)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _parts(manifest: Manifest) -> str:
    """Return digests of parts of the clips, told apart by a hash of the id."""
    parts = [hashlib.sha256() for _ in range(_PARTS)]
    for clip in sorted(manifest, key=lambda clip: clip.clip):
        number = hashlib.sha256(clip.clip.encode()).digest()[0] % _PARTS
        parts[number].update(f"{clip.clip} {clip.sha256}\n".encode())
    return "".join(part.hexdigest()[:_WIDTH] for part in parts)


def name_of(spec: Mapping[str, Any], task: str) -> str:
    """Return the name of an entry: all that decides on the recordings.

    Args:
        spec: the data set with all its arguments; where it is downloaded from,
            and what is said about it, makes no difference
        task: name of the task

    Example:
        >>> name_of({"name": "fsdd", "split": "speaker", "mirror": ""}, "tagging")
        'fsdd split=speaker, tagging'
    """
    words = [str(spec["name"])]
    for key, value in sorted(spec.items()):
        if key not in _ASIDE and value not in ("", None, (), [], {}):
            plain = value if isinstance(value, str) else _json(value)
            words.append(f"{key}={plain}")
    return f"{' '.join(words)}, {task}"


def check(study: Path, name: str, found: Fingerprint, *, left_out: int = 0) -> str:
    """Compare recordings with those on record.

    Args:
        study: its folder
        name: of the entry
        found: what is here now
        left_out: clips that are missing since they cannot be read

    Returns:
        a warning, if own or synthesised recordings have changed, or all published
        ones may have been decoded with other last bits; else nothing, as where
        there is no record yet

    Raises:
        DataError: if published recordings are not those on record
    """
    entry = _read(study).get(name)
    if entry is None or entry["sha256"] == found.sha256:
        return ""
    known = Fingerprint(**{key: entry[key] for key in _FIELDS if key in entry})
    difference = _difference(known, found) or _exchanged(known, found)
    skipped = f" ({left_out:,} cannot be read)" if left_out else ""
    text = (
        f"{paths.FINGERPRINT}: '{name}' is recorded with {_described(known)}; here "
        f"are {_described(found)}: {difference or _last_bits(known, found)}{skipped}"
    )
    if difference and entry["published"]:
        raise DataError(f"{text}; {_ADVICE}")
    return text


def check_manifest(study: Path, manifest: Manifest) -> str:
    """Compare a manifest with the recordings on record, as ``check`` does.

    The card, which lies beside the manifest, says which entry is meant; without
    it nothing is compared.
    """
    try:
        card = json.loads((study / paths.CARD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return ""
    name = card.get("recorded_as")
    if name not in _read(study):
        return ""
    found = of(manifest)
    if card.get("fingerprint") == found.sha256:
        # The manifest does not hold what only reading all samples tells.
        samples = card.get("samples") or {}
        found = replace(found, mean=samples.get("mean"), std=samples.get("std"))
    return check(study, name, found)


def record(study: Path, name: str, found: Fingerprint, *, published: bool) -> bool:
    """Write down what a study's recordings are; say whether that is new.

    Args:
        study: its folder
        name: of the entry
        found: that ``check`` has let pass
        published: whether they are the same for everyone who has them; what is
            on record of such stays
    """
    entries = _read(study)
    old, new = entries.get(name), {"published": published, **asdict(found)}
    if old is not None and (
        (published and old["published"]) or old.items() <= new.items()
    ):
        return False  # an older record, which lacks something, stays as well
    entries[name] = new
    atomic.write_json(study / paths.FINGERPRINT, dict(sorted(entries.items())))
    return True


def _json(value: Any) -> str:
    """Return a value as JSON, in an order that does not depend on the process."""

    def plain(other: Any) -> Any:
        if isinstance(other, Mapping):
            return dict(other)
        return sorted(other) if isinstance(other, Set) else str(other)

    return json.dumps(value, default=plain)


def _read(study: Path) -> dict[str, dict[str, Any]]:
    path = study / paths.FINGERPRINT
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        complete = all({"published", *_NEEDED} <= set(e) for e in entries.values())
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        complete = False
    if not complete:
        raise DataError(
            f"{paths.FINGERPRINT}: cannot be read; expected for each data set "
            f"published, {', '.join(_NEEDED)}; restore it: git checkout -- "
            f"{paths.FINGERPRINT}"
        )
    return dict(entries)


def _difference(known: Fingerprint, found: Fingerprint) -> str:
    """Return what differs beyond the last bits of samples."""
    texts = []
    more = found.clips - known.clips
    if more:
        texts.append(f"{abs(more):,} clips {'more' if more > 0 else 'fewer'}")
    longer = found.hours - known.hours
    if abs(longer) > _TOLERANCE * max(found.hours, known.hours):
        word = "more" if longer > 0 else "less"
        texts.append(f"{abs(longer):.3g} h {word}")
    if _samples_differ(known, found):
        texts.append(
            f"samples with mean {found.mean:.3g} and standard deviation "
            f"{found.std:.3g} instead of {known.mean:.3g} and {known.std:.3g}"
        )
    return ", ".join(texts)


def _exchanged(known: Fingerprint, found: Fingerprint) -> str:
    """Return what no other decoder explains, where number and statistics agree."""
    changed = _changed(known, found)
    few = changed is not None and changed < found.clips / 2
    if not few and not found.exact:
        return ""
    about = (
        ""
        if changed is None
        else f"about {max(1, round(changed)):,} of {found.clips:,} "
    )
    why = "every decoder reads them alike" if found.exact else "a decoder changes all"
    return f"{about}clips have other samples or names, though {why}"


def _changed(known: Fingerprint, found: Fingerprint) -> float | None:
    """Return about how many clips differ; ``None`` if not known, or too many."""
    if len(known.parts) != len(found.parts) or not known.parts:
        return None
    places = range(0, len(known.parts), _WIDTH)
    other = sum(known.parts[at:][:_WIDTH] != found.parts[at:][:_WIDTH] for at in places)
    if other in (0, _PARTS):
        return None
    # So many clips, put into the parts at random, leave as many parts untouched.
    return min(-_PARTS * math.log1p(-other / _PARTS), found.clips)


def _samples_differ(known: Fingerprint, found: Fingerprint) -> bool:
    if known.mean is None or known.std is None:
        return False
    if found.mean is None or found.std is None:
        return False
    # The mean is near zero, so what it may differ by depends on the spread.
    near = _TOLERANCE * max(known.std, found.std)
    return max(abs(known.mean - found.mean), abs(known.std - found.std)) > near


def _last_bits(known: Fingerprint, found: Fingerprint) -> str:
    text = "the same number, length and statistics"
    if None in (known.std, found.std):
        text = "the same number and length"
    return (
        f"{text}, but clips named otherwise, or decoded with other last bits (another "
        "libsndfile or MP3 decoder?)"
    )


def _described(one: Fingerprint) -> str:
    return f"{one.clips:,} clips, {one.hours:.4g} h, sha256 {one.sha256[:12]}…"


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
