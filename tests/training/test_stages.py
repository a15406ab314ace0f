"""Which parts a model has, which of them rest, and how fast the others learn."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn, optim
from chainrule.errors import ConfigError
from chainrule.optim.lr_scheduler import LambdaLR
from chainrule.training import Trainer
from chainrule.training.stages import Frozen, frozen_names, parameter_groups, stages


class Batches:
    """Random images of random classes; ``seen`` runs at every batch."""

    def __init__(self, shape, count=2, seen=None):
        rng = np.random.default_rng(0)
        self.batches = [
            (cr.tensor(rng.normal(size=shape).astype(np.float32)), cr.tensor([0, 1, 2, 0]))
            for _ in range(count)
        ]
        self.seen = seen

    def __iter__(self):
        for batch in self.batches:
            if self.seen is not None:
                self.seen()
            yield batch

    def __len__(self):
        return len(self.batches)

    def set_epoch(self, epoch):
        pass


def bits(model):
    return {name: t.array.tobytes() for name, t in model.state_dict().items()}


class Vgg(nn.Module):
    """As many of PyTorch's models are laid out: features, and a classifier of several layers."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(cr.ones(1))
        self.features = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.PReLU()
        )
        self.classifier = nn.Sequential(
            nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3)
        )

    def forward(self, x):
        return self.classifier(self.features(x * self.scale).flatten(1))


# -- stages ------------------------------------------------------------------------------------


def test_the_stages_of_a_residual_network():
    assert stages(models.resnet20()) == [
        ("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("fc",),
    ]  # fmt: skip


def test_features_are_opened_and_so_is_what_holds_the_head():
    assert stages(Vgg()) == [
        ("features.0", "features.1"), ("features.3", "features.4"), ("classifier.0",),
        ("classifier.3",),
    ]  # fmt: skip


def test_stages_of_models_without_a_backbone():
    assert stages(models.softmax()) == [("1",)]
    assert stages(models.mlp()) == [("1",), ("3",), ("5",)]


@pytest.mark.parametrize("name", [n for n in models.list() if not models.entry(n).memorizes])
def test_every_parameter_of_every_model_has_one_rate(name):
    with nn.init.skipped():
        model = models.create(name)
    groups = parameter_groups(model, 1.0, layer_decay=0.5, head_lr_factor=3.0)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters())
    assert groups[0]["lr"] == 3.0
    assert groups[0]["stage"] == "+".join(models.heads(model))
    assert [g["lr"] for g in groups[1:]] == [0.5 ** (k + 1) for k in range(len(groups) - 1)]
    if len(stages(model)) > 1:
        frozen = frozen_names(model, "backbone")
        assert all(not n.startswith(tuple(models.heads(model))) for n in frozen)
        assert len(frozen) + len(groups[0]["params"]) == len(found)


# -- what is frozen ------------------------------------------------------------------------------


def layers(names):
    return sorted({name.partition(".")[0] for name in names})


def test_a_number_freezes_the_first_stages():
    net = models.resnet20()
    assert layers(frozen_names(net, 1)) == ["bn1", "conv1"]
    assert layers(frozen_names(net, "3")) == ["bn1", "conv1", "layer1", "layer2"]
    assert frozen_names(net, 4) == frozen_names(net, "backbone")
    assert "scale" in frozen_names(Vgg(), 1)  # what lies in no layer


def test_patterns_name_layers_or_parameters():
    net = models.resnet20()
    assert layers(frozen_names(net, "layer1*, conv1")) == ["conv1", "layer1"]
    assert frozen_names(net, "conv1") == ["conv1.weight"]
    assert frozen_names(net, "layer2.0") == [
        n for n, _ in net.named_parameters() if n.startswith("layer2.0.")
    ]
    assert frozen_names(net, "fc.b*,*.bn2.bias")[-1] == "fc.bias"
    assert len(frozen_names(net, "*.bn2.bias")) == 9


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("layer9", r"no layer is called 'layer9'; did you mean layer3\? give backbone, a number"),
        ("zzz", r"no layer is called 'zzz'; give .* stages are conv1\+bn1, layer1, layer2, lay"),
        ("conv1,", "no layer is called ''"),
        ("backbnoe", r"did you mean backbone\?"),
        ("fc,backbone", r"backbone stands alone; fc, backbone names more"),
        ("*", "'?\\*'? is everything, nothing is left to learn"),
        ("5", "5 stages cannot be frozen; before the head there are 4: conv1.bn1, .*, layer3$"),
        ("0", "0 stages cannot be frozen"),
        (-1, "-1 stages cannot be frozen"),
    ],
)
def test_what_cannot_be_frozen(freeze, message):
    with pytest.raises(ConfigError, match=message):
        frozen_names(models.resnet20(), freeze)


