"""The experiment on depth: what it reads of a run, its table, its figure."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "benchmarks" / "degradation.py"
spec = importlib.util.spec_from_file_location("degradation", SOURCE)
degradation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(degradation)

OF_ONE_SEED = {
    "seed": 0,
    "train_loss": [2.0, 1.5],
    "train_error": [0.7, 0.5],
    "val_error": [0.6, 0.4],
    "test_error": 0.45,
    "seconds": 3.0,
}
RUNS = {
    "plain20": [
        OF_ONE_SEED,
        OF_ONE_SEED | {"seed": 1, "test_error": 0.47, "val_error": [0.6, 0.5]},
    ],
    "resnet56": [OF_ONE_SEED | {"test_error": None}],
}


def test_table_has_mean_and_spread_over_seeds():
    head, plain, residual = degradation.table(RUNS)
    assert head.split() == ["train", "loss", "train", "error", "val", "error", "test", "error"]
    assert plain.split("  ")[0] == "plain20" and "1.5000" in plain
    assert plain.endswith("50.00 % ± 0.00  45.00 % ± 7.07  46.00 % ± 1.41")
    assert residual.split() == ["resnet56", "1.5000", "50.00", "%", "40.00", "%", "-"]


def test_figure_has_a_panel_for_each_kind(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra chainrule[plot]")
    degradation.draw(RUNS, tmp_path / "both.svg", "of two kinds")
    both = (tmp_path / "both.svg").read_bytes()
    degradation.draw({"plain20": RUNS["plain20"]}, tmp_path / "one.svg", "of one kind")
    assert both.startswith(b"<?xml") and len(both) > len((tmp_path / "one.svg").read_bytes())


def test_a_run_is_trained_and_read():
    run = degradation.train("digits", "softmax", 2, 5, ["--image-size", "8", "--lr", "0.01"])
    assert run["seed"] == 5 and run["seconds"] > 0
    assert len(run["train_loss"]) == len(run["train_error"]) == len(run["val_error"]) == 2
    assert 0 < run["test_error"] < 0.6
