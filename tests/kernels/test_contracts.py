"""Every kernel, on every tier and instruction set, gives what the naive tier defines.

A kernel is tested by standing in the table: `test_every_kernel_has_cases` fails otherwise.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from chainrule import kernels
from chainrule.kernels import naive, reference
from chainrule.kernels.epilogue import Epilogue
from chainrule.kernels.geometry import (
    CENTRES,
    EDGES,
    OUTSIDE,
    PIXELS,
    conv_output_size,
    pool_output_size,
)
from tests.parts import part

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    kernel: str
    label: str
    make: Callable[[np.random.Generator], Arguments]  # float64 arguments

    def __str__(self) -> str:
        return f"{self.kernel}[{self.label}]"

    @cached_property
    def values(self) -> Arguments:
        return self.make(np.random.default_rng(sum(map(ord, str(self)))))

    def arguments(self, dtype: str, layout: str = "contiguous") -> Arguments:
        """Copies of the values, as this dtype and memory order hold them."""
        laid_out = LAYOUTS[layout]
        return tuple(inside(value, lambda v: laid_out(cast(v, dtype))) for value in self.values)


def inside(value: Any, function: Callable[[Any], Any]) -> Any:
    """The function of a value, or of each value in an epilogue or a list."""
    if isinstance(value, list):
        return [function(each) for each in value]
    return Epilogue(*map(function, value)) if isinstance(value, Epilogue) else function(value)


def cast(value: Any, dtype: str) -> Any:
    if isinstance(value, list):
        return [cast(each, dtype) for each in value]
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(dtype) if is_float else value


# Memory orders that mean the same array. Each leaves what is not an array of floats alone.


def contiguous(value: Any) -> Any:
    return np.array(value, order="C") if isinstance(value, np.ndarray) else value


def channels_last(value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.ndim not in (4, 5):
        return value
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(value, 1, -1)), -1, 1)


def backwards(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    everything = (..., *(slice(None, None, -1),) * value.ndim)
    return np.array(value[everything], order="C")[everything]


def with_gaps(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    wide = np.full([2 * size for size in value.shape], 77, value.dtype)
    every_second = (..., *(slice(None, None, 2),) * value.ndim)
    wide[every_second] = value
    return wide[every_second]


LAYOUTS = {f.__name__: f for f in (contiguous, channels_last, backwards, with_gaps)}


# Cases. x is (N, C, H, W) unless said otherwise.

CONVOLUTIONS = [  # x, (O, KH, KW), stride, padding, dilation, groups
    ((2, 3, 8, 9), (4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 16, 6, 7), (16, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 20, 3, 33), (35, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 5, 9, 8), (17, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((1, 1, 9, 9), (6, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((1, 6, 7, 7), (16, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((1, 3, 15, 14), (8, 7, 7), (2, 2), (3, 3), (1, 1), 1),
    ((2, 8, 5, 6), (12, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 8, 5, 6), (12, 1, 1), (2, 3), (0, 0), (1, 1), 1),
    ((2, 4, 5, 5), (8, 1, 1), (3, 2), (1, 1), (1, 1), 1),
    # one tap that skips nothing: an axis of one pixel has no next one to stride to
    ((4, 4, 1, 1), (8, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((3, 4, 1, 5), (8, 1, 1), (3, 1), (0, 0), (2, 2), 1),
    ((3, 4, 5, 1), (3, 1, 1), (1, 2), (0, 0), (1, 1), 1),
    ((3, 4, 1, 1), (8, 1, 1), (2, 2), (0, 0), (1, 1), 2),
    ((3, 4, 1, 1), (4, 1, 1), (2, 3), (0, 0), (1, 1), 4),
    # one tap, of which a tile's border pixels see nothing
    ((1, 16, 6, 6), (16, 1, 1), (1, 1), (1, 1), (1, 1), 1),
    ((1, 16, 6, 6), (40, 1, 1), (2, 2), (1, 1), (1, 1), 1),
    ((2, 13, 13, 4), (33, 3, 3), (2, 3), (4, 0), (1, 1), 1),
    ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 1, 1), (4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 2, 6, 6), (3, 2, 2), (4, 4), (0, 0), (1, 1), 1),
    ((2, 1, 9, 9), (17, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((2, 3, 7, 9), (20, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 1, 9, 8), (9, 3, 3), (2, 2), (1, 1), (2, 1), 1),
    ((2, 2, 8, 9), (7, 4, 7), (1, 1), (2, 3), (1, 1), 1),
    ((2, 4, 9, 7), (6, 3, 2), (2, 3), (1, 0), (2, 1), 2),
    ((1, 3, 9, 11), (4, 3, 3), (1, 1), (2, 2), (2, 2), 1),
    ((1, 3, 4, 4), (4, 2, 2), (1, 1), (3, 3), (1, 1), 1),
    ((2, 6, 7, 5), (6, 3, 3), (2, 1), (1, 2), (1, 2), 6),
    ((2, 6, 7, 5), (12, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((1, 35, 9, 21), (35, 3, 3), (1, 1), (1, 1), (1, 1), 35),
    ((2, 17, 8, 7), (51, 3, 3), (2, 2), (1, 1), (1, 1), 17),
    ((1, 32, 12, 6), (32, 5, 9), (1, 1), (2, 4), (1, 1), 32),
    ((1, 16, 9, 9), (16, 3, 3), (1, 1), (3, 3), (3, 2), 16),
    ((1, 5, 2, 3), (5, 3, 3), (1, 1), (4, 4), (1, 1), 5),
    ((1, 8, 7, 7), (8, 2, 2), (3, 3), (0, 0), (1, 1), 8),
    ((2, 12, 7, 6), (24, 3, 3), (2, 1), (1, 1), (1, 1), 4),
    ((1, 24, 7, 16), (24, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((2, 40, 6, 5), (40, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    ((1, 22, 6, 7), (22, 5, 3), (2, 1), (2, 1), (1, 2), 11),
    ((1, 40, 5, 6), (30, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    ((1, 66, 4, 5), (34, 3, 1), (1, 2), (1, 0), (1, 1), 2),
    ((2, 8, 5, 6), (16, 1, 1), (1, 1), (0, 0), (1, 1), 4),
    ((2, 3, 1, 1), (3, 3, 3), (1, 1), (1, 1), (1, 1), 3),
    ((0, 4, 5, 5), (8, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    ((0, 4, 5, 5), (8, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((0, 4, 5, 5), (8, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    # no channels on a side
    ((2, 3, 6, 5), (0, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 40, 6, 5), (0, 4, 4), (2, 2), (1, 1), (1, 1), 1),
    ((2, 4, 6, 5), (0, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((2, 4, 6, 5), (0, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    ((2, 0, 6, 5), (4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 0, 6, 5), (4, 2, 2), (2, 2), (0, 0), (1, 1), 2),
    ((2, 0, 6, 5), (4, 1, 1), (1, 1), (0, 0), (1, 1), 1),
]

FRAMES = [  # x (N, C, D, H, W); taps, stride, padding and dilation along depth; groups
    ((2, 3, 5, 2, 3), 3, 1, 1, 1, 1),
    ((1, 16, 4, 3, 3), 2, 1, 0, 1, 1),
    ((2, 6, 7, 2, 2), 3, 2, 1, 1, 2),
    ((1, 4, 6, 2, 1), 2, 3, 0, 2, 4),
    ((1, 5, 3, 2, 2), 3, 1, 4, 2, 1),
    ((3, 2, 4, 2, 2), 1, 1, 0, 1, 1),
    ((2, 2, 5, 1, 2), 1, 2, 1, 1, 2),
    ((2, 40, 3, 3, 2), 3, 1, 1, 1, 1),
    ((0, 3, 4, 2, 2), 3, 1, 1, 1, 1),
    ((2, 6, 1, 5, 3), 3, 1, 0, 0, 1),  # all taps see the same frame
    ((2, 4, 3, 2, 2), 9, 2, 1, 0, 2),
    ((1, 5, 12, 2, 2), 11, 1, 5, 1, 1),  # more taps than are added at once
]

POOLS = [  # x, kernel, stride, padding, dilation, ceil_mode
    ((2, 3, 8, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 7, 9), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((1, 2, 7, 9), (3, 2), (1, 3), (1, 1), (1, 1), True),
    ((1, 17, 6, 6), (2, 2), (3, 3), (0, 0), (1, 1), True),
    ((1, 2, 9, 9), (3, 2), (2, 2), (1, 0), (2, 3), True),
    ((2, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1), False),
    ((1, 1, 20, 20), (17, 17), (1, 2), (3, 0), (1, 1), False),
    ((2, 6, 5, 7), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((1, 40, 6, 5), (3, 3), (1, 2), (1, 1), (1, 1), False),
    ((3, 5, 40, 64), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((2, 3, 4, 5), (5, 7), (2, 3), (0, 0), (1, 1), True),  # partial windows only
    ((2, 3, 7, 3), (1, 2), (1, 2), (0, 0), (3, 3), True),
    ((0, 3, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
]

ADAPTIVE = [((2, 3, 8, 8), (1, 1)), ((2, 3, 7, 9), (3, 4)), ((1, 2, 3, 3), (5, 2)),
            ((3, 40, 7, 5), (1, 1)),
            ((1, 1, 1, 1), (1, 1)), ((0, 2, 4, 4), (2, 2))]  # fmt: skip

NORMS = [  # channels that fill vectors, that repeat until they do, and too many for that
    (2, 3, 4, 5),
    (4, 16, 3, 3),
    (2, 37, 5, 2),
    (3, 24, 5, 4),
    (2, 10, 9, 9),
    (1, 1, 2, 1),
    (3, 37, 5, 29),
    (2, 3, 70, 70),
    (1, 1030, 1, 2),
    (7, 5),
    (3, 4, 6),
    (0, 3, 2, 2),
]

GROUPED = [  # x, groups
    ((2, 6, 4, 5), 3),
    ((2, 6, 4, 5), 6),
    ((3, 16, 5, 5), 1),
    ((2, 24, 7, 3), 4),
    ((1, 1030, 2, 2), 2),
    ((5, 8), 2),
    ((3, 4, 6), 2),
    ((1, 1, 1, 1), 1),
    ((0, 4, 3, 3), 2),
    ((2, 4, 0, 3), 2),
]

GELU_FORM = {False: "none", True: "tanh"}
GATES: list[tuple[str, Arguments]] = [  # of one argument, with settings
    ("leaky_relu", (0.2,)),
    ("elu", (1.0, 1.0, 1.0)),
    ("elu", (1.67, 1.05, 0.5)),
    ("gelu", (False,)),
    ("gelu", (True,)),
    ("silu", ()),
    ("mish", ()),
    ("hardswish", ()),
    ("hardsigmoid", ()),
    ("hardtanh", (-1.0, 2.5)),
    ("softplus", (1.0, 20.0)),
    ("softplus", (2.0, 1.5)),
    ("logsigmoid", ()),
]

ROWS = [(5, 7), (3, 16), (70, 33), (2, 5000), (40, 130), (1, 1), (0, 6), (4, 0)]

HINGES = ["multi_margin_loss", "crammer_singer_loss", "one_vs_all_loss"]
MATRICES = [(5, 4), (1, 1), (3, 10), (2, 16), (3, 33), (9, 100), (0, 6)]


LINEARS = [  # N, I, O: beyond a slice of depth, beyond a tile and a panel, thin, empty
    (2, 3, 4),
    (1, 1, 1),
    (7, 300, 5),
    (33, 20, 70),
    (5, 600, 16),
    (3, 0, 4),
    (0, 5, 3),
]


EPILOGUES = [  # what becomes of a convolution's result; each case takes a third of them
    ("relu",),
    ("scale",),
    ("add", "relu"),
    ("scale", "relu"),
    ("add",),
    ("scale", "add", "relu"),
]


def epilogue(rng: np.random.Generator, shape: tuple[int, ...], steps: tuple[str, ...]) -> Epilogue:
    return Epilogue(
        scale=rng.normal(size=shape[1]) if "scale" in steps else None,
        shift=rng.normal(size=shape[1]) if "scale" in steps else None,
        add=rng.normal(size=shape) if "add" in steps else None,
        relu="relu" in steps,
    )


def random_convolutions(count: int) -> Iterator[tuple[Any, ...]]:
    """Geometries nobody thought of."""
    rng = np.random.default_rng(7)

    def pair(low: int, high: int) -> tuple[int, int]:
        return int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))

    while count:
        kernel, stride, padding, dilation = pair(1, 4), pair(1, 3), pair(0, 4), pair(1, 2)
        size, groups = pair(1, 12), int(rng.choice([1, 1, 2]))
        channels, outputs = (groups * int(rng.integers(1, 10)) for _ in range(2))
        axes = zip(size, kernel, stride, padding, dilation, strict=True)
        if min(conv_output_size(*axis) for axis in axes) >= 1:
            count -= 1
            yield (
                (1 + count % 2, channels, *size),
                (outputs, *kernel),
                stride,
                padding,
                dilation,
                groups,
            )


def cases() -> Iterator[Case]:
    for x, taps, *rest in FRAMES:
        places = conv_output_size(x[2], taps, *rest[:3])
        label, settings = f"{x} {taps} {rest}", (taps, *rest)
        g = (x[0] * places, taps * x[1], *x[3:])
        yield Case("gather_frames", label, lambda rng, x=x, s=settings: (rng.normal(size=x), *s))
        yield Case(
            "add_frames", label, lambda rng, g=g, x=x, s=settings: (rng.normal(size=g), x, *s)
        )
    convolutions = [*CONVOLUTIONS, *random_convolutions(25)]
    for number, (x, (outputs, *kernel), *rest) in enumerate(convolutions):
        geometry = tuple(rest)
        weight = (outputs, x[1] // geometry[3], *kernel)
        axes = zip(x[2:], kernel, *geometry[:3], strict=True)
        y = (x[0], outputs, *(conv_output_size(*axis) for axis in axes))
        label = f"{x}*{weight} s{geometry[0]} p{geometry[1]} d{geometry[2]} g{geometry[3]}"
        with_bias = number % 2 == 0
        yield Case(
            "conv2d",
            label,
            lambda rng, x=x, w=weight, b=with_bias, e=geometry: (
                rng.normal(size=x),
                rng.normal(size=w),
                rng.normal(size=w[0]) if b else None,
                *e,
            ),
        )
        for steps in EPILOGUES[number % 3 :: 3]:
            yield Case(
                "conv2d",
                f"{label} {'+'.join(steps)}",
                lambda rng, x=x, w=weight, y=y, b=with_bias, e=geometry, steps=steps: (
                    rng.normal(size=x),
                    rng.normal(size=w),
                    rng.normal(size=w[0]) if b else None,
                    *e,
                    epilogue(rng, y, steps),
                ),
            )
        yield Case(
            "conv2d_moments",
            label,
            lambda rng, x=x, w=weight, b=with_bias, e=geometry: (
                rng.normal(size=x),
                rng.normal(size=w),
                rng.normal(size=w[0]) if b else None,
                *e,
            ),
        )
        yield Case(
            "conv2d_input_grad",
            label,
            lambda rng, x=x, w=weight, y=y, e=geometry: (
                rng.normal(size=y),
                rng.normal(size=w),
                x,
                *e,
            ),
        )
        yield Case("conv2d_weight_grad", label, lambda rng, x=x, w=weight, y=y, e=geometry: (
            rng.normal(size=y), rng.normal(size=x), w, *e))  # fmt: skip

    for n, i, o in LINEARS:
        for with_bias, relu in product((False, True), (False, True)):
            yield Case(
                "linear",
                f"{n}x{i} to {o} bias={with_bias} relu={relu}",
                lambda rng, n=n, i=i, o=o, b=with_bias, relu=relu: (
                    rng.normal(size=(n, i)),
                    rng.normal(size=(o, i)),
                    rng.normal(size=o) if b else None,
                    relu,
                ),
            )

    for x, *rest in POOLS:
        geometry, ceil_mode = tuple(rest[:4]), rest[4]
        axes = zip(x[2:], *geometry, strict=True)
        y = (*x[:2], *(pool_output_size(*axis, ceil_mode) for axis in axes))
        label = f"{x} k{geometry[0]} s{geometry[1]} p{geometry[2]} d{geometry[3]} ceil={ceil_mode}"
        # Whole numbers: ties happen, and the first maximum must win.
        yield Case(
            "max_pool2d",
            label,
            lambda rng, x=x, e=geometry, c=ceil_mode: (rng.integers(-3, 3, x).astype(float), *e, c),
        )
        yield Case(
            "max_pool2d_backward",
            label,
            lambda rng, x=x, y=y, e=geometry: (rng.normal(size=y), taps_of(rng, y, e[0]), x, *e),
        )
        yield Case(
            "max_pool2d_gather",
            label,
            lambda rng, x=x, y=y, e=geometry: (rng.normal(size=x), taps_of(rng, y, e[0]), *e),
        )
        if geometry[3] == (1, 1):
            for include in (False, True):
                options = (*geometry[:3], ceil_mode, include)
                label_avg = f"{label} include_pad={include}"
                yield Case(
                    "avg_pool2d", label_avg, lambda rng, x=x, o=options: (rng.normal(size=x), *o)
                )
                yield Case("avg_pool2d_backward", label_avg, lambda rng, x=x, y=y, o=options: (
                    rng.normal(size=y), x, *o))  # fmt: skip

    for x, size in ADAPTIVE:
        yield Case(
            "adaptive_avg_pool2d",
            f"{x} to {size}",
            lambda rng, x=x, s=size: (rng.normal(size=x), s),
        )
        yield Case("adaptive_avg_pool2d_backward", f"{x} to {size}", lambda rng, x=x, s=size: (
            rng.normal(size=(*x[:2], *s)), x))  # fmt: skip

    for x in NORMS:
        yield Case("moments", f"{x}", lambda rng, x=x: (rng.normal(size=x) * 3 + 5,))
        for affine in (False, True):
            yield from norm_cases(x, affine)
        for add, relu in product((False, True), (False, True)):
            yield Case(
                "scale_shift",
                f"{x} add={add} relu={relu}",
                lambda rng, x=x, add=add, relu=relu: (
                    rng.normal(size=x),
                    rng.normal(size=x[1]),
                    rng.normal(size=x[1]),
                    rng.normal(size=x) if add else None,
                    relu,
                ),
            )
        yield Case("prelu", f"{x}", lambda rng, x=x: (rng.normal(size=x), rng.normal(size=x[1])))
        yield Case("prelu_backward", f"{x}", lambda rng, x=x: (
            rng.normal(size=x), rng.normal(size=x), rng.normal(size=x[1])))  # fmt: skip
        yield Case("channel_sum", f"{x}", lambda rng, x=x: (rng.normal(size=x),))
        yield Case("relu_bias_backward", f"{x}", lambda rng, x=x: (
            rng.normal(size=x), np.maximum(rng.normal(size=x), 0)))  # fmt: skip

    for x, groups in GROUPED:
        yield from own_norm_cases("group_norm", x, x[1], (x[0], groups), groups)
    for x in ROWS:
        yield from own_norm_cases("layer_norm", x, x[1], (x[0],))
        yield from rms_norm_cases(x)

    for shape in [*NORMS, (5,)]:
        for name in ("sigmoid", "tanh"):
            yield Case(name, f"{shape}", lambda rng, s=shape: (rng.normal(size=s) * 3,))
            yield Case(f"{name}_backward", f"{shape}", lambda rng, s=shape: (
                rng.normal(size=s), rng.uniform(size=s)))  # fmt: skip
        for name, settings in GATES:
            yield Case(name, f"{shape} {settings}", lambda rng, s=shape, settings=settings: (
                rng.normal(size=s) * 3, *settings))  # fmt: skip
            yield Case(f"{name}_backward", f"{shape} {settings}",
                lambda rng, s=shape, settings=settings: (
                    rng.normal(size=s), rng.normal(size=s) * 3, *settings))  # fmt: skip
        for name in ("hardshrink", "softshrink"):
            yield Case(name, f"{shape}", lambda rng, s=shape: (rng.normal(size=s), 0.75))
        yield Case("shrink_backward", f"{shape}", lambda rng, s=shape: (
            rng.normal(size=s), rng.normal(size=s), 0.75))  # fmt: skip
        for low, high in ((-0.5, 0.75), (-np.inf, 0.25), (0.125, np.inf)):
            yield Case("clamp_backward", f"{shape} {low} to {high}",
                lambda rng, s=shape, low=low, high=high: (
                    rng.normal(size=s), rng.normal(size=s), low, high))  # fmt: skip
            yield Case("clamp_in_place", f"{shape} {low} to {high}",
                lambda rng, s=shape, low=low, high=high: (
                    rng.normal(size=s), low, high))  # fmt: skip
        yield Case("relu", f"{shape}", lambda rng, s=shape: (rng.normal(size=s),))
        yield Case("relu_backward", f"{shape}", lambda rng, s=shape: (
            rng.normal(size=s), np.maximum(rng.normal(size=s), 0)))  # fmt: skip
        for name in ("add", "accumulate"):
            yield Case(
                name, f"{shape}", lambda rng, s=shape: (rng.normal(size=s), rng.normal(size=s))
            )

    for shape, axis in product([(4, 5), (2, 3, 4), (9, 40), (1, 1), (0, 3)], [0, 1, -1]):
        for name in ("softmax", "log_softmax"):
            yield Case(
                name,
                f"{shape} axis {axis}",
                lambda rng, s=shape, a=axis: (rng.normal(size=s) * 5, a),
            )
            yield Case(f"{name}_backward", f"{shape} axis {axis}", lambda rng, s=shape, a=axis: (
                rng.normal(size=s), -np.abs(rng.normal(size=s)), a))  # fmt: skip

    for shape in MATRICES:
        yield Case(
            "cross_entropy",
            f"{shape}",
            lambda rng, s=shape: (rng.normal(size=s) * 4, rng.integers(0, s[1], s[0])),
        )
        yield Case(
            "cross_entropy_backward",
            f"{shape}",
            lambda rng, s=shape: (
                rng.normal(size=s[0]),
                -np.abs(rng.normal(size=s)),
                rng.integers(0, s[1], s[0]),
            ),
        )
        for p, name in product((1, 2), HINGES):
            yield Case(
                name,
                f"{shape} p={p}",
                lambda rng, s=shape, p=p: (rng.normal(size=s), rng.integers(0, s[1], s[0]), p, 0.7),
            )
            yield Case(f"{name}_backward", f"{shape} p={p}", lambda rng, s=shape, p=p: (
                rng.normal(size=s[0]), rng.normal(size=s), rng.integers(0, s[1], s[0]),
                p, 0.7))  # fmt: skip

    for shape, (loss, p), bias in product(
        [(5, 7, 4), (1, 1, 1), (3, 20, 10), (70, 33, 3), (2, 40, 17), (0, 3, 2)],
        [
            ("cross_entropy", 1),
            *product(("weston_watkins", "crammer_singer", "one_vs_all"), (1, 2)),
        ],
        (True, False),
    ):

        def classifier(rng, s=shape, loss=loss, p=p, bias=bias):
            n, features, classes = s
            weight = rng.normal(size=(classes, features)) / features**0.5
            shift = rng.normal(size=classes) if bias else None
            return (rng.normal(size=(n, features)), weight, shift, rng.integers(0, classes, n),
                    loss, p, 0.7)  # fmt: skip

        yield Case("linear_classifier", f"{shape} {loss} p={p} bias={bias}", classifier)

    for shape in [(3, 4), (2, 5, 6, 3), (131,), (), (0, 3), (2, 3, 33), (70001,)]:
        for name, settings in [
            ("huber_sum", (0.7,)), ("huber_sum", (np.inf,)),
            ("huber_sum_backward", (0.7, 0.3)), ("huber_sum_backward", (np.inf, -2.0)),
        ]:  # fmt: skip
            yield Case(name, f"{shape} {settings}", lambda rng, s=shape, more=settings: (
                *(np.asarray(rng.normal(size=s) / 2) for _ in "xt"), *more))  # fmt: skip

    for shape, p in [((3, 4), 0.5), ((2, 5, 6, 3), 0.2), ((2, 70), 0.0), ((131,), 0.9), ((), 0.3),
                     ((0, 3), 0.5), ((2, 3, 33), 0.999)]:  # fmt: skip
        yield Case("dropout", f"{shape} p={p}", lambda rng, s=shape, p=p: (
            np.asarray(rng.normal(size=s)), p, 0x1234_5678_9ABC_DEF0))  # fmt: skip

    yield from neighbour_cases()
    yield from sampling_cases()
    yield from optimizer_cases()


RESAMPLED = [  # x, dim, of how many inputs each output is a sum
    ((2, 3, 4, 5), 2, [2, 2, 2, 2, 2, 2, 2]),
    ((2, 3, 4, 5), 3, [1, 0, 4, 2]),
    ((1, 40, 3, 2), 3, [2, 2, 2]),
    ((2, 5, 7), 2, [4] * 9),
    ((1, 2, 3, 2, 4), 2, [1, 2]),
    ((2, 17, 2, 3, 2), 4, [2, 1, 2]),
    ((3, 4), 0, [2, 0]),
    ((2, 1, 4, 3), 2, [3]),
    ((0, 3, 4, 5), 3, [2, 2]),
    ((2, 3, 4, 5), 2, []),
    ((2, 3, 4, 5), 2, [0, 0]),
]

SAMPLED = [  # x, points of each image
    ((2, 3, 4, 5), 7),
    ((1, 16, 3, 3), 20),
    ((2, 37, 5, 2), 9),
    ((1, 1, 1, 1), 5),
    ((3, 2, 1, 6), 4),
    ((1, 70, 4, 4), 6),
    ((0, 2, 3, 3), 2),
    ((2, 2, 3, 3), 0),
]


NEIGHBOURS = [  # queries, points, numbers in a row, k
    (5, 40, 7, 3),
    (1, 1, 1, 1),
    (3, 9, 1, 9),
    (17, 33, 20, 5),
    (2, 70, 65, 1),
    (0, 4, 3, 2),
    (4, 3, 0, 2),
    (3, 5, 4, 0),
]


def neighbour_cases() -> Iterator[Case]:
    for (queries, points, width, k), metric in product(NEIGHBOURS, ("l2", "l1", "cosine")):

        def rows(
            rng: np.random.Generator, q: int = queries, n: int = points, w: int = width
        ) -> Any:
            return rng.normal(size=(q, w)), rng.normal(size=(n, w)) + 0.5

        label = f"{queries} of {points} in {width} dimensions, {metric}"
        yield Case("distances", label, lambda rng, r=rows, m=metric: (*r(rng), m))
        yield Case("nearest", f"{label}, k = {k}",
            lambda rng, r=rows, k=k, m=metric: (*r(rng), k, m))  # fmt: skip


def sampling_cases() -> Iterator[Case]:
    for x, dim, counts in RESAMPLED:
        starts = np.cumsum([0, *counts])

        def entries(rng: np.random.Generator, x: Any = x, d: int = dim, s: Any = starts) -> Any:
            return s, rng.integers(0, x[d], s[-1]), rng.normal(size=s[-1])

        yield Case("resample", f"{x} dim {dim} by {counts}",
            lambda rng, x=x, d=dim, e=entries: (rng.normal(size=x), d, *e(rng)))  # fmt: skip
    settings_of = [(False, 0, PIXELS), (True, 0, PIXELS)]
    settings_of += list(product((False, True), OUTSIDE, (EDGES, CENTRES)))
    # a third of them: each of 14 settings on several of the images
    for (x, points), settings in [*product(SAMPLED, settings_of)][::3]:
        units = settings[-1]
        label = f"{x} at {points} {settings}"

        def places(rng: np.random.Generator, x: Any = x, p: int = points, u: int = units) -> Any:
            """Up to two images away; in float16 too, no pixel's end is near."""
            at = rng.uniform(-5, 5, (x[0], p, 2))
            sixteenths = np.round(at * 16) / 16 + 1 / 32
            return sixteenths * x[2] / 4 if u == PIXELS else sixteenths

        def slopes(rng: np.random.Generator, x: Any = x, p: int = points) -> Any:
            return rng.normal(size=(x[0], p, x[1]))

        yield Case("sample_images", label, lambda rng, x=x, at=places, s=settings: (
            rng.normal(size=x), at(rng), *s))  # fmt: skip
        yield Case("sample_images_input_grad", label,
            lambda rng, x=x, at=places, g=slopes, s=settings: (g(rng), at(rng), x, *s))  # fmt: skip
        yield Case("sample_images_place_grad", label,
            lambda rng, x=x, at=places, g=slopes, s=settings: (
                g(rng), rng.normal(size=x), at(rng), *s))  # fmt: skip


