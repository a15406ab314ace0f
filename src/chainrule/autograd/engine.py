"""Reverse-mode differentiation: one sweep over the graph, from the newest node to the oldest.

An op's inputs exist before the op is called, so creation order is a topological order: every
node is visited after all nodes that used its result, when the gradients of all branches have
been added up. No recursion; a chain of 100,000 operations is a loop of 100,000 steps.

The engine knows order and accumulation, and no formula. It hands arrays to the VJPs; with
``create_graph`` it hands them variables instead, the same formulas record a new graph, and
the gradients can be differentiated again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.autograd.fusion import Known, fused_gradients, relu, switch
from chainrule.autograd.graph import Node, Variable
from chainrule.autograd.hooks import HookTable
from chainrule.autograd.mode import set_grad_enabled
from chainrule.autograd.pending import before_change
from chainrule.errors import GraphError, ShapeError
from chainrule.ops.elementwise import cast
from chainrule.ops.joining import stack

Edge = Node | Variable


class _Inspection:
    """Who looks at the VJPs' results on their way (`chainrule.autograd.anomaly`)."""

    pull: Callable[..., None] | None = None  # in place of `_pull`


inspection = _Inspection()


class Repetition(threading.local):
    """Whether the function that runs will run again (`chainrule.vmap`): graphs are then kept."""

    is_awaited = False


repetition = Repetition()


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add to ``.grad`` of every leaf the gradient of Σ ⟨grad_tensors, tensors⟩.

    tensors: one or several; grad_tensors: dL/dtensor of each, may be left out for scalars.
    retain_graph: keep what was saved, so that the sweep can be repeated (default: as
    create_graph). create_graph: record the sweep itself. inputs: only to these tensors.
    grad_variables: an old name of grad_tensors.
    Raises GraphError (nothing to differentiate, graph freed, array changed since).
    """
    if grad_tensors is None:
        grad_tensors = grad_variables
    if inputs is not None and not _sequence(inputs):
        raise GraphError("backward: inputs is empty; leave it out to reach all leaves")
    roots, seeds = _seeds(tensors, grad_tensors, create_graph)
    targets = None if inputs is None else [v.edge() for v in _sequence(inputs)]
    found = _sweep(roots, seeds, targets, bool(retain_graph or create_graph), create_graph)
    if inputs is not None:
        for v in _sequence(inputs):
            if id(v.edge()) in found:
                _accumulate(v, found[id(v.edge())], create_graph, borrowed=True)
                if v.node is None and v.hooks:
                    _tell_accumulated(v)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of Σ ⟨grad_outputs, outputs⟩ with respect to ``inputs``, as a tuple.

    inputs: a tensor, several, or a dict of them, and then the result is a dict too. Leaves
    every ``.grad`` alone. With create_graph=True the gradients can be differentiated again, to
    any order. An input on which the outputs do not depend is an error, unless allow_unused
    (None is returned) or materialize_grads (zeros). is_grads_batched: grad_outputs have one axis
    more, in front, and so have the results (one sweep for each of its elements). only_inputs can
    only be True; `backward` adds gradients to all leaves.
    """
    if not only_inputs:
        raise GraphError("grad: only_inputs=False is not supported; call backward() instead")
    if isinstance(inputs, dict):
        arguments = (grad_outputs, retain_graph, create_graph, only_inputs, allow_unused)
        grads = grad(outputs, [*inputs.values()], *arguments, is_grads_batched, materialize_grads)
        return dict(zip(inputs, grads, strict=True))
    if is_grads_batched:
        return _batch_of_grads(
            _sequence(outputs), inputs, _sequence(grad_outputs), bool(retain_graph), create_graph,
            allow_unused, materialize_grads,
        )  # fmt: skip
    wanted = _sequence(inputs)
    for i, v in enumerate(wanted):
        if not v.requires_grad:
            raise GraphError(f"grad: input {i} does not require grad; call requires_grad_() first")
    roots, seeds = _seeds(outputs, grad_outputs, create_graph)
    targets = [v.edge() for v in wanted]
    found = _sweep(roots, seeds, targets, bool(retain_graph or create_graph), create_graph)
    results: list[Any] = []
    for i, v in enumerate(wanted):
        g = found.get(id(v.edge()))
        if g is None and materialize_grads:
            g = np.zeros_like(v.array)
        elif g is None and not allow_unused:
            raise GraphError(
                f"grad: the outputs do not depend on input {i} {v.array.shape}; "
                "pass allow_unused=True to get None for it"
            )
        results.append(g if g is None or isinstance(g, Variable) else Variable.of(g))
    return tuple(results)


