"""L-BFGS: step by step beside PyTorch's, on functions whose minimum is known, and its errors."""

import copy
from itertools import product

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ConfigError
from chainrule.optim.line_search import Line, Point, cubic_minimum, strong_wolfe


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def minimise(function, start, steps=1, **settings):
    """Run steps of L-BFGS from a point; returns the parameters, optimizer, evaluations."""
    parameters = [nn.Parameter(cr.tensor(np.asarray(v, np.float64))) for v in start]
    opt = optim.LBFGS(parameters, **settings)
    losses = []

    def closure():
        opt.zero_grad()
        loss = function(*parameters)
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        opt.step(closure)
    return parameters, opt, losses


def test_rosenbrock_to_ten_digits():
    (x, y), _, losses = minimise(
        rosenbrock, (-1.2, 1.0), line_search_fn="strong_wolfe", max_iter=100, max_eval=500,
        tolerance_change=0, tolerance_grad=1e-12,
    )  # fmt: skip
    assert abs(x.item() - 1) < 1e-10 and abs(y.item() - 1) < 1e-10
    assert len(losses) < 60


def quadratic(condition, size=20):
    """½ xᵀAx with eigenvalues from 1 to the condition number, in a turned basis."""
    rng = np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    matrix = cr.tensor(basis * np.geomspace(1, condition, size) @ basis.T)
    return (lambda x: (x * (matrix @ x)).sum() / 2), rng.standard_normal(size)


def test_a_quadratic_takes_a_few_iterations_for_each_eigenvalue():
    """Not many more where it is a hundred times worse conditioned; descent takes that many more."""
    iterations = []
    for condition in (1e2, 1e4):
        function, start = quadratic(condition)
        (x,), opt, _ = minimise(
            function, [start], line_search_fn="strong_wolfe", max_iter=1000, max_eval=1000,
            tolerance_change=0, tolerance_grad=1e-9,
        )  # fmt: skip
        assert np.abs(x.array).max() < 1e-9
        iterations.append(opt.state[x]["n_iter"])
    assert iterations[0] <= 3 * 20 and iterations[1] <= 5 * 20


def test_every_accepted_step_satisfies_the_strong_wolfe_conditions():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b, c = rng.uniform(0.5, 3, 3)

        def at(t, a=a, b=b, c=c):
            value = a * t**4 - b * t**2 - c * t + np.sin(3 * t)
            return Point(t, float(value), None, 4 * a * t**3 - 2 * b * t - c + 3 * np.cos(3 * t))

        start = at(0.0)
        if start.slope >= 0:
            continue
        point = strong_wolfe(Line(at, start, 1.0, 1e-9), rng.uniform(0.01, 5), 25)
        assert point.f <= start.f + 1e-4 * point.t * start.slope
        assert abs(point.slope) <= 0.9 * abs(start.slope)


def test_the_cubic_through_two_points_is_least_where_it_says():
    cubic = lambda t: Point(t, t**3 - 3 * t, None, 3 * t**2 - 3)  # noqa: E731  least at t = 1
    for a, b in [(0.0, 3.0), (3.0, 0.0), (-0.5, 1.5)]:
        assert cubic_minimum(cubic(a), cubic(b)) == pytest.approx(1)
    assert cubic_minimum(cubic(0.0), cubic(3.0), (1.5, 2.0)) == 1.5
    line = lambda t: Point(t, -(t**3) - t, None, -3 * t**2 - 1)  # noqa: E731  has no minimum
    assert cubic_minimum(line(0.0), line(2.0)) == 1


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(search):
    settings = {"line_search_fn": search, "max_iter": 3, "lr": 0.5, "history_size": 4}
    function, start = quadratic(50)
    (x,), _, _ = minimise(function, [start], steps=6, **settings)
    (y,), opt, _ = minimise(function, [start], steps=3, **settings)
    (z,) = [nn.Parameter(y.detach().clone())]
    again = optim.LBFGS([z], **settings)
    again.load_state_dict(copy.deepcopy(opt.state_dict()))

    def closure():
        again.zero_grad()
        loss = function(z)
        loss.backward()
        return loss

    for _ in range(3):
        again.step(closure)
    np.testing.assert_array_equal(x.array, z.array)


