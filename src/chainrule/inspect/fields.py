"""Receptive fields: which pixels of the input a value may depend on, exactly, along every path.

Along one axis, the output at position o of a network depends on the input from lo(o) to hi(o).
Of a chain of convolutions both are lines, lo(o) = j·o + lo(0), with the stride j of the whole
chain (its jump) and a size r = hi - lo + 1 that grows by (k - 1)·j with every window of k taps.
Here they are kept as functions that repeat: after P positions the field has moved by A pixels,

    lo(o + P) = lo(o) + A,   hi(o + P) = hi(o) + A,   jump j = A/P,

since then everything is exact: an operation that reads the positions R(o) gives

    lo'(o) = min over i in R(o) of lo(i),   hi'(o) = max over i in R(o) of hi(i),

and R repeats, too: a window R(o) = {s·o - p + d·k}, a transposed one {i: s·i - p + d·k = o},
resampling by its table. Where branches meet, the field is the smallest interval that holds both.
Positions before the first and behind the last are padding: they are followed as if the map went
on there, as is usual, so that a field may be larger than the image. An operation that sees all
positions of an axis (a global mean, a linear map of the flattened image, attention) makes the
field one fixed interval for all. The same is taken where that is only an upper bound: where such
a value meets one that sees less, behind a cumulative sum, and where axes of pixels are mixed.

Batch norm counts as reading one position, as it does once it is trained; layer, group and
instance norm read them all. What reads at places that depend on the data (deformable convolution,
grid_sample), or is not known, makes the field unknown (None), and with it all that follows.

Sources: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks",
Distill, doi:10.23915/distill.00021, for chains and branches; Dumoulin & Visin 2016,
arXiv:1603.07285, for the windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.inspect.costs import PER_VALUE
from chainrule.inspect.recording import Call, Recording, Value

Bound = float
"""A whole number, or infinity: of a position that reads nothing, lo is above hi."""


@dataclass(frozen=True)
class Along:
    """The field along one axis of an input, for the positions along ``axis`` of a value.

    axis None: the same for all positions. After len(lo) positions it has moved by ``advance``.
    """

    axis: int | None
    advance: int
    lo: tuple[Bound, ...]
    hi: tuple[Bound, ...]

    @property
    def period(self) -> int:
        """After so many positions it repeats."""
        return len(self.lo)

    @property
    def jump(self) -> Fraction | None:
        """Pixels from one position to the next; None where all positions see the same."""
        return None if self.axis is None else Fraction(self.advance, self.period)

    @property
    def size(self) -> int:
        """Pixels that a position sees; the most, where they differ."""
        ends = zip(self.lo, self.hi, strict=True)
        return int(max((last - first + 1 for first, last in ends if last >= first), default=0))

    def at(self, o: int) -> tuple[Bound, Bound]:
        """First and last pixel that position ``o`` sees."""
        turns, phase = divmod(o, self.period)
        return self.lo[phase] + turns * self.advance, self.hi[phase] + turns * self.advance

    def over(self, positions: Iterable[int]) -> tuple[Bound, Bound]:
        """First and last pixel that any of the positions sees."""
        ends = [self.at(o) for o in positions]
        return (
            min((lo for lo, _ in ends), default=math.inf),
            max((hi for _, hi in ends), default=-math.inf),
        )

    def fixed(self, length: int) -> Along:
        """What all ``length`` positions together see, seen by each."""
        if self.axis is None:
            return self
        lo, hi = self.over(range(length))
        return Along(None, 0, (lo,), (hi,))

    def moved(self, axis: int) -> Along:
        """The same along another axis."""
        return self if self.axis is None else Along(axis, self.advance, self.lo, self.hi)

    def through(self, reads: Reads) -> Along:
        """The field of what reads these positions."""
        if self.axis is None:
            return self
        rounds = self.period // math.gcd(self.period, reads.advance)
        ends = [self.over(reads.at(o)) for o in range(rounds * len(reads.positions))]
        advance = self.advance * rounds * reads.advance // self.period
        return Along(self.axis, advance, tuple(e[0] for e in ends), tuple(e[1] for e in ends))


@dataclass(frozen=True)
class Reads:
    """The positions that each output reads: after len(positions) outputs, ``advance`` further."""

    advance: int
    positions: tuple[tuple[int, ...], ...]

    def at(self, o: int) -> list[int]:
        """What output ``o`` reads."""
        turns, phase = divmod(o, len(self.positions))
        return [i + turns * self.advance for i in self.positions[phase]]


def window(taps: int, stride: int, padding: int, dilation: int) -> Reads:
    """Output o reads s·o - p + d·k for k < taps."""
    return Reads(stride, (tuple(k * dilation - padding for k in range(taps)),))


def transposed_window(taps: int, stride: int, padding: int, dilation: int) -> Reads:
    """Output o reads every i with s·i - p + d·k = o."""
    return Reads(
        1,
        tuple(
            tuple(
                (o + padding - k * dilation) // stride
                for k in range(taps)
                if (o + padding - k * dilation) % stride == 0
            )
            for o in range(stride)
        ),
    )


def cells(length: int, count: int) -> Reads:
    """Adaptive pooling: cell i reads ⌊i·H/O⌋ ... ⌈(i+1)·H/O⌉ - 1."""
    common = math.gcd(length, count)
    a, b = length // common, count // common
    return Reads(a, tuple(tuple(range(i * a // b, -(-(i + 1) * a // b))) for i in range(b)))


def table(index: Any, weight: Any, length: int) -> Reads:
    """Resampling: output o reads index[o, k] where its weight is not 0."""
    rows = zip(index, weight, strict=True)
    return Reads(length, tuple(tuple(int(i) for i in row[w != 0]) for row, w in rows))


Field = dict[tuple[int, int], Along]
"""By input and its axis. A value that depends on no input has an empty one."""


def fields_of(recording: Recording, first_axis: int) -> list[Field | None]:
    """The field of each call's result; None: unknown.

    first_axis: where the inputs' axes of pixels begin (2 behind batch and channels).
    """
    found: list[Field | None] = []

    def of(value: Any) -> Field | None:
        source = value.source if isinstance(value, Value) else None
        if source is None or source.kind in ("parameter", "buffer"):
            return {}
        if source.kind == "call":
            return found[source.key]
        axes = range(first_axis, len(value.shape))
        return {(source.key, a): Along(a, 1, (0,), (0,)) for a in axes}

    for call in recording.calls:
        pairs = [(v, of(v)) for v in call.values]
        if any(f is None for _, f in pairs):
            found.append(None)
        elif not any(f for _, f in pairs):
            found.append({} if call.traced or not call.wanted else None)
        else:
            found.append(_follow(call, [(v, f) for v, f in pairs if f]))
    return found


def _follow(call: Call, args: Sequence[tuple[Value, Field]]) -> Field | None:
    """The field of a call's result, from those of its arguments that have one."""
    if not call.traced:
        return args[0][1]
    rule = RULES.get(call.op)
    if rule is None:
        return None
    result: Field = {}
    for value, given in args:
        for key, along in given.items():
            new = along if along.axis is None else rule(call, value, along)
            if key in result:
                result[key] = together(result[key], new, call.result.shape)
            else:
                result[key] = new
    return result