PARAMETERS = [(3, 4), (), (2, 3, 4, 5), (0, 3), (37,)]

SGDS = [  # with buffers, lr, momentum, dampening, weight_decay, nesterov, maximize
    (False, 0.1, 0.0, 0.0, 0.0, False, False),
    (False, 0.1, 0.0, 0.0, 0.3, False, True),
    (True, 0.1, 0.9, 0.0, 0.0, False, False),
    (True, 0.1, 0.9, 0.4, 0.3, False, True),
    (True, 0.1, 0.9, 0.0, 0.3, True, False),
]

ADAMS = [  # with peaks, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    (False, 1, 0.1, 0.9, 0.999, 1e-8, 0.0, False, False),
    (False, 7, 0.1, 0.8, 0.9, 1e-3, 0.3, False, True),
    (False, 7, 0.1, 0.8, 0.9, 1e-3, 0.3, True, False),
    (True, 3, 0.1, 0.9, 0.99, 1e-3, 0.0, False, False),
    (True, 3, 0.1, 0.9, 0.99, 1e-3, 0.3, True, True),
]


# The other rules: kernel, kinds of state (g: like gradients, s: like squares, 0: none), settings.
RULES = [
    # lr, momentum, weight_decay, nesterov, maximize
    ("momentum_step", "g", (0.1, 0.9, 0.0, False, False)),
    ("momentum_step", "g", (0.1, 0.9, 0.3, True, True)),
    # mean_rate, grad_rate, beta1, beta2, eps, weight_decay, keep, adaptive, maximize
    ("moments_step", "gs", (0.1, 0.0, 0.9, 0.999, 1e-3, 0.0, 1.0, True, False)),
    ("moments_step", "gs", (0.1, 0.2, 0.8, 0.9, 1e-3, 0.3, 1.0, True, True)),
    ("moments_step", "gs", (0.1, 0.0, 0.8, 0.9, 1e-3, 0.0, 0.97, False, False)),
    # lr, beta1, beta2, eps, weight_decay, maximize
    ("adamax_step", "gs", (0.1, 0.9, 0.999, 1e-3, 0.0, False)),
    ("adamax_step", "gs", (0.1, 0.8, 0.9, 1e-8, 0.3, True)),
    # lr, eps, weight_decay, maximize
    ("adagrad_step", "s", (0.1, 1e-3, 0.0, False)),
    ("adagrad_step", "s", (0.1, 0.1, 0.3, True)),
    # lr, alpha, eps, momentum, weight_decay, maximize
    ("rmsprop_step", "s00", (0.1, 0.9, 1e-3, 0.0, 0.0, False)),
    ("rmsprop_step", "sm0", (0.1, 0.9, 1e-2, 0.0, 0.3, True)),
    ("rmsprop_step", "s0g", (0.1, 0.8, 1e-3, 0.7, 0.3, False)),
    ("rmsprop_step", "smg", (0.1, 0.8, 1e-2, 0.7, 0.0, True)),
    # lr, rho, eps, weight_decay, maximize
    ("adadelta_step", "ss", (0.1, 0.9, 1e-3, 0.0, False)),
    ("adadelta_step", "ss", (1.0, 0.7, 1e-2, 0.3, True)),
    # lr, keep, share, weight_decay, maximize
    ("asgd_step", "g", (0.1, 0.99, 1.0, 0.0, False)),
    ("asgd_step", "g", (0.1, 0.9, 0.25, 0.3, True)),
    # shrink, grow, smallest, largest, maximize
    ("rprop_step", "gs", (0.5, 1.2, 1e-6, 50.0, False)),
    ("rprop_step", "gs", (0.3, 1.5, 0.5, 1.0, True)),
]  # fmt: skip


