"""Training that begins with weights: what is kept, what is new, what rests, what is refused."""

import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

import chainrule as cr
from chainrule import data as datasets
from chainrule import models
from chainrule.cli.main import run as command
from chainrule.errors import CheckpointError, ConfigError
from chainrule.training import (
    Display,
    Run,
    evaluate,
    load_checkpoint,
    predict,
    save_checkpoint,
    train,
)
from chainrule.training.config import CHOICES
from tests.training.pictures import make_images

RESNET = {"model": "resnet20", "image_size": 8, "batch_size": 8}
QUIET = {"progress": False}


def bits(path):
    return {name: array.tobytes() for name, array in load_file(path).items()}


def weights(path):
    return {name: t.array.tobytes() for name, t in load_checkpoint(path).model.state_dict().items()}


def same(a, b):
    return a.array.tobytes() == b.array.tobytes()


@pytest.fixture(scope="module")
def base(images, tmp_path_factory):
    """A run on three colours."""
    out = tmp_path_factory.mktemp("runs") / "base"
    return train(images, out=out, epochs=2, **RESNET, **QUIET)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Other images, of two classes."""
    return make_images(tmp_path_factory.mktemp("data") / "two", ("blue", "red"))


# -- what is kept, and what is new ---------------------------------------------------------------


def test_new_classes_get_a_new_head_and_the_rest_is_loaded(base, two):
    run = train(two, weights=base.path, out="one", epochs=1, lr=1e-30, **QUIET)
    assert run.config.model == "resnet20"
    assert run.config.weights == str(base.path.resolve())
    before, after = base.checkpoint.model, load_checkpoint("one/last.safetensors").model
    assert after.fc.weight.shape == (2, 64)
    assert same(after.layer3[2].conv2.weight, before.layer3[2].conv2.weight)
    facts = run.summary["weights"]
    assert (facts["loaded"], facts["new"]) == (269_072, 130)
    assert run.summary["classes"] == ["blue", "red"]


def test_what_belongs_to_the_weights_stays_with_them(base, tmp_path):
    grey = tmp_path / "grey"
    for name, value in (("dark", 40), ("light", 200)):
        (grey / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (20, 20), value + number).save(grey / name / f"{number}.png")
    run = train(grey, weights=base.path, out="one", epochs=1, **QUIET)
    made, of = run.checkpoint, base.checkpoint
    assert (made.mean, made.std) == (of.mean, of.std)
    assert (made.channels, made.image_size) == (3, (8, 8))
    assert (run.config.channels, run.config.image_size) == (3, 8)
    assert predict(run, grey / "dark" / "0.png")[0].error is None
    larger = train(grey, weights=base.path, out="two", epochs=1, image_size=12, **QUIET)
    assert larger.checkpoint.image_size == (12, 12)


def test_the_same_classes_keep_the_head(base, images, capsys):
    train(images, weights=base.path, out="one", epochs=1, lr=1e-30)
    assert "all 269,267 loaded; the classes are the same, fc is kept" in capsys.readouterr().out
    model = load_checkpoint("one/last.safetensors").model
    assert same(model.fc.weight, base.checkpoint.model.fc.weight)
    assert evaluate("one", images).accuracy == evaluate(base, images).accuracy


def test_the_same_classes_in_another_order_keep_their_scores(base, images):
    turned = base.checkpoint
    turned.classes = turned.classes[::-1]
    for own in (turned.model.fc.weight, turned.model.fc.bias):
        own.array[:] = own.array[::-1].copy()
    save_checkpoint("turned.safetensors", turned)
    train(images, weights="turned.safetensors", out="one", epochs=1, lr=1e-30, **QUIET)
    made = load_checkpoint("one/last.safetensors")
    assert made.classes == base.checkpoint.classes
    assert same(made.model.fc.weight, base.checkpoint.model.fc.weight)
    assert same(made.model.fc.bias, base.checkpoint.model.fc.bias)


def test_options_of_the_architecture_come_from_the_weights(base, images, two):
    checkpoint = train(images, model="mlp", out="mlp", image_size=4, epochs=1, **QUIET).checkpoint
    checkpoint.model = models.mlp(3, 3, 4, hidden=(7,)).eval()
    save_checkpoint("small.safetensors", checkpoint)
    run = train(two, weights="small.safetensors", out="one", epochs=1, **QUIET)
    assert run.checkpoint.model.config["hidden"] == [7]


def test_heads_there_are_several_of_are_all_new(images, two):
    settings = {"epochs": 1, "optimizer": "sgd", "lr": 1e-3, "batch_size": 7, **QUIET}
    train(images, model="googlenet", image_size=16, out="base", **settings)
    train(two, weights="base", freeze="backbone", out="one", **settings)
    before, after = weights("base/last.safetensors"), weights("one/last.safetensors")
    heads = ("fc.", "aux1.fc2.", "aux2.fc2.")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {name for name in after if name.startswith(heads)}
    assert load_checkpoint("one").model.aux2.fc2.weight.shape == (2, 1024)


def test_a_folder_of_save_pretrained_is_begun_with(base, two):
    models.save_pretrained(base.path, "folder")
    train(two, weights="folder", out="one", epochs=1, lr=1e-30, **QUIET)
    made = load_checkpoint("one/last.safetensors")
    assert same(made.model.conv1.weight, base.checkpoint.model.conv1.weight)
    assert (made.mean, made.image_size) == (base.checkpoint.mean, (8, 8))


def test_weights_in_the_package_are_begun_with_and_predict(tmp_path, capsys):
    digit = datasets.load("digits").test[0][0]
    Image.fromarray(digit[:, :, 0]).save("digit.png")
    run = train("digits", weights="mnist", out="one", epochs=1, freeze="backbone", **QUIET)
    assert run.config.weights == "mnist"
    assert run.summary["weights"]["new"] == 0
    assert run.test_accuracy > 0.8  # 0.57 before
    with pytest.raises(ConfigError, match="weights mnist are those of a lenet5; leave --model"):
        train("digits", weights="mnist", model="resnet20", **QUIET)
    assert command(["predict", "--weights", "mnist", "digit.png"]) == 0
    assert capsys.readouterr().out.startswith("digit.png   ")


# -- files that hold weights only ------------------------------------------------------------------


@pytest.fixture
def bare(base):
    """The weights alone, as `save` writes a state_dict."""
    cr.save(base.checkpoint.model.state_dict(), "bare.safetensors")
    return "bare.safetensors"


def test_a_file_of_weights_alone_needs_the_name_of_its_model(base, two, bare, capsys):
    run = train(two, weights=bare, model="resnet20", image_size=8, out="one", epochs=1, lr=1e-30)
    model = load_checkpoint("one/last.safetensors").model
    assert same(model.layer3[2].conv2.weight, base.checkpoint.model.layer3[2].conv2.weight)
    assert run.checkpoint.mean == pytest.approx(
        datasets.load(two, image_size=8).train.mean_std()[0]
    )
    assert "269,072 loaded; 130 new: fc, for 2 classes\n" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="holds weights only; name their architecture by --model"):
        train(two, weights=bare, **QUIET)
    Path("text.safetensors").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"text\.safetensors is broken"):
        train(two, weights="text.safetensors", **QUIET)
    with pytest.raises(CheckpointError, match="layer1"):
        train(two, weights=bare, model="resnet32", **QUIET)
    with pytest.raises(CheckpointError, match="holds weights only"):
        predict(bare, two / "red" / "red0.png")


def test_a_file_of_pytorch_is_begun_with_too(base, two):
    torch = pytest.importorskip("torch")
    state = base.checkpoint.model.state_dict()
    torch.save({n: torch.tensor(t.array.copy()) for n, t in state.items()}, "bare.pth")
    run = train(two, weights="bare.pth", model="resnet20", out="one", epochs=1, lr=1e-30, **QUIET)
    assert run.checkpoint.image_size == (32, 32)
    with pytest.raises(CheckpointError, match=r"bare\.pth holds weights only; .* --model NAME"):
        predict("bare.pth", two / "red" / "red0.png")
    made = load_checkpoint("one/last.safetensors").model
    assert same(made.conv1.weight, base.checkpoint.model.conv1.weight)


# -- that it helps -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def knows_digits(tmp_path_factory):
    """LeNet-5 that tells digits apart."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    return train("digits", model="lenet5", epochs=6, out=out, **QUIET)


