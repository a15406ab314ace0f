"""The native tier: what is worth compiling, for float32; all else goes to reference.

Each wrapper decides whether the compiled kernel takes its arguments, brings images into
channels-last memory (a copy only where they are not), and gives results the shape that the
contract promises. Importing this module raises ImportError, with the reason, where the
compiled part is absent.

``CHAINRULE_ISA=portable|avx2|avx512`` forces an instruction set (for tests and comparisons);
the best that the processor has is used otherwise.

``CHAINRULE_WINOGRAD=off|2|4`` says how far 3x3 convolutions may use Winograd's algorithm: not at
all, on squares of 2x2 outputs (as without the variable), or up to 4x4, with fewer products and
larger rounding errors (docs/derivations/winograd.md); where sizes say that it is faster.
"""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from chainrule.errors import ConfigError
from chainrule.kernels import reference
from chainrule.kernels.epilogue import Epilogue
from chainrule.kernels.geometry import (
    Pair,
    adaptive_bins,
    conv_output_size,
    pool_output_size,
    window_counts,
)
from chainrule.kernels.reference.dropout import threshold
from chainrule.threads import get_num_threads

try:
    _native = import_module("._native", __package__)
except ModuleNotFoundError as error:
    raise ImportError(
        "they were not built; with a C++ compiler at hand, 'pip install .' in chainrule's "
        "source folder builds them"
    ) from error

__all__ = [
    "accumulate",
    "adam_step",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_add_relu_backward",
    "batch_norm_backward",
    "batch_norm_relu_backward",
    "channel_sum",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_moments",
    "conv2d_weight_grad",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "group_norm",
    "group_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "moments",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "normalise",
    "relu",
    "relu_backward",
    "relu_bias_backward",
    "scale_shift",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]

Kernel = Callable[..., Any]

ISA_VARIABLE = "CHAINRULE_ISA"
WINOGRAD_VARIABLE = "CHAINRULE_WINOGRAD"
WINOGRAD = {"off": 0, "2": 2, "4": 4}  # setting: most outputs of a square along each axis
CHANNELS_LAST = (0, 2, 3, 1)
FLOAT32 = np.dtype(np.float32)
NO_EPILOGUE = Epilogue()
LARGE = 1 << 17  # elements; NumPy is as fast with fewer, which one task would take
MOST_TAPS = 256  # of a pooling window: their numbers are bytes


def instruction_set() -> str:
    """Name of the instruction set in use."""
    return str(_native.instruction_set())


def instruction_sets() -> list[str]:
    """Names of those that were compiled and that this processor has, best last."""
    return list(_native.instruction_sets())


def choose_instruction_set(name: str) -> None:
    """Use one instruction set's kernels from now on; ConfigError if the machine lacks it."""
    if not _native.choose(name):
        available = ", ".join(instruction_sets())
        raise ConfigError(
            f"kernels: instruction set {name!r} is not available here; choose one of {available} "
            f"(the environment variable {ISA_VARIABLE} sets it)"
        )


def release_kept() -> None:
    """Give the memory that is kept for the next arrays back to the system."""
    _native.release_kept()


def winograd() -> str:
    """How far convolutions may use Winograd's algorithm: "off", "2" or "4"."""
    return next(name for name, tile in WINOGRAD.items() if tile == _native.winograd())


def choose_winograd(name: str) -> None:
    """Let convolutions use Winograd's algorithm so far from now on; ConfigError if unknown."""
    if name not in WINOGRAD:
        raise ConfigError(
            f"kernels: unknown Winograd setting {name!r}; choose one of {', '.join(WINOGRAD)} "
            f"(the environment variable {WINOGRAD_VARIABLE} sets it)"
        )
    _native.choose_winograd(WINOGRAD[name])


def multiply_adds(steps: int, threads: int) -> float:
    """Multiply and add in registers, ``steps`` rounds on each thread; how many operations.

    Timed, it is the peak of the instruction set in use, which benchmarks set kernels against.
    """
    return float(_native.multiply_adds(steps, threads))


if os.environ.get(ISA_VARIABLE):
    choose_instruction_set(os.environ[ISA_VARIABLE])
