"""The same kernels three times: loops, whole arrays, compiled. What a student should see."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule import kernels
from chainrule.kernels.table import why_native_is_absent

if TYPE_CHECKING:
    from rich.table import Table

TIERS = {"naive": "naive", "reference": "vectorised", "native": "native"}
LEAST_SECONDS = 0.1  # over which the fast tiers are repeated
MOST_REPEATS = 100

EXPLANATION = """\
naive       kernels/naive.py: loops as in a textbook. Python makes an object of every number and
            looks up every operation, so nearly all of the time goes into anything but arithmetic.
vectorised  kernels/reference/: the same formula on whole arrays. NumPy's loops are compiled: one
            call handles millions of numbers. What it costs is memory: every step writes a new
            array, and convolution lays out each window's pixels to become a matrix product.
native      native/*.cpp: loops again, but compiled for this formula. Numbers stay in registers
            from one step to the next, one instruction handles many of them, no array is made in
            between, and every thread takes a part.

All three obey one contract (the docstrings in kernels/reference/), and the difference column
shows that they do: float32 keeps 7 digits, and the order of a sum moves the last of them."""


@dataclass(frozen=True)
class TierTime:
    """One piece of work on one tier."""

    work: str
    tier: str
    seconds: float
    ratio: float
    """The naive tier's time by this one's: how many times faster."""
    difference: float
    """The largest difference from the naive tier's numbers, relative to the largest of them."""


def compare_tiers(scale: float = 1.0) -> Iterator[TierTime]:
    """Time each piece of work on each tier that is there. `scale` makes the work smaller."""
    tiers = [t for t in TIERS if t != "native" or why_native_is_absent() is None]
    for work, make in WORK.items():
        step = make(scale)
        baseline, expected = 0.0, np.empty(0)
        for tier in tiers:
            with kernels.use(tier):
                seconds, found = _time(step, once=tier == "naive")
            if tier == "naive":
                baseline, expected = seconds, found
            difference = float(np.abs(found - expected).max() / np.abs(expected).max())
            yield TierTime(work, TIERS[tier], seconds, baseline / seconds, difference)


def _time(step: Callable[[], np.ndarray], once: bool) -> tuple[float, np.ndarray]:
    """Median seconds, and the result as float64."""
    result = None if once else step()  # the first call makes what is kept
    times: list[float] = []
    while not times or (not once and sum(times) < LEAST_SECONDS and len(times) < MOST_REPEATS):
        start = time.perf_counter()
        result = step()
        times.append(time.perf_counter() - start)
    return statistics.median(times), np.asarray(result, np.float64)


def _convolution(scale: float) -> Callable[[], np.ndarray]:
    """16 filters of 3x3 over colour images of 32x32."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((_count(3, scale), 3, 32, 32), dtype=np.float32)
    weight = rng.standard_normal((16, 3, 3, 3), dtype=np.float32)
    return lambda: kernels.conv2d(x, weight, None, (1, 1), (1, 1), (1, 1), 1)


def _linear_classifier(loss: str) -> Callable[[float], Callable[[], np.ndarray]]:
    """Loss and gradient of a linear classifier of images of 16x16, 10 classes."""

    def make(scale: float) -> Callable[[], np.ndarray]:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((_count(500, scale), 256), dtype=np.float32)
        weight = rng.standard_normal((10, 256), dtype=np.float32) / 16
        target = rng.integers(0, 10, len(x))
        margin = 0.0 if loss == "cross_entropy" else 1.0

        def step() -> np.ndarray:
            losses, gradient, _ = kernels.linear_classifier(
                x, weight, None, target, loss, 1, margin
            )
            return np.append(gradient, losses.mean())

        return step

    return make


def _max_pooling(scale: float) -> Callable[[], np.ndarray]:
    """2x2 windows over 16 channels of 32x32, and the way back."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((_count(16, scale), 16, 32, 32), dtype=np.float32)
    g = rng.standard_normal((len(x), 16, 16, 16), dtype=np.float32)
    window = ((2, 2), (2, 2), (0, 0), (1, 1))

    def step() -> np.ndarray:
        y, index = kernels.max_pool2d(x, *window, False)
        dx = kernels.max_pool2d_backward(g, index, x.shape, *window)
        return np.concatenate([y.ravel(), dx.ravel()])

    return step


def _count(images: int, scale: float) -> int:
    return max(1, round(images * scale))


WORK = {
    "convolution: 16 filters of 3x3 on 3 images of 3x32x32": _convolution,
    "SVM loss and its gradient: 500 images of 16x16, 10 classes": (
        _linear_classifier("weston_watkins")
    ),
    "the same, Crammer & Singer's": _linear_classifier("crammer_singer"),
    "the same, one-vs-all": _linear_classifier("one_vs_all"),
    "softmax loss and its gradient": _linear_classifier("cross_entropy"),
    "max pooling 2x2 and its gradient: 16 images of 16x32x32": _max_pooling,
}


def tiers_table(rows: list[TierTime]) -> Table:
    """Work by work, tier by tier."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("tier", no_wrap=True)
    for heading in ("time", "times faster", "difference"):
        table.add_column(heading, justify="right")
    before = ""
    for row in rows:
        if row.work != before:
            table.add_row(*[""] * bool(before))
            table.add_row(f"[bold]{row.work}[/]")
        table.add_row(
            f"  {row.tier}",
            _duration(row.seconds),
            f"{row.ratio:,.0f}" if row.ratio >= 10 else f"{row.ratio:.1f}",
            "" if row.tier == TIERS["naive"] else f"{row.difference:.0e}",
        )
        before = row.work
    return table


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.01 else f"{seconds * 1e6:,.0f} µs"