@pytest.fixture(scope="module")
def even_and_odd(tmp_path_factory):
    """Digits sorted by another question: 40 images of each answer, and many to test with."""
    root = tmp_path_factory.mktemp("data") / "parity"
    splits = datasets.load("digits", image_size=16)
    for part, dataset, count in (("train", splits.train, 80), ("test", splits.test, 300)):
        for name in ("even", "odd"):
            (root / part / name).mkdir(parents=True)
        for number in range(count):
            pixels, label = dataset[number]
            folder = root / part / ("odd" if label % 2 else "even")
            Image.fromarray(pixels[:, :, 0]).save(folder / f"{number}.png")
    return root


@pytest.mark.parametrize("freeze", [{}, {"freeze": "backbone"}])
def test_what_was_learnt_before_makes_a_few_images_enough(knows_digits, even_and_odd, freeze):
    settings = {"threads": 1, **QUIET}
    tuned = train(even_and_odd, weights=knows_digits.path, out="tuned", **freeze, **settings)
    same = {"model": "lenet5", "image_size": 16, "epochs": tuned.config.epochs}
    scratch = train(even_and_odd, out="scratch", **same, **settings)
    assert tuned.test_accuracy > 0.88
    assert tuned.test_accuracy > scratch.test_accuracy + 0.03


