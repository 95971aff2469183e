"""``rehear verify``: run a commit again elsewhere, and compare every number."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rehear import atomic, commits, comparison, environment, tolerance
from rehear.comparison import Result, Verdict
from rehear.errors import StageError
from rehear.reproduction import Reproduction

REPORT = "REPRODUCED.md"
PROVENANCE = "provenance.json"
_SHOWN = 8


@dataclass
class Outcome:
    """Everything that a verification has found.

    Attributes:
        commit: what was run again
        env: ``lock`` or ``current``
        results: one for each stage
        limits: how far each metric may move
        environment: recorded and present value of what differs
        now: the environment of the new run
        notes: what else a reader should know
        seconds: duration of everything
        date: when, ISO 8601
    """

    commit: commits.Commit
    env: str
    results: list[Result]
    limits: dict[str, tolerance.Limit]
    environment: dict[str, tuple[Any, Any]] | None
    now: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    date: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a stage."""
        return comparison.overall(self.results)


def run(
    study: Path,
    revision: str = "HEAD",
    *,
    env: str = "lock",
    keep: bool = False,
    as_json: bool = False,
) -> int:
    """Run a commit again in a clean folder; compare it with what it records.

    Writes ``REPRODUCED.md`` into the study and the output of all programs to
    ``.rehear/verify.log``.

    Args:
        study: root of the study
        revision: commit, branch, tag or DVC experiment
        env: ``lock`` makes the environment from requirements.lock; ``current``
            uses the one that runs now
        keep: leave the clone where it is, and say where
        as_json: print the outcome as JSON

    Returns:
        0 if bit-identical or within tolerance, 1 if different, 2 if it could
        not be run
    """
    folder = Path(tempfile.mkdtemp(prefix="rehear-verify-")).resolve()
    try:
        outcome = verify(study, revision, env=env, folder=folder)
    except StageError as error:
        if as_json:
            _print(json.dumps({"verdict": "not run", "reason": str(error)}, indent=2))
        _say(f"could not verify {revision}: {error}")
        return 2
    finally:
        if keep:
            _say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    atomic.write_text(study / REPORT, report(outcome))
    _print(json.dumps(as_plain(outcome), indent=2) if as_json else summary(outcome))
    return int(outcome.verdict is Verdict.DIFFERENT)


