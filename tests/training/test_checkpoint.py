"""Checkpoints: what comes back, what is refused, and that none is ever half written."""

import errno
import json
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import chainrule as cr
from chainrule import models
from chainrule.errors import CheckpointError
from chainrule.models.weights import FACTS
from chainrule.training import Checkpoint, load_checkpoint, save_checkpoint
from chainrule.training.checkpoint import find_checkpoint
from tests.training.pictures import environment


@pytest.fixture
def checkpoint():
    cr.manual_seed(1)
    model = models.create("lenet5", 3, 1, 12)
    return Checkpoint(
        model, ("a", "b", "c"), (0.5,), (0.25,), (12, 12), 1, config={"lr": 0.1}, metrics={"x": 1}
    )


def weights(model):
    return {name: tensor.array for name, tensor in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_everything_comes_back(checkpoint, tmp_path):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, checkpoint)
    read = load_checkpoint(file)
    assert same(weights(read.model), weights(checkpoint.model))
    assert not read.model.training
    assert read.state is None
    for name in ("classes", "mean", "std", "image_size", "channels", "config", "metrics"):
        assert getattr(read, name) == getattr(checkpoint, name)


def test_names_in_the_file_are_the_models_own(checkpoint, tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    assert load_file(tmp_path / "model.safetensors").keys() == weights(checkpoint.model).keys()


def test_buffers_without_axes_come_back(tmp_path):
    model = models.create("resnet20", 2)
    save_checkpoint(
        tmp_path / "model.safetensors",
        Checkpoint(model, ("a", "b"), (0.5,) * 3, (0.2,) * 3, (32, 32), 3),
    )
    read = load_checkpoint(tmp_path / "model.safetensors")
    assert same(weights(read.model), weights(model))


def test_nested_state_comes_back(checkpoint, tmp_path):
    state = {
        "optimizer": {"state": {0: {"m": cr.arange(3), "step": 2}}, "groups": [{"lr": 0.1}]},
        "random": {"state": 2**127},
        "none": None,
        "empty": [],
    }
    checkpoint.state = state
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    read = load_checkpoint(tmp_path / "model.safetensors").state
    moments = read["optimizer"]["state"]["0"]
    assert moments["m"].tolist() == [0, 1, 2]
    assert moments["step"] == 2
    assert read["optimizer"]["groups"] == [{"lr": 0.1}]
    assert (read["random"], read["none"], read["empty"]) == ({"state": 2**127}, None, [])


def test_a_run_folder_stands_for_its_best_else_its_last(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds neither best\.safetensors nor last"):
        find_checkpoint(tmp_path)
    (tmp_path / "last.safetensors").touch()
    assert find_checkpoint(tmp_path).name == "last.safetensors"
    (tmp_path / "best.safetensors").touch()
    assert find_checkpoint(tmp_path).name == "best.safetensors"
    with pytest.raises(CheckpointError, match="no file or run folder"):
        find_checkpoint(tmp_path / "absent")


# -- files that cannot be used -------------------------------------------------------------------


def test_a_file_cut_off_anywhere_is_refused(checkpoint, tmp_path):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, checkpoint)
    whole = file.read_bytes()
    for length in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
            load_checkpoint(file)


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(os.urandom(5000))
    with pytest.raises(CheckpointError, match="truncated or no safetensors"):
        load_checkpoint(file)
    save_file({"w": np.zeros(3)}, file)
    with pytest.raises(CheckpointError, match="holds weights only"):
        load_checkpoint(file)
    file.write_bytes(b"\x80\x02}.")  # as PyTorch's older files begin
    with pytest.raises(CheckpointError, match=r"^checkpoint: \S+ holds weights only"):
        load_checkpoint(file)
    save_file({"w": np.zeros(3)}, file, {FACTS: "{"})
    with pytest.raises(CheckpointError, match=r"description in .* is damaged"):
        load_checkpoint(file)
    save_file({"w": np.zeros(3)}, file, {FACTS: json.dumps({"format": 99, "version": "9.0"})})
    with pytest.raises(CheckpointError, match=r"has format 99, .* written by chainrule 9\.0"):
        load_checkpoint(file)
    save_file({"w": np.zeros(3)}, file, {FACTS: json.dumps({"format": 1})})
    with pytest.raises(CheckpointError, match="'model' is missing"):
        load_checkpoint(file)


def rewrite(file, change):
    """Save the tensors and facts of a checkpoint anew, after a change to them."""
    from safetensors import safe_open

    with safe_open(str(file), framework="numpy") as opened:
        facts = json.loads(opened.metadata()[FACTS])
    tensors = load_file(file)
    change(tensors, facts)
    save_file(tensors, file, {FACTS: json.dumps(facts)})


def test_weights_of_another_model_are_summarised(checkpoint, tmp_path):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, checkpoint)
    rewrite(file, lambda tensors, facts: facts["model"].update(name="mlp"))
    with pytest.raises(CheckpointError, match="do not fit its model 'mlp'") as caught:
        load_checkpoint(file)
    assert re.search(r"missing.*\b1\.weight(?s:.*)unexpected.*conv1\.weight", str(caught.value))

    save_checkpoint(file, checkpoint)
    rewrite(file, lambda tensors, facts: facts["model"].update(num_classes=4))
    with pytest.raises(CheckpointError, match=r"fc3\.weight.*\(3, 84\).*\(4, 84\)"):
        load_checkpoint(file)