# -- what rests -----------------------------------------------------------------------------------


def test_frozen_stages_keep_every_bit_with_their_buffers(base, two):
    train(two, weights=base.path, freeze=3, out="one", epochs=2, **QUIET)
    before, after = weights(base.path), weights("one/last.safetensors")
    kept = {name for name in after if after[name] == before.get(name)}
    rest = ("conv1.", "bn1.", "layer1.", "layer2.")
    assert {name for name in after if name.startswith(rest)} <= kept
    assert "layer2.0.bn1.running_var" in kept
    moved = {name for name in after if name.startswith(("layer3.", "fc."))}
    assert not moved & kept


def test_only_what_learns_is_in_the_optimizer(base, two):
    class Look(Display):
        def on_start(self, trainer, epochs, batches):
            self.groups = trainer.optimizer.param_groups

    look = Look()
    settings = {"weights": base.path, "epochs": 2, "progress": look}
    train(two, out="one", freeze="backbone", **settings)
    assert [len(g["params"]) for g in look.groups] == [2]
    train(two, out="two", freeze=["conv1", "layer1"], layer_decay=0.5, lr=0.01, **settings)
    assert [g["initial_lr"] for g in look.groups] == [0.01 * 0.5**k for k in (0, 1, 2, 4)]
    assert Run("two").config.freeze == "conv1,layer1"
    train(two, out="three", freeze="backbone", unfreeze_after=1, **settings)
    assert [len(g["params"]) for g in look.groups] == [59]


@pytest.mark.parametrize("schedule", CHOICES["schedule"])
def test_every_schedule_keeps_the_rates_of_stages_in_proportion(two, schedule):
    class Look(Display):
        def __init__(self):
            self.rates = []

        def on_step(self, trainer):
            self.rates.append([group["lr"] for group in trainer.optimizer.param_groups])

    look = Look()
    settings = {"weights": "mnist", "layer_decay": 0.5, "head_lr_factor": 3.0, "epochs": 3}
    train(two, schedule=schedule, out="one", progress=look, **settings)
    assert len(look.rates) > 9
    assert sum(rates[1] > 0 for rates in look.rates) > 9
    for head, *others in look.rates:
        assert others == pytest.approx([head / 3 * 0.5**k for k in range(1, 5)], rel=1e-12)


# -- repeating, stopping, going on -----------------------------------------------------------------


FINE = {
    "freeze": "2",
    "unfreeze_after": 1,
    "layer_decay": 0.8,
    "head_lr_factor": 3.0,
    "epochs": 3,
    "batch_size": 6,
}


