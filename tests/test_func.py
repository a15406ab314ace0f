"""Derivatives as functions, against torch.func."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import func, nn
from chainrule.errors import ConfigError, GraphError, ShapeError

torch = pytest.importorskip("torch", reason="compared with PyTorch's")
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(0.5, 2, (2, 3)), RNG.uniform(0.5, 2, (3,))
V, W = RNG.standard_normal((2, 3)), RNG.standard_normal((3,))


def flat(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: flat(branch) for key, branch in tree.items()}
    if isinstance(tree, tuple | list):
        return [type(tree).__name__, *map(flat, tree)]
    return tree.detach().numpy() if hasattr(tree, "detach") else tree


def same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    elif isinstance(theirs, np.ndarray):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    else:
        assert ours == theirs


def scalar(x: Any, y: Any) -> Any:
    return ((x @ y) ** 2).sum() * y.sin().sum()


def tree(p: Any, x: Any) -> Any:
    return {"a": x * p["w"], "b": [p["b"][0].sum() * x.sum(), p["w"] * 2]}


STORIES = {
    "grad": lambda f, t: f.grad(scalar)(t(X), t(Y)),
    "grad of the second": lambda f, t: f.grad(scalar, argnums=1)(t(X), t(Y)),
    "grad of both": lambda f, t: f.grad(scalar, argnums=(1, 0))(t(X), t(Y)),
    "grad of one in a tuple": lambda f, t: f.grad(scalar, argnums=(0,))(t(X), t(Y)),
    "grad, has_aux": lambda f, t: f.grad(
        lambda x: ((x**2).sum(), {"aux": x * 2}), has_aux=True
    )(t(X)),
    "grad, keywords": lambda f, t: f.grad(lambda x, *, y: scalar(x, y))(t(X), y=t(Y)),
    "grad, unused": lambda f, t: f.grad(lambda x, y: x.sum(), argnums=(0, 1))(t(X), t(Y)),
    "grad of a dict": lambda f, t: f.grad(lambda p: (p["w"] * p["b"][0]).sum())(
        {"w": t(X), "b": (t(Y),)}
    ),
    "grad_and_value": lambda f, t: f.grad_and_value(scalar)(t(X), t(Y)),
    "grad_and_value, has_aux": lambda f, t: f.grad_and_value(
        lambda x: ((x**2).sum(), x * 2), has_aux=True
    )(t(X)),
    "grad of grad": lambda f, t: f.grad(f.grad(lambda x: (x**4).sum()))(t(1.5)),
    "four times": lambda f, t: f.grad(f.grad(f.grad(f.grad(lambda x: x.sin() * x))))(t(1.5)),
    "grad around another variable": lambda f, t: f.grad(
        lambda x: x * f.grad(lambda y: x * x * y * y)(x)
    )(t(1.5)),
    "vjp": lambda f, t: (lambda r: (r[0], r[1](t(V))))(f.vjp(lambda x: x.exp(), t(X))),
    "vjp of several": lambda f, t: (lambda r: (r[0], r[1](t(W[:2])), r[1](t(W[1:]))))(
        f.vjp(lambda x, y: x @ y, t(X), t(Y))
    ),
    "vjp of a tree": lambda f, t: (
        lambda r: (r[0], r[1]({"a": t(V), "b": [t(2.0), t(W)]}))
    )(f.vjp(tree, {"w": t(Y), "b": [t(Y)]}, t(X))),
    "vjp to a tuple": lambda f, t: (lambda r: r[1]((t(V), t(V * 2))))(
        f.vjp(lambda x: (x * 2, x.sin()), t(X))
    ),
    "vjp, has_aux": lambda f, t: (lambda r: (r[0], r[1](t(V)), r[2]))(
        f.vjp(lambda x: (x * x, x + 1), t(X), has_aux=True)
    ),
    "jvp": lambda f, t: f.jvp(lambda x, y: x @ y * y.sum(), (t(X), t(Y)), (t(V), t(W))),
    "jvp of one": lambda f, t: f.jvp(lambda x: (x.sin(), x.sum()), (t(X),), (t(V),)),
    "jvp, has_aux": lambda f, t: f.jvp(
        lambda x: (x * x, x + 1), (t(X),), (t(V),), has_aux=True
    ),
    "jacrev": lambda f, t: f.jacrev(lambda x: x.sin().sum(1))(t(X)),
    "jacrev of both": lambda f, t: f.jacrev(lambda x, y: x @ y, argnums=(0, 1))(t(X), t(Y)),
    "jacrev of trees": lambda f, t: f.jacrev(tree)({"w": t(Y), "b": [t(Y)]}, t(X)),
    "jacrev, has_aux": lambda f, t: f.jacrev(lambda x: (x * x, x + 1), has_aux=True)(t(Y)),
    "jacfwd": lambda f, t: f.jacfwd(lambda x: x.sin().sum(1))(t(X)),
    "jacfwd of both": lambda f, t: f.jacfwd(lambda x, y: x @ y, argnums=(0, 1))(t(X), t(Y)),
    "jacfwd to a tuple": lambda f, t: f.jacfwd(lambda x: (x @ x, x.sum()))(t(X[:, :2])),
    "hessian": lambda f, t: f.hessian(lambda x: (x**3).sum() * x.sum())(t(X)),
    "hessian of both": lambda f, t: f.hessian(scalar, argnums=(0, 1))(t(X), t(Y)),
    "jacrev of jacrev": lambda f, t: f.jacrev(f.jacrev(lambda x: x**3))(t(Y)),
    "vmap": lambda f, t: f.vmap(lambda x, y: x.sum() * y)(t(X), t(V)),
    "vmap, one argument shared": lambda f, t: f.vmap(lambda x, y: x @ y, (0, None))(t(X), t(Y)),
    "vmap, other axes": lambda f, t: f.vmap(lambda x, y: x * y, (1, -1), -1)(t(X), t(V)),
    "vmap of trees": lambda f, t: f.vmap(tree)({"w": t(X), "b": [t(V)]}, t(V)),
    "vmap, dims of trees": lambda f, t: f.vmap(
        tree, ({"w": 1, "b": [None]}, 1), {"a": 1, "b": [0, -1]}
    )({"w": t(X), "b": [t(V)]}, t(V)),
    "vmap, several results": lambda f, t: f.vmap(lambda x: (x.sum(), x * 2), out_dims=(0, 1))(t(X)),
    "vmap, keywords and settings": lambda f, t: f.vmap(
        lambda x, n, *, y: x**n + y, (0, None)
    )(t(X), 2, y=t(W)),
    "vmap of vmap": lambda f, t: f.vmap(f.vmap(lambda x, y: x * y, (None, 0)), (0, None))(
        t(Y), t(W)
    ),
    "vmap, the same for each": lambda f, t: f.vmap(lambda x: x.new_ones(2))(t(X)),
    "vmap of grad": lambda f, t: f.vmap(f.grad(scalar), (None, 0))(t(X), t(V)),
    "vmap of jacrev": lambda f, t: f.vmap(f.jacrev(lambda x: x.sin() * x.sum()))(t(X)),
    "vmap of the way back": lambda f, t: f.vmap(f.vjp(lambda x: x.exp(), t(X))[1])(
        t([V, V * 2, X])
    ),
    "grad of vmap": lambda f, t: f.grad(lambda x: f.vmap(lambda r: (r**2).sum())(x).prod())(t(X)),
    "jacfwd of vmap": lambda f, t: f.jacfwd(f.vmap(lambda x, y: x @ y, (0, None)), (0, 1))(
        t(X), t(Y)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_as_torch_func(name: str) -> None:
    def story(lib: Any) -> Any:
        return STORIES[name](lib.func, lambda a: lib.tensor(a, dtype=lib.float64))

    same(flat(story(cr)), flat(story(torch)))


def test_in_a_graph() -> None:
    def story(lib: Any) -> Any:
        x = lib.tensor(X, requires_grad=True)
        w = lib.tensor(Y, requires_grad=True)
        g = lib.func.grad(lambda x: (x**3 * w).sum())(x)
        assert g.requires_grad
        value, back = lib.func.vjp(lambda x: x * w, x)
        total = (g**2).sum() + (back(value)[0] ** 2).sum()
        return lib.autograd.grad(total, (x, w))

    same(flat(story(cr)), flat(story(torch)))


def test_outside_a_graph_nothing_is_attached() -> None:
    x = cr.tensor(X)
    g, value = func.grad_and_value(lambda x: (x**2).sum())(x)
    assert not g.requires_grad and not value.requires_grad
    w = cr.tensor(Y, requires_grad=True)
    assert func.grad(lambda x: (x * w).sum())(x).requires_grad
    with cr.no_grad():
        g = func.grad(lambda x: (x * w).sum())(x)
        assert not g.requires_grad and g.tolist() == np.broadcast_to(Y, (2, 3)).tolist()
    assert w.grad is None


def networks() -> Any:
    def build(lib: Any) -> Any:
        n = lib.nn
        return n.Sequential(n.Linear(3, 4), n.BatchNorm1d(4), n.Tanh(), n.Linear(4, 2)).double()

    torch.manual_seed(0)
    theirs, ours = build(torch), build(cr)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours.eval(), theirs.eval()


def test_grad_of_the_parameters_of_a_model() -> None:
    results = []
    for lib, model in zip((cr, torch), networks(), strict=True):
        names = dict(model.named_parameters())
        before = {k: v.detach().numpy().copy() for k, v in names.items()}
        buffers = {k: v.clone() for k, v in model.named_buffers()}

        def loss(params: Any, x: Any, lib: Any = lib, model: Any = model, b: Any = buffers) -> Any:
            return (lib.func.functional_call(model, (params, b), (x,)) ** 2).sum()

        params = {k: v.detach() for k, v in names.items()}
        results.append(flat((lib.func.grad(loss)(params, lib.tensor(X)), buffers)))
        assert all(model.get_parameter(k) is v for k, v in names.items())
        for k, v in names.items():
            np.testing.assert_array_equal(v.detach(), before[k])
            assert v.grad is None
        assert model.get_buffer("1.num_batches_tracked").item() == 0
    same(*results)


def test_functional_call() -> None:
    model = nn.Linear(2, 2)
    weight, x = cr.ones(2, 2) * 3, cr.ones(1, 2)
    with_own_bias = func.functional_call(model, {"weight": weight}, (x,), {})
    np.testing.assert_allclose((with_own_bias - model.bias).tolist(), [[6, 6]], rtol=1e-6)
    given = {"weight": weight, "bias": cr.zeros(2)}
    strictly = func.functional_call(model, given, kwargs={"input": x}, strict=True)
    assert strictly.tolist() == [[6, 6]]
    with pytest.raises(ConfigError, match="strict, but 'bias' is not given"):
        func.functional_call(model, {"weight": weight}, x, strict=True)
    with pytest.raises(ConfigError, match="Linear has no parameter or buffer 'w'"):
        func.functional_call(model, {"w": weight}, x)
    with pytest.raises(ConfigError, match="'weight' is given by two of the dicts"):
        func.functional_call(model, ({"weight": weight}, {"weight": weight}), x)
    with pytest.raises(ShapeError):
        func.functional_call(model, {"weight": cr.ones(2, 5)}, x)
    assert isinstance(model.weight, nn.Parameter)  # put back after the error, too


def test_functional_call_with_tied_weights() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: Any) -> Any:
            return self.b(self.a(x))

    model, x, w = Tied(), cr.ones(1, 2), cr.ones(2, 2)
    assert func.functional_call(model, {"a.weight": w}, x).tolist() == [[4, 4]]
    apart = func.functional_call(model, {"a.weight": w}, x, tie_weights=False)
    np.testing.assert_allclose(apart.tolist(), [(2 * model.a.weight.sum(1)).tolist()], rtol=1e-6)
    assert apart.tolist() != [[4, 4]]
    with pytest.raises(ConfigError, match="two values are given for one tied tensor"):
        func.functional_call(model, {"a.weight": w, "b.weight": w * 2}, x)
    assert model.a.weight is model.b.weight


def test_wrong_arguments() -> None:
    x = cr.tensor(X)
    with pytest.raises(ShapeError, match="grad: the function must return a single number"):
        func.grad(lambda x: x)(x)
    with pytest.raises(ConfigError, match="argnums: there is no positional argument 1 of 1"):
        func.grad(lambda x: x.sum(), argnums=1)(x)
    with pytest.raises(ConfigError, match="primals and tangents must be tuples"):
        func.jvp(lambda x: x, x, x)
    with pytest.raises(ConfigError, match=r"must return \(value, aux\)"):
        func.grad(lambda x: x.sum(), has_aux=True)(x)
    with pytest.raises(GraphError, match="expected tensors in tuples, lists and dicts, got a str"):
        func.grad(lambda x: x.sum())("x")
    with pytest.raises(ShapeError, match="vjp: expected tensors like the value"):
        func.vjp(lambda x: x, x)[1](cr.ones(2))
    with pytest.raises(GraphError, match="independent of the inputs"):
        func.jvp(lambda x: cr.ones(2), (x,), (x,), strict=True)
    with pytest.raises(AttributeError, match="func has no linearize: chainrule"):
        func.linearize  # noqa: B018


def test_vmap_in_a_graph() -> None:
    def story(lib: Any) -> Any:
        x, w = (lib.tensor(a, requires_grad=True) for a in (X, Y))
        lib.vmap(lambda r: (r * w).sin())(x).sum().backward()
        return x.grad, w.grad

    same(flat(story(cr)), flat(story(torch)))


def test_vmap_of_a_backward_pass_through_one_graph() -> None:
    """PyTorch's documentation of vmap: a Jacobian from products with the rows of the identity."""
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x**2
    (jacobian,) = func.vmap(lambda v: cr.autograd.grad(y, x, v))(cr.eye(3))
    np.testing.assert_array_equal(jacobian, np.diag([2.0, 4.0, 6.0]))
    with pytest.raises(GraphError, match="freed by an earlier backward pass"):
        cr.autograd.grad(y, x, cr.ones(3))  # as after any backward pass


