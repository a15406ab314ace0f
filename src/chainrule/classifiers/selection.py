"""Cross-validation: which settings of a classifier do best on images it has not seen.

    rows, labels = training_rows(data.load("cifar10"), images=5000)
    search = CrossValidation("knn", {"k": (1, 5, 10)}, folds=5)
    search.run(rows, labels)
    print(search.best.settings, search.best.mean)

The images are divided into folds, the same share of each class in all of them. Each fold is left
out in turn, every candidate learns from the others, and is asked for the classes of those left out.

scikit-learn's `GridSearchCV` and `cross_val_score` take the same estimators. They answer when all
is over; here each fold that is done is kept, whatever becomes of the next, and the neighbours of an
image are looked for once, not anew for each k.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import FunctionTransformer, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from chainrule.classifiers import (
    HOG,
    ColorHistogram,
    EdgeFeatures,
    KNearestNeighbors,
    LinearSVM,
    SoftmaxClassifier,
    TextureFeatures,
    TwoLayerNet,
    image_rows,
)
from chainrule.data import Splits
from chainrule.errors import ConfigError, DataError
from chainrule.kernels.votes import closeness, vote_shares

Rows = NDArray[Any]
Settings = dict[str, Any]
Progress = Callable[[int, int, Settings], None]

FEATURES: dict[str, Callable[[], TransformerMixin]] = {
    "hog": HOG,
    "color": ColorHistogram,
    "edges": EdgeFeatures,
    "texture": TextureFeatures,
}


@dataclass(frozen=True)
class Kind:
    """A classifier that settings are looked for.

    parameters: of the estimator, by the names the settings have here. grid: what is tried of those
    that are not given. centred: its features are brought to one scale.
    """

    estimator: Callable[..., BaseEstimator]
    parameters: Mapping[str, str]
    grid: Mapping[str, Sequence[Any]]
    centred: bool = True


KINDS = {
    "knn": Kind(
        KNearestNeighbors,
        {"k": "n_neighbors", "metric": "metric", "votes": "weights"},
        {"k": (1, 3, 5, 8, 10, 12, 15, 20, 50, 100)},
        centred=False,
    ),
    "svm": Kind(
        LinearSVM,
        {"alpha": "alpha", "max_iter": "max_iter"},
        {"alpha": (1e-3, 1e-2, 0.1, 1.0)},
    ),
    "softmax": Kind(
        SoftmaxClassifier,
        {"alpha": "alpha", "max_iter": "max_iter"},
        {"alpha": (1e-4, 1e-3, 1e-2, 0.1)},
    ),
    "two-layer": Kind(
        TwoLayerNet,
        {"alpha": "alpha", "hidden": "hidden", "lr": "learning_rate", "max_iter": "max_iter"},
        {"alpha": (1e-5, 1e-4, 1e-3)},
    ),
}
INTERRUPTED = "interrupted after"
"""So begins the warning of an estimator that Ctrl-C stopped: it keeps what it has learnt."""
SEEDED = ("svm", "softmax", "two-layer")
NAMES = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.parameters))


@dataclass
class Candidate:
    """Settings, and the accuracies of the folds that are done, as fractions."""

    settings: Settings
    accuracies: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Over the folds."""
        return float(np.mean(self.accuracies)) if self.accuracies else float("nan")

    @property
    def deviation(self) -> float:
        """The standard deviation over the folds."""
        return float(np.std(self.accuracies)) if self.accuracies else float("nan")


