"""Linear classifiers: one score for each class, a weighted sum of the features."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from chainrule import kernels
from chainrule.classifiers.gradient import Array, GradientClassifier
from chainrule.classifiers.images import find_image_shape
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

__all__ = ["LinearSVM", "SoftmaxClassifier"]

HINGES = ("weston_watkins", "crammer_singer", "one_vs_all")


class _LinearClassifier(GradientClassifier):
    """Scores s = x Wᵀ + b. Two classes share one score s: theirs are -s/2 and s/2."""

    def _loss_settings(self) -> tuple[str, int, float]:
        """Name, power and margin of the loss, as `kernels.linear_classifier` takes them."""
        raise NotImplementedError

    def _initial(self, features: int, rng: np.random.RandomState) -> dict[str, Array]:
        rows = 1 if len(self.classes_) == 2 else len(self.classes_)
        made = {"weight": np.zeros((rows, features))}
        return made | {"bias": np.zeros(rows)} if self.fit_intercept else made

    def _loss(
        self,
        parameters: dict[str, Tensor],
        X: Array,
        target: Array,
        softness: float | None = None,
    ) -> tuple[float, list[Array]]:
        name, p, margin = self._loss_settings()
        values = [p.array for p in parameters.values()]
        if len(self.classes_) == 2:
            values = [np.concatenate([v / -2, v / 2]) for v in values]
        if softness is not None:  # the hinge is the limit of μ·(cross entropy of s/μ)
            name, margin = "cross_entropy", margin / softness
            values = [v / softness for v in values]
        weight, bias = values[0], values[1] if self.fit_intercept else None
        losses, *gradients = kernels.linear_classifier(X, weight, bias, target, name, p, margin)
        if len(self.classes_) == 2:
            gradients = [(g[1:] - g[:1]) / 2 for g in gradients]
        loss = float(losses.mean(dtype=np.float64)) * (1 if softness is None else softness)
        return loss, gradients[: len(values)]

    def _scores(self, X: Array) -> Array:
        return kernels.linear(X, self.coef_, self.intercept_)

    @property
    def coef_(self) -> Array:
        """The weights W (classes, D); (1, D) for two classes."""
        check_is_fitted(self, "_parameters")
        return self._parameters["weight"].array

    @property
    def intercept_(self) -> Array:
        """The biases b (classes,), which are not penalised; (1,) for two classes."""
        check_is_fitted(self, "_parameters")
        if "bias" in self._parameters:
            return self._parameters["bias"].array
        return np.zeros(len(self.coef_), self.coef_.dtype)

    @property
    def templates_(self) -> Array:
        """The rows of W as images (classes, C, H, W): the score is the likeness to one of them."""
        shape = find_image_shape(type(self).__name__, self.image_shape, self.coef_.shape[1])
        return self.coef_.reshape(-1, *shape)


class LinearSVM(_LinearClassifier):
    """A linear support vector machine: minimises  mean ℓ(s, t) + α·R(W),  s = x Wᵀ + b.

    Parameters
    ----------
    loss : {"weston_watkins", "crammer_singer", "one_vs_all"}
        The hinge ℓ for more than two classes, t the true one and Δ = ``delta``:
        Σ_{j≠t} max(0, s_j - s_t + Δ); max(0, Δ + max_{j≠t} s_j - s_t); Σ_j max(0, Δ ∓ s_j), with
        minus for j = t. Of two classes there is one score s, above 0 for the second, and all
        three are max(0, Δ ∓ s).
    delta : float
        The margin Δ, in units of the score. It sets the scale of W, as α does.
    squared : bool
        Whether each hinge is squared (the L2-SVM): smooth, and minimised in fewer iterations.
    penalty : {"l2", "l1", "elasticnet", None}
        R(W) = Σ (ρ|w| + (1 - ρ)/2·w²) with ρ = 0 for l2, 1 for l1 and ``l1_ratio`` for
        elasticnet. Biases are not penalised. L1 makes weights exactly 0: see
        `chainrule.classifiers.descent`.
    alpha : float
        The penalty's weight α. In terms of the C of sklearn.svm (½‖w‖² + C·Σ ℓ) it is 1/(C·n): with
        the sum of the losses in place of their mean, C = 1/λ for λ = α·n. The α of SGDClassifier
        is this one. Course notes that write λ·Σw² have λ = α/2.
    l1_ratio : float
    fit_intercept : bool
        Whether there is a bias b.
    solver : str
        "lbfgs": all samples at once, with a line search that passes the hinges' kinks; of
        Crammer & Singer's hinge and that of two classes by way of smooth losses that come close to
        it (with an L1 penalty it is OWL-QN); or the name of an optimizer of
        `chainrule.optim` in small letters, which takes batches: "sgd", "nesterov", "adam", ...
    learning_rate : float, optional
        The lr of an optimizer; its own default where None. "lbfgs" needs none.
    learning_rate_decay : float
        What the rate is multiplied by after each epoch.
    batch_size : int
    solver_settings : dict, optional
        Other settings of an optimizer, such as ``{"momentum": 0.9}``; of lbfgs history_size.
    max_iter : int
        Most iterations of L-BFGS, or epochs.
    tol, n_iter_no_change : float, int
        Learning ends when the last n_iter_no_change iterations together have lowered the
        objective by less than tol times itself.
    early_stopping, validation_fraction : bool, float
        Whether to end instead when the accuracy on a held-out part of the samples has not risen
        by tol for so long; the best weights on the way are kept.
    shuffle : bool
        Whether each epoch meets the samples in a new order.
    warm_start : bool
        Whether fit goes on from the weights of the last fit.
    random_state : int, RandomState or None
        Of the order of batches and of the held-out part.
    verbose : bool
        Whether to print a line for each iteration.
    tier : {"auto", "naive", "reference", "native"}
        The kernels that compute loss and gradient: in loops, vectorised, compiled (float32 alone;
        float64 is left to reference). All give the same to rounding.
    image_shape : "auto" or (C, H, W)
        The shape of ``templates_``; "auto" finds squares.

    Attributes
    ----------
    coef_, intercept_ : W (classes, D) and b; one row for two classes
    classes_ : labels, sorted
    loss_curve_ : objective after each iteration (of batches as they were met)
    n_iter_, n_features_in_, templates_, validation_scores_, best_validation_score_

    X of float32 is computed in float32, integers too; float64 in float64.

    Source: Weston & Watkins 1999; Crammer & Singer 2001; Rifkin & Klautau 2004; CS231n, Linear
    classification; docs/derivations/losses.md.
    """

    def __init__(
        self,
        loss: str = "weston_watkins",
        *,
        delta: float = 1.0,
        squared: bool = False,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        solver: str = "lbfgs",
        learning_rate: float | None = None,
        learning_rate_decay: float = 1.0,
        batch_size: int = 200,
        solver_settings: dict[str, Any] | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        tier: str = "auto",
        image_shape: Any = "auto",
    ) -> None:
        self.loss = loss
        self.delta = delta
        self.squared = squared
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.batch_size = batch_size
        self.solver_settings = solver_settings
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.tier = tier
        self.image_shape = image_shape

    def _loss_settings(self) -> tuple[str, int, float]:
        # One machine decides between two classes; one-vs-all would count it twice.
        name = "weston_watkins" if len(self.classes_) == 2 else self.loss
        return name, 2 if self.squared else 1, float(self.delta)

    def _softness(self) -> float | None:
        has_worst_rival = len(self.classes_) == 2 or self.loss == "crammer_singer"
        return float(self.delta) if has_worst_rival and not self.squared else None

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.loss not in HINGES:
            raise ConfigError(f"LinearSVM: loss must be {', '.join(HINGES)}; got {self.loss!r}")
        if not self.delta > 0:
            raise ConfigError(f"LinearSVM: delta must be above 0, got {self.delta!r}")


class SoftmaxClassifier(_LinearClassifier):
    """Softmax regression: minimises  mean(-ln p_t) + α·R(W),  p = softmax(x Wᵀ + b).

    Of two classes there is one score s, and p = 1/(1 + e^-s) of the second: logistic regression.
    In terms of LogisticRegression's C, α = 1/(C·n). The parameters and attributes are those of
    `LinearSVM`, less loss, delta and squared.

    Source: CS231n, Linear classification; docs/derivations/losses.md.
    """

    def __init__(
        self,
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        solver: str = "lbfgs",
        learning_rate: float | None = None,
        learning_rate_decay: float = 1.0,
        batch_size: int = 200,
        solver_settings: dict[str, Any] | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        tier: str = "auto",
        image_shape: Any = "auto",
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.batch_size = batch_size
        self.solver_settings = solver_settings
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.tier = tier
        self.image_shape = image_shape

    def _loss_settings(self) -> tuple[str, int, float]:
        return "cross_entropy", 1, 0.0

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, classes), each row with sum 1."""
        return self._probabilities(X)

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms."""
        return np.log(self.predict_proba(X))
