"""Finding the operation that first made a NaN or an infinity, forwards or backwards.

Once there is a NaN, everything computed from it is NaN: the loss, every gradient, soon every
weight. Those operations only passed it on. The one to find had finite inputs and a result that
is not. So while `detect_anomaly` is on, each result is looked at beside its inputs, and each
gradient beside the one it was made of:

    worse(result) > worse(any input)     with  finite < infinite < NaN

and then this operation is to blame: infinity - infinity made a NaN, too. A mask of -infinity
that the user gave is passed on by what uses it, and nobody is blamed.

While it is off it costs nothing: what looks is put in the place of what computes, and taken away
again. While it is on, neighbouring operations are not fused, since a fused kernel does not show
what lies between.
"""

from __future__ import annotations

import linecache
import math
import os
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from chainrule.autograd import engine
from chainrule.autograd.engine import Bundle
from chainrule.autograd.fusion import switch
from chainrule.autograd.graph import Node, Saved, Variable
from chainrule.autograd.hooks import module_calls
from chainrule.errors import AnomalyError
from chainrule.ops.op import Op

FINITE, INFINITE, NAN = range(3)
PACKAGE = str(Path(__file__).parents[1]) + os.sep
FUNCTIONS = (f"{PACKAGE}ops{os.sep}", f"{PACKAGE}nn{os.sep}functional{os.sep}")
"""Where functions are composed of ops, by names that users know."""


class _Settings(NamedTuple):
    on: bool = False
    check_nan: bool = True
    check_inf: bool = True


class _Here(threading.local):
    """What this thread is doing."""

    def __init__(self) -> None:
        self.modules: list[Any] = []  # those being called, outermost first
        self.in_sweep = False  # backwards: only what leaves a VJP counts, not what is inside it


_settings = _Settings()
_here = _Here()
_fused_before = True


def _switch_to(settings: _Settings) -> None:
    """Put what looks in its place, or take it away."""
    global _settings, _fused_before
    if settings.on and not _settings.on:
        _fused_before, switch.on = switch.on, False
        Variable.__apply_op__ = _apply_and_look  # type: ignore[method-assign]
        engine.inspection.pull = _pull_and_look
    elif _settings.on and not settings.on:
        switch.on = _fused_before
        Variable.__apply_op__ = _apply  # type: ignore[method-assign]
        engine.inspection.pull = None
    _settings = settings
    module_calls.anomaly = settings.on
    module_calls.look()


class set_detect_anomaly:
    """Look for anomalies or not: from the call on, or to the end of a ``with`` block.

    check_nan, check_inf: what counts. Raises (inside) AnomalyError: the operation that first
    made a NaN or infinity, how many, where; the module it ran in and the line that called it.
    """

    def __init__(self, mode: bool, check_nan: bool = True, *, check_inf: bool = True) -> None:
        self._before = _settings
        _switch_to(_Settings(bool(mode), check_nan, check_inf))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _switch_to(self._before)


class detect_anomaly:
    """``with detect_anomaly():`` names the operation that first makes a NaN or an infinity.

    See `set_detect_anomaly`. Everything runs several times slower meanwhile.
    """

    def __init__(self, check_nan: bool = True, *, check_inf: bool = True) -> None:
        self._settings = _Settings(True, check_nan, check_inf)
        self._before: list[_Settings] = []

    def __enter__(self) -> Self:
        self._before.append(_settings)
        _switch_to(self._settings)
        return self

    def __exit__(self, *exc: object) -> None:
        _switch_to(self._before.pop())


def is_anomaly_enabled() -> bool:
    """Whether anomalies are looked for."""
    return _settings.on


def is_anomaly_check_nan_enabled() -> bool:
    """Whether a NaN counts as one."""
    return _settings.check_nan


@contextmanager
def entered(module: Any) -> Iterator[None]:
    """Note that ``module`` is being called."""
    _here.modules.append(module)
    try:
        yield
    finally:
        _here.modules.pop()


# -- looking -------------------------------------------------------------------------------------


