"""Which neighbouring calls are computed by one kernel, forwards and backwards.

The graph is recorded as if nothing was fused: every call has its node, so gradients of
intermediate values, hooks and higher derivatives work as ever. What is fused is the work:

- forwards, the ops in the first table below may put their kernel call off, or go on from one
  that was put off (`chainrule.autograd.pending`);
- backwards, the sweep asks `fused_gradients` before it runs the VJPs of a node in the second
  table: where the node's gradient goes to one other node only, and nobody looks on between,
  one kernel does the work of both.

A fused kernel rounds as the separate ones do, in the same order: the bits are the same. (Only
the moments that a convolution gathers for batch norm are added up in another order.)

``CHAINRULE_FUSION=0`` in the environment switches fusion off, as `set_fusion_enabled` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from chainrule import kernels
from chainrule.autograd.pending import Array, Kind, Pending
from chainrule.kernels.epilogue import NOTHING, Epilogue
from chainrule.ops.activation import relu
from chainrule.ops.arithmetic import add
from chainrule.ops.conv import conv_shape
from chainrule.ops.conv_ops import conv2d_op
from chainrule.ops.linalg import check_linear, linear
from chainrule.ops.norm import batch_norm_inference, batch_norm_training, batch_norm_vjp
from chainrule.ops.op import Op

VARIABLE = "CHAINRULE_FUSION"
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # float16 rounds after each single op


class _Switch:
    on = os.environ.get(VARIABLE, "") != "0"
    seen: list[str] | None = None


switch = _Switch()


class set_fusion_enabled:
    """Fuse neighbouring operations or not: from the call on, or to the end of a ``with`` block."""

    def __init__(self, mode: bool) -> None:
        self._mode = bool(mode)
        self._before = switch.on
        switch.on = self._mode

    def __enter__(self) -> None:
        switch.on = self._mode

    def __exit__(self, *exc: object) -> None:
        switch.on = self._before


def is_fusion_enabled() -> bool:
    """Whether neighbouring operations are fused."""
    return switch.on


@contextmanager
def fused_operations() -> Iterator[list[str]]:
    """Collect what is fused inside a ``with`` block: ``["conv2d+relu", ...]``."""
    before, switch.seen = switch.seen, []
    try:
        yield switch.seen
    finally:
        switch.seen = before


def _note(name: str) -> None:
    if switch.seen is not None:
        switch.seen.append(name)


# -- forwards ------------------------------------------------------------------------------------


def _kind(name: str, kernel: Callable[[Any, Epilogue], Array], **takes: bool) -> Kind:
    def run(arguments: Any, epilogue: Epilogue) -> Array:
        if switch.seen is not None and epilogue is not NOTHING:
            steps = ("scale_shift", epilogue.scale), ("add", epilogue.add)
            names = [name, *(step for step, array in steps if array is not None)]
            _note("+".join([*names, "relu"] if epilogue.relu else names))
        return kernel(arguments, epilogue)

    return Kind(name, run, **takes)


CONV2D = _kind(
    "conv2d",
    lambda a, e: kernels.conv2d(*a, e),  # type: ignore[call-arg]
    scales=True,
    adds=True,
)
LINEAR = _kind(
    "linear",
    lambda a, e: kernels.linear(*a, e.relu),  # type: ignore[call-arg]
    scales=False,
    adds=False,
)
NORMALISE = _kind(
    "batch_norm",
    lambda a, e: kernels.normalise(*a, e.add, e.relu),  # type: ignore[call-arg]
    scales=False,
    adds=True,
)
SCALE_SHIFT = _kind(
    "scale_shift",
    lambda a, e: kernels.scale_shift(*a, e.add, e.relu),  # type: ignore[call-arg]
    scales=False,
    adds=True,
)

Result = tuple[Any, Any]
"""What an op gives: a value (an array, or one that is pending) and what it kept beside it."""


def _value(x: Any) -> Any:
    """x, or the array that the pending x stands for."""
    return x.value() if type(x) is Pending else x


def _now(op: Op, values: Sequence[Any]) -> Result:
    """The call as it is without fusion."""
    return op.compute([*map(_value, values)])


def _conv2d(op: Op, values: Sequence[Any], wanted: Sequence[int]) -> Result:
    x, weight, bias, stride, padding, dilation, groups = values
    if x.dtype not in FLOATS:
        return _now(op, values)
    shape = conv_shape(x.shape, weight.shape, stride, padding, dilation)
    x = _value(x)
    arguments = (x, weight, bias, stride, padding, dilation, groups)
    return Pending(CONV2D, arguments, shape, x.dtype), None


def _linear(op: Op, values: Sequence[Any], wanted: Sequence[int]) -> Result:
    x, weight, bias = values
    if x.ndim != 2 or x.dtype not in FLOATS:
        return _now(op, values)
    check_linear(x, weight, bias)
    x = _value(x)
    return Pending(LINEAR, (x, weight, bias), (len(x), len(weight)), x.dtype), None


def _batch_norm(op: Op, values: Sequence[Any], wanted: Sequence[int]) -> Result:
    x, weight, bias, eps = values
    if x.dtype not in FLOATS:
        return _now(op, values)
    if type(x) is Pending and x.kind is CONV2D and x.epilogue is NOTHING:
        y, mean, var = kernels.conv2d_moments(*x.arguments)
        x.settle(y)
        _note("conv2d+moments")
    else:
        mean, var = kernels.moments(_value(x))
    x = _value(x)
    return Pending(NORMALISE, (x, mean, var, weight, bias, eps), x.shape, x.dtype), (mean, var)


def _batch_norm_inference(op: Op, values: Sequence[Any], wanted: Sequence[int]) -> Result:
    x, weight, bias, mean, var, eps = values
    scale, shift, inverse = kernels.scale_and_shift(mean, var, weight, bias, eps)
    if x.dtype not in FLOATS or not x.dtype == scale.dtype == shift.dtype:
        return _now(op, values)
    kept = (mean.copy(), inverse) if wanted else None
    # the gradient of weight needs x, which then may as well be stored
    if type(x) is Pending and x.takes_scale and op.position["weight"] not in wanted:
        return x.scaled(scale, shift), kept
    x = _value(x)
    return Pending(SCALE_SHIFT, (x, scale, shift), x.shape, x.dtype), kept


def _add(op: Op, values: Sequence[Any], wanted: Sequence[int]) -> Result:
    a, b, alpha = values
    for one, other in ((a, b), (b, a)):
        if (
            type(one) is Pending
            and one.takes_add
            and isinstance(other, np.ndarray | Pending)
            and (one.shape, one.dtype, alpha) == (other.shape, other.dtype, 1)
        ):
            return one.plus(_value(other)), None
    return _now(op, values)


def _relu(op: Op, values: Sequence[Any], wanted: Sequence[int]) -> Result:
    (x,) = values
    return (x.rectified(), None) if type(x) is Pending else op.compute(values)


for _op, _rule in {
    conv2d_op: _conv2d,
    linear: _linear,
    batch_norm_training: _batch_norm,
    batch_norm_inference: _batch_norm_inference,
    add: _add,
    relu: _relu,
}.items():
    _op.fusion = _rule
    _op.begins_fusion = _op not in (add, relu)  # these only go on


# -- backwards -----------------------------------------------------------------------------------


class Node(Protocol):
    """What is used here of `chainrule.autograd.graph.Node`."""

    op: Op
    pullback: Any
    edges: list[Any]

    def unpack(self, as_variables: bool) -> list[Any]:
        """The arrays that were saved."""


Known = dict[Any, Any]
"""Results of VJPs that a fused kernel has computed, by formula."""

Fused = tuple[Array, Node, Known]
"""The gradient that goes to the next node; a node, that one or a later one, and what is known
of it."""


def _saved(node: Node) -> dict[str, Any]:
    names = [keep.name for keep in node.pullback.keeps]
    return dict(zip(names, node.unpack(False), strict=True))


def _relu_of_batch_norm(g: Array, y: Array, norm: Node, is_free: Callable[..., bool]) -> Fused:
    s = _saved(norm)
    mean, var = s["aux"]
    grads = kernels.batch_norm_relu_backward(g, s["x"], s["weight"], s["bias"], mean, var, s["eps"])
    _note("relu+batch_norm backward")
    return g, norm, {batch_norm_vjp: grads}


def _relu_of_sum(g: Array, y: Array, total: Node, is_free: Callable[..., bool]) -> Fused | None:
    if any(keep.name != "alpha" for keep in total.pullback.keeps):  # it did broadcast, or promote
        return None
    for norm in total.edges:
        if is_free(norm) and norm.op is batch_norm_training:
            s = _saved(norm)
            mean, var = s["aux"]
            *grads, masked = kernels.batch_norm_add_relu_backward(
                g, y, s["x"], s["weight"], mean, var, s["eps"]
            )
            _note("relu+add+batch_norm backward")
            return masked, norm, {batch_norm_vjp: grads}
    return None


def _relu_of_bias(g: Array, y: Array, layer: Node, is_free: Callable[..., bool]) -> Fused | None:
    bias = layer.op.vjps["bias"].function
    # The kernel sums over all axes but the second, which is where these have their outputs.
    if g.ndim != (4 if layer.op is conv2d_op else 2):
        return None
    if all(step.function is not bias for step in layer.pullback.steps):
        return None
    masked, dbias = kernels.relu_bias_backward(g, y)
    _note(f"relu+{layer.op.name} backward")
    return masked, layer, {bias: dbias}


BEHIND_RELU: dict[Op, Callable[..., Fused | None]] = {
    batch_norm_training: _relu_of_batch_norm,
    add: _relu_of_sum,
    conv2d_op: _relu_of_bias,
    linear: _relu_of_bias,
}


def fused_gradients(node: Node, g: Array, is_free: Callable[..., bool]) -> Fused | None:
    """The gradients of ``node``, a ReLU, and of its input's node, from one kernel; None: apart.

    is_free(edge): whether that edge is a node whose gradient comes from one place alone and
    is seen by nobody else.
    """
    behind = node.edges[0]
    if not is_free(behind) or behind.op not in BEHIND_RELU:
        return None
    return BEHIND_RELU[behind.op](g, _saved(node)["y"], behind, is_free)
