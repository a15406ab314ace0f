"""Update rules against their formulas; groups, state, errors, bits."""

import copy
import json
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import CheckpointError, ConfigError, DTypeError
from chainrule.optim import optimizer

RULES = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "lectures' momentum": lambda p: optim.Momentum(p, lr=0.1, weight_decay=0.1),
    "lectures' nesterov": lambda p: optim.Nesterov(p, lr=0.1, weight_decay=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, weight_decay=0.1),
    "rmsprop, centred": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True),
    "adadelta": lambda p: optim.Adadelta(p, weight_decay=0.1),
    "nadam": lambda p: optim.NAdam(p, lr=0.1, weight_decay=0.1),
    "radam": lambda p: optim.RAdam(p, lr=0.1, betas=(0.9, 0.5), weight_decay=0.1),
    "adamax": lambda p: optim.Adamax(p, lr=0.1, weight_decay=0.1),
    "asgd": lambda p: optim.ASGD(p, lr=0.1, t0=1, weight_decay=0.1),
    "rprop": lambda p: optim.Rprop(p, lr=0.1),
}


def problem():
    """A parameter with gradients that a seed decides."""
    rng = np.random.default_rng(5)
    w = nn.Parameter(cr.from_numpy(rng.standard_normal((3, 4)).astype(np.float32)))
    v = nn.Parameter(cr.from_numpy(rng.standard_normal(7).astype(np.float32)))

    def give_grads():
        for p in (w, v):
            p.grad = cr.from_numpy(rng.standard_normal(p.shape).astype(np.float32))

    return [w, v], give_grads


def test_sgd_by_hand():
    w = nn.Parameter(cr.tensor([1.0]))
    opt = optim.SGD([w], lr=0.1, momentum=0.5, weight_decay=1.0)
    w.grad = cr.tensor([2.0])
    opt.step()  # g = 2 + 1 = 3, v = 3, w = 1 - 0.3
    assert w.item() == pytest.approx(0.7)
    opt.step()  # g = 2 + 0.7, v = 1.5 + 2.7, w = 0.7 - 0.42
    assert w.item() == pytest.approx(0.28)


def test_the_first_step_of_adam_is_the_learning_rate():
    w = nn.Parameter(cr.tensor([1.0, 1.0, 1.0]))
    opt = optim.Adam([w], lr=0.01)
    w.grad = cr.tensor([1e-3, -5.0, 0.0])
    opt.step()
    np.testing.assert_allclose(w.detach().array, [0.99, 1.01, 1], rtol=1e-5)


def test_adamw_decays_weights_apart_from_the_moments():
    w = nn.Parameter(cr.tensor([2.0]))
    opt = optim.AdamW([w], lr=0.1, weight_decay=0.5)
    w.grad = cr.tensor([0.0])
    opt.step()
    assert w.item() == pytest.approx(1.9)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_only_read(rule):
    parameters, give_grads = problem()
    opt = RULES[rule](parameters)
    for _ in range(2):
        give_grads()
        before = [p.grad.array.copy() for p in parameters]
        opt.step()
        for p, g in zip(parameters, before, strict=True):
            np.testing.assert_array_equal(p.grad.array, g)


@pytest.mark.parametrize("rule", RULES)
def test_steps_change_the_same_memory_and_are_not_recorded(rule):
    parameters, give_grads = problem()
    arrays = [p.array for p in parameters]
    before = [a.copy() for a in arrays]
    opt = RULES[rule](parameters)
    give_grads()
    opt.step()
    for p, a, old in zip(parameters, arrays, before, strict=True):
        assert p.array is a and p.is_leaf and p.dtype == np.float32
        assert not np.array_equal(a, old)