def test_parameters_without_gradient_of_no_size_and_of_none_at_all():
    used, unused = nn.Parameter(cr.ones(3)), nn.Parameter(cr.ones(2))
    empty, scalar = nn.Parameter(cr.ones(0, 3)), nn.Parameter(cr.tensor(2.0))
    opt = optim.LBFGS([empty, used, unused, scalar], line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = ((used - 3) ** 2).sum() + (scalar + 1) ** 2
        loss.backward()
        return loss

    opt.step(closure)
    np.testing.assert_allclose(used.array, 3, rtol=1e-5)
    assert scalar.item() == pytest.approx(-1, abs=1e-5) and (unused.array == 1).all()
    nothing = optim.LBFGS([nn.Parameter(cr.ones(0))])
    assert nothing.step(lambda: cr.tensor(5.0)).item() == 5


def test_parameters_in_other_memory_orders():
    start = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    goal = cr.tensor(np.arange(120.0).reshape(start.shape) / 60)
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(start, 1, -1)), -1, 1)
    for laid_out in (start, turned, np.asfortranarray(start)):
        w = nn.Parameter(cr.from_numpy(laid_out.copy(order="K")))
        opt = optim.LBFGS([w], line_search_fn="strong_wolfe", tolerance_change=0)

        def closure(w=w, opt=opt):
            opt.zero_grad()
            loss = ((w - goal) ** 4).sum() + ((w - goal) ** 2).sum()
            loss.backward()
            return loss

        opt.step(closure)
        np.testing.assert_allclose(w.array, goal.array, atol=1e-5)


def test_settings_that_are_refused():
    p = [nn.Parameter(cr.ones(2))]
    with pytest.raises(ConfigError, match=r"line_search_fn must be 'strong_wolfe' or None, got 'w"):
        optim.LBFGS(p, line_search_fn="wolfe")
    with pytest.raises(ConfigError, match=r"LBFGS: there can be one group of parameters"):
        optim.LBFGS([{"params": p}, {"params": [nn.Parameter(cr.ones(1))]}])
    with pytest.raises(ConfigError, match=r"history_size must be at least 1, got 0"):
        optim.LBFGS(p, history_size=0)
    with pytest.raises(ConfigError, match=r"step needs a closure that computes the loss"):
        optim.LBFGS(p).step()


# -- beside PyTorch ------------------------------------------------------------------------------

CHOICES = {
    "line_search_fn": [None, "strong_wolfe"],
    "lr": [1, 0.3],
    "max_iter": [8, 3],
    "history_size": [100, 3],
    "tolerance_change": [1e-9, 1e-4],
    "max_eval": [None, 5],
}
EVERY = [dict(zip(CHOICES, values, strict=True)) for values in product(*CHOICES.values())]


class Twins:
    """Softmax regression with a penalty, here and in PyTorch."""

    def __init__(self, torch, settings, dtype="float64"):
        rng = np.random.default_rng(1)
        self.x = rng.standard_normal((40, 6)).astype(dtype) * [1, 2, 1, 1, 0.5, 1]
        self.x = self.x.astype(dtype)
        self.labels = rng.integers(0, 3, 40)
        w, b = rng.standard_normal((3, 6)).astype(dtype), np.zeros(3, dtype)
        self.ours = [nn.Parameter(cr.tensor(v)) for v in (w, b)]
        self.theirs = [torch.nn.Parameter(torch.tensor(v)) for v in (w, b)]
        self.torch, self.settings = torch, settings
        self.opt = optim.LBFGS(self.ours, **settings)
        self.twin = torch.optim.LBFGS(self.theirs, **settings)

    def step(self):
        for lib, params, opt in ((cr, self.ours, self.opt), (self.torch, self.theirs, self.twin)):
            functional = nn.functional if lib is cr else self.torch.nn.functional
            x, labels = lib.tensor(self.x), lib.tensor(self.labels)

            def closure(params=params, opt=opt, functional=functional, x=x, labels=labels):
                opt.zero_grad()
                loss = functional.cross_entropy(functional.linear(x, *params), labels)
                loss = loss + 0.05 * (params[0] ** 2).sum()
                loss.backward()
                return loss

            opt.step(closure)

    def assert_equal(self, tolerance):
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=tolerance, atol=tolerance)
        ours, theirs = self.opt.state[self.ours[0]], self.twin.state[self.theirs[0]]
        assert theirs.keys() - ours.keys() <= {"al"}  # scratch
        for name in ("func_evals", "n_iter"):
            assert ours[name] == theirs[name]


