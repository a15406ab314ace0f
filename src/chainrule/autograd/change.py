"""Changes in place: x ← f(x), x[index] ← value, seen by the graph and by all views.

The graph keeps arrays for the backward pass, so a change must not reach what was kept:

- Where nobody but x sees its memory (the usual case: a result that goes on through ``relu_``),
  x simply takes the memory of f(x). What f kept of the old x stays as it was.
- Else f is computed from a copy of x, as PyTorch keeps one, and written into the memory. What
  earlier calls kept of it is counted as changed, and a backward pass that needs it says so.

Views of one memory are results of their own to the graph. After a recorded change of one, each
other that lives is derived anew: its elements in the common memory come from the changed one,
the others from what it was. (PyTorch does so with the base and its views, "rebase history".)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from sys import getrefcount
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.autograd.anomaly import look_at_call, worst_of
from chainrule.autograd.graph import Variable, Version, grad_mode, record, retain_instead
from chainrule.autograd.hooks import module_calls
from chainrule.autograd.pending import before_change
from chainrule.errors import DTypeError, GraphError, ShapeError
from chainrule.ops.activation import hardtanh, relu
from chainrule.ops.arithmetic import add, clamp, div, exp, mul, neg, single_bounds, sqrt, sub
from chainrule.ops.dtypes import can_store
from chainrule.ops.elementwise import cast, fill
from chainrule.ops.indexing import assign_at, index_put, take
from chainrule.ops.op import values_of
from chainrule.ops.refusal import COMPLAINTS, refusal
from chainrule.ops.scatter import overwrite

Array = np.ndarray[Any, Any]


def change(v: Variable, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """v ← function(v, ...), for a function that makes a new array of v's shape."""
    if isinstance(v, Variable.late) and v.pending.computed is None:
        return _change_unseen(v, function(v, *args, **kwargs))
    recording = _is_recording(v, *args, *kwargs.values())
    _check(v, recording)
    direct = (
        not recording and not kwargs and function in DIRECT and _fit_directly(v, function, args)
    )
    if direct and not module_calls.anomaly:
        before_change(v.array)
        DIRECT[function](v.array, *map(values_of, args), out=v.array)
        v.version.count += 1
        return v
    if _is_alone(v):
        new = _fitting(v, function(v, *args, **kwargs))
        return _take_memory(v, _cut_off(v, new) if recording else new, recording)
    old = v
    if recording:
        old = Variable.of(v.array.copy(order="K"), v.node)
        old.wanted = v.wanted
    new = _fitting(v, function(old, *args, **kwargs))
    if recording:
        new = _cut_off(old, new)
    _write(v, ..., new.array)
    if recording and new.wanted:
        _join(v, new)
        _derive_views_anew(v)
    return v


def _clamp(x: Array, min: Any = None, max: Any = None, *, out: Array) -> None:
    bounds = single_bounds(min, max)
    if bounds:
        kernels.clamp_in_place(out, *bounds)
    else:
        np.clip(x, min, max, out=out)


def _relu(x: Array, out: Array) -> None:
    kernels.clamp_in_place(out, 0.0, math.inf)


DIRECT: dict[Any, Callable[..., Any]] = {
    add: np.add, sub: np.subtract, mul: np.multiply, div: np.true_divide, relu: _relu,
    neg: np.negative, exp: np.exp, sqrt: np.sqrt, clamp: _clamp, hardtanh: _clamp,
}  # fmt: skip
"""What NumPy computes into the same memory, bit for bit as the op does, where nobody records."""