def worst_of(x: Any) -> int:
    """FINITE, INFINITE or NAN: the worst of the values of an array, variable or number."""
    if isinstance(x, Variable):
        x = x.array
    if isinstance(x, np.ndarray | np.generic):
        if x.dtype.kind != "f" or np.isfinite(x).all():
            return FINITE
        if np.isnan(x).any() and _settings.check_nan:
            return NAN
        return INFINITE if np.isinf(x).any() and _settings.check_inf else FINITE
    if isinstance(x, float):
        return NAN if math.isnan(x) else INFINITE if math.isinf(x) else FINITE
    if isinstance(x, Bundle | tuple | list):
        return max(map(worst_of, x.grads if isinstance(x, Bundle) else x), default=FINITE)
    return FINITE


_apply = Variable.__apply_op__


def _apply_and_look(self: Variable, op: Op, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """As ``Variable.__apply_op__``, and see whether the result is worse than the arguments."""
    before = max((worst_of(a) for a in args), default=FINITE)  # now: some ops change theirs
    result, aux = _apply(self, op, args)
    look_at_call(op, args, [result], before)
    return result, aux


def look_at_call(
    op: Op, args: Sequence[Any], results: Sequence[Any], before: int | None = None,
    node: Node | None = None,
) -> None:  # fmt: skip
    """Note where a call was made; raise if it made a NaN or infinity.

    before: the worst of its arguments. node: the call's own, if not that of its results.
    """
    site = _site()
    for made in (node, *(y.node for y in results if isinstance(y, Variable))):
        if made is not None:
            _sites[made] = site
    if _here.in_sweep:
        return
    if before is None:
        before = max((worst_of(a) for a in args), default=FINITE)
    for y in results:
        worst = worst_of(y)
        if worst > before:
            raise AnomalyError(_made_forwards(op, args, y, worst, before, site))
        if worst == NAN:
            _complain_of_leaf(op, args, site)


def _complain_of_leaf(op: Op, args: Sequence[Any], site: _Site) -> None:
    """A NaN that no operation made came with a leaf (a weight or the data) or as a number."""
    names = dict(zip(op.parameters, args, strict=False)) if not op.is_variadic else {}
    for name, a in names.items() or {"tensors": args[0]}.items():
        for leaf in a if isinstance(a, tuple | list) else (a,):
            if getattr(leaf, "node", None) is None and worst_of(leaf) == NAN:
                own = _name_in(site.modules, leaf)
                who = op.name + (
                    f" (in {site.within})" if site.within not in (None, op.name) else ""
                )
                hint = FORWARD_HINTS.get(site.within or "") or (
                    "look at the data, or at the update that changed this tensor last"
                    if isinstance(leaf, Variable)
                    else "look at where this number comes from"
                )
                raise AnomalyError(
                    f"{who} was given NaN that no operation made: {own or f'its {name!r}'} "
                    "held it before\n"
                    + _lines(_described(own or str(name), _array_of(leaf)), *_place(site), hint)
                )


def _pull_and_look(node: Node, g: Any, useful: set[int] | None, arrivals: Any, known: Any) -> None:
    """As the engine's ``_pull``, and look at what the node sends on."""
    _here.in_sweep = True
    try:
        engine._pull(node, g, useful, _Looking(arrivals, node, g), known)  # type: ignore[arg-type]
    except AnomalyError:
        raise
    except Exception as error:  # any other, too, is easier to mend if one knows the call
        error.add_note(f"in the gradient of {node.op.name}, which was called:")
        error.add_note(_lines(*_place(_sites.get(node))))
        raise
    finally:
        _here.in_sweep = False


class _Looking:
    """Takes the place of the engine's arrivals: looks at each gradient, and hands it on."""

    def __init__(self, arrivals: Any, node: Node, g: Any) -> None:
        self.as_variables = arrivals.as_variables
        self.arrivals, self.node, self.before = arrivals, node, worst_of(g)

    def add(self, edge: Any, d: Any, g: Any) -> None:
        """One more gradient for ``edge``, made of ``g``."""
        worst = worst_of(d)
        if worst > self.before:
            raise AnomalyError(_made_backwards(self.node, edge, d, g, worst))
        pending = getattr(self.arrivals, "pending", {})
        other = worst_of(pending.get(id(edge)))
        self.arrivals.add(edge, d, g)
        total = worst_of(pending.get(id(edge)))
        if total > max(worst, other):
            where = edge if isinstance(edge, Node) else self.node
            kind = f"result of {edge.op.name}" if isinstance(edge, Node) else "leaf"
            raise AnomalyError(
                f"a sum of gradients made {_named(total)} (backward): those of the branches that "
                f"use one {kind} are finite, their sum is not\n"
                + _lines(
                    _described("sum", _array_of(pending[id(edge)])), *_place(_sites.get(where))
                )
                + "\n  gradients grow: scale the loss down, or clip gradients"
            )


# -- where ---------------------------------------------------------------------------------------


class _Site(NamedTuple):
    """Where an operation was called."""

    modules: tuple[Any, ...]
    file: str | None
    line: int
    within: str | None = None  # the function of this package that is composed of ops


_sites: weakref.WeakKeyDictionary[Node, _Site] = weakref.WeakKeyDictionary()


def _site() -> _Site:
    """The modules being called, and the nearest line outside this package."""
    frame: Any = sys._getframe(1)
    within = None
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        code = frame.f_code
        if (
            within is None
            and code.co_filename.startswith(FUNCTIONS)
            and code.co_name[0] not in "_<"
        ):
            within = code.co_name if not code.co_filename.endswith(f"{os.sep}op.py") else None
        frame = frame.f_back
    modules = tuple(_here.modules)
    if frame is None:
        return _Site(modules, None, 0, within)
    return _Site(modules, frame.f_code.co_filename, frame.f_lineno, within)


def _path(modules: Sequence[Any]) -> str:
    """The dotted name of the last module as seen from the first."""
    names = []
    for outer, inner in pairwise(modules):
        found = [name for name, module in outer.named_modules() if module is inner]
        names.append(found[0] if found else type(inner).__name__)
    return ".".join(name for name in names if name)


def _name_in(modules: Sequence[Any], tensor: Any) -> str | None:
    """The dotted name of a parameter or buffer of the modules being called."""
    if modules:
        for named in (modules[0].named_parameters(), modules[0].named_buffers()):
            for name, member in named:
                if member is tensor:
                    return name
    return None


def _place(site: _Site | None) -> list[str]:
    """Module and source line, in words."""
    if site is None:
        return ["its forward call was made outside detect_anomaly, so its line is not known"]
    lines = []
    if site.modules:
        root, last = site.modules[0], site.modules[-1]
        path = _path(site.modules)
        inner = f"{path} ({type(last).__name__}) of " if path else ""
        lines.append(f"in the module {inner}{type(root).__name__}")
    if site.file is not None:
        text = linecache.getline(site.file, site.line).strip()
        lines.append(f"at {site.file}:{site.line}" + (f": {text}" if text else ""))
    return lines


# -- in words ------------------------------------------------------------------------------------


def _named(worst: int) -> str:
    return "NaN" if worst == NAN else "an infinity"


def _lines(*lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _array_of(x: Any) -> np.ndarray[Any, Any]:
    """The array of a gradient; of several, that of the worst."""
    if isinstance(x, Bundle):
        x = max((g for g in x.grads if g is not None), key=worst_of)
    return np.asarray(x.array if isinstance(x, Variable) else x)


def _first(a: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The index of the first value that is not finite."""
    return tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])


def _described(name: str, a: np.ndarray[Any, Any]) -> str:
    """Shape, and the values that are not finite, or the range of those that are."""
    head = f"{name} {a.shape} {a.dtype}: "
    bad = ~np.isfinite(a)
    if not bad.any():
        return head + (f"{a.min():.6g} to {a.max():.6g}" if a.size else "empty")
    nans = int(np.isnan(a).sum())
    at = _first(a)
    return (
        f"{head}{int(bad.sum())} of {a.size} values not finite ({nans} NaN, "
        f"{int(bad.sum()) - nans} infinite), the first at {at}: {a[at]}"
    )


def _made_forwards(op: Op, args: Sequence[Any], y: Any, worst: int, given: int, site: _Site) -> str:
    a = _array_of(y)
    at = _first(a)
    lines = [_described("result", a)]
    within = site.within if site.within != op.name else None
    inputs = enumerate(args[0]) if op.is_variadic else zip(op.parameters, args, strict=False)
    for name, x in inputs:
        if isinstance(x, Variable | np.ndarray):
            x = _array_of(x)
            if x.dtype.kind == "f":
                same = f", at that index {x[at]:.6g}" if x.shape == a.shape and a.ndim else ""
                lines.append(_described(str(name), x) + same)
    state = "are finite, its result is not" if worst == INFINITE else "hold no NaN, its result does"
    return (
        f"{op.name} made {_named(worst)} (forward{f', in {within}' if within else ''}): its inputs "
        f"{state}\n"
        + _lines(*lines, *_place(site))
        + _hint(FORWARD_HINTS, (within, op.name), a.dtype, worst, given)
    )


def _made_backwards(node: Node, edge: Any, d: Any, g: Any, worst: int) -> str:
    positions = [i for i, e in enumerate(node.edges) if e is edge]
    lines = [
        _described(f"dL/d(input {positions[0]})", _array_of(d)),
        _described("dL/d(result)", _array_of(g)),
    ]
    kept = [s for s in node.saved or () if type(s) is Saved and worst_of(s.array)]
    if kept:
        lines.append(_described("a value kept from the forward pass", kept[0].array))
        lines.append("that one was made by the forward pass: run it inside detect_anomaly too")
    name = node.op.name
    state = "comes in is finite, what goes on is not" if worst == INFINITE else (
        "comes in holds no NaN, what goes on does"
    )  # fmt: skip
    return (
        f"the gradient of {name} made {_named(worst)} (backward): what {state}\n"
        + _lines(*lines)
        + f"\n  {name} was called:\n"
        + _lines(*_place(_sites.get(node)))
        + ("" if kept else _hint(BACKWARD_HINTS, (name,), _array_of(d).dtype, worst, worst_of(g)))
    )


NO_TARGET = "no target counts (all are ignore_index, or the batch is empty)"
EQUAL_VALUES = "values that are all equal have variance 0: eps must be positive"
OUTSIDE = "its slope at ±1 is infinite: clamp to a little less before"
ZERO_DIVISION = "a division by 0: add a small number to the divisor, or use where() on it first"
FORWARD_HINTS = {
    "log": "log(0) is -inf, of negative numbers NaN: clamp(min=...) first, or use log_softmax",
    "log1p": "log1p(-1) is -inf, of smaller numbers NaN: clamp(min=...) first",
    "sqrt": "the root of a negative number, maybe by rounding: clamp(min=0) first",
    "rsqrt": "1/√x of a number that is not positive: add a small number first",
    "pow": "a negative number to a fractional power, 0 to a negative one, or an overflow",
    "div": ZERO_DIVISION,
    "reciprocal": ZERO_DIVISION,
    "exp": "exp overflows: subtract the maximum first (softmax, logsumexp do)",
    "expm1": "expm1 overflows: its argument is too large",
    "cross_entropy": NO_TARGET,
    "nll_loss": NO_TARGET,
    "mean": "the mean of no elements, or a sum that overflows",
    "var": "the variance of too few elements for its correction",
    "std": "the deviation of too few elements for its correction",
    "softmax": "a row of nothing but -inf (all masked), or with +inf: leave a finite score in each",
    "log_softmax": "a row of nothing but -inf, or with +inf: leave a finite score in each",
    "layer_norm": EQUAL_VALUES,
    "group_norm": EQUAL_VALUES,
    "batch_norm_inference": "the root of running_var + eps: it must be positive",
}
BACKWARD_HINTS = {
    "sqrt": "d√x/dx is infinite at 0: add a small number, √(x + eps); where() behind the root does "
    "not help, before it does",
    "acos": OUTSIDE,
    "asin": OUTSIDE,
    "atan2": "there is no angle at (0, 0): keep away from it",
    "BackwardHookFunction": "a backward hook of the module gave it",
    "norm": "|x| has no derivative at x = 0: add a small number inside the root",
    "pow": "the derivative at 0 of a power below 1 is infinite: add a small number",
    "std": "the deviation of equal values has no derivative: use √(var + eps)",
    "log": "1/x of a tiny x: clamp(min=...) before the logarithm",
    "div": "1/b² of a tiny divisor b: add a small number to it",
}


def _hint(
    hints: dict[str, str], names: Sequence[str | None], dtype: Any, worst: int, given: int
) -> str:
    """What to do. given: the worst of what it was made of."""
    for name in names:
        if name in hints:
            return f"\n  {hints[name]}"
    if given == INFINITE:
        return "\n  inf - inf, 0·inf and inf/inf have no value: look at where the infinity is from"
    overflow = f"an overflow of {dtype} (above {float(np.finfo(dtype).max):.3g})"
    if worst == NAN:
        return f"\n  0/0, a root or logarithm of a negative number, or {overflow} on the way"
    return (
        f"\n  {overflow}, most often from a learning rate too high or data that is not normalised"
    )
