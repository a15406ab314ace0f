"""The native tier: what is worth compiling, for float32; all else goes to reference.

The compiled part of the hot kernels brings arrays into the order of memory that it needs (a copy
only where they are not), makes the results, and returns None for arrays that it leaves to
reference; for the others that is done here. Importing this module raises ImportError, with the
reason, where the compiled part is absent.

``CHAINRULE_ISA=portable|avx2|avx512`` forces an instruction set (for tests and comparisons);
the best that the processor has is used otherwise.

``CHAINRULE_WINOGRAD=off|2|4`` says how far 3x3 convolutions may use Winograd's algorithm: not at
all, on squares of 2x2 outputs, or up to 4x4 (as without the variable), with fewer products and
larger rounding errors (docs/derivations/winograd.md); where sizes say that it is faster.
"""

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ConfigError
from chainrule.kernels import reference
from chainrule.kernels.epilogue import NOTHING, Epilogue
from chainrule.kernels.geometry import (
    Pair,
    adaptive_bins,
    pool_output_size,
    window_counts,
)
from chainrule.kernels.reference.neighbours import checked
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
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "adamax_step",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "add_frames",
    "asgd_step",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_add_relu_backward",
    "batch_norm_backward",
    "batch_norm_relu_backward",
    "channel_sum",
    "clamp_backward",
    "clamp_in_place",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_moments",
    "conv2d_weight_grad",
    "crammer_singer_loss",
    "crammer_singer_loss_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "elu",
    "elu_backward",
    "gather_frames",
    "gelu",
    "gelu_backward",
    "group_norm",
    "group_norm_backward",
    "hardshrink",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "huber_sum",
    "huber_sum_backward",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_classifier",
    "log_softmax",
    "log_softmax_backward",
    "logsigmoid",
    "logsigmoid_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mish",
    "mish_backward",
    "moments",
    "moments_step",
    "momentum_step",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "nearest",
    "normalise",
    "one_vs_all_loss",
    "one_vs_all_loss_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "relu_bias_backward",
    "resample",
    "rms_norm",
    "rms_norm_backward",
    "rmsprop_step",
    "rprop_step",
    "sample_images",
    "sample_images_input_grad",
    "sample_images_place_grad",
    "scale_and_shift",
    "scale_shift",
    "sgd_step",
    "shrink_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "softshrink",
    "tanh",
    "tanh_backward",
]

ISA_VARIABLE = "CHAINRULE_ISA"
WINOGRAD_VARIABLE = "CHAINRULE_WINOGRAD"
WINOGRAD = {"off": 0, "2": 2, "4": 4}  # setting: most outputs of a square along each axis
# By number; the order is kernels.hpp's.
SCORE_LOSSES = ("cross_entropy", "weston_watkins", "crammer_singer", "one_vs_all")
FLOAT32 = np.dtype(np.float32)


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


Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _or_reference(contract: Kernel) -> Kernel:
    """The compiled kernel of that name, and reference's for the arrays that it leaves.

    For kernels without default arguments, called by position only, as all of them are.
    """
    compiled = getattr(_native, contract.__name__)

    @wraps(contract)
    def kernel(*arguments: Any) -> Any:
        # one tuple: as (*arguments, threads) they would pass through a list, at 0.04 µs a call
        result = compiled(*(arguments + (get_num_threads(),)))  # noqa: RUF005
        return contract(*arguments) if result is None else result

    return kernel  # type: ignore[return-value]


