"""`chainrule bench`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainrule.errors import ConfigError
from chainrule.threads import available_cpus

if TYPE_CHECKING:
    from rich.console import Console

    from chainrule.bench.case import Case, Settings
    from chainrule.bench.result import Result

EXAMPLES = """\b
Examples:
  chainrule bench                            everything: some minutes
  chainrule bench --quick                    a part of it: less than one
  chainrule bench training/resnet20          one case
  chainrule bench training overhead          cases whose names contain these
  chainrule bench "conv2d-*k3s1p1" --threads 1
  chainrule bench --json result.json --plot result.png
  chainrule bench --tiers                    loops, whole arrays, compiled code
"""
WIDTH = 120  # of tables that go to a file
INTERRUPTED = 130


@click.command("bench", epilog=EXAMPLES)
@click.argument("cases", nargs=-1)
@click.option("--list", "show_names", is_flag=True, help="Print the names of the cases, and end.")
@click.option("--quick", is_flag=True, help="Fewer cases, measured more briefly.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=lambda: min(2, available_cpus()),
    show_default="2",
    help="Of both libraries.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Turns of each side; long cases take fewer, but at least 3.",
)
@click.option("--isa", metavar="[portable|avx2|avx512]", help="Instruction set of our kernels.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write a result file.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw it; a .png.")
@click.option(
    "--from",
    "saved",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Measure nothing; show (and --plot) a result file.",
)
@click.option("--tiers", is_flag=True, help="Compare our own naive, vectorised, native kernels.")
@click.pass_context
def bench_command(
    context: click.Context,
    cases: tuple[str, ...],
    show_names: bool,
    quick: bool,
    threads: int,
    rounds: int,
    isa: str | None,
    json_file: Path | None,
    plot_file: Path | None,
    saved: Path | None,
    tiers: bool,
) -> None:
    """Time chainrule beside PyTorch, in one process, in turns.

    CASES are names or parts of names (see --list); all by default. Training steps, inference,
    kernels, overhead of the graph, memory, time to import, installed size. Without PyTorch, our
    own figures. Ctrl-C shows, and writes, what was measured until then.
    """
    from chainrule.bench.case import Settings
    from chainrule.bench.run import begin, select

    _check(json_file, plot_file)
    if tiers:
        if cases or saved or plot_file:
            raise click.UsageError("--tiers goes with --threads, --isa and --json only")
        _show_tiers(threads, isa, json_file)
        return
    if saved:
        if cases or json_file:
            raise click.UsageError("--from goes with --plot only")
        _show_saved(saved, plot_file)
        return
    chosen = select(cases, quick)
    if show_names:
        click.echo("\n".join(case.name for case in chosen))
        return
    settings = Settings(threads, rounds, quick)
    result = begin(settings, isa)
    _measure(chosen, settings, result)
    if json_file:
        result.save(json_file)
    if plot_file and result.rows:
        from chainrule.bench.plot import save_plot

        save_plot(result, plot_file)
    if not result.complete:
        kept = "the figures above are what was measured" if result.rows else "nothing was measured"
        click.echo(f"chainrule: interrupted; {kept}", err=True)
        context.exit(INTERRUPTED)


def _check(json_file: Path | None, plot_file: Path | None) -> None:
    """Find out before minutes of measuring that the files cannot be written."""
    for file in (json_file, plot_file):
        if file and (file.is_dir() or not file.absolute().parent.is_dir()):
            reason = "is a folder" if file.is_dir() else f"there is no folder {file.parent}"
            raise ConfigError(f"bench: cannot write {file}: {reason}")
    if plot_file:
        from chainrule.bench.plot import FORMATS, require_matplotlib

        if plot_file.suffix.lower() not in FORMATS:
            raise ConfigError(f"bench: --plot draws {', '.join(FORMATS)}, not {plot_file}")
        require_matplotlib()


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    return console


def _measure(cases: Sequence[Case], settings: Settings, result: Result) -> None:
    """Fill the result; a table appears when its group is complete."""
    from chainrule.bench.libraries import why_torch_is_absent
    from chainrule.bench.report import HOW_TO_COMPARE, group_table
    from chainrule.bench.run import measure

    console = _console()
    _show_heading(result, console)
    if why_torch_is_absent():
        console.print(HOW_TO_COMPARE, style="yellow", markup=False)
    shown: set[str] = set()

    def show_until(group: str | None) -> None:
        for one in dict.fromkeys(row.group for row in result.rows):
            if one not in shown and one != group:
                shown.add(one)
                console.print()
                console.print(group_table(result, one))

    try:
        with _progress(len(cases), console) as advance:
            for case in cases:
                show_until(case.name.partition("/")[0])
                advance(case.name)
                result.rows.append(measure(case, settings))
        result.complete = True
    except KeyboardInterrupt:
        pass
    show_until(None)


def _show_heading(result: Result, console: Console) -> None:
    from chainrule.bench.report import busy, heading

    console.print(heading(result), markup=False, soft_wrap=True)
    if warning := busy(result):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)


@contextmanager
def _progress(total: int, console: Console) -> Iterator[Any]:
    """A line on a terminal that names the case; drawn between cases only, to take no time.

    Elsewhere nothing: the tables come one by one.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
    progress = Progress(
        *columns, console=console, transient=True, auto_refresh=False,
        disable=not console.is_terminal,
    )  # fmt: skip
    with progress:
        task = progress.add_task("", total=total)
        count = iter(range(total))

        def advance(name: str) -> None:
            progress.update(task, completed=next(count), description=name, refresh=True)

        yield advance


def _show_saved(saved: Path, plot_file: Path | None) -> None:
    from chainrule.bench.report import group_table
    from chainrule.bench.result import Result

    result = Result.load(saved)
    console = _console()
    console.print(f"{result.date}{'' if result.complete else ', interrupted'}")
    _show_heading(result, console)
    for group in dict.fromkeys(row.group for row in result.rows):
        console.print()
        console.print(group_table(result, group))
    if plot_file:
        from chainrule.bench.plot import save_plot

        save_plot(result, plot_file)


def _show_tiers(threads: int, isa: str | None, json_file: Path | None) -> None:
    from chainrule.bench.run import set_up
    from chainrule.bench.tiers import EXPLANATION, TIERS, compare_tiers, tiers_table
    from chainrule.kernels.table import why_native_is_absent
    from chainrule.training.checkpoint import write_atomically

    set_up(threads, isa)
    console = _console()
    with console.status("naive, vectorised, native"):
        rows = list(compare_tiers())
    console.print(tiers_table(rows))
    if reason := why_native_is_absent():
        console.print(f"{TIERS['native']}: {reason}", markup=False, soft_wrap=True)
    console.print()
    console.print(EXPLANATION, markup=False, soft_wrap=True)
    if json_file:
        content = {"threads": threads, "tiers": [asdict(row) for row in rows]}
        write_atomically(json_file, (json.dumps(content, indent=1) + "\n").encode())