def _fit_directly(v: Variable, function: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether these arguments neither promote v (a float) nor make it larger."""
    dtype, shape = v.array.dtype, v.array.shape
    bounded = DIRECT[function] is _clamp
    for a in map(values_of, args):
        if isinstance(a, np.ndarray):
            if a.dtype != dtype or a.shape not in (shape, ()):
                return False
        elif type(a) not in (int, float) and not (a is None and bounded):
            return False
    return dtype.kind == "f" and (bounded or len(args) <= 1)


def put(v: Variable, index: Any, value: Any) -> None:
    """v[index] ← value, broadcast and converted to v's dtype."""
    array = value.array if isinstance(value, Variable) else value
    if _is_in_place_already(v, index, value):
        return
    recording = _is_recording(v, value)
    _check(v, recording)
    before = worst_of((v, value)) if module_calls.anomaly else None
    _write(v, index, array)
    if recording:
        record(index_put, (v, index, value), v)
        if module_calls.anomaly:
            look_at_call(index_put, (v, index, value), [v], before)
        _derive_views_anew(v)


def assign(v: Variable, value: Any) -> Any:
    """v ← value, broadcast and converted to v's dtype."""
    if _is_recording(v, value):
        return change(v, fill, value)
    _check(v, False)
    array = value.array if isinstance(value, Variable) else np.asarray(value)
    try:
        _write(v, ..., array)
    except ValueError:
        raise ShapeError(
            f"in place: {array.shape} cannot be broadcast to the tensor {v.array.shape}"
        ) from None
    return v


def view(v: Variable, function: Callable[..., Any], *args: Any) -> Any:
    """Make of v a view of itself: other axes over the same memory."""
    recording = _is_recording(v)
    _check(v, recording)
    new = function(v, *args)
    v.array = new.array
    if recording and new.wanted:
        _join(v, new)
    return v


def _is_recording(*values: Any) -> bool:
    """Whether a change that these take part in belongs to the graph."""
    return grad_mode.enabled and any(isinstance(v, Variable) and v.wanted for v in values)


def _check(v: Variable, recording: bool) -> None:
    if recording and v.wanted and v.node is None:
        raise GraphError(
            "in place: this leaf requires grad, and the graph would lose its value; "
            "do it under no_grad() or on .data"
        )
    if not v.array.flags.writeable:
        raise GraphError(
            "in place: this memory is read-only (an expanded tensor, or a read-only array); "
            "change a .clone()"
        )
    if recording:
        _check_sharers(v)


def _check_sharers(v: Variable) -> None:
    if v.version.is_outside(v):
        if next(_others(v, v.version.outside), None) is not None:
            raise GraphError(
                "in place: other detached views of this memory exist, and the graph would not "
                "know that they changed; use an operation that makes a new tensor, or .clone()"
            )
        return
    for w in _others(v, v.version.sharers):
        if w.wanted and w.node is None:
            raise GraphError(
                "in place: this is a view of a leaf that requires grad, and the graph would lose "
                "the leaf's value; do it under no_grad() or on .data"
            )


def _others(v: Variable, references: Any) -> Iterator[Variable]:
    """Those that live, beside ``v``, and may show some of its memory."""
    for reference in references or ():
        w = reference()
        if w is not None and w is not v and np.may_share_memory(w.array, v.array):
            yield w


def _is_alone(v: Variable) -> bool:
    """Whether nobody but ``v`` can see its memory: no view, no alias, no node, no NumPy array."""
    if v.version.is_visible:
        return False
    array: Any = v.array
    while array is not None:
        if getrefcount(array) > _references_if_alone:
            return False
        array = array.base if isinstance(array, np.ndarray) else None
    return True


def _measure_references() -> None:
    """Find out how many references `_is_alone` sees to an array that has one holder.

    They are the holder's, that of the name there and, up to Python 3.13, that of the call's
    argument. A Python where that is not so takes nothing for alone, which is slower but right.
    """
    global _references_if_alone
    for _references_if_alone in (2, 3):
        if _is_alone(_over(np.empty(2))):
            break
    held = np.empty(2)
    if (
        not _is_alone(_over(np.empty(2)[1:]))
        or _is_alone(_over(held))
        or _is_alone(_over(held[1:]))
    ):
        _references_if_alone = -1


def _over(array: Array) -> Variable:
    """A variable that holds ``array``, as `_is_alone` asks of one."""
    v = object.__new__(Variable)
    v.array, v.version = array, Version()
    return v


_references_if_alone = -1
_measure_references()


def _is_private(new: Variable) -> bool:
    """Whether the memory of a result is its own, and may be taken."""
    return new.version.sharers is None and new.array.flags.writeable


def _fitting(v: Variable, new: Any) -> Any:
    """``new`` in v's dtype; complains where it does not fit."""
    if tuple(new.shape) != v.array.shape:
        raise ShapeError(
            f"in place: the result {tuple(new.shape)} does not fit the tensor {v.array.shape}"
        )
    if new.dtype == v.array.dtype:
        return new
    if not can_store(new.dtype, v.array.dtype):
        raise DTypeError(f"in place: a result of {new.dtype} cannot be stored in {v.array.dtype}")
    return cast(new, v.array.dtype)


def _cut_off(old: Variable, new: Variable) -> Any:
    """``new``, which has a gradient where ``old`` has one, if only of zeros (as of x.eq_(y))."""
    return fill(old, new) if old.wanted and not new.wanted else new


def _join(v: Variable, new: Variable) -> None:
    """v comes from where ``new`` does."""
    before = v.node
    v.node, v.wanted = new.node, new.wanted
    retain_instead(v, before)


def _change_unseen(v: Any, new: Any) -> Any:
    """v, late when ``new`` was computed from it, takes over what that is."""
    if grad_mode.enabled and new.wanted and v.wanted and v.node is None:
        _check(v, True)  # complains
    if grad_mode.enabled:
        new = _cut_off(v, new)
    if not isinstance(v, Variable.late) or v.pending.computed is not None:
        return _take_memory(v, _fitting(v, new), grad_mode.enabled)  # its values were kept
    if (new.shape, new.dtype) != (v.shape, v.dtype) or new.version.sharers is not None:
        return _take_memory(v, _fitting(v, new), grad_mode.enabled)
    if grad_mode.enabled:
        _join(v, new)
    v.version = new.version
    if isinstance(new, Variable.late):
        v.pending = new.pending
    else:
        v.settle(new.array)
    return v


def _take_memory(v: Variable, new: Variable, recording: bool) -> Variable:
    """v, which nobody else sees, becomes the result ``new``."""
    private = _is_private(new)
    if recording or (private and new.array.strides == v.array.strides):
        v.array = new.array if private else new.array.copy(order="K")
        v.version = new.version if private else Version()
    else:
        _write(v, ..., new.array)
    if recording and new.wanted:
        _join(v, new)
    return v


def _write(v: Variable, index: Any, array: Any) -> None:
    before_change(v.array)
    try:
        assign_at(v.array, index, array)
    except COMPLAINTS as e:
        raise refusal("x[index] = value", ("x", "value"), (v.array, array), e) or e from None
    v.version.count += 1


def _is_in_place_already(v: Variable, index: Any, value: Any) -> bool:
    """Whether value is v[index] itself, as after ``v[index] += w``."""
    if not isinstance(value, Variable) or value.version is not v.version:
        return False
    if value.wanted != v.wanted or v.version.is_outside(value) != v.version.is_outside(v):
        return False
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, np.ndarray) for p in parts):
        return False
    target = v.array[parts if any(p is Ellipsis for p in parts) else (*parts, ...)]
    return target.__array_interface__["data"] == value.array.__array_interface__["data"] and (
        target.shape,
        target.strides,
    ) == (value.array.shape, value.array.strides)


