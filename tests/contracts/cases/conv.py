"""Convolution, its transpose, and the windows that it sees."""

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

VOLUMES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1-d plain": ((2, 2, 5), (3, 2, 2), {}),
    "1-d settings": ((1, 4, 7), (2, 2, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    "1-d one in a list": ((1, 1, 6), (2, 1, 2), {"stride": [2], "padding": (1,), "dilation": [1]}),
    "1-d same even": ((1, 2, 4), (2, 2, 4), {"padding": "same", "dilation": 3}),
    "1-d valid": ((1, 2, 4), (2, 2, 3), {"padding": "valid"}),
    "1-d unbatched": ((2, 4), (3, 2, 3), {}),
    "1-d no sequences": ((0, 2, 4), (3, 2, 3), {"padding": 1}),
    "3-d plain": ((2, 2, 3, 3, 4), (2, 2, 2, 2, 3), {}),
    "3-d settings": ((1, 2, 4, 3, 5), (2, 2, 2, 2, 2),
                     {"stride": (2, 1, 2), "padding": (1, 0, 1), "dilation": (2, 1, 3)}),
    "3-d groups": ((1, 4, 3, 2, 2), (4, 2, 2, 2, 1), {"groups": 2, "padding": (1, 1, 0)}),
    "3-d depthwise": ((1, 2, 3, 3, 3), (4, 1, 3, 3, 2), {"groups": 2, "padding": 1, "stride": 2}),
    "3-d pointwise": ((1, 3, 2, 2, 2), (2, 3, 1, 1, 1), {}),
    "3-d pointwise strided": ((1, 2, 3, 3, 3), (2, 2, 1, 1, 1), {"stride": 2, "padding": 1}),
    "3-d along depth": ((2, 2, 4, 2, 3), (3, 2, 2, 1, 1), {"stride": (2, 1, 1), "dilation": 2,
                                                           "padding": (1, 0, 0)}),
    "3-d in frames": ((2, 2, 2, 3, 3), (3, 2, 1, 2, 2), {"padding": (0, 1, 1)}),
    "3-d same even": ((1, 1, 3, 3, 3), (1, 1, 2, 3, 4), {"padding": "same"}),
    "3-d unbatched": ((2, 2, 3, 2), (1, 2, 2, 2, 2), {}),
    "3-d no volumes": ((0, 2, 3, 3, 3), (3, 2, 3, 3, 3), {"padding": 1}),
    "3-d unreached frame": ((1, 1, 6, 2, 2), (1, 1, 2, 2, 2), {"stride": (3, 1, 1)}),
}
for _label, (_x, _w, _kw) in VOLUMES.items():
    _name = f"conv{_label[0]}d"
    case(_name, _label[4:], normal(_x, _w, _w[:1]),
         lambda o, x, w, b, n=_name, kw=_kw: getattr(o, n)(x, w, b, **kw), tolerance=4)
    case(_name, f"{_label[4:]}, no bias", normal(_x, _w),
         lambda o, x, w, n=_name, kw=_kw: getattr(o, n)(x, w, **kw), tolerance=4)

TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1-d plain": ((2, 2, 4), (2, 3, 3), {}),
    "1-d settings": ((1, 4, 4), (4, 1, 3), {"stride": 3, "padding": 2, "output_padding": 2,
                                            "dilation": 2, "groups": 2}),
    "1-d unbatched": ((2, 4), (2, 3, 2), {"stride": [2]}),
    "2-d plain": ((2, 2, 3, 2), (2, 3, 2, 3), {}),
    "2-d stride": ((1, 2, 3, 3), (2, 2, 4, 4), {"stride": 2, "padding": 1}),
    "2-d settings": ((1, 2, 3, 2), (2, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0),
                                                  "output_padding": (1, 2), "dilation": (1, 2)}),
    "2-d more than a stride": ((1, 1, 3, 3), (1, 2, 2, 2), {"output_padding": (1, 2),
                                                            "stride": (1, 2), "dilation": (2, 3)}),
    "2-d groups": ((1, 4, 2, 3), (4, 3, 2, 2), {"groups": 2, "stride": 2}),
    "2-d depthwise": ((1, 3, 3, 3), (3, 1, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    "2-d cropped": ((1, 1, 4, 4), (1, 1, 1, 2), {"padding": (1, 2)}),
    "2-d pointwise": ((2, 3, 2, 2), (3, 2, 1, 1), {}),
    "2-d unbatched": ((2, 3, 3), (2, 3, 2, 2), {}),
    "2-d no images": ((0, 2, 3, 3), (2, 3, 2, 2), {}),
    "3-d plain": ((2, 2, 2, 2, 3), (2, 2, 2, 1, 2), {}),
    "3-d settings": ((1, 2, 2, 2, 2), (2, 1, 3, 2, 2), {
        "stride": (2, 1, 3), "padding": (1, 0, 1), "output_padding": (1, 0, 1),
        "dilation": (1, 2, 2), "groups": 2}),
    "3-d more than a stride": ((1, 1, 2, 2, 2), (1, 1, 2, 1, 1), {"output_padding": 1,
                                                                  "dilation": 2}),
    "3-d along depth": ((1, 2, 3, 2, 2), (2, 3, 2, 1, 1), {"stride": (2, 1, 1)}),
    "3-d unbatched": ((2, 2, 2, 2), (2, 1, 2, 2, 2), {"stride": 2}),
    "3-d no volumes": ((0, 2, 2, 2, 2), (2, 1, 2, 2, 2), {}),
}
for _label, (_x, _w, _kw) in TRANSPOSED.items():
    _name = f"conv_transpose{_label[0]}d"
    case(_name, _label[4:], normal(_x, _w, (_w[1] * _kw.get("groups", 1),)),
         lambda o, x, w, b, n=_name, kw=_kw: getattr(o, n)(x, w, b, **kw), tolerance=4)
    case(_name, f"{_label[4:]}, no bias", normal(_x, _w),
         lambda o, x, w, n=_name, kw=_kw: getattr(o, n)(x, w, **kw), tolerance=4)

for _name in ("conv1d", "conv3d"):
    twins[f"{_name}_input_grad"] = lambda torch, n=_name: (
        lambda g, w, shape, *rest: getattr(torch.nn.grad, f"{n}_input")(shape, w, g, *rest)
    )
    twins[f"{_name}_weight_grad"] = lambda torch, n=_name: (
        lambda g, x, shape, *rest: getattr(torch.nn.grad, f"{n}_weight")(x, shape, g, *rest)
    )
GRADIENTS = {
    "1-d plain": ((2, 2, 4), (3, 2, 2), (2, 3, 3), ((1,), (0,), (1,), 1)),
    "1-d settings": ((1, 4, 6), (2, 2, 2), (1, 2, 3), ((2,), (1,), (2,), 2)),
    "3-d plain": ((1, 2, 3, 3, 2), (2, 2, 2, 2, 2), (1, 2, 2, 2, 1),
                  ((1, 1, 1), (0, 0, 0), (1, 1, 1), 1)),
    "3-d settings": ((2, 2, 5, 3, 3), (2, 1, 2, 2, 1), (2, 2, 3, 2, 2),
                     ((2, 1, 2), (1, 0, 0), (2, 1, 1), 2)),
}
for _label, (_x, _w, _y, _settings) in GRADIENTS.items():
    _name = f"conv{_label[0]}d"
    case(f"{_name}_input_grad", _label[4:], normal(_y, _w),
         lambda o, g, w, x=_x, s=_settings, n=_name: getattr(o, f"{n}_input_grad")(g, w, x, *s),
         tolerance=4)
    case(f"{_name}_weight_grad", _label[4:], normal(_y, _x),
         lambda o, g, x, w=_w, s=_settings, n=_name: getattr(o, f"{n}_weight_grad")(g, x, w, *s),
         tolerance=4)

WINDOWS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 2, 4, 3), {"kernel_size": 2}),
    "settings": ((1, 2, 5, 6), {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (2, 1),
                                "stride": (2, 3)}),
    "pairs in lists": ((1, 1, 3, 3), {"kernel_size": [2, 1], "stride": [1, 2]}),
    "whole image": ((1, 2, 3, 2), {"kernel_size": (3, 2)}),
    "unbatched": ((2, 3, 3), {"kernel_size": 2, "padding": 1}),
    "no images": ((0, 2, 3, 3), {"kernel_size": 2}),
    "unreached edge": ((1, 1, 5, 5), {"kernel_size": 2, "stride": 3}),
}
for _label, (_x, _kw) in WINDOWS.items():
    case("unfold", _label, normal(_x), lambda o, x, kw=_kw: o.unfold(x, **kw))
    case("fold", _label, normal(_x),
         lambda o, x, s=_x[-2:], kw=_kw: o.fold(o.unfold(x, **kw) ** 2, s, **kw), tolerance=4)
case("fold", "columns", normal((2, 8, 6)), lambda o, x: o.fold(x, (3, 4), 2))
case("fold", "unbatched", normal((4, 4)), lambda o, x: o.fold(x, 3, 2))
