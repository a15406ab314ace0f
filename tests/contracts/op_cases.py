"""Sample calls of every op, as one expression that runs in both worlds.

A case's expression takes a namespace ``o`` and the inputs: with `chainrule.ops` it is our
call, with `torch_names()` the very same words are PyTorch's. Inputs that are floats are
differentiated; integers, booleans and `Fixed` floats are not. Values keep a distance from
kinks and ties, so that central differences are defined.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import ops


@dataclass(frozen=True)
class Fixed:
    """A float input that is not differentiated; every run gets its own copy."""

    array: np.ndarray


@dataclass(frozen=True)
class Case:
    """One call: ``expression(o, *inputs)``."""

    op: str
    label: str
    expression: Callable[..., Any]
    build: Callable[[np.random.Generator], tuple[Any, ...]]
    twice: bool = True  # differentiable twice (and away from kinks there too)
    twin: bool = True  # PyTorch has it
    half: bool = True  # worth running in float16
    tolerance: float = 1.0  # multiplies the float32 tolerance

    def __str__(self) -> str:
        return f"{self.op}-{self.label}".replace(" ", "_")

    def inputs(self, dtype: Any = np.float64) -> list[Any]:
        """Fresh arrays, the same on every call; floats (also `Fixed`) in ``dtype``."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        made: list[Any] = []
        for a in self.build(rng):
            if isinstance(a, Fixed):
                made.append(Fixed(a.array.astype(dtype)))
            else:
                made.append(a.astype(dtype) if a.dtype.kind == "f" else a.copy())
        return made

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """The inputs as plain arrays."""
        return [a.array if isinstance(a, Fixed) else a for a in self.inputs(dtype)]

    def tensors(self, dtype: Any = np.float64) -> list[cr.Tensor]:
        """The inputs as Tensors; those to differentiate require grad."""
        return [
            cr.from_numpy(a.array)
            if isinstance(a, Fixed)
            else cr.from_numpy(a).requires_grad_(a.dtype.kind == "f")
            for a in self.inputs(dtype)
        ]

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """Run in chainrule; always a tuple of results."""
        return outputs(self.expression(ops_and_internals, *inputs))


