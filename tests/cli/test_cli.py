"""The command line: from images to predictions, and what becomes of bad input."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chainrule.cli.main import run
from chainrule.training import Run
from tests.training.pictures import chainrule, environment, make_images

QUICK = ["--model", "softmax", "--epochs", "2", "--batch-size", "8", "--lr", "0.01"]


@pytest.fixture(scope="module")
def trained(divided_images, tmp_path_factory):
    """A run folder."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert run(["train", str(divided_images), "--out", str(out), "--quiet", *QUICK]) == 0
    return out


@pytest.fixture
def refused(capsys):
    """Call a command that must fail: exit code 2 and one line, which is returned."""

    def call(*arguments):
        assert run([str(a) for a in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("chainrule: error: "), error
        assert error.count("\n") == 1, error
        return error

    return call


# -- the road ------------------------------------------------------------------------------------


def test_from_images_to_predictions_in_processes_of_their_own(divided_images, tmp_path):
    done = chainrule("train", divided_images, "--out", "run", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("data     divided: 3 classes, 12 x 12 colour")
    assert lines[1] == "images   21 training, 3 validation, 9 test"
    assert lines[6].split()[0] == "1/2"
    assert "100.00% test accuracy" in done.stdout
    assert "next      chainrule evaluate run" in done.stdout

    report = chainrule("evaluate", "run", "--json", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    facts = json.loads(report.stdout)
    assert facts["accuracy"] == 1.0
    assert facts["classes"] == ["blue", "green", "red"]
    assert facts["per_class"]["red"] == {"precision": 1, "recall": 1, "f1": 1, "support": 3}
    assert facts["confusion"] == [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
    assert facts["loss"] > 0

    image = divided_images / "test" / "green" / "green1.png"
    answer = chainrule("predict", "run", image, "--top", 2, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    [prediction] = json.loads(answer.stdout)["predictions"]
    assert prediction["image"] == str(image)
    assert prediction["label"] == "green"
    assert prediction["top"][0]["label"] == "green"
    assert len(prediction["top"]) == 2


def test_training_within_the_folder_of_the_images(tmp_path, monkeypatch):
    monkeypatch.chdir(make_images(tmp_path / "data"))
    for _ in range(2):
        assert run(["train", ".", "--quiet", *QUICK]) == 0
    assert run(["evaluate", str(next(Path("runs").iterdir()))]) == 0


def test_evaluate_prints_tables(trained, images, capsys):
    assert run(["evaluate", str(trained), str(images)]) == 0
    out = capsys.readouterr().out
    assert "accuracy 100.00%" in out
    assert "24 test images" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["green", "100.0%", "100.0%", "1.000", "8"] in rows
    assert ["green", "·", "8", "·"] in rows


def test_classes_with_long_names_are_numbered_in_the_matrix(capsys):
    from rich.console import Console

    from chainrule.cli.evaluate import _confusion
    from chainrule.training import Report

    names = tuple(f"a class whose name is long {i}" for i in range(5))
    confusion = np.eye(5, dtype=np.int64) * 7
    _confusion(Report("d", "test", names, confusion, 0.1, 1.0, 0.1), Console(width=80))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()[2:]]
    assert lines[0].split() == ["class", "1", "2", "3", "4", "5"]
    assert lines[5] == "5 a class whose name is long 4 · · · · 7"


def test_many_classes_show_only_the_most_confused_pairs(capsys):
    from rich.console import Console

    from chainrule.cli.evaluate import _confusion
    from chainrule.training import Report

    confusion = np.eye(20, dtype=np.int64) * 5
    confusion[3, 7] = 4
    names = tuple(f"kind{i}" for i in range(20))
    _confusion(Report("d", "test", names, confusion, 0.1, 1.0, 0.1), Console(width=100))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["kind3", "kind7", "4"] in rows
    assert len(rows) == 4


def test_predict_takes_folders_and_counts_what_it_cannot_read(
    trained, divided_images, tmp_path, capsys
):
    red = str(divided_images / "test" / "red")
    assert run(["predict", str(trained), red]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.split()[1] == "red" for line in lines)

    (tmp_path / "text.png").write_text("no image")
    assert run(["predict", str(trained), red, "text.png"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert "text.png: not an image file" in captured.err
    assert "1 of 4 images failed" in captured.err

    assert run(["predict", str(trained), "text.png", "absent.png", "--json"]) == 2
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["failed"] == 2
    assert "absent.png" in answer["predictions"][1]["error"]


def test_predicting_one_image_that_is_not_there(refused, trained, tmp_path):
    (tmp_path / "photo.png").touch()
    error = refused("predict", trained, "foto.png")
    assert error == "chainrule: error: data: there is no image foto.png; did you mean photo.png?\n"


def test_info_is_json_too(capsys):
    assert run(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kernels"]["tier"] in ("reference", "native", "naive")
    assert run(["info"]) == 0
    assert "kernels" in capsys.readouterr().out


def test_models_are_listed(capsys):
    from chainrule import models

    assert run(["models"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "weights", "input", "classes", "trained"]
    assert [line.split()[0] for line in lines] == models.list()
    assert run(["models", "resnet[2-4]?", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [facts["name"] for facts in found] == models.list("resnet[2-4]?")
    assert found[0]["name"] == "resnet20" and found[0]["parameters"] == 269_722
    assert found[0]["input"] == [3, 32, 32] and found[0]["num_classes"] == 10
    assert run(["models", "lenet5"]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert line.split()[:5] == ["lenet5", "61,706", "1x28x28", "10", "mnist"]


def test_a_pattern_that_no_model_has(refused):
    assert "no model is called rasnet*; `chainrule models` lists all" in refused(
        "models", "rasnet*"
    )


def test_a_segmenter_is_no_classifier(refused, images):
    error = refused("train", images, "--model", "fcn_resnet20")
    assert "fcn_resnet20 scores every pixel" in error
    assert not list(Path(".").glob("runs/*"))


def test_version_and_help(capsys):
    import chainrule as package

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"chainrule {package.__version__}\n"
    assert run(["train"]) == 2
    assert "chainrule train digits" in capsys.readouterr().out
    assert run([]) == 2
    assert "predict" in capsys.readouterr().out


def test_every_setting_has_an_option_and_every_option_a_setting():
    from chainrule.cli.train import train_command
    from chainrule.training.config import CHOICES, NAMES

    options = {p.name: p for p in train_command.params}
    other = {"config", "resume", "overwrite", "quiet"}
    assert options.keys() - other == set(NAMES)
    for name, choices in CHOICES.items():
        in_brackets = options[name].metavar == f"[{'|'.join(choices)}]"
        assert in_brackets or ", ".join(choices) in options[name].help


def test_the_live_display_shows_a_bar_and_leaves_lines(divided_images):
    import io

    from rich.console import Console

    from chainrule.training import train
    from chainrule.training.display import LiveDisplay

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, highlight=False)
    train(divided_images, model="softmax", epochs=2, progress=LiveDisplay(console), out="[run]")
    text = screen.getvalue()
    assert "images/s" in text
    assert "2/2" in text
    assert "test accuracy" in text
    assert "chainrule predict '[run]' IMAGE..." in text


# -- names that are not ASCII ----------------------------------------------------------------------


def test_names_that_the_output_cannot_show_are_written_by_code(tmp_path):
    classes = ("blue", "gr\u00fcn", "\u8d64")
    make_images(tmp_path / "data")
    for old, new in zip(("green", "red"), classes[1:], strict=True):
        (tmp_path / "data" / old).rename(tmp_path / "data" / new)
    narrow = {"cwd": tmp_path, "PYTHONIOENCODING": "ascii"}
    done = chainrule("train", "data", "--out", "run", *QUICK, **narrow)
    assert done.returncode == 0, done.stderr
    done = chainrule("evaluate", "run", **narrow)
    assert done.returncode == 0, done.stderr
    assert "\\u8d64" in done.stdout
    done = chainrule("evaluate", "run", "--json", **narrow)
    assert json.loads(done.stdout)["classes"] == list(classes)
    assert Run(tmp_path / "run").summary["classes"] == list(classes)


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes (Linux)")
def test_folders_whose_names_are_not_utf8(refused, tmp_path):
    make_images(tmp_path / "data")
    odd = os.fsdecode(b"gr\xfcn")
    (tmp_path / "data" / "green").rename(tmp_path / "data" / odd)
    assert run(["train", str(tmp_path / "data"), "--out", "run", "--quiet", *QUICK]) == 0
    assert Run("run").summary["classes"] == ["blue", odd, "red"]
    (tmp_path / "data").rename(tmp_path / odd)
    assert "data is not valid UTF-8: " in refused("train", tmp_path / odd)


# -- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal (POSIX)")
def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(divided_images, tmp_path):
    command = [sys.executable, "-m", "chainrule", "train", str(divided_images), "--out", "run"]
    process = subprocess.Popen(
        [*command, "--model", "softmax", "--epochs", "100000", "--batch-size", "8"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "run" / "best.safetensors").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out.splitlines()[-1] == "stopped; to go on: chainrule train --resume run"
    assert "Traceback" not in error
    assert run(["evaluate", str(tmp_path / "run")]) == 0


# -- bad input, one line each --------------------------------------------------------------------


def test_a_missing_path(refused):
    assert "absent does not exist" in refused("train", "absent")


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "data").mkdir()
    assert "data" in refused("train", "data")


def test_one_class_only(refused, tmp_path):
    make_images(tmp_path / "data", ("red",))
    assert "one class only, red" in refused("train", "data")


def test_an_empty_class(refused, tmp_path):
    make_images(tmp_path / "data")
    (tmp_path / "data" / "violet").mkdir()
    assert "violet" in refused("train", "data")


@pytest.fixture
def partly_broken(tmp_path):
    """A truncated JPEG, a text file renamed .png and a decompression bomb among good images."""
    folder = make_images(tmp_path / "data") / "red"
    Image.fromarray(np.full((64, 64, 3), 99, np.uint8)).save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no image")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    (folder / "phone.heic").touch()
    return tmp_path / "data"


def test_broken_images_are_named_skipped_and_counted(partly_broken, capsys):
    assert run(["train", str(partly_broken), "--out", "run", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "skipped  unreadable images: 3 (" in out
    assert "ignored  files without an image's extension: 1\n" in out
    for name in ("cut.jpg", "text.png", "bomb.png: decompression bomb"):
        assert name in out
    summary = json.loads(Path("run/summary.json").read_text())
    assert sorted(Path(s["name"]).name for s in summary["skipped"]) == [
        "bomb.png",
        "cut.jpg",
        "text.png",
    ]


def test_strict_stops_at_the_first_broken_image(partly_broken, refused):
    assert "cannot read red/" in refused("train", partly_broken, "--strict")


def test_a_zip_entry_that_climbs_out(refused, tmp_path):
    make_images(tmp_path / "data")
    with zipfile.ZipFile("data.zip", "w") as archive:
        for file in (tmp_path / "data").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "data"))
        archive.writestr("../evil.png", b"x")
    assert "'../evil.png' climbs out of the zip" in refused("train", "data.zip")
    assert not (tmp_path.parent / "evil.png").exists()


def test_a_label_file_that_does_not_match(refused, tmp_path):
    make_images(tmp_path / "data", ("red",))
    flat = tmp_path / "data" / "red"
    (flat / "labels.csv").write_text("file,label\nred0.png,a\nabsent.png,b\n")
    error = refused("train", flat)
    assert "does not match" in error
    assert "absent.png" in error


def test_a_truncated_checkpoint(refused, trained, tmp_path):
    whole = (trained / "best.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    for command in (["evaluate", "cut.safetensors"], ["predict", "cut.safetensors", "x.png"]):
        assert "cut.safetensors is truncated or no safetensors file" in refused(*command)


def test_a_checkpoint_of_another_model(refused, trained, tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(str(trained / "best.safetensors"), framework="numpy") as opened:
        facts = json.loads(opened.metadata()["chainrule"])
    facts["model"]["name"] = "mlp"
    tensors = load_file(trained / "best.safetensors")
    save_file(tensors, "other.safetensors", {"chainrule": json.dumps(facts)})
    assert "do not fit its model 'mlp'" in refused("evaluate", "other.safetensors")


def test_no_checkpoint_at_all(refused, tmp_path):
    assert "no file or run folder absent" in refused("predict", "absent", "x.png")
    assert "holds neither" in refused("evaluate", tmp_path)


def test_a_config_with_an_unknown_key(refused, images, tmp_path):
    (tmp_path / "s.toml").write_text("learning_rate = 0.1\nepochs = 3\n")
    assert "s.toml: unknown setting 'learning_rate'" in refused(
        "train", images, "--config", "s.toml"
    )


def test_bad_options(refused, images):
    assert "'fast' is not a valid float" in refused("train", images, "--lr", "fast")
    assert "lr must be a finite number above 0, got -1.0" in refused("train", images, "--lr", "-1")
    assert "did you mean lenet5?" in refused("train", images, "--model", "lenet")
    assert "--epochs" in refused("train", images, "--epoch", "3")  # click's own words
    assert "optimizer must be one of sgd, momentum, nesterov, adagrad" in refused(
        "train", images, "--optimizer", "lion"
    )


def test_a_diverging_loss(refused, images):
    error = refused(
        "train",
        images,
        "--out",
        "run",
        "--model",
        "mlp",
        "--optimizer",
        "sgd",
        "--lr",
        "1e30",
        "--warmup",
        "0",
    )
    assert "training diverged at step 2 (epoch 1, batch 2)" in error
    assert "layer '" in error
    assert "the checkpoint of epoch 0 is kept in run/last.safetensors" in error


def test_a_full_disk(refused, images, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "the disk is full; free some space" in refused("train", images, "--out", "run", *QUICK)


def test_a_folder_that_cannot_be_made(refused, images, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot write file/run: Not a directory" in refused(
        "train", images, "--out", "file/run", *QUICK
    )


def test_a_bug_shows_its_traceback(monkeypatch, capsys):
    import chainrule.training

    def bug(*_, **__):
        raise AssertionError("impossible")

    monkeypatch.setattr(chainrule.training, "predict", bug)
    assert run(["predict", "run", "x.png"]) == 1
    error = capsys.readouterr().err
    assert "AssertionError: impossible" in error
    assert error.splitlines()[-1].startswith("chainrule: this is a bug")


def test_the_traceback_of_an_expected_error_can_be_asked_for(monkeypatch):
    from chainrule.errors import DataError

    monkeypatch.setenv("CHAINRULE_DEBUG", "1")
    with pytest.raises(DataError):
        run(["train", "absent"])
