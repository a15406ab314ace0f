"""Update rules against their formulas; groups, state, errors, bits."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import CheckpointError, ConfigError, DTypeError

RULES = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
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
    with pytest.raises(DTypeError, match=r"can only optimize tensors, got float"):
        optim.SGD([1.0])


def test_printed_form():
    text = repr(optim.SGD([nn.Parameter(cr.ones(2))], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
