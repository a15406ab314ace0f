"""What default settings reach on real images."""

import os
from pathlib import Path

import pytest

from chainrule.training import train
from chainrule.training.config import RATES

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_digits_reach_97_percent_by_default():
    run = train("digits", progress=False)
    assert run.config.model == "lenet5"
    assert run.test_accuracy >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("rule", RATES)
def test_every_rule_has_a_rate_that_works(rule):
    run = train("digits", optimizer=rule, epochs=12, progress=False)  # of 40 by default
    assert run.config.lr == RATES[rule] or rule == "adam"  # the recipe's own rule
    assert run.test_accuracy >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["onecycle", "cosine-restarts", "plateau"])
def test_other_kinds_of_schedules_work_by_default(schedule):
    assert train("digits", schedule=schedule, epochs=12, progress=False).test_accuracy >= 0.95


@pytest.mark.slow
def test_one_epoch_of_mnist_reaches_96_percent():
    folder = Path(os.environ.get("CHAINRULE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no MNIST in {folder}; name the folder above it in CHAINRULE_TEST_DATA")
    run = train("mnist", data_dir=folder, epochs=1, threads=1, progress=False)
    assert run.test_accuracy >= 0.96
