"""The accounts of a model: what each operation costs, keeps and sees, and the sums."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from chainrule.errors import ConfigError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """The account of one operation, or of several together (`Summary.by_module`).

    path, module: in whose forward it ran. op: its name. output: the result's shape.
    parameters: numbers in the weights it is first to use; shared: it uses some again.
    macs, flops: forwards; backward_input, backward_weight: FLOPs of the gradients of what earlier
    operations computed, and of the weights. None: unknown.
    values, bytes: of the result. kept: bytes of the memory that the backward pass needs, and
    no earlier operation keeps already.
    field, jump, start: of the first input's pixels, along each axis: how many a value may depend
    on, how far apart those of neighbours begin, and where that of the first value begins (-3: the
    effective padding is 3). jump None: all values see the same; whole: namely the whole image.
    None: unknown; (): depends on no image.
    kind: "weights" or "pooling" for what counts as a layer, else "".
    depth: layers with weights on the longest path up to here; depth_with_pooling: these, too.
    """

    path: str
    module: str
    op: str
    output: Shape
    parameters: int
    shared: bool
    macs: int
    flops: int | None
    backward_input: int | None
    backward_weight: int | None
    values: int
    bytes: int
    kept: int
    field: Shape | None
    jump: tuple[Fraction | None, ...] | None
    start: Shape | None
    whole: bool
    kind: str
    depth: int
    depth_with_pooling: int

    @property
    def backward_flops(self) -> int | None:
        """FLOPs of all gradients; None: unknown."""
        parts = (self.backward_input, self.backward_weight)
        return None if None in parts else sum(parts)  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class Summary:
    """What a model costs for inputs of given shapes; printed, it is a table.

    model: its name. inputs: shapes, with the batch. batch: images in it (None: no such axis).
    operations: in the order they ran. modules: the same summed up, where `by_module` was asked.
    parameters: numbers in each parameter, by name; trainable: those of them that are trained;
    unused: those that this pass did not use; aliases: names of shared ones. classes: of the
    modules, by path.
    """

    model: str
    inputs: tuple[Shape, ...]
    batch: int | None
    training: bool
    operations: tuple[Row, ...]
    parameters: dict[str, int]
    trainable: frozenset[str]
    unused: tuple[str, ...]
    aliases: dict[str, str]
    classes: dict[str, str]
    weight_bytes: int
    modules: tuple[Row, ...] | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """What the table shows: the operations, or with `by_module` the modules."""
        return self.operations if self.modules is None else self.modules

    # -- sums --------------------------------------------------------------------------------

    @property
    def total_params(self) -> int:
        """Numbers in all parameters; shared ones count once."""
        return sum(self.parameters.values())

    @property
    def trainable_params(self) -> int:
        """Those that require grad."""
        return sum(self.parameters[name] for name in self.trainable)

    @property
    def used_params(self) -> int:
        """Those that this pass used: not the heads that only training has."""
        return self.total_params - sum(self.parameters[name] for name in self.unused)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of the forward pass."""
        return sum(row.macs for row in self.operations)

    @property
    def total_flops(self) -> int:
        """FLOPs of the forward pass, of all operations that are known (see `unknown`)."""
        return sum(row.flops or 0 for row in self.operations)

    @property
    def total_backward_flops(self) -> int:
        """FLOPs of the backward pass, of all operations that are known (see `unknown`)."""
        return sum(
            (row.backward_input or 0) + (row.backward_weight or 0) for row in self.operations
        )

    @property
    def total_kept(self) -> int:
        """Bytes kept for the backward pass, each piece of memory counted once."""
        return sum(row.kept for row in self.operations)

    @property
    def total_values(self) -> int:
        """Numbers in the results of all operations."""
        return sum(row.values for row in self.operations)

    @property
    def layer_values(self) -> int:
        """Numbers in the inputs and in the results of all layers, as lectures count memory.

        Layers are what has weights, and pooling; the rest is thought to be done in place.
        """
        inputs = sum(math.prod(shape) for shape in self.inputs)
        return inputs + sum(row.values for row in self.operations if row.kind)

    @property
    def unknown(self) -> dict[str, int]:
        """Operations whose FLOPs, forwards or backwards, are not known, and how many calls."""
        return dict(
            Counter(
                row.op for row in self.operations if row.flops is None or row.backward_flops is None
            )
        )

    def depth(self, count_pooling: bool = False) -> int:
        """How many layers lie on the longest path; pooling counted as a layer, or not.

        A layer is an operation with weights: a convolution or a product with a matrix (batch norm
        is not). So GoogLeNet has 22 layers, or 27 with pooling (Szegedy et al. 2015, section 5).
        """
        depths = ((r.depth_with_pooling if count_pooling else r.depth) for r in self.operations)
        return max(depths, default=0)

    # -- other forms -------------------------------------------------------------------------

    def by_module(self, depth: int) -> Summary:
        """The rows of each module together, down to this many names of its path.

        depth 0: the whole model in one row; 1: its direct sub-modules. Rows that follow each
        other are joined; what is seen and put out is that of the last.
        """
        if depth < 0:
            raise ConfigError(f"summary: depth must be at least 0, got {depth}")
        joined: list[Row] = []
        for row in self.operations:
            names = row.path.split(".") if row.path else []
            path = ".".join(names[:depth])
            if len(names) < depth:
                joined.append(row)
                continue
            new = replace(row, path=path, module=self.classes[path])
            if joined and joined[-1].path == path:
                new = _join(joined.pop(), new)
            joined.append(new)
        return replace(self, modules=tuple(joined))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `chainrule summary --json` prints them."""
        rows = []
        for row in self.rows:
            plain = asdict(row)
            if row.jump is not None:
                plain["jump"] = [None if j is None else float(j) for j in row.jump]
            rows.append(plain | {"backward_flops": row.backward_flops})
        return {
            "model": self.model,
            "inputs": [list(shape) for shape in self.inputs],
            "batch": self.batch,
            "training": self.training,
            "params": self.total_params,
            "trainable_params": self.trainable_params,
            "used_params": self.used_params,
            "unused": list(self.unused),
            "shared": self.aliases,
            "macs": self.total_macs,
            "flops": self.total_flops,
            "backward_flops": self.total_backward_flops,
            "unknown": self.unknown,
            "kept_bytes": self.total_kept,
            "layer_values": self.layer_values,
            "weight_bytes": self.weight_bytes,
            "depth": self.depth(),
            "depth_with_pooling": self.depth(count_pooling=True),
            "rows": rows,
        }

    def table(self, width: int = 100, *, classes: bool = False) -> str:
        """The table as text of at most so many columns. classes: name the modules' classes."""
        from chainrule.inspect.table import render

        return render(self, width, classes)

    def __repr__(self) -> str:
        return self.table()

    def plot(self, path: str | Path) -> None:
        """Draw where memory, parameters and FLOPs lie, layer by layer, into a PNG, SVG or PDF.

        Raises MissingExtraError without matplotlib.
        """
        from chainrule.inspect.plot import save_plot

        save_plot(self, Path(path))


def _join(a: Row, b: Row) -> Row:
    def add(x: int | None, y: int | None) -> int | None:
        return None if x is None or y is None else x + y

    return replace(
        b,
        op="",
        parameters=a.parameters + b.parameters,
        shared=a.shared or b.shared,
        macs=a.macs + b.macs,
        flops=add(a.flops, b.flops),
        backward_input=add(a.backward_input, b.backward_input),
        backward_weight=add(a.backward_weight, b.backward_weight),
        kept=a.kept + b.kept,
        kind=a.kind or b.kind,
    )
