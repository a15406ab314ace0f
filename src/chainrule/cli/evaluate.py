"""`chainrule evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from chainrule.training import Report

LARGEST_MATRIX = 15  # classes; beyond, only the most confused pairs are shown


@click.command("evaluate")
@click.argument("run", required=False)
@click.argument("data", required=False)
@click.option("--weights", metavar="RUN|FILE|TAG", help="What to evaluate, instead of RUN.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("--data-dir", metavar="DIR", help="Where the official files of a data set lie.")
@click.option("--strict", is_flag=True, help="Stop at the first unreadable image.")
@click.pass_context
def evaluate_command(
    context: click.Context,
    run: str | None,
    data: str | None,
    weights: str | None,
    as_json: bool,
    data_dir: str | None,
    strict: bool,
) -> None:
    """Accuracy, loss, precision and recall of RUN, or of --weights, on labelled images.

    RUN is a run folder (its best checkpoint is taken) or a .safetensors file. DATA is a data
    set, folder or .zip with the same classes; without it, the test images of the run's own
    data, or the validation images where there are no others.
    """
    if weights is not None:
        if data is not None:
            raise click.UsageError(f"--weights stands for RUN; leave {run} out", context)
        run, data = weights, run
    if run is None:
        raise click.UsageError("Missing argument 'RUN', or --weights", context)
    from rich.console import Console

    from chainrule.training import evaluate

    with Console(stderr=True).status("evaluating"):
        report = evaluate(run, data, data_dir=data_dir, strict=strict)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    top5 = f"top-5 {report.top5:.2%}   " if len(report.classes) > 10 else ""
    console.print(
        f"[bold]accuracy {report.accuracy:.2%}[/]   {top5}"
        f"loss {report.loss:.4f}   {report.images:,} {report.split} images",
        soft_wrap=True,
    )
    console.print(report.data, markup=False, soft_wrap=True)
    if report.skipped:
        console.print(f"{report.skipped} unreadable images were left out")
    console.print(_classes(report))
    _confusion(report, console)


def _classes(report: Report) -> Table:
    from rich.table import Table

    table = Table("class", box=None, header_style="bold")
    for heading in ("precision", "recall", "F1", "images"):
        table.add_column(heading, justify="right")
    rows = zip(
        report.classes, report.precision, report.recall, report.f1, report.support, strict=True
    )
    for name, precision, recall, f1, support in rows:
        table.add_row(_text(name), f"{precision:.1%}", f"{recall:.1%}", f"{f1:.3f}", f"{support:,}")
    return table


def _confusion(report: Report, console: Console) -> None:
    """The whole matrix for a few classes, else the pairs that are confused most."""
    from rich.table import Table

    if len(report.classes) > LARGEST_MATRIX:
        table = Table("class", "taken for", box=None, header_style="bold")
        table.add_column("images", justify="right")
        for true, taken, images in report.most_confused():
            table.add_row(_text(true), _text(taken), f"{images:,}")
        console.print("\n[bold]most confused[/]")
        console.print(table)
        return
    rows, columns = _headings(report.classes, console.width)
    table = Table("class", box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(_text(name), justify="right", no_wrap=True)
    for i, name in enumerate(rows):
        table.add_row(
            _text(name),
            *(
                _cell(int(n), i == j, int(report.support[i]))
                for j, n in enumerate(report.confusion[i])
            ),
        )
    console.print("\n[bold]confusion[/]: a row is a class, a column what its images were taken for")
    console.print(table)


def _headings(classes: Sequence[str], width: int) -> tuple[list[str], list[str]]:
    """Names of rows and of columns; where the names are too wide for columns, numbers."""
    if sum(len(name) + 1 for name in (max(classes, key=len), *classes)) <= width:
        return list(classes), list(classes)
    numbers = [str(number) for number in range(1, len(classes) + 1)]
    return [f"{n} {name}" for n, name in zip(numbers, classes, strict=True)], numbers


def _cell(images: int, correct: bool, support: int) -> str:
    if not images:
        return "[dim]·[/]"
    if correct:
        return f"[bold green]{images}[/]"
    return f"[bold red]{images}[/]" if images > 0.05 * support else f"[yellow]{images}[/]"


def _text(name: str) -> str:
    from rich.markup import escape

    return escape(name)