@pytest.mark.parametrize("rule", RULES)
def test_maximize_is_minimizing_the_negative(rule):
    parameters, give_grads = problem()
    twins, give_twin_grads = problem()
    opt, up = RULES[rule](parameters), RULES[rule](twins)
    up.param_groups[0]["maximize"] = True
    for _ in range(3):
        give_grads()
        give_twin_grads()
        for p in twins:
            p.grad = -p.grad
        opt.step()
        up.step()
    for p, q in zip(parameters, twins, strict=True):
        np.testing.assert_allclose(p.array, q.array, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(rule):
    parameters, give_grads = problem()
    opt = RULES[rule](parameters)
    for _ in range(3):
        give_grads()
        opt.step()
    twins, give_twin_grads = problem()
    for p, q in zip(twins, parameters, strict=True):
        p.array[...] = q.array
    again = RULES[rule](twins)
    for _ in range(3):
        give_twin_grads()
    again.load_state_dict(opt.state_dict())
    for _ in range(3):
        give_grads()
        give_twin_grads()
        opt.step()
        again.step()
    for p, q in zip(parameters, twins, strict=True):
        np.testing.assert_array_equal(p.array, q.array)


def values(parameters):
    return [p.array.copy() for p in parameters]


def assert_same(parameters, others, tolerance=0.0):
    for p, q in zip(parameters, others, strict=True):
        q = q.array if isinstance(q, cr.Tensor) else q
        np.testing.assert_allclose(p.array, q, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_of_parameters_and_optimizer_goes_on_like_the_original(rule, duplicate):
    parameters, give_grads = problem()
    opt = RULES[rule](parameters)
    opt.register_step_pre_hook(lambda *_: None)  # stays with the original
    give_grads()
    opt.step()
    others, again = duplicate((parameters, opt))
    assert again.param_groups[0]["params"][0] is others[0] is not parameters[0]
    for _ in range(2):
        give_grads()
        for p, q in zip(parameters, others, strict=True):
            q.grad = p.grad.clone()
        opt.step()
        again.step()
    assert_same(parameters, others)


LAYOUTS = {
    "columns first": np.asfortranarray,
    "channels last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
    "with gaps": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
}


@pytest.mark.parametrize("of_grad", ["contiguous", *LAYOUTS])
@pytest.mark.parametrize("of_weight", ["contiguous", *LAYOUTS])
def test_any_order_in_memory(of_weight, of_grad):
    rng = np.random.default_rng(0)
    start, *grads = rng.standard_normal((4, 2, 3, 4, 5)).astype(np.float32)
    for rule in RULES.values():
        ways = []
        for weight, grad in ((np.copy, np.copy), (of_weight, of_grad)):
            w = nn.Parameter(cr.from_numpy(LAYOUTS.get(weight, np.copy)(start)))
            opt = rule([w])
            for g in grads:
                w.grad = cr.from_numpy(LAYOUTS.get(grad, np.copy)(g))
                opt.step()
            ways.append(w)
        assert_same(ways[:1], ways[1:], 1e-5)
        assert ways[1].array.strides == LAYOUTS.get(of_weight, np.copy)(start).strides


@pytest.mark.parametrize("rule", RULES)
def test_a_parameter_of_no_dimensions_and_one_of_no_elements(rule):
    scalar, empty = nn.Parameter(cr.tensor(2.0)), nn.Parameter(cr.ones(0, 3))
    opt = RULES[rule]([scalar, empty])
    for _ in range(2):
        scalar.grad, empty.grad = cr.tensor(1.0), cr.ones(0, 3)
        opt.step()
    assert scalar.shape == () and empty.shape == (0, 3) and scalar.item() < 2
    again = RULES[rule]([scalar, empty])
    again.load_state_dict(opt.state_dict())
    again.step()


@pytest.mark.parametrize("rule", RULES)
def test_half_precision_stays_so_and_steps_like_single(rule):
    ways = []
    for dtype in (np.float16, np.float32):
        rng = np.random.default_rng(1)
        w = nn.Parameter(cr.from_numpy(rng.standard_normal((4, 5)).astype(dtype)))
        opt = RULES[rule]([w])
        for group in opt.param_groups:
            group["eps"] = 1e-3  # what it is by default is 0 in float16
        for _ in range(3):
            w.grad = cr.from_numpy(rng.uniform(0.5, 2, (4, 5)).astype(dtype))
            opt.step()
        assert w.dtype == dtype
        ways.append(w.array.astype(np.float32))
    np.testing.assert_allclose(*ways, atol=0.02)


def test_hooks_run_around_steps_and_may_be_removed():
    parameters, give_grads = problem()
    opt, calls = RULES["momentum"](parameters), []
    handles = [
        opt.register_step_pre_hook(lambda o, args, kwargs: calls.append(("before", o is opt))),
        opt.register_step_post_hook(lambda o, args, kwargs: calls.append(("after", o is opt))),
        optimizer.register_optimizer_step_pre_hook(lambda *_: calls.append("before any")),
        optimizer.register_optimizer_step_post_hook(lambda *_: calls.append("after any")),
    ]
    give_grads()
    opt.step()
    assert calls == ["before any", ("before", True), ("after", True), "after any"]
    for handle in handles:
        handle.remove()
    opt.step()
    assert len(calls) == 4
    opt.register_step_pre_hook(lambda o, args, kwargs: ((lambda: 7.0,), {}))
    assert opt.step() == 7
    opt.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(ConfigError, match=r"a hook before a step must return None or .*, got 3"):
        opt.step()


def test_hooks_around_saving_and_loading():
    parameters, give_grads = problem()
    opt = RULES["momentum"](parameters)
    give_grads()
    opt.step()
    calls = []
    opt.register_state_dict_pre_hook(lambda o: calls.append("before"))
    opt.register_state_dict_pre_hook(lambda o: calls.append("before that"), prepend=True)
    opt.register_state_dict_post_hook(lambda o, state: {**state, "note": 1})
    opt.register_load_state_dict_pre_hook(lambda o, state: state["wrapped"])
    opt.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    state = opt.state_dict()
    assert state["note"] == 1 and calls == ["before that", "before"]
    opt.load_state_dict({"wrapped": state})
    assert calls[-1] == "loaded"


def test_hooks_run_for_optimizers_that_users_write():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr=optimizer.required):
            super().__init__(params, {"lr": lr})

        @cr.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    w, calls = nn.Parameter(cr.ones(2)), []
    opt = Signs([{"params": [w], "lr": 0.5}])
    opt.register_step_post_hook(lambda *_: calls.append(1))
    w.grad = cr.tensor([3.0, -3.0])
    opt.step()
    assert w.tolist() == [0.5, 1.5] and calls == [1] and opt.state[w] == {"steps": 1}
    with pytest.raises(ConfigError, match=r"Signs: a group of parameters must say its lr"):
        Signs([w])


def test_named_parameters():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    opt = optim.SGD(net.named_parameters(), lr=0.1)
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert opt.param_groups[0]["param_names"] == names
    assert opt.param_groups[0]["params"] == list(net.parameters())
    assert opt.state_dict()["param_groups"][0]["param_names"] == names
    with pytest.raises(ConfigError, match=r"either all groups have names for parameters, or none"):
        opt.add_param_group({"params": [nn.Parameter(cr.ones(1))]})
    with pytest.raises(ConfigError, match=r"either all parameters have names, or none"):
        optim.SGD([("w", nn.Parameter(cr.ones(1))), nn.Parameter(cr.ones(1))])
    plain = optim.SGD(net.parameters(), lr=0.1)
    plain.load_state_dict(opt.state_dict())
    assert plain.param_groups[0]["param_names"] == names


def test_lectures_forms_step_as_sgd_while_the_rate_stays():
    for lectures, nesterov in ((optim.Momentum, False), (optim.Nesterov, True)):
        parameters, give_grads = problem()
        twins, give_twin_grads = problem()
        opt = lectures(parameters, lr=0.1, momentum=0.8, weight_decay=0.1)
        sgd = optim.SGD(twins, lr=0.1, momentum=0.8, weight_decay=0.1, nesterov=nesterov)
        for _ in range(20):
            give_grads()
            give_twin_grads()
            opt.step()
            sgd.step()
        assert_same(parameters, twins, 1e-5)
        velocity = opt.state[parameters[0]]["velocity"].array
        buffer = sgd.state[twins[0]]["momentum_buffer"].array
        np.testing.assert_allclose(velocity, -0.1 * buffer, rtol=1e-3, atol=1e-6)


def test_after_a_change_of_rate_each_gradient_keeps_its_own_in_the_lectures_form():
    """docs/derivations/optimizers.md: -Σ μᵗ⁻ˢ ηₛ gₛ here, -ηₜ Σ μᵗ⁻ˢ gₛ in PyTorch's form."""
    rates, grads, mu = [1.0, 1.0, 0.1, 0.1], [1.0, -2.0, 3.0, 0.5], 0.5

    def run(rule):
        w = nn.Parameter(cr.tensor([0.0], dtype=cr.float64))
        opt, steps = rule([w]), []
        for rate, g in zip(rates, grads, strict=True):
            opt.param_groups[0]["lr"] = rate
            w.grad = cr.tensor([g], dtype=cr.float64)
            before = w.item()
            opt.step()
            steps.append(w.item() - before)
        return steps

    kept = [[mu ** (t - s) * grads[s] for s in range(t + 1)] for t in range(4)]
    lectures = [-sum(rates[s] * each for s, each in enumerate(sums)) for sums in kept]
    pytorch = [-rates[t] * sum(sums) for t, sums in enumerate(kept)]
    assert run(lambda p: optim.Momentum(p, momentum=mu)) == pytest.approx(lectures)
    assert run(lambda p: optim.SGD(p, momentum=mu)) == pytest.approx(pytorch)
    assert abs(lectures[2] - pytorch[2]) > 0.1
    # Nesterov's: one more decay of the velocity, and this gradient at this rate.
    ahead = [mu * lectures[t] - rates[t] * grads[t] for t in range(4)]
    assert run(lambda p: optim.Nesterov(p, momentum=mu)) == pytest.approx(ahead)
    assert run(lambda p: optim.SGD(p, momentum=mu, nesterov=True)) == pytest.approx(
        [mu * pytorch[t] - rates[t] * grads[t] for t in range(4)]
    )


def test_nesterov_is_the_classic_form_seen_from_the_point_ahead():
    """v' = μv - η∇f(x + μv), x' = x + v': the weights are x + μv."""
    slope = lambda x: x**3 + x  # noqa: E731
    mu, rate, x, v = 0.9, 0.05, 2.0, 0.0
    w = nn.Parameter(cr.tensor([2.0], dtype=cr.float64))
    opt = optim.Nesterov([w], lr=rate, momentum=mu)
    for _ in range(30):
        v = mu * v - rate * slope(x + mu * v)
        x += v
        w.grad = slope(w.detach())
        opt.step()
        assert w.item() == pytest.approx(x + mu * v, rel=1e-12)


def test_centred_rmsprop_has_no_nan_where_rounding_makes_the_variance_negative():
    w = nn.Parameter(cr.ones(200))
    opt = optim.RMSprop([w], lr=1e-3, alpha=0.5, centered=True)
    for _ in range(60):  # a constant gradient has no variance
        w.grad = cr.from_numpy(np.linspace(0.1, 3, 200, dtype=np.float32))
        opt.step()
    assert np.isfinite(w.array).all()


def test_state_dict_has_pytorchs_layout_and_json_ready_groups():
    parameters, give_grads = problem()
    opt = optim.Adam([{"params": parameters[1:], "lr": 0.5}, {"params": parameters[:1]}])
    give_grads()
    opt.step()
    state = opt.state_dict()
    assert list(state) == ["state", "param_groups"] and sorted(state["state"]) == [0, 1]
    assert state["state"][0]["exp_avg"].shape == (7,) and state["state"][0]["step"] == 1
    groups = json.loads(json.dumps(state["param_groups"]))
    assert [g["params"] for g in groups] == [[0], [1]] and [g["lr"] for g in groups] == [0.5, 1e-3]
    numbers_as_strings = {str(k): v for k, v in state["state"].items()}
    opt.load_state_dict({"state": numbers_as_strings, "param_groups": groups})
    assert opt.state[parameters[1]]["exp_avg"].shape == (7,)
    opt.step()


def test_loaded_state_is_a_copy():
    parameters, give_grads = problem()
    opt = RULES["momentum"](parameters)
    give_grads()
    opt.step()
    state = opt.state_dict()
    again = RULES["momentum"](parameters)
    again.load_state_dict(state)
    state["state"][0]["momentum_buffer"].array[...] = 99
    assert not (again.state[parameters[0]]["momentum_buffer"].array == 99).any()


def test_loading_a_state_that_does_not_fit():
    parameters, give_grads = problem()
    opt = RULES["momentum"](parameters)
    give_grads()
    opt.step()
    state = opt.state_dict()
    with pytest.raises(CheckpointError, match=r"groups hold \[2\] parameters, .* hold \[1\]"):
        RULES["momentum"](parameters[:1]).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"momentum_buffer has shape \(3, 4\), .* \(7,\)"):
        RULES["momentum"](parameters[::-1]).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"expects 'state' and 'param_groups', got w"):
        opt.load_state_dict({"w": 1})
    with pytest.raises(CheckpointError, match=r"groups hold \[0\] parameters, .* hold \[2\]"):
        opt.load_state_dict({"state": {}, "param_groups": [{"lr": 1}]})
    state["state"][5] = {}
    with pytest.raises(CheckpointError, match=r"state of a parameter 5 that no group holds"):
        opt.load_state_dict(state)


