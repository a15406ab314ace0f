"""The models and their registry."""

import json

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn
from chainrule.errors import ConfigError


def test_every_name_builds_a_model_for_its_own_defaults():
    assert {"lenet5", "mlp", "resnet20", "softmax"} <= set(models.list())
    for name in models.list():
        entry = models.entry(name)
        net = models.create(name).eval()
        x = cr.randn(2, entry.in_channels, entry.image_size, entry.image_size)
        assert net(x).shape == (2, entry.num_classes)
        assert entry.summary.endswith(".")


@pytest.mark.parametrize("name", models.list())
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 32, (20, 33)])
def test_channels_classes_and_sizes(name, channels, size):
    net = models.create(name, num_classes=7, in_channels=channels, image_size=size)
    height, width = size if isinstance(size, tuple) else (size, size)
    assert net(cr.randn(2, channels, height, width)).shape == (2, 7)


@pytest.mark.parametrize("name", models.list())
def test_config_is_json_and_builds_the_model_again(name):
    net = models.create(name, num_classes=3, in_channels=1, image_size=(12, 16))
    config = json.loads(json.dumps(net.config))
    assert config == net.config and config["name"] == name and config["num_classes"] == 3
    again = models.create(**config)
    again.load_state_dict(net.state_dict())
    assert again.config == net.config
    x = cr.randn(2, 1, 12, 16)
    np.testing.assert_array_equal(again.eval()(x).detach().array, net.eval()(x).detach().array)


def test_a_model_called_directly_has_its_config_too():
    assert models.resnet20(5).config == {"name": "resnet20", "num_classes": 5, "in_channels": 3}
    assert models.mlp(hidden=(4,)).config["hidden"] == [4]


@pytest.mark.parametrize(
    ("name", "weights"),
    [("lenet5", 61_706), ("resnet20", 269_722), ("softmax", 7_850), ("mlp", 235_146)],
)
def test_number_of_weights(name, weights):
    assert sum(p.numel() for p in models.create(name).parameters()) == weights


def test_lenet_has_the_papers_maps():
    for size in (28, 32):
        assert models.lenet5(image_size=size).fc1.in_features == 16 * 5 * 5


def test_resnet_shortcut_takes_every_second_pixel_and_adds_empty_channels():
    block = models.resnet20().layer2[0]
    x = cr.randn(2, 16, 7, 7)
    shortcut = block._shortcut(x).array
    np.testing.assert_array_equal(shortcut[:, 8:24], x.array[:, :, ::2, ::2])
    assert not shortcut[:, :8].any() and not shortcut[:, 24:].any()


def test_resnet_memory_stays_channels_last():
    net = models.resnet20()
    orders = []

    def remember(module, args, y):
        if y.ndim == 4:
            orders.append(y.array.transpose(0, 2, 3, 1).flags.c_contiguous)

    for module in net.modules():
        module.register_forward_hook(remember)
    net(cr.randn(2, 3, 16, 16))
    assert len(orders) > 50 and all(orders)


@pytest.mark.parametrize("name", models.list())
def test_every_weight_gets_a_gradient_and_the_loss_starts_near_log_classes(name):
    cr.manual_seed(0)
    net = models.create(name)
    entry = models.entry(name)
    x = cr.randn(16, entry.in_channels, entry.image_size, entry.image_size)
    loss = F.cross_entropy(net(x), cr.arange(16) % 10)
    assert loss.item() == pytest.approx(np.log(10), rel=0.35)
    loss.backward()
    for parameter_name, p in net.named_parameters():
        assert p.grad is not None and p.grad.array.any(), parameter_name


def test_the_same_seed_builds_the_same_bits():
    def weights():
        cr.manual_seed(4)
        return models.resnet20().state_dict()

    first, second = weights(), weights()
    for name, value in first.items():
        np.testing.assert_array_equal(value.array, second[name].array)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: models.create("resnet21"),
            r"unknown model 'resnet21'; did you mean resnet20\? the models are lenet5, mlp, resnet",
        ),
        (lambda: models.create("quux"), r"unknown model 'quux'; the models are lenet5"),
        (
            lambda: models.create("mlp", depth=3),
            r"mlp has no option 'depth'; its options: num_classes, in_channels, image_size, hidden",
        ),
        (lambda: models.create("mlp", num_classes=0), r"mlp: num_classes must be a whole number"),
        (
            lambda: models.create("mlp", hidden=[3, 0.5]),
            r"mlp: hidden must be .* got 0.5",
        ),
        (lambda: models.create("mlp", in_channels=0), r"in_channels must be .* at least 1, got 0"),
        (lambda: models.lenet5(image_size=3), r"at least 4 x 4 pixels, got \(3, 3\)"),
        (lambda: models.lenet5(image_size=(3, 4, 5)), r"must be a side or \(height, width\)"),
        (lambda: models.resnet20(in_channels=-1), r"in_channels must be a whole number .* got -1"),
    ],
)
def test_impossible_settings(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_registering_a_model_of_ones_own(monkeypatch):
    from chainrule.models import registry

    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @models.register(image_size=16)
    def tiny(num_classes: int = 10, in_channels: int = 3, width: int = 2) -> nn.Module:
        """A tiny model."""
        return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * width, num_classes))

    assert "tiny" in models.list()
    entry = models.entry("tiny")
    assert (entry.in_channels, entry.image_size, entry.fixed_size) == (3, 16, False)
    assert entry.options == ("width",) and entry.summary == "A tiny model."
    assert entry.num_classes == 10 and entry.heads == ()
    net = models.create("tiny", 4, width=5)
    assert net.config == {"name": "tiny", "num_classes": 4, "in_channels": 3, "width": 5}
    with pytest.raises(ConfigError, match=r"tiny: settings must be plain values"):
        models.create("tiny", width=np.int64(2))


def test_list_takes_a_pattern_and_sorts_by_number():
    assert models.list("res*") == [name for name in models.list() if name.startswith("res")]
    assert models.list("no such*") == []
    depths = [int(name[6:]) for name in models.list("resnet*") if name[6:].isdigit()]
    assert depths == sorted(depths)


@pytest.mark.parametrize("name", models.list())
def test_heads_are_all_that_other_classes_change(name):
    few, more = (models.create(name, num_classes=n) for n in (3, 4))
    shapes = {k: v.shape for k, v in more.state_dict().items()}
    changed = {k.rpartition(".")[0] for k, v in few.state_dict().items() if v.shape != shapes[k]}
    assert changed == set(models.heads(few))


def test_the_head_of_an_unregistered_model_is_its_last_layer_with_weights():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh())
    assert models.heads(net) == ("3",)
    assert models.heads(nn.ReLU()) == ()
