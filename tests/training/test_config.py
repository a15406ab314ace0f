"""Settings: who wins, what is refused, what comes back from a file."""

import tomllib
from fnmatch import fnmatchcase

import pytest

from chainrule import models
from chainrule.errors import ConfigError
from chainrule.training.config import (
    FINE_TUNING,
    RATES,
    RECIPES,
    TrainConfig,
    check,
    from_dict,
    read_settings,
    recipe,
    resolve,
    to_dict,
    to_toml,
)


def settle(given, model="lenet5", name="*", images=100_000, image_size=32, channels=1):
    return resolve(
        given, name=name, model=model, images=images, image_size=image_size, channels=channels
    )


def test_a_recipe_wins_over_defaults_and_the_user_over_both():
    default = TrainConfig("d", "m")
    recommended = recipe("*", "resnet20")
    assert recommended["optimizer"] != default.optimizer
    settled = settle({"data": "d", "lr": 0.03}, model="resnet20")
    assert settled.optimizer == recommended["optimizer"]
    assert settled.lr == 0.03
    assert settled.momentum == default.momentum


def test_a_row_for_one_data_set_refines_the_row_of_the_model():
    assert recipe("digits", "lenet5")["optimizer"] == RECIPES["*", "lenet5"]["optimizer"]
    assert recipe("digits", "lenet5")["epochs"] == RECIPES["digits", "lenet5"]["epochs"]
    assert recipe("anything", "unheard of") == {}


def test_a_row_holds_for_all_models_its_pattern_fits():
    assert recipe("*", "preact_resnet110") == recipe("cifar10", "resnet56")
    assert recipe("digits", "se_resnet20")["image_size"] == 16
    assert recipe("digits", "plain20") == recipe("digits", "resnet32")
    assert recipe("*", "svm")["loss"] == "multi_margin"
    unused = [p for _, p in RECIPES if not any(fnmatchcase(m, p) for m in models.list())]
    assert unused == []


def test_a_network_without_batch_norm_gets_another_recipe_than_one_with_it():
    assert recipe("*", "vgg16")["optimizer"] == "adam"
    assert recipe("*", "vgg16_bn")["optimizer"] == "sgd"
    without = [name for name in models.list() if not recipe("*", name)]
    assert without == []


@pytest.mark.parametrize("key", RECIPES)
def test_every_recipe_is_a_valid_setting(key):
    check(RECIPES[key], str(key))


def test_small_data_sets_get_smaller_batches_unless_the_user_chose():
    assert settle({"data": "d"}, images=200).batch_size == 10
    assert settle({"data": "d"}, images=3).batch_size == 4
    assert settle({"data": "d", "batch_size": 64}, images=200).batch_size == 64


def test_with_a_smaller_batch_the_rate_of_sgd_falls_in_proportion():
    full = settle({"data": "d"}, model="resnet20")
    small = settle({"data": "d"}, model="resnet20", images=640)
    assert small.batch_size == full.batch_size / 4
    assert small.lr == full.lr / 4
    assert settle({"data": "d", "lr": 0.3}, model="resnet20", images=640).lr == 0.3
    assert settle({"data": "d", "batch_size": 8}, model="resnet20").lr == full.lr
    assert settle({"data": "d"}, images=640).lr == settle({"data": "d"}).lr  # adam


def test_another_update_rule_gets_a_rate_of_its_own():
    chosen = settle({"data": "d", "optimizer": "adam"}, model="resnet20")
    assert (chosen.lr, chosen.weight_decay) == (RATES["adam"], 0)
    chosen = settle({"data": "d", "optimizer": "adam", "lr": 0.01}, model="resnet20")
    assert chosen.lr == 0.01
    same = settle({"data": "d", "optimizer": "sgd"}, model="resnet20")
    assert same.lr == recipe("*", "resnet20")["lr"]
    chosen = settle({"data": "d", "optimizer": "nesterov"}, images=640)
    assert chosen.lr == RATES["nesterov"] / 2  # batches of 32 for a recipe's 64


