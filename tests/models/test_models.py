"""The models and their registry."""

import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import inspect, models, nn
from chainrule.errors import ConfigError


def test_a_model_called_directly_has_its_config_too():
    built = {"name": "resnet20", "num_classes": 5, "in_channels": 3, "shortcut": "A"}
    assert models.resnet20(5).config == built
    assert models.mlp(hidden=(4,)).config["hidden"] == [4]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("lenet5", 61_706),
        ("softmax", 7_850),
        ("svm", 7_850),
        ("two_layer_net", 79_510),
        ("knn", 0),
        ("mlp", 235_146),
        ("example_net", 44_950),
        # Springenberg et al. 2015, table 4: 1.3 million
        ("all_cnn_c", 1_369_738),
        # He et al. 2016, table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million; plain as residual
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
        ("plain56", 853_018),
        ("plain110", 1_727_962),
        # He et al. 2016b, table 4: 1.7 million for both
        ("preact_resnet110", 1_727_962),
        ("preact_resnet164", 1_703_258),
        ("preact_resnet18", 11_172_170),
        ("fcn_resnet20", 270_222),
        # Hu et al. 2018, table 2: 28.1, 49.3 and 66.8 million
        ("se_resnet18", 11_778_592),
        ("se_resnet34", 21_958_868),
        ("se_resnet50", 28_088_024),
        ("se_resnet101", 49_326_872),
        ("se_resnet152", 66_821_848),
        ("se_resnet20", 272_095),
    ],
)
def test_number_of_weights(name, weights):
    assert models.entry(name).parameters() == weights


def test_the_page_of_models_has_their_numbers_of_weights():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| ([\d,]+) \|", page, re.MULTILINE)
    assert len(rows) > 20
    for named, weights in rows:
        for name in re.findall(r"`(\w+)`", named):
            assert f"{models.entry(name).parameters():,}" == weights, name


def test_counting_draws_no_random_numbers():
    cr.manual_seed(3)
    first = cr.randn(1).item()
    cr.manual_seed(3)
    assert sum(models.entry(name).parameters() for name in models.list()) > 0
    assert cr.randn(1).item() == first


@pytest.mark.parametrize(
    ("name", "layers", "with_pooling"),
    [
        ("softmax", 1, 1),
        ("two_layer_net", 2, 2),
        ("example_net", 4, 4),
        ("lenet5", 5, 7),
        ("all_cnn_c", 9, 10),
        ("resnet20", 20, 21),
        ("plain56", 56, 57),
        ("resnet110", 110, 111),
        ("preact_resnet164", 164, 165),
        ("fcn_resnet20", 20, 20),
    ],
)
def test_layers_counted_both_ways(name, layers, with_pooling):
    account = inspect.summary(models.create(name))
    assert account.depth() == layers
    assert account.depth(count_pooling=True) == with_pooling


def test_example_net_has_the_maps_of_the_notes():
    net = models.example_net()
    shapes = []
    for layer in (net.conv1, net.conv2, net.conv3, net.flatten):
        layer.register_forward_hook(lambda module, args, y: shapes.append(tuple(y.shape)))
    net(cr.randn(1, 3, 39, 39))
    assert shapes == [(1, 10, 37, 37), (1, 20, 17, 17), (1, 40, 7, 7), (1, 1960)]


def test_mlp_may_normalise_and_drop_out():
    net = models.mlp(hidden=(5, 4), normalization="batchnorm", dropout=0.3)
    kinds = [type(layer).__name__ for layer in net]
    hidden = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert kinds == ["Flatten", *hidden, *hidden, "Linear"]
    assert net[4].p == 0.3 and net[2].num_features == 5
    kinds = [type(layer).__name__ for layer in models.mlp(normalization="layernorm")]
    assert kinds[:4] == ["Flatten", "Linear", "LayerNorm", "ReLU"]


@pytest.mark.parametrize(("shortcut", "weights"), [("A", 269_722), ("B", 272_474), ("C", 283_962)])
def test_shortcuts_of_the_paper(shortcut, weights):
    net = models.resnet20(shortcut=shortcut)
    # B adds 16·32 + 2·32 and 32·64 + 2·64; C three of 16·16 + 2·16 as well, two of 32·32 + 2·32
    # and two of 64·64 + 2·64
    assert sum(p.numel() for p in net.parameters()) == weights
    assert net(cr.randn(2, 3, 9, 12)).shape == (2, 10)
    assert models.create(**net.config).config == net.config


def test_plain_nets_are_residual_nets_without_their_shortcuts():
    plain, residual = models.plain20().eval(), models.resnet20().eval()
    plain.load_state_dict(residual.state_dict())
    block, x = plain.layer2[0], cr.randn(2, 16, 8, 8)
    there = residual.layer2[0]
    np.testing.assert_array_equal(block(x).array, F.relu(there._residual(x)).array)
    np.testing.assert_array_equal(
        there(x).array, F.relu(there._residual(x) + there._shortcut(x)).array
    )


