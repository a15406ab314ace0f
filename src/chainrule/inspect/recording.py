"""What a model computes: every operation of one forward pass, in order.

The operations are noted where the graph records them, so it does not matter who calls them: a
layer, a function, an operator, a residual sum in some ``forward``. Nothing is fused meanwhile.

The pass runs on a copy of the model that shares its parameters; buffers, modes and plain
attributes are the copy's own, and the random streams are put back, so nothing is changed. A lazy
module gets its shapes in the copy alone. The inputs are made to require grad, so that whatever
depends on them is in the graph; what is kept for the backward pass is counted as if they did not.
"""

from __future__ import annotations

import copy
import random
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.autograd import enable_grad, set_fusion_enabled
from chainrule.autograd.graph import Node, Variable
from chainrule.autograd.hooks import RemovableHandle
from chainrule.errors import ChainruleError
from chainrule.nn import Module
from chainrule.nn.parameter import Parameter, is_lazy
from chainrule.ops.op import Op
from chainrule.random import default_generator
from chainrule.tensor import Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Source:
    """Where a value comes from. kind: "call" or "input" (by number), "parameter" or "buffer" (by
    name)."""

    kind: str
    key: Any


@dataclass(frozen=True)
class Value:
    """An argument or result, without its numbers. source None: a constant.

    trains: whether a training step computes its gradient.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    source: Source | None = None
    trains: bool = False

    @property
    def size(self) -> int:
        """How many numbers."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass
class Call:
    """One operation.

    path, module: in whose forward it ran, and of what class that module is. args: Values, lists
    of them, and settings as they are. wanted: the arguments (of a variadic op: the elements)
    whose gradients a training step computes. kept: (number, bytes) of the pieces of memory that
    the backward pass needs; the same number is the same memory. traced: False for a user's
    `Function` and the like, of which only the results are seen.
    """

    op: str
    path: str
    module: str
    args: tuple[Any, ...]
    result: Value
    parameters: tuple[str, ...] = ()
    wanted: tuple[int, ...] = ()
    kept: tuple[tuple[int, int], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    traced: bool = True

    @property
    def values(self) -> list[Value]:
        """The arguments that are tensors, those of a list among them."""
        found = []
        for a in self.args:
            found += [v for v in a if isinstance(v, Value)] if isinstance(a, list) else [a]
        return [v for v in found if isinstance(v, Value)]


@dataclass
class Recording:
    """A forward pass. inputs: what it was given; parameters: all of the model's, by name."""

    calls: list[Call]
    inputs: list[Value]
    parameters: dict[str, Value]
    trainable: frozenset[str]
    aliases: dict[str, str]
    """Other names of shared parameters, and the one that stands for them."""
    classes: dict[str, str]
    """Of the modules, by path."""


def record(model: Module, args: Sequence[Any], kwargs: dict[str, Any], training: bool) -> Recording:
    """Call a copy of the model, and note what it computes."""
    with _streams_put_back(), set_fusion_enabled(False), enable_grad():
        twin = _twin(model).train(training)
        recorder = _Recorder(twin)
        return recorder.run(args, kwargs)


def _twin(model: Module) -> Module:
    """A copy that shares what is trained."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for t in (*module._parameters.values(), *vars(module).values()):
            # a result that a module remembers (as weight norm does) cannot be copied
            if isinstance(t, Tensor) and not is_lazy(t) and (t.node or isinstance(t, Parameter)):
                memo[id(t)] = t
    return copy.deepcopy(model, memo)


@contextmanager
def _streams_put_back() -> Iterator[None]:
    """Random numbers go on afterwards as if none had been drawn."""
    own, pythons, numpys = default_generator.get_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        default_generator.set_state(own)
        random.setstate(pythons)
        np.random.set_state(numpys)


class _Memory:
    """Numbers the pieces of memory that arrays lie in, however many views there are."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, weakref.ref[Array]]] = {}
        self._count = 0

    def number(self, array: Array) -> tuple[int, int]:
        """(number, bytes) of the memory that holds an array."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        number, reference = self._known.get(id(array), (-1, None))
        if reference is None or reference() is not array:
            number, self._count = self._count, self._count + 1
            self._known[id(array)] = number, weakref.ref(array)
        return number, array.nbytes


class _Recorder:
    def __init__(self, model: Module) -> None:
        self.model = model
        self.calls: list[Call] = []
        self.memory = _Memory()
        self._nodes: dict[Node, Source] = {}
        self._arrays: dict[int, tuple[weakref.ref[Array], Source]] = {}
        self._leaves: dict[int, Source] = {}
        self._trains: dict[Source, bool] = {}
        self._weights: set[int] = set()  # the numbers of their memory
        self._stack: list[tuple[str, str]] = [("", type(model).__name__)]
        self._thread = threading.get_ident()
        self._made: list[tuple[Call, Node]] = []
        self._apply: Callable[..., Any] = Variable.__apply_op__

    # -- running -----------------------------------------------------------------------------

    def run(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Recording:
        """The recording of ``model(*args, **kwargs)``."""
        self._note_leaves()
        inputs: list[Value] = []
        given = [self._given(a, inputs) for a in args]
        named = {name: self._given(a, inputs) for name, a in kwargs.items()}
        with self._watching():
            try:
                self.model(*given, **named)
            except ChainruleError as error:
                shapes = ", ".join(str(v.shape) for v in inputs)
                where = self._stack[-1][0] or "its forward"
                raise type(error)(f"summary: in {where}, given {shapes}: {error}") from error
        for call, node in self._made:
            if not isinstance(node.saved, list):  # checkpointed: it is computed again instead
                call.kept = ()
        self._note_leaves()  # those that lazy modules have made
        classes = {path: type(module).__name__ for path, module in self.model.named_modules()}
        return Recording(self.calls, inputs, *self._parameters(), classes)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Note calls of modules and operations; afterwards nothing refers to this any more."""
        handles = [h for path, m in self.model.named_modules() for h in self._hooks(path, m)]
        self._apply = Variable.__apply_op__
        Variable.__apply_op__ = self._note  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Variable.__apply_op__ = self._apply  # type: ignore[method-assign]
            for handle in handles:
                handle.remove()

    def _parameters(self) -> tuple[dict[str, Value], frozenset[str], dict[str, str]]:
        named = dict(self.model.named_parameters())
        first = {id(p): name for name, p in named.items()}
        everywhere = self.model.named_parameters(remove_duplicate=False)
        aliases = {name: first[id(p)] for name, p in everywhere if first[id(p)] != name}
        trainable = frozenset(name for name, p in named.items() if p.requires_grad)
        values = {
            name: Value(tuple(p.shape), p.array.dtype, Source("parameter", name), p.requires_grad)
            for name, p in named.items()
            if not is_lazy(p)
        }
        return values, trainable, aliases

    def _note_leaves(self) -> None:
        found = (("parameter", self.model.named_parameters), ("buffer", self.model.named_buffers))
        for kind, named in found:
            for name, t in named():
                if is_lazy(t) or id(t) in self._leaves:
                    continue
                source = Source(kind, name)
                self._leaves[id(t)] = source
                self._trains[source] = t.requires_grad
                self._weights.add(self.memory.number(t.array)[0])
                self._remember(t.array, source)

    def _given(self, a: Any, inputs: list[Value]) -> Any:
        """An input as the model gets it: of floats a result, so that it may be changed in place."""
        if not isinstance(a, Tensor):
            return a
        source = Source("input", len(inputs))
        inputs.append(Value(tuple(a.shape), a.array.dtype, source))
        given = a.detach()
        if a.array.dtype.kind == "f":
            given = given.clone().requires_grad_().clone()
            self._nodes[given.node] = source
        self._remember(given.array, source)
        return given

    def _hooks(self, path: str, module: Module) -> tuple[RemovableHandle, RemovableHandle]:
        def enter(*_: Any) -> None:
            self._stack.append((path, type(module).__name__))

        def leave(module: Module, args: Any, result: Any) -> None:
            for t in _tensors(result):
                self._value(t)
            self._stack.pop()

        before = module.register_forward_pre_hook(enter, prepend=True)
        return before, module.register_forward_hook(leave)

    # -- noting ------------------------------------------------------------------------------

    def _note(self, op: Op, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """In the place of ``Variable.__apply_op__``."""
        first = _first_variable(args)
        if threading.get_ident() != self._thread:
            return self._apply(first, op, args)
        described = tuple(map(self._described, args))
        result, aux = self._apply(first, op, args)
        path, module = self._stack[-1]
        call = Call(op.name, path, module, described, self._result(result))
        call.settings = dict(zip(op.parameters, described, strict=False))
        values = described[0] if op.is_variadic else described
        call.parameters = tuple(
            dict.fromkeys(
                v.source.key
                for v in call.values
                if v.source is not None and v.source.kind == "parameter"
            )
        )
        source = Source("call", len(self.calls))
        if result.node is not None:
            positions = range(len(values)) if op.is_variadic else op.inputs
            call.wanted = tuple(i for i in positions if getattr(values[i], "trains", False))
            self._nodes[result.node] = source
            self._made.append((call, result.node))
        if call.wanted:
            call.kept = self._kept(op, args, call.wanted, result, aux)
        self._trains[source] = bool(call.wanted)
        call.result = self._result(result, source)
        self.calls.append(call)
        self._remember(result.array, source)
        return result, aux

    def _result(self, result: Any, source: Source | None = None) -> Value:
        trains = source is not None and self._trains[source]
        return Value(tuple(result.array.shape), result.array.dtype, source, trains)

    def _kept(
        self, op: Op, args: Sequence[Any], wanted: tuple[int, ...], result: Any, aux: Any
    ) -> tuple[tuple[int, int], ...]:
        """The memory that the VJPs of these arguments need, without that of the weights."""
        inputs = args[0] if op.is_variadic else args
        arrays = [a.array if isinstance(a, Variable) else a for a in inputs]
        found: list[Any] = []
        for keep in op.pullback(wanted, arrays, result.array).keeps:
            if keep.what == "argument":
                found += _arrays(args[keep.position])
            elif keep.what in ("y", "aux"):
                found += _arrays(result if keep.what == "y" else aux)
        pieces = dict.fromkeys(map(self.memory.number, found))
        return tuple((number, size) for number, size in pieces if number not in self._weights)

    def _described(self, a: Any) -> Any:
        if isinstance(a, Variable):
            return self._value(a)
        if isinstance(a, list | tuple) and any(isinstance(t, Variable) for t in a):
            return [self._described(t) for t in a]
        return a

    def _value(self, v: Any) -> Value:
        source = self._source(v)
        trains = source is not None and self._trains.get(source, False)
        return Value(tuple(v.array.shape), v.array.dtype, source, trains)

    def _source(self, v: Any) -> Source | None:
        if v.node is not None:
            found = self._nodes.get(v.node)
            return self._unseen(v) if found is None else found
        if id(v) in self._leaves:
            return self._leaves[id(v)]
        if isinstance(v, Parameter):  # of a module that was lazy until now
            self._note_leaves()
            if id(v) in self._leaves:
                return self._leaves[id(v)]
        return self._by_array(v.array)

    def _by_array(self, array: Array) -> Source | None:
        """The source of an array that left the graph, as by detach()."""
        reference, source = self._arrays.get(id(array), (None, None))
        return source if reference is not None and reference() is array else None

    def _unseen(self, v: Any) -> Source:
        """The source of what was recorded in another way: by a `Function`, a change in place."""
        node = v.node
        while node.op.name == "result" and not node.op.parameters:  # one result of several
            node = node.edges[0]
        path, module = self._stack[-1]
        inner = self._by_array(v.array)
        args = []
        if inner is not None:  # its operations were seen
            args.append(Value(tuple(v.array.shape), v.array.dtype, inner))
        edges = [e for e in node.edges if isinstance(e, Variable)]
        sources = [self._nodes[e] for e in node.edges if e in self._nodes]
        trains = any(self._trains.get(s, False) for s in sources)
        trains = trains or any(self._value(e).trains for e in edges)
        parameters = [self._leaves.get(id(e)) for e in edges]
        source = Source("call", len(self.calls))
        self._trains[source] = trains
        result = Value(tuple(v.array.shape), v.array.dtype, source, trains)
        call = Call(node.op.name, path, module, tuple(args), result, traced=False)
        call.parameters = tuple(
            s.key for s in parameters if s is not None and s.kind == "parameter"
        )
        call.wanted = (0,) if trains else ()
        self.calls.append(call)
        self._nodes[v.node] = source
        self._remember(v.array, source)
        return source

    def _remember(self, array: Array, source: Source) -> None:
        self._arrays[id(array)] = weakref.ref(array), source


def _first_variable(args: Sequence[Any]) -> Any:
    flat = args[0] if args and isinstance(args[0], list | tuple) else args
    return next(a for a in (*flat, *args) if isinstance(a, Variable))


def _tensors(tree: Any) -> Iterator[Any]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(tree, Variable):
        yield tree
    elif isinstance(tree, dict | tuple | list):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(branch)


def _arrays(tree: Any) -> Iterator[Array]:
    """The arrays of tensors, and others, in nested tuples and lists."""
    if isinstance(tree, Variable):
        yield tree.array
    elif isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, tuple | list):
        for branch in tree:
            yield from _arrays(branch)