def test_a_model_this_chainrule_does_not_have_is_named(checkpoint, tmp_path):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, checkpoint)
    rewrite(file, lambda tensors, facts: facts["model"].update(name="lenet6"))
    with pytest.raises(CheckpointError, match="unknown model 'lenet6'"):
        load_checkpoint(file)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("classes", ["a", "b"]),
        ("classes", ["a", "a", "b"]),
        ("classes", [1, 2, 3]),
        ("mean", ["x"]),
        ("mean", [0.1, 0.2, 0.3]),
        ("std", "xyz"),
        ("image_size", [12]),
        ("image_size", [0, 12]),
        ("channels", 2),
        ("held_out", None),
        ("config", []),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(checkpoint, tmp_path, entry, value):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, checkpoint)
    rewrite(file, lambda tensors, facts: facts.update({entry: value}))
    with pytest.raises(CheckpointError, match=rf"damaged or .*{entry}.* makes no sense"):
        load_checkpoint(file)


def test_weights_that_are_no_numbers_are_named(checkpoint, tmp_path):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, checkpoint)
    rewrite(file, lambda tensors, facts: tensors["fc3.bias"].fill(np.nan))
    with pytest.raises(CheckpointError, match=r"fc3\.bias in .* holds NaN or infinity"):
        load_checkpoint(file)
    rewrite(file, lambda tensors, facts: tensors.update({"fc3.bias": np.zeros(3, np.int32)}))
    with pytest.raises(CheckpointError, match=r"fc3\.bias in .* is int32, not float32"):
        load_checkpoint(file)


def test_a_model_that_cannot_be_rebuilt_is_not_saved(checkpoint, tmp_path):
    checkpoint.model = cr.nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"Linear does not say how to build it again"):
        save_checkpoint(tmp_path / "model.safetensors", checkpoint)


# -- a full disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_file_before(checkpoint, tmp_path, monkeypatch, call):
    file = tmp_path / "best.safetensors"
    save_checkpoint(file, checkpoint)
    before = file.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "write":
        real = os.fdopen

        class Full:
            def __init__(self, *arguments):
                self.file = real(*arguments)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

            write = full

        monkeypatch.setattr(os, "fdopen", Full)
    else:
        monkeypatch.setattr(os, call, full)
    with pytest.raises(CheckpointError, match="the disk is full; the one before is kept"):
        save_checkpoint(file, checkpoint)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["best.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes (POSIX)")
def test_a_real_write_that_stops_half_way_leaves_the_file_before(checkpoint, tmp_path):
    file = tmp_path / "best.safetensors"
    save_checkpoint(file, checkpoint)
    before = file.read_bytes()
    program = f"""
import resource
from chainrule.training import load_checkpoint, save_checkpoint
checkpoint = load_checkpoint({str(file)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2}, {len(before) // 2}))
try:
    save_checkpoint({str(file)!r}, checkpoint)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True
    )
    assert done.stdout.startswith("CheckpointError cannot write"), done.stderr
    assert "larger than allowed here; the one before is kept" in done.stdout
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["best.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_checkpoint_has_the_permissions_of_other_files(checkpoint, tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)}
    assert len(modes) == 1


def test_a_folder_that_does_not_exist_is_named(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot write .*absent.*: No such file"):
        save_checkpoint(tmp_path / "absent" / "model.safetensors", checkpoint)
