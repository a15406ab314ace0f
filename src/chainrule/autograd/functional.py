"""Derivatives of functions: Jacobians, Hessians, and their products with vectors.

With torch.autograd.functional's names, arguments and results. Let f map x in Rⁿ to y in Rᵐ and J
be its Jacobian, J[i, j] = dyᵢ/dxⱼ.

- `vjp` vᵀJ is one sweep backwards: what reverse mode does. `jacobian` takes the rows of J, m
  sweeps (or, with strategy "forward-mode", its columns).
- `jvp` Jv would be one sweep forwards. Here it is two backwards: u ↦ Jᵀu is linear in u, so its
  own vector-Jacobian product is the transpose of Jᵀ, J itself (docs/derivations/jvp.md).
- `vhp` vᵀH is the vjp of the gradient, `hvp` Hv its jvp; `hessian` is the Jacobian of the
  gradient.

inputs: a tensor or a tuple of them; so are v and what func returns. A result has one entry for
each input (of `jacobian`: for each output one for each input), a tuple where a tuple was given.
create_graph: the results can be differentiated again. strict: an output that does not depend on
an input is an error, not a zero.
Source: Griewank & Walther 2008, chapters 3 and 5; for the jvp: J. Townsend 2017, "A new trick for
calculating Jacobian vector products".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd.engine import grad
from chainrule.autograd.graph import Variable
from chainrule.autograd.mode import enable_grad
from chainrule.errors import ConfigError, GraphError, ShapeError
from chainrule.ops.elementwise import clone
from chainrule.ops.joining import stack
from chainrule.ops.shape import reshape

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]
STRATEGIES = ("reverse-mode", "forward-mode")


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), vᵀJ). v: like the outputs; may be left out for a single number."""
    with enable_grad():
        many, xs = _inputs(inputs, create_graph, "vjp")
        y_many, ys = _outputs(func, xs, strict, "vjp")
        v = _vector(v, ys, y_many, "vjp", "output")
        grads = _grad(ys, xs, v, create_graph)
    grads = _filled(grads, xs, strict, create_graph, "vjp", "the function's value")
    return _given(ys, y_many, create_graph), _given(grads, many, create_graph)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), Jv). v: like the inputs; may be left out for a single number."""
    with enable_grad():
        many, xs = _inputs(inputs, create_graph, "jvp")
        v = _vector(v, xs, many, "jvp", "input")
        y_many, ys = _outputs(func, xs, strict, "jvp")
        products = _transposed(ys, xs, v, create_graph, strict, "jvp", "the function's value")
    return _given(ys, y_many, create_graph), _given(products, y_many, create_graph)


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J, for each output and input a tensor of shape (*output.shape, *input.shape).

    strategy: "reverse-mode" takes one sweep for each element of the outputs, "forward-mode" one
    for each element of the inputs. vectorize: accepted; the sweeps are done one by one.
    """
    _check_strategy("jacobian", strategy, strict, vectorize)
    with enable_grad():
        many, xs = _inputs(inputs, create_graph, "jacobian")
        y_many, ys = _outputs(func, xs, strict, "jacobian")
        if strategy == "reverse-mode":
            jacobians = [_rows(y, i, xs, create_graph, strict) for i, y in enumerate(ys)]
        else:
            jacobians = _columns(ys, xs, create_graph, strict)
    blocks = [_given(blocks, many, create_graph) for blocks in jacobians]
    return tuple(blocks) if y_many else blocks[0]


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """H of a function with a single number for a value: for each pair of inputs a tensor of shape
    (*input.shape, *other.shape). The other arguments as for `jacobian`, of the gradient."""
    _check_strategy("hessian", outer_jacobian_strategy, strict, vectorize)
    many, _ = _inputs(inputs, False, "hessian")

    def gradient(*xs: Any) -> tuple[Any, ...]:
        return _gradient(_number(func(*xs), "hessian"), xs, strict, "hessian")

    rows = jacobian(
        gradient, tuple(inputs) if many else (inputs,), create_graph, strict,
        strategy=outer_jacobian_strategy,
    )  # fmt: skip
    return rows if many else rows[0][0]


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), vᵀH), H the Hessian of a function with a single number for a value."""
    with enable_grad():
        many, xs = _inputs(inputs, create_graph, "vhp")
        v = _vector(v, xs, many, "vhp", "input")
        y = _number(func(*xs), "vhp")
        gradient = _gradient(y, xs, strict, "vhp")
        products = _grad(gradient, xs, v, create_graph)
    products = _filled(products, xs, strict, create_graph, "vhp", "the gradient")
    return _given([y], False, create_graph), _given(products, many, create_graph)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), Hv). As `vhp` where H is symmetric, which costs a sweep less."""
    with enable_grad():
        many, xs = _inputs(inputs, create_graph, "hvp")
        v = _vector(v, xs, many, "hvp", "input")
        y = _number(func(*xs), "hvp")
        gradient = _gradient(y, xs, strict, "hvp")
        products = _transposed(gradient, xs, v, create_graph, strict, "hvp", "the gradient")
    return _given([y], False, create_graph), _given(products, many, create_graph)


