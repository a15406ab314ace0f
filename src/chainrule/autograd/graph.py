"""The computational graph: what is recorded when an op meets a value that needs a gradient.

The graph is held by its results. A `Variable` that was computed points at the `Node` of the
op that made it; a node points at the nodes (or leaf variables) its inputs came from, and
keeps what the op's VJP will need. Nothing points forward, so a graph that nobody looks at
any more is freed at once.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np

from chainrule.autograd.fusion import switch
from chainrule.autograd.hooks import Hook, Hooks, RemovableHandle, hooks_of
from chainrule.autograd.pending import Pending, watch
from chainrule.errors import DTypeError, GraphError
from chainrule.ops.op import Op, Pullback, Recorded

creation_order = itertools.count()
"""Numbers the nodes: a node is always younger than those its inputs came from."""
_new = object.__new__


class _GradMode(threading.local):
    enabled = True


grad_mode = _GradMode()


class Version:
    """Counts the changes in place of one piece of memory; shared by all variables over it."""

    # On the class, so that a new one, which most stay, sets nothing.
    count = 0
    sharers: list[weakref.ref[Variable]] | None = None  # of a view op: base and results
    outside: list[weakref.ref[Variable]] | None = None  # detached ones, and views of these
    sweep_at = 16
    is_visible = False  # whether NumPy arrays outside may show the memory, and change it

    def add_sharer(self, v: Variable) -> None:
        """Remember that ``v`` shows this memory to the graph."""
        if self.sharers is None:
            self.sharers = []
        self._remember(self.sharers, v)

    def add_outside(self, v: Variable) -> None:
        """Remember that ``v`` shows this memory, but left the graph."""
        if self.outside is None:
            self.outside = []
        self._remember(self.outside, v)

    def _remember(self, those: list[weakref.ref[Variable]], v: Variable) -> None:
        if len(those) >= self.sweep_at:  # doubling: many views cost no more than few
            those[:] = [r for r in those if r() is not None]
            self.sweep_at = max(16, 2 * len(those))
        those.append(weakref.ref(v))

    def is_outside(self, v: Variable) -> bool:
        """Whether ``v`` was detached, or is a view of one that was."""
        return any(r() is v for r in self.outside or ())


class Variable(Recorded):
    """An array, and where it came from. `chainrule.Tensor` adds the vocabulary to it."""

    __slots__ = ("__weakref__", "_grad", "array", "hooks", "node", "version", "wanted")

    concrete: ClassVar[type[Variable]]
    """The class of results: the one subclass users see (tensor.py sets it)."""

    late: ClassVar[type[Any]]
    """The class of results that are computed when they are read: `Late` ones of the former."""

    array: np.ndarray[Any, Any]
    node: Node | None  # the op call that made it; None for a leaf
    wanted: bool  # whether it requires grad
    version: Version
    _grad: Variable | None
    hooks: Hooks | None  # of a leaf; those of a result lie in its node

    @staticmethod
    def of(array: Any, node: Node | None = None) -> Any:
        """A new result around ``array``."""
        v = _new(Variable.concrete)
        v.array = array if type(array) is np.ndarray else np.asarray(array)
        v.node = node
        v.wanted = node is not None
        v.version = Version()
        v._grad = None
        v.hooks = None
        return v

    @staticmethod
    def of_pending(pending: Pending) -> Any:
        """A new result that is computed when it is read."""
        v = _new(Variable.late)
        v.pending = pending
        v.node = None
        v.wanted = False
        v.version = Version()
        v._grad = None
        v.hooks = None
        watch(v)
        return v

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded; may be set for leaves, of floats only."""
        return self.wanted

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and self.array.dtype.kind != "f":
            raise DTypeError(
                f"requires_grad: only float tensors have gradients, this is {self.array.dtype}"
            )
        if self.node is not None and not wanted:
            raise GraphError("requires_grad: only a leaf can be switched off; use .detach()")
        self.wanted = bool(wanted)

    def edge(self) -> Node | Variable:
        """Where this variable's gradient goes: to the node that made it, or to the leaf."""
        return self.node if self.node is not None else self

    def __apply_op__(self, op: Op, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Compute ``op`` on the arrays of ``args``; where a gradient is wanted, add a node."""
        if op.fusion is not None and switch.on and (op.begins_fusion or _any_late(args)):
            return _apply_fusing(op, args)
        inputs = args[0] if op.is_variadic else args
        arrays = [a.array if isinstance(a, Variable) else a for a in inputs]
        wanted = _wanted(op, inputs) if grad_mode.enabled else ()
        y, aux = op.compute((arrays, *args[1:]) if op.is_variadic else arrays)
        result: Variable = Variable.of(y)
        if op.is_view:
            _note_shared_memory(result, args[0])
        y = result.array
        if wanted and y.dtype.kind == "f":
            _record(op, args, inputs, arrays, wanted, y, result, aux)
        return result, aux


def _wanted(op: Op, inputs: Sequence[Any]) -> tuple[int, ...]:
    """Positions of the inputs whose gradient is wanted."""
    if op.is_variadic:
        return tuple([i for i, a in enumerate(inputs) if isinstance(a, Variable) and a.wanted])
    wanted: tuple[int, ...] = ()
    for i in op.inputs:
        a = inputs[i]
        if isinstance(a, Variable) and a.wanted:
            wanted += (i,)
    return wanted


def _record(
    op: Op, args: tuple[Any, ...], inputs: Sequence[Any], values: Sequence[Any],
    wanted: tuple[int, ...], y: Any, result: Variable, aux: Any,
) -> None:  # fmt: skip
    """Give ``result`` the node of this call. values, y: arrays, or calls that are pending."""
    pullback = op.pullback(wanted, values, y)
    saved = [
        args[i] if what == "argument" and not isinstance(args[i], Variable)
        else _save(op, what, i, args, values, result, aux)
        for _, what, i in pullback.keeps
    ]  # fmt: skip
    edges = []
    for i in wanted:
        v = inputs[i]
        node = v.node
        if node is None:
            edges.append(v)
        else:
            node.uses += 1
            edges.append(node)
    result.node = _make_node(op, pullback, edges, saved)
    result.wanted = True


def record(op: Op, args: tuple[Any, ...], result: Variable) -> None:
    """Give ``result`` the node of a call op(*args) whose values it holds already.

    The op is not run: it keeps nothing (no aux), and is not variadic.
    """
    arrays = [a.array if isinstance(a, Variable) else a for a in args]
    wanted = _wanted(op, args)
    if wanted:
        before = result.node
        _record(op, args, args, arrays, wanted, result.array, result, None)
        retain_instead(result, before)


def retain_instead(v: Variable, before: Node | None) -> None:
    """``v`` was the result of the node ``before`` and has another now: if its gradient is wanted
    in ``.grad``, it is that of what v holds now."""
    if before is not None and before.retain is not None and before.retain() is v:
        before.retain = None
        if v.node is not None:
            v.node.retain = weakref.ref(v)


def _any_late(args: tuple[Any, ...]) -> bool:
    return Variable.late in map(type, args)


def _apply_fusing(op: Op, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """As ``__apply_op__``, for an op that may put its kernel off or go on from one put off."""
    late: Any = Variable.late
    values = list(args)  # arrays, or the calls that will compute them
    visible = []  # those that may change and the graph would not see it
    for i, a in enumerate(args):
        if type(a) is late and a.pending.computed is None:
            values[i] = a.pending
        elif isinstance(a, Variable):
            values[i] = a.array
            if a.version.is_visible:
                visible.append(a.array)
        elif isinstance(a, np.ndarray):
            visible.append(a)
    wanted = _wanted(op, args) if grad_mode.enabled else ()
    y, aux = op.fusion(op, values, wanted)  # type: ignore[misc]  # it is not None
    if visible and type(y) is Pending:
        y = y.secured(visible)
    result: Variable = Variable.of_pending(y) if type(y) is Pending else Variable.of(y)
    if wanted:
        _record(op, args, args, values, wanted, y, result, aux)
    return result, aux


class Saved:
    """An array kept for the backward pass, and how to tell that it was changed since."""

    __slots__ = ("array", "count", "edge", "version")

    def __init__(self, v: Variable, edge: Node | Variable | None) -> None:
        self.array = v.array
        self.edge = edge
        self.version = v.version
        self.count = v.version.count

    def as_variable(self, node: Node) -> Variable:
        """The variable again, attached to the graph it belonged to (``node`` if its own)."""
        edge = node if self.edge is _OWN_RESULT else self.edge
        if isinstance(edge, Variable):
            return edge
        v: Variable = Variable.of(self.array, edge)
        v.version = self.version
        return v


_OWN_RESULT: Any = object()
"""Edge of a node's own saved result: naming the node itself would make a reference cycle,
and memory would wait for the garbage collector."""


class Node:
    """One call of an op: where its inputs came from, and what its VJPs need."""

    __slots__ = (
        "__weakref__", "edges", "hooks", "op", "order", "pullback", "retain", "saved", "uses",
    )  # fmt: skip

    def __init__(
        self, op: Op, pullback: Pullback, edges: list[Node | Variable], saved: list[Any]
    ) -> None:
        self.op = op
        self.pullback = pullback
        self.edges = edges
        self.saved: list[Any] | None = saved
        self.order = next(creation_order)  # a node is always younger than its inputs
        self.uses = 0  # how many nodes were made of its result
        self.hooks: Hooks | None = None
        self.retain: Any = None  # weak reference to a variable whose .grad is wanted

    def name(self) -> str:
        """The op's name in PyTorch's manner: ``AddBackward``."""
        parts = self.op.name.split("_")
        return "".join(part[:1].upper() + part[1:] for part in parts) + "Backward"

    @property
    def next_functions(self) -> tuple[tuple[Node | AccumulateGrad, int], ...]:
        """Where the gradients of those inputs go that need one; of a leaf: to its ``.grad``."""
        edges = self.edges
        return tuple([(e if isinstance(e, Node) else AccumulateGrad(e), 0) for e in edges])

    def register_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after the VJPs have run.

        Both are tuples; grad_inputs has an element for each of ``next_functions`` (None where
        nothing was computed). A tuple that the hook returns replaces grad_inputs.
        """
        return RemovableHandle(hooks_of(self).after, hook)

    def register_prehook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(grad_outputs)``, a tuple, before the VJPs run; a tuple replaces it."""
        return RemovableHandle(hooks_of(self).before, hook)

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    def unpack(self, as_variables: bool) -> list[Any]:
        """What was saved: arrays, or variables for a gradient that is itself recorded."""
        if self.saved is None:
            raise GraphError(
                f"the graph of {self.op.name} has been freed by an earlier backward pass; "
                "pass retain_graph=True to the first one to go through it twice"
            )
        values = []
        for s in self.saved:
            if type(s) is Saved:
                if s.version.count != s.count:
                    self._complain_of_change(s)
                values.append(s.as_variable(self) if as_variables else s.array)
            else:
                values.append(s)
        return values

    def _complain_of_change(self, changed: Saved) -> None:
        assert self.saved is not None
        name = self.pullback.keeps[[s is changed for s in self.saved].index(True)].name
        raise GraphError(
            f"{self.op.name} needs its '{name}' for the gradient, but it was changed in place "
            f"after it was saved (version {changed.version.count}, expected {changed.count})\n"
            f"  '{name}' {changed.array.shape}; use an operation that makes a new tensor, or "
            "change a .clone()"
        )


class AccumulateGrad:
    """Where a leaf's gradient goes, as ``next_functions`` shows it: ``variable.grad += g``."""

    __slots__ = ("variable",)
    next_functions = ()

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def name(self) -> str:
        """``AccumulateGrad``."""
        return "AccumulateGrad"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self) -> int:
        return hash((AccumulateGrad, id(self.variable)))

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def _note_shared_memory(view: Variable, base: Any) -> None:
    """A change in place of the one is a change of the other: let them count together."""
    if isinstance(base, Variable) and np.may_share_memory(view.array, base.array):
        version = view.version = base.version
        if version.outside is not None and version.is_outside(base):
            version.add_outside(view)
            return
        if version.sharers is None:
            version.add_sharer(base)
        version.add_sharer(view)


