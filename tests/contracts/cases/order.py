"""Sorting, median, quantile, running extrema, distinct values, counting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import case, distinct, exactly, fixed, integers, joined, normal, twins


def torch_running_index(torch: Any) -> Any:
    return lambda x, dim, largest: (torch.cummax if largest else torch.cummin)(x, dim)[1]


def torch_unique_parts(torch: Any) -> Any:
    def unique_parts(x: Any, dim: Any, what: int, consecutive: bool) -> Any:
        f = torch.unique_consecutive if consecutive else torch.unique
        return f(x, return_inverse=True, return_counts=True, dim=dim)[what]

    return unique_parts


twins["running_extremum_index"] = torch_running_index
twins["unique_parts"] = torch_unique_parts
twins["rank_index"] = lambda torch: lambda x, k, dim: torch.kthvalue(x, k + 1, dim)[1]
twins["median_index"] = lambda torch: (
    lambda x, dim, skip: (torch.nanmedian if skip else torch.median)(x, dim)[1]
)
twins["mode_index"] = lambda torch: lambda x, dim: torch.mode(x, dim)[1]
twins["searchsorted_op"] = lambda torch: (
    lambda s, v, right, out32, sorter: torch.searchsorted(
        s, v, right=right, out_int32=out32, sorter=sorter
    )
)
twins["histogram_counts"] = lambda torch: (
    lambda x, edges, weight, density: torch.histogram(x, edges, weight=weight, density=density)[0]
)

# fmt: off

NANS = fixed(exactly([[2.0, np.nan, 1.0, 0.5], [1.0, 4.0, 3.0, 2.0], [np.nan] * 4]))

for _label, _kw in {"default": {}, "rows": {"dim": 0}, "descending": {"descending": True}}.items():
    case("sort", _label, distinct((3, 4)), lambda o, x, kw=_kw: o.sort(x, **kw))
    case("argsort", _label, distinct((3, 4)), lambda o, x, kw=_kw: o.argsort(x, **kw))
    case("argsort", f"{_label}, ties", integers((2, 9), low=0, high=3),
         lambda o, x, kw=_kw: o.argsort(x, stable=True, **kw))
case("sort", "0-d", normal(()), lambda o, x: o.sort(x))
case("sort", "NaN", fixed(exactly([2.0, np.nan, 1.0])), lambda o, x: o.sort(x, descending=True))
case("sort", "empty", normal((2, 0)), lambda o, x: o.sort(x))
case("topk", "largest", distinct((3, 4)), lambda o, x: o.topk(x, 2))
case("topk", "smallest rows", distinct((4, 3)), lambda o, x: o.topk(x, 3, dim=0, largest=False))
case("topk", "none", distinct((2, 3)), lambda o, x: o.topk(x, 0))
for _largest in (True, False):
    case("topk", f"few of many, largest {_largest}", distinct((4, 3, 9)),
         lambda o, x, w=_largest: o.topk(x, 2, dim=-1, largest=w))
    case("topk", f"few of many rows, largest {_largest}", distinct((9, 3)),
         lambda o, x, w=_largest: o.topk(x, 3, dim=0, largest=w))
    case("topk_index", f"largest {_largest}", distinct((2, 9)),
         lambda o, x, w=_largest: o.topk_index(x, 2, 1, w))
twins["topk_index"] = lambda torch: lambda x, k, dim, largest: torch.topk(x, k, dim, largest)[1]
case("topk", "NaN", fixed(exactly([[2.0, np.nan, 1.0, 5.0, -3.0, 0.0]])), lambda o, x: o.topk(x, 2))

case("msort", "matrix", distinct((3, 4)), lambda o, x: o.msort(x))
for _label, _kw in {"last": {}, "rows": {"dim": 0}, "kept": {"dim": 1, "keepdim": True}}.items():
    case("kthvalue", _label, distinct((3, 4)), lambda o, x, kw=_kw: o.kthvalue(x, 2, **kw))
    case("mode", _label, distinct((3, 4)), lambda o, x, kw=_kw: o.mode(x, **kw))
    case("mode", f"{_label}, ties", integers((5, 6), low=0, high=3),
         lambda o, x, kw=_kw: o.mode(x, **kw).values)
    for _name in ("median", "nanmedian"):
        case(_name, _label, distinct((3, 4)),
             lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **({"dim": -1} | kw)))
for _name in ("median", "nanmedian"):
    case(_name, "all", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "odd", distinct((5,)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "0-d", normal(()), lambda o, x, n=_name: getattr(o, n)(x, 0))
    case(_name, "NaN", NANS, lambda o, x, n=_name: getattr(o, n)(x[:2], 1))
    case(_name, "NaN all", NANS, lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "integers", integers((7,)), lambda o, x, n=_name: getattr(o, n)(x))
case("kthvalue", "0-d", normal(()), lambda o, x: o.kthvalue(x, 1))
case("mode", "0-d", normal(()), lambda o, x: o.mode(x))
case("rank_index", "rows", distinct((3, 4)), lambda o, x: o.rank_index(x, 1, 0))
case("median_index", "rows", distinct((3, 4)), lambda o, x: o.median_index(x, 0, False))
case("mode_index", "rows", distinct((3, 4)), lambda o, x: o.mode_index(x, 0))
for _way in ("linear", "lower", "higher", "midpoint", "nearest"):
    case("quantile", _way, distinct((3, 6)),
         lambda o, x, w=_way: o.quantile(x, 0.3, 1, interpolation=w))
for _name in ("quantile", "nanquantile"):
    case(_name, "all", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 0.4))
    case(_name, "all kept", distinct((3, 4)),
         lambda o, x, n=_name: getattr(o, n)(x, 0.4, keepdim=True))
    case(_name, "several", joined(distinct((3, 4)), fixed(exactly([0.0, 0.25, 0.9, 1.0]))),
         lambda o, x, q, n=_name: getattr(o, n)(x, q, 0))
    case(_name, "several kept", joined(distinct((3, 4, 2)), fixed(exactly([0.25, 0.5]))),
         lambda o, x, q, n=_name: getattr(o, n)(x, q, dim=-2, keepdim=True))
    case(_name, "several of all", joined(distinct((3, 4)), fixed(exactly([0.25, 0.5]))),
         lambda o, x, q, n=_name: getattr(o, n)(x, q))
    case(_name, "NaN", NANS, lambda o, x, n=_name: getattr(o, n)(x, 0.4, 1))
    case(_name, "0-d", normal(()), lambda o, x, n=_name: getattr(o, n)(x, 0.5))
for _name in ("cummax", "cummin"):
    case(_name, "columns", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 1))
    case(_name, "rows", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, dim=-2))
    case(_name, "ties", integers((9,), low=0, high=3), lambda o, x, n=_name: getattr(o, n)(x, 0))
    case(_name, "NaN", NANS, lambda o, x, n=_name: getattr(o, n)(x, 1))
    case(_name, "0-d", normal(()), lambda o, x, n=_name: getattr(o, n)(x, 0))
case("running_extremum_index", "largest", distinct((3, 4)),
     lambda o, x: o.running_extremum_index(x, 1, True))
REPEATED = exactly([[1, 1, 2], [1, 1, 2], [3, 3, 3], [1, 1, 2]])
for _name in ("unique", "unique_consecutive"):
    for _dim in (None, 0, 1):
        case(_name, f"dim {_dim}", REPEATED, lambda o, x, n=_name, d=_dim: getattr(o, n)(x, dim=d))
        case(_name, f"dim {_dim}, all parts", REPEATED, lambda o, x, n=_name, d=_dim:
             getattr(o, n)(x, return_inverse=True, return_counts=True, dim=d))
    case(_name, "counts", REPEATED,
         lambda o, x, n=_name: getattr(o, n)(x, return_counts=True)[1])
    case(_name, "floats", fixed(exactly([2.0, 2.0, -1.0, 2.0])),
         lambda o, x, n=_name: getattr(o, n)(x))
case("unique_parts", "counts", REPEATED, lambda o, x: o.unique_parts(x, None, 2, False))
case("isin", "integers", joined(integers((3, 4)), integers((5,))), lambda o, a, b: o.isin(a, b))
case("isin", "inverted", joined(integers((3, 4)), integers((5,))),
     lambda o, a, b: o.isin(a, b, invert=True))
case("bincount", "counts", exactly([3, 0, 3, 1]), lambda o, x: o.bincount(x))
case("bincount", "minimal length", exactly([1, 0]), lambda o, x: o.bincount(x, minlength=5))
case("bincount", "weights", joined(exactly([3, 0, 3]), fixed(normal((3,)))),
     lambda o, x, w: o.bincount(x, w), half=False)
case("bincount", "empty", exactly(np.zeros(0, np.int64)), lambda o, x: o.bincount(x))
case("histc", "range of x", fixed(normal((40,))), lambda o, x: o.histc(x, 7), half=False)
case("histc", "given range", fixed(normal((40,))), lambda o, x: o.histc(x, 5, -1, 1), half=False)
case("histc", "all equal", fixed(exactly([2.0, 2.0])), lambda o, x: o.histc(x, bins=4))
case("histogram", "parts", fixed(normal((40,))), lambda o, x: o.histogram(x, 6))
case("histogram", "range", fixed(normal((40,))),
     lambda o, x: o.histogram(x, 4, range=(-1, 1), density=True))
case("histogram_counts", "edges", fixed(joined(normal((40,)), exactly([-1.0, 0.0, 2.0]))),
     lambda o, x, e: o.histogram_counts(x, e, None, False))
ORDERED = fixed(exactly([1.0, 3.0, 3.0, 5.0]))
VALUES = fixed(exactly([[0.0, 3.0], [5.0, 9.0]]))
for _right in (False, True):
    case("searchsorted", f"right {_right}", joined(ORDERED, VALUES),
         lambda o, s, v, r=_right: o.searchsorted(s, v, right=r))
    case("bucketize", f"right {_right}", joined(ORDERED, VALUES),
         lambda o, s, v, r=_right: o.bucketize(v, s, right=r))
case("searchsorted", "side", joined(ORDERED, VALUES),
     lambda o, s, v: o.searchsorted(s, v, side="right", out_int32=True))
case("searchsorted", "number", ORDERED, lambda o, s: o.searchsorted(s, 3))
case("searchsorted", "rows", fixed(joined(exactly([[1.0, 3.0], [0.0, 9.0]]),
     exactly([[2.0, 0.0, 3.0], [9.0, 1.0, -1.0]]))), lambda o, s, v: o.searchsorted(s, v))
case("searchsorted", "sorter", joined(fixed(exactly([3.0, 1.0, 2.0], [2.5, 0.0])),
     exactly([1, 2, 0])), lambda o, s, v, i: o.searchsorted(s, v, sorter=i))
case("searchsorted_op", "vector", joined(ORDERED, VALUES),
     lambda o, s, v: o.searchsorted_op(s, v, False, False, None))
case("bucketize", "number", ORDERED, lambda o, s: o.bucketize(3.5, s))
