"""LinearSVM, SoftmaxClassifier, TwoLayerNet: the minimum is scikit-learn's, by every solver."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: chainrule[classic]")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from chainrule import kernels
from chainrule.classifiers import LinearSVM, SoftmaxClassifier, TwoLayerNet
from chainrule.classifiers.descent import RULES
from chainrule.errors import ConfigError, DivergenceError
from chainrule.kernels import reference

HINGES = ("weston_watkins", "crammer_singer", "one_vs_all")


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16 - 0.3, y[:600]


@pytest.fixture(scope="module")
def tumours() -> tuple[Any, Any]:
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X)[:300], y[:300]


def objective(model: Any, X: Any, y: Any, coef: Any, intercept: Any) -> float:
    """By the definition: mean loss + α·R(W), of many classes."""
    name, p, margin = model._loss_settings()
    target = np.searchsorted(np.unique(y), y)
    losses, *_ = reference.linear_classifier(X, coef, intercept, target, name, p, margin)
    share = {"l1": 1, "l2": 0, "elasticnet": model.l1_ratio}[model.penalty]
    penalty = share * np.abs(coef).sum() + (1 - share) / 2 * (coef**2).sum()
    return float(losses.mean() + model.alpha * penalty)


# -- the same minimum ------------------------------------------------------------------------


@pytest.mark.parametrize("squared", [False, True])
def test_two_classes_have_the_minimum_of_linear_svc_with_c_1_over_lambda(squared, tumours):
    """λ = α·n where the losses are summed: α·n·½w² + Σ ℓ, and ½w² + C·Σ ℓ with C = 1/λ."""
    X, y = tumours
    alpha = 0.01
    peer = LinearSVC(
        C=1 / (alpha * len(X)), loss="squared_hinge" if squared else "hinge", tol=1e-7,
        max_iter=100_000, fit_intercept=False, dual=True,
    ).fit(X, y)  # fmt: skip
    model = LinearSVM(squared=squared, alpha=alpha, fit_intercept=False, tol=1e-7).fit(X, y)
    hinges = np.maximum(0, 1 - np.where(y == 1, 1, -1) * (X @ peer.coef_[0]))
    best = (hinges ** (1 + squared)).mean() + alpha / 2 * (peer.coef_**2).sum()
    assert model.loss_curve_[-1] == pytest.approx(best, rel=1e-6 if squared else 1e-4)
    assert model.coef_.shape == (1, X.shape[1]) and model.templates_.shape == (1, 1, 1, 30)
    np.testing.assert_allclose(
        model.decision_function(X), peer.decision_function(X), atol=2e-3 if squared else 0.05
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("loss", HINGES)
def test_two_classes_are_one_machine_whatever_the_loss(loss, tumours):
    curve = LinearSVM(loss, max_iter=5, tol=0).fit(*tumours).loss_curve_
    np.testing.assert_array_equal(curve, LinearSVM(max_iter=5, tol=0).fit(*tumours).loss_curve_)


@pytest.mark.parametrize(("loss", "kind"), [("crammer_singer", "crammer_singer"),
                                            ("one_vs_all", "ovr")])  # fmt: skip
def test_many_classes_have_the_minimum_of_linear_svc(loss, kind, digits):
    X, y = digits
    alpha = 0.01
    peer = LinearSVC(
        C=1 / (alpha * len(X)), multi_class=kind, loss="hinge", tol=1e-6, max_iter=100_000,
        fit_intercept=False,
    ).fit(X, y)  # fmt: skip
    model = LinearSVM(loss, alpha=alpha, fit_intercept=False, tol=1e-6).fit(X, y)
    best = objective(model, X, y, peer.coef_, np.zeros(10))
    assert model.loss_curve_[-1] == pytest.approx(
        objective(model, X, y, model.coef_, model.intercept_), rel=1e-12
    )
    assert best * (1 - 1e-6) < model.loss_curve_[-1] < best * 1.001
    assert (model.predict(X) == peer.predict(X)).mean() > 0.99


@pytest.mark.parametrize("classes", [2, 10])
def test_softmax_has_the_minimum_of_logistic_regression(classes, digits):
    X, y = digits
    X, y = X[y < classes], y[y < classes]
    alpha = 1e-2
    peer = LogisticRegression(C=1 / (alpha * len(X)), tol=1e-8, max_iter=1000).fit(X, y)
    model = SoftmaxClassifier(alpha=alpha, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=2e-4)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=2e-3)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "rprop"])
@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
def test_an_l1_penalty_gives_zeros_and_the_conditions_of_the_minimum(penalty, solver, tumours):
    """The loss's slope balances the penalty's where w is not 0, and is no larger where it is."""
    X, y = tumours
    rate = {"sgd": 0.3, "rprop": 0.01}.get(solver)
    model = LinearSVM(
        squared=True, penalty=penalty, l1_ratio=0.8, alpha=0.02, solver=solver, learning_rate=rate,
        batch_size=len(X), max_iter=1500, tol=1e-10, n_iter_no_change=100,
    )  # fmt: skip
    model.fit(X, y)
    w, ratio = model.coef_[0], 1.0 if penalty == "l1" else 0.8
    signs = np.where(y == 1, 1, -1)
    hinges = np.maximum(0, 1 - signs * model.decision_function(X))
    slopes = -2 * (hinges * signs) @ X / len(X) + 0.02 * (1 - ratio) * w
    assert 5 < (w == 0).sum() < 28
    assert (np.abs(slopes[w == 0]) < 0.02 * ratio * 1.01).all()
    np.testing.assert_allclose(slopes[w != 0], -0.02 * ratio * np.sign(w[w != 0]), atol=4e-4)


def test_elastic_net_has_the_minimum_of_logistic_regression(tumours):
    X, y = tumours
    peer = LogisticRegression(
        C=1 / (0.02 * len(X)), l1_ratio=0.5, solver="saga", tol=1e-6, max_iter=5000
    ).fit(X, y)
    model = SoftmaxClassifier(penalty="elasticnet", l1_ratio=0.5, alpha=0.02, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=2e-3)
    np.testing.assert_array_equal(model.coef_ == 0, peer.coef_ == 0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", sorted(set(RULES) - {"lbfgs"}))
def test_every_optimizer_comes_near_the_minimum(solver, digits):
    X, y = digits
    rate = {"adadelta": 20.0, "sgd": 0.5, "momentum": 0.1, "nesterov": 0.1, "asgd": 0.5,
            "adagrad": 0.1, "rprop": 0.01, "radam": 0.05}.get(solver, 0.01)  # fmt: skip
    best = SoftmaxClassifier(alpha=0.01).fit(X, y).loss_curve_[-1]
    model = SoftmaxClassifier(
        alpha=0.01, solver=solver, learning_rate=rate, max_iter=20, random_state=0,
        batch_size=len(X) if solver == "rprop" else 50,
    ).fit(X, y)  # fmt: skip
    reached = objective(model, X, y, model.coef_, model.intercept_)
    assert best <= reached * (1 + 1e-6) and reached < 1.3 * best


# -- tiers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", [*map(LinearSVM, HINGES), SoftmaxClassifier(), TwoLayerNet(5)],
                         ids=lambda m: getattr(m, "loss", type(m).__name__))  # fmt: skip
def test_every_tier_learns_the_same(model, dtype, digits):
    X, y = digits[0][:60].astype(dtype), digits[1][:60] % 3
    tiers = ["naive", "reference"]
    if not kernels.describe().get("native_absent"):
        tiers.append("native")
    # rates that are no multiple of what the hinges of equal scores would bring to a kink
    settings = {"solver": "sgd", "learning_rate": 0.0123, "batch_size": 30, "random_state": 0}
    fits = []
    for tier in tiers:
        with pytest.warns(ConvergenceWarning):
            fits.append(clone(model).set_params(**settings, max_iter=2, tier=tier).fit(X, y))
    naive, *others = fits
    for other in others:
        assert other.decision_function(X).dtype == dtype
        np.testing.assert_allclose(
            other.decision_function(X), naive.decision_function(X),
            atol={"float32": 2e-6, "float64": 1e-13}[dtype],
        )  # fmt: skip
        np.testing.assert_array_equal(other.predict(X), naive.predict(X))


# -- learning --------------------------------------------------------------------------------


def test_a_two_layer_net_learns_what_no_linear_classifier_can():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (400, 2))
    y = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    net = TwoLayerNet(20, solver="lbfgs", random_state=1, tol=1e-3).fit(X, y)
    assert net.score(X, y) > 0.97 > 0.7 > SoftmaxClassifier().fit(X, y).score(X, y)
    assert [w.shape for w in (*net.coefs_, *net.intercepts_)] == [(20, 2), (2, 20), (20,), (2,)]
    assert net.templates_.shape == (20, 1, 1, 2)
    assert net.predict_proba(X).shape == (400, 2)


def test_partial_fit_goes_through_the_samples_once_and_needs_batches(digits):
    X, y = digits
    model = LinearSVM(solver="nesterov", learning_rate=0.05, random_state=0)
    for _ in range(8):
        for part in np.array_split(np.arange(len(X)), 3):
            model.partial_fit(X[part], y[part], classes=range(10))
    assert model.n_iter_ == len(model.loss_curve_) == 24
    assert model.score(X, y) > 0.9
    assert not hasattr(LinearSVM(), "partial_fit")
    with pytest.raises(ValueError, match="in its first call"):
        clone(model).partial_fit(X, y)
    with pytest.raises(ValueError, match="other than in the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes \[11\] that are not among"):
        model.partial_fit(X[:1], [11])


def test_warm_start_goes_on_and_pickles_predict_the_same(digits):
    X, y = digits
    model = SoftmaxClassifier(max_iter=3, warm_start=True, tol=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=3 reached"):
        first = model.fit(X, y).loss_curve_
    with pytest.warns(ConvergenceWarning):
        assert model.fit(X, y).loss_curve_[0] < first[-1]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.decision_function(X), model.decision_function(X))
    with pytest.raises(ValueError, match="warm_start: y has the classes"):
        model.fit(X, y + 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_early_stopping_keeps_the_best_weights(digits):
    X, y = digits
    model = TwoLayerNet(
        30, early_stopping=True, learning_rate=0.02, n_iter_no_change=3, random_state=0
    ).fit(X, y)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 200
    assert model.best_validation_score_ == max(scores) > 0.8
    assert max(scores[-3:]) <= max(scores[:-3]) + model.tol


def test_ctrl_c_keeps_what_was_learnt(digits, monkeypatch):
    model = SoftmaxClassifier()
    whole = SoftmaxClassifier().fit(*digits)
    loss = SoftmaxClassifier._loss

    def interrupted(self, *arguments):
        if self.n_iter_ == 4:
            raise KeyboardInterrupt
        return loss(self, *arguments)

    monkeypatch.setattr(SoftmaxClassifier, "_loss", interrupted)
    with pytest.warns(UserWarning, match="interrupted after 4 iterations"):
        model.fit(*digits)
    assert model.loss_curve_ == whole.loss_curve_[:4]
    reached = objective(model, *digits, model.coef_, model.intercept_)
    assert reached == pytest.approx(model.loss_curve_[-1])


def test_verbose_prints_each_iteration(digits, capsys):
    model = SoftmaxClassifier(verbose=True).fit(*digits)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_ and lines[-1].split()[1] == "objective"


def test_a_grid_is_searched_by_scikit_learn(digits):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LinearSVM("crammer_singer")),
        {"linearsvm__alpha": [1e-2, 10.0]}, cv=2,
    ).fit(*digits)  # fmt: skip
    assert search.best_params_ == {"linearsvm__alpha": 1e-2} and search.best_score_ > 0.8


@pytest.mark.parametrize("model", [LinearSVM(solver="adam"), TwoLayerNet(5)], ids=str)
def test_the_type_of_the_first_samples_is_kept(model, digits):
    X, y = digits
    single, double = X[:60].astype(np.float32), X[:60]
    model = clone(model).set_params(random_state=0).partial_fit(single, y[:60], classes=range(10))
    np.testing.assert_array_equal(model.decision_function(double), model.decision_function(single))
    assert model.partial_fit(double, y[:60]).decision_function(double).dtype == np.float32


def test_templates_are_images(digits):
    model = SoftmaxClassifier(image_shape=(1, 8, 8)).fit(*digits)
    assert model.templates_.shape == (10, 1, 8, 8)
    np.testing.assert_array_equal(model.templates_[3].ravel(), model.coef_[3])
    assert SoftmaxClassifier().fit(*digits).templates_.shape == (10, 1, 8, 8)


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            LinearSVM("hinge"),
            "loss must be weston_watkins, .*one_vs_all; got",
        ),
        (LinearSVM(delta=0), "delta must be above 0, got 0"),
        (LinearSVM(penalty="l3"), "penalty must be l2, l1, elasticnet or None, got 'l3'"),
        (SoftmaxClassifier(alpha=-1), "alpha must be a number, and not negative, got -1"),
        (SoftmaxClassifier(batch_size=0), "batch_size must be a whole number from 1 on, got 0"),
        (SoftmaxClassifier(solver="newton"), "solver must be one of .*adam.*; got 'newton'"),
        (SoftmaxClassifier(solver="adam", solver_settings={"speed": 1}), "no setting 'speed'"),
        (SoftmaxClassifier(solver_settings={"lines": 1}), r"history_size, not \['lines'\]"),
        (SoftmaxClassifier(tier="gpu"), "tier must be auto, naive, reference or native"),
        (SoftmaxClassifier(l1_ratio=2), "l1_ratio must be between 0 and 1"),
        (SoftmaxClassifier(learning_rate_decay=0), "learning_rate_decay must be above 0"),
        (TwoLayerNet(0), "hidden must be 1 or more, got 0"),
    ],
)
def test_impossible_settings(model, message, digits):
    with pytest.raises(ConfigError, match=message):
        model.fit(*digits)


def test_bad_data(digits):
    X, y = digits
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match="y has one class: 3"):
        LinearSVM().fit(X[y == 3], y[y == 3])
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        LinearSVM().fit(sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="NaN"):
        LinearSVM().fit(np.where(X[0, 0] == X, np.nan, X), y)
    with pytest.raises(ValueError, match="10 features, but SoftmaxClassifier is expecting 64"):
        SoftmaxClassifier().fit(X, y).predict(X[:, :10])
    with pytest.raises(DivergenceError, match=r"the objective became .*; lower learning_rate"), \
            np.errstate(all="ignore"):  # fmt: skip
        LinearSVM(squared=True, solver="sgd", learning_rate=1e9).fit(X * 1e100, y)
