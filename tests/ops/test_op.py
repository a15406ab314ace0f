"""How an op is declared, bound and recorded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.errors import GraphError
from chainrule.ops.op import Op, op, parameters_of, registry, spelled


@pytest.fixture(autouse=True)
def temporary_ops() -> Iterator[None]:
    """Ops made in a test leave the registry afterwards."""
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def make_scaled() -> Op:
    @op
    def scaled(x: Any, weight: Any, factor: float = 2.0) -> Any:
        """x · weight · factor."""
        return x * weight * factor

    scaled.vjp(
        x=lambda g, weight, factor: g * weight * factor,
        weight=lambda g, x, factor: g * x * factor,
    )
    return scaled


def test_an_op_is_documented() -> None:
    scaled = make_scaled()
    assert scaled.__doc__ == "x · weight · factor."
    assert repr(scaled) == "<op scaled(x, weight, factor)>"


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda x: x,
        lambda x, y=1, z=None: x,
        lambda x, y=1, *, k, m=(2,): x,
        lambda *, k=1: k,
        lambda x, *rest, k=1, **named: x,
        spelled(lambda x, dim=0: x),
        functools.partial(lambda x, y, z=3: x, 1, z=4),
        registry["conv2d"].vjp,
        len,
    ],
)
def test_parameters_are_those_of_the_signature(function: Any) -> None:
    expected = inspect.signature(function).parameters.values()
    assert list(parameters_of(function).items()) == [(p.name, p.default) for p in expected]


def test_parameters_of_all_ops_are_those_of_their_signatures() -> None:
    for made in registry.values():
        test_parameters_are_those_of_the_signature(made.forward)


def test_the_package_gives_a_name_once() -> None:
    def another(x: Any) -> Any:
        return x

    another.__module__ = "chainrule.ops.somewhere"
    made = op(another, name="another")
    assert registry["another"] is made
    with pytest.raises(GraphError, match="op 'another' is defined twice"):
        op(another, name="another")


def test_a_user_may_define_an_op_again_and_leaves_the_registry_alone() -> None:
    before = dict(registry)
    assert make_scaled() is not make_scaled()
    assert registry == before


def test_defaults_keywords_and_positions() -> None:
    scaled = make_scaled()
    x, w = np.ones(2), np.full(2, 3.0)
    for y in (scaled(x, w), scaled(x, w, 2.0), scaled(x, weight=w), scaled(weight=w, x=x),
              scaled(x, w, factor=2.0)):  # fmt: skip
        np.testing.assert_array_equal(y, 6)


def test_a_vjp_may_name_only_what_exists() -> None:
    scaled = make_scaled()
    with pytest.raises(TypeError, match="VJP of scaled: no argument 'bias'"):
        scaled.vjp(x=lambda g, bias: g)
    with pytest.raises(TypeError, match="no argument 'bias'"):
        scaled.vjp(bias=lambda g: g)


def test_what_a_vjp_may_ask_for() -> None:
    seen: dict[str, Any] = {}

    @op(aux=True)
    def curious(x: Any, n: int) -> Any:
        return x * n, "kept"

    def formula(g: Any, n: int, x_shape: Any, y: Any, aux: Any, x_dtype: Any) -> Any:
        seen.update(n=n, x_shape=x_shape, y=y, aux=aux, x_dtype=x_dtype)
        return g * n

    curious.vjp(x=formula)
    x = cr.ones(2, 3, requires_grad=True)
    curious(x, 4).sum().backward()
    assert (seen["n"], seen["x_shape"], seen["aux"], seen["x_dtype"]) == (
        4, (2, 3), "kept", np.float32,
    )  # fmt: skip
    np.testing.assert_array_equal(seen["y"], 4)
    assert curious.with_aux(np.ones(2), 3)[1] == "kept"


def test_work_for_inputs_that_need_no_gradient_is_not_done() -> None:
    ran: list[str] = []

    @op
    def product(a: Any, b: Any) -> Any:
        return a * b

    def for_a(g: Any, b: Any) -> Any:
        ran.append("a")
        return g * b

    def for_b(g: Any, a: Any) -> Any:
        ran.append("b")
        return g * a

    product.vjp(a=for_a, b=for_b)
    a, b = cr.ones(2, requires_grad=True), cr.ones(2)
    product(a, b).sum().backward()
    assert ran == ["a"]
    b.requires_grad_()
    y = product(a, b).sum()
    cr.autograd.grad(y, b)
    assert ran == ["a", "b"]


def test_one_formula_may_serve_several_inputs() -> None:
    calls: list[int] = []

    @op
    def joint(a: Any, b: Any, c: Any) -> Any:
        return a * b * c

    @joint.joint_vjp("a", "b", "c")
    def _(g: Any, a: Any, b: Any, c: Any) -> Any:
        calls.append(1)
        return g * b * c, g * a * c, g * a * b

    a, b, c = (cr.full((1,), v) for v in (2.0, 3.0, 5.0))
    a.requires_grad_()
    c.requires_grad_()
    joint(a, b, c).backward()
    assert calls == [1]
    assert (a.grad.item(), b.grad, c.grad.item()) == (15, None, 6)


def test_gradient_of_the_wrong_shape_or_dtype_is_an_error() -> None:
    @op
    def wrong_shape(x: Any) -> Any:
        return x * 1

    wrong_shape.vjp(x=lambda g: g[0])
    x = cr.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"a VJP gave a gradient \(\) of float32 for a tensor"):
        wrong_shape(x).sum().backward()


def test_ops_take_arrays_and_numbers_beside_tensors() -> None:
    x = cr.ones(2, requires_grad=True)
    y = ops.where(np.array([True, False]), x, 5.0)
    assert isinstance(y, cr.Tensor) and y.tolist() == [1, 5]
    assert isinstance(ops.add(np.ones(2), 1), np.ndarray)


def test_an_op_is_a_method_of_tensors() -> None:
    assert cr.Tensor.exp is ops.exp
    assert cr.ones(2).exp().shape == (2,)


# -- names of arguments ------------------------------------------------------------------------


@op
def blended(x, weight, dim=0, shape=(), indices_or_sections=1):
    return x, weight, dim, shape, indices_or_sections


@pytest.mark.parametrize("call", [blended, spelled(blended.forward)])
def test_arguments_go_by_pytorchs_and_numpys_names_too(call):
    expected = (1, 2, 3, 4, 5)
    assert call(1, 2, 3, 4, 5) == call(input=1, other=2, axis=3, size=4, sections=5) == expected
    assert call(1, mat2=2, dim=3, shape=4, indices=5, out=None) == expected
    assert call(tensor=1, weight=2, axis=3, size=4, tensor_indices_or_sections=5) == expected
    with pytest.raises(TypeError, match=r"blended\(\) got two values for argument 'dim'"):
        call(1, 2, axis=3, dim=3)
    with pytest.raises(TypeError, match=r"blended\(\) got .*'keepdim'"):
        call(1, 2, keepdim=True)