def outputs(result: Any) -> tuple[Any, ...]:
    """The results of an expression as a tuple."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _names() -> SimpleNamespace:
    """Public functions of `chainrule.ops`, and internal ops from the registry beside them."""
    public = {name: getattr(ops, name) for name in ops.__all__}
    return SimpleNamespace(**{**ops.registry, **public})


ops_and_internals = _names()

FUNCTIONAL = [  # where PyTorch keeps them in torch.nn.functional
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "conv2d", "cross_entropy", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "max_pool2d", "mse_loss", "multi_margin_loss",
    "nll_loss", "one_hot", "pad",
]  # fmt: skip


def torch_names() -> Any:
    """PyTorch's functions under chainrule's names."""
    import torch

    def index_put(x: Any, index: Any, value: Any) -> Any:
        y = x.clone()
        y[index] = value
        return y

    def index_add(g: Any, index: Any, shape: Any) -> Any:
        y = torch.zeros(shape, dtype=g.dtype)
        grid = torch.arange(y.numel()).reshape(shape)[index]
        return y.reshape(-1).index_add(0, grid.reshape(-1), g.reshape(-1)).reshape(shape)

    own = {
        "cast": lambda x, dtype: x.to(getattr(torch, np.dtype(dtype).name)),
        "expand": lambda x, shape: x.expand(shape),
        "sum_to": lambda x, shape: x.sum_to_size(shape),
        "getitem": lambda x, index: x[index],
        "index_put": index_put,
        "index_add": index_add,
        "multiclass_svm_loss": lambda x, t, **kw: (
            torch.nn.functional.multi_margin_loss(x, t, **kw) * x.shape[1]
        ),
        "relu_backward": lambda g, y: torch.ops.aten.threshold_backward(g, y, 0),
        "batch_norm_inference": lambda x, w, b, mean, var, eps: torch.nn.functional.batch_norm(
            x, mean, var, w, b, eps=eps
        ),
        "conv2d_input_grad": lambda g, w, shape, s, p, d, groups: torch.nn.grad.conv2d_input(
            shape, w, g, s, p, d, groups
        ),
        "conv2d_weight_grad": lambda g, x, shape, s, p, d, groups: torch.nn.grad.conv2d_weight(
            x, shape, g, s, p, d, groups
        ),
    }

    class Names:
        def __getattr__(self, name: str) -> Any:
            room = torch.nn.functional if name in FUNCTIONAL else torch
            return own[name] if name in own else getattr(room, name)

    return Names()


# -- values --------------------------------------------------------------------------------------


def normal(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Standard normal numbers, at least 0.1 away from 0 (where abs, relu, sign have kinks)."""

    def build(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(_away(rng, s) for s in shapes)

    return build


def _away(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    x = rng.standard_normal(shape)
    return np.asarray(x + np.where(x < 0, -0.1, 0.1))


def positive(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Numbers between 0.5 and 2."""
    return lambda rng: tuple(np.asarray(rng.uniform(0.5, 2, s)) for s in shapes)


def fractional(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Whole numbers plus 0.2 ... 0.4 or 0.6 ... 0.8: away from the jumps of floor and round."""

    def build(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(
            np.asarray(
                rng.integers(-3, 4, s) + rng.uniform(0.2, 0.4, s) + 0.4 * rng.integers(0, 2, s)
            )
            for s in shapes
        )

    return build


def distinct(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Numbers 0.1 apart from one another, also across the arrays: no ties, no kinks."""

    def build(rng: np.random.Generator) -> tuple[Any, ...]:
        sizes = [int(np.prod(s, dtype=int)) for s in shapes]
        values = (rng.permutation(sum(sizes)) - sum(sizes) / 2 + 0.25) * 0.1
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return tuple(p.reshape(s) for p, s in zip(parts, shapes, strict=True))

    return build


def integers(
    *shapes: tuple[int, ...], low: int = -4, high: int = 5
) -> Callable[..., tuple[Any, ...]]:
    """Whole numbers (int64)."""
    return lambda rng: tuple(np.asarray(rng.integers(low, high, s)) for s in shapes)


def booleans(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Coin flips."""
    return lambda rng: tuple(np.asarray(rng.integers(0, 2, s).astype(bool)) for s in shapes)


def joined(*builders: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The inputs of several builders, one after the other."""
    return lambda rng: tuple(a for b in builders for a in b(rng))


def fixed(builder: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The same values, not differentiated."""
    return lambda rng: tuple(Fixed(a) for a in builder(rng))


def exactly(*values: Any) -> Callable[..., tuple[Any, ...]]:
    """Given values."""
    return lambda rng: tuple(np.asarray(v) for v in values)


# -- the cases -----------------------------------------------------------------------------------
# fmt: off

CASES: list[Case] = []


def case(
    op: str, label: str, build: Callable[..., Any], expression: Callable[..., Any], **kw: Any
) -> None:
    CASES.append(Case(op, label, expression, build, **kw))


PAIRS = {  # two arguments that broadcast
    "same": ((2, 3), (2, 3)),
    "right row": ((2, 3), (3,)),
    "left column": ((2, 1), (2, 3)),
    "both sides": ((3, 1, 2), (4, 1)),
    "right 0-d": ((2, 3), ()),
    "left 0-d": ((), (2, 3)),
    "size one": ((1,), (1, 1)),
    "empty": ((0, 3), (1, 3)),
}
for _label, (_a, _b) in PAIRS.items():
    case("add", _label, normal(_a, _b), lambda o, a, b: o.add(a, b))
    case("sub", _label, normal(_a, _b), lambda o, a, b: o.sub(a, b))
    case("mul", _label, normal(_a, _b), lambda o, a, b: o.mul(a, b))
    case("div", _label, joined(normal(_a), positive(_b)), lambda o, a, b: o.div(a, b))
    case("maximum", _label, distinct(_a, _b), lambda o, a, b: o.maximum(a, b))
    case("minimum", _label, distinct(_a, _b), lambda o, a, b: o.minimum(a, b))
    case("pow", _label, joined(positive(_a), normal(_b)), lambda o, a, b: o.pow(a, b))
case("add", "alpha", normal((2, 3), (3,)), lambda o, a, b: o.add(a, b, alpha=-2))
case("sub", "alpha", normal((2, 3), (3,)), lambda o, a, b: o.sub(a, b, alpha=0.5))
case("add", "number", normal((2, 3)), lambda o, x: o.add(x, 2.5))
case("mul", "with itself", normal((2, 3)), lambda o, x: o.mul(x, x))
case("sub", "with itself", normal((2,)), lambda o, x: o.sub(x, x))
case("div", "number", normal((3,)), lambda o, x: o.div(x, 4))
case("maximum", "tie", exactly([1.0, 2.0], [1.0, 3.0]), lambda o, a, b: o.maximum(a, b),
     twice=False)
for _n in (0, 1, 2, 3, -1, 0.5, -2.5):
    case("pow", f"to {_n}", positive((2, 3)), lambda o, x, n=_n: o.pow(x, n))
case("pow", "negative base", normal((5,)), lambda o, x: o.pow(x, 3))
case("pow", "zero base", exactly([0.0, 2.0]), lambda o, x: o.pow(x, 2))
case(
    "pow", "exponents of zero base",
    lambda rng: (np.array([0.0, 0.0, 2.0]), Fixed(np.array([2.0, 3.0, 0.0]))),
    lambda o, a, b: o.pow(a, b), twice=False,
)
for _name, _wrap in (("floor_divide", fixed), ("remainder", joined)):
    case(
        _name, "broadcast", joined(_wrap(fractional((4, 3))), fixed(integers((3,), low=1, high=4))),
        lambda o, a, b, n=_name: getattr(o, n)(a, b),
    )
    case(
        _name, "negative divisor",
        joined(_wrap(fractional((4,))), fixed(integers((4,), low=-3, high=0))),
        lambda o, a, b, n=_name: getattr(o, n)(a, b),
    )
    case(
        _name, "integers", joined(integers((9,)), integers((9,), low=1)),
        lambda o, a, b, n=_name: getattr(o, n)(a, b),
    )
case(
    "remainder", "both inputs",
    lambda rng: (np.array([5.3, -2.7, 7.1]), np.array([2.0, 2.2, -3.1])),
    lambda o, a, b: o.remainder(a, b),
)
case("clamp", "both", distinct((3, 4)), lambda o, x: o.clamp(x, -0.3, 0.3))
case("clamp", "min", distinct((3, 4)), lambda o, x: o.clamp(x, min=-0.1))
case("clamp", "max", distinct((3, 4)), lambda o, x: o.clamp(x, max=0.1))
case("clamp", "tensor bounds", distinct((2, 3), (3,), (2, 1)),
     lambda o, x, a, b: o.clamp(x, a, b))
case("clamp", "empty", normal((0,)), lambda o, x: o.clamp(x, -1.0, 1.0))
case("where", "same", joined(booleans((2, 3)), normal((2, 3), (2, 3))),
     lambda o, c, a, b: o.where(c, a, b))
case("where", "broadcast", joined(booleans((2, 1)), normal((3,), ())),
     lambda o, c, a, b: o.where(c, a, b))
case("where", "number", joined(booleans((4,)), normal((4,))), lambda o, c, a: o.where(c, a, 0.0))

case("lerp", "number", normal((2, 3), (3,)), lambda o, a, b: o.lerp(a, b, 0.3))
case("lerp", "tensor", normal((2, 3), (2, 3), (2, 3)), lambda o, a, b, w: o.lerp(a, b, w))
case("addcmul", "broadcast", normal((2, 3), (3,), (2, 1)),
     lambda o, x, a, b: o.addcmul(x, a, b, value=0.5))
case("addcdiv", "broadcast", joined(normal((2, 3), (3,)), positive((2, 1))),
     lambda o, x, a, b: o.addcdiv(x, a, b, value=-2))

UNARY = {
    "neg": normal, "abs": normal, "sign": normal, "exp": normal, "expm1": normal,
    "log": positive, "log1p": positive, "sqrt": positive, "rsqrt": positive,
    "reciprocal": positive, "square": normal, "sin": normal, "cos": normal, "clone": normal,
    "zeros_like": normal, "floor": fractional, "ceil": fractional, "round": fractional,
    "relu": normal, "leaky_relu": normal, "sigmoid": normal, "tanh": normal,
}
for _name, _values in UNARY.items():
    for _label, _shape in {"matrix": (3, 5), "0-d": (), "one": (1, 1), "empty": (2, 0)}.items():
        case(_name, _label, _values(_shape), lambda o, x, n=_name: getattr(o, n)(x))
case("leaky_relu", "slope", normal((3, 5)), lambda o, x: o.leaky_relu(x, 0.2))
case("relu_backward", "matrix", joined(normal((3, 4)), fixed(normal((3, 4)))),
     lambda o, g, y: o.relu_backward(g, y))

for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    case(_name, "integers", integers((4, 5), (5,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "floats", normal((4, 1), (5,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
for _name in ("logical_and", "logical_or", "logical_xor"):
    case(_name, "mixed", joined(integers((3, 4), low=0, high=2), normal((4,))),
         lambda o, a, b, n=_name: getattr(o, n)(a, b))
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    case(_name, "integers", integers((3, 4), (4,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "booleans", booleans((3, 4), (4,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
case("bitwise_not", "integers", integers((3,)), lambda o, x: o.bitwise_not(x))
case("bitwise_not", "booleans", booleans((3,)), lambda o, x: o.bitwise_not(x))
case("logical_not", "integers", integers((6,)), lambda o, x: o.logical_not(x))
for _name in ("isnan", "isinf", "isfinite"):
    case(_name, "special values", exactly([0.0, np.nan, np.inf, -np.inf, 1e300]),
         lambda o, x, n=_name: getattr(o, n)(x))

case("isclose", "special values", exactly([1.0, np.nan, np.inf, 1], [1.000001, np.nan, np.inf, 2]),
     lambda o, a, b: o.isclose(a, b), half=False)
case("isclose", "tolerances", normal((4, 1), (5,)),
     lambda o, a, b: o.isclose(a, b, rtol=0.1, atol=0.5, equal_nan=True))

case("cast", "to double", normal((2, 3)), lambda o, x: o.cast(x, np.float64))
case("cast", "to single", fixed(normal((2, 3))), lambda o, x: o.cast(x, np.float32))
case("cast", "to integers", fixed(fractional((5,))), lambda o, x: o.cast(x, np.int64))
case("expand", "columns", normal((2, 1)), lambda o, x: o.expand(x, (2, 4)))
case("expand", "leading", normal((3,)), lambda o, x: o.expand(x, (2, 2, 3)))
case("expand", "keep", normal((2, 1, 3)), lambda o, x: o.expand(x, (4, -1, 2, -1)))
case("expand", "0-d", normal(()), lambda o, x: o.expand(x, (2, 2)))
case("expand", "to empty", normal((1, 3)), lambda o, x: o.expand(x, (0, 3)))
case("sum_to", "leading and inner", normal((2, 3, 4)), lambda o, x: o.sum_to(x, (3, 1)))
case("sum_to", "0-d", normal((2, 3)), lambda o, x: o.sum_to(x, ()))
case("sum_to", "same", normal((2, 3)), lambda o, x: o.sum_to(x, (2, 3)))

# reductions
case("cumsum", "columns", normal((2, 3)), lambda o, x: o.cumsum(x, 1))
case("cumsum", "rows", normal((3, 2, 2)), lambda o, x: o.cumsum(x, dim=-3))
case("cumsum", "0-d", normal(()), lambda o, x: o.cumsum(x, 0))
case("cumsum", "booleans", booleans((5,)), lambda o, x: o.cumsum(x, 0))
REDUCED = {
    "all": ((2, 3, 4), {}),
    "one": ((2, 3, 4), {"dim": 1}),
    "negative": ((2, 3, 4), {"dim": -1, "keepdim": True}),
    "several": ((2, 3, 4), {"dim": (0, -1)}),
    "several kept": ((2, 3, 4), {"dim": (2, 0), "keepdim": True}),
    "0-d": ((), {}),
    "size one": ((1, 1), {"dim": 0}),
}
for _label, (_shape, _kw) in REDUCED.items():
    for _name in ("sum", "mean", "amax", "amin", "any", "all"):
        case(_name, _label, distinct(_shape),
             lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **kw))
    case("logsumexp", _label, normal(_shape),
         lambda o, x, kw=_kw: o.logsumexp(x, **({"dim": tuple(range(x.ndim))} | kw)))
    if _label not in ("0-d", "size one"):
        for _name in ("var", "std"):
            case(_name, _label, normal(_shape),
                 lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **kw))
for _name in ("sum", "any", "all"):
    case(_name, "empty all", normal((0, 3)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "empty axis", normal((2, 0, 3)), lambda o, x, n=_name: getattr(o, n)(x, dim=1))
for _name in ("mean", "amax", "logsumexp"):
    case(_name, "of nothing", normal((0, 3)), lambda o, x, n=_name: getattr(o, n)(x, dim=1))
case("logsumexp", "empty axis", normal((2, 0)), lambda o, x: o.logsumexp(x, dim=1))
case("sum", "integers", integers((2, 3)), lambda o, x: o.sum(x, 0))
case("sum", "booleans", booleans((2, 3)), lambda o, x: o.sum(x))
case("mean", "empty all", normal((0, 3)), lambda o, x: o.mean(x), twice=False)  # NaN
case("var", "biased", normal((3, 4)), lambda o, x: o.var(x, 1, unbiased=False))
case("var", "correction", normal((3, 4)), lambda o, x: o.var(x, dim=(0, 1), correction=2))
case("std", "biased", normal((3, 4)), lambda o, x: o.std(x, 0, unbiased=False, keepdim=True))
case("amax", "ties", exactly([[1.0, 1.0, 0.0]]), lambda o, x: o.amax(x, 1), twice=False)
case("logsumexp", "large", lambda rng: (rng.normal(1000, 1, (2, 3)),),
     lambda o, x: o.logsumexp(x, 1), half=False)
for _p in (1, 2, 3, float("inf")):
    case("norm", f"p {_p}", distinct((3, 4)), lambda o, x, p=_p: o.norm(x, p))
    case("norm", f"p {_p}, rows", distinct((3, 4)),
         lambda o, x, p=_p: o.norm(x, p, dim=-1, keepdim=True))
case("norm", "empty", normal((0, 2)), lambda o, x: o.norm(x))
for _name in ("argmax", "argmin"):
    case(_name, "all", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "axis", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 0))
    case(_name, "kept", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, -1, True))
    case(_name, "first of ties", exactly([2, 7, 7, 2]), lambda o, x, n=_name: getattr(o, n)(x))

# shapes
case("reshape", "rows", normal((2, 6)), lambda o, x: o.reshape(x, (3, 4)))
case("reshape", "unknown", normal((2, 6)), lambda o, x: o.reshape(x, (-1, 2)))
case("reshape", "to 0-d", normal((1, 1)), lambda o, x: o.reshape(x, ()))
case("reshape", "empty", normal((0, 4)), lambda o, x: o.reshape(x, (2, 0)))
case("permute", "three", normal((2, 3, 4)), lambda o, x: o.permute(x, (2, 0, 1)))
case("permute", "negative", normal((2, 3, 4)), lambda o, x: o.permute(x, (-1, 0, -2)))
case("transpose", "negative", normal((2, 3, 4)), lambda o, x: o.transpose(x, 0, -1))
case("transpose", "empty", normal((2, 0)), lambda o, x: o.transpose(x, 0, 1))
case("flatten", "from one", normal((2, 3, 4)), lambda o, x: o.flatten(x, 1))
case("flatten", "middle", normal((2, 3, 2, 2)), lambda o, x: o.flatten(x, 1, -2))
case("flatten", "0-d", normal(()), lambda o, x: o.flatten(x))
case("flatten", "empty", normal((0, 3, 2)), lambda o, x: o.flatten(x, 1))
case("squeeze", "all", normal((1, 3, 1)), lambda o, x: o.squeeze(x))
case("squeeze", "one", normal((1, 3, 1)), lambda o, x: o.squeeze(x, -1))
case("squeeze", "several", normal((1, 3, 1)), lambda o, x: o.squeeze(x, (0, 1)))
case("unsqueeze", "front", normal((2, 3)), lambda o, x: o.unsqueeze(x, 0))
case("unsqueeze", "back", normal((2, 3)), lambda o, x: o.unsqueeze(x, -1))
case("flip", "two", normal((2, 3, 4)), lambda o, x: o.flip(x, (0, 2)))
case("flip", "negative", normal((2, 3)), lambda o, x: o.flip(x, (-1,)))
case("cat", "rows", normal((2, 3), (1, 3), (0, 3)), lambda o, a, b, c: o.cat((a, b, c), 0))
case("cat", "columns", normal((2, 3), (2, 1)), lambda o, a, b: o.cat([a, b], -1))
case("cat", "channels", normal((2, 3, 2, 2), (2, 1, 2, 2)), lambda o, a, b: o.cat((a, b), 1))
case("cat", "one twice", normal((2, 3)), lambda o, a: o.cat((a, a), 0))
case("cat", "alone", normal((2, 3)), lambda o, a: o.cat((a,), 0))
case("stack", "front", normal((2, 3), (2, 3)), lambda o, a, b: o.stack((a, b)))
case("stack", "back", normal((2,), (2,), (2,)), lambda o, a, b, c: o.stack((a, b, c), -1))
case("stack", "0-d", normal((), ()), lambda o, a, b: o.stack((a, b)))
case("split", "size", normal((5, 2)), lambda o, x: o.split(x, 2))
case("split", "sections", normal((2, 5)), lambda o, x: o.split(x, [1, 4], -1))
case("split", "empty", normal((0, 2)), lambda o, x: o.split(x, 2))
case("chunk", "uneven", normal((7,)), lambda o, x: o.chunk(x, 3))
case("chunk", "too many", normal((2, 2)), lambda o, x: o.chunk(x, 5, 1))
case("chunk", "empty", normal((0,)), lambda o, x: o.chunk(x, 3))
case("unbind", "rows", normal((3, 2)), lambda o, x: o.unbind(x))
case("unbind", "columns", normal((2, 3)), lambda o, x: o.unbind(x, -1))
case("narrow", "middle", normal((5, 2)), lambda o, x: o.narrow(x, 0, 1, 3))
case("narrow", "negative axis", normal((2, 5)), lambda o, x: o.narrow(x, -1, 2, 2))
case("pad", "image", normal((1, 2, 3, 3)), lambda o, x: o.pad(x, (1, 2, 0, 1)))
case("pad", "value", normal((2, 3)), lambda o, x: o.pad(x, (1, 1), value=2.5))
case("pad", "crop", normal((2, 2, 4, 5)), lambda o, x: o.pad(x, (-1, 2, 1, -2)))
case("pad", "empty", normal((0, 2)), lambda o, x: o.pad(x, (1, 0)))

INDICES = {
    "integer": 1,
    "negative": -1,
    "slice": slice(None, None, 2),
    "ellipsis": (..., 0),
    "new axis": (None, slice(1, 3), None, 2),
    "several": (slice(None), slice(1, 3), 1),
}
for _label, _index in INDICES.items():
    case("getitem", _label, normal((3, 4, 4)), lambda o, x, i=_index: o.getitem(x, i))
    case("index_put", _label, joined(normal((3, 4, 4)), normal((1,))),
         lambda o, x, v, i=_index: o.index_put(x, i, v))
case("getitem", "one element", normal((3, 4)), lambda o, x: o.getitem(x, (1, 2)))
case("getitem", "gather rows", joined(normal((4, 2)), exactly([0, 3, 0])),
     lambda o, x, i: o.getitem(x, i))
case("getitem", "mask", joined(normal((2, 3)), exactly([[True, False, True], [False] * 3])),
     lambda o, x, i: o.getitem(x, i))
case("getitem", "rows and columns", normal((4, 3)),
     lambda o, x: o.getitem(x, ([0, 1, 3, 1], [2, 0, 1, 0])))
case("index_put", "rows", joined(normal((4, 2)), exactly([0, 3]), normal((2, 2))),
     lambda o, x, i, v: o.index_put(x, i, v))
case("index_put", "mask", joined(normal((2, 3)), exactly([[True, False, True], [False] * 3]),
     normal(())), lambda o, x, i, v: o.index_put(x, i, v))
case("index_add", "rows twice", joined(normal((3, 2)), exactly([0, 3, 0])),
     lambda o, g, i: o.index_add(g, i, (4, 2)))
case("index_add", "slice", normal((2, 2)), lambda o, g: o.index_add(g, slice(1, 3), (4, 2)))
case("gather", "columns", joined(normal((2, 3)), exactly([[0, 2, 2, 1], [1, 1, 0, 2]])),
     lambda o, x, i: o.gather(x, 1, i))
case("gather", "fewer columns", joined(normal((3, 4)), exactly([[0, 2], [1, 1]])),
     lambda o, x, i: o.gather(x, 0, i))
case("gather", "empty", joined(normal((2, 3)), exactly(np.zeros((2, 0), np.int64))),
     lambda o, x, i: o.gather(x, -1, i))
case("scatter", "columns", joined(normal((2, 4), (2, 3)), exactly([[0, 3, 2], [1, 3, 0]])),
     lambda o, x, s, i: o.scatter(x, 1, i, s))
case("scatter", "fewer rows", joined(normal((3, 3), (2, 4)), exactly([[0, 2], [1, 0]])),
     lambda o, x, s, i: o.scatter(x, -1, i, s), twin=False)  # PyTorch: no gradient of s
case("scatter", "number", joined(normal((2, 3)), exactly([[0], [2]])),
     lambda o, x, i: o.scatter(x, 1, i, 1.5))
case("scatter_add", "columns", joined(normal((2, 4), (2, 3)), exactly([[0, 2, 2], [1, 1, 0]])),
     lambda o, x, s, i: o.scatter_add(x, 1, i, s))
case("scatter_add", "rows", joined(normal((2, 3), (2, 2)), exactly([[0, 1], [1, 1]])),
     lambda o, x, s, i: o.scatter_add(x, 0, i, s))
case("index_select", "rows", joined(normal((3, 2)), exactly([2, 0, 2])),
     lambda o, x, i: o.index_select(x, 0, i))
case("index_select", "last axis", joined(normal((2, 2, 3)), exactly([1])),
     lambda o, x, i: o.index_select(x, -1, i))
case("masked_select", "same", joined(normal((2, 3)), booleans((2, 3))),
     lambda o, x, m: o.masked_select(x, m))
case("masked_select", "broadcast", joined(normal((2, 1)), exactly([True, False, True])),
     lambda o, x, m: o.masked_select(x, m))
for _name in ("tril", "triu"):
    case(_name, "square", normal((3, 3)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "batch", normal((2, 2, 4)), lambda o, x, n=_name: getattr(o, n)(x, 1))
    case(_name, "below", normal((4, 3)), lambda o, x, n=_name: getattr(o, n)(x, -2))
case("nonzero", "matrix", exactly([[0.0, 2.0], [-1.0, 0.0]]), lambda o, x: o.nonzero(x))
case("nonzero", "booleans", booleans((5,)), lambda o, x: o.nonzero(x))
case("one_hot", "classes", exactly([2, 0, 1]), lambda o, t: o.one_hot(t, 4))
case("one_hot", "to the largest", exactly([[2, 0], [1, 1]]), lambda o, t: o.one_hot(t))
case("broadcast_to", "columns", normal((2, 1)), lambda o, x: o.broadcast_to(x, (3, 2, 2)))
case("tile", "both axes", normal((2, 3)), lambda o, x: o.tile(x, (2, 2)))
case("tile", "new axis", normal((2, 1)), lambda o, x: o.tile(x, (2, 1, 3)))
case("tile", "last axis", normal((2, 2)), lambda o, x: o.tile(x, (3,)))

# sorting
for _label, _kw in {"default": {}, "rows": {"dim": 0}, "descending": {"descending": True}}.items():
    case("sort", _label, distinct((3, 4)), lambda o, x, kw=_kw: o.sort(x, **kw))
    case("argsort", _label, distinct((3, 4)), lambda o, x, kw=_kw: o.argsort(x, **kw))
    case("argsort", f"{_label}, ties", integers((2, 9), low=0, high=3),
         lambda o, x, kw=_kw: o.argsort(x, stable=True, **kw))
case("sort", "0-d", normal(()), lambda o, x: o.sort(x))
case("sort", "NaN", fixed(exactly([2.0, np.nan, 1.0])), lambda o, x: o.sort(x, descending=True))
case("sort", "empty", normal((2, 0)), lambda o, x: o.sort(x))
case("topk", "largest", distinct((3, 4)), lambda o, x: o.topk(x, 2))
case("topk", "smallest rows", distinct((4, 3)), lambda o, x: o.topk(x, 3, dim=0, largest=False))
case("topk", "none", distinct((2, 3)), lambda o, x: o.topk(x, 0))

# products
PRODUCTS = {
    "matrices": ((2, 3), (3, 4)),
    "vectors": ((3,), (3,)),
    "matrix vector": ((2, 3), (3,)),
    "vector matrix": ((3,), (3, 2)),
    "batch": ((2, 2, 3), (2, 3, 2)),
    "batch broadcast": ((3, 1, 2, 3), (2, 3, 1)),
    "batch vector": ((2, 2, 3), (3,)),
    "vector batch": ((3,), (2, 3, 2)),
    "no terms": ((2, 0), (0, 3)),
    "no rows": ((0, 2), (2, 3)),
}
for _label, (_a, _b) in PRODUCTS.items():
    case("matmul", _label, normal(_a, _b), lambda o, a, b: o.matmul(a, b))
case("linear", "rows", normal((3, 4), (2, 4), (2,)), lambda o, x, w, b: o.linear(x, w, b))
case("linear", "no bias", normal((3, 4), (2, 4)), lambda o, x, w: o.linear(x, w))
case("linear", "vector", normal((4,), (2, 4), (2,)), lambda o, x, w, b: o.linear(x, w, b))
case("linear", "batch", normal((2, 3, 4), (1, 4), (1,)), lambda o, x, w, b: o.linear(x, w, b))
case("linear", "empty", normal((0, 4), (2, 4), (2,)), lambda o, x, w, b: o.linear(x, w, b))

# convolution
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 2, 4, 5), (3, 2, 2, 3), {}),
    "stride": ((1, 2, 5, 6), (2, 2, 3, 2), {"stride": (2, 3)}),
    "padding": ((1, 1, 3, 4), (2, 1, 3, 3), {"padding": (1, 2)}),
    "dilation": ((1, 1, 5, 6), (2, 1, 2, 3), {"dilation": (2, 2), "padding": 1}),
    "groups": ((1, 4, 3, 3), (6, 2, 2, 2), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 3, 4, 4), (3, 1, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    "pointwise": ((2, 3, 2, 3), (4, 3, 1, 1), {}),
    "same": ((1, 2, 4, 4), (2, 2, 3, 3), {"padding": "same"}),
    "same even": ((1, 2, 4, 4), (2, 2, 2, 4), {"padding": "same"}),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), {"stride": 2}),
    "unreached edge": ((1, 1, 6, 6), (1, 1, 2, 2), {"stride": 3}),
    "no images": ((0, 2, 4, 4), (3, 2, 3, 3), {"padding": 1}),
    "unbatched": ((2, 4, 4), (3, 2, 3, 3), {}),
}
for _label, (_x, _w, _kw) in CONVOLUTIONS.items():
    case("conv2d", _label, normal(_x, _w, _w[:1]),
         lambda o, x, w, b, kw=_kw: o.conv2d(x, w, b, **kw), tolerance=4)
case("conv2d", "no bias", normal((1, 2, 3, 3), (2, 2, 2, 2)), lambda o, x, w: o.conv2d(x, w))
GRADIENTS = {
    "plain": ((1, 2, 4, 4), (3, 2, 2, 3), (1, 3, 3, 2), ((1, 1), (0, 0), (1, 1), 1)),
    "stride": ((1, 2, 5, 6), (2, 2, 3, 3), (1, 2, 3, 3), ((2, 2), (1, 1), (1, 1), 1)),
    "groups": ((1, 2, 5, 5), (2, 1, 2, 2), (1, 2, 3, 3), ((1, 1), (0, 0), (2, 2), 2)),
}
for _label, (_x, _w, _y, _settings) in GRADIENTS.items():
    case("conv2d_input_grad", _label, normal(_y, _w),
         lambda o, g, w, x=_x, s=_settings: o.conv2d_input_grad(g, w, x, *s), tolerance=4)
    case("conv2d_weight_grad", _label, normal(_y, _x),
         lambda o, g, x, w=_w, s=_settings: o.conv2d_weight_grad(g, x, w, *s), tolerance=4)

# pooling
POOLS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 2, 4, 5), {"kernel_size": 2}),
    "overlap": ((1, 2, 4, 5), {"kernel_size": (3, 2), "stride": 1}),
    "padding": ((2, 1, 4, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "ceil": ((1, 1, 4, 6), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil and padding": ((1, 1, 5, 4), {"kernel_size": 2, "padding": 1, "ceil_mode": True}),
    "whole": ((1, 2, 3, 3), {"kernel_size": 3}),
    "no images": ((0, 2, 4, 4), {"kernel_size": 2}),
    "unbatched": ((2, 4, 4), {"kernel_size": 2}),
}
for _label, (_x, _kw) in POOLS.items():
    case("max_pool2d", _label, distinct(_x), lambda o, x, kw=_kw: o.max_pool2d(x, **kw))
    case("avg_pool2d", _label, normal(_x), lambda o, x, kw=_kw: o.avg_pool2d(x, **kw))
    case("avg_pool2d", f"{_label}, real pixels", normal(_x),
         lambda o, x, kw=_kw: o.avg_pool2d(x, count_include_pad=False, **kw))
case("max_pool2d", "dilation", distinct((1, 2, 5, 6)),
     lambda o, x: o.max_pool2d(x, 2, 1, 1, 2))
for _label, (_x, _size) in {
    "global": ((2, 3, 4, 5), 1), "uneven": ((1, 2, 5, 7), (2, 3)), "grow": ((1, 1, 2, 3), (3, 4)),
    "keep": ((1, 1, 4, 3), (2, None)), "unbatched": ((2, 4, 4), 2), "no images": ((0, 1, 2, 2), 1),
}.items():
    case("adaptive_avg_pool2d", _label, normal(_x),
         lambda o, x, size=_size: o.adaptive_avg_pool2d(x, size))
_WINDOW = ((2, 2), (1, 1), (0, 0), (1, 1))
case("max_pool2d_scatter", "overlap",
     joined(normal((1, 1, 2, 2)), exactly(np.array([[[[3, 2], [1, 0]]]]))),
     lambda o, g, i: o.max_pool2d_scatter(g, i, (1, 1, 3, 3), *_WINDOW), twin=False)
case("max_pool2d_gather", "overlap",
     joined(normal((1, 1, 3, 3)), exactly(np.array([[[[3, 2], [1, 0]]]]))),
     lambda o, x, i: o.max_pool2d_gather(x, i, *_WINDOW), twin=False)
case("avg_pool2d_spread", "overlap", normal((1, 2, 3, 3)),
     lambda o, g: o.avg_pool2d_spread(g, (1, 2, 4, 4), (2, 2), (1, 1), (0, 0), False, True),
     twin=False)
case("adaptive_avg_pool2d_spread", "uneven", normal((1, 2, 2, 2)),
     lambda o, g: o.adaptive_avg_pool2d_spread(g, (1, 2, 3, 5)), twin=False)

# normalisation, dropout
case("batch_norm", "training",
     joined(normal((3, 2, 2, 2), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.batch_norm(x, m, v, w, b, True), tolerance=8)
case("batch_norm", "training, plain", normal((4, 3)),
     lambda o, x: o.batch_norm(x, None, None, training=True, eps=0.1), tolerance=8)
case("batch_norm", "training, weight alone", normal((2, 2, 3), (2,)),
     lambda o, x, w: o.batch_norm(x, None, None, w, None, True), tolerance=8)
case("batch_norm", "evaluation",
     joined(normal((2, 2, 2, 3), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.batch_norm(x, m, v, w, b, False))
case("batch_norm", "evaluation, plain", joined(normal((3, 2)), fixed(positive((2,), (2,)))),
     lambda o, x, m, v: o.batch_norm(x, m, v))
case("batch_norm", "no images", joined(normal((0, 2, 3), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.batch_norm(x, m, v, w, b, False))
for _x in ((2, 3, 2, 2), (4, 3)):
    case("batch_norm_inference", f"{_x}",
         joined(normal(_x, (3,), (3,)), fixed(positive((3,), (3,)))),
         lambda o, x, w, b, m, v: o.batch_norm_inference(x, w, b, m, v, 0.1))
    case("batch_norm_inference", f"{_x}, plain", joined(normal(_x), fixed(positive((3,), (3,)))),
         lambda o, x, m, v: o.batch_norm_inference(x, None, None, m, v, 0.1))
case("layer_norm", "rows", normal((3, 5), (5,), (5,)),
     lambda o, x, w, b: o.layer_norm(x, (5,), w, b), tolerance=8)
case("layer_norm", "last two of three axes", normal((2, 3, 4), (3, 4), (3, 4)),
     lambda o, x, w, b: o.layer_norm(x, (3, 4), w, b), tolerance=8)
case("layer_norm", "all axes, plain", normal((3, 2)),
     lambda o, x: o.layer_norm(x, (3, 2), eps=0.1), tolerance=8)
case("layer_norm", "weight alone", normal((4, 3), (3,)),
     lambda o, x, w: o.layer_norm(x, (3,), w), tolerance=8)
case("layer_norm", "no rows", normal((0, 3), (3,), (3,)),
     lambda o, x, w, b: o.layer_norm(x, (3,), w, b))
case("group_norm", "images", normal((2, 4, 2, 3), (4,), (4,)),
     lambda o, x, w, b: o.group_norm(x, 2, w, b), tolerance=8)
case("group_norm", "one channel each, weight alone", normal((2, 3, 4), (3,)),
     lambda o, x, w: o.group_norm(x, 3, w), tolerance=8)
case("group_norm", "one group, plain", normal((3, 4)),
     lambda o, x: o.group_norm(x, 1, eps=0.1), tolerance=8)
case("group_norm", "no images", normal((0, 4, 2), (4,), (4,)),
     lambda o, x, w, b: o.group_norm(x, 2, w, b))
for _p in (0.0, 0.4, 1.0):
    case("dropout", f"p {_p}", normal((3, 4)),
         lambda o, x, p=_p: o.dropout(x, p, True, cr.Generator(3)), twin=False)
case("dropout", "evaluation", normal((3, 4)), lambda o, x: o.dropout(x, 0.5, False))

# softmax and losses
for _name in ("softmax", "log_softmax"):
    for _label, (_shape, _dim) in {
        "rows": ((3, 4), 1), "negative": ((2, 3, 2), -2), "size one": ((2, 1), 1),
        "empty": ((0, 3), 1), "first": ((3, 2), 0),
    }.items():
        case(_name, _label, normal(_shape), lambda o, x, n=_name, d=_dim: getattr(o, n)(x, d))
    case(_name, "large", lambda rng: (rng.normal(1000, 2, (2, 3)),),
         lambda o, x, n=_name: getattr(o, n)(x, 1), half=False)


def labelled(n: int, classes: int, *rest: int) -> Callable[..., tuple[Any, ...]]:
    """Scores (n, classes, *rest) without kinks of the hinge, and labels (n, *rest)."""
    return joined(distinct((n, classes, *rest)), integers((n, *rest), low=0, high=classes))


LOSSES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "mean": (labelled(4, 3), {}),
    "sum": (labelled(4, 3), {"reduction": "sum"}),
    "none": (labelled(4, 3), {"reduction": "none"}),
    "images": (labelled(2, 3, 2, 2), {}),
    "columns, none": (labelled(2, 3, 2), {"reduction": "none"}),
    "one sample": (joined(distinct((3,)), exactly(2)), {}),
    "ignore": (joined(distinct((4, 3)), exactly([0, -100, 2, 1])), {}),
    "ignore a class": (joined(distinct((4, 3)), exactly([0, 2, 2, 1])), {"ignore_index": 2}),
    "ignore, sum": (
        joined(distinct((3, 3)), exactly([0, 7, 2])),
        {"ignore_index": 7, "reduction": "sum"},
    ),
    "no samples": (labelled(0, 3), {"reduction": "sum"}),
}
SMOOTH: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "smoothing": (labelled(4, 3), {"label_smoothing": 0.2}),
    "smoothing, none": (labelled(2, 3, 2), {"label_smoothing": 0.3, "reduction": "none"}),
    "smoothing, ignore": (
        joined(distinct((4, 3)), exactly([0, -100, 2, 1])),
        {"label_smoothing": 0.2},
    ),
    "distribution": (joined(distinct((4, 3)), fixed(positive((4, 3)))), {}),
    "distribution of images": (
        joined(distinct((2, 3, 2)), fixed(positive((2, 3, 2)))),
        {"reduction": "none"},
    ),
    "distribution, smoothing": (
        joined(distinct((4, 3)), fixed(positive((4, 3)))),
        {"label_smoothing": 0.1},
    ),
    "distribution, differentiated": (
        joined(distinct((2, 3)), positive((2, 3))),
        {"reduction": "sum"},
    ),
    "distribution, one sample": (joined(distinct((3,)), fixed(positive((3,)))), {}),
}
for _label, (_build, _kw) in LOSSES.items():
    case("nll_loss", _label, _build, lambda o, x, t, kw=_kw: o.nll_loss(x, t, **kw))
for _label, (_build, _kw) in {**LOSSES, **SMOOTH}.items():
    case("cross_entropy", _label, _build, lambda o, x, t, kw=_kw: o.cross_entropy(x, t, **kw))
    if "one sample" in _label or "no samples" in _label:
        continue
    case("cross_entropy", f"{_label}, weight", joined(_build, fixed(positive((3,)))),
         lambda o, x, t, w, kw=_kw: o.cross_entropy(x, t, w, **kw))
    if _label in LOSSES:
        case("nll_loss", f"{_label}, weight", joined(_build, fixed(positive((3,)))),
             lambda o, x, t, w, kw=_kw: o.nll_loss(x, t, w, **kw))
for _p in (1, 2):
    for _label, (_build, _kw) in {
        "mean": (labelled(4, 3), {}),
        "sum": (labelled(4, 3), {"reduction": "sum", "margin": 0.55}),
        "none": (labelled(4, 3), {"reduction": "none", "margin": 0.17}),
        "one sample": (joined(distinct((3,)), exactly(2)), {}),
    }.items():
        case("multi_margin_loss", f"p {_p}, {_label}", _build,
             lambda o, x, t, p=_p, kw=_kw: o.multi_margin_loss(x, t, p=p, **kw))
    case("multi_margin_loss", f"p {_p}, weight", joined(labelled(4, 3), fixed(positive((3,)))),
         lambda o, x, t, w, p=_p: o.multi_margin_loss(x, t, p=p, weight=w))
case("multiclass_svm_loss", "mean", labelled(4, 5), lambda o, x, t: o.multiclass_svm_loss(x, t))
case("multiclass_svm_loss", "sum", labelled(4, 3),
     lambda o, x, t: o.multiclass_svm_loss(x, t, margin=0.55, reduction="sum"))
for _name in ("mse_loss", "l1_loss"):
    for _reduction in ("mean", "sum", "none"):
        case(_name, _reduction, distinct((3, 2), (3, 2)),
             lambda o, x, t, n=_name, r=_reduction: getattr(o, n)(x, t, reduction=r))