def together(a: Along, b: Along, shape: Sequence[int]) -> Along:
    """The smallest field that holds both, of a value of this shape."""
    if a.axis is None or b.axis is None or a.axis != b.axis:
        a, b = (f if f.axis is None else f.fixed(shape[f.axis]) for f in (a, b))
        return Along(None, 0, (min(a.lo[0], b.lo[0]),), (max(a.hi[0], b.hi[0]),))
    period, length = math.lcm(a.period, b.period), shape[a.axis]
    advance = a.advance * (period // a.period)
    if a.jump != b.jump:  # they fit each other on this map only: position by position
        larger = max(Fraction(f.advance, f.period) for f in (a, b))
        period, advance = length, round(length * larger)
    ends = [(a.at(o), b.at(o)) for o in range(period)]
    lo = tuple(min(s[0], t[0]) for s, t in ends)
    return Along(a.axis, advance, lo, tuple(max(s[1], t[1]) for s, t in ends))


# -- what each operation reads -------------------------------------------------------------------

Rule = Callable[[Call, Value, Along], Along]
"""(call, argument, its field along an axis of its own) -> the result's."""


def _length(value: Value, along: Along) -> int:
    return value.shape[along.axis]  # type: ignore[index]  # only asked of those that have one


def _all(call: Call, value: Value, along: Along) -> Along:
    """Every position is seen by all."""
    return along.fixed(_length(value, along))


def _same(call: Call, value: Value, along: Along) -> Along:
    return along


def _aligned(call: Call, value: Value, along: Along) -> Along:
    """Elementwise: axes meet from the last; one of length 1 is seen by all."""
    axis = along.axis + len(call.result.shape) - len(value.shape)  # type: ignore[operator]
    if _length(value, along) == 1 and call.result.shape[axis] != 1:
        return along.fixed(1)
    return along.moved(axis)


def _windows(make: Callable[[int, int, int, int], Reads], taps: str) -> Rule:
    """Windows over the axes behind batch and channels."""

    def rule(call: Call, value: Value, along: Along) -> Along:
        i = along.axis - 2  # type: ignore[operator]
        if i < 0:
            return _all(call, value, along)
        size = call.settings[taps]
        sizes = size.shape[2:] if isinstance(size, Value) else size
        dilation = call.settings.get("dilation", (1,) * len(sizes))
        stride, padding = call.settings["stride"], call.settings["padding"]
        return along.through(make(sizes[i], stride[i], padding[i], dilation[i]))

    return rule


def _adaptive(call: Call, value: Value, along: Along) -> Along:
    length, count = _length(value, along), call.result.shape[along.axis]  # type: ignore[index]
    return _all(call, value, along) if count == 1 else along.through(cells(length, count))


def _resampled(call: Call, value: Value, along: Along) -> Along:
    if along.axis != call.settings["dim"] % len(value.shape):
        return along
    index, weight = call.settings["index"], call.settings["weight"]
    return along.through(table(index, weight, _length(value, along)))


def _padded(call: Call, value: Value, along: Along) -> Along:
    """Padding is given from the last axis on, (before, after) each."""
    place = 2 * (len(value.shape) - 1 - along.axis)  # type: ignore[operator]
    pad = call.settings["pad"]
    before = pad[place] if place < len(pad) else 0
    return along.through(window(1, 1, before, 1))


def _mixed(*names: str) -> Rule:
    """Along the axes that these settings name, or their number of last ones, all see all."""

    def rule(call: Call, value: Value, along: Along) -> Along:
        given = call.settings[names[0]]
        rank = len(value.shape)
        axes = range(rank) if given is None else given if isinstance(given, Iterable) else (given,)
        return _all(call, value, along) if along.axis in [a % rank for a in axes] else along

    return rule


def _last(call: Call, value: Value, along: Along) -> Along:
    """Layer norm: over the last axes, together."""
    first = len(value.shape) - call.settings["last"]
    return _all(call, value, along) if along.axis in range(first, len(value.shape)) else along


def _contracted(call: Call, value: Value, along: Along) -> Along:
    """The last axis of a linear map's argument."""
    return _all(call, value, along) if along.axis == len(value.shape) - 1 else along


def _matmul(call: Call, value: Value, along: Along) -> Along:
    """The last axis of a and the last but one of b."""
    a, b = call.settings["a"], call.settings["b"]
    from_end = len(value.shape) - along.axis  # type: ignore[operator]
    if (value is a and from_end == 1) or (value is b and from_end == 2):
        return _all(call, value, along)
    return _aligned(call, value, along)


def _reduced(call: Call, value: Value, along: Along) -> Along:
    """Sums and the like: the axes that are left close up."""
    rank, dim = len(value.shape), call.settings.get("dim")
    dims = range(rank) if dim is None else dim if isinstance(dim, Iterable) else (dim,)
    gone = sorted(d % rank for d in dims)
    if along.axis in gone:
        return _all(call, value, along)
    if call.settings.get("keepdim"):
        return along
    return along.moved(along.axis - sum(d < along.axis for d in gone))  # type: ignore


def _permuted(call: Call, value: Value, along: Along) -> Along:
    dims = [d % len(value.shape) for d in call.settings["dims"]]
    return along.moved(dims.index(along.axis))


def _reshaped(call: Call, value: Value, along: Along) -> Along:
    """Axes that are kept, cut into blocks, or joined with one that is no axis of pixels."""
    old, new = _parts(value.shape, call.result.shape, along.axis)  # type: ignore[arg-type]
    length, axis = value.shape[along.axis], along.axis  # type: ignore[index]
    if length == 1:
        return along.fixed(1)
    wide_old = [a for a in old if value.shape[a] != 1]
    wide_new = [a for a in new if call.result.shape[a] != 1]
    if wide_old == [axis] and len(wide_new) == 1:
        return along.moved(wide_new[0])
    if wide_old == [axis] and wide_new:  # H = H/r blocks of r: a block sees what its r see
        block = length // call.result.shape[wide_new[0]]
        return along.through(window(block, block, 0, 1)).moved(wide_new[0])
    if wide_old[:1] == [axis] and len(wide_new) == 1:  # (H, r) -> H·r: each pixel r times
        times = call.result.shape[wide_new[0]] // length
        return along.through(Reads(1, ((0,),) * times)).moved(wide_new[0])
    return _all(call, value, along)


def _parts(
    before: Sequence[int], after: Sequence[int], axis: int
) -> tuple[Sequence[int], Sequence[int]]:
    """The axes of the part around ``axis`` that a reshape rearranges within itself."""
    i = j = 0
    while i < len(before) or j < len(after):
        first, second = i, j
        sizes = [before[i] if i < len(before) else 1, after[j] if j < len(after) else 1]
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1] and i < len(before):
                sizes[0] *= before[i]
                i += 1
            elif j < len(after):
                sizes[1] *= after[j]
                j += 1
            else:
                i, sizes[1] = len(before), sizes[0]
        if first <= axis < i:
            return range(first, i), range(second, j)
    return range(len(before)), range(len(after))