def optimizer_cases() -> Iterator[Case]:
    def normal(rng: np.random.Generator) -> list[np.ndarray]:
        return [np.asarray(rng.normal(size=shape)) for shape in PARAMETERS]

    def square(rng: np.random.Generator) -> list[np.ndarray]:
        return [np.asarray(rng.uniform(0.1, 2, size=shape)) for shape in PARAMETERS]

    def mean(rng: np.random.Generator) -> list[np.ndarray]:
        """Of gradients whose squares are at least 0.1 in the mean."""
        return [np.asarray(rng.uniform(-0.1, 0.1, size=shape)) for shape in PARAMETERS]

    def nothing(rng: np.random.Generator) -> None:
        return None

    for has_buffers, *rule in SGDS:
        yield Case("sgd_step", f"{rule}", lambda rng, r=rule, b=has_buffers: (
            normal(rng), normal(rng), normal(rng) if b else None, *r))  # fmt: skip
    for has_peaks, *rule in ADAMS:
        yield Case("adam_step", f"{rule} {has_peaks}", lambda rng, r=rule, p=has_peaks: (
            normal(rng), normal(rng), normal(rng), square(rng), square(rng) if p else None,
            *r))  # fmt: skip
    kinds = {"g": normal, "s": square, "m": mean, "0": nothing}
    for kernel, state, settings in RULES:
        yield Case(kernel, f"{state} {settings}", lambda rng, s=state, r=settings: (
            normal(rng), normal(rng), *(kinds[kind](rng) for kind in s), *r))  # fmt: skip


