"""Operations of the user's own, as they are written for PyTorch: the same code in both."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, gradcheck, gradgradcheck
from chainrule.autograd.function import once_differentiable
from chainrule.errors import GraphError, ShapeError


def functions(torch: Any) -> SimpleNamespace:
    """The same functions on the one or the other library."""
    Function = torch.autograd.Function

    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, factor: float, name: Any = None) -> Any:
            ctx.save_for_backward(x)
            ctx.factor = factor
            return factor * x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3 * ctx.factor * x**2, None, None

    class Exp(Function):
        """With its result saved."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0]

    class Apart(Function):
        """With a context that is set up apart, and a default argument."""

        @staticmethod
        def forward(a: Any, b: Any, k: float = 2.0) -> Any:
            return a * b * k

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            a, b, ctx.k = inputs
            ctx.save_for_backward(a, b)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            da = g * b * ctx.k if ctx.needs_input_grad[0] else None
            db = g * a * ctx.k if ctx.needs_input_grad[1] else None
            return da, db, None

    class Several(Function):
        """Two results with gradients, an integer one, and one that is no tensor."""

        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            e = a.exp()
            ctx.save_for_backward(e, b, None)
            positive = a > 0
            ctx.mark_non_differentiable(positive)
            return e, a * b, positive, "name"

        @staticmethod
        def backward(ctx: Any, ge: Any, gm: Any, *others: Any) -> Any:
            e, b, nothing = ctx.saved_tensors
            assert nothing is None and others[1] is None
            return ge * e + gm * b, gm * e.log()

    class Lazy(Function):
        """What nothing was computed from has None for a gradient."""

        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            ctx.set_materialize_grads(False)
            return a * 2, a * 3

        @staticmethod
        def backward(ctx: Any, g2: Any, g3: Any) -> Any:
            assert (g2 is None) != (g3 is None)
            return g2 * 2 if g3 is None else g3 * 3

    class AddOne(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    class Same(Function):
        """An input is handed through; its gradient is turned round."""

        @staticmethod
        def forward(ctx: Any, x: Any, scale: float) -> Any:
            ctx.scale = scale
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return -ctx.scale * g, None

    class Sum(Function):
        """The gradient is given in the shape of the larger argument."""

        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            return a + b

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g, g

    class ByVJP(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 5

        @staticmethod
        def vjp(ctx: Any, g: Any) -> Any:
            return g * 5

    return SimpleNamespace(**{k: v for k, v in locals().items() if isinstance(v, type)})


OURS = functions(cr)

EXPRESSIONS = {
    "saved input": lambda f, a, b: f.Cube.apply(a, 2.0),
    "keeps other arguments": lambda f, a, b: f.Cube.apply(a * b, 0.5, "name"),
    "saved result": lambda f, a, b: f.Exp.apply(a) * f.Exp.apply(b),
    "context apart": lambda f, a, b: f.Apart.apply(a, b),
    "context apart, by name": lambda f, a, b: f.Apart.apply(a, b=b * 2, k=3.0),
    "several results": lambda f, a, b: (lambda r: r[0] * r[1])(f.Several.apply(a, b)),
    "several results, one used": lambda f, a, b: f.Several.apply(a, b)[1],
    "several results, the other": lambda f, a, b: f.Several.apply(a, b)[0] + b * 0,
    "without zeros": lambda f, a, b: f.Lazy.apply(a)[1] + f.Lazy.apply(b)[0],
    "in place": lambda f, a, b: f.AddOne.apply(a * b) * a,
    "handed through": lambda f, a, b: f.Same.apply(a, 0.5) * b,
    "broadcast": lambda f, a, b: f.Sum.apply(a * b, b.sum()) * a,
    "vjp": lambda f, a, b: f.ByVJP.apply(a) * b,
}


def leaves(lib: Any) -> list[Any]:
    values = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 2))
    return [lib.tensor(v, dtype=lib.float64, requires_grad=True) for v in values]


@pytest.mark.parity
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_value_and_derivatives_are_those_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib, f in ((cr, OURS), (torch, functions(torch))):
        a, b = leaves(lib)
        y = EXPRESSIONS[name](f, a, b)
        first = lib.autograd.grad((y**2).sum(), (a, b), create_graph=True, materialize_grads=True)
        second = lib.autograd.grad(sum((g**2).sum() for g in first), (a, b), materialize_grads=True)
        results.append([y, *first, *second])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-12)


@pytest.mark.parametrize(
    "name", [n for n in EXPRESSIONS if n not in ("handed through", "several results, the other")]
)
def test_gradcheck_of_functions(name: str) -> None:
    def call(a: Any, b: Any) -> Any:
        return EXPRESSIONS[name](OURS, a, b)

    assert gradcheck(call, leaves(cr)) and gradgradcheck(call, leaves(cr))


def test_results_know_their_function() -> None:
    a, b = leaves(cr)
    e, m, positive, name = OURS.Several.apply(a, b)
    assert e.requires_grad and m.requires_grad and name == "name"
    assert not positive.requires_grad and positive.dtype == cr.bool
    assert OURS.Cube.apply(a, 1.0).grad_fn.name() == "CubeBackward"


def test_nothing_is_recorded_where_no_gradient_is_wanted() -> None:
    a, b = leaves(cr)
    with cr.no_grad():
        assert not OURS.Cube.apply(a, 1.0).requires_grad
    assert not OURS.Cube.apply(a.detach(), 1.0).requires_grad
    y = OURS.Apart.apply(a, b.detach())
    assert cr.autograd.grad(y.sum(), a)[0].tolist() == (2 * b).tolist()