if os.environ.get(WINOGRAD_VARIABLE):
    choose_winograd(os.environ[WINOGRAD_VARIABLE])


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    axes = _memory_order(a) if a.size >= LARGE else None
    if axes is None or _memory_order(b) != axes:
        return reference.add(a, b)
    a = a.transpose(axes)
    y = _native.empty(a.shape)
    _native.add(a, b.transpose(axes), y, get_num_threads())
    return _restore(y, axes)


def accumulate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    axes = _memory_order(a) if a.size >= LARGE else None
    if axes is None or _memory_order(b) != axes:
        return reference.accumulate(a, b)
    memory = a.transpose(axes)
    _native.add(memory, b.transpose(axes), memory, get_num_threads())
    return a


def relu(x: np.ndarray) -> np.ndarray:
    return _gate(_native.relu, reference.relu, x)


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _gate_backward(_native.relu_backward, reference.relu_backward, g, y)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return _gate(_native.sigmoid, reference.sigmoid, x)


def sigmoid_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _gate_backward(_native.sigmoid_backward, reference.sigmoid_backward, g, y)


def tanh(x: np.ndarray) -> np.ndarray:
    return _gate(_native.tanh, reference.tanh, x)


def tanh_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _gate_backward(_native.tanh_backward, reference.tanh_backward, g, y)


def _gate(kernel: Kernel, fallback: Kernel, x: np.ndarray) -> np.ndarray:
    """A function of each element."""
    axes = _memory_order(x)
    if axes is None:
        return fallback(x)
    x = x.transpose(axes)
    y = _native.empty(x.shape)
    kernel(x, y, get_num_threads())
    return _restore(y, axes)


