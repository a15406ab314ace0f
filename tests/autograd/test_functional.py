"""Jacobians, Hessians and products with them, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp
from chainrule.errors import ConfigError, GraphError, ShapeError

torch = pytest.importorskip("torch", reason="compared with PyTorch's")
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(0.5, 2, (2, 3)), RNG.uniform(0.5, 2, (3,))
V, W = RNG.standard_normal((2, 3)), RNG.standard_normal((3,))


def flat(result: Any) -> list[Any]:
    """Structure and values: nested tuples of arrays."""
    if isinstance(result, tuple | list):
        return [flat(r) for r in result]
    return result.detach().numpy()


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def both(story: Any) -> None:
    """The story gives the same here and there."""

    def t(lib: Any) -> Any:
        return lambda a, **k: lib.tensor(a, **k)

    same(flat(story(cr, t(cr))), flat(story(torch, t(torch))))


FUNCTIONS = {  # to several numbers
    "one to one": (lambda x: (x * x).sum(1).exp(), False, False),
    "one to several": (lambda x: (x.sin(), x.sum(0) ** 2), False, True),
    "several to one": (lambda x, y: x @ y * y.sum(), True, False),
    "several to several": (lambda x, y: (x * y, (x @ y).exp(), y.sum().sin()), True, True),
    "independent": (lambda x, y: (x * 2, y * y), True, True),
    "constant": (lambda x: (x.detach() * 2, x * 2), False, True),
    "0-d": (lambda x, y: x.sum() * y.sum(), True, False),
}

SCALARS = {  # to a single number
    "cubic": (lambda x: (x**3).sum(), False),
    "mixed": (lambda x, y: ((x @ y) ** 2).sum() * y.sin().sum(), True),
    "shape (1,)": (lambda x: (x**3).sum().reshape(1), False),
    "no x² of y": (lambda x, y: (x**2).sum() + y.sum(), True),
    "network": (
        lambda x, y: ((x.tanh() * y).sum(1).sigmoid().log()).sum(),
        True,
    ),
}


def inputs(t: Any, many: bool) -> Any:
    return (t(X), t(Y)) if many else t(X)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_jacobian(name: str, strategy: str) -> None:
    f, many, _ = FUNCTIONS[name]

    def story(lib: Any, t: Any) -> Any:
        own = {"strategy": strategy} if lib is cr else {}
        return lib.autograd.functional.jacobian(f, inputs(t, many), **own)

    both(story)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vjp(name: str) -> None:
    f, many, out_many = FUNCTIONS[name]

    def story(lib: Any, t: Any) -> Any:
        given = inputs(t, many)
        y = f(*given) if many else f(given)
        v = tuple(t(np.cos(o.numpy())) for o in y) if out_many else t(np.cos(y.numpy()))
        return lib.autograd.functional.vjp(f, given, v)

    both(story)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jvp(name: str) -> None:
    f, many, _ = FUNCTIONS[name]

    def story(lib: Any, t: Any) -> Any:
        v = (t(V), t(W)) if many else t(V)
        return lib.autograd.functional.jvp(f, inputs(t, many), v)

    both(story)


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("product", ["vhp", "hvp"])
def test_products_with_the_hessian(name: str, product: str) -> None:
    f, many = SCALARS[name]

    def story(lib: Any, t: Any) -> Any:
        v = (t(V), t(W)) if many else t(V)
        value, result = getattr(lib.autograd.functional, product)(f, inputs(t, many), v)
        return value.reshape(()), result

    both(story)


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_hessian(name: str, strategy: str) -> None:
    f, many = SCALARS[name]

    def story(lib: Any, t: Any) -> Any:
        own = {"outer_jacobian_strategy": strategy} if lib is cr else {}
        return lib.autograd.functional.hessian(f, inputs(t, many), **own)

    both(story)


@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
def test_create_graph(name: str) -> None:
    def story(lib: Any, t: Any) -> Any:
        x = t(X, requires_grad=True)
        v = t(V, requires_grad=True)
        f = getattr(lib.autograd.functional, name)

        def cubic(x: Any) -> Any:
            return (x**3).sum() * x.sum()

        args = {"vjp": (t(2.0, dtype=lib.float64),), "jvp": (v,), "vhp": (v,), "hvp": (v,)}
        result = f(cubic, x, *args.get(name, ()), create_graph=True)
        result = result[1] if isinstance(result, tuple) else result
        assert result.requires_grad
        return result, lib.autograd.grad((result**2).sum(), x)

    both(story)


def test_without_create_graph_nothing_is_attached() -> None:
    x = cr.tensor(X, requires_grad=True)
    value, product = vjp(lambda x: x.exp(), x, cr.tensor(V))
    assert not value.requires_grad and not product.requires_grad
    assert not jacobian(lambda x: x.exp(), x).requires_grad
    assert not hessian(lambda x: x.exp().sum(), x).requires_grad
    assert x.grad is None


def test_v_may_be_left_out_for_a_number() -> None:
    x = cr.tensor(3.0)
    assert jvp(lambda x: x**2, x)[1].item() == 6
    assert vjp(lambda x: (x**2).sum(), cr.tensor([3.0, 4.0]))[1].tolist() == [6, 8]
    assert hvp(lambda x: x**3, x)[1].item() == vhp(lambda x: x**3, x)[1].item() == 18


def test_under_no_grad() -> None:
    with cr.no_grad():
        assert jacobian(lambda x: x**2, cr.tensor([1.0, 2.0])).tolist() == [[2, 0], [0, 4]]


def test_empty_tensors() -> None:
    assert jacobian(lambda x: x * 2, cr.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: x.sum(), cr.zeros(0)).shape == (0,)
    assert jacobian(lambda x: x.sum(), cr.zeros(0), strategy="forward-mode").shape == (0,)


# -- strict, and what is refused -------------------------------------------------------------------

STRICT = {
    "output is constant": lambda lib, f, t: f(lambda x: x.detach(), t(X), strict=True),
    "input is not used": lambda lib, f, t: f(lambda x, y: x * 2, (t(X), t(Y)), strict=True),
    "derivative is constant": lambda lib, f, t: f(
        lambda x: x * 2, t(X), strict=True, create_graph=True
    ),
}


@pytest.mark.parametrize("story", STRICT.values(), ids=STRICT)
def test_strict_jacobian(story: Any) -> None:
    for lib, f in ((cr, jacobian), (torch, torch.autograd.functional.jacobian)):
        with pytest.raises(RuntimeError, match=r"independent|does not require"):
            story(lib, f, lib.tensor)


@pytest.mark.parametrize("product", [vhp, hvp, hessian])
def test_strict_second_derivatives(product: Any) -> None:
    v = () if product is hessian else ((cr.tensor(V), cr.tensor(W)),)
    with pytest.raises(GraphError, match="independent of"):
        product(lambda x, y: (x**2).sum() + y.sum(), (cr.tensor(X), cr.tensor(Y)), *v, strict=True)


def test_strict_products() -> None:
    args = (cr.tensor(X), cr.tensor(Y))
    with pytest.raises(GraphError, match=r"vjp: .* independent of input 1"):
        vjp(lambda x, y: x * 2, args, cr.tensor(V), strict=True)
    with pytest.raises(GraphError, match=r"jvp: .* independent of input 1"):
        jvp(lambda x, y: x * 2, args, (cr.tensor(V), cr.tensor(W)), strict=True)


def test_wrong_arguments() -> None:
    x = cr.tensor(X)
    with pytest.raises(ConfigError, match="strategy must be one of"):
        jacobian(lambda x: x, x, strategy="sideways")
    with pytest.raises(ConfigError, match="strict=True and vectorize=True"):
        jacobian(lambda x: x, x, strict=True, vectorize=True)
    with pytest.raises(GraphError, match="hessian: the function must return a single number"):
        hessian(lambda x: x, x)
    with pytest.raises(GraphError, match="v may be left out only if the output"):
        vjp(lambda x: x, x)
    with pytest.raises(ShapeError, match=r"v of input 0 has shape \(3,\), expected \(2, 3\)"):
        jvp(lambda x: x, x, cr.tensor(Y))
    with pytest.raises(GraphError, match="v has 1 tensors for 2 inputs"):
        jvp(lambda x, y: x, (x, x), x)
    with pytest.raises(GraphError, match=r"inputs must be a tensor .* number 1 is a float"):
        jacobian(lambda x, y: x, (x, 1.0))
    with pytest.raises(GraphError, match="the function's value must be a tensor"):
        jacobian(lambda x: 1.0, x)


def test_strict_names_what_depends_on_nothing() -> None:
    x = cr.ones(2)
    with pytest.raises(GraphError, match="hvp: the gradient is independent of input 0"):
        hvp(lambda x: x.sum(), x, x, strict=True)
    for product in (jvp, vjp):
        v = (x, x) if product is jvp else x
        with pytest.raises(GraphError, match=": the function's value is independent of input 1"):
            product(lambda x, y: x * 2, (x, x), v, strict=True)
