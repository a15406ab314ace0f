"""chainrule.linalg against torch.linalg."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DTypeError, ShapeError

A = np.random.default_rng(0).standard_normal((2, 3, 4))
S = A[0] @ A[0].T

EXPRESSIONS = [
    *(f"o.linalg.norm(a, {ord}, dim=(-2, -1))" for ord in ("'fro'", "'nuc'", 1, -1, 2, -2)),
    *(f"o.linalg.matrix_norm(a, float('{ord}'), keepdim=True)" for ord in ("inf", "-inf")),
    *(f"o.linalg.matrix_norm(a, {ord}, dim=(0, 2))" for ord in (1, 2, "'nuc'")),
    *(f"o.linalg.vector_norm(a, {ord}, dim=1)" for ord in (1, 2, 3, 0.5, "float('inf')")),
    "o.linalg.norm(a)", "o.linalg.norm(a[0])", "o.linalg.norm(a, dim=1)",
    "o.linalg.norm(a[0, 0], 1)", "o.linalg.norm(a[0], 1)", "o.linalg.norm(a, 3, dim=2)",
    "o.linalg.vector_norm(a, keepdim=True)",
    "o.linalg.cond(s)", "o.linalg.cond(s, -2)", "o.linalg.cond(s.detach(), 1)",
    "o.linalg.matrix_rank(a)", "o.linalg.cross(a[..., :3], a[..., 1:])",
    "o.linalg.vecdot(a, a)", "o.linalg.det(s)", "o.linalg.slogdet(s).logabsdet",
    "o.linalg.inv(s)", "o.linalg.solve(s, a[0])", "o.linalg.cholesky(s)",
    "o.linalg.matrix_power(s, 3)", "o.linalg.multi_dot([s, s, a[0]])", "o.linalg.diagonal(a)",
    "o.linalg.eigvalsh(s)", "o.linalg.svdvals(a)", "o.linalg.pinv(a)",
    "o.linalg.lstsq(a[0].T, a[0].T)[0]", "o.linalg.matmul(s, a[0])", "o.det(s)", "o.inverse(s)",
    "s.det()", "s.inverse()", "s.slogdet()[1]", "o.logdet(s)", "s.logdet()",
    "o.linalg.matrix_power(s, -3)", "o.linalg.matrix_power(s[:2, :2].expand(2, 2, 2), -1)",
    "o.linalg.matrix_rank(s, tol=1.5)", "o.linalg.matrix_rank(s, hermitian=True)",
    "o.linalg.matrix_rank(a, atol=1.5, rtol=0.0)", "o.linalg.matrix_rank(a, rtol=0.6)",
    "o.linalg.matrix_rank(a, atol=a.new_tensor([0.1, 1.5]), rtol=a.new_tensor(0.1))",
    "o.linalg.pinv(a, atol=1.5)", "o.linalg.pinv(a, atol=0.1, rtol=0.6)",
    "o.linalg.pinv(s, hermitian=True)", "o.linalg.pinv(s, rtol=0.3, hermitian=True)",
    "o.linalg.svd(a).S", "o.linalg.svd(a)[0].abs()", "o.linalg.svd(a)[2][:, :3].abs()",
    "o.linalg.svd(a.mT)[0][..., :3].abs()", "o.linalg.svd(a, full_matrices=False)[2].abs()",
    "(lambda u, s, vh: u[..., :3] * s[..., None, :] @ vh)(*o.linalg.svd(a.mT))",
    "(lambda u, s, vh: u @ u.mT + u.mT @ u)(*o.linalg.svd(a.detach().mT))",
    "o.linalg.qr(a, 'r').R.detach()", "o.linalg.qr(a, 'r').Q.detach()",
    "o.linalg.qr(a, 'complete').R", "o.linalg.qr(a.detach().mT, 'complete').R",
    "(lambda q, r: q @ r + q[:, 3:] @ q[:, 3:].mT)(*o.linalg.qr(a.detach().mT, 'complete'))",
    *(f"o.linalg.lstsq(a.mT, a.mT[..., :2] * 2 + 1)[{i}]" for i in range(4)),
    *(f"o.linalg.lstsq(a.mT, a.mT[..., 0], rcond=0.1)[{i}]" for i in range(3)),
    *(f"o.linalg.lstsq(a.detach().mT, o.ones_like(a).mT, driver='{driver}')[{i}]"
      for driver in ("gelsy", "gels", "gelsd", "gelss") for i in (0, 1, 3)),
    *(f"o.linalg.lstsq(s.detach(), s.detach()[:, :1], driver='gelsd')[{i}]" for i in range(4)),
    "o.linalg.tensorinv(a.reshape(2, 3, 4)[:, :2, :].reshape(4, 2, 2), 1)",
    "o.linalg.tensorinv((s[:2, :2] + 1).reshape(2, 1, 1, 2), ind=2)",
    "o.linalg.tensorsolve(s.reshape(3, 3, 1), s[0])",
    "o.linalg.tensorsolve(s.reshape(3, 1, 3), s[:1], dims=(0,))",
    "o.pinverse(a[0])", "o.cholesky_inverse(o.linalg.cholesky(s))", "s.matrix_power(2)",
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_give_what_pytorch_gives(expression: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")

    def run(o: Any) -> list[Any]:
        a, s = o.tensor(A, requires_grad=True), o.tensor(S, requires_grad=True)
        y = eval(expression, {"o": o, "a": a, "s": s})
        if y.requires_grad:
            (y * y).sum().backward()
        return [y.detach().numpy(), *(x.grad.numpy() for x in (a, s) if x.grad is not None)]

    for ours, theirs in zip(run(cr), run(torch), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5 if ours.dtype == np.float32 else 1e-8,
                                   atol=1e-8)  # fmt: skip


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda: cr.linalg.inv(cr.zeros(2, 2)), ConfigError, r"inv: singular matrix\n  x \(2, 2\)"),
        (lambda: cr.linalg.inv(cr.zeros(2, 3)), ShapeError, "inv: expects square matrices"),
        (lambda: cr.linalg.det(cr.eye(2).long()), DTypeError, "det: expects a float tensor"),
        (lambda: cr.linalg.cholesky(-cr.eye(2)), ConfigError, "cholesky: .* not positive definite"),
        (lambda: cr.linalg.solve(cr.eye(2), cr.ones(3, 1)), ShapeError, "solve: b needs 2 rows"),
        (lambda: cr.linalg.solve(cr.eye(2), cr.ones(2, 1).double()), DTypeError, "dtypes differ"),
        (lambda: cr.linalg.qr(cr.eye(2), "full"), ConfigError, 'mode must be "reduced"'),
        (lambda: cr.linalg.qr(cr.ones(3, 2, requires_grad=True), "complete")[0].sum().backward(),
         ConfigError, 'mode "complete" of a tall matrix has no gradient'),
        (lambda: cr.linalg.tensorinv(cr.ones(2, 3)), ShapeError, "need as many elements"),
        (lambda: cr.linalg.tensorsolve(cr.ones(2, 3), cr.ones(2)), ShapeError, "as many elements"),
        (lambda: cr.linalg.matrix_norm(cr.eye(2), 3), ConfigError, "matrix_norm: ord must be"),
        (lambda: cr.linalg.multi_dot([cr.eye(2)]), ShapeError, "at least two matrices"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(f: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        f()


def test_absent_names_say_what_to_use() -> None:
    with pytest.raises(AttributeError, match=r"chainrule\.linalg has no eig: complex numbers"):
        cr.linalg.eig  # noqa: B018
    assert math.isclose(cr.linalg.det(cr.eye(3)).item(), 1)
