"""The accuracies of the classic classifiers: what is fitted on what, and the table."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: chainrule[classic]")

from chainrule.data import Splits, load

SOURCE = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
spec = importlib.util.spec_from_file_location("accuracy", SOURCE)
accuracy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(accuracy)


@pytest.fixture(scope="module")
def digits() -> Splits:
    whole = load("digits")
    train, val, test = (p.subset(np.arange(n)) for p, n in
                        ((whole.train, 300), (whole.val, 60), (whole.test, 100)))  # fmt: skip
    return Splits(train, val, test, whole.classes, whole.name)


def test_table_of_digits(digits: Splits) -> None:
    rows = ["hog+colours-svm", "pixels-softmax", "hog+colours-softmax"]
    lines = list(accuracy.table(accuracy.measure(digits, rows, "test"), "test"))
    assert [line.split(" | ")[0] for line in lines[2:]] == [  # rows of one kind together
        "| hog+colours-svm", "| hog+colours-softmax", "| pixels-softmax"
    ]  # fmt: skip
    for line in lines[2:]:
        assert " | 360 | " in line
        assert float(line.split(" | ")[-1].rstrip(" %|")) > 50


def test_settings_are_looked_for_without_the_test_images(digits: Splits) -> None:
    without = Splits(digits.train, digits.val, None, digits.classes, "photos")
    (result,) = accuracy.measure(without, ["pixels-svm"], "val")
    assert result["images"] == 300 and result["features"] == 64
    assert result["val_accuracy"] > 0.8
    with pytest.raises(SystemExit, match="photos has no test images"):
        list(accuracy.measure(without, ["hog-svm"], "test"))


def test_k_is_chosen_by_cross_validation(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = accuracy.ROWS["pixels-knn"]._replace(images=200)
    monkeypatch.setitem(accuracy.ROWS, "pixels-knn", fewer)
    (result,) = accuracy.measure(digits, ["pixels-knn"], "val")
    assert result["images"] == 200 and result["chosen"]["n_neighbors"] in accuracy.NEIGHBOURS
    assert result["val_accuracy"] > 0.8
    assert (
        f"n_neighbors = {result['chosen']['n_neighbors']} |"
        in list(accuracy.table([result], "val"))[-1]
    )


def test_every_row_can_be_made() -> None:
    for features, classifier, _ in accuracy.ROWS.values():
        assert features in accuracy.FEATURES
        assert hasattr(classifier(), "fit")