def test_a_model_that_is_all_head_has_nothing_to_freeze():
    for freeze in ("backbone", 1, "*"):
        with pytest.raises(ConfigError, match="all weights of this model are in its head"):
            frozen_names(models.softmax(), freeze)


def test_frozen_layers_keep_weights_and_statistics_and_pass_dropout():
    cr.manual_seed(0)
    net = Vgg()
    net.features.add_module("5", nn.Dropout(0.5))
    callback = Frozen(net, frozen_names(net, "2"))
    before = bits(net)
    modes = []

    def look():
        modes.append((net.features[1].training, net.features[5].training, net.classifier.training))

    trainer = Trainer(net, F.cross_entropy, optim.SGD(net.parameters(), lr=0.1))
    shape = (4, 1, 6, 6)
    trainer.fit(Batches(shape, seen=look), Batches(shape), 2, [callback])
    assert modes == [(False, False, True)] * 4
    after = bits(net)
    changed = {name.partition(".")[0] for name in after if after[name] != before[name]}
    assert changed == {"classifier"}
    assert "features.1.running_mean" in after


def test_freezing_a_parameter_that_is_not_there():
    with pytest.raises(ConfigError, match=r"^Frozen: LeNet5 has no parameter 'conv1'$"):
        Frozen(models.lenet5(), ["conv1"])


def test_statistics_rest_only_where_the_whole_norm_does():
    net = Vgg()
    shape = (4, 1, 6, 6)
    trainer = Trainer(net, F.cross_entropy, optim.SGD(net.parameters(), lr=0.1))
    before = bits(net)
    callback = Frozen(net, frozen_names(net, "features.1.weight"))
    trainer.fit(Batches(shape), Batches(shape), 1, [callback])
    after = bits(net)
    assert after["features.1.weight"] == before["features.1.weight"]
    assert after["features.1.running_mean"] != before["features.1.running_mean"]


def test_what_is_frozen_thaws_after_so_many_epochs():
    cr.manual_seed(0)
    net = Vgg()
    callback = Frozen(net, frozen_names(net, "backbone"), epochs=1)
    begin = bits(net)
    seen = []
    trainer = Trainer(net, F.cross_entropy, optim.SGD(net.parameters(), lr=0.1))
    shape = (4, 1, 6, 6)
    batches = Batches(shape, seen=lambda: seen.append((bits(net), net.features.training)))
    trainer.fit(batches, Batches(shape), 2, [callback])
    name = "features.1.running_mean"
    assert [s[0][name] == begin[name] for s in seen] == [True, True, True, False]
    assert [s[1] for s in seen] == [False, False, True, True]
    assert bits(net)["features.0.weight"] != begin["features.0.weight"]


# -- rates ---------------------------------------------------------------------------------------


def test_rates_fall_from_head_to_image_through_every_step_of_the_schedule():
    net = models.resnet20()
    groups = parameter_groups(net, 0.1, layer_decay=0.8, head_lr_factor=10)
    assert [g["stage"] for g in groups] == ["fc", "layer3", "layer2", "layer1", "conv1+bn1"]
    rates = [1.0, 0.1 * 0.8, 0.1 * 0.8**2, 0.1 * 0.8**3, 0.1 * 0.8**4]
    assert [g["lr"] for g in groups] == rates
    optimizer = optim.SGD(groups, lr=0.1)
    schedule = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for step in range(3):
        assert [g["lr"] for g in optimizer.param_groups] == [r * (1 / (1 + step)) for r in rates]
        optimizer.step()
        schedule.step()


def test_a_step_moves_each_stage_by_its_own_rate():
    net = models.mlp(3, 1, 2, hidden=(4, 4))
    before = {n: p.array.copy() for n, p in net.named_parameters()}
    optimizer = optim.SGD(parameter_groups(net, 0.5, layer_decay=0.5, head_lr_factor=2), lr=9)
    for p in net.parameters():
        p.grad = cr.ones_like(p)
    optimizer.step()
    moved = {n: before[n] - p.array for n, p in net.named_parameters()}
    for layer, rate in (("5", 1.0), ("3", 0.25), ("1", 0.125)):
        for kind in ("weight", "bias"):
            np.testing.assert_allclose(moved[f"{layer}.{kind}"], rate, rtol=1e-6)


def test_left_out_parameters_are_in_no_group():
    net = models.resnet20()
    groups = parameter_groups(net, 1.0, without=frozen_names(net, 2))
    assert [g["stage"] for g in groups] == ["fc", "layer3", "layer2"]
