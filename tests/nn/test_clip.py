"""Gradient clipping by joint norm and by value."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, DivergenceError
from chainrule.nn import Parameter
from chainrule.nn.utils import clip_grad_norm_, clip_grad_value_


def with_grads(*grads):
    parameters = [Parameter(cr.zeros(len(g))) for g in grads]
    for p, g in zip(parameters, grads, strict=True):
        p.grad = cr.tensor(g)
    return parameters


def test_norm_is_joint_and_gradients_shrink_by_one_factor():
    a, b = with_grads([3.0, 0.0], [4.0])
    untouched = Parameter(cr.zeros(2))
    norm = clip_grad_norm_([a, untouched, b], 1.0)
    assert norm.item() == pytest.approx(5)
    np.testing.assert_allclose([*a.grad.array, *b.grad.array], [0.6, 0, 0.8], rtol=1e-5)
    assert untouched.grad is None


def test_small_gradients_keep_their_bits():
    a, b = with_grads([0.3, 0.1], [0.4])
    clip_grad_norm_([a, b], 1.0)
    assert a.grad.array.tolist() == np.float32([0.3, 0.1]).tolist()


@pytest.mark.parametrize(("p", "norm"), [(1, 7), (2, 5), (3, 91 ** (1 / 3)), (math.inf, 4)])
def test_norm_types(p, norm):
    assert clip_grad_norm_(with_grads([3.0, 0.0], [-4.0]), 100, p).item() == pytest.approx(norm)


def test_one_tensor_a_generator_and_nothing():
    (a,) = with_grads([3.0, 4.0])
    assert clip_grad_norm_(a, 1).item() == pytest.approx(5)
    assert clip_grad_norm_((p for p in [a]), 1).item() == pytest.approx(1, rel=1e-5)
    assert clip_grad_norm_([Parameter(cr.zeros(1))], 1).item() == 0
    assert clip_grad_norm_([], 1, math.inf).item() == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("p", [2, math.inf])
def test_a_norm_that_is_no_number(bad, p):
    parameters = with_grads([bad, 1.0], [2.0])
    with pytest.raises(DivergenceError, match=r"the norm of the gradients is (nan|inf)"):
        clip_grad_norm_(parameters, 1.0, p, error_if_nonfinite=True)
    assert parameters[1].grad.item() == 2
    assert not math.isfinite(clip_grad_norm_(parameters, 1.0, p).item())


def test_large_norms_do_not_overflow_float32():
    assert clip_grad_norm_(with_grads([3e30, 4e30]), 1.0).item() == pytest.approx(5e30)


def test_norm_type_must_be_positive():
    with pytest.raises(ConfigError, match=r"norm_type must be positive, got 0"):
        clip_grad_norm_([], 1.0, 0)


def test_values_are_clamped():
    (a,) = with_grads([-3.0, 0.5, 2.0])
    clip_grad_value_([a], 1)
    assert a.grad.tolist() == [-1, 0.5, 1]


def test_the_norm_can_be_had_first_and_used_later():
    a, b = with_grads([3.0, 0.0], [4.0])
    norm = nn.utils.get_total_norm([a.grad, b.grad])
    assert norm.item() == pytest.approx(5)
    assert nn.utils.get_total_norm(a.grad, float("inf")).item() == 3
    nn.utils.clip_grads_with_norm_([a, b], 1.0, norm)
    np.testing.assert_allclose([*a.grad.array, *b.grad.array], [0.6, 0, 0.8], rtol=1e-5)
    a.grad.array[0] = np.nan
    with pytest.raises(DivergenceError, match="get_total_norm: the norm of the gradients is nan"):
        nn.utils.get_total_norm([a.grad], error_if_nonfinite=True)


@pytest.mark.parametrize("name", ["rnn", "prune", "skip_init"])
def test_what_is_absent_says_what_to_use(name):
    with pytest.raises(AttributeError, match=rf"chainrule\.nn\.utils has no {name}: "):
        getattr(nn.utils, name)
