"""A commit's ``dvc.lock`` and results against those of a new run of it."""

import enum
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehear.errors import StageError
from rehear.tolerance import Gap, Limit, Rule, gaps

LOCK = "dvc.lock"
SUMMARY = "metrics/summary.json"
#: Outputs that differ between equal runs, and why. The only such list.
NOT_COMPARED = {
    "provenance.json": "holds commit, dates, durations and the machine",
    "reports": "show the numbers of metrics/ again, and the provenance",
}
#: Small files inside cached outputs that hold a run's numbers.
_SCORES = "scores.json"


class Verdict(enum.Enum):
    """What a comparison has found, the best first."""

    IDENTICAL = "bit-identical"
    CLOSE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Stage:
    """A stage in ``dvc.lock``.

    Attributes:
        name: as in dvc.yaml, with the matrix item
        outs: path and hash of each output
        deps: path and hash of each file or folder that is read
        settings: command, and path and value of each parameter
    """

    name: str
    outs: Mapping[str, str]
    deps: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclass
class Result:
    """What was found for a stage.

    Attributes:
        name: name of the stage
        verdict: ``None`` while only its bytes differ: the stages that follow
            from it then decide
        inputs: files, parameters and command that are not as recorded
        own_inputs: those of ``inputs`` that no other stage makes
        outs: outputs that are not as recorded
        edited: outputs in the commit that are not what its dvc.lock records
        gaps: values that differ
        judged: whether numbers of it could be compared
        is_unrecorded: whether the commit's dvc.lock lacks the stage
        note: what else a reader should know
    """

    name: str
    verdict: Verdict | None = None
    inputs: list[str] = field(default_factory=list)
    own_inputs: list[str] = field(default_factory=list)
    outs: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    judged: bool = False
    is_unrecorded: bool = False
    note: str = ""


@dataclass(frozen=True)
class Sides:
    """Where the files of both runs are.

    Attributes:
        committed: folder with the outputs that git tracks, as committed
        found: root of the study that ran again
        cached: returns files of a DVC output from the original's cache by the
            output's hash, as far as it is there; empty name for a single file
    """

    committed: Path
    found: Path
    cached: Callable[[str], Mapping[str, Path]]