@pytest.mark.parity
@pytest.mark.parametrize("settings", EVERY, ids=lambda s: "-".join(map(str, s.values())))
def test_step_by_step_as_pytorch(settings):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs chainrule[parity]")
    twins = Twins(torch, settings)
    for step in range(4):
        twins.step()
        twins.assert_equal(1e-10)
        if step == 1:
            saved = twins.twin.state_dict()
            twins.opt = optim.LBFGS(twins.ours, **settings)
            twins.opt.load_state_dict(saved)


@pytest.mark.parity
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_pytorch_goes_on_from_our_state(search):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs chainrule[parity]")
    twins = Twins(torch, {"max_iter": 3, "lr": 0.5, "line_search_fn": search})
    twins.step()
    twins.step()
    saved = twins.opt.state_dict()

    def converted(value):
        if isinstance(value, list):
            return [converted(v) for v in value]
        return torch.tensor(value.array) if isinstance(value, cr.Tensor) else value

    state = {n: {k: converted(v) for k, v in own.items()} for n, own in saved["state"].items()}
    twins.twin = torch.optim.LBFGS(twins.theirs, **twins.settings)
    twins.twin.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    twins.step()
    twins.step()
    twins.assert_equal(1e-10)


@pytest.mark.parity
def test_in_float32():
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs chainrule[parity]")
    twins = Twins(torch, {"max_iter": 3, "line_search_fn": "strong_wolfe"}, "float32")
    for _ in range(2):
        twins.step()
        twins.assert_equal(1e-4)


def test_a_softmax_classifier_reaches_the_optimum_of_scikit_learn():
    """Full batch, on the digits that scikit-learn brings: the same penalised problem."""
    sklearn = pytest.importorskip("sklearn.linear_model", reason="compares with scikit-learn")
    from sklearn.datasets import load_digits

    x, labels = load_digits(return_X_y=True)
    x, strength = x / 16, 1.0
    reference = sklearn.LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(x, labels)
    images, targets = cr.tensor(x), cr.tensor(labels)
    weight, bias = nn.Parameter(cr.zeros(10, 64).double()), nn.Parameter(cr.zeros(10).double())
    opt = optim.LBFGS(
        [weight, bias], line_search_fn="strong_wolfe", max_iter=2000, max_eval=4000,
        tolerance_change=0, tolerance_grad=1e-8,
    )  # fmt: skip

    def objective(w, b):
        loss = nn.functional.cross_entropy(nn.functional.linear(images, w, b), targets)
        return loss * strength + (w**2).sum() / (2 * len(x))

    def closure():
        opt.zero_grad()
        loss = objective(weight, bias)
        loss.backward()
        return loss

    opt.step(closure)
    theirs = objective(cr.tensor(reference.coef_), cr.tensor(reference.intercept_)).item()
    assert objective(weight, bias).item() <= theirs + 1e-9
    np.testing.assert_allclose(weight.array, reference.coef_, atol=1e-3)
    predicted = (x @ weight.array.T + bias.array).argmax(axis=1)
    assert (predicted == reference.predict(x)).mean() > 0.999