def _batch_of_grads(
    outputs: list[Any], inputs: Any, grad_outputs: list[Any], retain_graph: bool,
    create_graph: bool, allow_unused: bool | None, materialize_grads: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """`grad` for each element of the first axis of grad_outputs, stacked."""
    count = len(grad_outputs[0].array)
    rows = [
        grad(
            outputs, inputs, [g[k] for g in grad_outputs], retain_graph or k < count - 1,
            create_graph, allow_unused=allow_unused, materialize_grads=materialize_grads,
        )
        for k in range(count)
    ]  # fmt: skip
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows, strict=True))


def _sequence(x: Any) -> list[Any]:
    if isinstance(x, dict):
        return list(x.values())
    return [x] if isinstance(x, Variable) else list(x)


def _seeds(tensors: Any, grad_tensors: Any, as_variables: bool) -> tuple[list[Edge], list[Any]]:
    """Where the sweep starts, and with which gradients."""
    outputs = _sequence(tensors)
    if grad_tensors is None:
        given: list[Any] = [None] * len(outputs)
    elif isinstance(grad_tensors, Variable | np.ndarray):
        given = [grad_tensors]
    else:
        given = list(grad_tensors)
    if len(given) != len(outputs):
        raise GraphError(f"{len(outputs)} outputs need as many gradients, got {len(given)}")
    seeds: list[Any] = []
    for v, g in zip(outputs, given, strict=True):
        if not v.requires_grad:
            raise GraphError(
                "backward: this tensor does not require grad: none of the tensors it was "
                "computed from does, or it was computed under no_grad()"
            )
        if g is None:
            if v.array.size != 1:
                raise GraphError(
                    "backward: only a single number can be differentiated without being told "
                    f"dL/dy\n  y {v.array.shape}; reduce it with .sum() or pass gradient="
                )
            g = np.ones_like(v.array)
        g = cast(g if isinstance(g, Variable) else np.asarray(g), v.array.dtype)
        if tuple(g.shape) != v.array.shape:
            raise ShapeError(
                f"backward: gradient {tuple(g.shape)} must have y's shape {v.array.shape}"
            )
        if as_variables:
            seeds.append(g if isinstance(g, Variable) else Variable.of(g))
        else:
            seeds.append(g.array if isinstance(g, Variable) else g)
    return [v.edge() for v in outputs], seeds


def _reachable(roots: Iterable[Edge]) -> list[Node]:
    """All nodes under the roots, newest first."""
    seen: dict[int, Node] = {}
    stack = [r for r in roots if isinstance(r, Node)]
    while stack:
        node = stack.pop()
        if node.order not in seen:
            seen[node.order] = node
            stack.extend(e for e in node.edges if type(e) is Node and e.order not in seen)
    return [seen[k] for k in sorted(seen, reverse=True)]


def _leading_to(targets: Sequence[Edge], nodes: Sequence[Node]) -> set[int]:
    """The ids of those edges from which a target can be reached."""
    useful = {id(t) for t in targets}
    for node in reversed(nodes):  # oldest first
        if any(id(e) in useful for e in node.edges):
            useful.add(id(node))
    return useful


def _sweep(
    roots: list[Edge],
    seeds: list[Any],
    targets: Sequence[Edge] | None,
    retain_graph: bool,
    create_graph: bool,
) -> dict[int, Any]:
    """Carry the seeds down the graph.

    targets None: gradients of leaves go to their ``.grad``. Otherwise they are returned, by
    the id of each target, and nodes that lead to no target are passed over.
    """
    retain_graph = retain_graph or repetition.is_awaited
    nodes = _reachable(roots)
    useful = None if targets is None else _leading_to(targets, nodes)
    wanted = () if targets is None else {id(t) for t in targets}
    arrivals = _Arrivals(create_graph)
    found: dict[int, Any] = {}
    known: dict[int, Known] = {}  # what fused kernels computed for nodes to come

    def is_free(edge: Edge) -> bool:
        """Whether the edge's gradient has one source, and is seen by nobody on its way."""
        return (
            type(edge) is Node
            and edge.uses == 1
            and not edge.hooks
            and edge.retain is None
            and id(edge) not in wanted
            and id(edge) not in arrivals.pending  # as a root it has a seed
            and (useful is None or id(edge) in useful)
        )

    pull = inspection.pull or _pull
    with set_grad_enabled(create_graph):
        for root, seed in zip(roots, seeds, strict=True):
            arrivals.add(root, seed, seed)
        for node in nodes:
            g = arrivals.pending.pop(id(node), None)
            if g is None or (useful is not None and id(node) not in useful):
                continue
            if node.hooks or node.retain is not None:
                g = _show(node, g, create_graph)
            if id(node) in wanted:
                found[id(node)] = g
                if not any(id(e) in useful for e in node.edges):  # type: ignore[operator]
                    continue  # it leads to no other target: leave it to a later sweep
            fused = None
            if node.op is relu and switch.on and not create_graph and not node.hooks:
                fused = fused_gradients(node, g, is_free)
            if node.hooks:
                _pull_shown(node, g, useful, arrivals, pull)
            elif fused is None:
                pull(node, g, useful, arrivals, known.pop(id(node), None))
            else:
                d, ahead, known[id(ahead)] = fused
                arrivals.add(node.edges[0], d, g)
            if not retain_graph:
                node.saved = None
        for key, leaf in arrivals.leaves.items():
            if targets is None:
                _give(leaf, arrivals, create_graph)
            elif key in wanted:
                g = arrivals.pending.pop(key)
                found[key] = _call_hooks(leaf.hooks.gradient, g) if leaf.hooks else g
    return found