def verify(study: Path, revision: str, *, env: str, folder: Path) -> Outcome:
    """Clone, run and compare.

    Args:
        study: root of the study
        revision: commit, branch, tag or DVC experiment
        env: ``lock`` or ``current``
        folder: an empty folder; what is made in it stays

    Raises:
        StageError: if the commit cannot be run
    """
    start = time.monotonic()
    log = study / ".rehear" / "verify.log"
    log.unlink(missing_ok=True)
    commit = commits.find_commit(study, revision)
    again = Reproduction(study, commit, folder=folder, log=log, say=_say)
    again.clone()
    recorded = again.set_aside()
    again.prepare_data()
    programs = again.make_environment(env)
    again.run(programs, len(recorded))
    limits = tolerance.limits(_json(again.committed / comparison.SUMMARY))
    found = comparison.read_lock(again.study / comparison.LOCK)
    sides = comparison.Sides(again.committed, again.study, again.cached)
    before = _environment(again.committed)
    now = _environment(again.study)
    return Outcome(
        commit=commit,
        env=env,
        results=comparison.compare(recorded, found, sides, limits),
        limits=limits,
        environment=environment.differences(before, now) if before and now else None,
        now=now or environment.describe(),
        notes=_notes(commit, sorted(recorded.keys() - found.keys())),
        seconds=time.monotonic() - start,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _notes(commit: commits.Commit, gone: list[str]) -> list[str]:
    notes = []
    if commit.is_dirty:
        notes.append("the study has uncommitted changes; they are not part of this")
    if gone:
        notes.append(
            f"dvc.lock still lists {', '.join(gone)}, which dvc.yaml has no more: "
            "not run, not compared"
        )
    return notes


def _json(file: Path) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _environment(folder: Path) -> dict[str, Any]:
    """Return what a run's provenance says about the machine and its packages."""
    provenance = _json(folder / PROVENANCE)
    names = ("environment", "hardware")
    found: dict[str, Any] = {}
    for name in names:
        part = provenance.get(name)
        found.update(part if isinstance(part, dict) else {})
    # another host is expected; its name explains nothing
    return {key: value for key, value in found.items() if key != "host"}


def cause(outcome: Outcome) -> str:
    """Return, in words, where and why the runs part; empty if they do not."""
    first = comparison.first_difference(outcome.results)
    if first is None:
        return ""
    if first.edited:
        return (
            f"{', '.join(first.edited)} of stage {first.name} was edited after it was "
            "made: it is not the file that the commit's dvc.lock records"
        )
    text = f"{first.name} is the first stage with another output"
    if first.is_unrecorded:
        return f"{text}: {first.note}"
    if first.own_inputs:
        return (
            f"{text}: the commit's {', '.join(first.own_inputs)} is not what its "
            "dvc.lock records, so the recorded results were made from something else"
        )
    return f"{text}, although its inputs agree; {_surroundings(outcome.environment)}"


def _surroundings(differences: Mapping[str, Any] | None) -> str:
    if differences is None:
        return "the commit records no environment to compare with"
    if not differences:
        return "the recorded environment agrees, too: it is not deterministic"
    return f"the environment differs in {', '.join(differences)}"


def summary(outcome: Outcome) -> str:
    """Return the outcome as text for a terminal."""
    width = max((len(result.name) for result in outcome.results), default=0)
    lines = [
        f"{result.name:{width}}  {result.verdict.value if result.verdict else ''}"
        for result in outcome.results
    ]
    lines += [f"note: {note}" for note in outcome.notes]
    lines += [cause(outcome)] if cause(outcome) else []
    lines += [f"  {_gap(gap)}" for gap in _worst(outcome)[:_SHOWN]]
    verdict = outcome.verdict.value.upper()
    lines.append(f"{verdict}: commit {outcome.commit.sha[:12]}; details: {REPORT}")
    return "\n".join(lines)


def _worst(outcome: Outcome) -> list[tolerance.Gap]:
    """Return the gaps: those that decide first, then by size."""
    every = [gap for result in outcome.results for gap in result.gaps]
    return sorted(
        every, key=lambda gap: (not gap.is_beyond, gap.tolerance is None, -gap.size)
    )


def _gap(gap: tolerance.Gap) -> str:
    limit = "not judged" if gap.tolerance is None else f"tolerance {gap.tolerance:.3g}"
    return (
        f"{gap.file} {gap.place}: {_value(gap.recorded)} became {_value(gap.found)} "
        f"({limit})"
    )


def _value(value: Any) -> str:
    if value is None:
        return "undefined"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def as_plain(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome ready for JSON."""
    first = comparison.first_difference(outcome.results)
    return {
        "verdict": outcome.verdict.value,
        "revision": outcome.commit.revision,
        "commit": outcome.commit.sha,
        "date": outcome.date,
        "seconds": round(outcome.seconds, 1),
        "env": outcome.env,
        "first_difference": first.name if first else None,
        "cause": cause(outcome),
        "stages": [_plain_result(result) for result in outcome.results],
        "tolerances": {name: asdict(limit) for name, limit in outcome.limits.items()},
        "environment": outcome.now,
        "environment_differences": outcome.environment,
        "not_compared": comparison.NOT_COMPARED,
        "notes": outcome.notes,
    }


def _plain_result(result: Result) -> dict[str, Any]:
    plain = asdict(result)
    plain["verdict"] = result.verdict.value if result.verdict else None
    return plain


def report(outcome: Outcome) -> str:
    """Return the outcome as Markdown, for readers of the study."""
    commit = outcome.commit
    made = {
        "lock": "made from the commit's requirements.lock",
        "current": "the one at hand, not the commit's lock",
    }[outcome.env]
    facts = [
        f"- Commit: `{commit.sha}` of {commit.date}",
        f"- Run again: {outcome.date}, in {outcome.seconds:.0f} s",
        f"- Environment: {made}; {_machine(outcome.now)}",
        *(f"- Note: {note}" for note in outcome.notes),
    ]
    rows = ["| stage | verdict | outputs that differ |", "|---|---|---|"]
    rows += [
        f"| {result.name} | {result.verdict.value if result.verdict else ''} "
        f"| {', '.join(result.outs) or '–'} |"
        for result in outcome.results
    ]
    parts = [
        f"# Reproduced: {outcome.verdict.value}",
        "\n".join(facts),
        "\n".join(rows),
        *_explanation(outcome),
        _tolerance_text(outcome),
        "Not compared: "
        + "; ".join(f"{name} ({why})" for name, why in comparison.NOT_COMPARED.items())
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _machine(now: Mapping[str, Any]) -> str:
    names = ("python", "processor", "system")
    words = [f"{name} {now[name]}" for name in names if name in now]
    return ", ".join(words)


def _explanation(outcome: Outcome) -> list[str]:
    text = cause(outcome)
    if not text:
        return ["Every compared output has the hash that `dvc.lock` records."]
    parts = [f"## Where it differs\n\n{text[0].upper()}{text[1:]}."]
    parts += [
        f"{result.name}: {result.note}."
        for result in outcome.results
        if result.note and result.note not in text
    ]
    worst = _worst(outcome)
    if worst:
        shown = "\n".join(f"- {_gap(gap)}" for gap in worst[:_SHOWN])
        more = f"\n- and {len(worst) - _SHOWN} more" if len(worst) > _SHOWN else ""
        parts.append(shown + more)
    if outcome.environment:
        rows = [
            f"| {name} | {_value(before)} | {_value(after)} |"
            for name, (before, after) in outcome.environment.items()
        ]
        parts.append(
            "| environment | recorded | now |\n|---|---|---|\n" + "\n".join(rows)
        )
    return parts


def _tolerance_text(outcome: Outcome) -> str:
    here = ", ".join(
        f"{name} {limit.mean:.3g} and {limit.run:.3g}"
        for name, limit in outcome.limits.items()
    )
    return (
        f"Tolerance: the mean of a metric may move by {tolerance.MEAN_SHARE:g}, its "
        f"value in one run by {tolerance.RUN_SHARE:g} standard deviations over seeds "
        f"and folds (at least {tolerance.FLOOR:g}; {tolerance.SINGLE_RUN:g} where one "
        f"run gives no deviation). Here: {here or 'no metrics/summary.json'}. Results "
        f"computed from equal inputs must agree to {tolerance.FLOOR:g}. Other values "
        "are shown, but do not decide."
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
