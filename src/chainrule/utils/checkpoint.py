"""Checkpointing: compute a part of the forward pass again instead of keeping its arrays.

The backward pass needs arrays of the forward pass, and they are most of the memory that training
takes. A checkpointed part records its nodes as ever, and then lets go of what they kept. When
the sweep reaches the first of them, the part is run once more and its nodes are given what the
new ones kept. A chain of n layers in √n parts keeps O(√n) arrays for one more forward pass.

The gradients are those without checkpointing, bit for bit: the part runs with the same random
numbers (dropout draws the same mask) and, where its modules changed their buffers, with the
buffers as they were. Afterwards both are again what they had become, so that batch norm's running
statistics move once. (PyTorch moves them twice.) What is fused across a part's ends without
checkpointing is not with it: between a convolution and its batch norm that may change last bits.
Source: Chen et al. 2016, arXiv:1604.06174; Griewank & Walther 2000, "Algorithm 799: revolve".
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from chainrule.autograd import enable_grad, is_grad_enabled
from chainrule.autograd.graph import Node, Saved, Variable, creation_order
from chainrule.autograd.hooks import module_calls
from chainrule.errors import ConfigError, GraphError
from chainrule.nn.container import Sequential
from chainrule.random import default_generator

__all__ = ["checkpoint", "checkpoint_sequential", "noop_context_fn"]


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing: for the forward pass, and for running it again."""
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, run again in the backward pass instead of kept.

    function: must compute the same when called again (its random numbers are repeated). Tensors
    in what it returns are found in nested tuples, lists and dicts.
    preserve_rng_state: repeat the random numbers of the default generator. context_fn: gives a
    context for the forward pass and one for running it again. determinism_check: "default"
    compares the operations of both runs, "none" does not.
    use_reentrant: accepted. Both ways give all gradients here, also to tensors that function
    closes over, by `grad`, and of higher order. early_stop: accepted; the part always runs to its
    end. debug=True is not supported: determinism_check names what differs.
    Raises GraphError in the backward pass (the part ran differently, an input was changed).
    """
    if debug:
        raise ConfigError("checkpoint: debug=True is not supported; an error names what differs")
    if determinism_check not in ("default", "none"):
        raise ConfigError(
            f"checkpoint: determinism_check must be 'default' or 'none', got {determinism_check!r}"
        )
    if not is_grad_enabled():
        return function(*args, **kwargs)
    part = _Part(function, args, kwargs, preserve_rng_state, determinism_check == "default")
    return part.first_run(args, kwargs, *context_fn())


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """A Sequential (or a list of functions) in so many parts, all but the last checkpointed.

    use_reentrant, preserve_rng_state: as for `checkpoint`.
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise TypeError(f"checkpoint_sequential() got unexpected arguments: {', '.join(kwargs)}")
    chain = list(functions.children() if isinstance(functions, Sequential) else functions)
    if not 1 <= segments <= max(len(chain), 1):
        raise ConfigError(
            f"checkpoint_sequential: segments must be 1 to {len(chain)}, the number of functions; "
            f"got {segments}"
        )
    size = len(chain) // segments

    def run(first: int, last: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for function in chain[first:last]:
                x = function(x)
            return x

        return forward

    x, last = input, size * (segments - 1)
    for first in range(0, last, size):
        part = run(first, first + size)
        x = checkpoint(part, x, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return run(last, len(chain))(x)


class _Part:
    """One checkpointed call."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        preserves_random: bool, checks: bool,
    ) -> None:  # fmt: skip
        self.function = function
        self.args, self.kwargs = _as_now(args), _as_now(kwargs)
        self.random = default_generator.get_state() if preserves_random else None
        self.checks = checks
        self.names: list[str] = []  # of the operations, in order
        self.dropped: list[weakref.ref[_Dropped]] = []
        self.versions: list[tuple[str, Any, Any, int]] = []
        self.buffers = _Buffers()
        self.second_context: Any = None

    def first_run(self, args: Any, kwargs: Any, context: Any, second_context: Any) -> Any:
        """Run the part; its nodes let go of what they kept."""
        self.second_context = second_context
        for i, a in enumerate(_tensors((self.args, self.kwargs))):
            self.versions.append((f"tensor {i} of its arguments", a, a.version, a.version.count))
        start = next(creation_order)
        with context, self.buffers.watched():
            output = self.function(*args, **kwargs)
        for t in _tensors(output):
            t.array  # noqa: B018  computed now: a fusion across the part's end ends with the part
        for i, node in enumerate(_nodes_since(start, output)):
            self.names.append(node.op.name)
            self._note_versions(node)
            dropped = _Dropped(self, i)
            self.dropped.append(weakref.ref(dropped))
            node.saved = dropped  # type: ignore[assignment]  # it is iterated over, and that is all
        return output

    def _note_versions(self, node: Node) -> None:
        """Leaves that the node kept: changed in place, the part would compute something else."""
        for s in node.saved or ():
            if type(s) is Saved and isinstance(s.edge, Variable):
                what = f"a tensor that {node.op.name} uses"
                self.versions.append((what, s.edge, s.version, s.count))

    def run_again(self) -> None:
        """Run the part once more, and give its nodes what the new ones kept."""
        for what, v, version, count in self.versions:
            if v.version is not version or version.count != count:
                raise GraphError(
                    f"checkpoint: {what} was changed in place after the forward pass, and the part "
                    "cannot be run again; use an operation that makes a new tensor"
                )
        start = next(creation_order)
        with enable_grad(), self._as_before(), self.second_context:
            output = self.function(*self.args, **self.kwargs)
        nodes = _nodes_since(start, output)
        names = [node.op.name for node in nodes]
        if (self.checks and names != self.names) or len(names) != len(self.names):
            raise GraphError(_difference(self.names, names))
        for reference, node in zip(self.dropped, nodes, strict=True):
            dropped = reference()
            if dropped is not None:
                dropped.take(node)

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        """Random numbers and buffers as in the first run; afterwards as they are now."""
        now = default_generator.get_state()
        if self.random is not None:
            default_generator.set_state(self.random)
        try:
            with self.buffers.as_before():
                yield
        finally:
            if self.random is not None:
                default_generator.set_state(now)


class _Dropped:
    """Stands where a node had what it kept; who reads it has the part run again."""

    def __init__(self, part: _Part, index: int) -> None:
        self.part, self.index = part, index
        self.node: Node | None = None  # of the second run
        self.kept: Any = None  # what that one kept; a sweep over it may make it let go first

    def take(self, node: Node) -> None:
        """Take what ``node`` kept."""
        self.node, self.kept = node, node.saved

    def __iter__(self) -> Iterator[Any]:
        if self.node is None:
            self.part.run_again()
        return iter(self.kept)


def _difference(first: list[str], second: list[str]) -> str:
    places = [i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b]
    i = places[0] if places else min(len(first), len(second))
    a, b = ([*names, "nothing"][min(i, len(names))] for names in (first, second))
    return (
        f"checkpoint: run again, the part computes something else: operation {i} was {a} and is "
        f"now {b} ({len(first)} operations, now {len(second)}); it must not depend on what changes"
    )


def _tensors(tree: Any) -> list[Any]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(tree, Variable):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    if not isinstance(tree, dict | tuple | list):
        return []
    return [t for branch in branches for t in _tensors(branch)]


def _as_now(tree: Any) -> Any:
    """The tree with results that stay what they are, should the caller change his in place."""
    if isinstance(tree, Variable):
        if tree.node is None:
            return tree
        made: Variable = Variable.of(tree.array, tree.node)
        made.version = tree.version
        return made
    if isinstance(tree, dict):
        return type(tree)((name, _as_now(branch)) for name, branch in tree.items())
    if isinstance(tree, tuple | list):
        branches = [_as_now(branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return tree


def _nodes_since(start: int, output: Any) -> list[Node]:
    """The nodes made after ``start`` that the output depends on, oldest first."""
    found: dict[int, Node] = {}
    stack: list[Any] = [t.node for t in _tensors(output)]
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node.order > start and node.order not in found:
            found[node.order] = node
            stack.extend(node.edges)
    return [found[order] for order in sorted(found)]


class _Buffers:
    """Those of the modules that are called: what they held before, where that was changed."""

    def __init__(self) -> None:
        self.before: list[_Snapshot] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Remember the buffers of every module that is called inside."""
        thread, seen = threading.get_ident(), {}

        def enter(module: Any) -> None:
            if module._buffers and id(module) not in seen and threading.get_ident() == thread:
                seen[id(module)] = _Snapshot(module._buffers)

        module_calls.entering += (enter,)
        module_calls.look()
        try:
            yield
        finally:
            module_calls.entering = tuple(f for f in module_calls.entering if f is not enter)
            module_calls.look()
        self.before = [snapshot for snapshot in seen.values() if snapshot.is_outdated()]

    @contextmanager
    def as_before(self) -> Iterator[None]:
        """The buffers with their old values, and afterwards with those of now."""
        now = [_Snapshot(snapshot.registry) for snapshot in self.before]
        for snapshot in self.before:
            snapshot.put_back()
        try:
            yield
        finally:
            for snapshot in now:
                snapshot.put_back()


class _Snapshot:
    """The buffers of one module as they are now."""

    def __init__(self, registry: dict[str, Any]) -> None:
        self.registry, self.members = registry, dict(registry)
        self.values = {n: t.array.copy() for n, t in registry.items() if t is not None}

    def is_outdated(self) -> bool:
        """Whether the buffers have changed since."""
        return any(self.registry.get(n) is not t for n, t in self.members.items()) or any(
            not np.array_equal(self.members[n].array, value, equal_nan=value.dtype.kind == "f")
            for n, value in self.values.items()
        )

    def put_back(self) -> None:
        """Give the buffers these values again."""
        self.registry.update(self.members)
        for name, value in self.values.items():
            self.members[name].array[...] = value
