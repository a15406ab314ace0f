"""chainrule.special against torch.special, value and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr

EXPRESSIONS = [
    "erf(x)", "erfc(x)", "exp2(x)", "expit(x)", "expm1(x)", "expm1(i)", "log1p(x.abs())",
    "log_softmax(x, 0)", "softmax(x, dim=0, dtype=o.float64)", "logit(x, eps=1e-3)",
    "logsumexp(x, 0)", "ndtr(x)", "ndtr(i)", "round(x, decimals=1)", "sinc(x)", "erfinv(x * 0.4)",
    "xlog1py(x, x.abs())", "xlog1py(x, 3)", "xlog1py(o.zeros(5), y)", "xlog1py(i, i)",
    "xlogy(x, x.abs())", "xlogy(2, x.abs())", "xlogy(o.zeros(5), y)",
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_special_functions_are_pytorchs(expression: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")

    def run(o: Any) -> list[Any]:
        x = o.tensor([-1.5, 0.0, 0.3, 2.0], requires_grad=True)
        y = o.tensor([1.0, -1, -2, float("nan"), float("inf")])
        i = o.tensor([0, 1, 2])
        value = eval(f"o.special.{expression}", {"o": o, "x": x, "y": y, "i": i})
        if value.requires_grad:
            value.sum().backward()
        return [value.detach().numpy(), np.zeros(4) if x.grad is None else x.grad.numpy()]

    with np.errstate(all="ignore"):
        for ours, theirs in zip(run(cr), run(torch), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


def test_published_values() -> None:
    """PyTorch's documentation of torch.special.ndtr and of xlog1py."""
    phi = [0.0013, 0.0228, 0.1587, 0.5000, 0.8413, 0.9772, 0.9987]
    np.testing.assert_allclose(cr.special.ndtr(cr.arange(-3.0, 4)), phi, atol=5e-5)
    y = cr.special.xlog1py(cr.tensor([1, 2, 3]), cr.tensor([3, 2, 1]))
    np.testing.assert_allclose(y, [1.3863, 2.1972, 2.0794], atol=5e-5)


def test_absent_functions_say_what_to_use() -> None:
    for name in ("gammaln", "entr", "bessel_j0", "zeta", "hermite_polynomial_h"):
        with pytest.raises(AttributeError, match=f"chainrule.special has no {name}: .*SciPy"):
            getattr(cr.special, name)