def _give(leaf: Variable, arrivals: _Arrivals, create_graph: bool) -> None:
    """Add to a leaf's ``.grad`` what arrived for it."""
    g = arrivals.pending.pop(id(leaf))
    if not leaf.hooks:
        _accumulate(leaf, g, create_graph, borrowed=id(leaf) not in arrivals.owned)
        return
    g = _call_hooks(leaf.hooks.gradient, g)
    _accumulate(leaf, g, create_graph, borrowed=True)  # a hook may have kept it
    _tell_accumulated(leaf)


class Bundle:
    """Gradients of several results of one call, on their way to its node.

    Each result's own node sends a bundle with one gradient; bundles that meet are joined.
    """

    __slots__ = ("grads",)
    base, ndim = None, 0  # what `_Arrivals` asks of an array: new memory, to be added to with +=

    def __init__(self, grads: Sequence[Any]) -> None:
        self.grads = list(grads)  # None for results that have not sent one

    def as_tuple(self) -> tuple[Any, ...]:
        """The gradients of all results; None for those that got none."""
        return tuple(self.grads)

    def __iadd__(self, other: Bundle) -> Bundle:
        for i, g in enumerate(other.grads):
            if g is not None:
                own = self.grads[i]
                self.grads[i] = g if own is None else own + g
        return self

    __add__ = __iadd__


class _Arrivals:
    """Gradients on their way, added up where branches meet; keys are ids of edges."""

    __slots__ = ("as_variables", "leaves", "owned", "pending")

    def __init__(self, as_variables: bool) -> None:
        self.as_variables = as_variables
        self.pending: dict[int, Any] = {}
        self.owned: set[int] = set()  # those whose memory nobody else sees, free to be added to
        self.leaves: dict[int, Variable] = {}

    def add(self, edge: Edge, d: Any, g: Any) -> None:
        """One more gradient ``d`` for ``edge``, which a VJP made of ``g``."""
        key = id(edge)
        if key not in self.pending:
            self.pending[key] = d
            if not self.as_variables and _is_new_memory(d, g):
                self.owned.add(key)
            if type(edge) is not Node:
                self.leaves[key] = edge  # type: ignore[assignment]
        elif key in self.owned:
            self.pending[key] = _sum_into(self.pending[key], d)
        elif not self.as_variables and _is_new_memory(d, g):
            self.pending[key] = _sum_into(d, self.pending[key])
            self.owned.add(key)
        else:
            self.pending[key] = self.pending[key] + d
            if not self.as_variables:
                self.owned.add(key)


def _sum_into(total: Any, d: Any) -> Any:
    """total + d, in the memory of ``total`` (which a number has not)."""
    if total.ndim == 4 and total.shape == d.shape and total.dtype == d.dtype:
        return kernels.accumulate(total, d)  # images: a pass over memory worth its threads
    total += d
    return total


def _is_new_memory(d: Any, g: Any) -> bool:
    """Whether ``d``, made of ``g``, may be written to: not ``g`` itself nor a view of it."""
    if d is g:
        return False
    return d.base is None or (d.flags.writeable and not np.may_share_memory(d, g))


def _pull(
    node: Node, g: Any, useful: set[int] | None, arrivals: _Arrivals, known: Known | None
) -> None:
    """Run the VJPs of one node, save those whose results are known, and send the gradients on."""
    edges = node.edges
    values = node.unpack(arrivals.as_variables)
    pick = values.__getitem__
    for function, arguments, targets in node.pullback.steps:
        if type(targets) is int and useful is not None and id(edges[targets]) not in useful:
            continue
        if known and function in known:
            grads = known[function]
        else:
            grads = function(g, *(values if arguments is None else map(pick, arguments)))
        if type(targets) is int:
            arrivals.add(edges[targets], grads, g)
            continue
        if node.op.is_variadic:  # of every element; targets names those that are wanted
            grads, targets = [grads[i] for i in targets], range(len(edges))  # type: ignore
        for target, d in zip(targets, grads, strict=True):  # type: ignore[arg-type]
            if target is not None and d is not None:
                arrivals.add(edges[target], d, g)


