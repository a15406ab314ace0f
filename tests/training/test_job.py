"""The whole job from Python: what a run folder holds, repeats, resumes, and refuses."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import chainrule as cr
from chainrule.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
)
from chainrule.training import (
    Display,
    Run,
    evaluate,
    load_checkpoint,
    predict,
    save_checkpoint,
    train,
)
from chainrule.training.config import RATES
from chainrule.training.run import _new_folder, best_epoch
from tests.training.pictures import environment, make_images

QUICK = {"model": "softmax", "epochs": 3, "batch_size": 8, "lr": 0.01, "progress": False}


def bits(path):
    return {name: array.tobytes() for name, array in load_file(path).items()}


def history(run):
    timing = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timing} for row in run.history]


# -- what it makes -----------------------------------------------------------------------------


def test_a_run_tells_everything_about_itself(divided_images, tmp_path):
    run = train(divided_images, out="one", **QUICK)
    assert run.path.resolve() == tmp_path / "one"
    assert run.test_accuracy == 1.0
    assert run.summary["status"] == "finished"
    assert run.summary["test_images"] == 9
    assert run.config.data == str(divided_images)
    assert run.config.epochs == 3
    assert run.config.out is None
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    with open(run.path / "metrics.csv") as table:
        rows = list(csv.DictReader(table))
    assert [float(row["val_loss"]) for row in rows] == [row["val_loss"] for row in run.history]
    facts = json.loads((run.path / "environment.json").read_text())
    assert {"chainrule", "python", "cpu", "kernels", "threads", "command"} <= facts.keys()
    checkpoint = run.checkpoint
    assert checkpoint.classes == ("blue", "green", "red")
    assert checkpoint.image_size == (12, 12)
    assert checkpoint.channels == 3
    assert checkpoint.metrics["epoch"] == run.summary["best_epoch"]


def test_without_out_each_run_gets_a_folder_of_its_own(images):
    first = train(images, **QUICK | {"epochs": 1})
    second = train(images, **QUICK | {"epochs": 1})
    assert first.path != second.path
    assert first.path.parent.name == "runs"
    assert first.path.name.startswith("colours-softmax-2")


def test_runs_that_begin_at_once_get_folders_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: _new_folder(tmp_path / "runs" / "x"), range(50)))
    assert sorted(made) == sorted((tmp_path / "runs").iterdir())
    assert len(set(made)) == 50


def test_without_test_images_it_says_so(images, capsys):
    run = train(images, out="one", **QUICK | {"progress": True})
    assert run.test_accuracy is None
    assert run.val_accuracy == 1.0
    assert "100.00% validation accuracy (there are no test images)" in capsys.readouterr().out


def test_named_data_sets_leave_samples_that_predict_takes():
    run = train("digits", out="one", **QUICK | {"model": "softmax", "epochs": 2})
    assert run.test_accuracy > 0.8
    assert sorted(p.name for p in (run.path / "samples").iterdir()) == [
        f"{digit}.png" for digit in range(10)
    ]
    assert predict(run, run.path / "samples" / "0.png")[0].label == "0"


def test_small_grey_images_get_lenet_and_colour_ones_resnet(images):
    quick = {"epochs": 1, "progress": False}
    assert train(images, channels=1, image_size=8, **quick).config.model == "lenet5"
    assert train(images, image_size=8, **quick).config.model == "resnet20"


def test_images_that_are_not_square_stay_so(tmp_path):
    for file in make_images(tmp_path / "data").rglob("*.png"):
        Image.open(file).crop((0, 0, 12, 8)).save(file)
    run = train("data", out="one", **QUICK)
    assert run.checkpoint.image_size == (8, 12)
    assert run.config.image_size is None
    assert evaluate(run).accuracy == 1.0
    assert predict(run, "data/red/red0.png")[0].label == "red"
    again = train(config="one/config.toml", out="again", progress=False)
    assert bits("one/last.safetensors") == bits(again.path / "last.safetensors")


def test_the_best_epoch_is_the_most_accurate_and_of_equals_the_last():
    from chainrule.training import EpochMetrics

    def history(*accuracies):
        return [EpochMetrics(n, 0, 0, 0, 0, 0, a, 0, 0) for n, a in enumerate(accuracies, 1)]

    assert best_epoch([]) == 0
    assert best_epoch(history(0.9, 0.8)) == 1
    assert best_epoch(history(0.8, 0.9, 0.9, 0.85)) == 3
    assert best_epoch(history(0.0)) == 1


# -- repeating -----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_in_another_process(images):
    program = (
        "import sys; from chainrule.training import train;"
        "train(sys.argv[1], out=sys.argv[2], model='resnet20', epochs=1, batch_size=8,"
        "      image_size=8, seed=int(sys.argv[3]), progress=False)"
    )
    for out, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        done = subprocess.run(
            [sys.executable, "-c", program, str(images), out, seed], env=environment()
        )
        assert done.returncode == 0
    a, b, c = (bits(f"{out}/last.safetensors") for out in "abc")
    assert a == b
    assert a != c


def test_a_runs_config_repeats_it(images):
    first = train(images, out="first", augment="crop", seed=3, **QUICK)
    again = train(config="first/config.toml", out="again", progress=False)
    assert bits("first/last.safetensors") == bits("again/last.safetensors")
    assert first.config == again.config


def test_arguments_win_over_the_file(images, tmp_path):
    (tmp_path / "s.toml").write_text('model = "mlp"\nepochs = 2\nlr = 0.002\n')
    run = train(images, config="s.toml", epochs=1, out="one", progress=False)
    assert (run.config.model, run.config.epochs, run.config.lr) == ("mlp", 1, 0.002)


# -- stopping and going on -------------------------------------------------------------------------


class StopAt(Display):
    """Ctrl-C, or another signal, after so many updates."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def on_step(self, trainer):
        if trainer.step == self.step:
            os.kill(os.getpid(), self.number)


