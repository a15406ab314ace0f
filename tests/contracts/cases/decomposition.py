"""Inverse, determinant, factors and eigenvalues of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..case import case, fixed, joined, normal, twins

for _name in ("cholesky", "eigh", "eigvalsh", "inv", "lstsq", "pinv", "qr", "solve",
              "solve_triangular", "svd", "svdvals"):  # fmt: skip
    twins[_name] = lambda torch, n=_name: getattr(torch.linalg, n)
twins["det_sign"] = lambda torch: lambda x: torch.linalg.slogdet(x)[0]
twins["log_abs_det"] = lambda torch: lambda x: torch.linalg.slogdet(x)[1]


def well(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Square matrices far from singular."""
    return lambda rng: tuple(rng.normal(0, 0.3, s) + np.eye(s[-1]) for s in shapes)


def apart(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Matrices whose singular values are 1, 2, ..."""

    def build(rng: np.random.Generator) -> tuple[Any, ...]:
        k = min(shape[-2:])
        u, _ = np.linalg.qr(rng.normal(size=(*shape[:-1], k)))
        v, _ = np.linalg.qr(rng.normal(size=(*shape[:-2], shape[-1], k)))
        return (u * np.arange(1, k + 1) @ np.swapaxes(v, -1, -2),)

    return build


def torch_packed(torch: Any) -> Any:
    def pack(*parts: Any) -> Any:
        return torch.cat([p.flatten(-2) for p in parts], -1)

    return pack


twins["qr_packed"] = lambda torch: lambda x: torch_packed(torch)(*torch.linalg.qr(x))


def without_signs(u: Any, s: Any, vh: Any) -> tuple[Any, ...]:
    """What does not change where a column of u and the row of vh change their signs together."""
    return (u * s[..., None, :]) @ vh, s, u * u, vh * vh


# fmt: off

LOOSE = {"half": False, "tolerance": 20}
for _label, _shape in {"one": (3, 3), "batch": (2, 2, 2), "size one": (1, 1)}.items():
    for _name in ("inv", "det", "slogdet", "det_sign", "log_abs_det"):
        case(_name, _label, well(_shape), lambda o, x, n=_name: getattr(o, n)(x), **LOOSE)
    case("cholesky", _label, well(_shape),
         lambda o, x: o.cholesky(x @ x.mT + x.mT @ x), **LOOSE)
case("cholesky", "upper", well((3, 3)), lambda o, x: o.cholesky(x @ x.mT, upper=True), **LOOSE)
case("inv", "empty", normal((0, 0)), lambda o, x: o.inv(x), **LOOSE)
for _label, _b in {"matrix": (3, 2), "vector": (3,)}.items():
    case("solve", _label, joined(well((3, 3)), normal(_b)), lambda o, a, b: o.solve(a, b), **LOOSE)
case("solve", "batch", joined(well((2, 3, 3)), normal((2, 3, 2))),
     lambda o, a, b: o.solve(a, b), **LOOSE)
case("solve", "batch of vectors", joined(well((2, 3, 3)), normal((2, 3))),
     lambda o, a, b: o.solve(a, b), **LOOSE)
case("solve", "broadcast", joined(well((3, 3)), normal((2, 3, 2))),
     lambda o, a, b: o.solve(a, b), **LOOSE)
case("solve", "right", joined(well((3, 3)), normal((2, 3))),
     lambda o, a, b: o.solve(a, b, left=False), **LOOSE)
for _upper in (False, True):
    case("solve_triangular", f"upper {_upper}", joined(well((3, 3)), normal((3, 2))),
         lambda o, a, b, u=_upper: o.solve_triangular(a, b, upper=u), **LOOSE)
    case("solve_triangular", f"upper {_upper}, ones", joined(well((3, 3)), normal((2, 3))),
         lambda o, a, b, u=_upper:
             o.solve_triangular(a, b, upper=u, left=False, unitriangular=True), **LOOSE)
SHAPES = {"tall": (4, 2), "square": (3, 3), "wide": (2, 4), "batch": (2, 3, 2)}
for _label, _shape in SHAPES.items():
    case("qr", _label, normal(_shape), lambda o, x: o.qr(x), **LOOSE)
    case("qr_packed", _label, normal(_shape), lambda o, x: o.qr_packed(x), **LOOSE)
    case("pinv", _label, apart(*_shape), lambda o, x: o.pinv(x), **LOOSE)
    case("svdvals", _label, apart(*_shape), lambda o, x: o.svdvals(x), **LOOSE)
    case("svd", f"{_label}, without signs", apart(*_shape),
         lambda o, x: without_signs(*o.svd(x, full_matrices=False)), **LOOSE)
    case("pinv", f"{_label}, atol", apart(*_shape), lambda o, x: o.pinv(x, atol=0.5), **LOOSE)
    case("qr", f"{_label}, r", normal(_shape), lambda o, x: o.qr(x, mode="r").R,
         twin=False, **LOOSE)  # PyTorch has no gradient for it
case("qr", "complete", normal((2, 4)), lambda o, x: o.qr(x, "complete"), **LOOSE)
for _name in ("complement", "differentiable_complement"):  # of which only the projector is unique
    twins[_name] = lambda torch: lambda q: torch.linalg.qr(q, "complete").Q[..., q.shape[-1] :]
    case(_name, "tall", fixed(lambda rng: (np.linalg.qr(rng.normal(size=(4, 2)))[0],)),
         lambda o, q, n=_name: o.matmul(getattr(o, n)(q), getattr(o, n)(q).mT), **LOOSE)
case("svd", "full", apart(4, 2), lambda o, x: o.svd(x)[1:], **LOOSE)
case("lstsq", "tall", joined(apart(4, 2), normal((4, 2))),
     lambda o, a, b: o.lstsq(a, b)[0], **LOOSE)
case("lstsq", "vectors", joined(apart(2, 4, 2), normal((2, 4))),
     lambda o, a, b: o.lstsq(a, b)[0], **LOOSE)
for _label, _shape in {"one": (3, 3), "batch": (2, 3, 3)}.items():
    case("eigvalsh", _label, apart(*_shape), lambda o, x: o.eigvalsh(x @ x.mT), **LOOSE)
    case("eigh", f"{_label}, squares", apart(*_shape),
         lambda o, x: (lambda w, v: (w, v * v, v @ v.mT))(*o.eigh(x @ x.mT)), **LOOSE)
case("eigh", "upper", apart(3, 3), lambda o, x: o.eigh(x @ x.mT, UPLO="U")[0], **LOOSE)
for _upper in (False, True):
    case("cholesky_solve", f"upper {_upper}", joined(normal((3, 2)), well((3, 3))),
         lambda o, b, x, u=_upper: o.cholesky_solve(b, o.triu(x) if u else o.tril(x), u), **LOOSE)
    case("cholesky_inverse", f"upper {_upper}", well((3, 3)),
         lambda o, x, u=_upper: o.cholesky_inverse(o.triu(x) if u else o.tril(x), u), **LOOSE)
case("logdet", "positive", well((2, 3, 3)), lambda o, x: o.logdet(x @ x.mT), **LOOSE)
case("svd_packed", "values", apart(3, 2), lambda o, x: o.svd_packed(x)[..., 6:8],
     twin=False, **LOOSE)
case("eigh_packed", "values", apart(3, 3), lambda o, x: o.eigh_packed(x @ x.mT, "L")[..., :3],
     twin=False, **LOOSE)
