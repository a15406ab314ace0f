"""Convolution."""

from __future__ import annotations

from typing import Any

from ..case import case, normal, twins

twins["conv2d_input_grad"] = lambda torch: (
    lambda g, w, shape, s, p, d, groups: torch.nn.grad.conv2d_input(shape, w, g, s, p, d, groups)
)
twins["conv2d_weight_grad"] = lambda torch: (
    lambda g, x, shape, s, p, d, groups: torch.nn.grad.conv2d_weight(x, shape, g, s, p, d, groups)
)

# fmt: off

CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 2, 4, 5), (3, 2, 2, 3), {}),
    "stride": ((1, 2, 5, 6), (2, 2, 3, 2), {"stride": (2, 3)}),
    "padding": ((1, 1, 3, 4), (2, 1, 3, 3), {"padding": (1, 2)}),
    "dilation": ((1, 1, 5, 6), (2, 1, 2, 3), {"dilation": (2, 2), "padding": 1}),
    "groups": ((1, 4, 3, 3), (6, 2, 2, 2), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 3, 4, 4), (3, 1, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    "pointwise": ((2, 3, 2, 3), (4, 3, 1, 1), {}),
    "same": ((1, 2, 4, 4), (2, 2, 3, 3), {"padding": "same"}),
    "same even": ((1, 2, 4, 4), (2, 2, 2, 4), {"padding": "same"}),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), {"stride": 2}),
    "unreached edge": ((1, 1, 6, 6), (1, 1, 2, 2), {"stride": 3}),
    "no images": ((0, 2, 4, 4), (3, 2, 3, 3), {"padding": 1}),
    "unbatched": ((2, 4, 4), (3, 2, 3, 3), {}),
}
for _label, (_x, _w, _kw) in CONVOLUTIONS.items():
    case("conv2d", _label, normal(_x, _w, _w[:1]),
         lambda o, x, w, b, kw=_kw: o.conv2d(x, w, b, **kw), tolerance=4)
case("conv2d", "no bias", normal((1, 2, 3, 3), (2, 2, 2, 2)), lambda o, x, w: o.conv2d(x, w))
GRADIENTS = {
    "plain": ((1, 2, 4, 4), (3, 2, 2, 3), (1, 3, 3, 2), ((1, 1), (0, 0), (1, 1), 1)),
    "stride": ((1, 2, 5, 6), (2, 2, 3, 3), (1, 2, 3, 3), ((2, 2), (1, 1), (1, 1), 1)),
    "groups": ((1, 2, 5, 5), (2, 1, 2, 2), (1, 2, 3, 3), ((1, 1), (0, 0), (2, 2), 2)),
}
for _label, (_x, _w, _y, _settings) in GRADIENTS.items():
    case("conv2d_input_grad", _label, normal(_y, _w),
         lambda o, g, w, x=_x, s=_settings: o.conv2d_input_grad(g, w, x, *s), tolerance=4)
    case("conv2d_weight_grad", _label, normal(_y, _x),
         lambda o, g, x, w=_w, s=_settings: o.conv2d_weight_grad(g, x, w, *s), tolerance=4)
