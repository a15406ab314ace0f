"""What default settings reach on real images."""

import os
from pathlib import Path

import pytest

from chainrule.training import train

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_digits_reach_97_percent_by_default():
    run = train("digits", progress=False)
    assert run.config.model == "lenet5"
    assert run.test_accuracy >= 0.97


@pytest.mark.slow
def test_one_epoch_of_mnist_reaches_96_percent():
    folder = Path(os.environ.get("CHAINRULE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no MNIST in {folder}; name the folder above it in CHAINRULE_TEST_DATA")
    run = train("mnist", data_dir=folder, epochs=1, threads=1, progress=False)
    assert run.test_accuracy >= 0.96
