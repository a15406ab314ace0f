"""Images of another size, read between their pixels, convolved at learned places."""

from __future__ import annotations

import itertools

import numpy as np

from ..case import case, joined, normal, positive, twins

# fmt: off

LENGTHS = {"linear": (5,), "bilinear": (3, 5), "trilinear": (2, 3, 2), "bicubic": (4, 3)}
for _mode, _lengths in [*LENGTHS.items(), *(
    (m, (3, 4, 2)[:n]) for m in ("nearest", "nearest-exact", "area") for n in (1, 2, 3)
)]:
    _n = len(_lengths)
    for _label, _kw in {
        "size": {"size": (4, 7, 3)[:_n]}, "one": {"size": 1}, "twice": {"scale_factor": 2},
        "by factors": {"scale_factor": (1.7, 0.7, 1.5)[:_n]},
        "by whole sizes": {"scale_factor": 1.4, "recompute_scale_factor": True},
        "as it is": {"size": _lengths},
    }.items():
        for _corners in (None, False, True) if _mode in LENGTHS else (None,):
            case("interpolate", f"{_mode} {_n}d {_label} {_corners}", normal((2, 2, *_lengths)),
                 lambda o, x, m=_mode, c=_corners, kw=_kw: o.interpolate(
                     x, mode=m, align_corners=c, **kw), tolerance=4)
for _mode, _size, _corners in itertools.product(
    ("bilinear", "bicubic"), ((2, 3), (7, 4)), (False, True)
):
    case("interpolate", f"{_mode} antialias {_size} {_corners}", normal((1, 2, 5, 7)),
         lambda o, x, m=_mode, s=_size, c=_corners: o.interpolate(
             x, s, mode=m, align_corners=c, antialias=True), tolerance=4)
case("interpolate", "bilinear 2d, same length at a scale", normal((1, 1, 5, 4)),
     lambda o, x: o.interpolate(x, scale_factor=1.1, mode="bilinear"))
case("interpolate", "no images", normal((0, 2, 3, 4)), lambda o, x: o.interpolate(x, size=5))
_ROWS = (np.array([[0, 1], [2, 2], [1, 0]]), np.array([[0.5, 2.0], [1.0, -1.5], [0.25, 3.0]]))
case("resample", "first axis", normal((3, 2)), lambda o, x: o.resample(x, *_ROWS, 0), twin=False)
case("resample_back", "last axis", normal((2, 3)),
     lambda o, g: o.resample_back(g, *_ROWS, 4, 1), twin=False)

case("pixel_shuffle", "images", normal((2, 8, 2, 3)), lambda o, x: o.pixel_shuffle(x, 2))
case("pixel_shuffle", "more axes", normal((1, 2, 9, 1, 2)), lambda o, x: o.pixel_shuffle(x, 3))
case("pixel_shuffle", "one image", normal((4, 2, 2)), lambda o, x: o.pixel_shuffle(x, 2))
case("pixel_unshuffle", "images", normal((2, 2, 4, 6)), lambda o, x: o.pixel_unshuffle(x, 2))
case("pixel_unshuffle", "one image", normal((1, 3, 6)), lambda o, x: o.pixel_unshuffle(x, 3))
case("channel_shuffle", "images", normal((2, 6, 2, 2)), lambda o, x: o.channel_shuffle(x, 3))
case("channel_shuffle", "lines", normal((2, 4, 3)), lambda o, x: o.channel_shuffle(x, 2))

for _n in (2, 3):
    for _corners in (False, True):
        for _label, _size in {"plain": (2, 1, 3, 2, 4), "one": (2, 1, 1, 3, 1)}.items():
            case("affine_grid", f"{_n}d {_label} {_corners}", normal((2, _n, _n + 1)),
                 lambda o, t, s=_size[: _n + 2], c=_corners: o.affine_grid(t, s, c))


def points(*shape):
    """From -1.6 to 1.6, so some beyond the image; none near a kink."""
    def build(rng):
        grid = rng.uniform(-1.6, 1.6, shape)
        # kinks lie at multiples of 1/12 of images of 3, 4 and 6 pixels, padded as you like
        return (np.round(grid * 12) / 12 + 0.03,)

    return build