def _gate_backward(kernel: Kernel, fallback: Kernel, g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient of such a function, from its result."""
    axes = _memory_order(y)
    if axes is None or g.dtype != y.dtype:
        return fallback(g, y)
    g = np.asarray(g.transpose(axes), order="C")  # unlike ascontiguousarray, leaves 0-d alone
    dx = _native.empty(g.shape)
    kernel(g, y.transpose(axes), dx, get_num_threads())
    return _restore(dx, axes)


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    epilogue: Epilogue | None = None,
) -> np.ndarray:
    geometry = (stride, padding, dilation, groups)
    add = None if epilogue is None else epilogue.add
    if not _are_float32(x, weight, x if add is None else add):
        return reference.conv2d(x, weight, bias, *geometry, epilogue)
    return _conv2d(x, weight, bias, geometry, epilogue or NO_EPILOGUE, None, None)


def _conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    geometry: tuple[Pair, Pair, Pair, int],
    epilogue: Epilogue,
    mean: np.ndarray | None,
    var: np.ndarray | None,
) -> np.ndarray:
    """The result; mean and var, where they are given, are filled with its moments."""
    axes = zip(x.shape[2:], weight.shape[2:], *geometry[:3], strict=True)
    height, width = (conv_output_size(*axis) for axis in axes)
    y = _native.empty((len(x), height, width, len(weight)))
    weight = np.ascontiguousarray(weight)
    scale, shift, add, relu = epilogue
    end = (_vector(scale), _vector(shift), None if add is None else _channels_last(add), relu)
    x = _channels_last(x)
    _native.conv2d(x, weight, _vector(bias), *end, mean, var, y, *geometry, get_num_threads())
    return y.transpose(0, 3, 1, 2)


def conv2d_moments(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(x, weight) or x.size == 0:
        return reference.conv2d_moments(x, weight, bias, stride, padding, dilation, groups)
    mean, var = np.empty((2, len(weight)), np.float32)
    geometry = (stride, padding, dilation, groups)
    return _conv2d(x, weight, bias, geometry, NO_EPILOGUE, mean, var), mean, var


def conv2d_input_grad(
    g: np.ndarray,
    weight: np.ndarray,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    geometry = (stride, padding, dilation)
    if not _are_float32(g, weight):
        return reference.conv2d_input_grad(g, weight, x_shape, *geometry, groups)
    dx = _native.empty((x_shape[0], x_shape[2], x_shape[3], x_shape[1]))
    weight = np.ascontiguousarray(weight)
    _native.conv2d_input_grad(_channels_last(g), weight, dx, *geometry, groups, get_num_threads())
    return dx.transpose(0, 3, 1, 2)


def conv2d_weight_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    geometry = (stride, padding, dilation)
    if not _are_float32(g, x):
        return reference.conv2d_weight_grad(g, x, weight_shape, *geometry, groups)
    dw = np.empty(weight_shape, np.float32)
    g, x = _channels_last(g), _channels_last(x)
    _native.conv2d_weight_grad(g, x, dw, *geometry, groups, get_num_threads())
    return dw


def linear(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, relu: bool = False
) -> np.ndarray:
    if not _are_float32(x, weight):
        return reference.linear(x, weight, bias, relu)
    y = _native.empty((len(x), len(weight)))
    _native.linear(x, weight, _vector(bias), relu, y, get_num_threads())
    return y


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not _are_float32(x) or x.size == 0:
        return reference.moments(x)
    mean, var = np.empty((2, x.shape[1]), np.float32)
    _native.moments(_rows(x), mean, var, get_num_threads())
    return mean, var


def normalise(
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    add: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    if not _are_float32(x, x if add is None else add) or x.size == 0:
        return reference.normalise(x, mean, var, weight, bias, eps, add, relu)
    rows, add = _rows(x), None if add is None else _rows(add)
    y = _native.empty(rows.shape)
    vectors = (_vector(mean), _vector(var), _vector(weight), _vector(bias))
    _native.normalise(rows, *vectors, eps, add, relu, y, get_num_threads())
    return _channels_second(y)


def scale_shift(
    x: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    add: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    if not _are_float32(x, scale, shift, x if add is None else add) or x.size == 0:
        return reference.scale_shift(x, scale, shift, add, relu)
    rows, add = _rows(x), None if add is None else _rows(add)
    y = _native.empty(rows.shape)
    _native.scale_shift(rows, _vector(scale), _vector(shift), add, relu, y, get_num_threads())
    return _channels_second(y)


def batch_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(g, x) or x.size == 0:
        return reference.batch_norm_backward(g, x, weight, mean, var, eps)
    rows = _rows(x)
    dx, dweight, dbias = _norm_gradients(rows)
    vectors = (_vector(weight), _vector(mean), _vector(var))
    threads = get_num_threads()
    _native.batch_norm_backward(_rows(g), rows, *vectors, eps, dx, dweight, dbias, threads)
    return _channels_second(dx), dweight, dbias


def batch_norm_relu_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(g, x) or x.size == 0:
        return reference.batch_norm_relu_backward(g, x, weight, bias, mean, var, eps)
    rows = _rows(x)
    dx, dweight, dbias = _norm_gradients(rows)
    vectors = (_vector(weight), _vector(bias), _vector(mean), _vector(var))
    threads = get_num_threads()
    _native.batch_norm_relu_backward(_rows(g), rows, *vectors, eps, dx, dweight, dbias, threads)
    return _channels_second(dx), dweight, dbias


def batch_norm_add_relu_backward(
    g: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(g, y, x) or x.size == 0:
        return reference.batch_norm_add_relu_backward(g, y, x, weight, mean, var, eps)
    rows = _rows(x)
    dx, dweight, dbias = _norm_gradients(rows)
    masked = _native.empty(rows.shape)
    vectors = (_vector(weight), _vector(mean), _vector(var))
    results = (dx, dweight, dbias, masked)
    _native.batch_norm_add_relu_backward(
        _rows(g), _rows(y), rows, *vectors, eps, *results, get_num_threads()
    )
    return _channels_second(dx), dweight, dbias, _channels_second(masked)


def channel_sum(g: np.ndarray) -> np.ndarray:
    if not _are_float32(g) or g.size == 0:
        return reference.channel_sum(g)
    total = np.empty(g.shape[1], np.float32)
    _native.channel_sum(_rows(g), total, get_num_threads())
    return total


def relu_bias_backward(g: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not _are_float32(g, y) or g.size == 0:
        return reference.relu_bias_backward(g, y)
    rows = _rows(g)
    masked, dbias = _native.empty(rows.shape), np.empty(g.shape[1], np.float32)
    _native.relu_bias_backward(rows, _rows(y), masked, dbias, get_num_threads())
    return _channels_second(masked), dbias


def layer_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(x) or x.size == 0:
        return reference.layer_norm(x, weight, bias, eps)
    x = np.ascontiguousarray(x)
    y = _native.empty(x.shape)
    mean, var = np.empty((2, len(x)), np.float32)
    _native.layer_norm(x, _vector(weight), _vector(bias), eps, y, mean, var, get_num_threads())
    return y, mean, var


def layer_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(g, x) or x.size == 0:
        return reference.layer_norm_backward(g, x, weight, mean, var, eps)
    g, x = np.ascontiguousarray(g), np.ascontiguousarray(x)
    gradients = _norm_gradients(x)
    vectors = (_vector(weight), _vector(mean), _vector(var))
    _native.layer_norm_backward(g, x, *vectors, eps, *gradients, get_num_threads())
    return gradients


def group_norm(
    x: np.ndarray, groups: int, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(x) or x.size == 0:
        return reference.group_norm(x, groups, weight, bias, eps)
    rows = _rows(x)
    y = _native.empty(rows.shape)
    mean, var = np.empty((2, len(x), groups), np.float32)
    _native.group_norm(rows, _vector(weight), _vector(bias), eps, y, mean, var, get_num_threads())
    return _channels_second(y), mean, var


def group_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not _are_float32(g, x) or x.size == 0:
        return reference.group_norm_backward(g, x, weight, mean, var, eps)
    rows = _rows(x)
    dx, dweight, dbias = _norm_gradients(rows)
    vectors = (_vector(weight), _vector(mean), _vector(var))
    results = (dx, dweight, dbias)
    _native.group_norm_backward(_rows(g), rows, *vectors, eps, *results, get_num_threads())
    return _channels_second(dx), dweight, dbias


def max_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> tuple[np.ndarray, np.ndarray]:
    geometry = (kernel_size, stride, padding, dilation)
    if not _are_float32(x) or kernel_size[0] * kernel_size[1] > MOST_TAPS:
        return reference.max_pool2d(x, *geometry, ceil_mode)
    axes = zip(x.shape[2:], *geometry, strict=True)
    height, width = (pool_output_size(*axis, ceil_mode) for axis in axes)
    y = _native.empty((x.shape[0], height, width, x.shape[1]))
    index = np.empty(y.shape, np.uint8)
    _native.max_pool2d(_channels_last(x), y, index, *geometry, get_num_threads())
    return y.transpose(0, 3, 1, 2), index.transpose(0, 3, 1, 2)


def max_pool2d_backward(
    g: np.ndarray,
    index: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    geometry = (kernel_size, stride, padding, dilation)
    if not _are_float32(g) or index.dtype != np.uint8:
        return reference.max_pool2d_backward(g, index, x_shape, *geometry)
    dx = _native.empty((x_shape[0], x_shape[2], x_shape[3], x_shape[1]))
    g, index = _channels_last(g), _channels_last(index)
    _native.max_pool2d_backward(g, index, dx, *geometry, get_num_threads())
    return dx.transpose(0, 3, 1, 2)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    rows = _class_rows(x, axis)
    if rows is None:
        return reference.softmax(x, axis)
    y = _native.empty(rows.shape)
    _native.softmax(rows, y, False, get_num_threads())
    return y if rows is x else np.moveaxis(y, -1, axis)


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    rows = _class_rows(x, axis)
    if rows is None:
        return reference.log_softmax(x, axis)
    y = _native.empty(rows.shape)
    _native.softmax(rows, y, True, get_num_threads())
    return y if rows is x else np.moveaxis(y, -1, axis)


def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    slopes, rows = _class_rows(g, axis), _class_rows(y, axis)
    if slopes is None or rows is None:
        return reference.softmax_backward(g, y, axis)
    dx = _native.empty(rows.shape)
    _native.softmax_backward(slopes, rows, dx, False, get_num_threads())
    return dx if rows is y else np.moveaxis(dx, -1, axis)


def log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    slopes, rows = _class_rows(g, axis), _class_rows(y, axis)
    if slopes is None or rows is None:
        return reference.log_softmax_backward(g, y, axis)
    dx = _native.empty(rows.shape)
    _native.softmax_backward(slopes, rows, dx, True, get_num_threads())
    return dx if rows is y else np.moveaxis(dx, -1, axis)


def cross_entropy(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = _class_rows(logits, 1)
    if rows is None:
        return reference.cross_entropy(logits, target)
    loss, log_probs = np.empty(len(rows), np.float32), _native.empty(rows.shape)
    _native.cross_entropy(rows, _labels(target), loss, log_probs, get_num_threads())
    return loss, log_probs


def cross_entropy_backward(g: np.ndarray, log_probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    rows = _class_rows(log_probs, 1)
    if rows is None or not _are_float32(g):
        return reference.cross_entropy_backward(g, log_probs, target)
    dlogits = _native.empty(rows.shape)
    g, labels = np.ascontiguousarray(g), _labels(target)
    _native.cross_entropy_backward(g, rows, labels, dlogits, get_num_threads())
    return dlogits


def multi_margin_loss(scores: np.ndarray, target: np.ndarray, p: int, margin: float) -> np.ndarray:
    rows = _class_rows(scores, 1)
    if rows is None or p not in (1, 2):
        return reference.multi_margin_loss(scores, target, p, margin)
    loss = np.empty(len(rows), np.float32)
    _native.multi_margin_loss(rows, _labels(target), p == 2, margin, loss, get_num_threads())
    return loss


def multi_margin_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    rows = _class_rows(scores, 1)
    if rows is None or p not in (1, 2) or not _are_float32(g):
        return reference.multi_margin_loss_backward(g, scores, target, p, margin)
    dscores = _native.empty(rows.shape)
    g, labels = np.ascontiguousarray(g), _labels(target)
    _native.multi_margin_loss_backward(g, rows, labels, p == 2, margin, dscores, get_num_threads())
    return dscores


def _class_rows(x: np.ndarray, axis: int) -> np.ndarray | None:
    """x with this axis last, if it then lies in memory row by row; None for reference."""
    if x.dtype != np.float32 or not x.size:
        return None
    rows = x if axis in (-1, x.ndim - 1) else np.moveaxis(x, axis, -1)
    return rows if rows.flags.c_contiguous else None


def _labels(target: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(target, np.int64)


def dropout(x: np.ndarray, p: float, key: int) -> np.ndarray:
    if not _are_float32(x):
        return reference.dropout(x, p, key)
    order = np.asarray(np.moveaxis(x, 1, -1) if x.ndim > 1 else x, order="C")
    y = _native.empty(order.shape)
    _native.dropout(order, y, threshold(p), 1 / (1 - p), key, get_num_threads())
    return np.moveaxis(y, -1, 1) if x.ndim > 1 else y


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    if not _are_float32(x):
        return reference.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad)
    bins = [
        _window_bins(
            size, pool_output_size(size, k, s, p, 1, ceil_mode), k, s, p, count_include_pad
        )
        for size, k, s, p in zip(x.shape[2:], kernel_size, stride, padding, strict=True)
    ]
    return _mean_pool(x, *bins)


def avg_pool2d_backward(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    if not _are_float32(g):
        return reference.avg_pool2d_backward(
            g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad
        )
    axes = zip(x_shape[2:], g.shape[2:], kernel_size, stride, padding, strict=True)
    return _mean_pool_backward(g, x_shape, *(_window_bins(*a, count_include_pad) for a in axes))


def adaptive_avg_pool2d(x: np.ndarray, output_size: Pair) -> np.ndarray:
    if not _are_float32(x):
        return reference.adaptive_avg_pool2d(x, output_size)
    return _mean_pool(x, *map(_adaptive_bins, x.shape[2:], output_size))


def adaptive_avg_pool2d_backward(g: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    if not _are_float32(g):
        return reference.adaptive_avg_pool2d_backward(g, x_shape)
    return _mean_pool_backward(g, x_shape, *map(_adaptive_bins, x_shape[2:], g.shape[2:]))


Bins = tuple[np.ndarray, np.ndarray]  # first and last pixel of each bin of an axis; its divisor


@lru_cache
def _window_bins(
    size: int, output_size: int, kernel: int, stride: int, padding: int, include_pad: bool
) -> Bins:
    starts = np.arange(output_size, dtype=np.int64) * stride - padding
    edges = np.stack([starts, starts + kernel], 1).clip(0, size)
    counts = window_counts(size, output_size, kernel, stride, padding, include_pad)
    return edges, np.array(counts, np.float32)


@lru_cache
def _adaptive_bins(size: int, output_size: int) -> Bins:
    bins = adaptive_bins(size, output_size)
    edges = np.array([(bin_.start, bin_.stop) for bin_ in bins], np.int64).reshape(-1, 2)
    return edges, (edges[:, 1] - edges[:, 0]).astype(np.float32)


def _mean_pool(x: np.ndarray, rows: Bins, cols: Bins) -> np.ndarray:
    y = _native.empty((x.shape[0], len(rows[0]), len(cols[0]), x.shape[1]))
    _native.mean_pool(_channels_last(x), y, *rows, *cols, get_num_threads())
    return y.transpose(0, 3, 1, 2)


def _mean_pool_backward(
    g: np.ndarray, x_shape: tuple[int, ...], rows: Bins, cols: Bins
) -> np.ndarray:
    dx = _native.empty((x_shape[0], x_shape[2], x_shape[3], x_shape[1]))
    _native.mean_pool_backward(_channels_last(g), dx, *rows, *cols, get_num_threads())
    return dx.transpose(0, 3, 1, 2)


def sgd_step(
    weights: Sequence[np.ndarray],
    grads: Sequence[np.ndarray],
    buffers: Sequence[np.ndarray] | None,
    *settings: Any,
) -> None:
    lists = (weights, grads, buffers)
    if left := _native.sgd_step(*lists, *settings, get_num_threads()):
        reference.sgd_step(*_items(lists, left), *settings)


def adam_step(
    weights: Sequence[np.ndarray],
    grads: Sequence[np.ndarray],
    means: Sequence[np.ndarray],
    squares: Sequence[np.ndarray],
    peaks: Sequence[np.ndarray] | None,
    *settings: Any,
) -> None:
    lists = (weights, grads, means, squares, peaks)
    if left := _native.adam_step(*lists, *settings, get_num_threads()):
        reference.adam_step(*_items(lists, left), *settings)


def _items(lists: tuple[Any, ...], places: list[int]) -> list[Any]:
    """What stands at these places of each list; None stays."""
    return [each if each is None else [each[i] for i in places] for each in lists]


def _memory_order(x: np.ndarray) -> tuple[int, ...] | None:
    """Axes from outermost to innermost in memory; None if x is not float32 or has gaps."""
    if x.dtype != np.float32:
        return None
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    if x.ndim == 4 and x.transpose(CHANNELS_LAST).flags.c_contiguous:
        return CHANNELS_LAST
    return None


def _restore(memory: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Undo transpose(axes)."""
    return memory.transpose(0, 3, 1, 2) if axes is CHANNELS_LAST else memory


def _are_float32(*arrays: np.ndarray) -> bool:
    return all([array.dtype == FLOAT32 for array in arrays])  # a list: faster than a generator


def _channels_last(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, H, W, C), contiguous; a copy only where memory is not so already."""
    return np.ascontiguousarray(x.transpose(CHANNELS_LAST))


def _rows(x: np.ndarray) -> np.ndarray:
    """(N, C, *) -> (N, *, C), contiguous; a copy only where memory is not so already."""
    if x.ndim == 4:
        return _channels_last(x)
    return np.ascontiguousarray(x if x.ndim == 2 else np.moveaxis(x, 1, -1))


def _channels_second(y: np.ndarray) -> np.ndarray:
    """Undo _rows."""
    if y.ndim == 4:
        return y.transpose(0, 3, 1, 2)
    return y if y.ndim == 2 else np.moveaxis(y, -1, 1)


def _norm_gradients(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Room for dx (like rows), dweight and dbias."""
    dweight, dbias = np.empty((2, rows.shape[-1]), np.float32)
    return _native.empty(rows.shape), dweight, dbias


def _vector(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else np.ascontiguousarray(values, np.float32)