# -- what goes in and out ------------------------------------------------------------------------


def own_variable(x: Variable, attached: bool) -> Any:
    """``x`` as the variable to differentiate by: of its own, or (``attached``) computed from x."""
    if attached and x.requires_grad:
        return clone(x)
    made: Variable = Variable.of(x.array)
    made.version = x.version
    made.requires_grad = True
    return made


def _tensors(given: Any, name: str, what: str) -> tuple[bool, list[Any]]:
    """Whether there may be several, and the tensors."""
    many = isinstance(given, tuple | list)
    tensors = list(given) if many else [given]
    for i, t in enumerate(tensors):
        if not isinstance(t, Variable):
            raise GraphError(
                f"{name}: {what} must be a tensor or a tuple of tensors, "
                f"but {f'number {i} is' if many else 'it is'} a {type(t).__name__}"
            )
    return many, tensors


def _inputs(inputs: Any, create_graph: bool, name: str) -> tuple[bool, list[Any]]:
    many, tensors = _tensors(inputs, name, "the inputs")
    return many, [own_variable(x, create_graph) for x in tensors]


def _outputs(func: Function, xs: list[Any], strict: bool, name: str) -> tuple[bool, list[Any]]:
    many, ys = _tensors(func(*xs), name, "the function's value")
    for i, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise GraphError(
                f"{name}: output {i} of the function is independent of the inputs, which "
                "strict=True does not allow"
            )
    return many, ys


def _number(y: Any, name: str) -> Any:
    if not isinstance(y, Variable) or y.array.size != 1:
        got = y.array.shape if isinstance(y, Variable) else type(y).__name__
        raise GraphError(f"{name}: the function must return a single number, got {got}")
    return reshape(y, ())


def _vector(v: Any, like: list[Any], many: bool, name: str, what: str) -> list[Any]:
    """v, checked; the number 1 where it was left out and that is clear."""
    if v is None:
        if len(like) != 1 or like[0].array.size != 1:
            raise GraphError(f"{name}: v may be left out only if the {what} is a single number")
        return [Variable.of(np.ones_like(like[0].array))]
    _, vs = _tensors(v, name, "v")
    if len(vs) != len(like):
        raise GraphError(f"{name}: v has {len(vs)} tensors for {len(like)} {what}s")
    for i, (one, other) in enumerate(zip(vs, like, strict=True)):
        if one.array.shape != other.array.shape:
            raise ShapeError(
                f"{name}: v of {what} {i} has shape {one.array.shape}, expected {other.array.shape}"
            )
    return vs


def _given(results: Sequence[Any], many: bool, attached: bool) -> Any:
    """As the caller gave it: a tuple or the one result; outside the graph unless ``attached``."""
    shown = [r if attached or not r.requires_grad else r.detach() for r in results]
    return tuple(shown) if many else shown[0]


# -- the sweeps ----------------------------------------------------------------------------------


def _grad(ys: Sequence[Any], xs: list[Any], v: Sequence[Any], create_graph: bool) -> list[Any]:
    """Σ vᵀJ for each input; None where there is no dependence."""
    pairs = [(y, g) for y, g in zip(ys, v, strict=True) if y.requires_grad]
    if not pairs:
        return [None] * len(xs)
    outputs, seeds = zip(*pairs, strict=True)
    return list(grad(outputs, xs, seeds, True, create_graph, allow_unused=True))


