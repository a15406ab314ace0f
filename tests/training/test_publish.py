"""A run's weights for others, with a card of where they come from."""

import json
import statistics

import numpy as np
import pytest
from safetensors.numpy import load_file

from chainrule import models
from chainrule.errors import CheckpointError
from chainrule.training import publish, train

QUICK = {"model": "softmax", "epochs": 2, "batch_size": 8, "progress": False}


@pytest.fixture
def runs(divided_images, own_folder):
    return [train(divided_images, seed=seed, out=f"runs/{seed}", **QUICK) for seed in (0, 1, 2)]


def test_weights_and_card(runs, tmp_path):
    folder = publish(runs, "out", tag="colours", notes="Noisy squares.")
    best, written = runs[0].checkpoint, models.from_pretrained(folder)
    for name, value in best.model.state_dict().items():
        np.testing.assert_array_equal(written.state_dict()[name].array, value.array)
    assert set(load_file(folder / "model.safetensors")) == set(best.model.state_dict())
    assert written.pretrained.classes == best.classes and written.pretrained.tag == "colours"
    assert written.pretrained.mean == best.mean and written.pretrained.data == "divided"
    card = (folder / "README.md").read_text()
    accuracies = [run.test_accuracy for run in runs]
    assert f"{statistics.mean(accuracies):.2%} ± {statistics.stdev(accuracies):.2%}" in card
    for run in runs:
        row = f"| {run.config.seed} | {run.val_accuracy:.2%} | {run.test_accuracy:.2%} |"
        assert row in card
    assert "Noisy squares." in card and str(tmp_path) not in card
    assert 'models.create("softmax", weights="colours")' in card


def test_a_card_does_not_make_up_tests_that_were_not_made(images):
    run = train(images, out="runs/untested", **QUICK)
    card = (publish(run, "out") / "README.md").read_text()
    assert f"| 0 | {run.val_accuracy:.2%} | - |" in card and "| 0.00%" not in card
    assert "there were no others to test on" in card and "mean of" not in card


def test_the_recipe_in_the_card_repeats_the_run(runs, divided_images, tmp_path):
    card = (publish(runs[0].path, "out") / "README.md").read_text()
    recipe = card.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "recipe.toml").write_text(recipe)
    again = train(divided_images, config="recipe.toml", seed=0, out="again", progress=False)
    assert again.checkpoint.metrics["val_loss"] == runs[0].checkpoint.metrics["val_loss"]
    assert "standard deviation)" not in card  # of one run


def test_runs_that_do_not_belong_together(runs, divided_images):
    other = train(divided_images, out="runs/other", **{**QUICK, "epochs": 1})
    with pytest.raises(CheckpointError, match=r"other has another recipe than runs.0"):
        publish([*runs, other], "out")
    summary = json.loads((runs[1].path / "summary.json").read_text())
    runs[1].write_json("summary.json", {**summary, "status": "interrupted"})
    with pytest.raises(CheckpointError, match=r"1 is not finished"):
        publish(runs, "out")
    with pytest.raises(CheckpointError, match=r"name at least one run"):
        publish([], "out")
