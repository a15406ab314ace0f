"""The nearest rows are exactly those of brute force in float64, whatever the rows are like."""

import tracemalloc
from functools import cache

import numpy as np
import pytest

from chainrule import kernels, threads
from chainrule.errors import ConfigError, DataError, ShapeError
from chainrule.kernels.reference import neighbours

METRICS = ("l2", "l1", "cosine")
DTYPES = ("uint8", "float32", "float64")


def brute_force(queries, points, k, metric):
    distances = neighbours.distances_in_one_loop(queries, points, metric)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


def assert_exact(queries, points, k, metric):
    distances, index = kernels.nearest(queries, points, k, metric)
    expected, order = brute_force(queries, points, k, metric)
    assert distances.dtype == np.float64 and index.dtype == np.int64
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(distances, expected)


def rows(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=shape)
    if kind == "far from the origin":
        return x + 1e4
    if kind == "very far":
        return x + 1e7
    if kind == "tiny":
        return x * 1e-30
    if kind == "huge":
        return x * 1e18
    if kind == "one outlier":
        x[0] *= 1e6
        return x
    if kind == "one large number":
        x[:, 0] *= 1e6
        return x
    if kind == "two groups":
        return x * 1e-3 + np.where(rng.random(shape[0]) < 0.5, 0, 1e3)[:, None]
    if kind == "few values":
        return rng.integers(0, 3, shape)
    if kind == "the same row":
        return np.broadcast_to(x[:1] + 0.1, shape)
    if kind == "zeros among them":
        x[rng.random(shape[0]) < 0.3] = 0
        return x
    if kind == "multiples":
        return x[: max(shape[0] // 4, 1)][rng.integers(0, max(shape[0] // 4, 1), shape[0])] * 2.0
    return x


KINDS = (
    "normal",
    "far from the origin",
    "very far",
    "tiny",
    "huge",
    "one outlier",
    "one large number",
    "two groups",
    "few values",
    "the same row",
    "zeros among them",
    "multiples",
)
SIZES = [  # queries, points, numbers in a row, k
    (1, 1, 1, 1),
    (7, 100, 3, 100),
    (40, 300, 2, 5),
    (33, 259, 70, 12),
    (3, 1000, 17, 1),
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_for_floats(kind: str, metric: str, dtype: str, tier: str):
    for queries, points, k, answer in searches(kind, metric, dtype):
        for found, expected in zip(
            kernels.nearest(queries, points, k, metric), answer, strict=True
        ):
            np.testing.assert_array_equal(found, expected)


@cache
def searches(kind: str, metric: str, dtype: str) -> list:
    """Queries, points, k and the answer of brute force, for all sizes."""
    rng = np.random.default_rng(0)
    found = []
    for queries, points, width, k in SIZES:
        both = rows(kind, (queries + points, width), rng).astype(dtype)
        x, y = both[:queries], both[queries:]
        found.append((x, y, k, brute_force(x, y, k, metric)))
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("values", [(0, 256), (0, 2), (250, 256)], ids=str)
def test_exact_for_bytes(values: tuple[int, int], metric: str, tier: str):
    rng = np.random.default_rng(1)
    for queries, points, width, k in SIZES:
        both = rng.integers(*values, (queries + points, width), np.uint8)
        assert_exact(both[:queries], both[queries:], k, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("one", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
def test_queries_and_points_may_be_of_different_dtypes(one, other, metric, tier: str):
    rng = np.random.default_rng(2)
    queries, points = rng.integers(0, 256, (9, 21)), rng.integers(0, 256, (120, 21))
    assert_exact(queries.astype(one), points.astype(other), 7, metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_may_lie_anywhere(dtype: str, tier: str):
    rng = np.random.default_rng(3)
    wide = rng.integers(0, 256, (200, 60)).astype(dtype)
    for metric in METRICS:
        assert_exact(wide[::3, 5:40], wide[::-2, 5:40], 4, metric)
        assert_exact(wide[:, ::2], wide[50:, 1::2], 4, metric)
        assert_exact(wide.T[:20], wide.T[7:], 4, metric)


def test_of_equally_near_points_the_first_is_taken(tier: str):
    for dtype in DTYPES:
        points = np.repeat(np.arange(5), 40)[:, None].astype(dtype)
        for metric in ("l2", "l1"):
            distances, index = kernels.nearest(points[:1] + 2, points, 50, metric)
            assert index.tolist() == [[*range(80, 120), *range(40, 50)]]
            assert distances.tolist() == [[0.0] * 40 + [1.0] * 10]


@pytest.mark.parametrize("metric", METRICS)
def test_long_rows_of_bytes(metric: str, tier: str):
    """The largest sums that there are: 255² and 255 for each of more numbers than 2³²/255²."""
    width = 70_000
    rng = np.random.default_rng(4)
    points = rng.integers(0, 256, (20, width), np.uint8)
    points[3], points[4, ::2], points[4, 1::2] = 255, 255, 0
    queries = np.stack([np.zeros(width, np.uint8), points[3], points[5], 255 - points[5]])
    assert_exact(queries, points, 20, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_many_blocks(metric: str, dtype: str, tier: str):
    """Of both, and a bad order: every point is nearer than all before it."""
    rng = np.random.default_rng(5)
    points = rng.integers(0, 100, (9000, 33))
    far = np.abs(points - 50).sum(1).argsort()[::-1]
    points = points[far].astype(dtype)
    assert_exact(np.full((3, 33), 50, dtype), points, 40, metric)
    assert_exact(rng.integers(0, 100, (700, 33)).astype(dtype), points[:600], 3, metric)


def test_blocks_do_not_change_the_reference(monkeypatch):
    rng = np.random.default_rng(6)
    queries, points = rng.normal(size=(20, 7)), rng.normal(size=(30, 7)) + 100
    for metric in METRICS:
        nearest = neighbours.nearest(queries, points, 9, metric)
        distances = neighbours.distances(queries, points, metric)
        with monkeypatch.context() as context:
            context.setattr(neighbours, "BLOCK_BYTES", 1)
            for a, b in zip(nearest, neighbours.nearest(queries, points, 9, metric), strict=True):
                np.testing.assert_array_equal(a, b)
            cut = neighbours.distances(queries, points, metric)
        np.testing.assert_allclose(cut, distances, rtol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_the_reference_never_holds_the_matrix_of_distances(metric: str, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 1 << 18)
    queries, points = np.zeros((300, 2)) + 0.5, np.ones((12_000, 2)) * np.arange(12_000)[:, None]
    matrix = 8 * len(queries) * len(points)
    tracemalloc.start()
    try:
        neighbours.nearest(queries, points, 3, metric)
        assert tracemalloc.get_traced_memory()[1] < matrix / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_for_any_number_of_threads(metric: str, dtype: str, tier: str):
    rng = np.random.default_rng(8)
    both = rng.integers(0, 50, (900, 40)).astype(dtype)
    before, answers = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            answers.append(kernels.nearest(both[:300], both[300:], 9, metric))
    finally:
        threads.set_num_threads(before)
    for distances, index in answers[1:]:
        assert distances.tobytes() == answers[0][0].tobytes()
        assert index.tobytes() == answers[0][1].tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_distances_keep_their_digits_where_the_shortcut_loses_them(metric: str, tier: str):
    rng = np.random.default_rng(7)
    points = rng.normal(size=(30, 12)) + 1e6
    queries = points[:9] + rng.normal(size=(9, 12)) * 1e-7
    expected = neighbours.distances_in_one_loop(queries, points, metric)
    found = kernels.distances(queries, points, metric)
    # of directions that are as close as these, 1e-16 is the rounding of the directions
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15 if metric == "cosine" else 0)
    assert not np.diagonal(kernels.distances(points, points, metric)).any() or metric == "cosine"


def test_what_does_not_fit_is_refused(tier: str):
    x = np.ones((3, 4))
    for kernel, k in ((kernels.nearest, (1,)), (kernels.distances, ())):
        with pytest.raises(ShapeError, match=r"queries \(3, 4\).*points \(3, 3\)"):
            kernel(x, x[:, :3], *k, "l2")
        with pytest.raises(ShapeError, match="same length"):
            kernel(x[0], x, *k, "l2")
        with pytest.raises(ConfigError, match="'l3'; choose one of l2, l1, cosine"):
            kernel(x, x, *k, "l3")
        for bad in (np.nan, np.inf, -np.inf):
            for dtype in ("float32", "float64"):
                broken = np.ones((40, 4), dtype)
                broken[30, 2] = bad
                for metric in METRICS:
                    with pytest.raises(DataError, match="NaN or infinity"):
                        kernel(broken, x, *k, metric)
                    with pytest.raises(DataError, match="NaN or infinity"):
                        kernel(x, broken, *k, metric)
    for k in (-1, 4):
        with pytest.raises(ShapeError, match=f"k = {k}, but there are 3 points"):
            kernels.nearest(x, x, k, "l2")