def norm_cases(x: tuple[int, ...], affine: bool) -> Iterator[Case]:
    """Batch norm by given moments, forward and backward, with what may follow it."""
    label = f"{x} affine={affine}"
    mean, var, eps = np.full(x[1], 5.0), np.full(x[1], 9.0), 1e-5

    def vectors(rng: np.random.Generator, count: int) -> list[np.ndarray | None]:
        return [rng.normal(size=x[1]) if affine else None for _ in range(count)]

    def images(rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=x) * 3 + 5

    for add, relu in product((False, True), (False, True)):
        yield Case(
            "normalise",
            f"{label} add={add} relu={relu}",
            lambda rng, add=add, relu=relu: (
                images(rng), mean, var, *vectors(rng, 2), eps,
                rng.normal(size=x) if add else None, relu,
            ),
        )  # fmt: skip
    yield Case(
        "scale_and_shift",
        label,
        lambda rng: (
            rng.normal(size=x[1]), rng.uniform(0.1, 9, size=x[1]), *vectors(rng, 2), eps,
        ),
    )  # fmt: skip
    yield Case(
        "batch_norm_backward",
        label,
        lambda rng: (rng.normal(size=x), images(rng), *vectors(rng, 1), mean, var, eps),
    )
    yield Case(
        "batch_norm_relu_backward",
        label,
        lambda rng: (rng.normal(size=x), images(rng), *vectors(rng, 2), mean, var, eps),
    )
    yield Case(
        "batch_norm_add_relu_backward",
        label,
        lambda rng: (
            rng.normal(size=x), np.maximum(rng.normal(size=x), 0), images(rng),
            *vectors(rng, 1), mean, var, eps,
        ),
    )  # fmt: skip


def rms_norm_cases(x: tuple[int, int]) -> Iterator[Case]:
    for affine in (False, True):

        def weight(rng: np.random.Generator, a: bool = affine) -> Any:
            return rng.normal(size=x[1]) if a else None

        label = f"{x} affine={affine}"
        yield Case(
            "rms_norm", label, lambda rng, w=weight: (rng.normal(size=x) * 3 + 5, w(rng), 1e-5)
        )

        def backward(rng: np.random.Generator, w: Any = weight) -> Any:
            values = rng.normal(size=x) * 3 + 5
            squares = (values**2).sum(axis=1) / max(x[1], 1)
            return rng.normal(size=x), values, w(rng), squares, 1e-5

        yield Case("rms_norm_backward", label, backward)


def own_norm_cases(
    name: str, x: tuple[int, ...], columns: int, statistics: tuple[int, ...], *groups: int
) -> Iterator[Case]:
    """Norms by the moments of a sample's own values, which have the shape ``statistics``."""
    for affine in (False, True):
        label = f"{x} in {groups} affine={affine}"

        def vectors(rng: np.random.Generator, count: int, a: bool = affine) -> Any:
            return [rng.normal(size=columns) if a else None for _ in range(count)]

        yield Case(
            name,
            label,
            lambda rng, v=vectors: (rng.normal(size=x) * 3 + 5, *groups, *v(rng, 2), 1e-5),
        )
        yield Case(
            f"{name}_backward",
            label,
            lambda rng, v=vectors: (
                rng.normal(size=x), rng.normal(size=x) * 3 + 5, *v(rng, 1),
                np.full(statistics, 5.0), np.full(statistics, 9.0), 1e-5,
            ),
        )  # fmt: skip


def taps_of(rng: np.random.Generator, shape: tuple[int, ...], kernel: tuple[int, int]) -> Any:
    area = kernel[0] * kernel[1]
    return rng.integers(0, area, shape).astype(np.uint8 if area <= 256 else np.int32)


CASES = list(cases())


@lru_cache(maxsize=8)  # a case's dtypes, on one tier after the other
def definition(case: Case, dtype: str, defining: ModuleType = naive) -> tuple[np.ndarray, ...]:
    """The float64 answer to the arguments as this dtype holds them.

    Loops in Python take long: they give it for float64, and the reference, so proven, for others.
    """
    defining = defining if dtype == "float64" else reference
    arguments = [inside(v, lambda v: cast(v, "float64")) for v in case.arguments(dtype)]
    return results_of(getattr(defining, case.kernel), arguments)


# Positions of arguments.
CHANGED_IN_PLACE = {
    "accumulate": (0,),
    "clamp_in_place": (0,),
    "sgd_step": (0, 2),
    "adam_step": (0, 2, 3, 4),
    "momentum_step": (0, 2),
    "moments_step": (0, 2, 3),
    "adamax_step": (0, 2, 3),
    "adagrad_step": (0, 2),
    "rmsprop_step": (0, 2, 3, 4),
    "adadelta_step": (0, 2, 3),
    "asgd_step": (0, 2),
    "rprop_step": (0, 2, 3),
}


def result_dtype(case: Case, dtype: str) -> str:
    return "float64" if case.kernel in ("distances", "nearest") else dtype


def results_of(kernel: Callable[..., Any], arguments: Any) -> tuple[np.ndarray, ...]:
    results = kernel(*arguments)
    if results is None:
        return tuple(arrays_in(arguments[i] for i in CHANGED_IN_PLACE[kernel.__name__]))
    return results if isinstance(results, tuple) else (results,)


def arrays_in(arguments: Iterable[Any]) -> list[np.ndarray]:
    each = (value if isinstance(value, list | Epilogue) else [value] for value in arguments)
    return [value for value in chain.from_iterable(each) if isinstance(value, np.ndarray)]


TOLERANCE = {"float64": 1e-12, "float32": 5e-6, "float16": 4e-3}


def assert_close(results: Any, expected: Any, tolerance: float) -> None:
    assert len(results) == len(expected)
    for result, truth in zip(results, expected, strict=True):
        assert result.shape == truth.shape
        scale = max(1.0, float(np.abs(truth).max())) if truth.size else 1.0
        np.testing.assert_allclose(result, truth, rtol=0, atol=tolerance * scale)


def test_every_kernel_has_cases():
    assert {case.kernel for case in CASES} == set(kernels.contracts())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_the_definition(case: Case, tier: str, defining: ModuleType):
    """In float32 for every memory order of the arguments; in the other dtypes for one."""
    for layout in layouts_of(case):
        with part(f"float32, {layout}"):
            arguments = case.arguments("float32", layout)
            before = [value.copy() for value in read_only(case, arguments)]
            check_definition(case, "float32", arguments, defining)
            after = read_only(case, arguments)
            same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            assert same, "input changed"
    for dtype in ("float64", "float16"):
        with part(dtype):
            check_definition(case, dtype, case.arguments(dtype), defining)


