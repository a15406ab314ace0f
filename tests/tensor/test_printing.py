"""Tensors print as PyTorch's do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError

RNG = np.random.default_rng(5)

SAMPLES: dict[str, np.ndarray] = {
    "0-d": np.float32(1.5),
    "0-d whole": np.float32(3),
    "0-d integer": np.int64(-7),
    "0-d boolean": np.bool_(True),
    "whole": np.float32([1, 2, 300]),
    "negative": np.float32([-1.25, 2.5]),
    "matrix": RNG.standard_normal((3, 4)).astype(np.float32),
    "double": RNG.standard_normal((2, 2)),
    "half": RNG.standard_normal(3).astype(np.float16),
    "large": np.float32([1e9, 1.5]),
    "large whole": np.float32([1e9, 1.0]),
    "far apart": np.float32([1e-3, 1.0, 1234.5]),
    "small": np.float32([1e-5, 2e-5]),
    "small beside zero": np.float32([0, 1e-6]),
    "special": np.float32([np.nan, np.inf, -np.inf, 1.5]),
    "only special": np.float32([np.nan, np.inf]),
    "special whole": np.float32([np.nan, 10, -np.inf]),
    "integers": RNG.integers(-1000, 1000, (2, 5)),
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "int32": np.arange(3, dtype=np.int32),
    "booleans": np.array([[True, False], [False, False]]),
    "three axes": RNG.standard_normal((2, 2, 3)).astype(np.float32),
    "four axes": np.arange(16.0).reshape(2, 2, 2, 2).astype(np.float32),
    "one row": RNG.standard_normal((1, 5)).astype(np.float32),
    "long row": np.arange(60),
    "long rows": RNG.standard_normal((2, 30)).astype(np.float32),
    "summarised": np.arange(2000),
    "summarised matrix": RNG.standard_normal((50, 50)).astype(np.float32),
    "summarised rows": RNG.standard_normal((4, 700)).astype(np.float32),
    "summarised columns": RNG.standard_normal((700, 2)).astype(np.float32),
    "summarised images": RNG.standard_normal((8, 3, 16, 16)).astype(np.float32),
    "a thousand": np.arange(1000),
    "empty": np.zeros(0, np.float32),
    "empty matrix": np.zeros((0, 3), np.float32),
    "empty integers": np.zeros((2, 0), np.int64),
    "zero": np.zeros((2, 2), np.float32),
}


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    cr.set_printoptions(profile="default")


def both(values: Any, requires_grad: bool = False) -> tuple[str, str]:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    array = np.asarray(values)
    ours = cr.tensor(array)
    theirs = torch.tensor(array)
    if requires_grad and array.dtype.kind == "f":
        ours.requires_grad_()
        theirs.requires_grad_()
    text = repr(ours)
    if array.size > 1000:
        assert f"size={array.shape}" in text
        text = re.sub(r",\s+size=\([\d, ]+\)", "", text)
    return re.sub(r"dtype=(\w+)", r"dtype=torch.\1", text), repr(theirs)


@pytest.mark.parity
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_text_is_pytorchs(name: str, requires_grad: bool) -> None:
    ours, theirs = both(SAMPLES[name], requires_grad)
    assert ours == theirs


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(60))
def test_text_of_random_tensors_is_pytorchs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 8, rng.integers(0, 4)))
    scale = 10.0 ** rng.integers(-6, 7)
    values = rng.standard_normal(shape) * scale
    if seed % 3 == 0:
        values = np.round(values)
    if seed % 4 == 0:
        values = np.where(rng.random(shape) < 0.2, 0, values)
    if seed % 5 == 0:
        values = values * 10.0 ** rng.integers(-3, 4, shape)
    ours, theirs = both(values.astype(np.float32))
    assert ours == theirs


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2}, {"precision": 8}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1},
        {"linewidth": 40}, {"sci_mode": True}, {"sci_mode": False}, {"profile": "short"},
        {"profile": "full"}, {"profile": "default"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["matrix", "far apart", "long row", "three axes", "integers"])
def test_options_are_pytorchs(options: dict[str, Any], name: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    cr.set_printoptions(**options)
    torch.set_printoptions(**options)
    try:
        array = np.asarray(SAMPLES[name])
        ours = re.sub(r",\s+size=\([\d, ]+\)", "", repr(cr.tensor(array)))
        assert re.sub(r"dtype=(\w+)", r"dtype=torch.\1", ours) == repr(torch.tensor(array))
    finally:
        torch.set_printoptions(profile="default")


def test_where_values_came_from() -> None:
    x = cr.ones(2, requires_grad=True)
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<MulBackward>)"
    assert repr((x * 2).detach()) == "tensor([2., 2.])"
    assert repr(cr.nn.Parameter(cr.ones(1))) == (
        "Parameter containing:\ntensor([1.], requires_grad=True)"
    )
    cr.set_default_dtype(cr.float64)
    try:
        assert repr(cr.ones(1)) == "tensor([1.])"
        assert repr(cr.ones(1, dtype=cr.float32)) == "tensor([1.], dtype=float32)"
    finally:
        cr.set_default_dtype(cr.float32)


def test_unknown_profile() -> None:
    with pytest.raises(ConfigError, match="profile must be one of default, short, full"):
        cr.set_printoptions(profile="long")
