"""Operations of the user's own, written the way PyTorch has them: `Function`.

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):                  # dL/dx = g · dy/dx
            (x,) = ctx.saved_tensors
            return g * 3 * x**2

    y = Cube.apply(x)

Where there is no need to follow PyTorch, `chainrule.ops.op` does the same in fewer lines and is
how the package's own operations are made.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from chainrule.autograd.anomaly import look_at_call
from chainrule.autograd.engine import Bundle
from chainrule.autograd.graph import (
    Node,
    PackedSaved,
    Saved,
    Variable,
    grad_mode,
    packed,
)
from chainrule.autograd.hooks import module_calls
from chainrule.autograd.mode import no_grad
from chainrule.errors import GraphError, ShapeError
from chainrule.ops.elementwise import cast, sum_to
from chainrule.ops.op import Op, Pullback, Step

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What one call of a `Function` remembers from forward to backward.

    Beside what the methods set, any attribute may be set; tensors belong in
    `save_for_backward`, which keeps no cycle alive and notices changes in place.
    """

    needs_input_grad: tuple[bool, ...] = ()
    """For each argument of forward, whether its gradient is wanted."""

    _saved: tuple[Any, ...] = ()  # variables during forward, afterwards Saved ones
    _in_forward = True
    _unused: tuple[Any, ...] = ()  # outputs marked as not differentiable
    _dirty: tuple[Any, ...] = ()
    _materializes = True
    _function: type[Function]
    _node: weakref.ref[Node] | None = None  # of the call; the node holds this object
    _results: list[_Result]
    _inputs: list[tuple[Any, Any] | None]  # shape and dtype of the arguments that are tensors

    def _hub(self) -> Node | None:
        """The node of the call, while there is one."""
        return None if self._node is None else self._node()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep these tensors (or None) for backward, which finds them in `saved_tensors`."""
        for t in tensors:
            if not isinstance(t, Variable | None):
                raise GraphError(
                    f"save_for_backward: takes tensors and None, got {type(t).__name__}; "
                    "set other values as attributes of ctx"
                )
        self._saved = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Accepted; only forward-mode differentiation, which chainrule has not, would use it."""

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given, each tensor with its place in the graph."""
        if self._in_forward:
            return self._saved
        pairs = enumerate(self._saved)
        return tuple([None if s is None else self._restored(i, s) for i, s in pairs])

    def _restored(self, i: int, saved: Any) -> Variable:
        if type(saved) is PackedSaved:
            saved = saved.unpacked()
            if not grad_mode.enabled:  # its values are all that is wanted
                return Variable.of(saved.array)
        if saved.version.count != saved.count:
            raise GraphError(
                f"{self._function.__name__}: saved_tensors[{i}] {saved.array.shape} was changed in "
                f"place after it was saved (version {saved.version.count}, expected "
                f"{saved.count}); save a .clone()"
            )
        if type(saved.edge) is _Result:
            v: Variable = Variable.of(saved.array, saved.edge.node_now(self))
            v.version = saved.version
            return v
        return saved.as_variable(None)

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """These outputs do not require grad (integers never do)."""
        self._unused = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        """These inputs were changed in place by forward, which must return them."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """True: backward gets zeros for outputs that nothing was computed from; else None."""
        self._materializes = bool(value)


class _Result:
    """One output of a call: its place, and how to make the gradient of one that was not used."""

    def __init__(self, index: int, count: int, value: Any) -> None:
        self.index, self.count = index, count
        self.is_tensor = isinstance(value, Variable)
        self.shape: Any = value.shape if self.is_tensor else ()
        self.dtype: Any = value.dtype if self.is_tensor else None
        self.node: weakref.ref[Node] | None = None

    def made_node(self, hub: Node) -> Node:
        """The node of this output; of a call with one output the call's own."""
        node = hub if self.count == 1 else Node(_RESULT, _SEND, [hub], [self.index, self.count])
        hub.uses += node is not hub
        self.node = weakref.ref(node)
        return node

    def node_now(self, ctx: FunctionCtx) -> Node | None:
        """The same later; made anew if the output itself was dropped. None: not differentiable."""
        if self.node is None:
            return None
        hub = ctx._hub()
        assert hub is not None  # it is running
        return self.node() or self.made_node(hub)


class _FunctionOp(Op):
    """What a node needs to know of its op, for calls of a `Function`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_variadic = self.is_view = False
        self.fusion, self.begins_fusion = None, False
        self.vjps = {}
        self.parameters = ()

    def __repr__(self) -> str:
        return f"<function {self.name}>"


def _send(g: Any, index: int, count: int) -> Bundle:
    """The gradient of one output, on its way to the call's node."""
    grads: list[Any] = [None] * count
    grads[index] = g
    return Bundle(grads)


