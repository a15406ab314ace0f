"""A summary as a table that fits the terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from chainrule.inspect.accounts import Row, Summary

WIDE, WIDER = 100, 116
"""From so many columns on there is room for the padding, and for the gradients apart."""
GAP = 2  # between columns

NOTHING = "·"
UNKNOWN = "?"
PREFIXES = ("", "k", "M", "G", "T", "P")


def short(number: float | None, unit: str = "") -> str:
    """Three digits and a prefix: 1234567 -> "1.23M"; with a unit "1.23 MB"."""
    if number is None:
        return UNKNOWN
    space = " " if unit else ""
    if abs(number) < 1000:
        return f"{number:.0f}{space}{unit}"
    power = min(int(math.log10(abs(number)) // 3), len(PREFIXES) - 1)
    scaled = number / 1000**power
    if abs(scaled) >= 999.5 and power < len(PREFIXES) - 1:
        power, scaled = power + 1, scaled / 1000
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f}{space}{PREFIXES[power]}{unit}"


def shape_of(row: Row, batch: int | None) -> str:
    """The output's shape without the batch: 64x56x56."""
    shape = row.output[1:] if batch is not None and row.output[:1] == (batch,) else row.output
    return "x".join(map(str, shape)) or "1"


def across(values: Sequence[Any] | None) -> str:
    """Numbers along the axes; once where they agree."""
    if values is None:
        return UNKNOWN
    texts = ["" if v is None else str(v) for v in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(t or NOTHING for t in texts)


def _count(number: int | None) -> str:
    return NOTHING if number == 0 else short(number)


def _sees(row: Row) -> str:
    return "all" if row.whole else across(row.field)


def _pad(row: Row) -> str:
    if row.start is None or row.jump is None:
        return UNKNOWN
    pads = [None if j is None else -s for s, j in zip(row.start, row.jump, strict=True)]
    return across(pads)


class _Column(NamedTuple):
    """heading, its unit, what a row shows, and the sum below."""

    heading: str
    unit: str
    cell: Callable[[Row], str]
    total: Callable[[Summary], str] = lambda _: ""


def _sum(name: str) -> Callable[[Summary], str]:
    """The sum of what is known."""
    return lambda s: short(sum(getattr(row, name) or 0 for row in s.rows))


def _columns(summary: Summary, width: int) -> list[_Column]:
    def params(row: Row) -> str:
        text = _count(row.parameters)
        return text if not row.shared else "shared" if text == NOTHING else f"{text}*"

    forwards, backwards, pixels = ("forward", "backward", "pixels")
    if width < WIDE:
        forwards, backwards, pixels = ("fwd", "bwd", "px")
    split = [
        _Column("FLOPs", "dL/dx", lambda r: _count(r.backward_input), _sum("backward_input")),
        _Column("FLOPs", "dL/dw", lambda r: _count(r.backward_weight), _sum("backward_weight")),
    ]
    whole = _Column("FLOPs", backwards, lambda r: _count(r.backward_flops), _sum("backward_flops"))
    columns = [
        _Column("output", "", lambda r: shape_of(r, summary.batch)),
        _Column("params", "", params, lambda s: short(s.used_params)),
        _Column("MACs", forwards, lambda r: _count(r.macs), lambda s: short(s.total_macs)),
        _Column("FLOPs", forwards, lambda r: _count(r.flops), lambda s: short(s.total_flops)),
        *(split if width >= WIDER else [whole]),
        _Column("bytes", "kept", lambda r: _count(r.kept), lambda s: short(s.total_kept)),
        _Column("sees", pixels, _sees),
        _Column("stride", pixels, lambda r: across(r.jump)),
    ]
    if width >= WIDE:
        columns.append(_Column("padding", pixels, _pad))
    return columns


class _Label(NamedTuple):
    """The name of a row: the path of the module (and its class), and the operation."""

    path: str
    op: str
    is_plain: bool  # the module does nothing else, so that its path says enough

    def within(self, room: int) -> str:
        """The name in so many columns, as rich's markup: the operation is dropped first."""
        from rich.markup import escape

        path, op = self.path, self.op
        if op and len(path) + 1 + len(op) > room and self.is_plain and path:
            op = ""
        if len(path) + 1 + len(op) > room:
            left = max(room - len(op) - 2, 0)
            path = "…" + path[len(path) - left :] if path else ""
        op = f"[dim]{escape(op)}[/]" if op else ""
        return " ".join(part for part in (escape(path), op) if part)


def _labels(summary: Summary, classes: bool) -> list[_Label]:
    """The names of all rows."""
    several = {
        a.path for a, b in pairwise(summary.rows) if a.path == b.path
    } | {row.path.rpartition(".")[0] for row in summary.rows}  # fmt: skip
    labels = []
    for row in summary.rows:
        path = row.path if row.path or row.op else row.module
        name = f"{path} {row.module}" if classes and row.path else path
        labels.append(_Label(name, row.op.removesuffix("_inference"), row.path not in several))
    return labels


def build(summary: Summary, width: int, classes: bool = False) -> Table:
    """The table for so many columns, of rich."""
    from rich import box
    from rich.table import Table

    columns = _columns(summary, width)
    cells = [[column.cell(row) for column in columns] for row in summary.rows]
    totals = [column.total(summary) for column in columns]
    sizes = [
        max(map(len, (c.heading, c.unit, t, *(row[i] for row in cells))))
        for i, (c, t) in enumerate(zip(columns, totals, strict=True))
    ]
    room = max(width - sum(sizes) - GAP * len(sizes), 8)
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, show_footer=True
    )
    table.add_column("layer", "total", no_wrap=True, header_style="bold", footer_style="bold")
    for column, total in zip(columns, totals, strict=True):
        table.add_column(
            f"{column.heading}\n{column.unit}", total, justify="right", no_wrap=True,
            header_style="bold", footer_style="bold",
        )  # fmt: skip
    labels = _labels(summary, classes)
    for row, label, texts in zip(summary.rows, labels, cells, strict=True):
        table.add_row(label.within(room), *texts, style="" if row.kind or not row.op else "dim")
    return table