def check_definition(case: Case, dtype: str, arguments: Arguments, defining: ModuleType) -> None:
    results = results_of(getattr(kernels, case.kernel), arguments)
    assert_close(results, definition(case, dtype, defining), TOLERANCE[dtype])
    assert all(r.dtype == result_dtype(case, dtype) for r in results if r.dtype.kind == "f")


def layouts_of(case: Case) -> list[str]:
    """The memory orders that differ for the arguments of a case."""
    images = any(value.ndim in (4, 5) for value in arrays_in(case.values))
    return [name for name in LAYOUTS if images or name != "channels_last"]


@pytest.mark.parametrize("channels", [1, 3, 16, 17, 40])
@pytest.mark.parametrize("pixels", [1, 7, 16, 33, 130, 273])
def test_images_in_either_order_arrive_as_they_are(channels: int, pixels: int, tier: str):
    x = np.arange(3 * channels * pixels, dtype=np.float32).reshape(3, channels, 1, pixels)
    for layout in LAYOUTS.values():
        pooled, _ = kernels.max_pool2d(layout(x), (1, 1), (1, 1), (0, 0), (1, 1), False)
        assert np.array_equal(pooled, x)


@pytest.mark.parametrize("order_of_x", [contiguous, channels_last])
@pytest.mark.parametrize("order_of_g", [contiguous, channels_last, with_gaps])
def test_batch_norm_brings_gradients_into_the_order_of_x(order_of_x, order_of_g, tier: str):
    rng = np.random.default_rng(3)
    x, g, y = (rng.normal(size=(3, 5, 6, 7)).astype(np.float32) for _ in range(3))
    mean, var = kernels.moments(x)
    arguments = (None, mean, var, 1e-5)
    expected = [
        *reference.batch_norm_backward(g, x, *arguments),
        *reference.batch_norm_add_relu_backward(g, y, x, *arguments),
        *reference.relu_bias_backward(g, y),
        reference.normalise(x, mean, var, None, None, 1e-5, g, True),
    ]
    x, y, g = order_of_x(x), order_of_x(y), order_of_g(g)
    results = [
        *kernels.batch_norm_backward(g, x, *arguments),
        *kernels.batch_norm_add_relu_backward(g, y, x, *arguments),
        *kernels.relu_bias_backward(g, y),
        kernels.normalise(x, mean, var, None, None, 1e-5, g, True),
    ]
    assert_close(results, expected, TOLERANCE["float32"])


def read_only(case: Case, arguments: Arguments) -> list[np.ndarray]:
    """The arrays that the kernel must leave alone."""
    changed = CHANGED_IN_PLACE.get(case.kernel, ())
    return arrays_in(value for i, value in enumerate(arguments) if i not in changed)


# PyTorch's answer for each kernel. `aten` has its backward kernels, which take what ours take.


def torch_answer(torch: Any, name: str, a: Arguments) -> Any:
    functional, aten = torch.nn.functional, torch.ops.aten
    if name in ("conv2d_input_grad", "conv2d_weight_grad"):
        wants_x = name == "conv2d_input_grad"
        g, other, shape, stride, padding, dilation, groups = a
        x, weight = (g.new_empty(shape), other) if wants_x else (other, g.new_empty(shape))
        return aten.convolution_backward(
            g, x, weight, None, stride, padding, dilation, False, [0, 0], groups,
            [wants_x, not wants_x, False],
        )[0 if wants_x else 1]  # fmt: skip
    if name == "max_pool2d":
        y, index = functional.max_pool2d(*a[:-1], ceil_mode=a[-1], return_indices=True)
        return y, index
    if name == "max_pool2d_backward":
        g, tap, shape, kernel, stride, padding, dilation = a
        index = image_index(torch, tap, shape, kernel, stride, padding, dilation)
        # The ceil mode only serves PyTorch's check of shapes, so offer the one that fits.
        sizes = zip(shape[2:], kernel, stride, padding, dilation, strict=True)
        ceil_mode = tuple(pool_output_size(*axis) for axis in sizes) != tuple(g.shape[2:])
        return aten.max_pool2d_with_indices_backward(
            g, g.new_empty(shape), kernel, stride, padding, dilation, ceil_mode, index
        )
    if name in ("distances", "nearest"):
        x, y, *k, metric = a
        if metric == "cosine":
            found = 1 - functional.cosine_similarity(x[:, None], y[None], dim=2)
        else:
            found = torch.cdist(x, y, int(metric[1]), "donot_use_mm_for_euclid_dist")
        return found.topk(k[0], largest=False) if k else found
    if name in ("conv2d", "conv2d_moments"):
        y = functional.conv2d(*a[:7])
        if name == "conv2d_moments":
            return y, *torch_answer(torch, "moments", (y,))
        scale, shift, add, relu = a[7] if len(a) > 7 else Epilogue()
        y = y if scale is None else torch_answer(torch, "scale_shift", (y, scale, shift))
        return torch_finish(torch, y, add, relu)
    if name == "moments":
        variance, mean = torch.var_mean(a[0], (0, *range(2, a[0].ndim)), correction=0)
        return mean, variance
    if name == "scale_and_shift":
        mean, var, weight, bias, eps = a
        at = torch.stack([torch.zeros_like(mean), torch.ones_like(mean)])
        shift, sum_of_both = functional.batch_norm(at, mean, var, weight, bias, eps=eps)
        return sum_of_both - shift, shift, (var + eps).rsqrt()
    if name == "normalise":
        x, mean, var, weight, bias, eps, add, relu = a
        y = functional.batch_norm(x, mean, var, weight, bias, eps=eps)
        return torch_finish(torch, y, add, relu)
    if name == "batch_norm_relu_backward":
        g, x, weight, bias, mean, var, eps = a
        y = functional.batch_norm(x, mean, var, weight, bias, eps=eps)
        return torch_answer(torch, "batch_norm_backward", (g * (y > 0), x, weight, mean, var, eps))
    if name == "batch_norm_add_relu_backward":
        g, y, *rest = a
        masked = g * (y > 0)
        return *torch_answer(torch, "batch_norm_backward", (masked, *rest)), masked
    if name == "relu_bias_backward":
        masked = a[0] * (a[1] > 0)
        return masked, torch_answer(torch, "channel_sum", (masked,))
    if name in ("layer_norm", "group_norm"):
        return torch_own_norm(torch, name, a)
    if name in ("layer_norm_backward", "group_norm_backward"):
        return torch_own_norm_backward(torch, name, a)
    if name == "rms_norm":
        x, weight, eps = a
        return functional.rms_norm(x, x.shape[1:], weight, eps), x.square().mean(1)
    if name == "rms_norm_backward":
        g, x, weight, _, eps = a
        wanted = [x.requires_grad_(), torch.ones_like(x[0]) if weight is None else weight]
        y = functional.rms_norm(x, x.shape[1:], wanted[1].requires_grad_(), eps)
        return torch.autograd.grad(y, wanted, g)
    if name == "batch_norm_backward":
        g, x, weight, mean, var, eps = a
        weight = torch.ones_like(mean) if weight is None else weight
        return aten.native_batch_norm_backward(
            g, x, weight, None, None, mean, (var + eps).rsqrt(), True, eps, [True] * 3
        )
    if name == "cross_entropy":
        return functional.cross_entropy(*a, reduction="none"), functional.log_softmax(a[0], 1)
    if name == "huber_sum":
        x, t, delta = a
        if np.isinf(delta):
            return functional.mse_loss(x, t, reduction="sum") / 2
        return functional.huber_loss(x, t, reduction="sum", delta=delta)
    if name == "huber_sum_backward":
        x, t, delta, scale = a
        return scale * (x - t).clamp(-delta, delta)
    if name == "multi_margin_loss":
        scores, target, p, margin = a
        mean_over_classes = functional.multi_margin_loss(
            scores, target, p, margin, reduction="none"
        )
        return mean_over_classes * scores.shape[1]
    if name in ("crammer_singer_loss", "one_vs_all_loss"):
        scores, target, p, margin = a
        own = functional.one_hot(target, scores.shape[1]).bool()
        if name == "one_vs_all_loss":
            return ((margin - torch.where(own, scores, -scores)).clamp(min=0) ** p).sum(1)
        rivals = scores.masked_fill(own, -torch.inf).amax(1)
        return (margin + rivals - scores[own]).clamp(min=0) ** p
    if name.removesuffix("_backward") in HINGES:
        g, scores, target, p, margin = a
        scores.requires_grad_()
        mine = torch_answer(torch, name.removesuffix("_backward"), (scores, *a[2:]))
        return torch.autograd.grad(mine, scores, g)[0]
    if name == "linear_classifier":
        x, weight, bias, target, loss, p, margin = a
        bias = torch.zeros_like(weight[:, 0]) if bias is None else bias
        parameters = weight.requires_grad_(), bias.requires_grad_()
        scores = functional.linear(x, *parameters)
        if loss == "cross_entropy":
            scores = scores - margin * functional.one_hot(target, len(weight)).to(scores.dtype)
            losses = functional.cross_entropy(scores, target, reduction="none")
        else:
            hinge = HINGES[("weston_watkins", "crammer_singer", "one_vs_all").index(loss)]
            losses = torch_answer(torch, hinge, (scores, target, p, margin))
        return losses, *torch.autograd.grad(losses.sum() / max(len(x), 1), parameters)
    if name == "cross_entropy_backward":
        g, log_probs, target = a
        one_hot = functional.one_hot(target, log_probs.shape[1])
        return aten._log_softmax_backward_data(-g[:, None] * one_hot, log_probs, 1, g.dtype)
    if name in ("softmax_backward", "log_softmax_backward"):
        return getattr(aten, f"_{name}_data")(*a, a[0].dtype)
    if name == "scale_shift":
        x, scale, shift, add, relu = (*a, None, False)[:5]
        zeros, ones = torch.zeros_like(scale), torch.ones_like(scale)
        y = functional.batch_norm(x, zeros, ones, scale, shift, eps=0.0)
        return torch_finish(torch, y, add, relu)
    if name == "linear":
        return torch_finish(torch, functional.linear(*a[:3]), None, a[3])
    if name.endswith("_step"):
        return torch_step(torch, name, a)
    if name == "resample":
        x, dim, starts, index, weight = a
        outputs = torch.arange(len(starts) - 1).repeat_interleave(starts.diff())
        matrix = x.new_zeros(len(starts) - 1, x.shape[dim])
        matrix.index_put_((outputs, index), weight, accumulate=True)
        return torch.tensordot(matrix, x, dims=([1], [dim])).movedim(0, dim)
    if name.startswith("sample_images"):
        return torch_sampled(torch, name, a)
    if name in ("logsigmoid_backward", "prelu_backward"):
        g, *wanted = a
        mine = getattr(functional, name.removesuffix("_backward"))(
            *(t.requires_grad_() for t in wanted)
        )
        slopes = torch.autograd.grad(mine, wanted, g)
        return slopes if len(slopes) > 1 else slopes[0]
    simple = {
        "leaky_relu": functional.leaky_relu,
        "leaky_relu_backward": lambda g, x, slope: aten.leaky_relu_backward(g, x, slope, False),
        "elu": aten.elu,
        "elu_backward": lambda g, x, *settings: aten.elu_backward(g, *settings, False, x),
        "gelu": lambda x, by_tanh: aten.gelu(x, approximate=GELU_FORM[by_tanh]),
        "gelu_backward": lambda g, x, by_tanh: aten.gelu_backward(
            g, x, approximate=GELU_FORM[by_tanh]
        ),
        "silu": aten.silu,
        "silu_backward": aten.silu_backward,
        "hardswish": aten.hardswish,
        "hardswish_backward": aten.hardswish_backward,
        "hardsigmoid": aten.hardsigmoid,
        # PyTorch's own takes 1/6 from float32, for float64 too.
        "hardsigmoid_backward": lambda g, x: aten.hardtanh_backward(g / 6, x, -3, 3),
        "mish": aten.mish,
        "mish_backward": aten.mish_backward,
        "hardtanh": aten.hardtanh,
        "hardtanh_backward": aten.hardtanh_backward,
        "clamp_backward": lambda g, x, low, high: g * ((x >= low) & (x <= high)),
        "clamp_in_place": torch.clamp_,
        "softplus": aten.softplus,
        "softplus_backward": aten.softplus_backward,
        "logsigmoid": functional.logsigmoid,
        "hardshrink": aten.hardshrink,
        "softshrink": aten.softshrink,
        "shrink_backward": aten.hardshrink_backward,
        "prelu": functional.prelu,
        "add": torch.add,
        "accumulate": torch.add,
        "channel_sum": lambda g: g.sum((0, *range(2, g.ndim))),
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "sigmoid_backward": aten.sigmoid_backward,
        "tanh": torch.tanh,
        "tanh_backward": aten.tanh_backward,
        "relu_backward": lambda g, y: aten.threshold_backward(g, y, 0),
        "softmax": torch.softmax,
        "log_softmax": torch.log_softmax,
        "avg_pool2d": functional.avg_pool2d,
        "avg_pool2d_backward": lambda g, shape, *rest: aten.avg_pool2d_backward(
            g, g.new_empty(shape), *rest, None
        ),
        "adaptive_avg_pool2d": functional.adaptive_avg_pool2d,
        "adaptive_avg_pool2d_backward": lambda g, shape: aten._adaptive_avg_pool2d_backward(
            g, g.new_empty(shape)
        ),
    }
    return simple[name](*a)


