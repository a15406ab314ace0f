"""Padding with a constant and with the image's own values."""

from __future__ import annotations

from typing import Any

from ..case import case, normal, twins

twins["constant_pad"] = lambda torch: torch.constant_pad_nd
twins["edge_pad"] = lambda torch: torch.nn.functional.pad

# fmt: off

case("pad", "image", normal((1, 2, 3, 3)), lambda o, x: o.pad(x, (1, 2, 0, 1)))
case("pad", "value", normal((2, 3)), lambda o, x: o.pad(x, (1, 1), value=2.5))
case("pad", "crop", normal((2, 2, 4, 5)), lambda o, x: o.pad(x, (-1, 2, 1, -2)))
case("pad", "empty", normal((0, 2)), lambda o, x: o.pad(x, (1, 0)))
case("pad", "all axes", normal((1, 2, 2)), lambda o, x: o.pad(x, [0, 1, 1, 0, 2, -1], "constant"))
case("pad", "nothing", normal((2, 2)), lambda o, x: o.pad(x, ()))
case("constant_pad", "value", normal((2, 3)), lambda o, x: o.constant_pad(x, (2, -1), 0.5))

EDGES: dict[str, tuple[tuple[int, ...], Any]] = {
    "row": ((2, 1, 4), (2, 1)),
    "row unbatched": ((2, 4), (0, 3)),
    "row crop": ((1, 2, 4), (-1, 1)),
    "row crop both": ((1, 2, 4), (-1, -2)),
    "image": ((1, 2, 3, 4), (3, 2, 1, 2)),
    "image unbatched": ((2, 3, 4), [1, 0, 0, 2]),
    "image crop": ((2, 1, 4, 3), (2, -1, -2, 1)),
    "image nothing": ((1, 1, 2, 2), (0, 0, 0, 0)),
    "no images": ((0, 2, 3, 3), (1, 1, 1, 1)),
    "volume": ((1, 1, 3, 2, 3), (1, 2, 1, 0, 2, 1)),
    "volume unbatched": ((1, 2, 3, 2), (0, 1, 1, 0, 0, 1)),
}
for _mode in ("reflect", "replicate", "circular"):
    for _label, (_x, _pad) in EDGES.items():
        case("pad", f"{_mode} {_label}", normal(_x), lambda o, x, p=_pad, m=_mode: o.pad(x, p, m))
    case("edge_pad", _mode, normal((1, 2, 3, 3)),
         lambda o, x, m=_mode: o.edge_pad(x, (2, 0, 1, 1), m))
    case("edge_fold", _mode, normal((1, 2, 5, 5)),
         lambda o, g, m=_mode: o.edge_fold(g, (2, 0, 1, 1), m), twin=False)
case("pad", "replicate far", normal((1, 1, 2, 1)), lambda o, x: o.pad(x, (4, 0, 0, 5), "replicate"))
case("pad", "circular whole", normal((1, 1, 3)), lambda o, x: o.pad(x, (3, 3), "circular"))
