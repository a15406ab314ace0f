"""`assert_close`: whether two results agree, for tests; PyTorch's `torch.testing`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule.errors import absent_name
from chainrule.tensor import Tensor

__all__ = ["assert_close"]

TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}
"""(rtol, atol) by dtype; of other dtypes values must be equal."""


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless |actual - expected| ≤ atol + rtol·|expected| everywhere.

    Tensors, arrays, numbers, None, and lists, tuples and dicts of these. rtol, atol: both or
    neither; without them (1.3e-6, 1e-5) for float32, (1e-7, 1e-7) for float64, (1e-3, 1e-5) for
    float16, 0 for integers. Shapes must be equal, and with check_dtype dtypes.
    allow_subclasses: False wants the same class of both. equal_nan: NaN equals NaN.
    check_stride: tensors must lie alike in memory. There is one device and one layout, so that
    check_device and check_layout change nothing. msg: what the error says instead, or a function
    of what it would say.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "assert_close: rtol and atol must both be given or both be left out, "
            f"got rtol {rtol}, atol {atol}"
        )
    tolerance = None if rtol is None or atol is None else (rtol, atol)
    for path, one, other in leaves(actual, expected, ""):
        if not allow_subclasses and type(one) is not type(other):
            raise TypeError(
                f"assert_close: allow_subclasses=False wants one class of both, got "
                f"{type(one).__name__} and {type(other).__name__}"
            )
        text = difference(one, other, tolerance, equal_nan, check_dtype)
        if not text and check_stride and isinstance(one, Tensor) and one.stride() != other.stride():
            text = f"The strides do not match: {one.stride()} != {other.stride()}."
        if text:
            fail(f"{text}\n\nThe failure occurred for item {path}" if path else text, msg)


def fail(text: str, msg: str | Callable[[str], str] | None) -> NoReturn:
    if callable(msg):
        text = msg(text)
    elif msg is not None:
        text = msg
    raise AssertionError(text)


def leaves(actual: Any, expected: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """The pairs to compare in two trees, each with where it lies, as an index expression."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            raise AssertionError(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {[k for k in expected if k not in actual]}\n"
                f"Additional keys in the actual mapping: {[k for k in actual if k not in expected]}"
            )
        for key in actual:
            yield from leaves(actual[key], expected[key], f"{path}[{key!r}]")
    elif is_sequence(actual) and is_sequence(expected):
        if len(actual) != len(expected):
            raise AssertionError(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            )
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            yield from leaves(one, other, f"{path}[{i}]")
    else:
        yield path, actual, expected


def is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def difference(
    actual: Any, expected: Any, tolerance: tuple[float, float] | None,
    equal_nan: bool, check_dtype: bool,
) -> str:  # fmt: skip
    """How two leaves differ; "" where they do not."""
    if actual is None or expected is None:
        return "" if actual is expected else f"Expected {expected!r} but got {actual!r}."
    are_numbers = isinstance(actual, int | float)
    if are_numbers != isinstance(expected, int | float):
        raise TypeError(
            "assert_close: a number is compared with a number only, got "
            f"{type(actual).__name__} and {type(expected).__name__}; take .item() of a tensor"
        )
    a, b = as_array(actual), as_array(expected)
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}."
    if check_dtype and a.dtype != b.dtype:
        if are_numbers:
            return f"The (d)types do not match: {type(actual)} != {type(expected)}."
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}."
    if tolerance is None:
        known = [TOLERANCES.get(str(array.dtype), (0.0, 0.0)) for array in (a, b)]
        tolerance = max(r for r, _ in known), max(t for _, t in known)
    rtol, atol = tolerance
    a, b = (array.astype(np.int64 if array.dtype.kind in "bui" else float) for array in (a, b))
    far = ~np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if not far.any():
        return ""
    if are_numbers:
        return "\n".join(scalars(actual, expected, rtol, atol))
    return "\n".join(tensors(a, b, far, rtol, atol))


def as_array(value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, Tensor):
        return value.detach().numpy()
    if isinstance(value, np.ndarray | np.generic | bool | int | float):
        return np.asarray(value)
    raise TypeError(
        "assert_close: compares tensors, arrays, numbers, None, and lists, tuples and dicts of "
        f"these, got {type(value).__name__}"
    )


def scalars(a: float, b: float, rtol: float, atol: float) -> Iterator[str]:
    """The lines that say how far two numbers are apart."""
    yield f"Scalars are not {'close' if rtol or atol else 'equal'}!"
    yield ""
    yield f"Expected {b} but got {a}."
    yield f"Absolute difference: {abs(a - b)}{allowed(rtol or atol, atol)}"
    yield f"Relative difference: {abs((a - b) / b) if b else math.inf}{allowed(rtol or atol, rtol)}"


def tensors(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], far: np.ndarray[Any, Any],
    rtol: float, atol: float,
) -> Iterator[str]:  # fmt: skip
    """The lines that say how many entries differ, and where they do most."""
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.where(far, np.abs(a - b), 0)
        ratio = np.where(far, distance / np.abs(b), 0)
    yield f"Tensor-likes are not {'close' if rtol or atol else 'equal'}!"
    yield ""
    yield f"Mismatched elements: {far.sum()} / {far.size} ({far.mean():.1%})"
    for name, values, limit in (("absolute", distance, atol), ("relative", ratio, rtol)):
        at = tuple(map(int, np.unravel_index(np.argmax(values), values.shape)))
        most = values[at].item()
        yield f"Greatest {name} difference: {most} at index {at}{allowed(rtol or atol, limit)}"


def allowed(any_is: float, limit: float) -> str:
    return f" (up to {limit} allowed)" if any_is else ""


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