for _n, _shape in {2: (2, 2, 4, 3), 3: (1, 2, 3, 4, 2)}.items():
    for _mode, _padding, _corners in itertools.product(
        ("bilinear", "nearest", "bicubic")[: 5 - _n], ("zeros", "border", "reflection"),
        (False, True),
    ):
        case("grid_sample", f"{_n}d {_mode} {_padding} {_corners}",
             joined(normal(_shape), points(_shape[0], 2, 3, *(1,) * (_n - 2), _n)),
             lambda o, x, g, m=_mode, p=_padding, c=_corners: o.grid_sample(x, g, m, p, c),
             half=False, tolerance=8)

for _outside, _units in [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]:
    for _nearest in (False, True):
        case("sample_images", f"nearest {_nearest} beyond {_outside} in {_units}",
             joined(normal((2, 2, 4, 3)), points(2, 5, 2)),
             lambda o, x, p, k=(_nearest, _outside, _units): o.sample_images(x, p, *k),
             twin=False, half=False, tolerance=8)


def _deformable(torch):
    """The convolution's definition in loops over taps, by PyTorch's grid_sample."""
    def deform(x, offset, weight, bias=None, stride=1, padding=0, dilation=1, mask=None):
        pair = lambda v: v if isinstance(v, tuple) else (v, v)  # noqa: E731
        (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
        (n, c, h, w), (outputs, each, kh, kw) = x.shape, weight.shape
        oh, ow = offset.shape[2:]
        moves = offset.reshape(n, -1, kh * kw, 2, oh, ow)
        parts = moves.shape[1]
        rows, cols = (torch.arange(k, dtype=x.dtype) for k in (oh, ow))
        columns = []
        for part, tap in itertools.product(range(parts), range(kh * kw)):
            u, v = divmod(tap, kw)
            down = rows[:, None] * sh - ph + u * dh + moves[:, part, tap, 0]
            right = cols * sw - pw + v * dw + moves[:, part, tap, 1]
            grid = torch.stack([(2 * right + 1) / w - 1, (2 * down + 1) / h - 1], -1)
            share = x[:, part * c // parts : (part + 1) * c // parts]
            read = torch.nn.functional.grid_sample(share, grid, align_corners=False)
            if mask is not None:
                read = read * mask.reshape(n, parts, kh * kw, 1, oh, ow)[:, part, tap]
            columns.append(read)
        pixels = torch.stack(columns).reshape(parts, kh * kw, n, c // parts, oh, ow)
        pixels = pixels.permute(2, 0, 3, 1, 4, 5).reshape(n, c // each, each * kh * kw, oh, ow)
        filters = weight.reshape(c // each, outputs // (c // each), each * kh * kw)
        y = torch.einsum("ngkij,gok->ngoij", pixels, filters).reshape(n, outputs, oh, ow)
        return y if bias is None else y + bias[:, None, None]

    return deform


twins["deform_conv2d"] = _deformable


def moves(*shape):
    """Offsets from -1.5 to 1.5, away from the kinks at whole numbers."""
    return lambda rng: (rng.uniform(0.2, 0.8, shape) + rng.integers(-2, 2, shape),)


for _label, (_x, _weight, _settings, _parts, _out) in {
    "plain": ((1, 2, 4, 4), (2, 2, 2, 2), (), 1, (3, 3)),
    "groups": ((2, 4, 3, 4), (2, 2, 2, 1), ((2, 1), (1, 0)), 2, (2, 4)),
    "dilation": ((1, 2, 5, 4), (3, 2, 2, 2), (1, 1, (2, 1)), 2, (5, 5)),
    "depthwise": ((1, 3, 3, 3), (3, 1, 2, 2), (1, 0), 3, (2, 2)),
}.items():
    _taps = _parts * _weight[2] * _weight[3]
    case("deform_conv2d", _label,
         joined(normal(_x), moves(_x[0], 2 * _taps, *_out), normal(_weight)),
         lambda o, x, f, w, s=_settings: o.deform_conv2d(x, f, w, None, *s),
         half=False, tolerance=4)
    case("deform_conv2d", f"{_label}, mask, bias",
         joined(normal(_x), moves(_x[0], 2 * _taps, *_out), normal(_weight), normal(_weight[:1]),
                positive((_x[0], _taps, *_out))),
         lambda o, x, f, w, b, m, s=_settings: o.deform_conv2d(x, f, w, b, *s, mask=m),
         half=False, tolerance=4)