def _filled(
    grads: Sequence[Any], like: Sequence[Any], strict: bool, create_graph: bool, name: str,
    what: str, item: str = "input",
) -> list[Any]:  # fmt: skip
    """The gradients with zeros for those that are None; an error for them if strict."""
    for i, g in enumerate(grads):
        if strict and g is None:
            raise GraphError(
                f"{name}: {what} is independent of {item} {i}, which strict=True does not allow"
            )
        if strict and create_graph and not g.requires_grad:
            raise GraphError(
                f"{name}: the derivative of {what} by {item} {i} is independent of the inputs, "
                "which strict=True with create_graph=True does not allow"
            )
    pairs = zip(grads, like, strict=True)
    return [Variable.of(np.zeros_like(x.array)) if g is None else g for g, x in pairs]


def _gradient(y: Any, xs: Sequence[Any], strict: bool, name: str) -> tuple[Any, ...]:
    """dy/dx, recorded."""
    grads = _grad([y], list(xs), [Variable.of(np.ones_like(y.array))], True)
    return tuple(_filled(grads, xs, strict, False, name, "the function's value"))


def _transposed(
    ys: Sequence[Any], xs: list[Any], v: list[Any], create_graph: bool, strict: bool, name: str,
    what: str,
) -> list[Any]:  # fmt: skip
    """Jv for each output: the vjp of u ↦ Jᵀu, which is linear, so that any u will do."""
    us = [own_variable(Variable.of(np.zeros_like(y.array)), False) for y in ys]
    rows = _filled(_grad(ys, xs, us, True), xs, strict, False, name, what)
    products = _grad(rows, us, v, create_graph)
    return _filled(products, ys, strict, create_graph, name, "the inputs' part", "output")


def _one_hots(x: Any) -> Any:
    """Every unit vector of the space of ``x``."""
    for k in range(x.array.size):
        seed = np.zeros(x.array.shape, x.array.dtype)
        seed.flat[k] = 1
        yield Variable.of(seed)


def _stacked(parts: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    if not parts:
        return Variable.of(np.zeros(shape, dtype))
    return reshape(stack(parts), shape)


def _rows(y: Any, number: int, xs: list[Any], create_graph: bool, strict: bool) -> list[Any]:
    """J of one output, for each input, row by row."""
    rows: list[list[Any]] = []
    for seed in _one_hots(y):
        what = f"output {number}"
        grads = _grad([y], xs, [seed], create_graph)
        rows.append(_filled(grads, xs, strict, create_graph, "jacobian", what))
    columns = list(zip(*rows, strict=True)) or [()] * len(xs)
    return [
        _stacked(list(column), y.array.shape + x.array.shape, x.array.dtype)
        for column, x in zip(columns, xs, strict=True)
    ]


def _columns(ys: list[Any], xs: list[Any], create_graph: bool, strict: bool) -> list[list[Any]]:
    """The same for all outputs, column by column: the vjps of the transposed map."""
    us = [own_variable(Variable.of(np.zeros_like(y.array)), False) for y in ys]
    grads = _grad(ys, xs, us, True)
    rows = _filled(grads, xs, strict, False, "jacobian", "the outputs")
    blocks: list[list[Any]] = [[] for _ in ys]
    for row, x in zip(rows, xs, strict=True):
        columns = []
        for seed in _one_hots(x):
            products = _grad([row], us, [seed], create_graph)
            columns.append(_filled(products, ys, False, create_graph, "jacobian", ""))
        by_output = list(zip(*columns, strict=True)) or [()] * len(ys)
        for block, y, column in zip(blocks, ys, by_output, strict=True):
            block.append(_last_axis(list(column), y, x))
    return blocks


def _last_axis(columns: list[Any], y: Any, x: Any) -> Any:
    """Columns of shape (*y) side by side as a Jacobian (*y, *x)."""
    shape = y.array.shape + x.array.shape
    if not columns:
        return Variable.of(np.zeros(shape, y.array.dtype))
    return reshape(stack(columns, -1), shape)


def _check_strategy(name: str, strategy: str, strict: bool, vectorize: bool) -> None:
    if strategy not in STRATEGIES:
        raise ConfigError(f"{name}: strategy must be one of {STRATEGIES}, got {strategy!r}")
    if strict and vectorize:
        raise ConfigError(f"{name}: strict=True and vectorize=True cannot be used together")
