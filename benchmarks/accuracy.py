"""How often the classic classifiers are right: ``python -m benchmarks.accuracy DATA [ROW ...]``.

    python -m benchmarks.accuracy cifar10-jpg.zip hog+colours-svm hog+colours-two-layer

A row is features and a classifier. Settings are looked for with ``--on val``: fitted on nine tenths
of the training images, scored on the rest. The table of docs/classic.md comes from ``--on test``,
the default: fitted on all training images with the settings found, scored on the test images.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from chainrule.classifiers import (
    HOG,
    BagOfVisualWords,
    ColorHistogram,
    EdgeFeatures,
    KNearestNeighbors,
    LinearSVM,
    SoftmaxClassifier,
    TextureFeatures,
    TwoLayerNet,
    image_rows,
)
from chainrule.data import Splits, load

NEIGHBOURS = [1, 3, 5, 8, 10, 12, 15, 20, 50, 100]
"""Among them is k chosen, by cross-validation with five folds."""

FEATURES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: FunctionTransformer(),
    "pixels": lambda: _scaled(FunctionTransformer(np.float32)),
    "colours": lambda: _scaled(ColorHistogram(grid=2)),
    "edges": lambda: _scaled(EdgeFeatures()),
    "textures": lambda: _scaled(TextureFeatures(grid=4)),
    "hog": lambda: _scaled(HOG()),
    "hog+colours": lambda: _scaled(make_union(HOG(), ColorHistogram(grid=2))),
    "words": lambda: _scaled(BagOfVisualWords(200, stride=2, random_state=0)),
}


def _scaled(features: Any) -> Any:
    return make_pipeline(features, StandardScaler())


class Row(NamedTuple):
    """features: a name of FEATURES; images: how many to learn from; None: all."""

    features: str
    classifier: Callable[[], Any]
    images: int | None = None


def _knn(metric: str = "l2") -> Any:
    return GridSearchCV(KNearestNeighbors(metric=metric), {"n_neighbors": NEIGHBOURS}, cv=5)


def _svm(alpha: float = 0.02) -> Any:
    return LinearSVM(alpha=alpha, max_iter=100)


def _softmax(alpha: float) -> Any:
    return SoftmaxClassifier(alpha=alpha, max_iter=100)


def _two_layer(alpha: float, epochs: int) -> Any:
    return TwoLayerNet(
        500, alpha=alpha, max_iter=epochs, learning_rate_decay=0.8, tol=0, random_state=0
    )


ROWS = {
    "pixels-knn": Row("bytes", _knn, images=5000),
    "pixels-knn-l1": Row("bytes", lambda: _knn("l1"), images=5000),
    "pixels-svm": Row("pixels", lambda: _svm(0.3)),
    "pixels-softmax": Row("pixels", lambda: _softmax(0.1)),
    "pixels-two-layer": Row("pixels", lambda: _two_layer(5e-3, epochs=10)),
    "colours-svm": Row("colours", _svm),
    "edges-svm": Row("edges", _svm),
    "textures-svm": Row("textures", _svm),
    "hog-svm": Row("hog", _svm),
    "hog+colours-svm": Row("hog+colours", _svm),
    "hog+colours-softmax": Row("hog+colours", lambda: _softmax(0.002)),
    "hog+colours-two-layer": Row("hog+colours", lambda: _two_layer(3e-3, epochs=15)),
    "words-svm": Row("words", _svm),
}


def measure(splits: Splits, rows: Sequence[str], on: str) -> Iterator[dict[str, Any]]:
    """Of each row, what it learnt from and how often it is right; rows of one kind together."""
    train, held_out = _parts(splits, on)
    for kind in dict.fromkeys(ROWS[row].features for row in rows):
        features = FEATURES[kind]()
        X, unseen = features.fit_transform(train[0]), features.transform(held_out[0])
        for row in (row for row in rows if ROWS[row].features == kind):
            _, classifier, images = ROWS[row]
            chosen = np.random.default_rng(0).permutation(len(X))[:images]
            some, labels = X[chosen], train[1][chosen]
            model, start = classifier(), time.perf_counter()
            with warnings.catch_warnings():  # the rows say when to stop
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(some, labels)
            seconds = time.perf_counter() - start
            yield {
                "row": row,
                "images": len(some),
                "features": X.shape[1],
                "chosen": getattr(model, "best_params_", {}),
                "fit_seconds": round(seconds, 2),
                "training_accuracy": float(model.score(some[:5000], labels[:5000])),
                f"{on}_accuracy": float(model.score(unseen, held_out[1])),
            }


def _parts(splits: Splits, on: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Rows and labels to learn from, and others to be right about."""
    train, val = ((image_rows(part), part.labels) for part in (splits.train, splits.val))
    if on == "val":
        return train, val
    if splits.test is None:
        raise SystemExit(f"{splits.name} has no test images; try --on val")
    both = tuple(np.concatenate(pair) for pair in zip(train, val, strict=True))
    return (both[0], both[1]), (image_rows(splits.test), splits.test.labels)


def table(results: Iterable[dict[str, Any]], on: str) -> Iterator[str]:
    """The lines of a Markdown table, each as soon as its row is measured."""
    yield f"| row | images | features | training | {on} |"
    yield "|---|---:|---:|---:|---:|"
    for r in results:
        chosen = "".join(f", {name} = {value}" for name, value in r["chosen"].items())
        yield (
            f"| {r['row']}{chosen} | {r['images']:,} | {r['features']:,} "
            f"| {r['training_accuracy']:.1%} | {r[f'{on}_accuracy']:.1%} |"
        )


def main() -> None:
    """Fit the rows one after the other, print the table, write the JSON file at the end."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("data", help="data set, folder or zip, as for `chainrule train`")
    parser.add_argument("rows", nargs="*", help=f"all, or some of {', '.join(ROWS)}")
    parser.add_argument("--on", choices=["val", "test"], default="test")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; the rows are {', '.join(ROWS)}")
    results: list[dict[str, Any]] = []

    def kept() -> Iterator[dict[str, Any]]:
        for result in measure(load(options.data), options.rows or list(ROWS), options.on):
            results.append(result)
            yield result

    for line in table(kept(), options.on):
        print(line, flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