add = _or_reference(reference.add)
relu = _or_reference(reference.relu)
relu_backward = _or_reference(reference.relu_backward)
sigmoid = _or_reference(reference.sigmoid)
sigmoid_backward = _or_reference(reference.sigmoid_backward)
tanh = _or_reference(reference.tanh)
tanh_backward = _or_reference(reference.tanh_backward)
elu = _or_reference(reference.elu)
elu_backward = _or_reference(reference.elu_backward)
gelu = _or_reference(reference.gelu)
gelu_backward = _or_reference(reference.gelu_backward)
hardswish = _or_reference(reference.hardswish)
hardswish_backward = _or_reference(reference.hardswish_backward)
hardtanh = _or_reference(reference.hardtanh)
hardtanh_backward = _or_reference(reference.hardtanh_backward)
leaky_relu = _or_reference(reference.leaky_relu)
leaky_relu_backward = _or_reference(reference.leaky_relu_backward)
silu = _or_reference(reference.silu)
silu_backward = _or_reference(reference.silu_backward)
hardsigmoid = _or_reference(reference.hardsigmoid)
hardsigmoid_backward = _or_reference(reference.hardsigmoid_backward)
mish = _or_reference(reference.mish)
mish_backward = _or_reference(reference.mish_backward)
clamp_backward = _or_reference(reference.clamp_backward)
softplus = _or_reference(reference.softplus)
softplus_backward = _or_reference(reference.softplus_backward)
logsigmoid = _or_reference(reference.logsigmoid)
logsigmoid_backward = _or_reference(reference.logsigmoid_backward)
hardshrink = _or_reference(reference.hardshrink)
softshrink = _or_reference(reference.softshrink)
shrink_backward = _or_reference(reference.shrink_backward)
prelu = _or_reference(reference.prelu)
prelu_backward = _or_reference(reference.prelu_backward)
resample = _or_reference(reference.resample)
sample_images = _or_reference(reference.sample_images)
sample_images_input_grad = _or_reference(reference.sample_images_input_grad)
sample_images_place_grad = _or_reference(reference.sample_images_place_grad)
conv2d_moments = _or_reference(reference.conv2d_moments)
conv2d_input_grad = _or_reference(reference.conv2d_input_grad)
conv2d_weight_grad = _or_reference(reference.conv2d_weight_grad)
moments = _or_reference(reference.moments)
batch_norm_backward = _or_reference(reference.batch_norm_backward)
batch_norm_relu_backward = _or_reference(reference.batch_norm_relu_backward)
batch_norm_add_relu_backward = _or_reference(reference.batch_norm_add_relu_backward)
channel_sum = _or_reference(reference.channel_sum)
relu_bias_backward = _or_reference(reference.relu_bias_backward)
layer_norm = _or_reference(reference.layer_norm)
layer_norm_backward = _or_reference(reference.layer_norm_backward)
rms_norm = _or_reference(reference.rms_norm)
rms_norm_backward = _or_reference(reference.rms_norm_backward)
group_norm = _or_reference(reference.group_norm)
group_norm_backward = _or_reference(reference.group_norm_backward)
max_pool2d = _or_reference(reference.max_pool2d)
max_pool2d_backward = _or_reference(reference.max_pool2d_backward)
softmax = _or_reference(reference.softmax)
softmax_backward = _or_reference(reference.softmax_backward)
log_softmax = _or_reference(reference.log_softmax)
log_softmax_backward = _or_reference(reference.log_softmax_backward)
cross_entropy = _or_reference(reference.cross_entropy)
cross_entropy_backward = _or_reference(reference.cross_entropy_backward)
multi_margin_loss = _or_reference(reference.multi_margin_loss)
multi_margin_loss_backward = _or_reference(reference.multi_margin_loss_backward)
crammer_singer_loss = _or_reference(reference.crammer_singer_loss)
crammer_singer_loss_backward = _or_reference(reference.crammer_singer_loss_backward)
one_vs_all_loss = _or_reference(reference.one_vs_all_loss)
one_vs_all_loss_backward = _or_reference(reference.one_vs_all_loss_backward)
huber_sum = _or_reference(reference.huber_sum)
huber_sum_backward = _or_reference(reference.huber_sum_backward)
dropout = _or_reference(reference.dropout)


def accumulate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    done = _native.accumulate(a, b, get_num_threads())
    return a if done else reference.accumulate(a, b)


def clamp_in_place(x: np.ndarray, low: float, high: float) -> np.ndarray:
    done = _native.clamp_in_place(x, low, high, get_num_threads())
    return x if done else reference.clamp_in_place(x, low, high)


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    epilogue: Epilogue = NOTHING,
) -> np.ndarray:
    geometry = (stride, padding, dilation, groups)
    y = _native.conv2d(x, weight, bias, *geometry, *epilogue, get_num_threads())
    return reference.conv2d(x, weight, bias, *geometry, epilogue) if y is None else y


