"""What a sample call of an op is: one expression that runs in both worlds, and its inputs.

A case's expression takes a namespace ``o`` and the inputs: with `chainrule.ops` it is our
call, with `torch_names()` the very same words are PyTorch's. Inputs that are floats are
differentiated; integers, booleans and `Fixed` floats are not. Values keep a distance from
kinks and ties, so that central differences are defined.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import ops
from chainrule.ops.op import registry


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


def public_names() -> set[str]:
    """What the families of `chainrule.ops` list."""
    families = [import_module(f"{ops.__name__}.{m.name}") for m in iter_modules(ops.__path__)]
    return {name for family in families for name in getattr(family, "__all__", ())}


def _names() -> SimpleNamespace:
    """Public functions of `chainrule.ops`, and internal ops from the registry beside them."""
    public = {name: getattr(ops, name) for name in public_names()}
    return SimpleNamespace(**{**registry, **public})


ops_and_internals = _names()

Twin = Callable[..., Any]
twins: dict[str, Callable[[Any], Twin]] = {}
"""How to make, of the module torch, PyTorch's form of what it has under no such name."""


def torch_names() -> Any:
    """PyTorch's functions under chainrule's names."""
    import torch

    class Names:
        def __getattr__(self, name: str) -> Any:
            if name in twins:
                return twins[name](torch)
            functional = torch.nn.functional
            return getattr(functional if hasattr(functional, name) else torch, name)

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


# -- the table -----------------------------------------------------------------------------------

CASES: list[Case] = []


def case(
    op: str, label: str, build: Callable[..., Any], expression: Callable[..., Any], **kw: Any
) -> None:
    CASES.append(Case(op, label, expression, build, **kw))
