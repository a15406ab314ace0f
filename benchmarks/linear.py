"""Linear classifiers beside scikit-learn's, to the same objective: ``python -m benchmarks.linear``.

    python -m benchmarks.linear --images 2000                      # the digits of the package
    python -m benchmarks.linear --data cifar10-jpg.zip --images 5000 --json linear.json

scikit-learn learns with its own settings of precision, and what it reaches is the goal: ours is
timed until its objective, mean loss + α/2·ΣW² computed anew in float64 for both, is as low, or
higher by a share of at most --within. Ours is first run once to see after how many iterations
that is. Features have mean 0 and are scaled
together; there are no biases, as LinearSVC would penalise them. Both sides in turns, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.svm import LinearSVC

import chainrule
from chainrule import data
from chainrule.classifiers import LinearSVM, SoftmaxClassifier, image_rows
from chainrule.kernels import reference


class Case(NamedTuple):
    """A model of scikit-learn's, and ours with the same objective."""

    name: str
    peer: Callable[[float, int], Any]  # of α and the number of samples
    ours: Callable[..., Any]


def liblinear(**settings: Any) -> Callable[[float, int], Any]:
    return lambda alpha, n: LinearSVC(
        C=1 / (alpha * n), fit_intercept=False, random_state=0, **settings
    )


CASES = [
    Case(
        "LinearSVC crammer_singer",
        liblinear(multi_class="crammer_singer"),
        lambda **kw: LinearSVM("crammer_singer", **kw),
    ),
    Case(
        "LinearSVC ovr, hinge",
        liblinear(loss="hinge"),
        lambda **kw: LinearSVM("one_vs_all", **kw),
    ),
    Case(
        "LinearSVC ovr, squared hinge",
        liblinear(),
        lambda **kw: LinearSVM("one_vs_all", squared=True, **kw),
    ),
    Case(
        "SGDClassifier hinge",
        lambda alpha, n: SGDClassifier(alpha=alpha, fit_intercept=False, random_state=0, n_jobs=2),
        lambda **kw: LinearSVM("one_vs_all", **kw),
    ),
    Case(
        "LogisticRegression",
        lambda alpha, n: LogisticRegression(C=1 / (alpha * n), fit_intercept=False, max_iter=1000),
        SoftmaxClassifier,
    ),
]


def samples(source: str, images: int) -> tuple[Any, Any]:
    """X (n, D) of float32 with mean 0 and standard deviation 1 over all, and labels."""
    train = data.load(source).train
    rows = np.random.default_rng(0).permutation(len(train))[:images]
    pixels, labels = train.gather(rows)
    X = image_rows(pixels).astype(np.float32)
    X -= X.mean(axis=0)
    return X / X.std(), labels


def objective(model: Any, ours: Any, X: Any, y: Any) -> float:
    """What ours minimises, in float64 and at the weights of either."""
    coef = model.coef_.astype(np.float64)
    losses, *_ = reference.linear_classifier(
        X.astype(np.float64), coef, None, np.searchsorted(model.classes_, y), *ours._loss_settings()
    )
    return float(losses.mean() + ours.alpha / 2 * (coef**2).sum())


def seconds(fit: Callable[[], Any]) -> float:
    start = time.perf_counter()
    fit()
    return time.perf_counter() - start


def iterations_to(goal: float, ours: Any, X: Any, y: Any) -> int | None:
    """How many iterations of those that ours has made bring it to the goal; None if they do not."""
    reached = [i for i, value in enumerate(ours.loss_curve_, 1) if value <= goal]
    for count in reached[:3]:  # in float32 the curve may claim it a little too early
        if objective(ours.set_params(max_iter=count).fit(X, y), ours, X, y) <= goal:
            return count
    return None


def measure(case: Case, X: Any, y: Any, alpha: float, turns: int, within: float) -> dict[str, Any]:
    settings = {"alpha": alpha, "fit_intercept": False}
    peer = case.peer(alpha, len(X))
    ours = case.ours(**settings, tol=1e-6, max_iter=3000)
    times = {"peer": [seconds(lambda: peer.fit(X, y))], "ours": []}
    ours.fit(X, y)
    goal = objective(peer, ours, X, y)
    count = iterations_to(goal * (1 + within), ours, X, y)
    row = {"case": case.name, "alpha": alpha, "peer_objective": goal, "iterations": count}
    if count is None:
        ours.set_params(max_iter=3000).fit(X, y)
        return row | {"peer_seconds": times["peer"][0], "objective": objective(ours, ours, X, y)}
    ours = case.ours(**settings, tol=0, max_iter=count)
    for turn in range(turns):
        if turn:
            times["peer"].append(seconds(lambda: peer.fit(X, y)))
        times["ours"].append(seconds(lambda: ours.fit(X, y)))
    medians = {side: statistics.median(values) for side, values in times.items()}
    return row | {
        "objective": objective(ours, ours, X, y),
        "peer_seconds": medians["peer"],
        "seconds": medians["ours"],
        "ratio": medians["peer"] / medians["ours"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="digits", help="images, as chainrule train takes them")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--alpha", type=float, default=1e-2)
    parser.add_argument("--within", type=float, default=1e-3, help="as a share of the objective")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    chainrule.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    X, y = samples(options.data, options.images)
    print(f"{len(X)} x {X.shape[1]}, {len(np.unique(y))} classes, alpha {options.alpha}")
    print(f"{'':30}{'objective':>11}{'s':>9}{'ours':>13}{'s':>9}{'steps':>7}{'faster':>9}")
    rows = []
    for case in CASES:
        if options.only not in case.name:
            continue
        row = measure(case, X, y, options.alpha, options.turns, options.within)
        rows.append(row)
        print(f"{row['case']:30}{row['peer_objective']:11.6f}{row['peer_seconds']:9.3f}", end="")
        print(f"{row['objective']:13.6f}", end="")
        if row["iterations"] is None:
            print("   not reached", flush=True)
        else:
            print(f"{row['seconds']:9.3f}{row['iterations']:7}{row['ratio']:8.1f}x", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