_RESULT = _FunctionOp("result")
_SEND = Pullback((), (Step(_send, None, 0),))


class Function:
    """Base of differentiable operations that give forward and backward; call ``apply``.

    ``forward(ctx, *args)`` computes with tensors, unrecorded. ``backward(ctx, *grads)`` gets
    dL/d(output) for each output and returns dL/d(argument) for each argument (None for what has
    no gradient); it is recorded where a second derivative is wanted. Instead of taking ctx,
    forward may leave it to ``setup_context(ctx, inputs, output)``.
    Raises GraphError or ShapeError where backward returns what does not fit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise GraphError(
            f"{type(self).__name__}: functions have no instances; make forward and backward "
            f"static methods and call {type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The operation itself: (ctx, *args), or (*args) if there is a setup_context."""
        raise NotImplementedError("a Function must define the static method forward")

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what backward needs, after forward."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments."""
        raise NotImplementedError(
            f"{ctx._function.__name__} must define the static method backward (or vjp)"
        )

    vjp = backward
    """Another name for backward."""

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the operation and record it."""
        ctx = FunctionCtx()
        ctx._function = cls
        apart = cls.setup_context is not Function.setup_context
        if apart:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        elif kwargs:
            raise TypeError(f"{cls.__name__}.apply() takes no keyword arguments")
        needs = tuple([isinstance(a, Variable) and a.requires_grad for a in args])
        ctx.needs_input_grad = needs
        with no_grad():
            if apart:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        outputs = list(output) if isinstance(output, tuple) else [output]
        made = _recorded(ctx, args, outputs)
        if module_calls.anomaly:
            look_at_call(_op_of(cls), args, made, node=ctx._hub())
        return tuple(made) if isinstance(output, tuple) else made[0]


def _recorded(ctx: FunctionCtx, args: tuple[Any, ...], outputs: list[Any]) -> list[Any]:
    """The outputs, with nodes where a gradient is wanted."""
    wanted = grad_mode.enabled and any(ctx.needs_input_grad)
    _check_dirty(ctx, args, outputs, wanted)
    results = [_Result(i, len(outputs), y) for i, y in enumerate(outputs)]
    hub = _node_of_call(ctx, args) if wanted else None
    made = []
    y: Any
    for y, result in zip(outputs, results, strict=True):
        differentiable = (
            hub is not None
            and isinstance(y, Variable)
            and result.dtype.kind == "f"
            and not _is_among(y, ctx._unused)
        )
        dirty = _is_among(y, ctx._dirty)
        if isinstance(y, Variable) and not dirty and (y.wanted or _is_among(y, args)):
            y = _alias(y)
        if differentiable:
            y.node, y.wanted = result.made_node(hub), True  # type: ignore[arg-type]
        made.append(y)
    saved = [_saved(t, args, outputs, results) for t in ctx._saved] if wanted else []
    ctx._saved = tuple(map(packed, saved))
    ctx._unused = ctx._dirty = ()
    ctx._in_forward = False
    ctx._results = results
    return made


def _is_among(x: Any, others: Sequence[Any]) -> bool:
    return any(x is other for other in others)


def _alias(v: Variable) -> Variable:
    """Another variable over the same memory, outside the graph."""
    made: Variable = Variable.of(v.array)
    made.version = v.version
    return made


def _check_dirty(ctx: FunctionCtx, args: Any, outputs: list[Any], wanted: bool) -> None:
    for x in ctx._dirty:
        if not _is_among(x, args) or not _is_among(x, outputs):
            raise GraphError(
                f"{ctx._function.__name__}: mark_dirty takes inputs of forward that it also returns"
            )
        if wanted and x.wanted and x.node is None:
            raise GraphError(
                f"{ctx._function.__name__}: it changes a leaf that requires grad in place, and the "
                "graph would lose its value; pass a .clone()"
            )
        x.version.count += 1


def _op_of(function: type[Function]) -> _FunctionOp:
    if "_op" not in function.__dict__:  # not that of its base
        function._op = _FunctionOp(function.__name__)  # type: ignore[attr-defined]
    return function._op  # type: ignore[attr-defined]


def _node_of_call(ctx: FunctionCtx, args: tuple[Any, ...]) -> Node:
    edges = [a.edge() for a, needed in zip(args, ctx.needs_input_grad, strict=True) if needed]
    for edge in edges:
        if isinstance(edge, Node):
            edge.uses += 1
    tensors: list[Any] = [a if isinstance(a, Variable) else None for a in args]
    ctx._inputs = [None if t is None else (t.shape, t.dtype) for t in tensors]
    steps = (Step(_run_backward, None, tuple(range(len(edges)))),)
    node = Node(_op_of(ctx._function), Pullback((), steps), edges, [ctx])
    ctx._node = weakref.ref(node)
    return node


def _saved(t: Any, args: Any, outputs: list[Any], results: list[_Result]) -> Saved | None:
    """A tensor that was saved, without the cycle that holding an output would make."""
    if t is None:
        return None
    for y, result in zip(outputs, results, strict=True):
        if y is t:
            saved = Saved(t, None)
            saved.edge = result  # type: ignore[assignment]
            return saved
    return Saved(t, t.edge() if t.wanted else None)


def _run_backward(g: Any, ctx: FunctionCtx) -> list[Any]:
    """The VJP of a call: the user's backward, checked."""
    given = [g] if type(g) is not Bundle else g.grads
    grads = []
    for d, result in zip(given, ctx._results, strict=True):
        if d is None and ctx._materializes and result.is_tensor:
            d = np.zeros(result.shape, result.dtype)
        grads.append(d if d is None or isinstance(d, Variable) else Variable.of(d))
    cls = ctx._function
    backward = cls.backward if cls.backward is not Function.backward else cls.vjp
    returned = backward(ctx, *grads)
    returned = list(returned) if isinstance(returned, tuple | list) else [returned]
    needs = ctx.needs_input_grad
    extra = returned[len(needs) :]
    if len(returned) < len(needs) or any(d is not None for d in extra):
        raise GraphError(
            f"{cls.__name__}.backward returned {len(returned)} gradients, but forward takes "
            f"{len(needs)} arguments; return one for each, None where there is none"
        )
    for i, (t, d) in enumerate(zip(ctx._inputs, returned, strict=False)):
        if t is None and d is not None:
            raise GraphError(
                f"{cls.__name__}.backward returned a gradient for argument {i}, which is no "
                "tensor; return None for it"
            )
    pairs = enumerate(zip(needs, returned[: len(needs)], strict=True))
    return [_checked(ctx, i, d) for i, (needed, d) in pairs if needed]