def read_lock(file: Path) -> dict[str, Stage]:
    """Return the stages of a ``dvc.lock``, each after those it needs.

    Raises:
        StageError: if it is missing or not readable
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
        entries = tree["stages"]
        stages = {name: _stage(name, entry) for name, entry in entries.items()}
    except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
        raise StageError(
            f"{file}: not a dvc.lock of a finished run ({error}); run dvc repro "
            "and commit dvc.lock"
        ) from None
    return _topological(stages)


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    settings = {"command": entry.get("cmd")}
    for file, values in (entry.get("params") or {}).items():
        settings.update({f"{file}:{key}": value for key, value in values.items()})
    return Stage(
        name,
        {out["path"]: _hash(out) for out in entry.get("outs") or []},
        {dep["path"]: _hash(dep) for dep in entry.get("deps") or []},
        settings,
    )


def _hash(entry: Mapping[str, Any]) -> str:
    kind = str(entry.get("hash", "md5-dos2unix"))
    if kind in entry:
        return str(entry[kind])
    sizes = ("path", "size", "nfiles", "hash", "isexec")
    return str({key: entry[key] for key in sorted(entry) if key not in sizes})


def _topological(stages: dict[str, Stage]) -> dict[str, Stage]:
    order: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.name in order:
            return
        for other in stages.values():
            if other is not stage and makers(stage.deps, other):
                visit(other)
        order[stage.name] = stage

    for stage in stages.values():
        visit(stage)
    return order


def makers(deps: Mapping[str, str], stage: Stage) -> list[str]:
    """Return those of ``deps`` that hold, or lie in, an output of ``stage``."""
    return [dep for dep in deps if any(_overlap(dep, out) for out in stage.outs)]


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def is_compared(out: str) -> bool:
    """Whether an output must be equal in equal runs."""
    return not any(f"{out}/".startswith(f"{name}/") for name in NOT_COMPARED)


def compare(
    recorded: Mapping[str, Stage],
    found: Mapping[str, Stage],
    sides: Sides,
    limits: Mapping[str, Limit],
) -> list[Result]:
    """Compare two runs stage by stage.

    Args:
        recorded: stages of the commit's dvc.lock
        found: stages of the new run's
        sides: where the files are
        limits: how far each metric may move

    Returns:
        one result for each stage, in the order in which they run
    """
    results = []
    for name, stage in found.items():
        if name in recorded:
            result = _inputs(recorded[name], stage, found)
            _outputs(result, recorded[name], stage, sides, limits)
        else:
            result = Result(name, Verdict.DIFFERENT, outs=list(stage.outs))
            result.is_unrecorded = True
            result.note = "not in the commit's dvc.lock: never run, or not committed"
        results.append(result)
    _settle(results, found)
    return results


def _inputs(recorded: Stage, found: Stage, stages: Mapping[str, Stage]) -> Result:
    changed = _changed(recorded.deps, found.deps)
    settings = _changed(recorded.settings, found.settings)
    own = [
        dep
        for dep in changed
        if not any(makers({dep: ""}, stage) for stage in stages.values())
    ]
    return Result(
        found.name, inputs=[*changed, *settings], own_inputs=[*own, *settings]
    )


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]


def _outputs(
    result: Result,
    recorded: Stage,
    found: Stage,
    sides: Sides,
    limits: Mapping[str, Limit],
) -> None:
    result.edited = edited(recorded, sides.committed)
    changed = _changed(recorded.outs, found.outs)
    result.outs = [
        out
        for out in {**dict.fromkeys(changed), **dict.fromkeys(result.edited)}
        if is_compared(out)
    ]
    for out in result.outs:
        # Tracked results are arithmetic on equal inputs; training is not.
        rule = Rule(
            limits, strict=(sides.committed / out).exists() and not result.inputs
        )
        pairs = _pairs(out, recorded.outs.get(out, ""), sides)
        for name, (before, after) in pairs.items():
            result.judged = True
            result.gaps += gaps(name, before, after, rule)
    if result.edited or any(gap.is_beyond for gap in result.gaps):
        result.verdict = Verdict.DIFFERENT
    elif result.own_inputs and result.outs:
        # However near the numbers are, they were made from something else.
        result.verdict = Verdict.DIFFERENT
        result.note = "its inputs in the commit are not those that dvc.lock records"
    elif any(out not in found.outs for out in result.outs):
        result.verdict = Verdict.DIFFERENT
        result.note = "an output of the commit is not made any more"
    elif not result.outs:
        result.verdict = Verdict.IDENTICAL
    elif result.judged:
        result.verdict = Verdict.CLOSE


def edited(stage: Stage, committed: Path) -> list[str]:
    """Return the outputs in a commit that are not what its dvc.lock records."""
    return [
        out
        for out, recorded in stage.outs.items()
        if (committed / out).exists()
        # DVC before 3.0 hashed text with other line ends
        and not recorded.startswith("{")
        and digest(committed / out) != recorded
    ]


def digest(path: Path) -> str:
    """Return DVC's hash of a file or a folder."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    entries = [
        {"md5": digest(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file()
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    text = json.dumps(entries, sort_keys=True).encode("utf-8")
    return hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"


def _pairs(out: str, recorded: str, sides: Sides) -> dict[str, tuple[bytes, bytes]]:
    """Return both versions of each file of numbers in an output."""
    committed = sides.committed / out
    before: Mapping[str, Path]
    if committed.is_file():
        before = {"": committed}
    elif committed.is_dir():
        before = {
            file.relative_to(committed).as_posix(): file
            for file in sorted(committed.rglob("*"))
        }
    else:
        cached = sides.cached(recorded)
        before = {name: file for name, file in cached.items() if name == _SCORES}
    pairs = {}
    for name, file in before.items():
        path = f"{out}/{name}".rstrip("/")
        after = sides.found / path
        if path.endswith((".json", ".csv")) and after.is_file():
            pairs[path] = (file.read_bytes(), after.read_bytes())
    return pairs


def _settle(results: Sequence[Result], stages: Mapping[str, Stage]) -> None:
    """Decide about stages of which only bytes can be compared.

    Their outputs matter through what follows from them. So the last comes
    first, and each takes the worst verdict of the stages that read it.
    """
    verdicts: dict[str, Verdict] = {}
    for result in reversed(results):
        if result.verdict is None:
            readers = [
                verdicts[name]
                for name in verdicts
                if makers(stages[name].deps, stages[result.name])
            ]
            is_close = readers and Verdict.DIFFERENT not in readers
            result.verdict = Verdict.CLOSE if is_close else Verdict.DIFFERENT
            result.note = (
                "no numbers in it to compare; judged by the stages that read it"
                if readers
                else "no numbers in it to compare, and no stage reads it"
            )
        verdicts[result.name] = result.verdict


def overall(results: Sequence[Result]) -> Verdict:
    """Return the worst verdict."""
    order = list(Verdict)
    return max(
        (result.verdict or Verdict.DIFFERENT for result in results),
        key=order.index,
        default=Verdict.DIFFERENT,
    )


def first_difference(results: Sequence[Result]) -> Result | None:
    """Return the first stage, in running order, with another output."""
    return next((result for result in results if result.outs or result.edited), None)
