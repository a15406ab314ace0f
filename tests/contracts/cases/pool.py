"""Pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import case, distinct, exactly, joined, normal

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
