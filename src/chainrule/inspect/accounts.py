"""The accounts of a model: what each operation costs, keeps and sees, and the sums."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import models
from chainrule.creation import from_numpy
from chainrule.errors import ConfigError
from chainrule.inspect.costs import Cost, cost_of
from chainrule.inspect.fields import Field, fields_of
from chainrule.inspect.recording import Call, Recording, Source, Value, record
from chainrule.nn import Module
from chainrule.tensor import Tensor

POOLS = frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"})
WEIGHTED = frozenset(
    {"linear", "matmul", "embedding", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in "123")}
)
"""Operations that are a layer where one of their arguments consists of weights."""

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


@dataclass(frozen=True)
class Summary:
    """What a model costs for inputs of given shapes; printed, it is a table.

    model: its name. inputs: shapes, with the batch. batch: images in it (None: no such axis).
    operations: in the order they ran. modules: the same summed up, where `by_module` was asked.
    parameters: numbers in each parameter, by name; trainable: those of them that are trained;
    unused: those that this pass did not use; aliases: names of shared ones.
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
            within = len(names) >= depth if depth else True
            new = replace(row, path=path, op=row.op if not within else "")
            if within and joined and (joined[-1].path, joined[-1].op) == (path, ""):
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

    def __str__(self) -> str:
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
        module=a.module,
        parameters=a.parameters + b.parameters,
        shared=a.shared or b.shared,
        macs=a.macs + b.macs,
        flops=add(a.flops, b.flops),
        backward_input=add(a.backward_input, b.backward_input),
        backward_weight=add(a.backward_weight, b.backward_weight),
        kept=a.kept + b.kept,
        kind=a.kind or b.kind,
    )


# -- making it -----------------------------------------------------------------------------------

Input = Sequence[int] | Tensor


def summary(
    model: Module,
    input_shape: Input | Sequence[Input] | Mapping[str, Input] | None = None,
    *,
    batch_size: int | None = 1,
    training: bool = False,
    dtype: Any = None,
) -> Summary:
    """Count what a model computes, from the graph that one forward pass records.

    input_shape: of one example, without the batch: (3, 224, 224); of several inputs a list of
    shapes, or a dict by the names of forward's arguments. A Tensor in place of a shape is taken
    as it is, with its batch: for integers, or where values matter. None: for a model of the
    registry, the images it was made for.
    batch_size: examples in the batch; None: the model takes one without a batch axis.
    training: count a step of training mode (dropout, batch statistics, auxiliary heads);
    otherwise the model predicts, and what is kept is what fine-tuning it in that mode would.
    dtype: of the inputs; None: that of the model's first parameter of floats.

    The model is not changed: neither its modes and buffers nor the random streams.
    Raises ConfigError (no such input), and what the model itself raises.
    """
    if not isinstance(model, Module):
        raise ConfigError(f"summary: takes a Module, got {type(model).__name__}")
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise ConfigError(f"summary: batch_size must be a whole number of at least 1: {batch_size}")
    args, kwargs = _examples(model, input_shape, batch_size, dtype)
    recording = record(model, args, kwargs, training)
    rows = _Bookkeeping(recording, 1 if batch_size is None else 2).rows()
    name = getattr(model, "config", {}).get("name") or type(model).__name__
    used = {name for call in recording.calls for name in call.parameters}
    return Summary(
        model=name,
        inputs=tuple(v.shape for v in recording.inputs),
        batch=batch_size,
        training=training,
        operations=rows,
        parameters={name: v.size for name, v in recording.parameters.items()},
        trainable=recording.trainable,
        unused=tuple(name for name in recording.parameters if name not in used),
        aliases=recording.aliases,
        weight_bytes=sum(v.size * v.dtype.itemsize for v in recording.parameters.values()),
    )


