"""assert_close accepts and rejects what PyTorch's does, with the same kinds of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr

NAN = float("nan")
CALLS: dict[str, Callable[[Any, Any], None]] = {
    "equal": lambda o, close: close(o.tensor([1.0, 2]), o.tensor([1.0, 2])),
    "near": lambda o, close: close(o.tensor([1.0, 2]), o.tensor([1.0, 2 + 1e-6])),
    "far": lambda o, close: close(o.tensor([1.0, 2]), o.tensor([1.0, 2.1])),
    "near in float64": lambda o, close: close(
        o.tensor([1.0], dtype=o.float64), o.tensor([1.0 + 1e-6], dtype=o.float64)
    ),
    "near in float16": lambda o, close: close(o.tensor([1.0]).half(), o.tensor([1.0009]).half()),
    "integers": lambda o, close: close(o.tensor([1, 2]), o.tensor([1, 3])),
    "booleans": lambda o, close: close(o.tensor([True]), o.tensor([False])),
    "other dtype": lambda o, close: close(o.tensor([1]), o.tensor([1.0])),
    "other dtype, allowed": lambda o, close: close(
        o.tensor([1]), o.tensor([1.0]), check_dtype=False
    ),
    "tolerance of the coarser dtype": lambda o, close: close(
        o.ones(2), o.ones(2).double() * (1 + 1e-6), check_dtype=False
    ),
    "other shape": lambda o, close: close(o.ones(2, 1), o.ones(2)),
    "empty": lambda o, close: close(o.ones(0), o.ones(0)),
    "nan": lambda o, close: close(o.tensor([NAN]), o.tensor([NAN])),
    "nan allowed": lambda o, close: close(o.tensor([NAN]), o.tensor([NAN]), equal_nan=True),
    "infinity": lambda o, close: close(o.tensor([float("inf")]), o.tensor([float("inf")])),
    "given tolerance": lambda o, close: close(o.ones(2), o.ones(2) + 1e-3, rtol=1e-2, atol=0),
    "one tolerance": lambda o, close: close(o.ones(2), o.ones(2), rtol=1e-2),
    "numbers": lambda o, close: close(1.0, 1.0 + 1e-9),
    "numbers apart": lambda o, close: close(1.0, 1.1),
    "number and integer": lambda o, close: close(1, 1.0),
    "number and integer, allowed": lambda o, close: close(1, 1.0, check_dtype=False),
    "truths": lambda o, close: close(True, True),
    "number and tensor": lambda o, close: close(o.tensor(1.0), 1.0),
    "arrays": lambda o, close: close(np.ones(2), np.ones(2)),
    "list": lambda o, close: close([o.ones(2), 1.0], [o.ones(2), 1.0]),
    "list and tuple": lambda o, close: close([1], (1,)),
    "longer list": lambda o, close: close([1], [1, 2]),
    "dict": lambda o, close: close({"a": 1}, {"a": 2}),
    "other keys": lambda o, close: close({"a": 1}, {"b": 1}),
    "nested": lambda o, close: close({"a": [o.ones(2)]}, {"a": [o.zeros(2)]}),
    "none": lambda o, close: close(None, None),
    "none and number": lambda o, close: close(None, 1.0),
    "text": lambda o, close: close("a", "a"),
    "classes": lambda o, close: close(o.nn.Parameter(o.ones(2)), o.ones(2)),
    "classes asked for": lambda o, close: close(
        o.nn.Parameter(o.ones(2)), o.ones(2), allow_subclasses=False
    ),
    "strides": lambda o, close: close(o.ones(3, 2).T, o.ones(2, 3)),
    "strides asked for": lambda o, close: close(o.ones(3, 2).T, o.ones(2, 3), check_stride=True),
}


def outcome(call: Callable[[Any, Any], None], o: Any) -> Any:
    try:
        call(o, o.testing.assert_close)
    except Exception as e:
        return type(e)


@pytest.mark.parity
@pytest.mark.parametrize("name", CALLS)
def test_accepts_and_rejects_what_pytorch_does(name: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    assert outcome(CALLS[name], cr) == outcome(CALLS[name], torch)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (CALLS["far"], r"not close!\n\nMismatched elements: 1 / 2 \(50\.0%\)\n"
         r"Greatest absolute difference: 0\.09999\d+ at index \(1,\) \(up to 1e-05 allowed"),
        (CALLS["integers"], r"Tensor-likes are not equal!(?s:.*)difference: 1 at index \(1,\)\n"),
        (CALLS["other shape"], r"'shape' do not match: \(2, 1\) != \(2,\)"),
        (CALLS["other dtype"], "'dtype' do not match: int64 != float32"),
        (CALLS["numbers apart"], r"Expected 1\.1 but got 1\.0\.\nAbsolute difference: 0\.1"),
        (CALLS["nested"], r"The failure occurred for item \['a'\]\[0\]"),
        (CALLS["other keys"], r"Missing keys in the actual mapping: \['b'\]"),
        (CALLS["strides asked for"], r"strides do not match: \(1, 2\) != \(3, 1\)"),
        (lambda o, close: close(1, 2, msg="mine"), "^mine$"),
        (lambda o, close: close(1, 2, msg=lambda text: f"{len(text) > 9}, so"), "^True, so$"),
    ],
)  # fmt: skip
def test_errors_say_what_differs_and_where(call: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        call(cr, cr.testing.assert_close)


def test_absent_names_say_what_to_use() -> None:
    with pytest.raises(AttributeError, match=r"testing has no make_tensor: chainrule\.randn"):
        cr.testing.make_tensor  # noqa: B018
