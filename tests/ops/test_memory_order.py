"""Ops that make new memory give it the order of their input: images stay channels-last."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops


def channels_last(*shape):
    n, c, h, w = shape
    return np.random.default_rng(0).standard_normal((n, h, w, c)).transpose(0, 3, 1, 2)


def is_channels_last(a):
    return a.transpose(0, 2, 3, 1).flags.c_contiguous


RESULTS = {
    "pad": lambda x: ops.pad(x, (1, 1, 2, 0, 1, 1), value=7.0),
    "pad a slice": lambda x: ops.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)),
    "crop": lambda x: ops.pad(x, (-1, -1)) + 0,
    "clone": lambda x: ops.clone(x),
    "replace": lambda x: ops.index_put(x, (slice(None), 0), 0.0),
    "join by channel": lambda x: ops.cat([x, x], 1),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results(name):
    assert is_channels_last(RESULTS[name](channels_last(2, 3, 6, 4)))


@pytest.mark.parametrize("name", RESULTS)
def test_rows_first_stays_too(name):
    x = np.ascontiguousarray(channels_last(2, 3, 6, 4))
    if name != "join by channel":  # images joined by channel are on their way to a convolution
        assert RESULTS[name](x).flags.c_contiguous


def test_gradient_of_a_strided_slice():
    x = cr.from_numpy(channels_last(2, 3, 6, 4)).requires_grad_()
    y = x[:, :, ::2, ::2]
    (y * y).sum().backward()
    assert is_channels_last(x.grad.array)
    expected = np.zeros_like(x.array)
    expected[:, :, ::2, ::2] = 2 * y.detach().array
    np.testing.assert_array_equal(x.grad, expected)
