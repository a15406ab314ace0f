"""Pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import case, distinct, exactly, joined, normal, positive

# fmt: off

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

LINES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 2, 6), {"kernel_size": 2}),
    "overlap": ((2, 3, 7), {"kernel_size": (3,), "stride": [1], "padding": 1}),
    "ceil": ((1, 2, 6), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "no lines": ((0, 2, 4), {"kernel_size": 2}),
    "unbatched": ((2, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
}
VOLUMES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 2, 4, 4, 4), {"kernel_size": 2}),
    "overlap": ((2, 1, 3, 4, 3), {"kernel_size": (2, 3, 1), "stride": 1}),
    "padding": ((1, 2, 4, 3, 5), {"kernel_size": 3, "stride": (1, 2, 2), "padding": (1, 0, 1)}),
    "ceil": ((1, 1, 4, 5, 3), {"kernel_size": 2, "padding": 1, "ceil_mode": True}),
    "no volumes": ((0, 2, 2, 2, 2), {"kernel_size": 2}),
    "unbatched": ((2, 3, 4, 2), {"kernel_size": 2, "stride": 1}),
}
for _n, _table in {1: LINES, 2: POOLS, 3: VOLUMES}.items():
    for _label, (_x, _kw) in _table.items():
        if _n != 2:
            case(f"max_pool{_n}d", _label, distinct(_x),
                 lambda o, x, n=_n, kw=_kw: getattr(o, f"max_pool{n}d")(x, **kw))
            case(f"avg_pool{_n}d", _label, normal(_x),
                 lambda o, x, n=_n, kw=_kw: getattr(o, f"avg_pool{n}d")(x, **kw))
            case(f"avg_pool{_n}d", f"{_label}, real pixels", normal(_x),
                 lambda o, x, n=_n, kw=_kw: getattr(o, f"avg_pool{n}d")(
                     x, count_include_pad=False, **kw))
        case(f"max_pool{_n}d", f"{_label}, indices", distinct(_x),
             lambda o, x, n=_n, kw=_kw: getattr(o, f"max_pool{n}d")(
                 x, return_indices=True, **kw))
        if _n != 1:
            for _pad in (True, False):
                case(f"avg_pool{_n}d", f"{_label}, divisor, {_pad}", normal(_x),
                     lambda o, x, n=_n, kw=_kw, pad=_pad: getattr(o, f"avg_pool{n}d")(
                         x, count_include_pad=pad, divisor_override=3, **kw))
        _lp = {k: v for k, v in _kw.items() if k != "padding"}
        if _n == 1:  # where PyTorch takes no sequence
            _lp["kernel_size"] = int(np.max(_lp["kernel_size"]))
        for _p in (1, 2, 3.5):
            case(f"lp_pool{_n}d", f"{_label}, p {_p}", positive(_x),
                 lambda o, x, n=_n, p=_p, kw=_lp: getattr(o, f"lp_pool{n}d")(x, p, **kw))
case("lp_pool2d", "of both signs", normal((1, 2, 4, 4)), lambda o, x: o.lp_pool2d(x, 2, 2))
case("max_pool1d", "dilation, indices", distinct((1, 2, 9)),
     lambda o, x: o.max_pool1d(x, 3, 1, 1, 2, return_indices=True))
case("max_pool2d", "dilation, indices", distinct((1, 2, 5, 6)),
     lambda o, x: o.max_pool2d(x, 2, 1, 1, 2, return_indices=True))
case("max_pool3d", "dilation, indices", distinct((1, 2, 5, 6, 4)),
     lambda o, x: o.max_pool3d(x, 2, 1, 1, (2, 3, 1), return_indices=True))
case("max_pool2d", "large windows, indices", distinct((1, 1, 20, 18)),
     lambda o, x: o.max_pool2d(x, 17, 1, return_indices=True))

CELLS: dict[int, dict[str, tuple[tuple[int, ...], Any]]] = {
    1: {"global": ((2, 3, 5), 1), "uneven": ((1, 2, 7), 3), "grow": ((1, 1, 2), (5,)),
        "unbatched": ((2, 4), 3), "no lines": ((0, 1, 4), 2)},
    2: {"global": ((2, 3, 4, 5), 1), "uneven": ((1, 2, 5, 7), (2, 3)),
        "grow": ((1, 1, 2, 3), (3, 4)), "keep": ((1, 1, 4, 3), (2, None)),
        "unbatched": ((2, 4, 4), 2), "no images": ((0, 1, 2, 2), 1)},
    3: {"global": ((2, 2, 2, 3, 2), 1), "uneven": ((1, 2, 3, 5, 4), (2, 3, 2)),
        "grow": ((1, 1, 2, 3, 1), (3, 2, 2)), "keep": ((1, 1, 3, 2, 3), (2, None, None)),
        "unbatched": ((2, 4, 3, 2), 2), "no volumes": ((0, 1, 2, 2, 2), 1)},
}
for _n, _cells in CELLS.items():
    for _label, (_x, _size) in _cells.items():
        if _n != 2:
            case(f"adaptive_avg_pool{_n}d", _label, normal(_x),
                 lambda o, x, n=_n, size=_size: getattr(o, f"adaptive_avg_pool{n}d")(x, size))
        for _with in (False, True):
            case(f"adaptive_max_pool{_n}d", f"{_label}, indices {_with}", distinct(_x),
                 lambda o, x, n=_n, size=_size, w=_with: getattr(o, f"adaptive_max_pool{n}d")(
                     x, size, w))


def places(*shape, of):
    """Different pixels of an image of ``of`` pixels in each channel."""
    lines = int(np.prod(shape[:2])), int(np.prod(shape[2:]))
    return lambda rng: (
        np.stack([rng.permutation(of)[: lines[1]] for _ in range(lines[0])]).reshape(shape),
    )


for _n, _label, _x, _of, _args in (
    (1, "plain", (2, 3, 3), 6, (2,)), (1, "size", (1, 2, 2), 5, (2, 2, 0, (5,))),
    (2, "plain", (1, 2, 2, 3), 24, (2,)), (2, "stride", (2, 1, 2, 2), 16, ((2, 3), (2, 1), 0)),
    (2, "padding", (1, 2, 3, 3), 25, (3, 2, 1)), (2, "size", (1, 1, 2, 2), 25, (2, 2, 0, (5, 5))),
    (2, "whole size", (1, 1, 2, 2), 20, (2, None, 0, (1, 1, 5, 4))),
    (3, "plain", (1, 2, 2, 1, 2), 32, (2,)), (3, "size", (1, 1, 2, 2, 2), 125, (2, 2, 0, [5] * 3)),
):
    case(f"max_unpool{_n}d", _label, joined(normal(_x), places(*_x, of=_of)),
         lambda o, x, i, n=_n, a=_args: getattr(o, f"max_unpool{n}d")(x, i, *a))
case("max_unpool2d", "unbatched", joined(normal((2, 2, 2)), places(2, 1, 2, 2, of=16)),
     lambda o, x, i: o.max_unpool2d(x, i.reshape(2, 2, 2), 2))
case("max_unpool2d", "undoes pooling", distinct((2, 2, 4, 6)),
     lambda o, x: o.max_unpool2d(*o.max_pool2d(x, 2, return_indices=True), 2))
case("max_pool_indices", "beside maxima", joined(normal((1, 1, 2)), exactly([[[1, 0]]])),
     lambda o, x, i: o.max_pool_indices(x, i), twin=False)
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