def test_vmap_of_random_functions() -> None:
    x = cr.zeros(50, 2)
    with pytest.raises(ConfigError, match="vmap: the function draws random numbers; say whether"):
        func.vmap(lambda r: r + cr.rand(2))(x)
    different = func.vmap(lambda r: r + cr.rand(2), randomness="different")(x)
    assert len(different.unique()) == 100
    drawn = func.vmap(lambda r: r + cr.rand(2), randomness="same")(x)
    assert len(drawn.unique()) == 2
    assert cr.rand(2).tolist() != drawn[0].tolist()


def test_models_side_by_side() -> None:
    stacked = []
    for lib in (cr, torch):
        models = [lib.nn.BatchNorm1d(3).eval() for _ in range(2)]
        for k, m in enumerate(models):
            with lib.no_grad():
                m.weight.fill_(k + 2)
        models[0].bias.requires_grad_(False)
        models[1].bias.requires_grad_(False)
        params, buffers = lib.func.stack_module_state(models)
        assert params["weight"].requires_grad and params["weight"].is_leaf
        assert not params["bias"].requires_grad
        call = lambda p, b, x, lib=lib, m=models[0]: lib.func.functional_call(m, (p, b), (x,))  # noqa: E731
        x = lib.tensor(X, dtype=lib.float32)
        together = lib.vmap(call, (0, 0, None))(params, buffers, x)
        for k, m in enumerate(models):
            np.testing.assert_allclose(together[k].detach(), m(x).detach(), rtol=1e-6)
        stacked.append(flat((params, buffers, together.double())))
    np.testing.assert_allclose(stacked[0][-1], stacked[1][-1], rtol=1e-6)
    same(stacked[0][:-1], stacked[1][:-1])
    with pytest.raises(ConfigError, match="the models must all be of one class"):
        func.stack_module_state([nn.ReLU(), nn.Tanh()])
    with pytest.raises(ConfigError, match="all models must be in training, or none"):
        func.stack_module_state([nn.ReLU(), nn.ReLU().eval()])
    with pytest.raises(ConfigError, match="expected at least one model"):
        func.stack_module_state([])


def test_what_vmap_refuses() -> None:
    x = cr.ones(2, 3)
    wrong = {
        "2 in_dims for 1 arguments": lambda: func.vmap(lambda x: x, (0, 0))(x),
        "no argument counts the samples": lambda: func.vmap(lambda x: x, None)(x),
        "in_dims are 0 for a int": lambda: func.vmap(lambda x, n: x * n)(x, 2),
        r"the dims \[0, 0\] do not fit a list of 1": lambda: func.vmap(sum, ([0, 0],))([x]),
        "must return tensors, got float": lambda: func.vmap(lambda x: x.sum().item())(x),
        "randomness is 'error', 'different' or 'same'": lambda: func.vmap(sum, randomness="no"),
    }
    for message, call in wrong.items():
        with pytest.raises(ConfigError, match=message):
            call()
    with pytest.raises(ShapeError, match="different numbers of samples"):
        func.vmap(lambda x, y: x)(x, cr.ones(3))
    with pytest.raises(ShapeError, match="must be at least one sample"):
        func.vmap(lambda x: x)(cr.ones(0, 3))
    with pytest.raises(ShapeError, match="vmap: there is no dim 2; with 2 axes"):
        func.vmap(lambda x: x, 2)(x)
