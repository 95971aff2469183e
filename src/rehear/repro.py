"""``rehear repro``: DVC's pipeline, with independent stages side by side.

DVC itself runs every stage (``dvc repro --single-item``), so what it records is
what ``dvc repro`` would have recorded. Here is only the order: which stages
have to run, and which of them do not wait for one another.
"""

import itertools
import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rehear import atomic, processes
from rehear.errors import StageError, suggest

# What DVC says after every single stage.
_NOISE = (
    "Use `dvc push`",
    "To track the changes with git",
    "To enable auto staging",
    "\tgit add",
    "\tdvc config core.autostage",
    "Updating lock file",
)


@dataclass(frozen=True)
class Graph:
    """Stages and what each needs directly.

    Attributes:
        order: names of all stages, as in dvc.yaml, a matrix written out
        needs: names of the stages whose outputs a stage reads
    """

    order: tuple[str, ...]
    needs: dict[str, frozenset[str]]

    def upstream(self, names: Collection[str]) -> set[str]:
        """Return ``names`` and all that they need, directly or not."""
        found: set[str] = set()
        left = list(names)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left.extend(self.needs[name])
        return found


def run(
    study: Path,
    targets: Sequence[str] = (),
    *,
    jobs: int = 1,
    single: bool = False,
    options: Sequence[str] = (),
) -> int:
    """Bring the stages of a study up to date.

    With one job this is ``dvc repro``. In either case ``dvc.lock`` then lists
    its stages in the order of ``dvc.yaml``.

    Args:
        study: root of the study
        targets: stages; those they need come first. Default: all of dvc.yaml.
            ``train`` stands for all of ``train@…``
        jobs: how many stages run at a time
        single: run the targets alone, without what they need
        options: more options for ``dvc repro``, such as ``--force``

    Returns:
        exit code of DVC

    Raises:
        StageError: if DVC cannot read the pipeline, a target is unknown, or,
            with several jobs, a stage fails
    """
    if jobs < 1:
        raise StageError(f"jobs: expected a number from 1, found {jobs}")
    options = [*options, *(["--single-item"] if single else [])]
    if jobs == 1:
        return _run_one_by_one(study, targets, options)
    graph, changed = _ask_dvc(study)
    wanted = select(graph, targets, single=single)
    if {"-f", "--force"} & set(options):
        changed = wanted
    batch = _Batch(study, graph, wanted, changed, tuple(options))
    before = _read_lock(study)
    try:
        batch.run(jobs)
    finally:
        if _read_lock(study) != before:
            sort_lock(study, graph.order)
    batch.report()
    return 0


def _run_one_by_one(study: Path, targets: Sequence[str], options: Sequence[str]) -> int:
    before = _read_lock(study)
    command = processes.dvc("repro", *options, *targets)
    try:
        return subprocess.run(
            command, cwd=study, env=processes.variables(), check=False
        ).returncode
    finally:
        if _read_lock(study) != before:
            sort_lock(study, read_graph(study).order)


def _ask_dvc(study: Path) -> tuple[Graph, set[str]]:
    """Ask for graph and changes at once: each question takes DVC a second."""
    with ThreadPoolExecutor(2) as pool:
        graph = pool.submit(read_graph, study)
        changed = pool.submit(changed_stages, study)
        return graph.result(), changed.result()


def read_graph(study: Path) -> Graph:
    """Return the stages of a study, and of its ``.dvc`` files, from DVC.

    Raises:
        StageError: if DVC cannot read dvc.yaml; its reason is passed on
    """
    order, needs = [], {}
    for line in processes.ask(processes.dvc("dag", "--dot"), study).splitlines():
        names = re.findall(r'"([^"]+)"', line)
        if len(names) == 1:
            order.append(names[0])
            needs[names[0]] = set[str]()
        elif len(names) == 2:
            needs[names[1]].add(names[0])
    return Graph(tuple(order), {name: frozenset(needs[name]) for name in order})


def changed_stages(study: Path) -> set[str]:
    """Return the stages that DVC does not find up to date.

    Raises:
        StageError: if DVC cannot tell; its reason is passed on
    """
    answer = processes.ask(processes.dvc("status", "--json"), study)
    return set(json.loads(answer or "{}"))


def select(graph: Graph, targets: Sequence[str], *, single: bool = False) -> set[str]:
    """Return the stages that bringing ``targets`` up to date may run.

    Raises:
        StageError: if there is no such stage
    """
    if not targets:
        # as dvc repro: of this folder's dvc.yaml, not of others in the repository
        targets = [
            name
            for name in graph.order
            if ":" not in name and not name.endswith(".dvc")
        ]
    chosen: set[str] = set()
    for target in targets:
        found = {
            name
            for name in graph.order
            if name == target or name.startswith(f"{target}@")
        }
        if not found:
            raise StageError(
                f"dvc.yaml has no stage '{target}'.{suggest(target, graph.order)} "
                f"Stages: {', '.join(graph.order)}"
            )
        chosen |= found
    return chosen if single else graph.upstream(chosen)