def _save(
    op: Op, what: str, i: int, args: tuple[Any, ...], arrays: Sequence[Any],
    result: Variable, aux: Any,
) -> Any:  # fmt: skip
    """What a VJP will be given for a `Keep` (see `chainrule.ops.op`), if no mere setting."""
    if what == "argument":
        v = args[i]
        edge = v.node
        return Saved(v, v if edge is None and v.wanted else edge)
    if what == "y":
        return Saved(result, _OWN_RESULT)
    if what == "aux":
        return aux
    if op.is_variadic and i == 0:
        return tuple(getattr(a, what) for a in arrays)
    return getattr(arrays[i], what)


# -- keeping what is saved in another way --------------------------------------------------------


class _Packers(threading.local):
    def __init__(self) -> None:
        self.stack: list[saved_tensors_hooks] = []
        self.refusal: str | None = None  # why none may be used


_packers = _Packers()
_packing_blocks = 0  # in all threads
_make_node: Callable[..., Node] = Node


class PackedSaved:
    """A tensor kept for the backward pass as the user's hook made it."""

    __slots__ = ("edge", "kept", "unpack")

    def __init__(self, saved: Saved, hooks: saved_tensors_hooks) -> None:
        self.edge, self.unpack = saved.edge, hooks.unpack_hook
        self.kept = _apart(hooks.pack_hook, Variable.of(saved.array))

    def unpacked(self) -> Saved:
        """The tensor again."""
        v = _apart(self.unpack, self.kept)
        if not isinstance(v, Variable):
            raise GraphError(
                f"saved_tensors_hooks: unpack_hook must return a tensor, got {type(v).__name__}"
            )
        return Saved(v, self.edge)


