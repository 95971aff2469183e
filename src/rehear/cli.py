"""The command line: one subcommand for each stage, and the rest."""

import argparse
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rehear import __version__
from rehear.errors import RehearError

if TYPE_CHECKING:
    from rehear.params import Params

STAGES = ("fetch", "pretrained", "preprocess", "train", "evaluate", "postprocess")
_HELP = {
    "fetch": "get the recordings and write data/manifest.csv",
    "pretrained": "get the weights that training starts from",
    "preprocess": "turn recordings into packed features",
    "train": "train the model, once for each seed and fold",
    "evaluate": "predict and score, once for each seed and fold",
    "postprocess": "summarise all runs: metrics, tables, report",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        from rehear import workspace

        workspace.enter()
        options = _parser().parse_args(arguments)
        return int(options.command(options) or 0)
    except RehearError as error:
        print(f"rehear: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrehear: interrupted; run the same command to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has gone; nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"rehear: {_os_error(error)}", file=sys.stderr)
        return 1


def script() -> None:
    """Run the command line and end the process without tearing torch down.

    Its exit handlers take 0.3 s and have nothing to save.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if "torch" in sys.modules:
        os._exit(code)
    sys.exit(code)


def _os_error(error: OSError) -> str:
    import errno

    place = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{place}no space left on the disk; free some and run again"
    return f"{place}{error.strerror or error}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rehear",
        description="Hear it again, get the same result.",
        epilog="Run a stage in the folder of a study, or all of them with `dvc repro`.",
    )
    parser.add_argument("--version", action="version", version=f"rehear {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for stage in STAGES:
        command = commands.add_parser(stage, help=_HELP[stage])
        _add_run(command, stage)
        command.set_defaults(command=_stages, stages=[stage])
    command = commands.add_parser("run", help="run stages in one process, without DVC")
    command.add_argument(
        "stages", nargs="*", metavar="STAGE", help=f"default: {' '.join(STAGES)}"
    )
    _add_run(command, "train")
    command.set_defaults(command=_stages)
    _add_inspection(commands)
    _add_pipeline(commands)
    return parser


def _add_run(command: argparse.ArgumentParser, stage: str) -> None:
    if stage in ("train", "evaluate"):
        command.add_argument("--seed", type=int, help="only the runs of this seed")
        command.add_argument("--fold", help="only the runs of this fold")


def _add_inspection(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    command = commands.add_parser(
        "check", help="check params.yaml and send one clip through the whole path"
    )
    command.set_defaults(command=_check)
    command = commands.add_parser("list", help="list the parts that there are")
    command.add_argument("kind", nargs="?", help="such as models or transforms")
    command.set_defaults(command=_list)
    command = commands.add_parser(
        "show", help="show a part's arguments, or all parameters with their defaults"
    )
    command.add_argument("name", nargs="?", help="name of a part, such as cnn10")
    command.set_defaults(command=_show)
    _add_presets(commands)
    command = commands.add_parser(
        "data", help="show what the data set is, from splits to leaks"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print data/card.json")
    form.add_argument(
        "--html",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="FILE",
        help="write a page with figures and recordings (default: data/card.html)",
    )
    command.set_defaults(command=_data)


def _add_presets(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    command = commands.add_parser(
        "presets", help="list the presets that there are, or show one"
    )
    command.add_argument(
        "name", nargs="?", help="a kind, such as augmentation, or the name of a preset"
    )
    command.add_argument(
        "--like", default="", metavar="TEXT", help="those with this text in their line"
    )
    command.set_defaults(command=_presets)
    command = commands.add_parser("use", help="write presets into params.yaml")
    command.add_argument("names", nargs="+", metavar="NAME", help="of a preset")
    command.add_argument(
        "--add", action="store_true", help="append to augment instead of replacing it"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="only print what would change"
    )
    command.set_defaults(command=_use)


def _add_pipeline(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    command = commands.add_parser(
        "repro", help="like `dvc repro`, with independent stages side by side"
    )
    command.add_argument("targets", nargs="*", metavar="STAGE")
    command.add_argument(
        "-j", "--jobs", type=int, default=1, metavar="N", help="stages at a time"
    )
    command.add_argument("-f", "--force", action="store_true", help="run all again")
    command.add_argument("--pull", action="store_true", help="ask the remote first")
    command.set_defaults(command=_repro)
    command = commands.add_parser(
        "verify", help="run a commit again elsewhere and compare every number"
    )
    command.add_argument("revision", nargs="?", default="HEAD", metavar="REV")
    command.add_argument(
        "--env",
        choices=("lock", "current"),
        default="lock",
        help="environment from requirements.lock (default), or the one in use",
    )
    command.add_argument("--keep", action="store_true", help="keep the clone")
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.set_defaults(command=_verify)
    command = commands.add_parser(
        "plots", help="draw the plots of commits or experiments, without network"
    )
    command.add_argument("revisions", nargs="*", metavar="REV")
    command.add_argument("-o", "--out", type=Path, default=Path("dvc_plots"))
    command.set_defaults(command=_plots)


def _stages(options: argparse.Namespace) -> int:
    from rehear import names, params, workspace
    from rehear.errors import ParamsError, suggest

    # Idle threads that spin cost a busy machine up to ten times the run.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    study = workspace.study_root(Path.cwd())
    wanted = options.stages or list(STAGES)
    for stage in wanted:
        if stage not in STAGES:
            raise ParamsError(
                f"unknown stage '{stage}'.{suggest(stage, STAGES)} "
                f"Known: {', '.join(STAGES)}"
            )
    workspace.check_processes(wanted)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    workspace.check_stage(study)
    workspace.load_parts(study)
    values = params.load(study / params.FILE)
    names.check(values)
    if workspace.is_main_process():
        _check_first(study, values, wanted)
    for stage in wanted:
        for keywords in _runs(stage, values, options):
            name = "-".join([stage, *map(str, keywords.values())])
            with workspace.lock(study, name):
                start = time.monotonic()
                result = _function(stage)(values, study, **keywords)
                if workspace.is_main_process():
                    workspace.record_run(study, name, time.monotonic() - start)
            if isinstance(result, str):
                print(result)
    return 0


def _check_first(study: Path, values: "Params", wanted: Sequence[str]) -> None:
    """Find mistakes before the expensive stages that come before them."""
    from rehear import checking
    from rehear.errors import DataError

    if "preprocess" in wanted and "train" in wanted:
        # What is wrong with clips is for the stages to judge, which may skip them.
        with contextlib.suppress(DataError):
            list(checking.check(study))
    elif "preprocess" in wanted:
        checking.check_order(study, values)


def _runs(
    stage: str, values: "object", options: argparse.Namespace
) -> list[dict[str, object]]:
    """Return the keywords of each time that a stage is to be run."""
    from rehear.params import Params

    assert isinstance(values, Params)
    if stage not in ("train", "evaluate"):
        return [{}]
    seeds = values.seeds if options.seed is None else (options.seed,)
    folds = values.folds if options.fold is None else (options.fold,)
    return [{"seed": seed, "fold": fold} for seed in seeds for fold in folds]


def _function(stage: str) -> Callable[..., object]:
    """Return the function of a stage; only its own imports are paid for."""
    from rehear.catalogue import Catalogue

    table = {name: f"rehear.stages.{name}:run" for name in STAGES}
    return Catalogue("stage", table).get(stage)


def _check(options: argparse.Namespace) -> int:
    from rehear import checking, workspace

    study = workspace.study_root(Path.cwd())
    workspace.load_parts(study)
    for line in checking.check(study):
        print(line)
    return 0


def _list(options: argparse.Namespace) -> int:
    from rehear import inspection

    _load_parts_if_any()
    print(inspection.list_parts(options.kind))
    return 0


def _show(options: argparse.Namespace) -> int:
    from rehear import inspection, params, workspace

    _load_parts_if_any()
    if options.name:
        print(_described(options.name))
    else:
        study = workspace.study_root(Path.cwd())
        print(inspection.resolved(params.load(study / params.FILE)))
    return 0


def _described(name: str) -> str:
    from rehear import inspection, presets
    from rehear.errors import ParamsError

    found = [presets.describe(preset) for preset in presets.matches(name)]
    try:
        found.insert(0, inspection.describe(name))
    except ParamsError:
        if not found:
            raise
    return "\n\n".join(found)


def _presets(options: argparse.Namespace) -> int:
    from rehear import presets

    print(presets.listing(options.name, like=options.like))
    return 0


def _use(options: argparse.Namespace) -> int:
    from rehear import presets, workspace

    study = workspace.study_root(Path.cwd())
    workspace.load_parts(study)
    changes = presets.use(
        study, options.names, add=options.add, dry_run=options.dry_run
    )
    print(changes or "params.yaml: nothing to change, all of it stands there already")
    return 0


def _data(options: argparse.Namespace) -> int:
    from rehear import atomic, card, manifest, paths, workspace
    from rehear.report import data_page, data_text

    study = workspace.study_root(Path.cwd())
    described = card.read(study)
    if options.json:
        print((study / paths.CARD).read_text(encoding="utf-8"), end="")
    elif options.html is None:
        encoding = sys.stdout.encoding or "ascii"
        print(data_text.render(described, encoding=encoding), end="")
    else:
        page = options.html if options.html != Path() else study / paths.CARD_PAGE
        clips = manifest.read(study / paths.MANIFEST)
        atomic.write_text(page, data_page.render(described, clips, study))
        print(f"{page}: holds recordings, so mind their licence")
    return 0


def _load_parts_if_any() -> None:
    from rehear import workspace
    from rehear.errors import StageError

    try:
        study = workspace.study_root(Path.cwd())
    except StageError:
        return
    workspace.load_parts(study)


def _repro(options: argparse.Namespace) -> int:
    from rehear import repro, workspace

    study = workspace.study_root(Path.cwd())
    chosen = {"--force": options.force, "--pull": options.pull}
    extra = [option for option, wanted in chosen.items() if wanted]
    return repro.run(study, options.targets, jobs=options.jobs, options=extra)


def _verify(options: argparse.Namespace) -> int:
    from rehear import verify, workspace

    return verify.run(
        workspace.study_root(Path.cwd()),
        options.revision,
        env=options.env,
        keep=options.keep,
        as_json=options.json,
    )


def _plots(options: argparse.Namespace) -> int:
    from rehear import plots, workspace

    study = workspace.study_root(Path.cwd())
    print(plots.render(study, options.revisions, options.out))
    return 0


if __name__ == "__main__":
    script()
