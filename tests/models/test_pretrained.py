"""Folders in timm's and the hub's layout: config.json and model.safetensors."""

import json
import re

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import chainrule as cr
from chainrule import models, nn
from chainrule.cli.main import run as command
from chainrule.errors import CheckpointError, ConfigError
from chainrule.training import evaluate, load_checkpoint, predict, train
from tests.training.pictures import make_images

FACTS = {"classes": ("cat", "dog", "cow"), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.1)}


@pytest.fixture
def net():
    cr.manual_seed(1)
    return models.create("resnet20", num_classes=3)


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def test_the_layout_is_timms(net, tmp_path):
    folder = models.save_pretrained(net, tmp_path / "a" / "net", **FACTS, image_size=32, tag="pets")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    config = config_of(folder)
    assert (config["architecture"], config["num_classes"], config["num_features"]) == (
        "resnet20", 3, 64,
    )  # fmt: skip
    cfg = config["pretrained_cfg"]
    assert cfg["input_size"] == [3, 32, 32] and cfg["mean"] == [0.5, 0.4, 0.3]
    assert cfg["classifier"] == "fc" and cfg["label_names"] == ["cat", "dog", "cow"]
    assert cfg["tag"] == "pets" and cfg["fixed_input_size"] is False
    with safe_open(str(folder / "model.safetensors"), "numpy") as opened:
        assert opened.metadata() == {"format": "pt"}
        assert set(opened.keys()) == set(net.state_dict())


def test_what_is_saved_comes_back(net, tmp_path):
    folder = models.save_pretrained(
        net, tmp_path / "net", **FACTS, image_size=(24, 32), data="pets"
    )
    again = models.from_pretrained(folder)
    assert again.config == net.config
    x = cr.randn(2, 3, 24, 32)
    np.testing.assert_array_equal(again.eval()(x).detach().array, net.eval()(x).detach().array)
    known = again.pretrained
    assert (known.classes, known.mean, known.std) == tuple(FACTS.values())
    assert known.image_size == (24, 32) and known.data == "pets"
    twice = models.save_pretrained(again, tmp_path / "again")  # with all that is known
    assert config_of(twice) == config_of(folder)


def test_a_folder_of_data_goes_by_its_last_name(net, tmp_path):
    folder = models.save_pretrained(net, tmp_path / "net", data=str(tmp_path / "photos"))
    assert config_of(folder)["chainrule"]["data"] == "photos"
    assert str(tmp_path) not in (folder / "config.json").read_text()


def test_other_classes_get_a_new_head(net, tmp_path):
    folder = models.save_pretrained(net, tmp_path / "net", **FACTS)
    other = models.from_pretrained(folder, num_classes=5)
    assert other.fc.weight.shape == (5, 64) and other.pretrained.classes is None
    np.testing.assert_array_equal(other.conv1.weight.array, net.conv1.weight.array)


@pytest.mark.parametrize("name", ["lenet5", "mlp", "softmax"])
def test_all_settings_come_back(name, tmp_path):
    net = models.create(name, num_classes=3, in_channels=1, image_size=(12, 16))
    again = models.from_pretrained(models.save_pretrained(net, tmp_path / name))
    assert again.config == net.config
    config = config_of(tmp_path / name)
    assert config["pretrained_cfg"]["input_size"] == [1, 12, 16]
    assert "label_names" not in config["pretrained_cfg"]


