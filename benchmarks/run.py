"""Choose benchmarks, run them, and report."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    batches,
    cnn10,
    copies,
    egemaps,
    ffnn,
    fsdd,
    log_mel,
    machine,
    models,
    peer,
    precision,
    scale,
    startup,
)
from benchmarks.measure import BenchmarkError
from benchmarks.results import Finding, markdown
from benchmarks.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".benchmarks"
BENCHMARKS: dict[str, Callable[[Workspace], Finding]] = {
    "startup": startup.run,
    "log_mel": log_mel.run,
    "egemaps": egemaps.run,
    "ffnn": ffnn.run,
    "cnn10": cnn10.run,
    "batches": batches.run,
    "scale": scale.run,
    "copies": copies.run,
    "models": models.run,
    "precision": precision.run,
}
ALONE = frozenset(
    {"batches", "copies", "models", "precision", "scale"}
)  # measure Rehear only


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _main(options)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Rehear beside autrainer, which is installed for it.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of: {' '.join(BENCHMARKS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the work, once"
    )
    parser.add_argument(
        "--busy",
        action="store_true",
        help="the machine has other work: run the peer with one thread, since with "
        "more it is slowed down many times",
    )
    parser.add_argument("--data", type=Path, help="folder of the FSDD recordings")
    parser.add_argument("--repeats", type=int, help="of each measurement")
    parser.add_argument(
        "--out", type=Path, default=PLACE / "results.json", help="results as JSON"
    )
    return parser


def _main(options: argparse.Namespace) -> int:
    names = options.names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            known = ", ".join(BENCHMARKS)
            raise BenchmarkError(f"unknown benchmark '{name}'. Known: {known}")
    audio = fsdd.folder(options.data)
    PLACE.mkdir(exist_ok=True)
    beside = not ALONE.issuperset(names)
    tools = peer.install(PLACE / "peer") if beside else PLACE / "peer" / "bin"
    python = tools / "python" if beside else None
    facts = machine.describe(python) | {"busy": options.busy}
    print(machine.line(facts), flush=True)
    if options.busy:
        settings = " and ".join(f"{k}={v}" for k, v in peer.ALONE.items())
        print(f"--busy: autrainer runs with {settings} (cnn10: 2 threads)")
    with tempfile.TemporaryDirectory(dir=PLACE, prefix="scratch-") as scratch:
        workspace = Workspace(
            scratch=Path(scratch),
            audio=audio,
            recordings=fsdd.recordings(audio, few=options.quick),
            peer=peer.Peer(
                folder=PLACE / ("peer-quick" if options.quick else "peer-study"),
                bin=tools,
                busy=options.busy,
            ),
            quick=options.quick,
            repeated=options.repeats,
        )
        if beside:
            workspace.peer.set_up(audio, workspace.recordings)
        findings = []
        for name in names:
            print(f"{name} …", flush=True)
            findings.append(BENCHMARKS[name](workspace))
            _save(options.out, facts, findings)
    print(f"\n{markdown(findings)}\n\nresults: {options.out}")
    return 0


def _save(path: Path, facts: dict[str, object], findings: Sequence[Finding]) -> None:
    found = {finding.name: finding.record() for finding in findings}
    text = json.dumps({"machine": facts, "benchmarks": found}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
