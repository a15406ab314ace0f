"""Tables of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from chainrule.bench.libraries import CHANNELS_LAST, DEFAULT, OURS
from chainrule.bench.result import SLOW, Result, Row

if TYPE_CHECKING:
    from rich.console import RenderableType

TITLES = {
    "training": "training step",
    "inference": "inference",
    "kernels": "kernels",
    "overhead": "overhead of the graph",
    "memory": "peak memory of training",
    "import": "import",
    "size": "installed size, without bytecode",
}
HOW_TO_COMPARE = "to compare with PyTorch: pip install torch"


BUSY = 0.5  # processes that want a CPU: more than this disturbs


def busy(result: Result) -> str | None:
    """A warning, where other work was running when the measuring began."""
    load = result.machine["load"]
    if load is None or load <= BUSY:
        return None
    return (
        f"other work is running here (load {load:.1f}): figures of both sides will be too slow, "
        "PyTorch's most, whose threads wait for each other in a loop"
    )


def heading(result: Result) -> str:
    """The machine, the versions, the peak."""
    machine = result.machine
    torch = machine["packages"].get("torch")
    kernels = machine["kernels"]
    lines = [
        f"{machine['cpu']}, {machine['cpus']} CPUs; {_threads(result.threads)}",
        f"chainrule {machine['chainrule']}, {kernels['tier']} kernels "
        f"({kernels['instruction_set']}); NumPy {machine['packages']['numpy']}; "
        + (f"PyTorch {torch}" if torch else "no PyTorch"),
    ]
    for name, by_threads in result.peak.items():
        figures = ", ".join(f"{_threads(int(n))} {peak:.0f}" for n, peak in by_threads.items())
        lines.append(f"measured peak of {name}, GFLOP/s: {figures}")
    return "\n".join(lines)


def _threads(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}"


def group_table(result: Result, group: str) -> RenderableType:
    """One group's rows, and what follows from them."""
    rows = result.of(group)
    if group == "kernels":
        return Group(_kernels(result, rows), *_kernel_summary(result))
    return _plain(group, rows)


def _plain(group: str, rows: Sequence[Row]) -> Table:
    sides = [s for s in (OURS, DEFAULT, CHANNELS_LAST) if any(s in row.values for row in rows)]
    compared = any(row.ratio is not None for row in rows)
    spread = any(row.quartiles is not None for row in rows)
    columns = [*sides, *["ratio"] * compared, *["middle half"] * spread]
    table = _table(f"{TITLES[group]}, {rows[0].unit}", columns)
    for row in rows:
        cells = [_number(row.values.get(side)) for side in sides]
        cells += [_ratio(row)] * compared + [_quartiles(row)] * spread
        table.add_row(escape(row.title), *cells)
    return table


def _kernels(result: Result, rows: Sequence[Row]) -> Table:
    """Times of ours and of PyTorch in both layouts; speed is against channels_last."""
    compared = any(row.ratio is not None for row in rows)
    columns = ["ours", *["NCHW", "peer"] * compared, "GFLOP/s", *["peer's", "speed"] * compared]
    table = _table("kernels, ms", [*columns, "of peak"])
    for row in rows:
        ours, peer = row.gigaflops(OURS), row.gigaflops(row.peer) if row.peer else None
        cells = [_number(row.values[OURS])]
        if compared:
            cells += [_number(row.values.get(DEFAULT)), _number(row.values.get(row.peer or ""))]
        cells.append(_whole(ours))
        if compared:
            cells += [_whole(peer), _speed(row)]
        table.add_row(escape(row.title), *cells, _share(ours, result, row))
    return table


def _kernel_summary(result: Result) -> Iterator[str]:
    """Geometric mean, least, and the names of the slow."""
    summary = result.summary()
    if not summary:
        return
    yield (
        f"speed: geometric mean [bold]{summary['geometric_mean_speed']:.2f}[/], "
        f"least {summary['least_speed']:.2f} (kernels: {summary['kernels']})"
    )
    slow = summary["slower_than_0.9"]
    if slow:
        yield f"below {SLOW}: {len(slow)}"
        for name, speed in slow.items():
            yield f"  {speed:.2f}  {escape(name)}"
    yield (
        "[dim]speed: the peer's time by ours; images: PyTorch channels_last, else its fastest.\n"
        "Above the peak: an algorithm that needs less work, or padding that is skipped.[/]"
    )


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return ""
    return f"[{'green' if row.ratio <= 1 else 'yellow'}]{row.ratio:.2f}[/]"


def _speed(row: Row) -> str:
    if row.speed is None:
        return ""
    colour = "green" if row.speed >= 1 else "yellow" if row.speed >= SLOW else "red"
    return f"[{colour}]{row.speed:.2f}[/]"


def _quartiles(row: Row) -> str:
    return "" if row.quartiles is None else f"{row.quartiles[0]:.2f}-{row.quartiles[1]:.2f}"


def _share(gigaflops: float | None, result: Result, row: Row) -> str:
    peak = result.peak.get(row.instruction_set or "", {}).get(str(result.threads))
    return "" if gigaflops is None or peak is None else f"{gigaflops / peak:.0%}"