def _apart(hook: Hook, value: Any) -> Any:
    """Call a hook; what it computes is not recorded, and nothing of it packed."""
    before, stack = grad_mode.enabled, _packers.stack
    grad_mode.enabled, _packers.stack = False, []
    try:
        return hook(value)
    finally:
        grad_mode.enabled, _packers.stack = before, stack


def packed(saved: Any) -> Any:
    """What a node keeps, packed by the innermost hooks if there are any."""
    stack = _packers.stack
    return PackedSaved(saved, stack[-1]) if stack and type(saved) is Saved else saved


class _Unpacking(list[Any]):
    """What a node kept; each time it is gone through, the tensors are unpacked."""

    def __iter__(self) -> Iterator[Any]:
        return (s.unpacked() if type(s) is PackedSaved else s for s in super().__iter__())


def _make_packing_node(op: Op, pullback: Pullback, edges: Any, saved: list[Any]) -> Node:
    if not _packers.stack:  # another thread's block
        return Node(op, pullback, edges, saved)
    return Node(op, pullback, edges, _Unpacking(map(packed, saved)))


class saved_tensors_hooks:
    """Inside, ``pack_hook(tensor)`` says what is kept of each tensor that a gradient will need,
    and ``unpack_hook`` gives the tensor back: to compress it, or keep it on a disk.

    Neither is recorded; the tensor that is packed must not be changed. Plain arrays that an
    operation keeps beside its arguments and result (which maximum won, the mask of a dropout) are
    not shown to them.
    """

    def __init__(self, pack_hook: Hook, unpack_hook: Hook) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> Self:
        global _make_node, _packing_blocks
        if _packers.refusal is not None:
            raise GraphError(_packers.refusal)
        _packers.stack.append(self)
        _packing_blocks += 1
        _make_node = _make_packing_node
        return self

    def __exit__(self, *exc: object) -> None:
        global _make_node, _packing_blocks
        _packers.stack.pop()
        _packing_blocks -= 1
        if not _packing_blocks:
            _make_node = Node


class save_on_cpu(saved_tensors_hooks):
    """Accepted: the CPU is where everything is saved."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, `saved_tensors_hooks` raise GraphError with this message."""
    before, _packers.refusal = _packers.refusal, error_message
    try:
        yield
    finally:
        _packers.refusal = before