def torch_sampled(torch: Any, name: str, a: Arguments) -> Any:
    *arrays, nearest, outside, units = a
    g, x, at = {
        "sample_images": lambda x, at: (None, x, at),
        "sample_images_input_grad": lambda g, at, shape: (g, g.new_zeros(shape), at),
        "sample_images_place_grad": lambda g, x, at: (g, x, at),
    }[name](*arrays)
    wanted = at if name == "sample_images_place_grad" else x
    wanted.requires_grad_()
    grid = at
    if units == PIXELS:
        grid = (2 * at + 1) / torch.tensor([x.shape[3], x.shape[2]], dtype=x.dtype) - 1
    mode, padding = ("bilinear", "nearest")[nearest], ("zeros", "border", "reflection")[outside]
    centres = units == CENTRES
    y = torch.nn.functional.grid_sample(x, grid[:, :, None], mode, padding, centres)
    y = y[..., 0].transpose(1, 2)
    return y if g is None else torch.autograd.grad(y, wanted, g)[0]


def torch_own_norm(torch: Any, name: str, a: Arguments) -> Any:
    x, *groups, weight, bias, eps = a
    parts = x if name == "layer_norm" else x.reshape(len(x), groups[0], -1)
    variance, mean = torch.var_mean(parts, -1, correction=0)
    if name == "layer_norm":
        return torch.nn.functional.layer_norm(x, x.shape[1:], weight, bias, eps), mean, variance
    return torch.group_norm(x, groups[0], weight, bias, eps), mean, variance


def torch_own_norm_backward(torch: Any, name: str, a: Arguments) -> Any:
    g, x, weight, mean, var, eps = a
    inverse = 1 / torch.sqrt(var + eps)
    weight = torch.ones(x.shape[1], dtype=x.dtype) if weight is None else weight
    wanted = [True] * 3
    if name == "layer_norm_backward":
        column = (-1, 1)
        return torch.ops.aten.native_layer_norm_backward(
            g, x, x.shape[1:], mean.reshape(column), inverse.reshape(column), weight,
            torch.zeros_like(weight), wanted,
        )  # fmt: skip
    sizes = (len(x), x.shape[1], x[0, 0].numel(), mean.shape[1])
    return torch.ops.aten.native_group_norm_backward(g, x, mean, inverse, weight, *sizes, wanted)


def torch_finish(torch: Any, y: Any, add: Any, relu: bool) -> Any:
    y = y if add is None else y + add
    return torch.relu(y) if relu else y


def torch_step(torch: Any, name: str, a: Arguments) -> Any:
    """A step of PyTorch's optimizer that starts from the same state."""
    rule, settings, state = torch_rule(torch, name, a)
    params = [torch.nn.Parameter(w) for w in a[0]]
    optimizer = rule(params, **settings, foreach=False)
    for i, (p, grad) in enumerate(zip(params, a[1], strict=True)):
        p.grad = grad
        own = {k: v[i] if isinstance(v, list) else v for k, v in state.items()}
        optimizer.state[p].clear()
        for k, v in own.items():
            # Scalars in float64: a step count too, which begins at the number before this one.
            optimizer.state[p][k] = torch.tensor(v, dtype=torch.float64) if k in SCALARS else v
    optimizer.step()
    return *params, *(t for v in state.values() if isinstance(v, list) for t in v)


SCALARS = ("step", "eta", "mu")


def torch_rule(torch: Any, name: str, a: Arguments) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """PyTorch's optimizer, its settings, and its state for the arguments of a kernel."""
    optim = torch.optim
    if name == "sgd_step":
        names = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
        return optim.SGD, dict(zip(names, a[3:], strict=True)), {"momentum_buffer": a[2]}
    if name == "adam_step":
        step, lr, beta1, beta2, eps, decay, decoupled, maximize = a[5:]
        rule = optim.AdamW if decoupled else optim.Adam
        settings = {"betas": (beta1, beta2), "eps": eps, "amsgrad": a[4] is not None}
        state = {"step": step - 1.0, "exp_avg": a[2], "exp_avg_sq": a[3], "max_exp_avg_sq": a[4]}
        return rule, {"lr": lr, "weight_decay": decay, "maximize": maximize, **settings}, state
    settings = {"maximize": a[-1]}
    if name != "rprop_step":
        settings["weight_decay"] = a[-2]
    if name == "adamax_step":
        lr, beta1, beta2, eps = a[4:8]
        settings |= {"lr": lr * (1 - beta1), "betas": (beta1, beta2), "eps": eps}
        return optim.Adamax, settings, {"step": 0.0, "exp_avg": a[2], "exp_inf": a[3]}
    if name == "adagrad_step":
        return optim.Adagrad, settings | {"lr": a[3], "eps": a[4]}, {"step": 0.0, "sum": a[2]}
    if name == "rmsprop_step":
        names = ("lr", "alpha", "eps", "momentum")
        settings |= dict(zip(names, a[5:9], strict=True)) | {"centered": a[3] is not None}
        state = {"square_avg": a[2], "grad_avg": a[3], "momentum_buffer": a[4], "step": 0.0}
        return optim.RMSprop, settings, state
    if name == "adadelta_step":
        settings |= dict(zip(("lr", "rho", "eps"), a[4:7], strict=True))
        return optim.Adadelta, settings, {"square_avg": a[2], "acc_delta": a[3], "step": 0.0}
    if name == "asgd_step":
        lr, keep, share = a[3:6]
        state = {"ax": a[2], "eta": lr, "mu": share, "step": 0.0}
        return optim.ASGD, settings | {"lambd": (1 - keep) / lr}, state
    shrink, grow, smallest, largest = a[4:8]
    settings |= {"etas": (shrink, grow), "step_sizes": (smallest, largest)}
    return optim.Rprop, settings, {"prev": a[2], "step_size": a[3], "step": 0.0}