@pytest.fixture(scope="module")
def tuned(base, two, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tuned"
    return train(two, weights=base.path, out=out, **FINE, **QUIET)


class StopAt(Display):
    """Ctrl-C after so many updates."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal (POSIX)")
@pytest.mark.parametrize("step", [1, 3, 4, 7])  # frozen, at the end of that, after it, later
def test_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(base, two, tuned, step, capsys):
    assert tuned.summary["steps"] == 9
    shutil.copytree(base.path, "here")
    with pytest.raises(KeyboardInterrupt):
        train(two, weights="here", out="stopped", progress=StopAt(step), **FINE)
    shutil.rmtree("here")  # what the run began with is not needed to go on
    run = train(resume="stopped")
    for name in ("best.safetensors", "last.safetensors"):
        assert bits(run.path / name) == bits(tuned.path / name)
    assert "269,072 loaded; 130 new: fc" in capsys.readouterr().out
    assert run.summary["weights"] | {"source": ""} == tuned.summary["weights"] | {"source": ""}


def test_a_runs_config_repeats_it(tuned):
    again = train(config=tuned.path / "config.toml", out="again", **QUIET)
    assert again.config == tuned.config
    assert bits("again/last.safetensors") == bits(tuned.path / "last.safetensors")


def test_settings_of_fine_tuning_in_a_file(base, two):
    Path("s.toml").write_text(f'weights = "{base.path}"\nfreeze = 2\nepochs = 1\n')
    run = train(two, config="s.toml", out="one", **QUIET)
    assert run.config.freeze == 2
    assert Run("one").config == run.config


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"weights": "nowhere"}, CheckpointError, "there is no file or run folder nowhere"),
        ({"model": "lenet5"}, ConfigError, "--model lenet5: the weights .* those of a resnet20"),
        ({"channels": 1}, ConfigError, r"expect colour images \(3 channels\); leave --channels"),
        ({"freeze": "layer7"}, ConfigError, "no layer is called 'layer7'; did you mean layer"),
        ({"freeze": "*"}, ConfigError, "is everything, nothing is left to learn"),
        ({"freeze": 9}, ConfigError, "9 stages cannot be frozen; before the head there are 4"),
        ({"unfreeze_after": 1}, ConfigError, "--unfreeze-after: nothing is frozen"),
        (
            {"freeze": 1, "unfreeze_after": 2, "epochs": 2},
            ConfigError,
            "--unfreeze-after 2: training ends after 2 epochs",
        ),
        ({"layer_decay": 1.5}, ConfigError, "layer_decay must be above 0, at most 1, got 1.5"),
        ({"head_lr_factor": 0}, ConfigError, "head_lr_factor must be a finite number above 0"),
        ({"freeze": True}, ConfigError, "freeze must be text or a whole number, got True"),
    ],
)
def test_what_does_not_go_with_the_weights(base, two, settings, error, message):
    with pytest.raises(error, match=message):
        train(two, **{"weights": base.path, "out": "one", **settings}, **QUIET)
    assert not Path("one").exists()


def test_weights_that_depend_on_the_size_keep_it(images, two):
    train(images, model="softmax", out="one", image_size=4, epochs=1, **QUIET)
    with pytest.raises(ConfigError, match=r"--image-size 6: the weights .* one is for 4 x 4;"):
        train(two, weights="one", image_size=6, **QUIET)
    assert train(two, weights="one", image_size=4, epochs=1, **QUIET).config.image_size == 4


def test_what_a_run_begins_with_is_not_replaced_by_it(base, two, tmp_path):
    shutil.copytree(base.path, "runs/before")
    for source in ("runs/before", "runs/before/last.safetensors"):
        with pytest.raises(ConfigError, match="--out runs/before: the weights to begin with lie"):
            train(two, weights=source, out="runs/before", overwrite=True, **QUIET)
    assert load_checkpoint("runs/before").classes == base.checkpoint.classes


def test_freezing_needs_weights(two):
    with pytest.raises(ConfigError, match=r"--freeze: weights that nobody trained .* --weights"):
        train(two, freeze="backbone", **QUIET)


# -- the command ----------------------------------------------------------------------------------


def test_the_command_says_what_is_loaded_new_and_frozen(base, two, capsys):
    options = ["--weights", str(base.path), "--freeze", "layer1*,conv1", "--epochs", "2"]
    assert command(["train", str(two), "--out", "one", "--unfreeze-after", "1", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    source = base.path
    assert lines[2].startswith("model    resnet20: 269,202 weights; sgd")
    assert lines[3] == (
        f"weights  {source}: 269,072 loaded; 130 new: fc, for 2 classes instead of 3"
    )
    assert lines[4].startswith("input    normalised as for these weights: mean 0.")
    assert lines[5] == "frozen   14,448 weights until epoch 1 is over; 254,754 learn"


def test_predict_and_evaluate_take_weights_in_place_of_a_run(base, images, capsys):
    red = str(images / "red" / "red0.png")
    assert command(["predict", str(base.path), red]) == 0
    before = capsys.readouterr().out
    assert command(["predict", "--weights", str(base.path), red]) == 0
    assert capsys.readouterr().out == before
    assert command(["evaluate", "--json", "--weights", str(base.path)]) == 0
    assert '"split": "val"' in capsys.readouterr().out
    assert command(["evaluate", "--weights", str(base.path), str(images), "--json"]) == 0
    assert '"images": 24' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "run"], "Missing argument 'IMAGE...' after run"),
        (
            ["predict", "--weights", "nowhere", "a.png"],
            "no file or run folder nowhere; the weights that come with chainrule are lenet5.mnist",
        ),
        (["evaluate"], "Missing argument 'RUN', or --weights"),
        (["evaluate", "run", "data", "--weights", "x"], "--weights stands for RUN; leave run out"),
        (["train", "digits", "--freeze", "backbone"], "name --weights too"),
        (["train", "digits", "--weights", "nowhere"], "there is no file or run folder nowhere"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, capsys):
    assert command(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# -- the page ------------------------------------------------------------------------------------


PAGE = Path(__file__).resolve().parents[2] / "docs" / "finetuning.md"
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    for line in block.splitlines()
]


def test_the_commands_of_the_page_work(base, two, capsys):
    shutil.copytree(base.path, "runs/before")
    shutil.copytree(two, "photos")
    digit = datasets.load("digits").test[0][0]
    Image.fromarray(digit[:, :, 0]).save("digit.png")
    shutil.copy(two / "red" / "red0.png", "photo.png")
    cr.save(base.checkpoint.model.state_dict(), "resnet20.pth")
    assert len(COMMANDS) > 8
    for line in COMMANDS:
        arguments = shlex.split(line)[1:]
        if arguments[0] == "train":
            arguments += ["--epochs", "3", "--quiet"]
        assert command(arguments) == 0, f"{line}: {capsys.readouterr().err}"