def _indexed(call: Call, value: Value, along: Along) -> Along:
    """Slices, numbers, None and ...; an array of places: all."""
    index = call.settings["index"]
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(p, np.ndarray | list | Value) for p in parts):
        return _all(call, value, along)
    named = sum(p is not None and p is not Ellipsis for p in parts)
    rest = [slice(None)] * (len(value.shape) - named)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), None)
    parts = [*parts, *rest] if at is None else [*parts[:at], *rest, *parts[at + 1 :]]
    axis = out = 0
    for p in parts:
        if p is not None and axis == along.axis:
            break
        axis += p is not None
        out += p is None or isinstance(p, slice)
    else:
        return _all(call, value, along)
    if isinstance(p, slice):
        start, _, step = p.indices(_length(value, along))
        if step < 0:
            return _all(call, value, along)
        return along.through(window(1, step, -start, 1)).moved(out)
    lo, hi = along.at(int(p) % max(_length(value, along), 1))
    return Along(None, 0, (lo,), (hi,))


def _joined(call: Call, value: Value, along: Along) -> Along:
    axis = call.settings["dim"] % len(call.result.shape)
    return _all(call, value, along) if along.axis == axis else along


def _pixels(call: Call, value: Value, along: Along) -> Along:
    """Group norm: over all axes behind the channels."""
    return _all(call, value, along) if along.axis != 0 else along


