"""What scikit-learn asks of an estimator holds for all of ours, with no check left out."""

from __future__ import annotations

import inspect
import warnings
from importlib.util import find_spec

import pytest

if find_spec("sklearn") is None:
    pytest.skip("needs scikit-learn: chainrule[classic]", allow_module_level=True)

from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_estimator

from chainrule import classifiers

ESTIMATORS = [
    cls
    for cls in (getattr(classifiers, name) for name in classifiers.__all__)
    if inspect.isclass(cls) and issubclass(cls, BaseEstimator)
]
NOT_INSTALLED = [name for name in ("pandas", "polars") if find_spec(name) is None]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_scikit_learn_finds_nothing_wrong(
    estimator: type[BaseEstimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without it, one check would not run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks with too few samples for the default settings
        results = check_estimator(estimator(), on_skip=None, on_fail=None)
    assert len(results) > 40
    wanting = [
        f"{r['check_name']} {r['status']}: {r['exception']!r}"
        for r in results
        if r["status"] != "passed" and f"{r['exception']}".partition(" ")[0] not in NOT_INSTALLED
    ]
    assert wanting == []


def test_a_wrong_estimator_is_found() -> None:
    class Forgetful(BaseEstimator):
        def __init__(self, size: int = 1) -> None:
            self.size = size + 1

        def fit(self, X: object, y: object = None) -> Forgetful:
            return self

    results = check_estimator(Forgetful(), on_skip=None, on_fail=None)
    assert [r for r in results if r["status"] == "failed"]