def _checked(ctx: FunctionCtx, i: int, d: Any) -> Any:
    """A gradient that backward returned for argument ``i``, as the engine takes it."""
    if d is None:
        return None
    shape, dtype = ctx._inputs[i]  # type: ignore[misc]  # it needed a gradient: a tensor
    if not isinstance(d, Variable):
        raise GraphError(
            f"{ctx._function.__name__}.backward returned a {type(d).__name__} for argument {i}; "
            "return tensors or None"
        )
    d = d if d.array.dtype == dtype else cast(d, dtype)
    if tuple(d.shape) != tuple(shape):
        if not _broadcasts(tuple(shape), tuple(d.shape)):
            raise ShapeError(
                f"{ctx._function.__name__}.backward returned a gradient {tuple(d.shape)} for "
                f"argument {i} {tuple(shape)}"
            )
        d = sum_to(d, tuple(shape))
    if grad_mode.enabled:
        return d
    array = d.array.view()
    array.flags.writeable = False  # the user may hold it: nobody is to add to it
    return array


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    ends = to[len(to) - len(shape) :] if len(to) >= len(shape) else ()
    return len(ends) == len(shape) and all(n in (1, m) for n, m in zip(shape, ends, strict=True))


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a backward that cannot be differentiated itself; trying to is then an error."""

    @functools.wraps(backward)
    def wrapped(ctx: FunctionCtx, *grads: Any) -> Any:
        with no_grad():
            returned = backward(ctx, *grads)
        if not grad_mode.enabled:
            return returned
        outputs = returned if isinstance(returned, tuple) else (returned,)
        name = ctx._function.__name__
        hub = ctx._hub()
        edges = [] if hub is None else hub.edges  # so that who looks for these finds the refusal
        return tuple([_refusing(d, name, edges) if isinstance(d, Variable) else d for d in outputs])

    return wrapped


def _refusing(v: Variable, name: str, edges: list[Any]) -> Variable:
    """The same values; differentiating them raises."""

    def refuse(g: Any) -> NoReturn:
        raise GraphError(
            f"{name}.backward is marked @once_differentiable, so there is no second derivative"
        )

    made = _alias(v)
    made.node = Node(_FunctionOp(name), Pullback((), (Step(refuse, None, ()),)), edges, [])
    made.wanted = True
    return made