def test_forward_is_not_recorded() -> None:
    seen = []

    class Look(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * 2
            seen.append((y.requires_grad, x.requires_grad))
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    Look.apply(leaves(cr)[0])
    assert seen == [(False, True)]


def test_memory_is_freed_by_reference_counts() -> None:
    gc.collect()
    gc.disable()
    try:
        a, b = leaves(cr)
        y = OURS.Exp.apply(a)
        e, m, *_ = OURS.Several.apply(a, b)
        dropped = [weakref.ref(t) for t in (y, e, m, y.grad_fn, e.grad_fn)]
        arrays = [weakref.ref(t.array) for t in (y, e)]
        total = (y * e * m).sum()
        del y, e, m
        assert all(r() is not None for r in arrays)
        total.backward()
        assert all(r() is None for r in arrays), "backward lets go of what was saved"
        del total
        assert all(r() is None for r in dropped)
    finally:
        gc.enable()


def test_a_second_backward_needs_retain_graph() -> None:
    y = OURS.Cube.apply(leaves(cr)[0], 1.0)
    seed = cr.ones_like(y)
    y.backward(seed, retain_graph=True)
    y.backward(seed)
    with pytest.raises(GraphError, match="graph of Cube has been freed"):
        y.backward(seed)


def test_a_gradient_that_backward_keeps_is_not_added_to() -> None:
    kept = cr.ones(3)

    class Constant(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return kept

    x = cr.zeros(3, requires_grad=True)
    (Constant.apply(x) + Constant.apply(x) + x * 2).sum().backward()
    assert x.grad.tolist() == [4, 4, 4] and kept.tolist() == [1, 1, 1]
    x.grad.add_(1)
    assert kept.tolist() == [1, 1, 1]


def test_once_differentiable() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g * ctx.saved_tensors[0]

    x = cr.tensor([3.0], requires_grad=True)
    (g,) = cr.autograd.grad(Square.apply(x), x, create_graph=True)
    assert g.item() == 6
    with pytest.raises(GraphError, match=r"Square\.backward is marked @once_differentiable"):
        g.backward()


# -- what is wrong is said ---------------------------------------------------------------------


def function_with(
    backward: Any = lambda ctx, g: g, forward: Any = lambda ctx, x: x * 2
) -> type[Function]:
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Wrong", (Function,), members)


def test_too_few_gradients() -> None:
    wrong = function_with(forward=lambda ctx, x, k: x * k)
    y = wrong.apply(cr.ones(2, requires_grad=True), 2)
    with pytest.raises(GraphError, match=r"Wrong\.backward returned 1 gradients.* takes 2 arg"):
        y.sum().backward()


def test_trailing_none_is_harmless() -> None:
    x = cr.ones(2, requires_grad=True)
    function_with(lambda ctx, g: (g * 2, None, None)).apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_a_gradient_of_the_wrong_shape() -> None:
    y = function_with(lambda ctx, g: cr.ones(3)).apply(cr.ones(2, requires_grad=True))
    with pytest.raises(ShapeError, match=r"Wrong\.backward returned a gradient \(3,\)"):
        y.sum().backward()


def test_a_gradient_that_is_no_tensor() -> None:
    y = function_with(lambda ctx, g: 1.0).apply(cr.ones(2, requires_grad=True))
    with pytest.raises(GraphError, match=r"returned a float for argument 0"):
        y.sum().backward()


def test_a_gradient_for_what_is_no_tensor() -> None:
    wrong = function_with(lambda ctx, g: (g, g), forward=lambda ctx, x, k: x * k)
    y = wrong.apply(cr.ones(2, requires_grad=True), 3)
    with pytest.raises(GraphError, match=r"a gradient for argument 1, which is no tensor; return"):
        y.sum().backward()


def test_a_gradient_of_another_dtype_is_converted() -> None:
    x = cr.ones(2, requires_grad=True)
    function_with(lambda ctx, g: g.double()).apply(x).sum().backward()
    assert x.grad.dtype == cr.float32


def test_a_saved_tensor_that_was_changed() -> None:
    a = leaves(cr)[0]
    h = a * 1
    y = OURS.Cube.apply(h, 1.0)
    h.mul_(2)
    with pytest.raises(GraphError, match=r"Cube: saved_tensors\[0\] \(3, 2\) was changed in"):
        y.sum().backward()


def test_a_leaf_must_not_be_changed_in_place() -> None:
    with pytest.raises(GraphError, match="leaf that requires grad in place"):
        OURS.AddOne.apply(leaves(cr)[0])


def test_dirty_inputs_must_be_returned() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x * 2

    with pytest.raises(GraphError, match="inputs of forward that it also returns"):
        function_with(forward=forward).apply(leaves(cr)[0] * 1)


def test_only_tensors_are_saved() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x, 3)
        return x

    with pytest.raises(GraphError, match="save_for_backward: takes tensors and None, got int"):
        function_with(forward=forward).apply(leaves(cr)[0])


def test_functions_have_no_instances() -> None:
    with pytest.raises(GraphError, match=r"call Cube\.apply"):
        OURS.Cube()


def test_backward_is_missing() -> None:
    forward_only = type("Half", (Function,), {"forward": staticmethod(lambda ctx, x: x * 2)})
    y = forward_only.apply(cr.ones(1, requires_grad=True))
    with pytest.raises(NotImplementedError, match="Half must define the static method backward"):
        y.backward()


def test_keywords_need_a_context_apart() -> None:
    with pytest.raises(TypeError, match=r"Cube\.apply\(\) takes no keyword arguments"):
        OURS.Cube.apply(leaves(cr)[0], factor=2.0)
