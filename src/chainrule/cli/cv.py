"""`chainrule cv`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainrule.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from chainrule.classifiers.selection import CrossValidation

EXAMPLES = """\b
Examples:
  chainrule cv digits --model knn                 which k? the course's ten values
  chainrule cv cifar10 --images 5000 --model knn --k 1,3,5,8,10,12,15,20,50,100 --plot k.png
  chainrule cv digits --model knn --metric l1,l2,cosine --votes uniform,distance
  chainrule cv cifar10 --model svm --features hog+color --alpha 0.01,0.1,1
  chainrule cv digits --model two-layer --hidden 50,200 --alpha 1e-4 --test
"""
INTERRUPTED = 130
NARROWEST = 80
MOST_FOLDS_SHOWN = 10


class _Values(click.ParamType):
    """Several values with commas between."""

    def __init__(self, kind: Callable[[str], Any], name: str, least: float | None = None) -> None:
        self.kind, self.name, self.least = kind, name, least

    def convert(self, value: Any, param: Any, context: Any) -> tuple[Any, ...]:
        try:
            found = tuple(self.kind(part.strip()) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: expects {self.name}")
        if self.least is not None and not all(self.least <= number < 1e30 for number in found):
            self.fail(f"{value!r}: expects {self.name} of at least {self.least:g}")
        return found


def _among(*known: str) -> Callable[[str], str]:
    def choose(value: str) -> str:
        if value not in known:
            raise ValueError
        return value

    return choose


METRICS = _Values(_among("l2", "l1", "cosine"), "l2, l1, cosine, with commas between")
VOTES = _Values(_among("uniform", "distance"), "uniform, distance, with commas between")
COUNTS = _Values(int, "whole numbers with commas between", 1)
STRENGTHS = _Values(float, "numbers with commas between", 0)


@click.command("cv", epilog=EXAMPLES)
@click.argument("data")
@click.option("--model", required=True, help="What is tried.",
              type=click.Choice(["knn", "svm", "softmax", "two-layer"]))  # fmt: skip
@click.option("--k", type=COUNTS, metavar="N,N,...", help="Of knn: how many neighbours vote.")
@click.option("--metric", type=METRICS, metavar="NAME,...", help="Of knn: l2, l1, cosine.")
@click.option("--votes", type=VOTES, metavar="NAME,...", help="Of knn: uniform, distance.")
@click.option("--alpha", type=STRENGTHS, metavar="X,X,...",
              help="Of the others: how much the squares of weights cost.")  # fmt: skip
@click.option("--hidden", type=COUNTS, metavar="N,N,...", help="Of two-layer: its hidden units.")
@click.option("--lr", type=STRENGTHS, metavar="X,X,...", help="Of two-layer: the learning rate.")
@click.option("--max-iter", type=COUNTS, metavar="N,N,...",
              help="Of all but knn: most iterations; of two-layer, epochs.")  # fmt: skip
@click.option("--features", default="pixels", show_default=True, metavar="NAME[+NAME...]",
              help="pixels, or some of hog, color, edges, texture with + between.")  # fmt: skip
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True,
              help="Parts, each left out once.")  # fmt: skip
@click.option(
    "--images", type=click.IntRange(1), help="Take so many, the same share of each class."
)
@click.option("--test", is_flag=True, help="Then fit the best on all folds, and test it, once.")
@click.option("--image-size", type=click.IntRange(1, 1024), help="Bring images to that, in pixels.")
@click.option("--channels", type=click.Choice(["1", "3"]), help="1 grey, 3 colour.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Of the folds, of --images, and of what a model draws.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="By default all that this process may use.")
@click.option("--strict", is_flag=True, help="Stop at the first unreadable image.")
@click.option("--data-dir", metavar="DIR", help="Where the official files of a data set lie.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the result as JSON.")  # fmt: skip
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the table as CSV.")  # fmt: skip
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw accuracy against the setting: .png, .svg or .pdf.")  # fmt: skip
@click.pass_context
def cv_command(
    context: click.Context,
    data: str,
    model: str,
    features: str,
    folds: int,
    images: int | None,
    test: bool,
    seed: int,
    threads: int | None,
    json_file: Path | None,
    csv_file: Path | None,
    plot_file: Path | None,
    **options: Any,
) -> None:
    """Cross-validate settings of a classic classifier on DATA.

    DATA is what `chainrule train` takes; its test images stay unseen. They are needed for --test.
    Several values of a setting, with commas between, are all tried, in every combination. Ctrl-C
    shows, and writes, the folds that are done.
    """
    _check_files(json_file, csv_file, plot_file)
    from chainrule import threads as all_threads
    from chainrule.classifiers.selection import NAMES, CrossValidation

    if threads is not None:
        all_threads.set_num_threads(threads)
    grid = {name: options.pop(name) for name in NAMES if options.get(name) is not None}
    search = CrossValidation(model, grid, folds=folds, features=features, seed=seed)
    console = _console()
    try:
        _search(search, console, data, images, test, options)
        complete = True
    except KeyboardInterrupt:
        complete = False
    if search.done:
        _show(search, console)
        _write(search, data, json_file, csv_file, plot_file)
    if not complete:
        kept = f"{search.done} of {folds} folds are done" if search.done else "no fold was done"
        click.echo(f"chainrule: interrupted; {kept}", err=True)
        context.exit(INTERRUPTED)


def _check_files(*files: Path | None) -> None:
    """Find out before minutes of work that the files cannot be written."""
    for file in files:
        if file and (file.is_dir() or not file.absolute().parent.is_dir()):
            reason = "is a folder" if file.is_dir() else f"there is no folder {file.parent}"
            raise ConfigError(f"cv: cannot write {file}: {reason}")
    if files[-1]:
        from chainrule.viz import check_figure

        check_figure(files[-1], "cv: --plot")


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, NARROWEST) if console.is_terminal else 120
    return console


# -- the work --------------------------------------------------------------------------------------


def _search(
    search: CrossValidation,
    console: Console,
    data: str,
    images: int | None,
    test: bool,
    options: dict[str, Any],
) -> None:
    from chainrule import data as datasets
    from chainrule.classifiers import image_rows
    from chainrule.classifiers.selection import training_rows

    channels = options.pop("channels")
    known = {name: value for name, value in options.items() if value is not None}
    with _progress(console) as show:
        splits = datasets.load(
            data,
            channels=int(channels) if channels else None,
            seed=search.seed,
            progress=show,
            **known,
        )
        if test and splits.test is None:
            raise ConfigError(f"--test: {splits.name} has no test images; leave --test out")
        rows, labels = training_rows(splits, images, search.seed)
        height, width, depth = splits.image_shape
        console.print(
            f"{splits.name}: {len(rows):,} images, {height} x {width} "
            f"{'grey' if depth == 1 else 'colour'}, {len(splits.classes)} classes; "
            f"{search.model}, {len(search.candidates)} candidates, {search.folds} folds",
            markup=False, soft_wrap=True,
        )  # fmt: skip

        def tell(done: int, total: int, settings: dict[str, Any]) -> None:
            show("candidates", done, total)
            if not done % len(search.candidates) and not console.is_terminal:
                console.print(f"fold {done // len(search.candidates)} of {search.folds} is done")

        search.run(rows, labels, tell)
        if test and splits.test is not None:
            search.try_best(rows, labels, image_rows(splits.test), splits.test.labels)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal for each stage of the work."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(),
        TimeRemainingColumn(compact=True), console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip
    tasks: dict[str, Any] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total or None)
        bar.update(tasks[stage], completed=done, total=total or None)

    with bar:
        yield show


# -- the result ------------------------------------------------------------------------------------


def _show(search: CrossValidation, console: Console) -> None:
    from rich.table import Table

    names = list(search.candidates[0].settings)
    table = Table(box=None, header_style="bold")
    for name in (*names, "mean", "± sd"):
        table.add_column(name, justify="right")
    shown = search.done if search.done <= MOST_FOLDS_SHOWN else 0
    for fold in range(shown):
        table.add_column(f"fold {fold + 1}", justify="right")
    for candidate in search.candidates:
        table.add_row(
            *(_text(candidate.settings[name]) for name in names),
            f"{candidate.mean:.2%}",
            f"{100 * candidate.deviation:.2f}",
            *(f"{accuracy:.1%}" for accuracy in candidate.accuracies[:shown]),
            style="bold green" if candidate is search.best else None,
        )
    console.print(table)
    best = ", ".join(f"{name} {_text(search.best.settings[name])}" for name in names)
    console.print(f"best     {best}: {search.best.mean:.2%}, mean of {search.done} "
                  f"{'fold' if search.done == 1 else 'folds'}; "
                  f"{search.seconds:.1f} s", markup=False)  # fmt: skip
    if search.unfinished:
        console.print(
            f"note     {search.unfinished} fits ended at their last iteration, still improving; "
            "--max-iter",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if search.test is not None:
        console.print(
            f"test     {search.test['accuracy']:.2%} of {search.test['images']:,} images, "
            f"after learning from {search.test['trained_on']:,}",
            markup=False,
        )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write(
    search: CrossValidation,
    data: str,
    json_file: Path | None,
    csv_file: Path | None,
    plot_file: Path | None,
) -> None:
    from chainrule.training.checkpoint import write_atomically

    if json_file:
        content = {"data": data, **search.as_dict()}
        write_atomically(json_file, (json.dumps(content, indent=1) + "\n").encode())
    if csv_file:
        write_atomically(csv_file, _csv(search).encode())
    if plot_file:
        from chainrule import viz

        across, curves = search.curves()
        title = (
            f"{search.model} on {Path(data).name}, {search.images:,} images, {search.done} folds"
        )
        viz.accuracy_curve(curves, name=across, title=title).savefig(plot_file, dpi=110)
        click.echo(f"figure   {plot_file}")


def _csv(search: CrossValidation) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    names = list(search.candidates[0].settings)
    writer.writerow([*names, "mean", "deviation", *(f"fold{n + 1}" for n in range(search.done))])
    for c in search.candidates:
        writer.writerow([*(c.settings[name] for name in names), c.mean, c.deviation, *c.accuracies])
    return table.getvalue()
