"""`chainrule train --model knn`: no epochs, and everything else as with the models that learn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from chainrule import data
from chainrule.cli.main import run
from chainrule.errors import CheckpointError, ConfigError
from chainrule.training import Run, evaluate, predict, publish, train
from chainrule.training.config import OF_LOOP
from tests.training.pictures import chainrule, environment


@pytest.fixture(scope="module")
def kept(divided_images, tmp_path_factory):
    """A run folder."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(divided_images, model="knn", k=3, metric="l1", out=out, progress=False)


def test_the_images_are_kept_and_the_accuracy_reported(kept, divided_images):
    assert kept.summary["status"] == "finished"
    assert kept.test_accuracy == 1.0 and kept.val_accuracy == 1.0
    assert kept.history == []
    splits = data.load(divided_images)
    model = kept.checkpoint.model
    np.testing.assert_array_equal(
        model.images.array, np.asarray(splits.train.images).transpose(0, 3, 1, 2)
    )
    np.testing.assert_array_equal(model.labels.array, splits.train.labels)


def test_the_settings_are_those_that_have_a_meaning(kept):
    text = (kept.path / "config.toml").read_text()
    assert 'k = 3\nmetric = "l1"\nvotes = "uniform"\n' in text
    assert not [name for name in OF_LOOP if f"\n{name} = " in text]
    again = train(config=kept.path / "config.toml", out="again", progress=False)
    assert again.test_accuracy == kept.test_accuracy
    assert {**again.checkpoint.config, "out": str(kept.path)} == kept.checkpoint.config


def test_it_is_evaluated_and_predicts(kept, divided_images):
    assert evaluate(kept).accuracy == 1.0
    image = next((divided_images / "test" / "red").iterdir())
    (prediction,) = predict(kept, image)
    assert prediction.label == "red" and prediction.probability == pytest.approx(1, abs=1e-4)
    assert run(["evaluate", "--weights", str(kept.path), str(divided_images / "test")]) == 0


def test_nearest_neighbours_of_digits_by_the_definition():
    kept = train("digits", model="knn", k=4, progress=False)
    splits = data.load("digits")
    train_rows, test_rows = (
        np.asarray(s.images).reshape(len(s), -1).astype(float) for s in (splits.train, splits.test)
    )
    right = 0
    for row, label in zip(test_rows, splits.test.labels, strict=True):
        nearest = np.argsort(((train_rows - row) ** 2).sum(1), kind="stable")[:4]
        right += np.bincount(splits.train.labels[nearest]).argmax() == label
    assert kept.test_accuracy == pytest.approx(right / len(test_rows))


def test_what_is_shown(divided_images, capsys):
    assert run(["train", str(divided_images), "--model", "knn", "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "model    knn: k 5, metric l2, votes uniform; it keeps the training images" in out
    assert "epoch  " not in out
    assert "reached   100.00% test accuracy (9 images; validation 100.00%)" in out
    assert "best.safetensors (the images), config.toml" in out


def test_the_live_display(divided_images):
    import io

    from rich.console import Console

    from chainrule.training.display import LiveDisplay

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, highlight=False)
    train(divided_images, model="knn", progress=LiveDisplay(console), out="run")
    assert "test accuracy" in screen.getvalue()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "knn", "epochs": 3}, "--epochs: knn keeps the images as they are"),
        ({"model": "knn", "weight_decay": 0.1}, "leave --weight-decay out"),
        ({"model": "softmax", "k": 3}, "--k: softmax has no such option; it goes with --model knn"),
        ({"k": 3}, "--k: .* has no such option"),
        ({"model": "knn", "metric": "l3"}, "metric must be one of l2, l1, cosine"),
    ],
)
def test_settings_without_a_meaning(images, settings, message):
    with pytest.raises(ConfigError, match=message):
        train(images, progress=False, **settings)
    assert not os.path.exists("runs")


def test_there_are_no_weights_to_begin_with_or_to_publish(images, kept):
    with pytest.raises(ConfigError, match="a knn keeps images and has no weights to begin with"):
        train(images, weights=kept.path, progress=False)
    with pytest.raises(CheckpointError, match="keeps images, and has no weights"):
        publish([kept], "folder")
    with pytest.raises(CheckpointError, match="start the run again"):
        train(resume=kept.path, progress=False)


def test_two_layer_is_a_name_of_two_layer_net(images):
    done = train(images, model="two-layer", epochs=1, progress=False)
    assert done.config.model == "two_layer_net"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal (POSIX)")
def test_ctrl_c_leaves_a_model_that_can_be_used(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 3000)):
        from PIL import Image

        for name in ("a", "b"):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "0.png")
            for number in range(1, count):
                (folder / f"{number}.png").hardlink_to(folder / "0.png")
    slow = (  # the kernel takes its time
        "import time, chainrule.kernels as k; fast = k.nearest\n"
        "k.nearest = lambda *a: (time.sleep(0.5), fast(*a))[1]\n"
        "from chainrule.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, "train", "data", "--model", "knn", "--out", "run"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "run" / "best.safetensors").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    wanted = "stopped; the images are kept, to test them: chainrule evaluate run"
    assert out.splitlines()[-1] == wanted
    assert "Traceback" not in error
    assert Run(tmp_path / "run").summary["status"] == "interrupted"
    done = chainrule("predict", "run", "data/test/a/0.png", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)
