"""`chainrule cv`: the table, the files, and what becomes of bad input."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: chainrule[classic]")

from chainrule.classifiers.selection import CrossValidation
from chainrule.cli.main import run


@pytest.fixture
def refused(capsys):
    def call(*arguments):
        assert run(["cv", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("chainrule: error: ") and error.count("\n") == 1
        return error

    return call


def test_the_table_and_the_files(capsys):
    files = ["--json", "r.json", "--csv", "r.csv"]
    if find_spec("matplotlib"):
        files += ["--plot", "r.png"]
    command = ["cv", "digits", "--model", "knn", "--k", "1,40,3", "--folds", "3", "--test", *files]
    assert run([*command, "--images", "300"]) == 0
    out = capsys.readouterr().out
    assert "digits: 300 images, 8 x 8 grey, 10 classes; knn, 3 candidates, 3 folds" in out
    assert [line for line in out.splitlines() if line.startswith("fold ")] == [
        f"fold {n} of 3 is done" for n in (1, 2, 3)
    ]
    facts = json.loads(Path("r.json").read_text())
    assert facts["data"] == "digits" and facts["images"] == 300
    means = {c["settings"]["k"]: c["mean"] for c in facts["candidates"]}
    assert list(means) == [1, 40, 3]
    best = facts["best"]["k"]
    assert means[best] == max(means.values()) and means[40] < means[best]
    assert f"best     k {best}: {means[best]:.2%}, mean of 3 folds" in out
    assert f"test     {facts['test']['accuracy']:.2%} of 359 images, after learning from 300" in out
    rows = list(csv.DictReader(Path("r.csv").read_text().splitlines()))
    assert [row["k"] for row in rows] == ["1", "40", "3"]
    assert float(rows[1]["mean"]) == means[40]
    folds = [float(rows[1][f"fold{n}"]) for n in (1, 2, 3)]
    assert folds == facts["candidates"][1]["accuracies"]
    assert any(f"{means[40]:.2%}" in line.split() for line in out.splitlines())
    if find_spec("matplotlib"):
        assert Path("r.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_and_features(images, capsys):
    command = ["cv", str(images), "--model", "softmax", "--alpha", "1e-3", "--features", "color"]
    assert run([*command, "--folds", "2"]) == 0
    out = capsys.readouterr().out
    assert "24 images, 12 x 12 colour, 3 classes; softmax, 1 candidates, 2 folds" in out
    assert "best     alpha 0.001: 100.00%" in out


def test_ctrl_c_shows_and_writes_the_folds_that_are_done(monkeypatch, capsys):
    real = CrossValidation._fold
    folds = []

    def interrupted(self, *arguments):
        folds.append(1)
        if len(folds) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(CrossValidation, "_fold", interrupted)
    command = ["cv", "digits", "--model", "knn", "--k", "1,3", "--json", "r.json"]
    assert run(command) == 130
    out, error = capsys.readouterr()
    assert error == "chainrule: interrupted; 2 of 5 folds are done\n"
    assert "mean of 2 folds" in out and "fold 3" not in out
    assert json.loads(Path("r.json").read_text())["folds_done"] == 2
    folds[:] = [1, 1]
    assert run(command) == 130
    assert capsys.readouterr().err == "chainrule: interrupted; no fold was done\n"


def test_refusals(refused, images):
    assert "knn has no setting 'alpha'" in refused("digits", "--model", "knn", "--alpha", 1)
    assert "'1,x': expects whole numbers" in refused("digits", "--model", "knn", "--k", "1,x")
    assert "of at least 1" in refused("digits", "--model", "knn", "--k", "0")
    assert "'l3': expects l2, l1, cosine" in refused("digits", "--model", "knn", "--metric", "l3")
    assert "'resnet20' is not one of 'knn'" in refused("digits", "--model", "resnet20")
    assert "there is no folder absent" in refused(
        "digits", "--model", "knn", "--json", "absent/r.json"
    )
    assert "a figure is .png" in refused("digits", "--model", "knn", "--plot", "r.txt")
    assert "--images 9999: there are 1,438" in refused("digits", "--model", "knn", "--images", 9999)
    assert "has no test images; leave --test out" in refused(images, "--model", "knn", "--test")
    assert "absent does not exist" in refused("absent", "--model", "knn")


def test_without_scikit_learn_it_says_what_to_install(monkeypatch, refused):
    import sys

    for name in [n for n in sys.modules if n.startswith("chainrule.classifiers")]:
        monkeypatch.delitem(sys.modules, name)
    real = find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == "sklearn" else real(name, *a)
    )
    assert 'pip install "chainrule[classic]"' in refused("digits", "--model", "knn")
