"""A two-layer net: a linear classifier on features that it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

import chainrule.nn.functional as F
from chainrule.autograd import grad, no_grad
from chainrule.classifiers.gradient import Array, GradientClassifier
from chainrule.classifiers.images import find_image_shape
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

__all__ = ["TwoLayerNet"]


class TwoLayerNet(GradientClassifier):
    """A net of two layers: minimises  mean(-ln p_t) + α·(R(W₁) + R(W₂)).

    p = softmax(relu(x W₁ᵀ + b₁) W₂ᵀ + b₂), with ``hidden`` units between. W₁ and W₂ start from
    normal numbers of standard deviation √(2/inputs) and √(1/inputs); biases from 0.

    The other parameters are those of `LinearSVM`, less loss, delta, squared and fit_intercept. The
    default solver is Adam with batches. The objective has many minima: ``random_state`` chooses.

    Attributes: coefs_, intercepts_: [(hidden, D), (classes, hidden)] and [(hidden,), (classes,)];
    templates_: the rows of W₁ as images (hidden, C, H, W); classes_, loss_curve_, n_iter_,
    n_features_in_, validation_scores_, best_validation_score_.

    Source: CS231n, Neural networks part 1; He et al. 2015, arXiv:1502.01852 (the start).
    """

    def __init__(
        self,
        hidden: int = 100,
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float = 0.15,
        solver: str = "adam",
        learning_rate: float | None = None,
        learning_rate_decay: float = 1.0,
        batch_size: int = 200,
        solver_settings: dict[str, Any] | None = None,
        max_iter: int = 200,
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
        self.hidden = hidden
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
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

    def _check_settings(self) -> None:
        super()._check_settings()
        if not (isinstance(self.hidden, int | np.integer) and self.hidden >= 1):
            raise ConfigError(f"TwoLayerNet: hidden must be 1 or more, got {self.hidden!r}")

    def _initial(self, features: int, rng: np.random.RandomState) -> dict[str, Array]:
        hidden, classes = self.hidden, len(self.classes_)
        return {
            "weight1": rng.standard_normal((hidden, features)) * np.sqrt(2 / features),
            "bias1": np.zeros(hidden),
            "weight2": rng.standard_normal((classes, hidden)) * np.sqrt(1 / hidden),
            "bias2": np.zeros(classes),
        }

    def _loss(
        self, parameters: dict[str, Tensor], X: Array, target: Array
    ) -> tuple[float, list[Array]]:
        params = list(parameters.values())
        for p in params:
            p.requires_grad = True
        loss = F.cross_entropy(_net(Tensor(X), *params), Tensor(target))
        return loss.item(), [g.array for g in grad(loss, params)]

    def _scores(self, X: Array) -> Array:
        with no_grad():
            scores = _net(Tensor(X), *self._parameters.values()).array
        return scores[:, 1:] - scores[:, :1] if scores.shape[1] == 2 else scores

    @property
    def coefs_(self) -> list[Array]:
        """W₁ (hidden, D) and W₂ (classes, hidden)."""
        check_is_fitted(self, "_parameters")
        return [p.array for name, p in self._parameters.items() if "weight" in name]

    @property
    def intercepts_(self) -> list[Array]:
        """b₁ (hidden,) and b₂ (classes,)."""
        check_is_fitted(self, "_parameters")
        return [p.array for name, p in self._parameters.items() if "bias" in name]

    @property
    def templates_(self) -> Array:
        """The rows of W₁ as images (hidden, C, H, W)."""
        first = self.coefs_[0]
        shape = find_image_shape("TwoLayerNet", self.image_shape, first.shape[1])
        return first.reshape(-1, *shape)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, classes), each row with sum 1."""
        return self._probabilities(X)

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms."""
        return np.log(self.predict_proba(X))


def _net(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return F.linear(F.relu(F.linear(x, weight1, bias1)), weight2, bias2)