def notes(summary: Summary) -> list[str]:
    """What is said below the table, line by line."""
    s = summary
    shapes = ", ".join("x".join(map(str, shape)) for shape in s.inputs)
    mode = "training" if s.training else "prediction"
    trained = "all trained" if s.trainable_params == s.total_params else (
        f"{s.trainable_params:,} trained"
    )  # fmt: skip
    deep, with_pools = s.depth(), s.depth(count_pooling=True)
    pools = f", {with_pools} with pooling" if with_pools != deep else ""
    word = "layer" if deep == 1 else "layers"
    layers = s.layer_values
    return [
        f"{s.model}: input {shapes}, in {mode} mode; {deep} {word} deep{pools}",
        f"params   {s.total_params:,} ({trained}), {short(s.weight_bytes, 'B')}",
        f"forward  {short(s.total_macs)} MACs; {short(s.total_flops)} FLOPs, two for each MAC and "
        "all others",
        f"backward {short(s.total_backward_flops)} FLOPs",
        f"memory   {short(s.total_kept, 'B')} kept for the backward pass; input and outputs of "
        f"layers: {short(layers)} numbers",
        *_exceptions(s),
    ]


def _exceptions(s: Summary) -> list[str]:
    lines = []
    if s.unused:
        count = sum(s.parameters[name] for name in s.unused)
        names = list(dict.fromkeys(name.split(".")[0] for name in s.unused))
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        lines.append(f"unused   {count:,} params of {shown} take no part in this pass")
    if s.aliases:
        some = ", ".join(f"{other} is {name}" for other, name in list(s.aliases.items())[:3])
        more = ", ..." if len(s.aliases) > 3 else ""
        lines.append(f"shared   counted once: {some}{more}")
    if s.unknown:
        names = [f"{name} ({count})" if count > 1 else name for name, count in s.unknown.items()]
        lines.append(f"unknown  FLOPs not in the sums: {', '.join(names)}")
    return lines


def show(summary: Summary, console: Console, classes: bool = False) -> None:
    """Print the table and its notes."""
    console.print(build(summary, console.width, classes))
    console.print()
    for line in notes(summary):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def render(summary: Summary, width: int, classes: bool = False) -> str:
    """The same as text."""
    from rich.console import Console

    out = io.StringIO()
    show(summary, Console(file=out, width=width, color_system=None), classes)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