class CrossValidation:
    """The candidates that a grid has, and what each reaches fold by fold.

    model: knn, svm, softmax or two-layer. grid: values for settings (knn: k, metric, votes; svm
    and softmax: alpha, max_iter; two-layer: alpha, hidden, lr, max_iter); what is not named has the
    values of `KINDS`, or the estimator's. features: "pixels", or some of hog, color, edges, texture
    with + between. Raises ConfigError for what there is not.
    """

    def __init__(
        self,
        model: str,
        grid: Mapping[str, Sequence[Any]] | None = None,
        *,
        folds: int = 5,
        features: str = "pixels",
        seed: int = 0,
    ) -> None:
        if model not in KINDS:
            raise ConfigError(f"cv: unknown model {model!r}; choose one of {', '.join(KINDS)}")
        if folds < 2:
            raise ConfigError(f"cv: there must be at least 2 folds, got {folds}")
        self.model, self.folds, self.features, self.seed = model, folds, features, seed
        self.kind = KINDS[model]
        self.preparation = _preparation(features, self.kind.centred)
        self.given = dict(grid or {})
        self.candidates = [Candidate(settings) for settings in self._grid()]
        self.images = 0
        self.seconds = 0.0
        self.unfinished = 0  # fits that ended at max_iter
        self.test: dict[str, Any] | None = None

    def _grid(self) -> Iterator[Settings]:
        for name, values in self.given.items():
            if name not in self.kind.parameters:
                known = ", ".join(self.kind.parameters)
                raise ConfigError(f"cv: {self.model} has no setting {name!r}; it has {known}")
            if not len(values):
                raise ConfigError(f"cv: no values were given for {name}")
        grid = {**self.kind.grid, **self.given}
        names = [name for name in self.kind.parameters if name in grid]
        for values in product(*(dict.fromkeys(grid[name]) for name in names)):
            yield dict(zip(names, values, strict=True))

    # -- the work ----------------------------------------------------------------------------------

    def run(self, rows: Rows, labels: Rows, progress: Progress | None = None) -> CrossValidation:
        """Go through the folds of images (n, C·H·W) and labels (n,).

        progress: told, after each candidate, how many of how many are done, and its settings. An
        exception, Ctrl-C among them, leaves every candidate with the folds that were whole.
        Raises ConfigError (more neighbours than images), DataError (a class too small).
        """
        self._check(labels)
        self.images, begin = len(rows), time.perf_counter()
        divided = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        steps = self.folds * len(self.candidates)
        for fold, (learnt, left_out) in enumerate(divided.split(rows, labels)):
            found: list[float] = []
            work = self._fold(rows, labels, learnt, left_out)
            for candidate, accuracy in zip(self.candidates, work, strict=True):
                found.append(accuracy)
                if progress is not None:
                    done = fold * len(self.candidates) + len(found)
                    progress(done, steps, candidate.settings)
            for candidate, accuracy in zip(self.candidates, found, strict=True):
                candidate.accuracies.append(accuracy)
            self.seconds = time.perf_counter() - begin
        return self

    def _check(self, labels: Rows) -> None:
        counts = np.unique(labels, return_counts=True)[1]
        least = int(counts.min()) if len(counts) else 0
        if least < self.folds or len(counts) < 2:
            raise DataError(
                f"cv: {self.folds} folds need at least 2 classes and {self.folds} images of each; "
                f"there are {len(counts)} classes, the smallest of {least} images"
            )
        fewest = len(labels) - -(-len(labels) // self.folds)
        most = max((c.settings.get("k", 0) for c in self.candidates), default=0)
        if most > fewest and "k" in self.given:
            raise ConfigError(
                f"cv: k = {most}, but with {self.folds} folds of {len(labels):,} images only "
                f"{fewest:,} are learnt from at a time"
            )
        self.candidates = [c for c in self.candidates if c.settings.get("k", 0) <= fewest]

    def _fold(self, rows: Rows, labels: Rows, learnt: Rows, left_out: Rows) -> Iterator[float]:
        """The accuracy of each candidate."""
        preparation = clone(self.preparation)
        X = preparation.fit_transform(rows[learnt])
        queries = preparation.transform(rows[left_out])
        y, wanted = labels[learnt], labels[left_out]
        if self.model == "knn":
            yield from self._neighbours(X, y, queries, wanted)
            return
        for candidate in self.candidates:
            estimator = self._fitted(self._estimator(candidate.settings), X, y)
            yield float(estimator.score(queries, wanted))

    def _fitted(self, estimator: Any, X: Rows, y: Rows) -> Any:
        """Counts what stopped before it had converged; what Ctrl-C stopped is no result."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(X, y)
        if any(str(warning.message).startswith(INTERRUPTED) for warning in caught):
            raise KeyboardInterrupt
        self.unfinished += any(issubclass(w.category, ConvergenceWarning) for w in caught)
        return estimator

    def _neighbours(self, X: Rows, y: Rows, queries: Rows, wanted: Rows) -> Iterator[float]:
        """The same of all that differ in k or votes, from one search for the most neighbours."""
        most = max(candidate.settings["k"] for candidate in self.candidates)
        classes, numbers = np.unique(y, return_inverse=True)
        found: dict[Any, tuple[Rows, Rows]] = {}  # by metric
        for candidate in self.candidates:
            settings = candidate.settings
            metric, k = settings.get("metric"), settings["k"]
            if metric not in found:
                searcher = self._estimator({**settings, "k": most}).fit(X, y)
                distances, places = searcher.kneighbors(queries)
                found[metric] = distances, numbers[places]
            distances, labels = found[metric]
            near = closeness(distances[:, :k]) if settings.get("votes") == "distance" else None
            shares = vote_shares(labels[:, :k], len(classes), near)
            yield float(np.mean(classes[shares.argmax(axis=1)] == wanted))

    def _estimator(self, settings: Settings) -> Any:
        parameters = {self.kind.parameters[name]: value for name, value in settings.items()}
        if self.model in SEEDED:
            parameters["random_state"] = self.seed
        return self.kind.estimator(**parameters)

    def pipeline(self, settings: Settings) -> Pipeline:
        """The estimator with these settings behind what is done to its images, not fitted."""
        return make_pipeline(clone(self.preparation), self._estimator(settings))

    def try_best(self, rows: Rows, labels: Rows, queries: Rows, wanted: Rows) -> float:
        """Fit the best on all the images, and test it: its accuracy, kept in ``test``."""
        fitted = self._fitted(self.pipeline(self.best.settings), rows, labels)
        accuracy = float(fitted.score(queries, wanted))
        self.test = {"accuracy": accuracy, "images": len(wanted), "trained_on": len(labels)}
        return accuracy

    # -- the result --------------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """Folds that are whole."""
        return len(self.candidates[0].accuracies)

    @property
    def best(self) -> Candidate:
        """With the highest mean; of equals the first."""
        return max(self.candidates, key=lambda candidate: candidate.mean)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "model": self.model,
            "features": self.features,
            "images": self.images,
            "folds": self.folds,
            "folds_done": self.done,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "unfinished": self.unfinished,
            "candidates": [
                {**asdict(c), "mean": c.mean, "deviation": c.deviation}
                for c in self.candidates
                if c.accuracies
            ],
            "best": self.best.settings if self.done else None,
            "test": self.test,
        }

    def curves(self) -> tuple[str, dict[str, dict[float, list[float]]]]:
        """The setting with the most numbers, and a curve over it for each choice of the others."""
        varied = {
            name: list(dict.fromkeys(c.settings[name] for c in self.candidates))
            for name in self.candidates[0].settings
        }
        numeric = [n for n, v in varied.items() if all(isinstance(x, int | float) for x in v)]
        across = max(numeric, key=lambda name: len(varied[name]))
        others = [name for name, v in varied.items() if name != across and len(v) > 1]
        curves: dict[str, dict[float, list[float]]] = {}
        for candidate in self.candidates:
            s = candidate.settings
            label = ", ".join(f"{name} {s[name]}" for name in others) or "mean ± deviation"
            curves.setdefault(label, {})[s[across]] = candidate.accuracies
        return across, curves


def _preparation(features: str, centred: bool) -> Pipeline:
    """From images in bytes to what a classifier is given."""
    if features == "pixels":
        steps = [FunctionTransformer(_unit), StandardScaler(with_std=False)] if centred else []
    else:
        names = features.split("+")
        unknown = [name for name in names if name not in FEATURES]
        if unknown:
            raise ConfigError(
                f"cv: unknown features {unknown[0]!r}; pixels, or some of "
                f"{', '.join(FEATURES)} with + between"
            )
        steps = [make_union(*(FEATURES[name]() for name in names)), StandardScaler()]
    return make_pipeline(*steps) if steps else FunctionTransformer()


def _unit(rows: Rows) -> Rows:
    """Bytes from 0 to 1."""
    return np.multiply(rows, np.float32(1 / 255), dtype=np.float32)


def training_rows(
    splits: Splits, images: int | None = None, seed: int = 0
) -> tuple[Rows, NDArray[np.int64]]:
    """All images of a dataset but those for tests, as rows (n, C·H·W), and their labels.

    images: take so many of them, by chance, the same share of each class.
    Raises ConfigError for more than there are, or fewer than classes.
    """
    labels = np.concatenate([splits.train.labels, splits.val.labels])
    if images is None or images == len(labels):
        return np.concatenate([image_rows(splits.train), image_rows(splits.val)]), labels
    if not len(splits.classes) <= images < len(labels):
        raise ConfigError(
            f"--images {images}: there are {len(labels):,} training images, "
            f"of {len(splits.classes)} classes"
        )
    chosen, _ = train_test_split(
        np.arange(len(labels)), train_size=images, stratify=labels, random_state=seed
    )
    border = len(splits.train)
    parts = (splits.train.subset(chosen[chosen < border]),
             splits.val.subset(chosen[chosen >= border] - border))  # fmt: skip
    return np.concatenate([image_rows(part) for part in parts]), np.concatenate(
        [part.labels for part in parts]
    )