def timm_folder(folder, net, **config):
    """As timm.models.push_to_hf_hub writes it."""
    folder.mkdir()
    known = {
        "architecture": net.config["name"], "num_classes": net.config["num_classes"],
        "num_features": 64, "global_pool": "avg",
        "pretrained_cfg": {
            "tag": "a1_in1k", "custom_load": False, "input_size": [3, 32, 32],
            "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95,
            "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
            "num_classes": 3, "pool_size": [7, 7], "first_conv": "conv1", "classifier": "fc",
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps({**known, **config}))
    state = {name: t.array for name, t in net.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_folder_that_timm_wrote(net, tmp_path):
    names = ["tench", "goldfish", "shark"]
    again = models.from_pretrained(timm_folder(tmp_path / "a", net, label_names=names))
    assert again.config == net.config and again.pretrained.classes == tuple(names)
    assert again.pretrained.mean == (0.485, 0.456, 0.406)
    grey = models.create("resnet20", 3, 1)
    again = models.from_pretrained(timm_folder(tmp_path / "b", grey, model_args={"in_chans": 1}))
    assert again.config == grey.config


@pytest.mark.parametrize(
    ("architecture", "options"),
    [("mobilenetv2_100", {}), ("mobilenetv2_035", {"width_mult": 0.35})],
)
def test_an_architecture_that_timm_calls_otherwise(architecture, options, tmp_path):
    net = models.create("mobilenet_v2", 3, **options)
    again = models.from_pretrained(timm_folder(tmp_path / "a", net, architecture=architecture))
    assert again.config == net.config


def test_older_folders_hold_a_file_of_pytorch(net, tmp_path):
    torch = pytest.importorskip("torch")
    folder = timm_folder(tmp_path / "net", net)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({k: torch.tensor(v) for k, v in state.items()}, folder / "pytorch_model.bin")
    again = models.from_pretrained(folder)
    np.testing.assert_array_equal(again.fc.weight.array, net.fc.weight.array)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "vit_base_patch16_224"}, r"'vit_base_patch16_224', which chainrule does"),
        ({"architecture": None}, r'names no "architecture"'),
        ({"num_classes": 4}, r"wrong shape 2: fc\.weight \(3, 64\) for \(4, 64\)"),
        ({"num_classes": 0}, r"num_classes must be a whole number of at least 1"),
        ({"model_args": {"drop_path": 0.1}}, r"resnet20 has no option 'drop_path'"),
        ({"pretrained_cfg": {"input_size": 3}}, r"config\.json is damaged"),
        ({"pretrained_cfg": [1]}, r"config\.json is damaged"),
        ({"chainrule": {"model": {"num_classes": 3}}}, r"config\.json is damaged: 'name'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_folders_that_do_not_fit_say_why(config, message, net, tmp_path):
    with pytest.raises((CheckpointError, ConfigError), match=message):
        models.from_pretrained(timm_folder(tmp_path / "net", net, **config))


def test_broken_folders(net, tmp_path):
    folder = models.save_pretrained(net, tmp_path / "net", **FACTS)
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is broken"):
        models.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors or pytorch_model\.bin in"):
        models.from_pretrained(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        models.from_pretrained(folder)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"classes": ("a", "b")}, r"2 classes for a model of 3 scores"),
        ({"mean": (0.5,)}, r"mean has 1 numbers, the images 3 channels"),
        ({"std": (0.5,)}, r"std has 1 numbers, the images 3 channels"),
    ],
)
def test_facts_that_disagree_are_not_written(facts, message, net, tmp_path):
    with pytest.raises(ConfigError, match=message):
        models.save_pretrained(net, tmp_path / "net", **{**FACTS, **facts})
    assert not (tmp_path / "net").exists()


def test_what_cannot_be_written(net, tmp_path):
    with pytest.raises(ConfigError, match=r"Linear does not say how to build it again"):
        models.save_pretrained(nn.Linear(1, 1), tmp_path / "net")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"save_pretrained: cannot write \S*file"):
        models.save_pretrained(net, tmp_path / "file")


def test_a_folder_or_a_tag_predicts_as_a_run_does(net, tmp_path):
    folder = models.save_pretrained(net, tmp_path / "net", **FACTS, image_size=32)
    make_images(tmp_path / "images", ("red",), 1)
    image = tmp_path / "images" / "red" / "red0.png"
    (first,) = predict(folder, [image])
    assert {name for name, _ in first.top} == set(FACTS["classes"])
    (digit,) = predict("mnist", [image])
    assert digit.label in list("0123456789")
    checkpoint = load_checkpoint("lenet5.mnist")
    assert checkpoint.channels == 1 and checkpoint.image_size == (28, 28)
    bare = models.save_pretrained(net, tmp_path / "bare")
    with pytest.raises(CheckpointError, match=r"bare does not say how images are prepared"):
        load_checkpoint(bare)
    unnamed = models.save_pretrained(
        net, tmp_path / "unnamed", mean=FACTS["mean"], std=FACTS["std"], image_size=32
    )
    assert load_checkpoint(unnamed).classes == ("0", "1", "2")


def test_evaluate_takes_a_folder(tmp_path):
    net = models.create("lenet5", image_size=16)
    folder = models.save_pretrained(
        net, tmp_path / "net", classes="0123456789", mean=[0.3], std=[0.3], data="digits"
    )
    assert evaluate(folder).images == evaluate(folder, "digits").images > 100


def test_training_begins_with_a_tag_from_any_folder(tmp_path, monkeypatch):
    make_images(tmp_path / "images", ("red", "blue"), 8)
    (tmp_path / "mnist").write_text("a file of that name is not meant")
    monkeypatch.chdir(tmp_path)
    run = train("images", weights="mnist", epochs=1, out="run", progress=False)
    assert run.config.weights == "mnist" and run.config.model == "lenet5"
    assert run.checkpoint.model.fc3.out_features == 2
    assert run.checkpoint.mean == models.create("lenet5", weights="mnist").pretrained.mean


def test_the_command_predicts_with_a_tag(tmp_path, capsys):
    make_images(tmp_path / "images", ("red",), 1)
    image = str(tmp_path / "images" / "red" / "red0.png")
    assert command(["predict", "--weights", "mnist", image]) == 0
    assert re.search(r"red0\.png +\d [\d.]+%", capsys.readouterr().out)