def linear_classifier(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    target: np.ndarray,
    loss: str,
    p: int,
    margin: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kind = SCORE_LOSSES.index(loss)
    results = _native.linear_classifier(x, weight, bias, target, kind, p, margin, get_num_threads())
    if results is None:
        return reference.linear_classifier(x, weight, bias, target, loss, p, margin)
    return results


def gather_frames(
    x: np.ndarray, taps: int, stride: int, padding: int, dilation: int, groups: int
) -> np.ndarray:
    settings = (taps, stride, padding, dilation, groups)
    if (taps, stride, padding) == (1, 1, 0) and x.transpose(0, 2, 3, 4, 1).flags.c_contiguous:
        return reference.gather_frames(x, *settings)  # a view
    y = _native.gather_frames(x, *settings, get_num_threads())
    return reference.gather_frames(x, *settings) if y is None else y


def add_frames(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    taps: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> np.ndarray:
    settings = (taps, stride, padding, dilation, groups)
    if (taps, stride, padding) == (1, 1, 0):  # a view
        return reference.add_frames(g, x_shape, *settings)
    dx = _native.add_frames(g, x_shape, *settings, get_num_threads())
    return reference.add_frames(g, x_shape, *settings) if dx is None else dx


def linear(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, relu: bool = False
) -> np.ndarray:
    y = _native.linear(x, weight, bias, relu, get_num_threads())
    return reference.linear(x, weight, bias, relu) if y is None else y


def nearest(
    queries: np.ndarray, points: np.ndarray, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    queries, points = checked(queries, points, metric, k)
    found = _native.nearest(_in_rows(queries), _in_rows(points), k, metric, get_num_threads())
    return reference.nearest(queries, points, k, metric) if found is None else found


def _in_rows(x: np.ndarray) -> np.ndarray:
    """With the numbers of a row side by side."""
    return x if x.strides[1] == x.itemsize else np.ascontiguousarray(x)


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
    y = _native.normalise(x, mean, var, weight, bias, eps, add, relu, get_num_threads())
    return reference.normalise(x, mean, var, weight, bias, eps, add, relu) if y is None else y


def scale_shift(
    x: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    add: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    y = _native.scale_shift(x, scale, shift, add, relu, get_num_threads())
    return reference.scale_shift(x, scale, shift, add, relu) if y is None else y


def scale_and_shift(
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = _native.scale_and_shift(mean, var, weight, bias, eps)
    return reference.scale_and_shift(mean, var, weight, bias, eps) if found is None else found


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    if x.dtype != FLOAT32:
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
    if g.dtype != FLOAT32:
        return reference.avg_pool2d_backward(
            g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad
        )
    axes = zip(x_shape[2:], g.shape[2:], kernel_size, stride, padding, strict=True)
    return _mean_pool_backward(g, x_shape, *(_window_bins(*a, count_include_pad) for a in axes))


def adaptive_avg_pool2d(x: np.ndarray, output_size: Pair) -> np.ndarray:
    if x.dtype != FLOAT32:
        return reference.adaptive_avg_pool2d(x, output_size)
    return _mean_pool(x, *map(_adaptive_bins, x.shape[2:], output_size))


def adaptive_avg_pool2d_backward(g: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    if g.dtype != FLOAT32:
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
    return _native.mean_pool(x, *rows, *cols, get_num_threads())


def _mean_pool_backward(
    g: np.ndarray, x_shape: tuple[int, ...], rows: Bins, cols: Bins
) -> np.ndarray:
    return _native.mean_pool_backward(g, x_shape, *rows, *cols, get_num_threads())


def _in_one_pass(name: str, lists: int) -> Callable[..., None]:
    """A step of an update rule: the kernel's first arguments are this many lists of arrays."""
    rest = getattr(reference, name)

    @wraps(rest)
    def step(*arguments: Any) -> None:
        if left := getattr(_native, name)(*arguments, get_num_threads()):
            rest(*_items(arguments[:lists], left), *arguments[lists:])

    return step


sgd_step = _in_one_pass("sgd_step", 3)
momentum_step = _in_one_pass("momentum_step", 3)
adam_step = _in_one_pass("adam_step", 5)
moments_step = _in_one_pass("moments_step", 4)
adamax_step = _in_one_pass("adamax_step", 4)
adagrad_step = _in_one_pass("adagrad_step", 3)
rmsprop_step = _in_one_pass("rmsprop_step", 5)
adadelta_step = _in_one_pass("adadelta_step", 4)
asgd_step = _in_one_pass("asgd_step", 3)
rprop_step = _in_one_pass("rprop_step", 4)


def _items(lists: tuple[Any, ...], places: list[int]) -> list[Any]:
    """What stands at these places of each list; None stays."""
    return [each if each is None else [each[i] for i in places] for each in lists]