def _examples(
    model: Module, given: Any, batch_size: int | None, dtype: Any
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Inputs of these shapes."""
    if given is None:
        given = _own_shape(model)
    if dtype is None:
        floats = (p.dtype for p in model.parameters() if np.dtype(p.dtype).kind == "f")
        dtype = next(floats, np.dtype(np.float32))
    batch = () if batch_size is None else (batch_size,)

    def example(shape: Any) -> Tensor:
        if isinstance(shape, Tensor):
            return shape
        if not isinstance(shape, Sequence) or not all(
            isinstance(n, int | np.integer) and n > 0 for n in shape
        ):
            raise ConfigError(
                "summary: input_shape is a shape such as (3, 224, 224), without the batch, a list "
                f"of shapes, or a dict of them by name; got {shape!r}"
            )
        draw = np.random.default_rng(0).standard_normal((*batch, *shape))
        return from_numpy(np.asarray(draw, np.dtype(dtype)))

    if isinstance(given, Mapping):
        return [], {name: example(shape) for name, shape in given.items()}
    if isinstance(given, Tensor) or not any(isinstance(g, Sequence | Tensor) for g in given):
        return [example(given)], {}
    return [example(shape) for shape in given], {}


def _own_shape(model: Module) -> Shape:
    """The images that a model of the registry was made for."""
    config = getattr(model, "config", None) or {}
    if config.get("name") not in models.list():
        raise ConfigError(
            "summary: input_shape is needed, such as (3, 224, 224): this is no model of the "
            "registry, which would know"
        )
    entry = models.entry(config["name"])
    size = config.get("image_size", entry.image_size)
    height, width = (size, size) if isinstance(size, int) else size
    return config.get("in_channels", entry.in_channels), height, width


class _Bookkeeping:
    """From a recording to rows."""

    def __init__(self, recording: Recording, first_axis: int) -> None:
        self.calls = recording.calls
        self.inputs = recording.inputs
        self.sizes = {name: v.size for name, v in recording.parameters.items()}
        self.fields = fields_of(recording, first_axis)
        self.first_axis = first_axis
        self.depends = self._depending()
        self.uses = self._uses()

    def _depending(self) -> list[bool]:
        """Of each call, whether its result depends on an input."""
        found: list[bool] = []
        for call in self.calls:
            found.append(not call.traced or any(self._depends(v, found) for v in call.values))
        return found

    @staticmethod
    def _depends(value: Value, found: Sequence[bool]) -> bool:
        source = value.source
        if source is None or source.kind not in ("call", "input"):
            return False
        return source.kind == "input" or found[source.key]

    def _uses(self) -> Counter[Source]:
        """How many gradients arrive for each value."""
        return Counter(
            v.source for call in self.calls for v in self._wanted(call) if v.source is not None
        )

    @staticmethod
    def _wanted(call: Call) -> list[Value]:
        """The arguments whose gradients are computed."""
        if not call.traced:
            return []
        variadic = bool(call.args) and isinstance(call.args[0], list)
        args = call.args[0] if variadic else call.args
        return [args[i] for i in call.wanted]

    def rows(self) -> tuple[Row, ...]:
        """A row for each call."""
        used: set[str] = set()
        kept: set[int] = set()
        depths: list[tuple[int, int]] = []
        return tuple(self._row(i, call, used, kept, depths) for i, call in enumerate(self.calls))

    def _row(
        self, i: int, call: Call, used: set[str], kept: set[int], depths: list[tuple[int, int]]
    ) -> Row:
        cost = cost_of(call)
        to_input, to_weight = self._backward(i, call, cost)
        new = [name for name in call.parameters if name not in used]
        used.update(new)
        memory = {number: size for number, size in call.kept if number not in kept}
        kept.update(memory)
        kind = self._kind(call)
        depths.append(self._depth(call, kind, depths))
        field, jump, start, whole = self._seen(self.fields[i])
        return Row(
            path=call.path,
            module=call.module,
            op=call.op,
            output=call.result.shape,
            parameters=sum(self.sizes[name] for name in new),
            shared=len(new) < len(call.parameters),
            macs=cost.macs,
            flops=cost.flops,
            backward_input=to_input,
            backward_weight=to_weight,
            values=call.result.size,
            bytes=call.result.size * call.result.dtype.itemsize,
            kept=sum(memory.values()),
            field=field,
            jump=jump,
            start=start,
            whole=whole,
            kind=kind,
            depth=depths[-1][0],
            depth_with_pooling=depths[-1][1],
        )

    def _backward(self, i: int, call: Call, cost: Cost) -> tuple[int | None, int | None]:
        """FLOPs of the gradients of earlier results, and of weights."""
        uses = self.uses[Source("call", i)]
        to_input: int | None = max(uses - 1, 0) * call.result.size  # where branches meet again
        to_weight: int | None = 0
        if not call.traced:
            return (None, None) if call.wanted and cost.each is None else (to_input, 0)
        names = {id(v): name for name, v in call.settings.items()}
        for v in self._wanted(call):
            flops = cost.gradient(names.get(id(v), ""))
            if self._depends(v, self.depends):
                to_input = None if flops is None or to_input is None else to_input + flops
            else:
                to_weight = None if flops is None or to_weight is None else to_weight + flops
        return to_input, to_weight

    def _kind(self, call: Call) -> str:
        """Whether it counts as a layer."""
        if call.op in POOLS or (call.op == "gather" and "Pool" in call.module):
            return "pooling"
        weights = [v for v in call.values if v.source is not None and self._is_weight(v)]
        if (
            call.op in WEIGHTED
            and weights
            and any(self._depends(v, self.depends) for v in call.values)
        ):
            return "weights"
        return ""

    def _is_weight(self, v: Value) -> bool:
        """Whether a value consists of weights, or is computed from them alone."""
        source = v.source
        if source is None or source.kind in ("input", "buffer"):
            return False
        return source.kind == "parameter" or not self.depends[source.key]

    def _depth(self, call: Call, kind: str, depths: Sequence[tuple[int, int]]) -> tuple[int, int]:
        before = [
            depths[v.source.key]
            for v in call.values
            if v.source is not None and v.source.kind == "call"
        ]
        weighted = max((d for d, _ in before), default=0) + (kind == "weights")
        return weighted, max((d for _, d in before), default=0) + bool(kind)

    def _seen(
        self, field: Field | None
    ) -> tuple[Shape | None, tuple[Fraction | None, ...] | None, Shape | None, bool]:
        """Size, jump and start along the axes of the first input that is seen; whether whole."""
        if field is None:
            return None, None, None, False
        first = min((k for k, _ in field), default=None)
        if first is None:
            return (), (), (), False
        axes = {a: along for (k, a), along in field.items() if k == first}
        lengths = self.inputs[first].shape
        whole = all(
            along.axis is None and along.lo[0] <= 0 and along.hi[0] >= lengths[a] - 1
            for a, along in axes.items()
        )
        along = [axes[a] for a in sorted(axes)]
        sizes = tuple(
            f.size if f.axis is not None else _overlap(f.lo[0], f.hi[0], lengths[a])
            for a, f in sorted(axes.items())
        )
        starts = tuple(int(min(f.lo[0], 2**31)) for f in along)
        return sizes, tuple(f.jump for f in along), starts, whole


def _overlap(lo: float, hi: float, length: int) -> int:
    """How many of ``length`` pixels lie between lo and hi."""
    return int(max(min(hi, length - 1) - max(lo, 0) + 1, 0))
