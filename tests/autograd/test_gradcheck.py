"""gradcheck works in float64 by itself, names what is wrong, and tells a kink from an error."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import (
    Function,
    GradcheckError,
    gradcheck,
    gradcheck_report,
    gradgradcheck,
)
from chainrule.errors import ConfigError, GraphError
from chainrule.ops.op import op, registry

F = nn.functional


@pytest.fixture(autouse=True)
def temporary_ops() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def leaf(*values: Any, dtype: Any = cr.float64) -> cr.Tensor:
    return cr.tensor(values, dtype=dtype, requires_grad=True)


def with_gradient(forward: Any, derivative: Any) -> Any:
    """An elementwise operation with the derivative that is claimed for it."""

    @op
    def claimed(x: Any) -> Any:
        return forward(x)

    claimed.vjp(x=lambda g, x: g * derivative(x))
    return claimed


# -- in float64 by itself --------------------------------------------------------------------------


def test_single_precision_inputs() -> None:
    x, c = leaf(0.5, -1.5, dtype=cr.float32), cr.tensor([3.0, 4.0])
    seen = []

    def f(x: Any, c: Any) -> Any:
        seen.append((x.dtype, c.dtype))
        return (x * c).exp()

    assert gradcheck(f, (x, c)) and gradgradcheck(f, (x, c))
    assert set(seen) == {(np.dtype("float64"),) * 2}
    assert x.dtype == cr.float32 and x.tolist() == [0.5, -1.5] and x.grad is None


def test_half_precision_inputs() -> None:
    assert gradcheck(lambda x: x.sin(), leaf(0.5, -1.5, dtype=cr.float16))


def test_double_precision_inputs_are_the_same_tensors() -> None:
    x, seen = leaf(0.5), []
    gradcheck(lambda y: (seen.append(y), y * 2)[1], x)
    assert all(y is x for y in seen)


def network() -> nn.Sequential:
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(8, 2),
    )  # fmt: skip


def calls_of(net: Any) -> dict[str, Any]:
    """Ways to use a module in a function."""
    return {
        "itself": net,
        "its method": net.forward,
        "closed over": lambda x: net(x) * 2,
        "partial": functools.partial(lambda m, x: m(x), net),
    }


@pytest.mark.parametrize("name", ["itself", "its method", "closed over", "partial"])
def test_a_module_in_single_precision(name: str) -> None:
    net, x = network(), cr.rand(2, 1, 3, 3)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    arrays = {k: p.array for k, p in net.named_parameters()}
    random = cr.random.default_generator.get_state()
    report = gradcheck_report(calls_of(net)[name], x.requires_grad_())
    assert report, str(report)
    names = [r.name for r in report.rows]
    assert names == ["input 0", *(f"parameter {k!r}" for k, _ in net.named_parameters())]
    assert max(r.max_relative_error for r in report.rows) < 1e-4
    for k, v in net.state_dict().items():  # running statistics, too
        assert v.dtype == before[k].dtype and v.tolist() == before[k].tolist(), k
    assert all(p.array is arrays[k] and p.grad is None for k, p in net.named_parameters())
    assert cr.random.default_generator.get_state() == random
    assert gradgradcheck(calls_of(net)[name], x, samples=3)


def test_a_module_in_the_globals_of_a_function() -> None:
    names = {"net": nn.Linear(2, 2)}
    exec("def f(x): return net(x)", names)
    report = gradcheck_report(names["f"], cr.ones(1, 2))
    assert [r.name for r in report.rows] == ["parameter 'weight'", "parameter 'bias'"] and report


def test_which_parameters() -> None:
    net = nn.Linear(2, 1)
    x = leaf([1.0, 2.0])

    def rows(**given: Any) -> list[str]:
        return [r.name for r in gradcheck_report(net, x, **given).rows]

    assert rows(params=()) == ["input 0"]
    assert rows(params={"w": net.weight}) == ["input 0", "parameter 'w'"]
    assert rows(params=[net.bias]) == ["input 0", "parameter 0"]
    assert rows(params=net) == ["input 0", "parameter 'weight'", "parameter 'bias'"]
    net.weight.requires_grad_(False)
    assert rows() == ["input 0", "parameter 'bias'"]
    others = {"net": net}  # out of sight
    report = gradcheck_report(lambda x: others["net"](x), x, params=others["net"])
    assert [r.name for r in report.rows] == ["input 0", "parameter 'bias'"]


def test_only_parameters() -> None:
    assert gradcheck(nn.Linear(2, 2), cr.ones(1, 2))
    with pytest.raises(GraphError, match="no input requires grad"):
        gradcheck(nn.Linear(2, 2), cr.ones(1, 2), params=())


def test_rounding_beside_a_zero_gradient_is_no_large_relative_error() -> None:
    """A bias before batch norm has the gradient 0."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    report = gradcheck_report(net, cr.randn(4, 2))
    bias = next(r for r in report.rows if r.name == "parameter '0.bias'")
    assert report and bias.max_relative_error < 1e-4


