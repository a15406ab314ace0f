"""Initial values of parameters: random numbers whose variance keeps signals alive.

For y = Wx with independent entries of mean 0, Var(y) = fan_in · Var(W) · E[x²]. To carry the
variance of signals through a layer forwards, Var(W) must be gain²/fan_in; to carry that of
gradients backwards, gain²/fan_out. The gain makes up for what the activation takes away.

Every function fills its tensor in place, unrecorded, and returns it. The same seed gives the
same values (`chainrule.manual_seed`, or a `generator` of your own).
"""

from __future__ import annotations

import functools
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from chainrule.autograd.pending import before_change
from chainrule.errors import ConfigError, ShapeError, absent_name
from chainrule.random import Generator, default_generator
from chainrule.tensor import Tensor

FanMode = Literal["fan_in", "fan_out"]

_AT_ONCE = 2**15  # random numbers: 256 KB


class _Switch(threading.local):
    skips = False


_switch = _Switch()


@contextmanager
def skipped() -> Iterator[None]:
    """Inside, the functions here draw nothing and leave tensors as they are.

        with nn.init.skipped():
            model = models.resnet152()  # milliseconds; its weights are whatever memory held

    For a model whose weights come from elsewhere, or that is only asked for their number. In
    this thread. Not in PyTorch.
    """
    before, _switch.skips = _switch.skips, True
    try:
        yield
    finally:
        _switch.skips = before


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before an activation are enlarged.

    1 for linear layers and sigmoid, 5/3 for tanh, √2 for relu (half the variance is cut off),
    √(2 / (1 + a²)) for leaky_relu with slope a = ``param`` (0.01 unless given), 3/4 for selu.
    Source: He et al. 2015, arXiv:1502.01852, §2.2.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2 / (1 + slope * slope))
    gains = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 3 / 4}
    convolutions = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
    gains |= dict.fromkeys(["linear", *convolutions, "sigmoid"], 1.0)
    if nonlinearity not in gains:
        known = ", ".join(sorted([*gains, "leaky_relu"]))
        raise ConfigError(f"calculate_gain: no gain for {nonlinearity!r}; known: {known}")
    return gains[nonlinearity]


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform between a and b."""
    return _draw(tensor, functools.partial(_rng(generator).uniform, a, b))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _draw(tensor, functools.partial(_rng(generator).normal, mean, std))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, redrawn until it lies between a and b (values, not standard deviations).

    Raises ConfigError where that is less than a thousandth of the distribution.
    """
    below_a, below_b = ((1 + math.erf((x - mean) / (std * math.sqrt(2)))) / 2 for x in (a, b))
    if below_b - below_a < 1e-3:  # redrawing would take for ever
        raise ConfigError(
            f"trunc_normal_: N({mean}, {std}²) lies between {a} and {b} in less than one of a "
            "thousand draws; widen the interval"
        )
    if _switch.skips:
        return tensor
    rng = _rng(generator)
    values = rng.normal(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = rng.normal(mean, std, np.count_nonzero(outside))
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _fill(tensor, 1)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """U(-a, a) with a = gain · √(6 / (fan_in + fan_out)): variance between the two demands.

    Source: Glorot & Bengio 2010, Understanding the difficulty of training deep networks.
    """
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, s²) with s = gain · √(2 / (fan_in + fan_out)). Source: as `xavier_uniform_`."""
    std = gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor)))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """U(-b, b) with b = gain · √(3 / fan); a: the slope of the leaky_relu that follows.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """N(0, s²) with s = gain / √fan; a: the slope of the leaky_relu that follows.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain · Q, Q with orthonormal rows (or columns, whichever are fewer), axes 1.. joined.

    Source: Saxe et al. 2013, arXiv:1312.6120.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least two axes, got {tuple(tensor.shape)}")
    if _switch.skips:
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    normal = _rng(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # QR fixes Q up to signs; this choice makes Q uniformly distributed
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def eye_(tensor: Tensor) -> Tensor:
    """The identity, so that a linear layer starts by passing its input on."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: needs two axes, got {tuple(tensor.shape)}")
    return _fill(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """1 in the middle of the window from input i to output i of each group, else 0.

    tensor (O, I, *window): a convolution of odd window and same padding starts by passing the
    first min(O/groups, I) channels of each group on.
    """
    if not 3 <= tensor.ndim <= 5 or tensor.shape[0] % groups:
        raise ShapeError(
            f"dirac_: needs a weight (O, I, *window) with O a multiple of groups {groups}, "
            f"got {tuple(tensor.shape)}"
        )
    values = np.zeros((groups, tensor.shape[0] // groups, *tensor.shape[1:]))
    kept = np.arange(min(values.shape[1:3]))
    middle: Any = (..., *[n // 2 for n in tensor.shape[2:]])
    values[middle][:, kept, kept] = 1
    return _fill(tensor, values.reshape(tensor.shape))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """N(0, std²), but the fraction ``sparsity`` of each column, rounded up, is 0.

    Source: Martens 2010, Deep learning via Hessian-free optimization.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: needs two axes, got {tuple(tensor.shape)}")
    if _switch.skips:
        return tensor
    rng = _rng(generator)
    rows, columns = tensor.shape
    values = rng.standard_normal((rows, columns)) * std
    for column in values.T:
        column[rng.permutation(rows)[: math.ceil(sparsity * rows)]] = 0
    return _fill(tensor, values)


def fan_in_uniform_(weight: Tensor, bias: Tensor | None) -> None:
    """U(-b, b) with b = 1/√fan_in for both, as PyTorch's linear and convolution layers start."""
    fan_in, _ = _fans("fan_in_uniform_", weight)
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    uniform_(weight, -bound, bound)
    if bias is not None:
        uniform_(bias, -bound, bound)


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output sees, and how many outputs an input reaches."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"{name}: fan_in and fan_out need a weight (O, I, ...), got {tuple(tensor.shape)}"
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """PyTorch's name, which layers written for it use."""
    return _fans("_calculate_fan_in_and_fan_out", tensor)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ConfigError(f'{name}: mode must be "fan_in" or "fan_out", got {mode!r}')
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def _rng(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).rng


def _fill(tensor: Tensor, values: Any) -> Tensor:
    """Overwrite past the graph: an initial value has no history."""
    if _switch.skips:
        return tensor
    before_change(tensor.array)
    tensor.array[...] = values
    tensor.version.count += 1
    return tensor


def _draw(tensor: Tensor, draw: Callable[[int], Any]) -> Tensor:
    """Overwrite with so many draws, made a few at a time: these stay in the processor's cache.

    The numbers are those that one draw of all of them would give.
    """
    if _switch.skips:
        return tensor
    array = tensor.array
    if not array.flags.c_contiguous:
        return _fill(tensor, draw(array.size).reshape(array.shape))
    before_change(array)
    flat = array.reshape(-1)
    for begin in range(0, flat.size, _AT_ONCE):
        part = flat[begin : begin + _AT_ONCE]
        part[...] = draw(part.size)
    tensor.version.count += 1
    return tensor


def _older_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``function`` by its name before PyTorch 0.4, without the underscore, with a warning."""
    name = function.__name__

    @functools.wraps(function)
    def older(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{name[:-1]}` is now deprecated in favor of `nn.init.{name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    older.__name__ = name[:-1]
    return older


uniform, normal, constant = (_older_name(f) for f in (uniform_, normal_, constant_))
eye, dirac, sparse = (_older_name(f) for f in (eye_, dirac_, sparse_))
xavier_uniform, xavier_normal = (_older_name(f) for f in (xavier_uniform_, xavier_normal_))
kaiming_uniform, kaiming_normal = (_older_name(f) for f in (kaiming_uniform_, kaiming_normal_))
orthogonal = _older_name(orthogonal_)


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
