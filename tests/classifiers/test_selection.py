"""Cross-validation: fold by fold what scikit-learn's tools give."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: chainrule[classic]")

from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from chainrule import data
from chainrule.classifiers import KNearestNeighbors, image_rows, selection
from chainrule.classifiers.selection import KINDS, CrossValidation, training_rows
from chainrule.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
LABELS = np.arange(90) % 3
ROWS = (RNG.normal(size=(90, 12)) + 0.8 * LABELS[:, None]).astype(np.float32)
DIVIDED = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def digits():
    rows, labels = training_rows(data.load("digits"), 200)
    return rows, labels


def test_k_and_its_votes_as_scikit_learn_finds_them():
    grid = {"k": (1, 4, 9), "votes": ("uniform", "distance"), "metric": ("l2", "l1")}
    search = CrossValidation("knn", grid, folds=3).run(ROWS, LABELS)
    theirs = GridSearchCV(
        KNeighborsClassifier(algorithm="brute"),
        {"n_neighbors": grid["k"], "weights": grid["votes"], "metric": ["euclidean", "manhattan"]},
        cv=DIVIDED,
    ).fit(ROWS, LABELS)
    results = theirs.cv_results_
    names = {"euclidean": "l2", "manhattan": "l1"}
    wanted = {
        (p["n_neighbors"], p["weights"], names[p["metric"]]): [
            results[f"split{fold}_test_score"][i] for fold in range(3)
        ]
        for i, p in enumerate(results["params"])
    }
    assert len(search.candidates) == len(wanted) == 12
    for candidate in search.candidates:
        s = candidate.settings
        np.testing.assert_allclose(
            candidate.accuracies, wanted[s["k"], s["votes"], s["metric"]], err_msg=str(s)
        )
    assert search.best.mean == pytest.approx(theirs.best_score_)


def test_neighbours_are_looked_for_once_for_each_metric_and_fold(monkeypatch):
    calls = []
    real = KNearestNeighbors.kneighbors
    monkeypatch.setattr(
        KNearestNeighbors, "kneighbors", lambda s, X: (calls.append(s.n_neighbors), real(s, X))[1]
    )
    grid = {"k": (1, 2, 8), "metric": ("l2", "cosine"), "votes": ("uniform", "distance")}
    CrossValidation("knn", grid, folds=3).run(ROWS, LABELS)
    assert calls == [8] * 6


@pytest.mark.parametrize("model", ["svm", "softmax", "two-layer"])
def test_the_others_as_cross_val_score_finds_them(model, digits):
    grid = {"alpha": (1e-3, 1e-1), "max_iter": (5,)}
    search = CrossValidation(model, grid, folds=3).run(*digits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for candidate in search.candidates:
            pipeline = search.pipeline(candidate.settings)
            wanted = cross_val_score(pipeline, *digits, cv=DIVIDED)
            np.testing.assert_allclose(candidate.accuracies, wanted)
    assert search.unfinished == 6  # 5 iterations are not enough


def test_features_stand_before_the_classifier(digits):
    search = CrossValidation("knn", {"k": (1,)}, folds=2, features="hog+edges").run(*digits)
    assert 0.5 < search.best.mean <= 1
    names = [type(t).__name__ for _, t in search.preparation.steps[0][1].transformer_list]
    assert names == ["HOG", "EdgeFeatures"]


def test_the_best_is_fitted_to_all_and_tested_once():
    search = CrossValidation("knn", {"k": (1, 5)}, folds=2).run(ROWS[:60], LABELS[:60])
    accuracy = search.try_best(ROWS[:60], LABELS[:60], ROWS[60:], LABELS[60:])
    own = KNearestNeighbors(search.best.settings["k"]).fit(ROWS[:60], LABELS[:60])
    assert accuracy == own.score(ROWS[60:], LABELS[60:])
    assert search.test == {"accuracy": accuracy, "images": 30, "trained_on": 60}


# -- what stops it ---------------------------------------------------------------------------------


def test_ctrl_c_keeps_whole_folds():
    def stop(done, total, settings):
        assert total == 6
        if done == 5:  # in the middle of the third fold
            raise KeyboardInterrupt

    search = CrossValidation("knn", {"k": (1, 3)}, folds=3)
    with pytest.raises(KeyboardInterrupt):
        search.run(ROWS, LABELS, stop)
    assert search.done == 2
    whole = CrossValidation("knn", {"k": (1, 3)}, folds=3).run(ROWS, LABELS)
    for cut, candidate in zip(search.candidates, whole.candidates, strict=True):
        assert cut.accuracies == candidate.accuracies[:2]
    facts = json.loads(json.dumps(search.as_dict()))
    assert facts["folds"] == 3 and facts["folds_done"] == 2


def test_what_ctrl_c_left_of_an_estimator_is_no_result(monkeypatch):
    class Stopped(KNearestNeighbors):
        def fit(self, X, y):
            warnings.warn("interrupted after 3 iterations", stacklevel=2)
            return super().fit(X, y)

    kind = replace(KINDS["svm"], estimator=lambda alpha, random_state: Stopped())
    monkeypatch.setitem(selection.KINDS, "svm", kind)
    search = CrossValidation("svm", folds=2)
    with pytest.raises(KeyboardInterrupt):
        search.run(ROWS, LABELS)
    assert search.done == 0 and search.as_dict()["best"] is None


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("tree",), {}, "unknown model 'tree'; choose one of knn, svm, softmax, two-layer"),
        (("knn",), {"folds": 1}, "at least 2 folds, got 1"),
        (("knn", {"alpha": (1,)}), {}, "knn has no setting 'alpha'; it has k, metric, votes"),
        (("svm", {"alpha": ()}), {}, "no values were given for alpha"),
        (("svm",), {"features": "hog+sift"}, "unknown features 'sift'; pixels, or some of hog"),
    ],
)
def test_what_there_is_not(arguments, settings, message):
    with pytest.raises(ConfigError, match=message):
        CrossValidation(*arguments, **settings)


def test_too_few_images():
    with pytest.raises(DataError, match="the smallest of 2 images"):
        CrossValidation("knn", folds=3).run(ROWS[:8], LABELS[:8])
    with pytest.raises(ConfigError, match="k = 61, but with 3 folds of 90 images only 60 are"):
        CrossValidation("knn", {"k": (1, 61)}, folds=3).run(ROWS, LABELS)
    search = CrossValidation("knn", folds=3).run(ROWS, LABELS)  # of its own k's those that can be
    assert [c.settings["k"] for c in search.candidates] == [1, 3, 5, 8, 10, 12, 15, 20, 50]


# -- curves and data -------------------------------------------------------------------------------


def test_curves_go_over_the_setting_with_most_numbers():
    grid = {"k": (1, 5), "metric": ("l2", "l1"), "votes": ("uniform",)}
    search = CrossValidation("knn", grid, folds=2).run(ROWS, LABELS)
    name, curves = search.curves()
    assert name == "k"
    assert {label: list(points) for label, points in curves.items()} == {
        "metric l2": [1, 5],
        "metric l1": [1, 5],
    }
    assert curves["metric l1"][5] == search.candidates[-1].accuracies


def test_images_for_training_are_all_but_those_for_tests():
    splits = data.load("digits")
    rows, labels = training_rows(splits)
    assert len(rows) == len(splits.train) + len(splits.val) == len(labels)
    np.testing.assert_array_equal(rows[: len(splits.train)], image_rows(splits.train))
    part, chosen = training_rows(splits, 100, seed=3)
    assert part.dtype == np.uint8 and len(part) == 100
    assert np.ptp(np.bincount(chosen)) <= 1  # about ten of each class
    known = {row.tobytes(): label for row, label in zip(rows, labels, strict=True)}
    assert all(known[r.tobytes()] == y for r, y in zip(part, chosen, strict=True))
    again, _ = training_rows(splits, 100, seed=3)
    np.testing.assert_array_equal(part, again)
    assert not np.array_equal(training_rows(splits, 100, seed=4)[0], part)
    for count in (5, 5000):
        with pytest.raises(ConfigError, match=f"--images {count}: there are 1,438"):
            training_rows(splits, count)