def test_weights_that_were_trained_before_get_a_part_of_rate_and_epochs():
    scratch = settle({"data": "d"}, model="resnet20")
    tuned = settle({"data": "d", "weights": "w"}, model="resnet20")
    assert tuned.lr == scratch.lr * FINE_TUNING["sgd"][0]
    assert tuned.epochs == scratch.epochs * FINE_TUNING["sgd"][1]
    head = settle({"data": "d", "weights": "w", "freeze": "backbone"}, model="resnet20")
    assert (head.lr, head.epochs) == (scratch.lr, scratch.epochs)
    adam = settle({"data": "d"}), settle({"data": "d", "weights": "w", "freeze": "backbone"})
    assert adam[1].lr == 5 * adam[0].lr
    assert settle({"data": "d", "weights": "w", "lr": 0.3, "epochs": 7}).lr == 0.3


def test_one_cycle_rises_for_longer_than_a_warm_up():
    assert settle({"data": "d", "schedule": "onecycle"}).warmup == 0.3
    assert settle({"data": "d", "schedule": "onecycle", "warmup": 0.2}).warmup == 0.2


def test_second_order_steps_are_refused_with_the_reason():
    with pytest.raises(ConfigError, match=r"got 'lbfgs': it measures curvature .* optim\.LBFGS"):
        check({"optimizer": "lbfgs"}, "train")


def test_a_model_without_a_recipe_gets_the_defaults():
    default = TrainConfig("d", "m")
    settled = settle({"data": "d"}, model="unheard of")
    assert (settled.lr, settled.batch_size) == (default.lr, default.batch_size)


def test_only_photographs_are_mirrored():
    assert settle({"data": "d"}, channels=1).augment == "crop"
    assert settle({"data": "d"}, channels=3).augment == "crop+flip"
    assert settle({"data": "d", "augment": "none"}, channels=3).augment == "none"


def test_settings_survive_toml_and_dict():
    config = TrainConfig('a "quoted" \\ päth\t\x7f', "mlp", lr=1e-5, strict=True, channels=3)
    assert from_dict(tomllib.loads(to_toml(config))) == config
    assert from_dict(to_dict(config)) == config


def test_a_file_is_read_and_checked(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('model = "mlp"\nlr = 1\n')
    assert read_settings(file) == {"model": "mlp", "lr": 1}
    file.write_text("lr = 2\n", encoding="utf-8-sig")  # as editors on Windows save it
    assert read_settings(file) == {"lr": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", r"settings\.toml: unknown setting 'epoch'; did you mean 'epochs'\?"),
        ("batch-size = 3", "unknown setting 'batch-size'; did you mean 'batch_size'"),
        ("zzz = 3", "unknown setting 'zzz'; known: data, model"),
        ("epochs = 1.5", "epochs must be a whole number, got 1.5"),
        ("epochs = true", "epochs must be a whole number, got True"),
        ("epochs = 0", "epochs must be at least 1, got 0"),
        ('lr = "fast"', "lr must be a number, got 'fast'"),
        ("lr = nan", "lr must be a finite number above 0"),
        ("lr = inf", "lr must be a finite number above 0"),
        ("strict = 1", "strict must be true or false"),
        ('optimizer = "sdg"', r"optimizer must be one of sgd, momentum, .*, adamax, got 'sdg'"),
        ("channels = 2", "channels must be 1"),
        ("[model]\nname = 'x'", "model must be text"),
        ("epochs =", "is not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(file)
    assert "\n" not in str(caught.value).partition(": ")[0]


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file .*absent\.toml"):
        read_settings(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        read_settings(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no UTF-8 text"):
        read_settings(tmp_path / "binary.toml")


def test_missing_settings_are_named():
    with pytest.raises(ConfigError, match="the setting 'model' is missing"):
        from_dict({"data": "digits"})