# -- views of one memory -----------------------------------------------------------------------


def _derive_views_anew(v: Variable) -> None:
    """After a recorded change of ``v``: tell the graph what became of the views beside it."""
    if v.version.is_outside(v):
        return
    for w in tuple(_others(v, v.version.sharers)):
        at, source = _common(w.array, v.array)
        if at is None:
            record(take, (v, source.reshape(w.array.shape)), w)
        elif at.size:
            record(overwrite, (w, v, at, source), w)


def _common(w: Array, v: Array) -> tuple[Any, Any]:
    """Which elements of w (by row-major number) lie in v's memory, and as which of v's.

    None instead of the numbers: all elements, in order.
    """
    repeats = any(s == 0 and n > 1 for s, n in zip(w.strides, w.shape, strict=True))
    if repeats or w.size <= v.size:
        source = _numbers(v, _addresses(w)).ravel()
        inside = source >= 0
        return (None, source) if inside.all() else (np.flatnonzero(inside), source[inside])
    at = _numbers(w, _addresses(v)).ravel()
    inside = at >= 0
    return (at, None) if inside.all() else (at[inside], np.flatnonzero(inside))


def _addresses(a: Array) -> Any:
    """Where each element lies in memory: int64 of a's shape."""
    where: Any = np.asarray(a.__array_interface__["data"][0], np.int64)
    for n, stride in zip(a.shape, a.strides, strict=True):
        where = where[..., None] + np.arange(n, dtype=np.int64) * stride
    return where


def _numbers(a: Array, addresses: Any) -> Any:
    """The row-major numbers of a's elements at these addresses; -1 where a has none."""
    order = sorted(range(a.ndim), key=lambda i: -a.strides[i])
    rows = a.transpose(order)
    if rows.flags.c_contiguous:
        place = (addresses - a.__array_interface__["data"][0]) // a.itemsize
        inside = (place >= 0) & (place < a.size)
        places = np.unravel_index(np.where(inside, place, 0), rows.shape) if a.ndim else ()
        steps = [math.prod(a.shape[i + 1 :]) for i in order]
        number = sum((p * s for p, s in zip(places, steps, strict=True)), np.int64(0))
        return np.where(inside, number, -1)
    own = _addresses(a)
    first = own.min()
    table = np.full((own.max() - first) // a.itemsize + 1, -1, np.int64)
    table[(own - first) // a.itemsize] = np.arange(a.size).reshape(a.shape)
    place = (addresses - first) // a.itemsize
    inside = (place >= 0) & (place < len(table))
    return np.where(inside, table[np.where(inside, place, 0)], -1)
