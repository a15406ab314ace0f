"""Derivatives of functions as functions: ``grad(f)(x)`` is f'(x).

With torch.func's names. Arguments may be trees of tensors (tuples, lists, dicts), such as a
model's parameters by name, which `functional_call` puts in the place of its own:

    params = dict(model.named_parameters())
    loss = lambda params, x, y: F.cross_entropy(functional_call(model, params, x), y)
    grads = grad(loss)(params, x, y)                  # a dict like params

Transforms nest (``grad(grad(f))``), and their results take part in a surrounding graph. `vmap`
makes a function of batches of a function of single samples.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule import autograd
from chainrule.autograd.functional import own_variable
from chainrule.autograd.graph import Node, Variable
from chainrule.errors import ConfigError, GraphError, ShapeError, absent_name
from chainrule.ops.joining import stack
from chainrule.ops.shape import reshape
from chainrule.tensor.batched import stack_module_state, vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "vjp",
    "vmap",
]

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that gives dL/d(argument) of L = func(...), a single number.

    argnums: which positional arguments; a tuple gives a tuple of gradients. has_aux: func
    returns (L, aux) and the result is (gradients, aux).
    """

    def gradients(*args: Any, **kwargs: Any) -> Any:
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradients


def grad_and_value(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """As `grad`, and beside the gradients what func returned: (gradients, value)."""

    def gradients_and_value(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        run = _Run(func, args, kwargs, argnums, has_aux)
        if len(run.ys) != 1 or run.ys[0].array.size != 1:
            shapes = [y.array.shape for y in run.ys]
            raise ShapeError(f"grad: the function must return a single number, got {shapes}")
        found = run.argument(run.pulled([Variable.of(np.ones_like(run.ys[0].array))]))
        return found, (run.value(), run.aux) if has_aux else run.value()

    return gradients_and_value


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), v ↦ vᵀJ): the value, and the way back, which may be gone many times.

    The way back takes v like the value and gives a tuple, like ``primals``. has_aux: func
    returns (value, aux), and the result is (value, way back, aux).
    """
    run = _Run(func, primals, {}, tuple(range(len(primals))), has_aux)

    def back(*cotangents: Any) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        return run.argument(run.pulled(_matching(given, run.ys, "vjp", "the value")))

    return (run.value(), back, run.aux) if has_aux else (run.value(), back)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """(func(*primals), J·tangents). primals, tangents: tuples; has_aux: (..., aux).

    Two sweeps backwards: see `chainrule.autograd.functional.jvp`.
    """
    if not (isinstance(primals, tuple) and isinstance(tangents, tuple) and primals):
        raise ConfigError("jvp: primals and tangents must be tuples, of one element or more")
    run = _Run(func, primals, {}, tuple(range(len(primals))), has_aux)
    vs = _matching(tangents, run.xs, "jvp", "the primals")
    if strict and any(not y.requires_grad for y in run.ys):
        raise GraphError("jvp: an output is independent of the inputs")
    products = run.pushed(vs)
    result = run.value(), _rebuilt(run.output, products)
    return (*result, run.aux) if has_aux else result


def jacrev(
    func: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Function:
    """The function that gives the Jacobian, (*output.shape, *input.shape), row by row.

    For each output (a tree like the value) one for each argument of argnums. chunk_size:
    accepted; the rows are computed one by one.
    """

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        run = _Run(func, args, kwargs, argnums, has_aux)
        blocks = []
        for k, y in enumerate(run.ys):
            rows = [run.pulled(seed) for seed in _one_hots(run.ys, k)]
            columns = zip(*rows, strict=True) if rows else [()] * len(run.xs)
            parts = [
                _joined(column, 0, y.array.shape + x.array.shape, x.array.dtype)
                for column, x in zip(columns, run.xs, strict=True)
            ]
            blocks.append(run.argument(parts))
        result = _rebuilt(run.output, blocks)
        return (result, run.aux) if has_aux else result

    return jacobian


def jacfwd(
    func: Function, argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """As `jacrev`, column by column: for functions with more outputs than inputs."""

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        run = _Run(func, args, kwargs, argnums, has_aux)
        parts: list[list[Any]] = [[] for _ in run.ys]
        for k, x in enumerate(run.xs):
            columns = [run.pushed(seed) for seed in _one_hots(run.xs, k)]
            by_output = zip(*columns, strict=True) if columns else [()] * len(run.ys)
            for part, y, column in zip(parts, run.ys, by_output, strict=True):
                shape = y.array.shape + x.array.shape
                part.append(_joined(column, -1, shape, y.array.dtype))
        result = _rebuilt(run.output, [run.argument(part) for part in parts])
        return (result, run.aux) if has_aux else result

    return jacobian


def hessian(func: Function, argnums: Argnums = 0) -> Function:
    """The function that gives the second derivatives: the Jacobian of the Jacobian."""
    return jacfwd(jacrev(func, argnums), argnums)


# -- one run of a function, and the sweeps over it -----------------------------------------------


class _Run:
    """func called once on variables of its own in place of the arguments of argnums."""

    def __init__(
        self, func: Function, args: Sequence[Any], kwargs: dict[str, Any], argnums: Argnums,
        has_aux: bool,
    ) -> None:  # fmt: skip
        self.numbers = _numbers(argnums, len(args))
        self.single = isinstance(argnums, int)
        recording = autograd.is_grad_enabled()
        self.arguments = [args[i] for i in self.numbers]
        with autograd.enable_grad():
            self.xs = [own_variable(x, recording) for x in _leaves(self.arguments)]
            own = dict(zip(self.numbers, _rebuilt(self.arguments, self.xs), strict=True))
            given = [own.get(i, a) for i, a in enumerate(args)]
            output = func(*given, **kwargs)
        self.aux = None
        if has_aux:
            if not isinstance(output, tuple) or len(output) != 2:
                raise ConfigError("has_aux: the function must return (value, aux)")
            output, self.aux = output
        self.output = output
        self.ys = _leaves(output)
        # Only a graph around this run makes it worth recording the sweeps.
        self.attached = recording and _reaches_others(self.ys, self.xs)
        if not self.attached:
            self.aux = _detached(self.aux)

    def value(self) -> Any:
        """What func returned."""
        return self.output if self.attached else _detached(self.output)

    def argument(self, parts: Sequence[Any]) -> Any:
        """A part for each tensor of the arguments, as the tree (or trees) that these are."""
        trees = _rebuilt(self.arguments, parts)
        return trees[0] if self.single else tuple(trees)

    def pulled(self, seeds: Sequence[Any], attached: bool | None = None) -> list[Any]:
        """Σ vᵀJ for each tensor of the arguments."""
        attached = self.attached if attached is None else attached
        pairs = [(y, v) for y, v in zip(self.ys, seeds, strict=True) if y.requires_grad]
        if not pairs:
            return [_zeros(x) for x in self.xs]
        ys, vs = zip(*pairs, strict=True)
        with autograd.enable_grad():
            grads = autograd.grad(ys, self.xs, vs, True, attached, materialize_grads=True)
        return list(grads)

    def pushed(self, tangents: Sequence[Any]) -> list[Any]:
        """Jv for each output: the vjp of the vjp, which is linear in its cotangents."""
        with autograd.enable_grad():
            us = [own_variable(_zeros(y), False) for y in self.ys]
            rows = self.pulled(us, attached=True)
            pairs = [(r, v) for r, v in zip(rows, tangents, strict=True) if r.requires_grad]
            if not pairs:
                return [_zeros(y) for y in self.ys]
            rs, vs = zip(*pairs, strict=True)
            return list(autograd.grad(rs, us, vs, True, self.attached, materialize_grads=True))


def _numbers(argnums: Argnums, count: int) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for i in numbers:
        if not isinstance(i, int) or not -count <= i < count:
            raise ConfigError(f"argnums: there is no positional argument {i} of {count}")
    return [i % count for i in numbers]


def _reaches_others(ys: Sequence[Any], xs: Sequence[Any]) -> bool:
    """Whether ys depend on leaves that require grad, other than the fresh ones among xs."""
    own = {id(x) for x in xs if x.node is None}
    stack = [y.edge() for y in ys if y.requires_grad]
    seen: set[int] = set()
    while stack:
        edge = stack.pop()
        if not isinstance(edge, Node):
            if id(edge) not in own:
                return True
        elif edge.order not in seen:
            seen.add(edge.order)
            stack.extend(edge.edges)
    return False


def _zeros(x: Any) -> Any:
    return Variable.of(np.zeros_like(x.array))


def _one_hots(ys: Sequence[Any], k: int) -> Iterator[list[Any]]:
    """Every unit vector of the space of ys[k], with zeros for the others."""
    zeros = [_zeros(y) for y in ys]
    for i in range(ys[k].array.size):
        seed = np.zeros_like(ys[k].array, order="C")
        seed.flat[i] = 1
        yield [*zeros[:k], Variable.of(seed), *zeros[k + 1 :]]


def _joined(parts: Sequence[Any], dim: int, shape: tuple[int, ...], dtype: Any) -> Any:
    if not parts:
        return Variable.of(np.zeros(shape, dtype))
    return reshape(stack(list(parts), dim), shape)


def _matching(given: Any, like: Sequence[Any], name: str, what: str) -> list[Any]:
    """The tensors of a tree, as many and of the shapes of ``like``."""
    tensors = _leaves(given)
    shapes, expected = [t.array.shape for t in tensors], [t.array.shape for t in like]
    if shapes != expected:
        raise ShapeError(f"{name}: expected tensors like {what}, {expected}, got {shapes}")
    return tensors


# -- trees ---------------------------------------------------------------------------------------


def _leaves(tree: Any) -> list[Any]:
    """The tensors of nested tuples, lists and dicts, in order."""
    if isinstance(tree, Variable):
        return [tree]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _leaves(branch)]
    if isinstance(tree, tuple | list):
        return [leaf for branch in tree for leaf in _leaves(branch)]
    raise GraphError(
        f"func: expected tensors in tuples, lists and dicts, got a {type(tree).__name__}"
    )


def _rebuilt(tree: Any, leaves: Sequence[Any]) -> Any:
    """The same tree of other leaves."""
    return _filled(tree, iter(leaves))


def _filled(tree: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(tree, Variable):
        return next(leaves)
    if isinstance(tree, dict):
        return type(tree)((key, _filled(branch, leaves)) for key, branch in tree.items())
    branches = [_filled(branch, leaves) for branch in tree]
    if hasattr(tree, "_fields"):  # a named tuple
        return type(tree)(*branches)
    return type(tree)(branches)


def _detached(tree: Any) -> Any:
    if isinstance(tree, Variable):
        return tree.detach() if tree.requires_grad else tree  # type: ignore[attr-defined]
    if isinstance(tree, dict):
        return type(tree)((key, _detached(branch)) for key, branch in tree.items())
    if isinstance(tree, tuple | list):
        branches = [_detached(branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return tree


# -- modules as functions ------------------------------------------------------------------------


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with these tensors, by name, for its parameters and buffers.

    parameter_and_buffer_dicts: one dict or several with different names. args: a tuple, or the
    one argument. tie_weights: a tensor that the module holds under several names is replaced
    under all. strict: every name must be given. The module itself is as before afterwards.
    Raises ConfigError (a name the module has not, is given twice or, if strict, not at all).
    """
    values = _merged(parameter_and_buffer_dicts)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _in_place_of(module, values, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _merged(dicts: Any) -> dict[str, Any]:
    if isinstance(dicts, Mapping):
        return dict(dicts)
    merged: dict[str, Any] = {}
    for one in dicts:
        twice = [name for name in one if name in merged]
        if twice:
            raise ConfigError(f"functional_call: {twice[0]!r} is given by two of the dicts")
        merged.update(one)
    return merged


def _places(module: Any) -> dict[str, tuple[dict[str, Any], str]]:
    """Where the module keeps each parameter and buffer: the registry and the name in it."""
    places = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for registry in (owner._parameters, owner._buffers):
            for name, member in registry.items():
                if member is not None:
                    places[f"{path}.{name}" if path else name] = (registry, name)
    return places


@contextmanager
def _in_place_of(
    module: Any, values: dict[str, Any], tie_weights: bool, strict: bool
) -> Iterator[None]:
    places = _places(module)
    unknown = [name for name in values if name not in places]
    if unknown:
        raise ConfigError(
            f"functional_call: {type(module).__name__} has no parameter or buffer {unknown[0]!r}"
        )
    own = {name: registry[key] for name, (registry, key) in places.items()}
    if tie_weights:
        given = {id(own[name]): value for name, value in values.items()}
        if any(given[id(own[name])] is not value for name, value in values.items()):
            raise ConfigError("functional_call: two values are given for one tied tensor")
        values = {name: given[id(t)] for name, t in own.items() if id(t) in given}
    missing = [name for name in places if name not in values]
    if strict and missing:
        raise ConfigError(f"functional_call: strict, but {missing[0]!r} is not given")
    before = [(registry, key, registry[key]) for registry, key in places.values()]
    try:
        for name, value in values.items():
            registry, key = places[name]
            registry[key] = value
        yield
    finally:
        for registry, key, member in before:
            registry[key] = member


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