def test_groups_have_settings_of_their_own():
    parameters, give_grads = problem()
    before = [p.array.copy() for p in parameters]
    opt = optim.SGD([{"params": parameters[0]}], lr=1.0)
    opt.add_param_group({"params": parameters[1:], "lr": 0.0})
    give_grads()
    opt.step()
    np.testing.assert_allclose(parameters[0].array, before[0] - parameters[0].grad.array)
    np.testing.assert_array_equal(parameters[1].array, before[1])


def test_parameters_without_gradient_are_left_alone():
    parameters, give_grads = problem()
    give_grads()
    parameters[0].grad = None
    before = parameters[0].array.copy()
    opt = RULES["adamw"](parameters)
    opt.step()
    np.testing.assert_array_equal(parameters[0].array, before)
    assert parameters[0] not in opt.state


def test_zero_grad():
    parameters, give_grads = problem()
    opt = RULES["sgd"](parameters)
    give_grads()
    opt.zero_grad(set_to_none=False)
    assert all((p.grad.array == 0).all() for p in parameters)
    opt.zero_grad()
    assert all(p.grad is None for p in parameters)


def test_closure_is_computed_with_gradients_and_its_loss_returned():
    w = nn.Parameter(cr.tensor([3.0]))
    opt = optim.SGD([w], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with cr.no_grad():
        assert opt.step(closure).item() == 9
    assert w.item() == pytest.approx(2.4)


def test_a_step_between_forward_and_backward_is_noticed():
    w = nn.Parameter(cr.tensor([3.0]))
    opt = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    w.grad = cr.ones(1)
    opt.step()
    with pytest.raises(cr.errors.GraphError, match=r"changed in place"):
        loss.backward()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD(p, lr=-1), r"SGD: lr must not be negative, got -1"),
        (lambda p: optim.SGD(p, nesterov=True), r"nesterov needs momentum and no dampening"),
        (lambda p: optim.SGD(p, weight_decay=-1), r"weight_decay must not be negative"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), r"Adam: betas must be two numbers in \[0, 1\)"),
        (lambda p: optim.AdamW(p, eps=-1), r"AdamW: eps must not be negative"),
        (lambda p: optim.Adam(p, lr=cr.ones(2)), r"Adam: lr must be one number, got 2 of them"),
        (lambda p: optim.Adam(p, capturable=True), r"Adam: capturable is for graphs of a GPU"),
        (lambda p: optim.SGD(p, differentiable=True), r"steps change memory and are not recorded"),
        (lambda p: optim.Momentum(p, momentum=-1), r"Momentum: momentum must not be negative"),
        (lambda p: optim.Adagrad(p, lr_decay=-1), r"Adagrad: lr_decay must not be negative"),
        (lambda p: optim.RMSprop(p, alpha=-1), r"RMSprop: alpha must not be negative"),
        (lambda p: optim.Adadelta(p, rho=1.5), r"Adadelta: rho must be in \[0, 1\], got 1.5"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), r"momentum_decay must not be negative"),
        (lambda p: optim.RAdam(p, betas=(1, 0)), r"RAdam: betas must be two numbers"),
        (lambda p: optim.Adamax(p, lr=float("nan")), r"Adamax: lr must not be negative, got nan"),
        (lambda p: optim.ASGD(p, weight_decay=-1), r"ASGD: weight_decay must not be negative"),
        (lambda p: optim.Rprop(p, etas=(0.5, 0.9)), r"etas must be 0 < η₋ < 1 < η₊, got \(0.5, 0"),
        (lambda p: optim.Adam(p, betas=0.9), r"Adam: betas must be two numbers .*, got 0\.9"),
        (lambda p: optim.NAdam(p, betas=("a", 0)), r"NAdam: betas must be two numbers"),
        (lambda p: optim.SGD([{"lr": 1}]), r"SGD: a group of parameters must say its params"),
        (lambda p: optim.SGD([]), r"SGD: there are no parameters to optimize"),
        (lambda p: optim.SGD(p + p), r"a parameter \(2,\) is given more than once"),
        (lambda p: optim.SGD([p[0] * 2]), r"can only optimize leaves"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make([nn.Parameter(cr.ones(2))])


def test_what_is_not_a_list_of_tensors():
    with pytest.raises(DTypeError, match=r"must be a list .* got a Parameter; pass \[tensor\]"):
        optim.SGD(nn.Parameter(cr.ones(2)))
    with pytest.raises(DTypeError, match=r"got a Linear; pass .* module\.parameters"):
        optim.SGD(nn.Linear(1, 1))
    with pytest.raises(DTypeError, match=r"must be a list .* got a NoneType"):
        optim.SGD(None)
    with pytest.raises(DTypeError, match=r"SGD: lr must be a number, got '0\.1'"):
        optim.SGD([nn.Parameter(cr.ones(2))], lr="0.1")
    with pytest.raises(DTypeError, match=r"can only optimize tensors, got float"):
        optim.SGD([1.0])
    with pytest.raises(DTypeError, match=r"must be in an order, which a set has not"):
        optim.SGD([{"params": {nn.Parameter(cr.ones(2))}}])
    with pytest.raises(DTypeError, match=r"a group must be a dict, got list"):
        optim.SGD([nn.Parameter(cr.ones(2))]).add_param_group([])
    with pytest.raises(AttributeError, match=r"no SparseAdam: gradients are dense; use .*Adam"):
        optim.SparseAdam  # noqa: B018


def test_printed_form():
    text = repr(optim.SGD([nn.Parameter(cr.ones(2))], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
