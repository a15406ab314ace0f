"""What the graph costs: forward and backward of operations on numbers so few that computing
them takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from chainrule.bench.case import Case, Settings, Timed
from chainrule.bench.libraries import DEFAULT, OURS, Library, layouts, library
from chainrule.bench.turns import Step

LENGTH = 32  # operations of a chain

Link = Callable[[Any], Any]


def _add(lib: Library) -> tuple[Link, tuple[int, ...]]:
    other = lib.tensor(np.ones((4, 4), np.float32)).requires_grad_()
    return lambda y: y + other, (4, 4)


def _mul(lib: Library) -> tuple[Link, tuple[int, ...]]:
    other = lib.tensor(np.ones((4, 4), np.float32)).requires_grad_()
    return lambda y: y * other, (4, 4)


def _relu(lib: Library) -> tuple[Link, tuple[int, ...]]:
    return lib.F.relu, (4, 4)


def _linear(lib: Library) -> tuple[Link, tuple[int, ...]]:
    return lib.nn.Linear(4, 4), (4, 4)


def _conv2d(lib: Library) -> tuple[Link, tuple[int, ...]]:
    return lib.nn.Conv2d(4, 4, 3, padding=1), (1, 4, 4, 4)


def _batch_norm(lib: Library) -> tuple[Link, tuple[int, ...]]:
    return lib.nn.BatchNorm2d(4), (2, 4, 2, 2)


def _max_pool2d(lib: Library) -> tuple[Link, tuple[int, ...]]:
    return lib.nn.MaxPool2d(3, 1, 1), (1, 4, 4, 4)


LINKS = {
    "add": _add,
    "mul": _mul,
    "relu": _relu,
    "linear": _linear,
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "max_pool2d": _max_pool2d,
}


def cases() -> Iterator[Case]:
    """A chain of each operation."""
    for name, make in LINKS.items():
        timed = Timed(partial(_sides, make), "µs per op", 1e6 / LENGTH, seconds=3)
        yield Case(f"overhead/{name}", f"{name}, forward and backward", timed)


def _sides(make: Callable[..., Any], _: Settings) -> Mapping[str, Step]:
    return {side: chain(library(side), make) for side in layouts(2) if side in (OURS, DEFAULT)}


def chain(lib: Library, make: Callable[[Library], tuple[Link, tuple[int, ...]]]) -> Step:
    """One operation after another, then back."""
    link, shape = make(lib)
    x = lib.tensor(np.full(shape, 0.5, np.float32)).requires_grad_()
    g = lib.tensor(np.ones(shape, np.float32))

    def step() -> None:
        y = x
        for _ in range(LENGTH):
            y = link(y)
        y.backward(g)

    return step