@dataclass
class _Batch:
    """Stages on their way: waiting, running, done."""

    study: Path
    graph: Graph
    wanted: set[str]
    changed: set[str]
    options: tuple[str, ...]
    waiting: list[str] = field(init=False)
    running: dict[str, processes.Process] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = [name for name in self.graph.order if name in self.wanted]
        self.tails: dict[str, list[str]] = {}
        self.ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self.width = max(map(len, self.waiting), default=0)
        self.speaking = threading.Lock()
        self.started = time.monotonic()

    def run(self, jobs: int) -> None:
        with processes.ending(self.running.values()):
            self.start(jobs)
            while self.running:
                self.finish(*self.ended.get())
                self.start(jobs)

    def start(self, jobs: int) -> None:
        """Start what is ready; once a stage has failed, nothing more."""
        while not self.failed and len(self.running) < jobs:
            name = next(filter(self.is_ready, self.waiting), None)
            if name is None:
                return
            self.waiting.remove(name)
            if name in self.changed or self.graph.needs[name] & set(self.ran):
                self.say(name, "started")
                self.running[name] = self.process(name)

    def is_ready(self, name: str) -> bool:
        return not self.graph.needs[name] & {*self.waiting, *self.running}

    def process(self, name: str) -> processes.Process:
        single = [] if "--single-item" in self.options else ["--single-item"]
        return processes.Process(
            processes.dvc("repro", *single, *self.options, name),
            cwd=self.study,
            variables=processes.variables(),
            on_line=lambda line: self.say(name, line),
            on_end=lambda code: self.ended.put((name, code)),
        )

    def finish(self, name: str, code: int) -> None:
        process = self.running.pop(name)
        if code:
            self.failed.append(name)
            self.tails[name] = list(process.tail)
            self.say(name, f"FAILED with exit code {code}")
        else:
            self.ran.append(name)
            self.say(name, "done")

    def say(self, name: str, line: str) -> None:
        if line.strip() and not line.startswith(_NOISE):
            with self.speaking:
                sys.stdout.write(f"{name:{self.width}} | {line}\n")
                sys.stdout.flush()

    def report(self) -> None:
        seconds = time.monotonic() - self.started
        if self.failed:
            lines = [
                f"{name:{self.width}} | {line}\n"
                for name in self.failed
                for line in self.tails[name]
                if not line.startswith(_NOISE)
            ]
            sys.stderr.write("\nLast lines:\n" + "".join(lines))
            kept = f"; kept: {', '.join(self.ran)}" if self.ran else ""
            left = f"; not run: {', '.join(self.waiting)}" if self.waiting else ""
            raise StageError(
                f"failed: {', '.join(self.failed)}{left}{kept}; mend it and run the "
                "same command to go on"
            )
        same = len(self.wanted) - len(self.ran)
        sys.stdout.write(
            f"{len(self.ran)} stages checked or run in {seconds:.0f} s, "
            f"{same} up to date\n"
        )


def _read_lock(study: Path) -> bytes:
    file = study / "dvc.lock"
    return file.read_bytes() if file.is_file() else b""


def sort_lock(study: Path, order: Sequence[str]) -> None:
    """Put the stages of ``dvc.lock`` in a fixed order, each as it is.

    DVC appends stages as they end, which differs between runs side by side.

    Args:
        study: folder of dvc.lock
        order: names of stages; others come last, in alphabetical order
    """
    file = study / "dvc.lock"
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8")
    head, entries = _split_lock(text)
    rank = {name: index for index, name in enumerate(order)}
    names = sorted(entries, key=lambda name: (rank.get(name, len(rank)), name))
    result = head + "".join(entries[name] for name in names)
    if result != text and _same_yaml(result, text):
        atomic.write_text(file, result)


def _split_lock(text: str) -> tuple[str, dict[str, str]]:
    """Split at the names of stages: the lines indented by exactly two spaces.

    Text is moved, not YAML written anew, so that no byte of an entry changes.
    """
    lines = iter(text.splitlines(keepends=True))
    head = list(itertools.takewhile(lambda line: line.rstrip() != "stages:", lines))
    entries: dict[str, str] = {}
    name = ""
    for line in lines:
        match = re.match(r"  (?! )['\"]?(.+?)['\"]?:\s*$", line)
        if match:
            name = match[1]
        entries[name] = entries.get(name, "") + line
    return "".join(head) + ("stages:\n" if entries else ""), entries


def _same_yaml(one: str, other: str) -> bool:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        parsed: list[object] = [YAML(typ="safe").load(text) for text in (one, other)]
    except YAMLError:
        return False
    return parsed[0] == parsed[1]
