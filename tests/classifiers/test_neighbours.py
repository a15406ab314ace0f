"""KNearestNeighbors: what scikit-learn's finds, from every algorithm, and what it refuses."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("sklearn") is None:
    pytest.skip("needs scikit-learn: chainrule[classic]", allow_module_level=True)

from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import kernels
from chainrule.classifiers import KNearestNeighbors
from chainrule.errors import ConfigError
from chainrule.kernels.table import why_native_is_absent

ALGORITHMS = ("auto", "two_loops", "one_loop", "no_loop", "native")
METRICS = ("l1", "l2", "cosine")


@pytest.fixture(params=ALGORITHMS)
def algorithm(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "native" and (reason := why_native_is_absent()):
        pytest.skip(f"native kernels are absent: {reason}")
    yield request.param


def digits(examples: int, queries: int, dtype: str = "float64"):
    X, y = load_digits(return_X_y=True)
    X = X.astype(dtype)
    return X[:examples], y[:examples], X[examples : examples + queries]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_same_as_scikit_learn(metric: str, weights: str, algorithm: str) -> None:
    few = algorithm == "two_loops"
    X, y, queries = digits(*((60, 10) if few else (600, 300)))
    ours = KNearestNeighbors(4, metric=metric, weights=weights, algorithm=algorithm).fit(X, y)
    known_as = {"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}[metric]
    theirs = KNeighborsClassifier(4, metric=known_as, weights=weights, algorithm="brute").fit(X, y)
    distances, _ = ours.kneighbors(queries)
    np.testing.assert_allclose(distances, theirs.kneighbors(queries)[0], atol=1e-7)
    np.testing.assert_allclose(
        ours.predict_proba(queries), theirs.predict_proba(queries), atol=1e-7
    )
    assert ours.predict(queries).dtype == y.dtype
    np.testing.assert_array_equal(ours.predict(queries), theirs.predict(queries))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_every_algorithm_gives_the_same_labels(metric: str, dtype: str, algorithm: str) -> None:
    X, y, queries = digits(100, 20, dtype)
    model = KNearestNeighbors(5, metric=metric, algorithm=algorithm).fit(X, y)
    expected = KNearestNeighbors(5, metric=metric, algorithm="one_loop").fit(X, y)
    np.testing.assert_array_equal(model.predict(queries), expected.predict(queries))
    for one, other in zip(model.kneighbors(queries), expected.kneighbors(queries), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-14)


def test_the_other_names_of_metrics() -> None:
    X, y, queries = digits(50, 10)
    for name, metric in {"euclidean": "l2", "manhattan": "l1", "cityblock": "l1"}.items():
        one, other = (KNearestNeighbors(metric=m).fit(X, y) for m in (name, metric))
        np.testing.assert_array_equal(one.kneighbors(queries), other.kneighbors(queries))


def test_equal_votes_go_to_the_label_that_sorts_first(algorithm: str) -> None:
    X = np.array([[0.0], [1], [2], [3]])
    model = KNearestNeighbors(4, algorithm=algorithm).fit(X, ["frog", "frog", "cat", "cat"])
    assert model.predict([[0.1]]) == ["cat"]
    np.testing.assert_array_equal(model.predict_proba([[0.1]]), [[0.5, 0.5]])


def test_equal_distances_go_to_the_example_that_comes_first(algorithm: str) -> None:
    X = np.array([[5.0], [1], [-1], [1]])
    model = KNearestNeighbors(1, algorithm=algorithm).fit(X, [0, 3, 2, 1])
    assert model.predict([[0]]) == [3]
    assert model.kneighbors([[0]], 3)[1].tolist() == [[1, 2, 3]]


def test_neighbours_at_distance_zero_decide_alone() -> None:
    X, y = np.array([[0.0], [0], [1e-300], [1e-300], [1e-300]]), [1, 2, 0, 0, 0]
    model = KNearestNeighbors(5, weights="distance", metric="l1").fit(X, y)
    np.testing.assert_array_equal(model.predict_proba([[0]]), [[0, 0.5, 0.5]])
    assert model.predict([[0]]) == [1]
    np.testing.assert_allclose(model.predict_proba([[4e-300]]).sum(), 1)


def test_examples_among_themselves_leave_themselves_out() -> None:
    X, y, _ = digits(200, 0)
    X[7] = X[9] = X[3]
    model = KNearestNeighbors(3, algorithm="no_loop").fit(X, y)
    distances, index = model.kneighbors()
    assert (index != np.arange(200)[:, None]).all() and distances.shape == (200, 3)
    assert index[9, :2].tolist() == [3, 7] and index[3, :2].tolist() == [7, 9]
    one_out = [model.fit(np.delete(X, i, 0), np.delete(y, i)).predict(X[[i]])[0] for i in range(9)]
    assert model.fit(X, y).predict(None)[:9].tolist() == one_out
    same = KNearestNeighbors(1).fit(np.zeros((5, 2)), range(5)).kneighbors(return_distance=False)
    assert same.ravel().tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("labels", [["b", "a"], [True, False], [-3, 7], [2.0, 1.0]], ids=str)
def test_labels_of_other_types(labels: list) -> None:
    y = np.array(labels * 5, dtype=object if isinstance(labels[0], str) else None)
    model = KNearestNeighbors(1).fit(np.arange(10.0)[:, None], y)
    assert model.classes_.tolist() == sorted(labels)
    assert model.predict([[0.2], [1.2]]).tolist() == labels
    assert model.score(np.arange(10.0)[:, None], y) == 1


def test_one_class_is_a_class() -> None:
    assert KNearestNeighbors(2).fit(np.eye(3), [4, 4, 4]).predict(np.ones((1, 3))) == [4]


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("uint8", "uint8"), ("bool", "uint8"), ("int64", "uint8"), ("float16", "float32"),
     ("float32", "float32"), ("float64", "float64")],
)  # fmt: skip
def test_examples_are_kept_in_a_small_type_and_not_copied(dtype: str, kept: str) -> None:
    X = np.array([[0, 1], [1, 0], [1, 1]], dtype)
    model = KNearestNeighbors(1).fit(X, [0, 1, 2])
    assert model._examples.dtype == kept
    assert np.shares_memory(model._examples, X) == (dtype == kept)
    assert model.predict(X).tolist() == [0, 1, 2]
    wide = KNearestNeighbors(1).fit(np.array([[-1, 300], [5, 5]]), [0, 1])
    assert wide._examples.dtype == np.float64 and wide.predict([[6, 6]]) == [1]


def test_what_cannot_be_is_refused() -> None:
    X, y = np.eye(4), [0, 0, 1, 1]
    for setting, message in {
        ("metric", "l3"): "unknown metric 'l3'; choose one of l2, euclidean",
        ("weights", "none"): "unknown weights 'none'; choose one of uniform, distance",
        ("algorithm", "kd_tree"): "unknown algorithm 'kd_tree'; choose one of auto, two_loops",
        ("n_neighbors", 0): "n_neighbors must be a positive integer, got 0",
        ("n_neighbors", 2.0): "n_neighbors must be a positive integer, got 2.0",
    }.items():
        with pytest.raises(ConfigError, match=message):
            KNearestNeighbors(**dict([setting])).fit(X, y)
    model = KNearestNeighbors(4).fit(X, y)
    with pytest.raises(ConfigError, match="n_neighbors = 5, but there are 4 examples"):
        model.kneighbors(X, 5)
    with pytest.raises(ConfigError, match="n_neighbors = 4, but there are 3 examples"):
        model.kneighbors()
    with pytest.raises(ValueError, match="NaN"):
        model.predict([[0, 0, 0, np.nan]])
    with pytest.raises(ValueError, match="NaN"):
        KNearestNeighbors().fit([[np.nan], [1]], [0, 1])
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4"):
        model.predict(np.ones((1, 3)))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        KNearestNeighbors().fit(csr_matrix(X), y)


def test_native_is_asked_for_by_name_only_where_it_was_built(monkeypatch) -> None:
    module = "chainrule.classifiers.neighbours.why_native_is_absent"
    monkeypatch.setattr(module, lambda: "they were not built")
    with pytest.raises(ConfigError, match="'native' cannot be used: they were not built"):
        KNearestNeighbors(algorithm="native").fit(np.eye(2), [0, 1])


def test_auto_is_the_active_tier(monkeypatch) -> None:
    asked = []
    model = KNearestNeighbors(1).fit(np.eye(2), [0, 1])
    with kernels.use("reference"):
        nearest = kernels.nearest
        monkeypatch.setattr(kernels, "nearest", lambda *a: asked.append(a[3]) or nearest(*a))
        model.predict(np.eye(2))
    assert asked == ["l2"]


def test_works_with_scikit_learn_tools() -> None:
    X, y, _ = digits(300, 0)
    pipe = make_pipeline(StandardScaler(), KNearestNeighbors())
    search = GridSearchCV(pipe, {"knearestneighbors__n_neighbors": [1, 3, 20]}, cv=3).fit(X, y)
    assert search.best_params_["knearestneighbors__n_neighbors"] in (1, 3)
    assert cross_val_score(KNearestNeighbors(1), X, y, cv=3).mean() > 0.9
    copied = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copied.predict(X), search.predict(X))
    assert clone(KNearestNeighbors(7, metric="l1")).get_params() == {
        "n_neighbors": 7, "metric": "l1", "weights": "uniform", "algorithm": "auto",
    }  # fmt: skip
