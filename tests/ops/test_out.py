"""out=: results go into tensors that exist."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.errors import ConfigError, DTypeError, GraphError, ShapeError


def outcomes(lib):
    x = lib.tensor([[1.0, -2.0], [3.0, 0.5]])
    y = lib.tensor([[2, 1], [0, 4]])
    results = []

    def into(function, *args, shape=(2, 2), dtype=None, **kwargs):
        out = lib.full(shape, 7.0, dtype=dtype or lib.float32)
        assert function(*args, out=out, **kwargs) is out
        results.append(out)

    into(lib.add, x, y)
    into(lib.sub, x, y, alpha=2)
    into(lib.matmul, x, x.T)
    into(lib.mm, x, x)
    into(lib.exp, x)
    into(lib.clamp, x, min=0)
    into(lib.sum, x, 1, shape=(2,))
    into(lib.mean, x, dim=0, keepdim=True, shape=(1, 2))
    into(lib.cat, [x, x], 0, shape=(4, 2))
    into(lib.stack, (x, x), shape=(2, 2, 2))
    into(lib.where, x > 0, x, -x)
    into(lib.argmax, x, 1, shape=(2,), dtype=lib.int64)
    into(lib.eq, x, x, dtype=lib.bool)
    into(lib.add, x, y, dtype=lib.float64)
    into(lib.ones, 2, 2)
    into(lib.arange, 4, shape=(4,))
    into(lib.eye, 2)
    into(lib.add, x, y, shape=(0,))
    into(lib.addmm, x, x, x, beta=0.5)
    into(lib.tril, x)

    values, indices = lib.zeros(2), lib.zeros(2, dtype=lib.int64)
    found = lib.max(x, 1, out=(values, indices))
    assert found.values is values and found.indices is indices
    lib.sort(x[0], out=(values, indices))
    results += [values, indices]

    lib.mul(x, 2, out=x)
    rows = lib.zeros(3, 2)
    lib.neg(x[0], out=rows[1])
    weight = lib.ones(2, 2, requires_grad=True)
    with lib.no_grad():
        lib.mul(weight, 3, out=weight)
    with pytest.raises(RuntimeError):
        lib.mul(weight, x, out=lib.zeros(2, 2))
    return [*results, x, rows, weight.detach()]


def test_results_go_where_pytorch_puts_them():
    torch = pytest.importorskip("torch", reason="compared with PyTorch's")
    for k, (a, b) in enumerate(zip(outcomes(cr), outcomes(torch), strict=True)):
        a, b = a.numpy(), b.numpy()
        assert a.dtype == b.dtype and a.shape == b.shape, k
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=str(k))


def test_arrays_go_into_arrays():
    x, out = np.array([1.0, 4.0]), np.zeros(2)
    assert ops.sqrt(x, out=out) is out and out.tolist() == [1, 2]


def test_what_does_not_fit_is_refused():
    x = cr.ones(2, 2)
    with pytest.raises(ShapeError, match=r"add: out= has shape \(3,\), the result \(2, 2\)"):
        cr.add(x, x, out=cr.zeros(3))
    with pytest.raises(DTypeError, match="add: a result of float32 cannot go into out= of int64"):
        cr.add(x, x, out=cr.zeros(2, 2, dtype=cr.int64))
    with pytest.raises(GraphError, match="exp: no gradient can flow through out="):
        cr.exp(x.requires_grad_(), out=cr.zeros(2, 2))
    with pytest.raises(ConfigError, match="max: out= must be 2 tensors, one for each result"):
        cr.max(x.detach(), 1, out=cr.zeros(2))
    with pytest.raises(ConfigError, match="exp: out= must be a tensor, got float"):
        cr.exp(x.detach(), out=1.5)