def test_samples() -> None:
    x = cr.rand(40, 40, dtype=cr.float64, requires_grad=True)
    report = gradcheck_report(lambda x: x.sin(), x, samples=7)
    assert report and report.rows[0].count == 7


# -- what is wrong is named ------------------------------------------------------------------------


class HalfGradient(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        dw = (g * x).clone()
        dw.array[1] *= 0.5
        return g * w, dw


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(cr.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Any) -> Any:
        return HalfGradient.apply(x, self.scale)


def test_a_parameter_is_named() -> None:
    net = nn.Sequential(nn.Identity(), Layer())
    with pytest.raises(GradcheckError) as raised:
        gradcheck(net, leaf(1.0, 4.0, 2.0, dtype=cr.float32))
    message = str(raised.value)
    assert message.startswith("gradcheck: output 0, parameter '1.scale', index (1,): analytic ")
    assert "relative error 0.5; 1 of 3 elements disagree" in message
    analytic = float(message.split("analytic ")[1].split(",")[0])
    numerical = float(message.split("numerical ")[1].split(",")[0])
    assert numerical == pytest.approx(2 * analytic, rel=1e-6)
    report = gradcheck_report(net, leaf(1.0, 4.0, 2.0))
    assert not report and [r.disagreeing for r in report.rows] == [0, 1]


def test_the_error_has_its_numbers() -> None:
    with pytest.raises(GradcheckError) as raised:
        gradcheck(with_gradient(np.sin, lambda x: 2 * np.cos(x)), leaf(0.5, 0.1))
    worst = raised.value.report.worst
    assert (worst.output, worst.tensor, worst.index) == (0, "input 0", (0,))
    assert worst.analytic == pytest.approx(2 * worst.numerical, rel=1e-6)
    assert worst.relative_error == pytest.approx(0.5, rel=1e-6)
    assert gradcheck_report(lambda x: x * 2, leaf(1.0)).worst is None


def test_a_large_model_is_checked_in_parts_unless_asked_for() -> None:
    net = nn.Linear(200, 60)
    report = gradcheck_report(net, cr.ones(1, 200))
    assert [r.count for r in report.rows] == [20, 20] and report
    report = gradcheck_report(net, cr.ones(1, 200), params=net, samples=100)
    assert [r.count for r in report.rows] == [100, 60]


def test_the_worst_element_is_named() -> None:
    wrong = with_gradient(lambda x: x**2, lambda x: 2 * x * np.array([1.0, 1.1, 2.0, 1.0]))
    with pytest.raises(GradcheckError, match=r"index \(2,\): .*; 2 of 4 elements disagree"):
        gradcheck(wrong, leaf(1.0, 1.0, 1.0, 1.0))


def test_the_report_is_a_table() -> None:
    inputs = leaf([1.0, 2.0]), leaf([-0.5], [0.25])
    text = str(gradcheck_report(lambda x, w: (x @ w).relu(), inputs))
    lines = text.splitlines()
    assert lines[0] == "all gradients agree (central differences, h = 1e-06)"
    assert lines[1].split("  ")[0] == "tensor" and "max rel. error" in lines[1]
    assert lines[2].startswith("input 0  (1, 2)") and lines[2].split()[-1] == "2"
    assert lines[4] == "kink at input 0, (0, 0), (0, 1)"
    wrong = str(gradcheck_report(with_gradient(np.sin, np.sin), leaf(1.0)))
    assert wrong.startswith("output 0, input 0, index (0,): analytic 0.94")


def test_several_outputs_are_told_apart() -> None:
    wrong = with_gradient(np.sin, np.sin)
    with pytest.raises(GradcheckError, match="output 1, input 0"):
        gradcheck(lambda x: (x * 2, wrong(x)), leaf(1.0))


def test_random_gradients_are_found() -> None:
    rng = np.random.default_rng(0)
    noisy = with_gradient(lambda x: x * 2, lambda x: 2 + 1e-7 * rng.standard_normal(x.shape))
    with pytest.raises(GradcheckError, match="two runs of the same gradient differ by"):
        gradcheck(noisy, leaf(1.0))
    assert gradcheck(noisy, leaf(1.0), nondet_tol=1e-6)


def test_fast_mode() -> None:
    x = cr.rand(5, 5, dtype=cr.float64, requires_grad=True)
    assert gradcheck(lambda x: x.sin() @ x, x, fast_mode=True)
    calls = []
    gradcheck(lambda x: (calls.append(1), x * 2)[1], x, fast_mode=True)
    assert len(calls) == 4
    with pytest.raises(GradcheckError, match="input 0, along one direction: analytic"):
        gradcheck(with_gradient(np.sin, lambda x: 1.01 * np.cos(x)), x, fast_mode=True, rtol=1e-4)


def test_what_is_not_there_is_refused() -> None:
    for name in ("check_batched_grad", "check_forward_ad", "check_batched_forward_grad", "masked"):
        with pytest.raises(ConfigError, match=f"{name} is not supported"):
            gradcheck(lambda x: x, leaf(1.0), **{name: True})
    with pytest.raises(ConfigError, match="check_backward_ad=False is not supported"):
        gradcheck(lambda x: x, leaf(1.0), check_backward_ad=False)
    with pytest.raises(ConfigError, match="check_fwd_over_rev is not supported"):
        gradgradcheck(lambda x: x, leaf(1.0), check_fwd_over_rev=True)
    assert gradcheck(
        lambda x: x * 2, leaf(1.0), check_undefined_grad=False, check_grad_dtypes=True, masked=False
    )


def test_grad_outputs_of_gradgradcheck() -> None:
    x = leaf(0.5, 1.5)
    assert gradgradcheck(lambda x: x**3, x, leaf(2.0, 3.0))
    assert gradgradcheck(lambda x: x**3, x, gen_non_contig_grad_outputs=True)

    def hiding(x: Any) -> Any:
        return 3 * (x.detach() if isinstance(x, cr.Tensor) else x) ** 2

    forgetful = with_gradient(lambda x: x**3, hiding)
    assert gradcheck(forgetful, x)
    with pytest.raises(GradcheckError, match=r"^gradgradcheck: output 0, input 0"):
        gradgradcheck(forgetful, x)


def test_an_expanded_input() -> None:
    x = cr.ones(1, 3, dtype=cr.float64).expand(2, 3).requires_grad_()
    assert gradcheck(lambda x: x.exp(), x)


# -- kinks -----------------------------------------------------------------------------------------

KINKED = {
    "relu at 0": (F.relu, [0.0, 1.0]),
    "relu beside 0": (F.relu, [4e-7, 1.0]),
    "relu close to 0": (F.relu, [3e-8, 1.0]),
    "relu close below 0": (F.relu, [-1e-9, 1.0]),
    "relu on the edge of the step": (F.relu, [-9.9e-7, 1.0]),
    "abs beside 0": (lambda x: x.abs(), [-3e-7, 1.0]),
    "a tie of maximum": (lambda x: cr.maximum(x, x * x), [1 + 3e-7, 3.0]),
    "clamp at its limit": (lambda x: x.clamp(0, 1), [1.0, 0.5]),
    "hinge loss": (lambda x: F.relu(1 - x) ** 1, [1.0 + 2e-7, 0.0]),
    "max pooling of a tie": (
        lambda x: F.max_pool2d(x.reshape(1, 1, 1, 2) * x[0], (1, 2)), [1.0, 1.0]
    ),
    "curved on both sides": (lambda x: (x.abs() + x.exp()).sin(), [2e-7, 1.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKED)
def test_a_kink_is_no_error(name: str) -> None:
    f, values = KINKED[name]
    report = gradcheck_report(f, leaf(*values))
    assert report, str(report)
    (row,) = report.rows
    assert (0,) in row.kinks and not row.curved and row.disagreeing == 0
    assert "kink at input 0, (0,)" in str(report)
    assert row.max_relative_error < 1e-6  # of the others
    assert gradcheck(f, leaf(*values))


@pytest.mark.parametrize("x", [0.0, 1e-9, 4e-7, -2e-8, 1e-3, -1.0])
@pytest.mark.parametrize("claimed", [2.0, -1.0, 1.2, -0.1])
def test_a_kink_excuses_no_wrong_gradient(x: float, claimed: float) -> None:
    """The slopes of a ReLU are 0 and 1."""
    wrong = with_gradient(lambda x: np.maximum(x, 0), lambda x: np.full_like(x, claimed))
    with pytest.raises(GradcheckError, match=r"index \(0,\)"):
        gradcheck(wrong, leaf(x))


@pytest.mark.parametrize("x", [3e-6, -3e-6, 1e-3])
def test_a_kink_beyond_the_step_excuses_nothing(x: float) -> None:
    """There the other side's slope is wrong, though a kink is near."""
    other = with_gradient(lambda x: np.maximum(x, 0), lambda x: (x <= 0) * 1.0)
    with pytest.raises(GradcheckError):
        gradcheck(other, leaf(x))


@pytest.mark.parametrize("x", [4e-7, -4e-7, 1e-7])
def test_beside_a_kink_the_slope_of_the_other_side_is_wrong(x: float) -> None:
    other = with_gradient(lambda x: np.maximum(x, 0), lambda x: (x <= 0) * 1.0)
    with pytest.raises(GradcheckError):
        gradcheck(other, leaf(x))


SMOOTH = {
    "scaled": (np.sin, lambda x: 1.01 * np.cos(x)),
    "shifted": (np.sin, lambda x: np.cos(x) + 1e-3),
    "much curvature": (lambda x: np.sin(1000 * x) / 1000, lambda x: 0.9 * np.cos(1000 * x)),
    "zero": (np.exp, lambda x: 0 * x),
    "sign": (np.exp, lambda x: -np.exp(x)),
    "large": (lambda x: 1e6 * np.sin(x), lambda x: 0.5e6 * np.cos(x)),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("eps", [1e-6, 1e-4])
def test_at_smooth_points_nothing_is_excused(name: str, eps: float) -> None:
    f = with_gradient(*SMOOTH[name])
    x = leaf(*np.random.default_rng(0).uniform(0.1, 1.4, 20))
    report = gradcheck_report(f, x, eps=eps, rtol=1e-4)
    assert not report and report.rows[0].disagreeing == 20
    assert not report.rows[0].kinks and not report.rows[0].curved


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-7, 1e-3])
@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_noise_excuses_no_wrong_gradient(noise: float, factor: float) -> None:
    """As of single precision inside: a function that scatters, and a wrong gradient."""

    def scattering(x: Any) -> Any:
        return np.sin(x) + noise * np.modf(1e11 * x)[0]

    wrong = with_gradient(scattering, lambda x: factor * np.cos(x))
    x = leaf(*np.random.default_rng(0).uniform(0.1, 1.4, 200))
    report = gradcheck_report(wrong, x)
    assert not report
    assert len(report.rows[0].kinks) + len(report.rows[0].curved) <= 2  # of 200


def test_single_precision_inside_is_suspected() -> None:
    x = leaf(0.7, 0.3)
    with pytest.raises(GradcheckError, match="func may compute in single precision inside"):
        gradcheck(lambda x: x.float().sin(), x)


def test_a_step_too_long_is_told_from_a_kink() -> None:
    report = gradcheck_report(lambda x: (20 * x).exp(), leaf(0.1), eps=1e-2)
    assert report and report.rows[0].curved == [(0,)] and not report.rows[0].kinks
    assert "step too long at input 0, (0,)" in str(report)


def test_kinks_in_second_derivatives() -> None:
    assert gradgradcheck(lambda x: F.relu(x) ** 2, leaf(0.0, 3e-7, 1.0))


def test_many_kinks() -> None:
    x = cr.zeros(300, dtype=cr.float64, requires_grad=True)
    report = gradcheck_report(F.relu, x)
    assert report and len(report.rows[0].kinks) == 300
    assert "(4,) and 295 more" in str(report)


def test_a_network_of_relus() -> None:
    cr.manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU())
    report = gradcheck_report(net, cr.randn(8, 6), eps=1e-2, samples=60)
    assert report, str(report)
    assert sum(len(r.kinks) for r in report.rows) > 0  # h this long crosses some
    assert not any(r.curved for r in report.rows)


@pytest.mark.parametrize("distance", [0.0, 1e-8, 1e-7, 3e-7, 1e-6, -1e-7])
@pytest.mark.parametrize("name", ["sort", "max_pool", "relus"])
def test_a_kink_beside_a_kink_is_no_error(name: str, distance: float) -> None:
    x = cr.tensor([distance, 0.0, 0.0], dtype=cr.float64, requires_grad=True)
    f: Any = {
        "sort": lambda x: x.sort()[0] * cr.arange(3, dtype=cr.float64),
        "max_pool": lambda x: F.max_pool1d(x[None], 3),
        "relus": lambda x: F.relu(x) + 2 * F.relu(x - distance),
    }[name]
    assert gradcheck(f, x)

    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return f(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return cr.full((3,), 7.0, dtype=cr.float64)

    assert not gradcheck(Wrong.apply, x, raise_exception=False)


def test_kinks_along_a_direction() -> None:
    x = cr.zeros(4, requires_grad=True)
    assert gradcheck(F.relu, x, fast_mode=True)
    report = gradcheck_report(F.relu, x, fast_mode=True)
    assert "kink at input 0, along one direction" in str(report)

    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return F.relu(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    with pytest.raises(GradcheckError, match="output 0, input 0, along one direction: analytic"):
        gradcheck(Wrong.apply, cr.ones(4, requires_grad=True), fast_mode=True)


def test_results_in_dicts_and_nested_are_checked() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    x = cr.ones(2, requires_grad=True)
    assert gradcheck(lambda x: {"a": x.exp(), "b": [(x * 2,), None]}, x)
    with pytest.raises(GradcheckError, match="output 1, input 0"):
        gradcheck(lambda x: {"a": x.exp(), "b": [(Wrong.apply(x),), None]}, x)
    with pytest.raises(GraphError, match=r"func must return a tensor, or several.*got NoneType"):
        gradcheck(lambda x: None, x)


def test_a_step_out_of_the_domain_is_told() -> None:
    x = cr.tensor([1e-9], dtype=cr.float64, requires_grad=True)
    with np.errstate(all="ignore"), pytest.raises(GradcheckError, match="a step of eps leads"):
        gradcheck(lambda x: x.log(), x)
    assert gradcheck(lambda x: x.log(), x, eps=1e-13)
