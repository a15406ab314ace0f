"""The methods of a tensor, and the names at the top, as PyTorch's code uses them every day."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.tensor import forms

X = np.random.default_rng(1).uniform(0.1, 0.9, (3, 4))

EXPRESSIONS = """
x.sum(axis=1)
x.mean(dim=(0, 1), keepdim=True)
x.sum(0, dtype=o.float32)
x.mean(1, dtype=o.float32)
x.cumsum(dim=1, dtype=o.float32)
x.prod(1)
x.var(unbiased=False)
x.std(dim=1, correction=0)
x.shape[1:].numel()
x.max(axis=1).values
x.min(1, keepdim=True)[1]
o.max(x, x.flip(0))
o.max(input=x, other=x.flip(1))
o.sum(input=x, axis=0, keepdims=True)
o.cat([x, x], axis=1)
o.stack((x, x), dim=-1)
o.unsqueeze(input=x, dim=0)
x.softmax(-1, dtype=o.float32)
o.log_softmax(x, 0)
o.where(x > 0.5)
o.where(x > 0.5, x, 0.0)
x.where(x > 0.5, o.zeros_like(x))
o.div(x, 0.3, rounding_mode="floor")
o.div(x, -0.3, rounding_mode="trunc")
o.div(o.arange(7) - 3, 2, rounding_mode="floor")
o.div(o.arange(7) - 3, 2, rounding_mode="trunc")
x.view(2, 6).size()
x.view(-1, 3).size(0)
x.view(2, -1, 2).mT
x.T.contiguous().view(-1)
x.t().reshape(-1)
x.expand(2, -1, -1)
x[:, None].expand_as(o.zeros(3, 5, 4))
x.repeat(2, 1)
x.tile((2,))
x.flatten().unflatten(0, (2, -1))
x.movedim(0, 1)
x.swapaxes(0, 1)
x.unfold(1, 2, 1)
x.roll(1, 0)
x.split([1, 3], dim=1)[1]
x.chunk(2, -1)[0]
x.tensor_split(3)[0]
x.unbind(1)[2]
x.select(1, 2)
x.diagonal()
x[1].diag()
x.masked_fill(x > 0.5, float("-inf"))
x.masked_select(x > 0.5)
x.index_select(1, o.tensor([2, 0]))
x.gather(1, o.tensor([[0], [1], [2]]))
x.take(o.tensor([0, 5]))
x.topk(2, dim=1)
x.sort(dim=1, descending=True)
x.argsort(dim=1)
x.kthvalue(2, 1)
x.median()
x.quantile(0.5, dim=1)
x.nonzero(as_tuple=True)
x.clamp(min=0.3)
x.clamp_max(0.4)
x.pow(2).sqrt().abs()
x.norm()
x.norm(dim=1)
x.norm(p=1, dim=(0, 1))
x.norm("fro")
x.norm(float("-inf"), 1)
x.norm(0, 1)
x.float().dtype == o.float32
x.int().sum()
(x * 10).long() % 3
(x * 10).int() // 3
(x * 10).long() << 1
1 << (x * 10).long()
5 % (x * 10).long().clamp(1)
7 // (x + 1)
2 ** x
1 / x
1 - x
-x
+x
abs(-x)
~(x > 0.5)
(x > 0.5) & (x < 0.7) | (x > 0.8)
True ^ (x > 0.5)
x @ x.T
x.mm(x.T)
x[0].dot(x[1])
x.mv(x[0])
x[None].bmm(x.T[None])
o.addmm(o.zeros(3, dtype=o.float64), x, x.T)
o.einsum("ij,kj->ik", x, x)
o.outer(x[0], x[1])
o.tensordot(x, x, dims=([1], [1]))
x.round(decimals=1)
o.round(x * 100, decimals=-1)
x.type_as(o.zeros(1))
x.to(o.float32)
x.to("cpu", o.float32)
x.to(o.zeros(1))
x.to(device="cpu", dtype=o.float16)
x.bool()
x.half().float()
x.double().dtype == o.float64
x.new_zeros(2, 3)
x.new_ones((2,), dtype=o.int64)
x.new_full((2,), 3.5)
x.new_tensor([1, 2])
x.new_empty(0, 3)
o.zeros(2, 3).size()
o.zeros((2, 3), dtype=o.int32)
o.ones(size=(2, 3))
o.full((2, 2), 7)
o.full((2, 2), 7.5)
o.full_like(x, 2)
o.zeros_like(x, dtype=o.int64)
o.arange(5)
o.arange(1, 10, 3)
o.arange(0, 1, 0.25)
o.arange(5, dtype=o.float32)
o.arange(3, 0, -1)
o.arange(1.0, 2.0)
o.linspace(0, 1, 5)
o.linspace(-3, 10, steps=4, dtype=o.float64)
o.logspace(0, 2, 3, dtype=o.float64)
o.eye(2, 3)
o.tril_indices(3, 4, -1)
o.triu_indices(3, 4, 1)
o.tensor([1, 2.5])
o.tensor([[True], [False]])
o.tensor(3)
o.tensor([])
o.as_tensor([1, 2])
o.asarray([1.0, 2.0])
o.scalar_tensor(2)
o.empty(0)
o.broadcast_shapes((3, 1), (4,))
o.meshgrid(o.arange(2), o.arange(3), indexing="ij")
o.is_tensor(x)
o.numel(x)
o.isin(o.tensor([1, 2]), o.tensor([2]))
o.equal(x, x.clone())
o.allclose(x, x + 1e-9)
o.bincount(o.tensor([0, 1, 1]))
o.unique(o.tensor([3, 1, 1]))
o.rsub(x, 1)
o.t(x)
x.H
x.is_floating_point()
x.is_signed()
x.dim()
x.ndimension()
x.nelement()
x.element_size()
x.nbytes
x.itemsize
x.stride()
x.stride(0)
x.is_contiguous()
x.get_device()
x.is_cuda
x.data.requires_grad
len(x)
3.0 in o.tensor([1.0, 3.0])
x == None
[float(v) for v in x[0]]
[tuple(row.shape) for row in x]
reversed(x)
int(o.tensor(3.7))
bool(o.tensor(0))
[10, 20][o.tensor(1)]
f"{o.tensor(1.23456):.2f}"
x.tolist()
x[0, 0].item()
o.tensor([[1, 2]]).tolist()
x.sum_to_size(1, 4)
x.squeeze().unsqueeze(-1).squeeze(-1)
x.fliplr()
x.cummax(1).indices
x.logsumexp(1)
x.argmax()
x.argmax(1, keepdim=True)
x.any(1)
x.all()
x.count_nonzero()
x.isnan().any()
x.diff()
x.lerp(x * 2, 0.5)
x.addcmul(x, x, value=2)
o.fill(x, 3.0)
x.index_put((o.tensor([0]),), o.tensor(1.0, dtype=o.float64))
x.repeat_interleave(2, dim=0)
x[[0, 2]]
x[[True, False, True]]
x[o.tensor([1, 0], dtype=o.uint8).repeat(2)[:3].bool()]
x[..., None, 0]
x[1:, ::2]
x[0, [1, 2]]
x[x > 0.5].sum()
o.relu_(x - 0.5)
o.clamp_(x * 1, 0.2, 0.4)
(x * 1).cumprod_(1)
o.zeros(3, 3, dtype=o.float64).addmm_(x, x.T, beta=2)
o.ones(3, dtype=o.float64).addmv_(x, x[0])
o.split_with_sizes(x, [1, 2])
o.index_put(x, (o.tensor([0]),), o.tensor(1.0, dtype=o.float64))
o.detach(x)
x.real
x.bernoulli(1.0)
(x * 1).add_(x[0]).sub_(1).mul_(x).div_(2).neg_().exp_().sqrt_()
o.arange(5).add_(2).mul_(3)
""".strip().splitlines()


def plain(value: Any) -> Any:
    """A result as NumPy and Python hold it."""
    if isinstance(value, tuple | list) and not hasattr(value, "numel"):
        return [plain(v) for v in value]
    if hasattr(value, "detach"):
        return np.asarray(value.detach().numpy())
    return list(value) if hasattr(value, "numel") else value


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(theirs, np.ndarray):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        if theirs.dtype.kind == "f":
            tolerance = 1e-12 if theirs.dtype == np.float64 else 1e-3
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours == theirs
        assert type(ours) is type(theirs)


@pytest.mark.parity
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_give_what_pytorch_gives(expression: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    code = compile(expression, expression, "eval")
    ours = plain(eval(code, {"o": cr, "x": cr.tensor(X)}))
    assert_same(ours, plain(eval(code, {"o": torch, "x": torch.tensor(X)})))


# -- what PyTorch has, is here or noted as left out ------------------------------------------------


def test_functions_are_the_ops() -> None:
    x = cr.rand(3, 3)
    for name in ("trace", "msort", "frac", "sinh", "nansum", "flipud", "diagflat", "positive"):
        np.testing.assert_array_equal(getattr(cr, name)(x).array, getattr(x, name)().array)


# -- Python's protocols ----------------------------------------------------------------------------


def test_python_protocols() -> None:
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert divmod(cr.tensor(7), 3)[0].item() == 2 and divmod(7, cr.tensor(3))[1].item() == 1
    assert complex(cr.tensor(2.0)) == 2
    assert hash(x) == hash(x) and x in {x}
    assert copy.copy(x).tolist() == x.tolist()
    assert copy.deepcopy(x).data_ptr() != x.data_ptr()
    assert pickle.loads(pickle.dumps(x)).tolist() == x.tolist()
    assert (x != None).__class__ is bool  # noqa: E711
    assert isinstance(np.sqrt(x), cr.Tensor)
    assert np.asarray(x).base is not None or np.shares_memory(np.asarray(x), x.array)
    assert [v.tolist() for v in x] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="0-d"):
        iter(cr.tensor(1.0))
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(x)


def test_conversions_return_the_same_tensor_where_nothing_changes() -> None:
    x = cr.ones(2)
    for same in (x.float(), x.to(cr.float32), x.to("cpu"), x.cpu(), x.contiguous(), x.type_as(x),
                 x.pin_memory(), x.share_memory_(), x.to("cpu", non_blocking=True)):  # fmt: skip
        assert same is x
    assert x.to(cr.float32, copy=True) is not x
    assert x.type() == "chainrule.FloatTensor"
    assert x.type("torch.LongTensor").dtype == cr.int64
    assert x.T.contiguous().is_contiguous()
    assert cr.zeros(2, 3, 4).transpose(0, 2).contiguous().is_contiguous()
    assert not cr.zeros(2, 3).T.is_contiguous()


def test_views_of_one_memory() -> None:
    x = cr.arange(6)
    assert x.view(2, 3).data_ptr() == x.data_ptr()
    assert x.view(2, 3)[1:].data_ptr() == x.data_ptr() + 24


def test_settings_of_makers() -> None:
    assert cr.zeros(2, requires_grad=True, pin_memory=True, layout=None).requires_grad
    assert cr.ones_like(cr.ones(2), memory_format=None).shape == (2,)
    assert cr.get_rng_state().dtype == cr.uint8
    state = cr.get_rng_state()
    first = cr.rand(3).tolist()
    cr.set_rng_state(state)
    assert cr.rand(3).tolist() == first
    assert cr.seed() == cr.initial_seed()


def test_draws() -> None:
    cr.manual_seed(0)
    weights = cr.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])
    drawn = cr.multinomial(weights, 4000, replacement=True)
    assert drawn.shape == (2, 4000) and (drawn[1] == 0).all()
    assert 0.7 < (drawn[0] == 2).float().mean().item() < 0.8
    once = cr.stack([cr.multinomial(weights[0], 2) for _ in range(2000)])
    assert (once.sum(1) == 3).all() and 0.7 < (once[:, 0] == 2).float().mean().item() < 0.8
    assert 4.9 < cr.normal(5.0, 2.0, (10_000,)).mean().item() < 5.1
    assert cr.normal(cr.zeros(3), cr.ones(3)).shape == (3,)
    assert 2.9 < cr.poisson(cr.full((10_000,), 3.0)).mean().item() < 3.1
    assert set(cr.randint_like(cr.zeros(100), 3).tolist()) == {0, 1, 2}
    assert cr.randint(5, (2, 3)).shape == cr.randint(5, size=(2, 3)).shape == (2, 3)
    assert cr.randint(low=2, high=3, size=(2,)).tolist() == [2, 2]
    assert cr.rand_like(cr.zeros(2), dtype=cr.float64).dtype == cr.float64


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda: cr.zeros(2, colour=1), TypeError, "zeros.. got an unexpected argument 'colour'"),
        (lambda: cr.zeros(2, -1), ShapeError, "sizes must not be negative"),
        (lambda: cr.ones(3).view(cr.float64), ShapeError, r"view: float32 \(3,\) cannot be read"),
        (lambda: cr.ones(2).to("cuda"), ConfigError, "CPU only"),
        (lambda: cr.ones(2).to(speed=3), TypeError, "unexpected argument 'speed'"),
        (lambda: cr.ones(2).type("MyTensor"), ConfigError, "'MyTensor' is unknown"),
        (lambda: cr.ones(2).size(1), ShapeError, "size: there is no dim 1"),
        (lambda: cr.ones(2, 2).dot(cr.ones(2)), ShapeError, "dot: expects 1 and 1 axes"),
        (lambda: cr.ones(2, 2, 2).mm(cr.ones(2, 2)), ShapeError, "mm: expects 2 and 2 axes"),
        (lambda: cr.bmm(cr.ones(2, 2, 2), cr.ones(3, 2, 2)), ShapeError, "bmm: the batches differ"),
        (lambda: cr.ones(2, 3).repeat(2), ShapeError, "repeat: needs a number for each axis"),
        (lambda: cr.div(cr.ones(2), 2, rounding_mode="up"), ConfigError, "rounding_mode must be"),
        (lambda: cr.arange(3, 0), ConfigError, "arange: 1 does not lead from 3 to 0"),
        (lambda: cr.randint(3, 3, (2,)), ConfigError, "no whole number from 3 to below 3"),
        (lambda: cr.randn(2, dtype=cr.int64), DTypeError, "randn: needs a float dtype"),
        (lambda: cr.normal(), ConfigError, "normal: give size"),
        (lambda: cr.multinomial(cr.ones(2), 3), ConfigError, "3 draws without replacement of 2"),
        (lambda: cr.multinomial(-cr.ones(2), 3), ShapeError, "finite weights, none negative"),
        (lambda: cr.broadcast_shapes((2,), (3,)), ShapeError, "do not broadcast"),
        (lambda: cr.einsum("ij,jk->ik", cr.ones(2, 3), cr.ones(2, 3)), ShapeError,
         "einsum: label 'j' names axes of lengths 3 and 2"),
        (lambda: cr.einsum("ij->ijj", cr.ones(2, 3)), ConfigError, "'j' is in the result twice"),
        (lambda: cr.einsum("ij->k", cr.ones(2, 3)), ConfigError, "'k' .* in no operand"),
        (lambda: cr.einsum("ij,j", cr.ones(2, 3)), ShapeError, "2 operands are written, 1 given"),
        (lambda: cr.einsum("ijk", cr.ones(2, 3)), ShapeError, "3 labels for an operand of 2 axes"),
        (lambda: cr.einsum("i1", cr.ones(2, 3)), ConfigError, "labels are the letters"),
        (lambda: cr.tensordot(cr.ones(2, 3), cr.ones(2, 3), 1), ShapeError, "differ in length"),
        (lambda: cr.roll(cr.ones(3), (1, 2)), ShapeError, "2 shifts need as many dims"),
        (lambda: cr.ones(6).unflatten(0, (4, -1)), ShapeError, "do not multiply to 6"),
        (lambda: cr.ones(2, 3).movedim((0, 1), (0, 0)), ShapeError, "movedim: .* each once"),
        (lambda: cr.meshgrid(cr.ones(2), indexing="yx"), ConfigError, 'must be "ij" or "xy"'),
        (lambda: cr.ones(3).hsplit(2), ShapeError, "hsplit: 3 entries .* do not make 2 pieces"),
        (lambda: cr.kthvalue(cr.ones(3), 4), ShapeError, "kthvalue: k = 4 of 3"),
        (lambda: cr.quantile(cr.ones(3), 1.5), ConfigError, "q must be a number"),
        (lambda: cr.quantile(cr.arange(3), 0.5), DTypeError, "quantile: expects a float"),
        (lambda: cr.median(cr.ones(0).long()), ShapeError, "median: no elements"),
        (lambda: cr.bincount(cr.tensor([-1])), ShapeError, "bincount: counts whole numbers from 0"),
        (lambda: cr.bincount(cr.ones(2)), DTypeError, "bincount: expects a vector of integers"),
        (lambda: cr.histc(cr.ones(2), 0), ConfigError, "bins must be at least 1"),
        (lambda: cr.searchsorted(cr.ones(2), 1, side="up"), ConfigError, "side must be"),
        (lambda: cr.ones(3).index_add(0, cr.ones(1), cr.ones(1)), DTypeError,
         "index_add: index must hold integers, got float32"),
        (lambda: cr.ones(3).scatter(0, cr.tensor([0])), ConfigError, "either src or value"),
        (lambda: cr.ones(3).scatter(0, cr.tensor([0]), 1.0, reduce="max"), ConfigError,
         'reduce must be "add" or "multiply"'),
        (lambda: cr.ones(3).scatter_reduce(0, cr.tensor([0]), cr.ones(1), "max"), ConfigError,
         "reduce must be one of sum, prod"),
        (lambda: cr.ones(3).masked_fill(cr.ones(3) > 0, cr.ones(3)), ShapeError,
         "masked_fill: value must be a number"),
        (lambda: cr.ones(3).masked_scatter(cr.ones(3) > 0, cr.ones(2)), ShapeError,
         "the mask is true 3 times, source has 2"),
        (lambda: cr.addmm(cr.ones(2), cr.ones(2), cr.ones(2, 2)), ShapeError, "mat1 needs 2 axes"),
        (lambda: cr.cdist(cr.ones(2, 3), cr.ones(2, 4)), ShapeError, "cdist: needs rows of one"),
        (lambda: cr.cross(cr.ones(2), cr.ones(2), 0), ShapeError, "cross: needs three entries"),
        (lambda: cr.trace(cr.ones(3)), ShapeError, "trace: expects a matrix"),
        (lambda: cr.repeat_interleave(cr.ones(3), cr.tensor([1, 2])), ShapeError,
         "must hold one number for each of the 3"),
        (lambda: ops.positive(cr.tensor([True])), DTypeError, "booleans have no sign"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what(f: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        f()


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:torch.(cholesky|qr) is deprecated")
def test_the_older_forms_of_matrix_factors() -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 3))
    a = x.swapaxes(-1, -2) @ x

    def multiplied(u: Any, s: Any, v: Any) -> Any:
        return u * s[..., None, :] @ v.mT

    for call in (
        lambda o, x, a: o.svd(x),
        lambda o, x, a: (x.mT.svd(some=True)[1], multiplied(*x.svd())),
        lambda o, x, a: o.svd(x, compute_uv=False),
        lambda o, x, a: (lambda q, r: q @ r)(*o.qr(x, some=True)),
        lambda o, x, a: o.qr(x, some=False)[1],
        lambda o, x, a: o.svd(x, some=False)[0][..., :3].abs(),
        lambda o, x, a: o.pinverse(x, 0.5),
        lambda o, x, a: o.cholesky(a, True),
        lambda o, x, a: a.cholesky(upper=False),
    ):
        here = call(cr, cr.tensor(x), cr.tensor(a))
        there = call(torch, torch.tensor(x), torch.tensor(a))
        here, there = (t if isinstance(t, tuple) else (t,) for t in (here, there))
        if len(here) == 3 and here[0].any():  # the signs of singular vectors are free
            here, there = ([t.abs() for t in ts] for ts in (here, there))
        for mine, theirs in zip(here, there, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", forms.__all__)
def test_functions_of_several_forms_stand_before_the_ops_of_their_names(name):
    assert getattr(cr, name) is getattr(forms, name)
