"""The gradient checker itself, tested with wrong answers: a check that accepts them is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import GradcheckError, gradcheck, gradgradcheck, numerical_gradient
from chainrule.errors import GraphError
from chainrule.ops.op import op, registry


@pytest.fixture
def temporary_ops() -> Iterator[None]:
    """Ops made in a test leave the registry afterwards."""
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def op_with(vjp: Any) -> Any:
    """y = a·b with the given formula for a."""

    @op(name="wrong_product")
    def product(a: Any, b: Any) -> Any:
        return a * b

    product.vjp(a=vjp, b=lambda g, a, b: (g * a).sum(0) if b.ndim < g.ndim else g * a)
    return product


def inputs(a: tuple[int, ...] = (2, 3), b: tuple[int, ...] = (2, 3)) -> list[cr.Tensor]:
    rng = np.random.default_rng(0)
    return [cr.from_numpy(rng.uniform(0.5, 2, s)).requires_grad_() for s in (a, b)]


def _one_element_off(g: Any, b: Any) -> Any:
    factor = np.ones(g.shape)
    factor[1, 2] = 1.01
    return g * b * factor


@pytest.mark.parametrize(
    "vjp",
    [
        pytest.param(lambda g, b: -g * b, id="wrong sign"),
        pytest.param(lambda g, b: 1.01 * g * b, id="wrong scale"),
        pytest.param(_one_element_off, id="one element"),
        pytest.param(lambda g, a: g * a, id="not swapped"),
        pytest.param(lambda g, b: g * b * 0, id="zero"),
        pytest.param(lambda g, b: g * b * np.nan, id="nan"),
    ],
)
def test_gradcheck_rejects_a_wrong_vjp(vjp: Any, temporary_ops: None) -> None:
    with pytest.raises(GradcheckError, match=r"output 0, input 0, index \(\d, \d\): analytic"):
        gradcheck(op_with(vjp), inputs())


def test_gradcheck_names_the_element_that_is_wrong(temporary_ops: None) -> None:
    with pytest.raises(GradcheckError, match=r"index \(1, 2\).*1 of 6 elements disagree"):
        gradcheck(op_with(_one_element_off), inputs(), rtol=1e-5)


def test_gradcheck_can_answer_false(temporary_ops: None) -> None:
    wrong = op_with(lambda g, b: -g * b)
    assert gradcheck(wrong, inputs(), raise_exception=False) is False


def test_a_vjp_that_forgets_the_sum_over_a_broadcast_axis_is_rejected(temporary_ops: None) -> None:
    @op
    def careless_add(a: Any, b: Any) -> Any:
        return a + b

    careless_add.vjp(a=lambda g: g, b=lambda g: g)  # b (3,) was copied to every row
    with pytest.raises(GradcheckError, match=r"input 1: the gradient has shape \(2, 3\)"):
        gradcheck(careless_add, inputs((2, 3), (3,)))

    @op
    def first_row_only(a: Any, b: Any) -> Any:
        return a + b

    first_row_only.vjp(a=lambda g: g, b=lambda g: g[0])
    with pytest.raises(GradcheckError, match="input 1"):
        gradcheck(first_row_only, inputs((2, 3), (3,)))


def test_an_op_without_its_vjp_is_rejected(temporary_ops: None) -> None:
    @op
    def unrecorded_square(x: Any) -> Any:
        return x * x

    with pytest.raises(GradcheckError, match="analytic 0,"):
        gradcheck(unrecorded_square, inputs()[:1])


def test_the_right_vjp_is_accepted(temporary_ops: None) -> None:
    right = op_with(lambda g, b: g * b)
    assert gradcheck(right, inputs())
    assert gradgradcheck(right, inputs())


def test_gradgradcheck_rejects_a_wrong_second_derivative(temporary_ops: None) -> None:
    @op
    def half_cube(x: Any) -> Any:
        return 0.5 * x**3

    # right values, but the formula hides half of its dependence on x from the graph
    def hiding(g: Any, x: Any) -> Any:
        seen = x.detach() if isinstance(x, cr.Tensor) else x
        return 1.5 * g * x * seen

    half_cube.vjp(x=hiding)
    x = inputs()[:1]
    assert gradcheck(half_cube, x)
    with pytest.raises(GradcheckError, match="input 0"):
        gradgradcheck(half_cube, x)
    assert gradgradcheck(half_cube, x, raise_exception=False) is False


def test_one_direction_shows_a_single_wrong_element(temporary_ops: None) -> None:
    """As the contracts of ops check second derivatives."""

    @op
    def half_cube(x: Any) -> Any:
        return 0.5 * x**3

    def hiding(g: Any, x: Any) -> Any:
        shown = np.ones(x.shape)
        shown[1, 2] = 0.999
        seen = x.detach() if isinstance(x, cr.Tensor) else x
        return 1.5 * g * x * (x * shown + seen * (1 - shown))

    half_cube.vjp(x=hiding)
    x = inputs((5, 40))[:1]
    settings = {"eps": 1e-5, "atol": 1e-6, "rtol": 1e-5, "fast_mode": True}
    assert gradcheck(half_cube, x)
    with pytest.raises(GradcheckError, match="input 0, along one direction"):
        gradgradcheck(half_cube, x, **settings)


def test_gradgradcheck_checks_the_upstream_gradient_too(temporary_ops: None) -> None:
    @op
    def double(x: Any) -> Any:
        return 2 * x

    def hiding(g: Any) -> Any:
        return 2 * (g.detach() if isinstance(g, cr.Tensor) else g)

    double.vjp(x=hiding)
    x = inputs()[:1]
    assert gradcheck(double, x)
    with pytest.raises(GradcheckError, match="input 1"):
        gradgradcheck(double, x)


def test_gradcheck_refuses_to_check_nothing() -> None:
    with pytest.raises(GraphError, match="no input requires grad"):
        gradcheck(lambda x: x * x, cr.ones(2, dtype=cr.float64))


def test_numerical_gradient_restores_its_argument() -> None:
    x = np.array([1.0, -2.0])
    numeric = numerical_gradient(lambda: float((x**3).sum()), x)
    np.testing.assert_allclose(numeric, [3.0, 12.0], rtol=1e-8)
    np.testing.assert_array_equal(x, [1.0, -2.0])
