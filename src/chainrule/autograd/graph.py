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
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from chainrule.errors import GraphError
from chainrule.ops.op import Op, Pullback, Recorded

_creation_order = itertools.count()


class _GradMode(threading.local):
    enabled = True


grad_mode = _GradMode()


class Version:
    """Counts the changes in place of one piece of memory; shared by all variables over it."""

    __slots__ = ("count", "views")

    def __init__(self) -> None:
        self.count = 0
        self.views: list[weakref.ref[Variable]] | None = None  # results of view ops over it

    def add_view(self, v: Variable) -> None:
        """Remember that ``v`` shows this memory too."""
        self.views = [r for r in self.views or () if r() is not None]
        self.views.append(weakref.ref(v))

    def is_shared(self) -> bool:
        """Whether a view of the memory is alive."""
        return any(r() is not None for r in self.views or ())


class Variable(Recorded):
    """An array, and where it came from. `chainrule.Tensor` adds the vocabulary to it."""

    __slots__ = ("__weakref__", "_grad", "array", "hooks", "node", "requires_grad", "version")

    concrete: ClassVar[type[Variable]]
    """The class of results: the one subclass users see (tensor.py sets it)."""

    array: np.ndarray[Any, Any]
    node: Node | None  # the op call that made it; None for a leaf
    requires_grad: bool
    version: Version
    _grad: Variable | None
    hooks: dict[int, Callable[[Any], Any]] | None  # of a leaf; those of a result lie in its node

    @staticmethod
    def of(array: Any, node: Node | None = None) -> Any:
        """A new result around ``array``."""
        v = Variable.concrete.__new__(Variable.concrete)
        v.array = array if type(array) is np.ndarray else np.asarray(array)
        v.node = node
        v.requires_grad = node is not None
        v.version = Version()
        v._grad = None
        v.hooks = None
        return v

    def edge(self) -> Node | Variable:
        """Where this variable's gradient goes: to the node that made it, or to the leaf."""
        return self.node if self.node is not None else self

    def __apply_op__(self, op: Op, args: tuple[Any, ...]) -> tuple[Any, Any]:
        return record(op, args)


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
        "__weakref__", "aux", "dtype", "edges", "hooks", "op", "order", "pullback", "retain",
        "saved", "shape",
    )  # fmt: skip

    def __init__(
        self, op: Op, pullback: Pullback, edges: tuple[Node | Variable, ...], saved: list[Any]
    ) -> None:
        self.op = op
        self.pullback = pullback
        self.edges = edges
        self.saved: list[Any] | None = saved
        self.order = next(_creation_order)  # a node is always younger than its inputs
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.retain: Any = None  # weak reference to a variable whose .grad is wanted

    def name(self) -> str:
        """The op's name in PyTorch's manner: ``AddBackward``."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward"

    @property
    def next_functions(self) -> tuple[tuple[Node | Variable, int], ...]:
        """The nodes (and leaves) that the inputs came from."""
        return tuple((edge, 0) for edge in self.edges)

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
        for name, s in zip(self.pullback.saves, self.saved, strict=True):
            if type(s) is Saved:
                if s.version.count != s.count:
                    raise GraphError(
                        f"{self.op.name} needs its '{name}' for the gradient, but it was changed "
                        f"in place after it was saved (version {s.version.count}, "
                        f"expected {s.count})\n"
                        f"  '{name}' {s.array.shape}; use an operation that makes a new tensor, "
                        "or change a .clone()"
                    )
                values.append(s.as_variable(self) if as_variables else s.array)
            else:
                values.append(s)
        return values


def record(op: Op, args: tuple[Any, ...]) -> tuple[Variable, Any]:
    """Compute ``op`` on the arrays of ``args``; where a gradient is wanted, add a node."""
    inputs = args[0] if op.is_variadic else args
    arrays = [a.array if isinstance(a, Variable) else a for a in inputs]
    y, aux = op.compute((arrays, *args[1:]) if op.is_variadic else arrays)
    node = None
    if grad_mode.enabled:
        positions = range(len(inputs)) if op.is_variadic else op.inputs
        wanted = tuple(
            i for i in positions if isinstance(inputs[i], Variable) and inputs[i].requires_grad
        )
        if wanted and op.vjps:
            pullback = op.pullback(wanted)
            edges = tuple(inputs[i].edge() for i in wanted)
            node = Node(op, pullback, edges, [])
    result: Variable = Variable.of(y, node)
    first = args[0]
    if op.is_view and isinstance(first, Variable) and np.may_share_memory(y, first.array):
        result.version = first.version
        result.version.add_view(result)
    if node is not None:
        node.shape, node.dtype = result.array.shape, result.array.dtype
        node.saved = [_save(op, what, args, result, aux) for what in pullback.saves]
    return result, aux


def _save(op: Op, what: str, args: tuple[Any, ...], result: Variable, aux: Any) -> Any:
    """What a VJP calls ``what`` (see `chainrule.ops.op`)."""
    i = op.position.get(what)
    if i is not None:
        v = args[i]
        return Saved(v, v.edge() if v.requires_grad else None) if isinstance(v, Variable) else v
    if what == "y":
        return Saved(result, _OWN_RESULT)
    if what == "aux":
        return aux
    stem, _, attribute = what.rpartition("_")
    of = args[op.position[stem]]
    if op.is_variadic and op.position[stem] == 0:
        return tuple(getattr(a, attribute) for a in of)
    return getattr(of, attribute)


class RemovableHandle:
    """Returned by ``register_hook``; ``remove()`` takes the hook away again."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self._key = next(_creation_order)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