def image_index(
    torch: Any, tap: Any, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    """A tap as PyTorch counts it: the position h*W + w in the image."""
    rows, cols = (torch.arange(size) for size in tap.shape[2:])
    tap = tap.long()
    h = rows[:, None] * stride[0] - padding[0] + tap // kernel[1] * dilation[0]
    w = cols * stride[1] - padding[1] + tap % kernel[1] * dilation[1]
    return h * shape[3] + w


def beyond_torch(case: Case) -> str | None:
    """Why PyTorch has no answer to this case."""
    a = case.arguments("float64")
    if case.kernel in ("max_pool2d_gather", "dropout", "gather_frames", "add_frames"):
        return "has no such kernel"
    if case.kernel == "nearest" and a[-1] == "cosine" and a[0].shape[1] == 1:
        return "has no order for points of the same direction"
    if case.kernel == "nearest" and a[0].shape[1] == 0:
        return "has no order for equal distances"
    if case.kernel == "momentum_step":
        return "has another form of momentum; chainrule.optim's are compared in tests/optim"
    if case.kernel == "moments_step":
        return "computes these rates itself; NAdam and RAdam are compared in tests/optim"
    if case.kernel == "max_pool2d_backward" and not in_image(*a[1:]):
        return "takes no tap in the padding"
    if case.kernel.startswith("conv2d"):
        filters = 1 if case.kernel == "conv2d_weight_grad" else len(a[1])
        if 0 in (a[0].shape[1], a[1].shape[1], filters):
            return "convolves no channels in part only"
    own = ("layer_norm", "rms_norm", "group_norm")
    if case.kernel.startswith(("batch_norm", "moments", "conv2d_moments", *own)) and a[0].size == 0:
        return "refuses an empty batch"
    if case.kernel == "group_norm" and a[0].size == 1:
        return "does not take a lone value's mean off exactly"
    return None


def in_image(tap: Any, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> bool:
    rows, cols = (np.arange(size) for size in tap.shape[2:])
    h = rows[:, None] * stride[0] - padding[0] + tap // kernel[1] * dilation[0]
    w = cols * stride[1] - padding[1] + tap % kernel[1] * dilation[1]
    return bool(np.all((h >= 0) & (h < shape[2]) & (w >= 0) & (w < shape[3])))


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip(
        "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
    )


@pytest.mark.parity
@pytest.mark.parametrize("case", [c for c in CASES if not beyond_torch(c)], ids=str)
def test_matches_pytorch(case: Case, torch: Any):
    # PyTorch's own float32 results are off by this much: they are no better than ours.
    for dtype, tolerance in {"float32": 4e-5, "float64": 1e-11}.items():
        with part(dtype):
            check_pytorch(torch, case, dtype, tolerance)


def check_pytorch(torch: Any, case: Case, dtype: str, tolerance: float) -> None:
    arguments = case.arguments(dtype, "channels_last")

    def tensor(value: Any) -> Any:
        is_array = isinstance(value, np.ndarray)
        return torch.from_numpy(np.array(value, order="C")) if is_array else value

    tensors = [inside(value, tensor) for value in arguments]
    answer = torch_answer(torch, case.kernel, tuple(tensors))
    results = results_of(getattr(kernels, case.kernel), arguments)
    expected = [t.detach().numpy() for t in (answer if isinstance(answer, tuple) else (answer,))]
    if case.kernel == "max_pool2d":
        taps = torch.from_numpy(np.ascontiguousarray(results[1]))
        index = image_index(torch, taps, arguments[0].shape, *arguments[1:5])
        results = (results[0], index.numpy())
    assert_close(results, expected, tolerance)


# Enough to be cut into many tiles, tasks, blocks and parts; x, weight, stride, padding. A weight
# of fewer channels than x has is one of groups.
LARGE = [
    ((40, 16, 32, 32), (16, 16, 3, 3), (1, 1), (1, 1)),
    ((33, 64, 8, 8), (64, 64, 3, 3), (1, 1), (1, 1)),
    ((33, 16, 17, 15), (32, 16, 3, 3), (2, 2), (1, 1)),
    ((70, 96, 4, 4), (128, 96, 3, 3), (1, 1), (1, 1)),
    ((1, 3, 120, 130), (40, 3, 7, 7), (2, 2), (3, 3)),
    ((3, 70, 41, 40), (50, 70, 1, 1), (1, 1), (0, 0)),
    ((9, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0)),
    ((33, 1, 28, 28), (6, 1, 5, 5), (1, 1), (2, 2)),
    ((5, 130, 7, 7), (200, 130, 3, 3), (1, 1), (1, 1)),
    ((1, 200, 9, 9), (130, 200, 3, 3), (2, 2), (1, 1)),
    ((9, 64, 6, 6), (130, 64, 3, 3), (2, 2), (1, 1)),  # more weights than images, both cut
    ((6, 64, 20, 20), (130, 64, 3, 3), (2, 2), (1, 1)),  # fewer
    ((1, 300, 6, 5), (310, 300, 1, 1), (1, 1), (0, 0)),
    ((3, 100, 40, 41), (100, 1, 3, 3), (1, 1), (1, 1)),
    ((2, 40, 33, 70), (80, 1, 5, 5), (2, 2), (2, 2)),
    ((1, 128, 30, 30), (128, 4, 3, 3), (1, 1), (1, 1)),
    ((1, 72, 25, 31), (72, 8, 3, 3), (1, 1), (1, 1)),
    ((2, 320, 15, 17), (160, 40, 3, 3), (2, 1), (1, 1)),
]


@lru_cache(maxsize=1)  # on one tier after the other
def large_calls(case: Any) -> list[tuple[str, Arguments, tuple[np.ndarray, ...]]]:
    """Kernels, arguments, and what the reference makes of them in float64."""
    x_shape, weight_shape, stride, padding = case
    geometry = (stride, padding, (1, 1), x_shape[1] // weight_shape[1])
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=x_shape), rng.normal(size=weight_shape)
    y = reference.conv2d(x, weight, None, *geometry)
    g = rng.normal(size=y.shape)
    calls = []
    for name, arguments in {
        "conv2d": (x, weight, None, *geometry),
        "conv2d_moments": (x, weight, None, *geometry),
        "conv2d_input_grad": (g, weight, x_shape, *geometry),
        "conv2d_weight_grad": (g, x, weight_shape, *geometry),
    }.items():
        single = tuple(channels_last(cast(value, "float32")) for value in arguments)
        exact = [cast(value, "float64") for value in single]
        calls.append((name, single, results_of(getattr(reference, name), exact)))
    return calls


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_large_convolutions(case: Any, tier: str):
    for name, arguments, truths in large_calls(case):
        with part(name):
            results = results_of(getattr(kernels, name), arguments)
            assert_close(results, truths, TOLERANCE["float32"])


@pytest.mark.parametrize("shape", [(64, 5, 50, 50), (100, 48, 9, 9), (3000, 130)], ids=str)
def test_large_batch_norms(shape: tuple[int, ...], tier: str):
    rng = np.random.default_rng(2)
    x, g = rng.normal(size=shape) * 2 + 3, rng.normal(size=shape)
    weight, bias = rng.normal(size=(2, shape[1]))
    single = [channels_last(cast(value, "float32")) for value in (x, weight, bias)]
    exact = [cast(value, "float64") for value in single]
    mean, var = kernels.moments(single[0])
    assert_close((mean, var), reference.moments(exact[0]), TOLERANCE["float32"])
    y = kernels.normalise(single[0], mean, var, *single[1:], 1e-5)
    truth = reference.normalise(exact[0], *reference.moments(exact[0]), *exact[1:], 1e-5)
    assert_close((y,), (truth,), TOLERANCE["float32"])
    backward = [cast(g, "float32"), single[0], single[1], mean, var]
    exact = [cast(value, "float64") for value in backward]
    assert_close(
        kernels.batch_norm_backward(*backward, 1e-5),
        reference.batch_norm_backward(*exact, 1e-5),
        TOLERANCE["float32"],
    )


@pytest.mark.parametrize("shape", [(3, 50, 70, 15), (300, 500)], ids=str)
def test_large_sums_of_two(shape: tuple[int, ...], tier: str):
    """Enough to leave NumPy; every memory order that it sees, and two that differ."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    for left, right in product((contiguous, channels_last, backwards), repeat=2):
        x, y = left(a.copy()), right(b)
        total = kernels.add(x, y)
        np.testing.assert_array_equal(total, a + b)
        assert kernels.accumulate(x, y) is x
        np.testing.assert_array_equal(x, a + b)


def test_a_wrong_kernel_would_be_noticed():
    case = next(case for case in CASES if case.kernel == "conv2d")
    (truth,) = definition(case, "float64")
    wrong = truth.copy()
    wrong.flat[-1] += 1e-3
    with pytest.raises(AssertionError):
        assert_close((wrong,), (truth,), TOLERANCE["float32"])


def test_convolution_gives_channels_last_memory(tier: str):
    x, weight = np.ones((2, 3, 5, 6), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = kernels.conv2d(x, weight, None, (1, 1), (1, 1), (1, 1), 1)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_memory_order_flows_through(tier: str):
    x = channels_last(np.ones((2, 3, 4, 4), np.float32))
    y, index = kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    normed = kernels.normalise(x, *kernels.moments(x), None, None, 1e-5)
    for result in (y, index, normed, kernels.relu(x)):
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous
    volume = channels_last(np.ones((2, 3, 2, 4, 4), np.float32))
    frames = kernels.gather_frames(volume, 2, 1, 0, 1, 1)
    assert frames.transpose(0, 2, 3, 1).flags.c_contiguous
    spread = kernels.add_frames(frames, volume.shape, 2, 1, 0, 1, 1)
    for result in (spread, kernels.relu(volume), kernels.add(volume, spread)):
        assert np.moveaxis(result, 1, -1).flags.c_contiguous


def test_max_pool_takes_nan_and_minus_infinity(tier: str):
    x = np.full((1, 1, 2, 4), -np.inf, np.float32)
    x[0, 0, 1, 2] = np.nan
    y, index = kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert np.isneginf(y[0, 0, 0, 0]) and index[0, 0, 0, 0] == 0
    assert np.isnan(y[0, 0, 0, 1]) and index[0, 0, 0, 1] == 2


def test_relu_keeps_nan_and_its_gradient_is_exactly_zero_below(tier: str):
    x = np.array([np.nan, -1, 0, 2], np.float32)
    np.testing.assert_array_equal(kernels.relu(x), np.array([np.nan, 0, 0, 2], np.float32))
    g = np.array([1, np.inf, np.nan, 3], np.float32)
    y = np.array([1, 0, 0, 2], np.float32)
    np.testing.assert_array_equal(kernels.relu_backward(g, y), np.array([1, 0, 0, 3], np.float32))


def test_relu_takes_a_single_number(tier: str):
    number, slope = np.array(2, np.float32), np.array(3, np.float32)
    for result, expected in (
        (kernels.relu(number), 2),
        (kernels.relu_backward(slope, number), 3),
    ):
        assert np.shape(result) == () and result == expected


def test_softmax_survives_huge_logits(tier: str):
    x = np.array([[1e4, 0, -1e4]], np.float32)
    np.testing.assert_array_equal(kernels.softmax(x, 1), [[1, 0, 0]])
    loss, _ = kernels.cross_entropy(x, np.array([2]))
    np.testing.assert_allclose(loss, [2e4])


def test_softmax_and_losses_pass_nan_on_and_take_minus_infinity(tier: str):
    x = np.zeros((3, 20), np.float32)
    x[0, 3], x[1, 19] = np.nan, -np.inf
    target = np.array([0, 1, 2])
    y, log_y = kernels.softmax(x, 1), kernels.log_softmax(x, 1)
    loss, _ = kernels.cross_entropy(x, target)
    hinges = [getattr(kernels, name)(x, target, 1, 1.0)[0] for name in HINGES]
    for result in (y[0], log_y[0], loss[0], *hinges):
        assert np.isnan(result).all()
    np.testing.assert_allclose(y[1:, 0], [1 / 19, 1 / 20], rtol=1e-6)
    assert y[1, 19] == 0 and np.isneginf(log_y[1, 19])
    np.testing.assert_allclose(loss[1:], np.log([19, 20]), rtol=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_sigmoid_and_tanh_are_right_to_a_few_units_in_the_last_place(name: str, tier: str):
    near = np.geomspace(1e-30, 1, 2000)
    x = np.concatenate([-near, near, np.linspace(-80, 80, 40001)]).astype(np.float32)
    exact = x.astype(np.float64)
    exact = np.tanh(exact) if name == "tanh" else 1 / (1 + np.exp(-exact))
    error = np.abs(getattr(kernels, name)(x) - exact)
    # The reference's tanh is exact to units of 1, not of its smallest results.
    unit = (
        np.spacing(exact.astype(np.float32)) if tier != "reference" else np.spacing(np.float32(1))
    )
    assert (error / unit).max() < 4
    special = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e30, -1e30], np.float32)
    low, middle = (-1, 0) if name == "tanh" else (0, 0.5)
    expected = [np.nan, 1, low, middle, middle, 1, low]
    np.testing.assert_array_equal(getattr(kernels, name)(special), np.float32(expected))


def test_softplus_and_logsigmoid_keep_the_digits_of_small_results(tier: str):
    x = np.concatenate([np.linspace(-80, 0, 20001), np.linspace(0, 19, 2001)]).astype(np.float32)
    exact = np.log1p(np.exp(x.astype(np.float64)))
    for result in (kernels.softplus(x, 1.0, 20.0), -kernels.logsigmoid(-x)):
        assert (np.abs(result - exact) / np.spacing(exact.astype(np.float32))).max() < 4
    special = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], np.float32)
    for threshold in (20.0, np.inf):
        np.testing.assert_array_equal(
            kernels.softplus(special, 1.0, threshold), np.float32([np.nan, np.inf, 0, 1e30, 0])
        )
    np.testing.assert_array_equal(
        kernels.logsigmoid(special), np.float32([np.nan, 0, -np.inf, 0, -1e30])
    )


def test_clamping_keeps_nan_and_its_gradient_is_zero_there(tier: str):
    x = np.array([np.nan, -1, 0, 0.5, 2], np.float32)
    g = np.array([np.inf, 3, 4, 5, 6], np.float32)
    np.testing.assert_array_equal(
        kernels.clamp_backward(g, x, 0.0, 0.5), np.float32([0, 0, 4, 5, 0])
    )
    result = kernels.clamp_in_place(x, 0.0, 0.5)
    assert result is x
    np.testing.assert_array_equal(x, np.float32([np.nan, 0, 0, 0.5, 0.5]))


def test_philox_gives_the_published_words():
    """The known answers that its authors distribute with Random123."""
    from chainrule.kernels.reference.dropout import philox

    answers = {
        ((0, 0, 0, 0), (0, 0)): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)): (
            0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
        ),
    }  # fmt: skip
    for (counter, key), expected in answers.items():
        words = philox([np.array(word, np.uint64) for word in counter], key)
        assert tuple(map(int, words)) == expected == naive.philox(counter, key)


def test_dropout_has_the_same_bits_in_any_tier_and_memory_order(tier: str):
    x = np.random.default_rng(0).normal(size=(5, 37, 40, 11)).astype(np.float32)
    expected = reference.dropout(x, 0.3, 2**64 - 5)
    for layout in LAYOUTS.values():
        np.testing.assert_array_equal(kernels.dropout(layout(x), 0.3, 2**64 - 5), expected)
    assert not np.array_equal(kernels.dropout(x, 0.3, 6) == 0, expected == 0)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_independently_with_probability_p(p: float, tier: str):
    """Frequencies of one, and of two at a distance, within 5 standard deviations."""
    n = 1 << 20
    dropped = kernels.dropout(np.ones(n, np.float32), p, 77) == 0
    assert abs(dropped.mean() - p) < 5 * np.sqrt(p * (1 - p) / n)
    for distance in (1, 4, 16, 64, 4096):
        both = dropped[distance:] & dropped[:-distance]
        variance = p**2 * (1 - p**2) + 2 * p**3 * (1 - p)  # each is in two pairs
        assert abs(both.mean() - p**2) < 5 * np.sqrt(variance / len(both))
    by_key = [kernels.dropout(np.ones(8, np.float32), p, key) == 0 for key in range(4096)]
    assert np.abs(np.mean(by_key, axis=0) - p).max() < 5 * np.sqrt(p * (1 - p) / 4096)


def test_losses_start_where_they_should(tier: str):
    """With equal scores: log C, and (C - 1), 1 and C margins."""
    scores, target = np.zeros((4, 10), np.float32), np.arange(4)
    loss, _ = kernels.cross_entropy(scores, target)
    np.testing.assert_allclose(loss, np.log(10), rtol=1e-6)
    for name, margins in zip(HINGES, (9, 1, 10), strict=True):
        np.testing.assert_allclose(getattr(kernels, name)(scores, target, 1, 1.0), margins)


def test_rivals_of_equal_score_share_the_gradient(tier: str):
    scores = np.float32([[0, 2, 1, 2], [3, 0, 0, 0]])
    slopes = kernels.crammer_singer_loss_backward(
        np.ones(2, np.float32), scores, np.array([0, 0]), 1, 1.0
    )
    np.testing.assert_array_equal(slopes, [[-1, 0.5, 0, 0.5], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    "loss", ["cross_entropy", "weston_watkins", "crammer_singer", "one_vs_all"]
)
@pytest.mark.parametrize("shape", [(3000, 70, 10), (700, 3072, 10), (260, 5000, 3)], ids=str)
def test_large_linear_classifiers(shape: tuple[int, int, int], loss: str, tier: str):
    """Enough samples for many tasks, and enough features for many slices.

    Of numbers with few bits, so that the scores are exact and no tier takes another side of a kink.
    """
    n, features, classes = shape
    rng = np.random.default_rng(8)
    x = rng.integers(-2, 3, (n, features)).astype(np.float32)
    weight = (rng.integers(-8, 9, (classes, features)) / 64).astype(np.float32)
    bias, target = weight[:, 0] * 3, rng.integers(0, classes, n)
    exact = [value.astype(np.float64) for value in (x, weight, bias)]
    for p in (1, 2):
        results = kernels.linear_classifier(x, weight, bias, target, loss, p, 1.0)
        truths = reference.linear_classifier(*exact, target, loss, p, 1.0)
        assert_close(results, truths, TOLERANCE["float32"])


def test_layer_and_group_norm_are_accurate_far_from_zero(tier: str):
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(6, 9000)) - 1e4).astype(np.float32)
    exact = x.astype(np.float64)
    _, mean, var = kernels.layer_norm(x, None, None, 1e-5)
    np.testing.assert_allclose(mean, exact.mean(1), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var(1), rtol=2e-6)
    _, mean, var = kernels.group_norm(x.reshape(6, 10, 30, 30), 2, None, None, 1e-5)
    parts = exact.reshape(6, 2, -1)
    np.testing.assert_allclose(mean, parts.mean(2), rtol=1e-7)
    np.testing.assert_allclose(var, parts.var(2), rtol=5e-6)


@pytest.mark.parametrize("channels", [1, 4, 16, 70])
@pytest.mark.parametrize("offset", [1e3, -1e4, 1e6])
def test_batch_norm_is_accurate_far_from_zero(offset: float, channels: int, tier: str):
    """A variance from the difference of two large sums would lose every digit here."""
    rng = np.random.default_rng(0)
    x = channels_last((rng.normal(size=(8, channels, 30, 30)) + offset).astype(np.float32))
    mean, var = kernels.moments(x)
    y = kernels.normalise(x, mean, var, None, None, 1e-5)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var((0, 2, 3)), rtol=2e-6)
    # The mean itself is rounded to float32.
    assert abs(float(y.mean())) < 1e-7 * abs(offset)


def test_a_single_outlier_spoils_no_variance(tier: str):
    """Values are measured from their block's mean, and not from whatever comes first."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 8, 40, 40)).astype(np.float32)
    x[0, :, 0, 0] = 1e4
    _, var = kernels.moments(channels_last(x))
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3)), rtol=2e-6)


@pytest.mark.parametrize("block_bytes", [1, 4096])
def test_blocks_do_not_change_the_reference_convolution(monkeypatch, block_bytes: int):
    from chainrule.kernels.reference import conv

    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(5, 3, 9, 8)), rng.normal(size=(4, 3, 3, 3))
    g = rng.normal(size=(5, 4, 9, 8))
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    whole = (
        conv.conv2d(x, weight, None, *geometry),
        conv.conv2d_weight_grad(g, x, weight.shape, *geometry),
    )
    monkeypatch.setattr(conv, "BLOCK_BYTES", block_bytes)
    cut = (
        conv.conv2d(x, weight, None, *geometry),
        conv.conv2d_weight_grad(g, x, weight.shape, *geometry),
    )
    for a, b in zip(whole, cut, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