RULES: dict[str, Rule] = {
    **dict.fromkeys(PER_VALUE, _aligned),
    **dict.fromkeys(("sub", "cast", "clone", "expand", "fill", "zeros_like"), _aligned),
    **dict.fromkeys(("batch_norm", "batch_norm_inference", "local_response_norm"), _same),
    **dict.fromkeys(("channel_window_sum", "prelu", "dropout", "embedding"), _same),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _windows(window, "weight")),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        _windows(transposed_window, "weight"),
    ),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _windows(window, "kernel_size")),
    "adaptive_avg_pool2d": _adaptive,
    "resample": _resampled,
    **dict.fromkeys(("constant_pad", "edge_pad"), _padded),
    **dict.fromkeys(("softmax", "log_softmax", "cumsum", "argsort"), _mixed("dim")),
    "roll": _mixed("dims"),
    "flip": _mixed("dims"),
    "gather": _mixed("dim"),
    "masked_softmax": _contracted,
    "layer_norm": _last,
    "rms_norm": _last,
    "group_norm": _pixels,
    "linear": _contracted,
    "matmul": _matmul,
    **dict.fromkeys(("sum", "amax", "amin", "argmax", "argmin", "any", "all"), _reduced),
    **dict.fromkeys(("logsumexp", "product"), _reduced),
    "reshape": _reshaped,
    "permute": _permuted,
    "getitem": _indexed,
    "cat": _joined,
    **dict.fromkeys(("take", "unfold", "fold", "sum_to"), _all),
    **dict.fromkeys(("cross_entropy", "mse_loss", "l1_loss"), _all),
}
