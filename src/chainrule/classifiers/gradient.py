"""What the classifiers that learn by gradients share: fitting, stopping, predicting."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule import kernels
from chainrule.classifiers.descent import Penalty, RuleDescent, descent
from chainrule.errors import ConfigError, DivergenceError
from chainrule.tensor import Tensor

Array = NDArray[Any]

PENALTIES = ("l2", "l1", "elasticnet", None)


def _learns_from_batches(model: GradientClassifier) -> bool:
    if model.solver == "lbfgs":
        raise AttributeError(
            "partial_fit needs a solver that takes batches: lbfgs sees all samples"
        )
    return True


class GradientClassifier(ClassifierMixin, BaseEstimator):
    """A classifier with parameters that minimise  mean loss + α·R(weights).

    A subclass says what its parameters are, and computes scores, loss and gradient.
    """

    def _initial(self, features: int, rng: np.random.RandomState) -> dict[str, Array]:
        """Parameters by name, freshly made; those called weight are penalised."""
        raise NotImplementedError

    def _loss(self, parameters: dict[str, Tensor], X: Array, target: Array) -> tuple[float, list]:
        """The mean loss and its gradient for each of the parameters."""
        raise NotImplementedError

    def _softness(self) -> float | None:
        """Of a smooth loss to begin with, which `_loss` computes if given a softness; or None."""
        return None

    def _scores(self, X: Array) -> Array:
        """(n, classes), and (n, 1) where one score tells two classes apart."""
        raise NotImplementedError

    # -- learning ------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples X (n, D) with labels y (n,). Returns self.

        Interrupted by Ctrl-C it warns and keeps what it has learnt.
        Raises ValueError for NaN, infinity, sparse X, fewer than two classes; ConfigError for
        impossible settings; DivergenceError where the objective overflows.
        """
        self._check_settings()
        X, y = self._checked(X, y, reset=not (self.warm_start and hasattr(self, "classes_")))
        rng = check_random_state(self.random_state)
        self._begin(X, np.unique(y), rng, again=not self.warm_start)
        target = self._class_numbers(y)
        held_out = None
        if self.early_stopping:
            X, X_val, target, val = train_test_split(
                X, target, test_size=self.validation_fraction, random_state=rng, stratify=target
            )
            held_out = X_val, self.classes_[val]
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        if held_out:
            self.validation_scores_: list[float] = []
        with self._tier():
            self._learn(X, target, held_out, rng)
        return self

    @available_if(_learns_from_batches)
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Go once through the samples, in batches. Returns self.

        classes: all labels there will be; needed in the first call.
        """
        self._check_settings()
        fresh = not hasattr(self, "classes_")
        X, y = self._checked(X, y, reset=fresh)
        rng = check_random_state(self.random_state)
        if fresh:
            if classes is None:
                raise ValueError("partial_fit needs all the classes in its first call")
            self._begin(X, np.unique(classes), rng, again=True)
            self.n_iter_, self.loss_curve_ = 0, []
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError("partial_fit: classes are other than in the first call")
        target = self._class_numbers(y)
        with self._tier():
            self.loss_curve_.append(self._epoch(X, target, rng))
        self.n_iter_ += 1
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, dtype=[np.float32, np.float64], order="C", reset=reset)
        check_classification_targets(y)
        return X if reset else self._in_own_type(X), y

    def _in_own_type(self, X: Array) -> Array:
        """X in the type of the parameters, in which everything is computed."""
        return X.astype(next(iter(self._parameters.values())).array.dtype, copy=False)

    def _begin(self, X: Array, classes: Array, rng: np.random.RandomState, again: bool) -> None:
        """Make parameters, unless they are there and learning goes on from them; and a solver."""
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs two classes or more; y has one class: {classes[0]}"
            )
        if again or not hasattr(self, "_parameters"):
            self.classes_ = classes
            made = self._initial(X.shape[1], rng)
            self._parameters = {name: Tensor(a.astype(X.dtype)) for name, a in made.items()}
        elif not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start: y has the classes {classes}, but those learnt so far are "
                f"{self.classes_}"
            )
        share = {"l2": 0.0, "l1": 1.0, "elasticnet": self.l1_ratio, None: 0.0}[self.penalty]
        alpha = 0.0 if self.penalty is None else self.alpha
        weights = Penalty(alpha * share, alpha * (1 - share))
        penalties = [weights if "weight" in name else Penalty() for name in self._parameters]
        settings = dict(self.solver_settings or {})
        if self.learning_rate is not None:
            settings["lr"] = self.learning_rate
        params = list(self._parameters.values())
        self._descent = descent(self.solver, params, penalties, settings, self._softness())

    def _class_numbers(self, y: Array) -> NDArray[np.int64]:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has classes {unknown} that are not among {self.classes_}")
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _tier(self) -> AbstractContextManager[None]:
        return nullcontext() if self.tier == "auto" else kernels.use(self.tier)

    def _learn(self, X: Array, target: Array, held_out: Any, rng: np.random.RandomState) -> None:
        best: list[Array] = []
        kept = self._copies()
        try:
            while self.n_iter_ < self.max_iter:
                self.loss_curve_.append(self._epoch(X, target, rng))
                self.n_iter_ += 1
                kept = self._copies()
                self._report(held_out)
                if held_out and self.validation_scores_[-1] >= max(self.validation_scores_):
                    best = kept
                if self._is_done(bool(held_out)):
                    break
            else:
                warnings.warn(
                    f"{type(self).__name__}: max_iter={self.max_iter} reached, and the objective "
                    "still falls; raise max_iter or tol",
                    ConvergenceWarning,
                    stacklevel=3,
                )
        except KeyboardInterrupt:
            warnings.warn(f"interrupted after {self.n_iter_} iterations", stacklevel=3)
            self._put(kept)
        if best:
            self._put(best)
        if not isinstance(self._descent, RuleDescent):
            del self._descent  # what it remembers is larger than the model

    def _epoch(self, X: Array, target: Array, rng: np.random.RandomState) -> float:
        """Once through all samples; the objective, of a rule's batches as they were met."""
        if not isinstance(self._descent, RuleDescent):
            value = self._descent.step(partial(self._loss, self._parameters, X, target))
        else:
            order = rng.permutation(len(X)) if self.shuffle else np.arange(len(X))
            value, size = 0.0, min(self.batch_size, len(X))
            for start in range(0, len(X), size):
                rows = order[start : start + size]
                part, labels = X[rows], target[rows]
                loss = partial(self._loss, self._parameters, part, labels)
                value += self._descent.step(loss) * len(rows) / len(X)
            self._descent.scale_rate(self.learning_rate_decay)
        if not np.isfinite(value):
            raise DivergenceError(
                f"{type(self).__name__}: the objective became {value}; lower learning_rate, or "
                "scale the features"
            )
        return float(value)

    def _report(self, held_out: Any) -> None:
        line = f"{self.n_iter_:5}  objective {self.loss_curve_[-1]:.6g}"
        if held_out:
            self.validation_scores_.append(float(self.score(*held_out)))
            self.best_validation_score_ = max(self.validation_scores_)
            line += f"  validation accuracy {self.validation_scores_[-1]:.4f}"
        if self.verbose:
            print(line, flush=True)

    def _is_done(self, by_validation: bool) -> bool:
        """Whether the last n_iter_no_change iterations have gained less than tol."""
        if self._descent.stuck:
            return True
        curve = [-s for s in self.validation_scores_] if by_validation else self.loss_curve_
        before, lately = curve[: -self.n_iter_no_change], curve[-self.n_iter_no_change :]
        if not before:
            return False
        least = min(before)
        if self._descent.error > 10 * self.tol * abs(least):
            return False
        gain = self.tol if by_validation else self.tol * abs(least)
        return min(lately) > least - gain or least == 0

    def _copies(self) -> list[Array]:
        return [p.array.copy() for p in self._parameters.values()]

    def _put(self, arrays: list[Array]) -> None:
        for p, array in zip(self._parameters.values(), arrays, strict=True):
            p.array[...] = array

    def _check_settings(self) -> None:
        def need(holds: bool, name: str, what: str) -> None:
            if not holds:
                got = getattr(self, name)
                raise ConfigError(f"{type(self).__name__}: {name} must be {what}, got {got!r}")

        need(self.penalty in PENALTIES, "penalty", "l2, l1, elasticnet or None")
        for name in ("alpha", "tol"):
            value = getattr(self, name)
            need(isinstance(value, Real) and float(value) >= 0, name, "a number, and not negative")
        for name in ("batch_size", "max_iter", "n_iter_no_change"):
            value = getattr(self, name)
            need(isinstance(value, Integral) and int(value) >= 1, name, "a whole number from 1 on")
        need(0 <= self.l1_ratio <= 1, "l1_ratio", "between 0 and 1")
        need(0 < self.learning_rate_decay <= 1, "learning_rate_decay", "above 0 and at most 1")
        need(self.tier in ("auto", "naive", "reference", "native"), "tier",
             "auto, naive, reference or native")  # fmt: skip

    # -- predicting ----------------------------------------------------------------------------

    def decision_function(self, X: Any) -> Array:
        """Scores (n, classes); of two classes (n,), above 0 for the second."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float32, np.float64], order="C", reset=False)
        with self._tier():
            scores = self._scores(self._in_own_type(X))
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Array:
        """Labels (n,): of the highest score, among equal ones the first."""
        scores = self.decision_function(X)
        best = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[np.asarray(best, np.intp)]

    def _probabilities(self, X: Any) -> Array:
        """softmax of the scores; with one score s for two classes, of (-s/2, s/2)."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            half = scores / 2
            scores = np.stack([-half, half], axis=1)
        with self._tier():
            return kernels.softmax(scores, 1)
