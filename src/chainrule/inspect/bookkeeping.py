"""From what was recorded to the rows of an account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from chainrule.inspect.accounts import Row, Shape
from chainrule.inspect.costs import Cost, cost_of
from chainrule.inspect.fields import Field, fields_of
from chainrule.inspect.recording import Call, Recording, Source, Value

POOLS = frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"})
WEIGHTED = frozenset(
    {"linear", "matmul", "embedding", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in "123")}
)
"""Operations that are a layer where one of their arguments consists of weights."""


class Bookkeeping:
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
            kept = call.values[0].shape == call.result.shape and call.op.startswith("adaptive")
            return "" if kept else "pooling"  # one cell for each pixel is no pooling
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
