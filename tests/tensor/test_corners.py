"""Corners: tensors without axes, no dims, integers and booleans, nothing at all, wrong arguments.

The expressions run here and in PyTorch, over the same inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as functional
from chainrule.errors import ChainruleError, DTypeError, PlaceError, ShapeError

rng = np.random.default_rng(3)
INPUTS = {
    "s": np.array(1.7),
    "x": rng.standard_normal((2, 4)),
    "f": rng.standard_normal((2, 4)).astype(np.float32),
    "w": np.array([0.5, 1.0, 2.0, 0.7]),
    "i": np.array([1, 2, -3]),
    "u": np.array([1, 5, 200], np.uint8),
    "b": np.array([True, False, True]),
    "none": np.zeros((0, 3)),
    "m": np.array([[2, 1, 0], [1, 3, 1], [0, 1, 4]]),
    "q": rng.standard_normal((3, 3)) + 3 * np.eye(3),
    "nan": np.array([-1.0, np.nan, 0.5, 2.0, np.nan]),
    "image": rng.standard_normal((1, 2, 3, 4)),
}

EXPRESSIONS = """
s.flip(0)
s.flip((-1,))
x.flip(dims=(0, 1))
o.movedim(s, 0, -1)
s.gather(0, o.tensor(0))
s.gather(-1, o.tensor([0, 0]))
x[0].gather(0, o.tensor(1))
x.gather(1, o.tensor([[0], [1]]), sparse_grad=False)
s.index_select(0, o.tensor([0]))
x[0].index_select(0, o.tensor(1))
s.scatter(0, o.tensor(0), 2.0)
s.scatter(-1, o.tensor([0]), w[:1])
s.scatter_add(0, o.tensor([0]), w[:1])
x[0].scatter_add(0, o.tensor(1), w[0])
x[0].scatter(0, o.tensor(1), w[0])
s.scatter_reduce(0, o.tensor(0), w[1], "prod")
s.scatter_reduce(0, o.tensor([0]), w[:1], "amax")
x[0].scatter_reduce(0, o.tensor(1), w[0], "sum")
s.topk(1)
s.topk(1, 0, largest=False)
x.any(dim=())
x.all((), keepdim=True)
u.any()
u.all(0, keepdim=True)
u.any(dim=(0,))
2**i
(-2) ** i
i ** o.tensor(-1)
(i - 2) ** i
b**i
u.add(u, alpha=-1)
u.sub(u, alpha=-3)
b.add(b, alpha=2)
i.logsumexp(0)
b.logsumexp(0)
o.addmm(m, m, m, beta=2.5)
o.addmm(m, m, m, alpha=0.5)
o.addbmm(m, m[None], m[None], beta=2, alpha=3)
o.addcmul(i, i, i, value=2.5)
i.index_add(0, o.tensor([0, 1, 1]), i, alpha=2.5)
b.scatter_reduce(0, o.tensor([0, 1, 1]), b, "amax", include_self=False)
b.scatter_reduce(0, o.tensor([0, 1, 1]), b, "amin", include_self=False)
o.matrix_power(q, -1)
o.linalg.matrix_power(q, -3)
x.index_add(1, o.tensor([0, 3, 0]), x[:, :3])
image.index_add(2, o.tensor([1, 1, 0]), image, alpha=2)
image.scatter_add(1, o.tensor([0, 1, 1, 0]).view(1, 2, 1, 2).expand(1, 2, 3, 2), image[..., :2])
image.gather(3, o.tensor([3, 3, 0, 1, 3]).expand(1, 2, 3, 5))
image[:, :, o.tensor([2, -1, 0])]
x[o.tensor([0, -1, 1]), o.tensor([3, 3, -4])]
image.index_select(1, o.tensor([1, 1]))
image.mean((2, 3))
none.median()
none.nanmedian()
none.mode()
none.mode(1)
none.split(0)
nan.max()
nan.min()
nan.median()
nan.nanmedian()
nan.mode()
nan.norm(p=float("inf"))
o.tensor([1.0, 1.0, 2.0, 0.0], requires_grad=True).median()
nan.detach().unique()
o.heaviside(nan.detach(), nan.detach())
f.view(o.int32)
f.view(o.float64)
x.view(dtype=o.uint8)
s.view(o.int64)
x.t().view(o.int64)
x.view(size=(4, 2))
x.svd(some=False)[1]
o.linalg.svd(x)[1]
o.linalg.svd(x.mT, full_matrices=True)[0][:, :2] ** 2
F.rms_norm(f, (4,), w)
F.rms_norm(x, (4,), w.float())
F.interpolate(u[None, None], size=6)
F.interpolate(u[None, None], size=2, mode="nearest-exact")
F.interpolate(image.detach(), scale_factor=(1.3, 2.3), mode="bilinear", antialias=True)
F.pad(x[None], (2, -1), mode="circular")
F.pad(image, (1, -1, -1, 2), mode="circular")
o.cat([o.empty(0), x])
o.cat([w[:0], x, w[:0]], -1)
o.finfo().eps
o.finfo(o.float64).max
o.finfo(o.float16).smallest_normal
o.finfo(o.float32).resolution
repr(o.finfo(o.float32))
repr(o.iinfo(o.int32))
o.iinfo(o.uint8).max
""".strip().splitlines()


def leaves(from_numpy: Any) -> dict[str, Any]:
    made = {name: from_numpy(a.copy()) for name, a in INPUTS.items()}
    for name, a in INPUTS.items():
        if a.dtype.kind == "f":
            made[name].requires_grad_()
    return made


def outcome(expression: str, world: Any, nn_functional: Any, array: Any) -> tuple[Any, Any]:
    """The results of an expression, and the gradients of its inputs where there are any."""
    inputs = leaves(world.from_numpy)
    y = eval(expression, {"o": world, "F": nn_functional, **inputs})
    results = list(y) if isinstance(y, tuple | list) else [y]
    loss: Any = 0
    for r in results:
        if getattr(r, "requires_grad", False):
            weights = np.arange(1.0, r.numel() + 1).reshape(tuple(r.shape))
            loss = loss + (r * world.from_numpy(weights)).sum()
    if not isinstance(loss, int):
        loss.backward()
    grads = {n: None if v.grad is None else array(v.grad) for n, v in inputs.items()}
    return [array(r.detach()) if hasattr(r, "detach") else r for r in results], grads


@pytest.mark.parity
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_corners_are_pytorchs(expression: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    ours, our_grads = outcome(expression, cr, functional, lambda t: t.array)
    theirs, their_grads = outcome(expression, torch, torch.nn.functional, lambda t: t.numpy())
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
        assert np.shape(a) == np.shape(b)
        if isinstance(b, str):
            assert a == b
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5 if np.size(b) else 0, atol=1e-9)
    for name, g in their_grads.items():
        ours_or_none = our_grads[name]
        assert (ours_or_none is None) == (g is None) or not np.any(g)
        if g is not None and ours_or_none is not None:
            np.testing.assert_allclose(ours_or_none, g, rtol=1e-5, atol=1e-9, err_msg=name)


REFUSED = """
i ** -1                                                       | pow: int64 has no power -1
u ** -2                                                       | pow: uint8 has no power -2
i.add(i, alpha=2.5)                                           | add: alpha must be a whole number
u.sub(u, alpha=300)                                           | sub: a factor of 300
b - b                                                         | sub: numpy boolean subtract
-b                                                            | neg: The numpy boolean negative
~x                                                            | bitwise_not: ufunc 'invert'
o.bitwise_and(x, x)                                           | bitwise_and: ufunc
o.gcd(x, x)                                                   | gcd: ufunc
s.renorm(2, 0, 1.0)                                           | renorm: x needs at least two
o.diag_embed(s)                                               | diag_embed:
x.prod(dim=())                                                | prod:
x.softmax(dim=())                                             | softmax:
x.median(dim=())                                              | median:
none.mode(0)                                                  | mode: no elements
x[5]                                                          | getitem: index 5 is out of bounds
x[b]                                                          | getitem: boolean index
x[0, 0, 0]                                                    | getitem: too many indices
x[1.5]                                                        | getitem: only integers
x[o.tensor([0.5])]                                            | getitem: arrays used as indices
x.gather(1, o.tensor([[0], [9]]))                             | gather: index 9 is out of bounds
x.scatter(1, o.tensor([[0], [9]]), 1.0)                       | index_put: index 9
x.scatter(1, o.tensor([[0, 1, 2, 3, 0]]), x)                  | index_put: shape mismatch
x.index_select(0, o.tensor([0.0]))                            | index_select: index must hold
x.index_select(0, o.tensor([[0]]))                            | index_select: index must be a v
x.index_add(0, o.tensor([5]), x[:1])                          | add_at: index 5 is out of bounds
x.index_add(0, o.tensor([0, 1]), x.t()[:2])                    | add_at:
x.index_copy(0, o.tensor([0]), x[:1, :2])                     | index_put: shape mismatch
x.take(o.tensor([99]))                                        | take: index 99
x.detach().__setitem__(7, 1.0)                                | value: index 7 is out of bounds
x.detach().__setitem__(0, o.tensor([1.0, 2.0]))               | value: could not broadcast
F.max_unpool2d(image, o.zeros(1, 2, 3, 4), 2)                 | max_unpool2d: indices must
F.max_unpool2d(image, o.full((1, 2, 3, 4), 99), 2)            | unpool
f.view(o.float64).view(3)                                     | reshape: shape
f[:, :3].view(o.float64)                                      | view: float32
o.finfo(o.int32)                                              | finfo: expects a float dtype
o.iinfo(o.float32)                                            | iinfo: expects an integer dtype
""".strip().splitlines()


@pytest.mark.parametrize("line", REFUSED)
def test_what_does_not_fit_is_refused_by_name(line: str) -> None:
    expression, message = (part.strip() for part in line.split("|"))
    with pytest.raises(ChainruleError) as caught:
        eval(expression, {"o": cr, "F": functional, **leaves(cr.from_numpy)})
    assert message in str(caught.value)


def test_a_refusal_is_also_pythons_error_and_shows_the_arguments() -> None:
    x = cr.ones(2, 3)
    with pytest.raises(IndexError, match=r"getitem: index 5 .*\n  x \(2, 3\) float32") as place:
        x[5]
    assert isinstance(place.value, PlaceError) and isinstance(place.value.__cause__, IndexError)
    with pytest.raises(DTypeError, match=r"mul: expects arrays, tensors or numbers"):
        x.mul("a")  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="flatten: x must be a tensor, got list"):
        cr.flatten([1.0])
    with pytest.raises(TypeError, match="missing 1 required"):
        cr.transpose(x, 0)
    with pytest.raises(ShapeError):
        cr.ones(2, 3) @ cr.ones(2, 3)


def test_bits_read_as_another_type_share_memory() -> None:
    x = cr.zeros(4, requires_grad=True)
    bits = x.view(cr.int32)
    assert not bits.requires_grad
    bits.fill_(0x3F800000)
    assert x.tolist() == [1.0] * 4


@pytest.mark.parametrize("shape", [(2, 4), (4, 2), (3, 2, 4), (3, 3), (0, 3)])
def test_full_matrices_of_the_svd_are_bases(shape: tuple[int, ...]) -> None:
    x = cr.from_numpy(np.random.default_rng(0).standard_normal(shape))
    u, s, vh = cr.linalg.svd(x)
    n, m = shape[-2:]
    eye = np.broadcast_to(np.eye(n), u.shape)
    np.testing.assert_allclose((u @ u.mT).array, eye, atol=1e-12)
    np.testing.assert_allclose((vh @ vh.mT).array, np.broadcast_to(np.eye(m), vh.shape), atol=1e-12)
    k = min(n, m)
    np.testing.assert_allclose(((u[..., :k] * s[..., None, :]) @ vh[..., :k, :]).array, x.array)