def test_squeeze_and_excitation_weighs_channels_by_their_means():
    block = models.se_resnet20().layer2[0]
    assert (block.se.fc1.out_channels, models.se_resnet50().layer4[0].se.fc1.out_channels) == (
        2,
        128,
    )
    x = cr.randn(2, 32, 5, 4)
    weights = F.sigmoid(block.se.fc2(F.relu(block.se.fc1(x.mean((2, 3), keepdim=True)))))
    assert weights.shape == (2, 32, 1, 1)
    np.testing.assert_allclose(block.se(x).detach(), (x * weights).detach(), rtol=1e-5)
    for net in (models.se_resnet18().layer3[0], models.se_resnet50().layer1[0]):
        calls = []
        net.se.register_forward_hook(lambda module, args, y, calls=calls: calls.append(y.shape))
        net(cr.randn(1, net.conv1.in_channels, 4, 4))
        assert len(calls) == 1


def test_the_first_unit_of_a_stage_parts_after_its_activation():
    net = models.preact_resnet20()
    assert [unit.parts_late for unit in net.layer2] == [True, False, False]
    x = cr.randn(2, 16, 8, 8)
    for unit in (net.layer1[0], net.layer1[1]):
        nn.init.zeros_(unit.conv2.weight)
    np.testing.assert_array_equal(net.layer1[1](x).array, x.array)
    first = net.layer1[0]
    np.testing.assert_array_equal(first(x).array, F.relu(first.bn1(x)).array)


def test_a_classifier_becomes_a_segmenter():
    """A linear layer over a feature map is a 1 x 1 convolution: its map's mean is the scores."""
    classifier, segmenter = models.resnet20(4).eval(), models.fcn_resnet20(4).eval()
    state = classifier.state_dict()
    weight, bias = state.pop("fc.weight"), state.pop("fc.bias")
    segmenter.backbone.load_state_dict(state)
    segmenter.score3.load_state_dict({"weight": weight.reshape(4, 64, 1, 1), "bias": bias})
    x = cr.randn(2, 3, 32, 40)
    with cr.no_grad():
        coarse = segmenter.score3(segmenter.backbone.maps(x)[2])
        np.testing.assert_allclose(coarse.mean((2, 3)).array, classifier(x).array, atol=1e-5)
        enlarged = F.interpolate(coarse, size=(16, 20), mode="bilinear", align_corners=False)
        enlarged = F.interpolate(enlarged, size=(32, 40), mode="bilinear", align_corners=False)
        np.testing.assert_allclose(segmenter(x).array, enlarged.array, atol=1e-5)


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
            r"unknown model 'resnet21'; did you mean resnet\d+\? models\.list\(\) has all$",
        ),
        (lambda: models.create("quux"), r"unknown model 'quux'; the models are .*lenet5"),
        (
            lambda: models.create("mlp", depth=3),
            r"mlp has no option 'depth'; its options: num_classes, in_channels, image_size, hid",
        ),
        (lambda: models.create("mlp", num_classes=0), r"mlp: num_classes must be a whole number"),
        (
            lambda: models.create("mlp", hidden=[3, 0.5]),
            r"mlp: hidden must be .* got 0.5",
        ),
        (lambda: models.create("mlp", in_channels=0), r"in_channels must be .* at least 1, got 0"),
        (
            lambda: models.mlp(normalization="group"),
            r"mlp: normalization must be batchnorm, layernorm or None, got 'group'",
        ),
        (lambda: models.resnet20(shortcut="D"), r"shortcut must be one of A, B and C, got 'D'"),
        (lambda: models.example_net(image_size=14), r"at least 15 x 15 pixels, got \(14, 14\)"),
        (lambda: models.lenet5(image_size=3), r"at least 4 x 4 pixels, got \(3, 3\)"),
        (lambda: models.lenet5(image_size=(3, 4, 5)), r"must be a side or \(height, width\)"),
        (lambda: models.lenet5(image_size=28.5), r"must be a side or \(height, width\), got 28\.5"),
        (lambda: models.lenet5(image_size="28"), r"must be a side or \(height, width\), got '28'"),
        (lambda: models.lenet5("10"), r"num_classes must be a whole number .* got '10'"),
        (lambda: models.mlp(hidden=5), r"mlp: hidden must be a list of sizes, .* got 5"),
        (lambda: models.densenet121(growth_rate=12), r"densenet121 has no option 'growth_rate'"),
        (lambda: models.register()(nn.Identity), r"Identity must take num_classes and in_channels"),
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
    assert models.list("two-layer") == ["two_layer_net"]
    depths = [int(name[6:]) for name in models.list("resnet*") if name[6:].isdigit()]
    assert depths == sorted(depths)


def test_the_head_of_an_unregistered_model_is_its_last_layer_with_weights():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh())
    assert models.heads(net) == ("3",)
    assert models.heads(nn.ReLU()) == ()