SETTINGS = {"model": "resnet20", "epochs": 3, "batch_size": 8, "image_size": 8}


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    return train(images, out=tmp_path_factory.mktemp("runs") / "w", progress=False, **SETTINGS)


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
@pytest.mark.parametrize("step", [1, 3, 4, 9])  # in the first epoch, at its end, after it, last
def test_a_run_resumed_after_ctrl_c_has_the_bits_of_one_that_was_not_stopped(
    images, uninterrupted, step
):
    assert uninterrupted.summary["steps"] == 9
    with pytest.raises(KeyboardInterrupt):
        train(images, out="stopped", progress=StopAt(step), **SETTINGS)
    run = Run("stopped")
    assert run.summary["status"] == "interrupted"
    assert run.summary["steps"] == step
    load_checkpoint("stopped/last.safetensors")
    train(resume="stopped", progress=False)
    assert run.summary["status"] == "finished"
    for name in ("best.safetensors", "last.safetensors"):
        assert bits(run.path / name) == bits(uninterrupted.path / name)
    assert history(run) == history(uninterrupted)


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
def test_a_single_image_left_over_is_trained_on_with_others(images):
    """ResNet-20 sees 4 x 4 pixels as one at last, and no batch norm can take one of one image."""
    settings = {**SETTINGS, "batch_size": 10, "image_size": 4}
    whole = train(images, out="whole", progress=False, **settings)
    count = whole.summary["train_images"]
    assert count % 10 == 1 and whole.summary["steps"] == 3 * (count // 10)
    with pytest.raises(KeyboardInterrupt):
        train(images, out="cut", progress=StopAt(3), **settings)
    run = train(resume="cut", progress=False)
    assert bits(run.path / "last.safetensors") == bits(whole.path / "last.safetensors")
    assert history(run) == history(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
@pytest.mark.parametrize("schedule", ["plateau", "onecycle", "cosine-restarts"])
def test_a_resumed_schedule_knows_where_it_was(images, schedule):
    """The best loss that a plateau waits to see beaten, and one cycle's momentum."""
    settings = {"model": "softmax", "optimizer": "sgd", "lr": 0.7, "epochs": 9, "batch_size": 8}
    whole = train(images, out="whole", schedule=schedule, progress=False, **settings)
    for step in (7, 15):
        with pytest.raises(KeyboardInterrupt):
            train(images, out="cut", schedule=schedule, progress=StopAt(step), overwrite=True,
                  **settings)  # fmt: skip
        run = train(resume="cut", progress=False)
        assert bits(run.path / "last.safetensors") == bits(whole.path / "last.safetensors")
        assert history(run) == history(whole)
    rates = [row["lr"] for row in history(whole)]
    assert min(rates) < max(rates) / 9  # it did fall


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
@pytest.mark.parametrize("rule", RATES)
def test_a_resumed_rule_remembers_what_it_did(images, rule):
    settings = {"model": "softmax", "optimizer": rule, "epochs": 3, "batch_size": 8}
    whole = train(images, out="whole", progress=False, **settings)
    with pytest.raises(KeyboardInterrupt):
        train(images, out="cut", progress=StopAt(5), **settings)
    run = train(resume="cut", progress=False)
    assert bits(run.path / "last.safetensors") == bits(whole.path / "last.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_run_that_the_system_ends_is_saved_like_one_stopped_by_ctrl_c(images, name):
    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(KeyboardInterrupt):
        train(images, out="ended", progress=StopAt(2, getattr(signal, name)), **SETTINGS)
    assert Run("ended").summary["status"] == "interrupted"
    assert Run("ended").summary["steps"] == 2
    assert signal.getsignal(getattr(signal, name)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
def test_a_signal_that_is_ignored_stays_ignored(images):  # as under nohup
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = train(images, out="on", progress=StopAt(2, signal.SIGHUP), **SETTINGS)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.summary["status"] == "finished"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process (POSIX)")
def test_a_killed_run_goes_on_from_its_last_epoch(images, uninterrupted):
    program = f"""
import os, signal
from chainrule.training import Display, train
class Killed(Display):
    def on_step(self, trainer):
        if trainer.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
train({str(images)!r}, out="killed", progress=Killed(), **{SETTINGS!r})
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment())
    assert done.returncode == -signal.SIGKILL
    assert len(Run("killed").history) == 1
    run = train(resume="killed", progress=False)
    assert bits(run.path / "last.safetensors") == bits(uninterrupted.path / "last.safetensors")
    assert history(run) == history(uninterrupted)


def test_ctrl_c_twice_stops_at_once_and_keeps_the_epoch_before(images):
    class Twice(Display):
        def on_epoch(self, trainer, metrics):
            self.saved = bits("one/last.safetensors")

        def on_step(self, trainer):
            if trainer.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)

    display = Twice()
    with pytest.raises(KeyboardInterrupt):
        train(images, out="one", **QUICK | {"progress": display})
    assert bits("one/last.safetensors") == display.saved


def test_only_an_unfinished_run_is_resumed_and_only_with_its_own_settings(images, uninterrupted):
    with pytest.raises(ConfigError, match="is finished already"):
        train(resume=uninterrupted.path)
    with pytest.raises(ConfigError, match="keeps its own settings, epochs cannot be given"):
        train(resume=uninterrupted.path, epochs=5)
    with pytest.raises(ConfigError, match="data cannot be given"):
        train(images, resume=uninterrupted.path)
    with pytest.raises(CheckpointError, match=r"has no config\.toml"):
        train(resume="nowhere")


def test_a_state_that_is_damaged_is_not_resumed(images):
    with pytest.raises(KeyboardInterrupt):
        train(images, out="stopped", progress=StopAt(2), **SETTINGS)
    saved = load_checkpoint("stopped/last.safetensors")
    del saved.state["optimizer"]
    save_checkpoint("stopped/last.safetensors", saved)
    with pytest.raises(CheckpointError, match=r"the state in .*last\.safetensors is damaged"):
        train(resume="stopped", progress=False)
    Path("stopped/summary.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"summary\.json is damaged"):
        train(resume="stopped", progress=False)
    Path("stopped/summary.json").unlink()
    with pytest.raises(CheckpointError, match=r"cannot read .*summary\.json"):
        train(resume="stopped", progress=False)


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_diverging_loss_stops_and_keeps_the_last_good_checkpoint(images):
    class SpoilAfterAnEpoch(Display):
        def on_epoch(self, trainer, metrics):
            self.good = bits("one/last.safetensors")
            trainer.optimizer.param_groups[0]["lr"] = 1e38
            trainer.schedule = None

    display = SpoilAfterAnEpoch()
    with pytest.raises(DivergenceError, match=r"diverged at step \d+ \(epoch 2, batch \d\): ") as e:
        train(
            images,
            out="one",
            model="lenet5",
            optimizer="sgd",
            epochs=3,
            batch_size=8,
            lr=0.01,
            progress=display,
        )
    assert "layer '" in str(e.value)
    assert "the checkpoint of epoch 1 is kept in one/last.safetensors" in str(e.value)
    assert bits("one/last.safetensors") == display.good
    assert Run("one").summary["status"] == "failed"
    assert evaluate("one").images > 0


def test_a_disk_that_fills_up_keeps_the_checkpoints_before(images, monkeypatch):
    class FillAfterAnEpoch(Display):
        def on_epoch(self, trainer, metrics):
            self.good = bits("one/last.safetensors")

            def full(*_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(os, "fsync", full)

    display = FillAfterAnEpoch()
    with pytest.raises(CheckpointError, match=r"cannot write .*: the disk is full; the one before"):
        train(images, out="one", **QUICK | {"progress": display})
    assert bits("one/last.safetensors") == display.good


def test_a_run_is_not_written_over_something_else(images, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty and no run of chainrule"):
        train(images, out="mine", overwrite=True, **QUICK)
    train(images, out="one", **QUICK)
    with pytest.raises(ConfigError, match=r"holds a run already; go on with it by --resume one"):
        train(images, out="one", **QUICK)
    run = train(images, out="one", overwrite=True, **QUICK | {"epochs": 1})
    assert len(run.history) == 1
    with pytest.raises(ConfigError, match="is a file"):
        train("absent", out="mine/thesis.txt", **QUICK)  # before the data are looked for


def test_settings_are_checked_before_anything_is_read():
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        train("digits", epoch=3)
    with pytest.raises(ConfigError, match="unknown model 'lenet'"):
        train("absent", model="lenet")
    with pytest.raises(ConfigError, match="no data was named"):
        train(epochs=3)
    with pytest.raises(DataError, match="absent does not exist"):
        train("absent")


def test_a_run_is_not_resumed_on_other_images(tmp_path):
    images = make_images(tmp_path / "data")
    with pytest.raises(KeyboardInterrupt):
        train(images, out="stopped", progress=StopAt(1), **SETTINGS)
    next((images / "red").iterdir()).unlink()
    with pytest.raises(CheckpointError, match="has changed since the run began"):
        train(resume="stopped", progress=False)


# -- using a run -----------------------------------------------------------------------------------


def test_a_report_counts_by_hand(divided_images, images):
    run = train(divided_images, out="one", **QUICK)
    report = evaluate(run)
    assert (report.split, report.images, report.accuracy) == ("test", 9, 1.0)
    assert report.loss == pytest.approx(run.summary["test_loss"])
    assert evaluate("one", images).images == 24
    assert evaluate(run.checkpoint, images).accuracy == 1.0


def test_rates_of_a_report():
    from chainrule.training import Report

    confusion = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 5]])
    report = Report("d", "test", ("a", "b", "c"), confusion, 0.5, 1.0, 0.1)
    assert report.accuracy == 0.8
    assert report.support.tolist() == [4, 0, 6]
    assert report.recall.tolist() == [3 / 4, 0, 5 / 6]
    assert report.precision.tolist() == [3 / 4, 0, 1]
    assert report.f1 == pytest.approx([3 / 4, 0, 10 / 11])
    assert report.most_confused() == [("a", "b", 1), ("c", "a", 1)]
    assert json.loads(json.dumps(report.as_dict()))["per_class"]["a"]["support"] == 4


def test_evaluating_other_classes_is_refused(divided_images, tmp_path):
    run = train(divided_images, out="one", **QUICK)
    make_images(tmp_path / "other", ("blue",), 2)
    assert evaluate(run, tmp_path / "other").support.tolist() == [2, 0, 0]
    (tmp_path / "other" / "blue").rename(tmp_path / "other" / "violet")
    with pytest.raises(DataError, match="violet"):
        evaluate(run, tmp_path / "other")


def test_validation_images_are_the_same_when_a_run_without_test_images_is_evaluated(images):
    run = train(images, out="one", seed=4, val_fraction=0.25, **QUICK)
    report = evaluate(run)
    assert (report.split, report.images) == ("val", 6)
    best = run.history[run.summary["best_epoch"] - 1]
    assert report.loss == pytest.approx(best["val_loss"], rel=1e-5)


def test_predictions_name_classes_and_unreadable_files(divided_images, tmp_path):
    run = train(divided_images, out="one", **QUICK)
    red = divided_images / "test" / "red" / "red0.png"
    [answer] = predict(run, red)
    assert answer.label == "red"
    assert len(answer.top) == 3
    assert sum(p for _, p in answer.top) == pytest.approx(1)
    assert [p for _, p in answer.top] == sorted((p for _, p in answer.top), reverse=True)

    inside = predict(run, divided_images / "test", top=1)
    assert len(inside) == 9
    assert all(p.label in p.image for p in inside)

    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png"):
        predict(run, [red, "text.png"])
    good, bad, absent = predict(run, [red, "text.png", "absent.png"], strict=False)
    assert good.label == "red"
    assert bad.label is None
    assert "text.png" in bad.error
    assert "absent.png" in absent.error
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in the folder"):
        predict(run, tmp_path / "empty")
    with pytest.raises(ConfigError, match="top must be at least 1"):
        predict(run, red, top=0)


def test_threads_are_set_for_the_run_and_given_back(images):
    class Look(Display):
        def on_step(self, trainer):
            self.seen = cr.get_num_threads()

    before = cr.get_num_threads()
    look = Look()
    train(images, threads=before + 1, **QUICK | {"progress": look, "epochs": 1})
    assert (look.seen, cr.get_num_threads()) == (before + 1, before)