def _show(node: Node, g: Any, create_graph: bool) -> Any:
    """Let hooks see (and replace) the gradient of a result; keep it where retain_grad asked."""
    if node.hooks and type(g) is not Bundle:
        g = _call_hooks(node.hooks.gradient, g)
    variable = node.retain() if node.retain is not None else None
    if variable is not None:
        _accumulate(variable, g, create_graph, borrowed=True)
    return _call_prehooks(node, g) if node.hooks and node.hooks.before else g


def _call_hooks(hooks: HookTable, g: Any) -> Any:
    for hook in list(hooks.values()):
        replaced = hook(g if isinstance(g, Variable) else Variable.of(g))
        if replaced is not None:
            g = _replacement(replaced, g)
    return g


def _replacement(new: Any, g: Any) -> Any:
    """What a hook gave in place of ``g``: an array for an array, a variable for a variable."""
    like = g.array if isinstance(g, Variable) else g
    if not isinstance(new, Variable | np.ndarray):
        raise GraphError(
            f"hook: it must return a tensor in place of the gradient, or None to leave it; "
            f"got {type(new).__name__}"
        )
    new = cast(new, like.dtype)
    if new.array.shape != like.shape:
        raise ShapeError(
            f"hook: the gradient it returned has shape {new.array.shape}, expected {like.shape}"
        )
    return new if isinstance(g, Variable) else new.array


def _shown(grads: Sequence[Any]) -> tuple[Any, ...]:
    """Gradients as hooks see them: variables, or None."""
    return tuple([g if g is None or isinstance(g, Variable) else Variable.of(g) for g in grads])


def _replace_all(new: Any, old: Sequence[Any], what: str) -> list[Any]:
    """The gradients after a hook has returned ``new``, a tuple (or the one gradient) or None."""
    if new is None:
        return list(old)
    new = (new,) if isinstance(new, Variable) else tuple(new)
    if len(new) != len(old):
        raise GraphError(f"hook: it returned {len(new)} {what}, expected {len(old)}")
    pairs = zip(new, old, strict=True)
    return [n if n is None or o is None else _replacement(n, o) for n, o in pairs]


def _call_prehooks(node: Node, g: Any) -> Any:
    for hook in list(node.hooks.before.values()):  # type: ignore[union-attr]
        given = g.as_tuple() if type(g) is Bundle else (g,)
        grads = _replace_all(hook(_shown(given)), given, "gradients of results")
        g = Bundle(grads) if type(g) is Bundle else grads[0]
    return g


def _pull_shown(
    node: Node, g: Any, useful: set[int] | None, arrivals: _Arrivals, pull: Callable[..., None]
) -> None:
    """As `_pull`, and hooks of the node see the gradients before they are sent on."""
    collected = _Collected(arrivals.as_variables)
    pull(node, g, useful, collected, None)
    grads: list[Any] = [None] * len(node.edges)
    for edge, d in collected.grads:  # of an input that was given twice, too
        free = (i for i, e in enumerate(node.edges) if e is edge and grads[i] is None)
        grads[next(free)] = d
    outputs = _shown(g.as_tuple() if type(g) is Bundle else (g,))
    for hook in list(node.hooks.after.values()):  # type: ignore[union-attr]
        grads = _replace_all(hook(_shown(grads), outputs), grads, "gradients of inputs")
    for edge, d in zip(node.edges, grads, strict=True):
        if d is not None:
            arrivals.add(edge, d if isinstance(d, Variable | Bundle) else d.copy(order="K"), g)


class _Collected:
    """Takes the place of `_Arrivals` and only notes what is sent where."""

    def __init__(self, as_variables: bool) -> None:
        self.as_variables = as_variables
        self.grads: list[tuple[Edge, Any]] = []

    def add(self, edge: Edge, d: Any, g: Any) -> None:
        """Note a gradient."""
        self.grads.append((edge, d))


def _tell_accumulated(leaf: Variable) -> None:
    for hook in list(leaf.hooks.accumulated.values()):  # type: ignore[union-attr]
        hook(leaf)


def _accumulate(v: Variable, g: Any, create_graph: bool, borrowed: bool) -> None:
    """v.grad += g. The first gradient becomes v.grad; memory that others see is copied."""
    if create_graph:
        v._grad = g if v._grad is None else v._grad + g
        return
    if g.dtype != v.array.dtype or g.shape != v.array.shape:
        raise ShapeError(
            f"a VJP gave a gradient {g.shape} of {g.dtype} for a tensor {v.array.shape} of "
            f"{v.array.dtype}; they must be the same"
        )
    if v._grad is None:
        if borrowed:
            g = g.copy(order="K")
        v._grad = Variable.of(g)
    elif v._grad.requires_grad:
        v._grad = v._grad + Variable.of(g)
    else:
        before_change(v._grad.array)
        v._grad.array += g
        v._grad.version.count += 1
