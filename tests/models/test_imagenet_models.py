"""The models for large images: weights, names, shapes and first values as published."""

import inspect
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import models, nn
from chainrule.errors import ConfigError, ShapeError

# weights that memory held may be of any size
pytestmark = pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")

WEIGHTS = {
    "alexnet": 61_100_840,
    "zfnet": 62_357_608,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "googlenet": 13_004_888,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "mobilenet_v2": 3_504_872,
}
"""As torchvision's documentation says; zfnet's follow from the paper's figure 3."""

FIRST = ["alexnet", "zfnet", "vgg16", "googlenet", "resnet50", "squeezenet1_0", "densenet121"]
FIRST += ["mobilenet_v2"]
"""One model of each file."""


def build(name, **settings):
    """With the weights that memory held."""
    with nn.init.skipped():
        return models.create(name, **settings)


def state_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", WEIGHTS)
def test_number_of_weights(name):
    assert models.entry(name).parameters() == WEIGHTS[name]


def test_googlenet_has_half_the_weights_without_its_auxiliary_heads():
    net = build("googlenet", aux_logits=False)
    assert sum(p.numel() for p in net.parameters()) == 6_624_904
    assert net.aux1 is None and models.heads(net) == ("fc",)


@pytest.mark.parametrize("name", FIRST)
def test_the_tables_of_the_docstrings_add_up(name):
    text = inspect.getdoc(inspect.getmodule(models.entry(name).build))
    for total in re.findall(r"([\d,]{7,}) in all", text):
        assert int(total.replace(",", "")) in {*WEIGHTS.values(), 6_624_904}
    for name in WEIGHTS.keys() & set(text.split()):
        assert f"{WEIGHTS[name]:,}" in text


# -- names and shapes of the weights, as in torchvision's files -----------------------------------


def conv(name, *shape, bias=False):
    return {f"{name}.weight": shape} | ({f"{name}.bias": shape[:1]} if bias else {})


def norm(name, n):
    state = dict.fromkeys([f"{name}.{k}" for k in ("weight", "bias")], (n,))
    state |= {f"{name}.running_mean": (n,), f"{name}.running_var": (n,)}
    return state | {f"{name}.num_batches_tracked": ()}


def linear(name, *shape):
    return conv(name, *shape, bias=True)


def alexnet():
    channels = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3)]
    state = {}
    for place, out, into, k in [*channels, (10, 256, 256, 3)]:
        state |= conv(f"features.{place}", out, into, k, k, bias=True)
    for place, out, into in [(1, 4096, 9216), (4, 4096, 4096), (6, 1000, 4096)]:
        state |= linear(f"classifier.{place}", out, into)
    return state


def vgg16(bn=False):
    # the file's own places, counted by hand
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    if bn:
        places = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    state = {}
    for place, into, out in zip(places, widths[:-1], widths[1:], strict=True):
        state |= conv(f"features.{place}", out, into, 3, 3, bias=True)
        state |= norm(f"features.{place + 1}", out) if bn else {}
    for place, out, into in [(0, 4096, 25088), (3, 4096, 4096), (6, 1000, 4096)]:
        state |= linear(f"classifier.{place}", out, into)
    return state


def resnet(blocks, bottleneck, groups=1, base_width=64):
    state = conv("conv1", 64, 3, 7, 7) | norm("bn1", 64)
    before = 64
    for stage, count in enumerate(blocks, start=1):
        planes = 32 * 2**stage
        width = planes * base_width // 64 * groups
        after = 4 * planes if bottleneck else planes
        for i in range(count):
            at = f"layer{stage}.{i}"
            if bottleneck:
                state |= conv(f"{at}.conv1", width, before, 1, 1) | norm(f"{at}.bn1", width)
                state |= conv(f"{at}.conv2", width, width // groups, 3, 3)
                state |= norm(f"{at}.bn2", width)
                state |= conv(f"{at}.conv3", after, width, 1, 1) | norm(f"{at}.bn3", after)
            else:
                state |= conv(f"{at}.conv1", planes, before, 3, 3) | norm(f"{at}.bn1", planes)
                state |= conv(f"{at}.conv2", planes, planes, 3, 3) | norm(f"{at}.bn2", planes)
            if i == 0 and before != after:
                state |= conv(f"{at}.downsample.0", after, before, 1, 1)
                state |= norm(f"{at}.downsample.1", after)
            before = after
    return state | linear("fc", 1000, before)


def squeezenet1_1():
    state = conv("features.0", 64, 3, 3, 3, bias=True)
    before = 64
    squeezes = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}
    for place, s in squeezes.items():
        at = f"features.{place}"
        state |= conv(f"{at}.squeeze", s, before, 1, 1, bias=True)
        state |= conv(f"{at}.expand1x1", 4 * s, s, 1, 1, bias=True)
        state |= conv(f"{at}.expand3x3", 4 * s, s, 3, 3, bias=True)
        before = 8 * s
    return state | conv("classifier.1", 1000, 512, 1, 1, bias=True)


def densenet121():
    state = conv("features.conv0", 64, 3, 7, 7) | norm("features.norm0", 64)
    channels = 64
    for block, layers in enumerate((6, 12, 24, 16), start=1):
        for i in range(1, layers + 1):
            at = f"features.denseblock{block}.denselayer{i}"
            state |= norm(f"{at}.norm1", channels) | conv(f"{at}.conv1", 128, channels, 1, 1)
            state |= norm(f"{at}.norm2", 128) | conv(f"{at}.conv2", 32, 128, 3, 3)
            channels += 32
        if block < 4:
            at = f"features.transition{block}"
            state |= norm(f"{at}.norm", channels)
            state |= conv(f"{at}.conv", channels // 2, channels, 1, 1)
            channels //= 2
    return state | norm("features.norm5", 1024) | linear("classifier", 1000, 1024)


def googlenet():
    def basic(at, out, into, k):
        return conv(f"{at}.conv", out, into, k, k) | norm(f"{at}.bn", out)

    state = basic("conv1", 64, 3, 7) | basic("conv2", 64, 64, 1) | basic("conv3", 192, 64, 3)
    table = {  # Szegedy et al. 2015, table 1
        "3a": (192, 64, 96, 128, 16, 32, 32),
        "3b": (256, 128, 128, 192, 32, 96, 64),
        "4a": (480, 192, 96, 208, 16, 48, 64),
        "4b": (512, 160, 112, 224, 24, 64, 64),
        "4c": (512, 128, 128, 256, 24, 64, 64),
        "4d": (512, 112, 144, 288, 32, 64, 64),
        "4e": (528, 256, 160, 320, 32, 128, 128),
        "5a": (832, 256, 160, 320, 32, 128, 128),
        "5b": (832, 384, 192, 384, 48, 128, 128),
    }
    for name, (into, one, r3, three, r5, five, pool) in table.items():
        at = f"inception{name}"
        state |= basic(f"{at}.branch1", one, into, 1)
        state |= basic(f"{at}.branch2.0", r3, into, 1) | basic(f"{at}.branch2.1", three, r3, 3)
        state |= basic(f"{at}.branch3.0", r5, into, 1) | basic(f"{at}.branch3.1", five, r5, 3)
        state |= basic(f"{at}.branch4.1", pool, into, 1)
    for at, into in (("aux1", 512), ("aux2", 528)):
        state |= basic(f"{at}.conv", 128, into, 1)
        state |= linear(f"{at}.fc1", 1024, 2048) | linear(f"{at}.fc2", 1000, 1024)
    return state | linear("fc", 1000, 1024)


def mobilenet_v2():
    def pair(at, norm_at, out, into, k):
        return conv(at, out, into, k, k) | norm(norm_at, out)

    state = pair("features.0.0", "features.0.1", 32, 3, 3)
    rows = [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]
    before, place = 32, 1
    for t, c, n in rows:
        for _ in range(n):
            at, wide, k = f"features.{place}.conv", t * before, 0
            if t > 1:
                state |= pair(f"{at}.0.0", f"{at}.0.1", wide, before, 1)
                k = 1
            state |= pair(f"{at}.{k}.0", f"{at}.{k}.1", wide, 1, 3)
            state |= pair(f"{at}.{k + 1}", f"{at}.{k + 2}", c, wide, 1)
            before, place = c, place + 1
    state |= pair("features.18.0", "features.18.1", 1280, 320, 1)
    return state | linear("classifier.1", 1000, 1280)


def zfnet():
    state = conv("features.conv1", 96, 3, 7, 7, bias=True)
    widths = [(2, 256, 96, 5), (3, 384, 256, 3), (4, 384, 384, 3), (5, 256, 384, 3)]
    for n, out, into, k in widths:
        state |= conv(f"features.conv{n}", out, into, k, k, bias=True)
    for n, out, into in [(6, 4096, 9216), (7, 4096, 4096), (8, 1000, 4096)]:
        state |= linear(f"classifier.fc{n}", out, into)
    return state


STATES = {
    "alexnet": alexnet(),
    "zfnet": zfnet(),
    "vgg16": vgg16(),
    "vgg16_bn": vgg16(bn=True),
    "googlenet": googlenet(),
    "resnet18": resnet([2, 2, 2, 2], bottleneck=False),
    "resnet50": resnet([3, 4, 6, 3], bottleneck=True),
    "resnext50_32x4d": resnet([3, 4, 6, 3], bottleneck=True, groups=32, base_width=4),
    "wide_resnet50_2": resnet([3, 4, 6, 3], bottleneck=True, base_width=128),
    "squeezenet1_1": squeezenet1_1(),
    "densenet121": densenet121(),
    "mobilenet_v2": mobilenet_v2(),
}


@pytest.mark.parametrize("name", STATES)
def test_names_and_shapes_of_the_weights(name):
    assert list(state_of(build(name)).items()) == list(STATES[name].items())


def test_in_channels_and_classes_change_the_first_and_the_last_layer_only():
    for name in ("vgg16", "resnet18", "densenet121", "mobilenet_v2", "squeezenet1_1", "googlenet"):
        usual, other = (build(name, **s) for s in ({}, {"num_classes": 7, "in_channels": 1}))
        there = state_of(usual)
        changed = [k for k, shape in state_of(other).items() if shape != there[k]]
        first, *last = changed
        assert first == next(iter(there)) and state_of(other)[first][1] == 1
        assert {k.rpartition(".")[0] for k in last} == set(models.heads(other))


# -- how they print -------------------------------------------------------------------------------

BLOCK = """BasicBlock(
  (conv1): Conv2d(64, 128, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
  (bn1): BatchNorm2d(128, eps=1e-05, momentum=0.1, ...)
  (relu): ReLU(inplace=True)
  (conv2): Conv2d(128, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
  (bn2): BatchNorm2d(128, eps=1e-05, momentum=0.1, ...)
  (downsample): Sequential(
    (0): Conv2d(64, 128, kernel_size=(1, 1), stride=(2, 2), bias=False)
    (1): BatchNorm2d(128, eps=1e-05, momentum=0.1, ...)
  )
)"""
FIRE = """Fire(
  (squeeze): Conv2d(64, 16, kernel_size=(1, 1), stride=(1, 1))
  (squeeze_activation): ReLU(inplace=True)
  (expand1x1): Conv2d(16, 64, kernel_size=(1, 1), stride=(1, 1))
  (expand1x1_activation): ReLU(inplace=True)
  (expand3x3): Conv2d(16, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (expand3x3_activation): ReLU(inplace=True)
)"""
INVERTED = """InvertedResidual(
  (conv): Sequential(
    (0): Conv2dNormActivation(
      (0): Conv2d(32, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=32, bias=False)
      (1): BatchNorm2d(32, eps=1e-05, momentum=0.1, ...)
      (2): ReLU6(inplace=True)
    )
    (1): Conv2d(32, 16, kernel_size=(1, 1), stride=(1, 1), bias=False)
    (2): BatchNorm2d(16, eps=1e-05, momentum=0.1, ...)
  )
)"""
DENSE = """_DenseLayer(
  (norm1): BatchNorm2d(64, eps=1e-05, momentum=0.1, ...)
  (relu1): ReLU(inplace=True)
  (conv1): Conv2d(64, 128, kernel_size=(1, 1), stride=(1, 1), bias=False)
  (norm2): BatchNorm2d(128, eps=1e-05, momentum=0.1, ...)
  (relu2): ReLU(inplace=True)
  (conv2): Conv2d(128, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
)"""
AUX = """InceptionAux(
  (conv): BasicConv2d(
    (conv): Conv2d(528, 128, kernel_size=(1, 1), stride=(1, 1), bias=False)
    (bn): BatchNorm2d(128, eps=0.001, momentum=0.1, ...)
  )
  (fc1): Linear(in_features=2048, out_features=1024, bias=True)
  (fc2): Linear(in_features=1024, out_features=1000, bias=True)
  (dropout): Dropout(p=0.7, inplace=False)
)"""


def test_blocks_print_as_torchvisions():
    def text(module):
        return repr(module).replace("affine=True, bias=True, track_running_stats=True", "...")

    assert text(build("resnet18").layer2[0]) == BLOCK
    assert text(build("squeezenet1_1").features[3]) == FIRE
    assert text(build("mobilenet_v2").features[1]) == INVERTED
    assert text(build("densenet121").features.denseblock1.denselayer1) == DENSE
    assert text(build("googlenet").aux2) == AUX


# -- shapes on the way ----------------------------------------------------------------------------


def shapes_in_table(module):
    """Names and shapes of the docstring's table: ``maxpool1   64 x 56 x 56 ...``."""
    rows = re.findall(
        r"^    ([a-z][\w.]*) +(\d+ x \d+ x \d+)", inspect.getdoc(module), re.MULTILINE
    )
    return {name: tuple(map(int, shape.split(" x "))) for name, shape in rows}


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "googlenet", "resnet50", "densenet121"])
def test_maps_have_the_shapes_of_the_table(name):
    model = build(name).eval()
    seen = {}
    for path, module in model.named_modules():
        short = path.removeprefix("features.") if name.startswith("dense") else path
        module.register_forward_hook(
            lambda module, args, y, short=short: seen.update({short: tuple(y.shape[1:])})
        )
    with cr.no_grad():
        model(cr.zeros(1, 3, 224, 224))
    table = shapes_in_table(inspect.getmodule(type(model)))
    del table["input"]
    assert len(table) > 5
    for path, shape in table.items():
        assert seen[path] == shape, path


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("alexnet", 63),
        ("zfnet", 63),
        ("vgg11", 32),
        ("googlenet", 15),
        ("squeezenet1_0", 21),
        ("squeezenet1_1", 17),
        ("densenet121", 29),
    ],
)
def test_the_least_image_and_one_too_small(name, least):
    model = build(name, num_classes=3).eval()
    with cr.no_grad():
        assert model(cr.zeros(1, 3, least, least + 2)).shape == (1, 3)
        with pytest.raises(ShapeError, match=rf"at least {least} x {least} pixels\n  x \(1, 3, "):
            model(cr.zeros(1, 3, least + 2, least - 1))


def test_networks_that_take_the_smallest_images():
    for name in ("resnet18", "mobilenet_v2"):
        with cr.no_grad():
            assert build(name).eval()(cr.zeros(2, 3, 1, 1)).shape == (2, 1000)


# -- first values ---------------------------------------------------------------------------------


def test_first_values_of_convolutions():
    cr.manual_seed(0)
    net = models.resnet18(5)
    weight = net.layer2[0].conv1.weight  # (128, 64, 3, 3)
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.01)
    assert abs(weight.mean().item()) < 1e-3
    assert net.fc.weight.abs().max().item() <= 512**-0.5
    weight = models.DenseNet(8, (2, 1), 16).features.denseblock1.denselayer2.conv2.weight
    assert weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    net = models.squeezenet1_1(40)
    weight = net.features[12].expand3x3.weight
    assert weight.abs().max().item() == pytest.approx((6 / (64 * 9)) ** 0.5, rel=1e-3)
    assert net.classifier[1].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not any(c.bias.array.any() for c in net.modules() if isinstance(c, nn.Conv2d))


def test_first_values_of_linear_layers():
    cr.manual_seed(0)
    net = models.mobilenet_v2(50)
    assert net.classifier[1].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not net.classifier[1].bias.array.any()
    net = models.googlenet(50, aux_logits=False)
    assert net.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert net.fc.bias.array.any()
    assert net.conv3.conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
    net = models.googlenet(50, aux_logits=False, init_weights=False)
    assert net.conv3.conv.weight.abs().max().item() <= 576**-0.5
    assert not models.DenseNet(4, (1, 1), 8, num_classes=4).classifier.bias.array.any()


def test_residual_blocks_may_start_as_the_identity():
    net = models.ResNet(BOTTLENECK, [1, 1, 1, 1], zero_init_residual=True)
    assert not net.layer3[0].bn3.weight.array.any() and net.layer3[0].bn2.weight.array.all()
    net = models.resnet18(zero_init_residual=True)
    assert not net.layer3[1].bn2.weight.array.any() and net.layer3[1].bn1.weight.array.all()


BOTTLENECK = type(build("resnet50").layer1[0])


# -- what is particular to a family ---------------------------------------------------------------


def test_dilation_keeps_maps_large():
    model = build("resnet50", replace_stride_with_dilation=[False, True, True]).eval()
    shapes = []
    model.layer4.register_forward_hook(lambda module, args, y: shapes.append(tuple(y.shape)))
    with cr.no_grad():
        model(cr.zeros(1, 3, 64, 64))
    assert shapes == [(1, 2048, 8, 8)]
    assert [b.conv2.dilation for b in model.layer4] == [(2, 2), (4, 4), (4, 4)]
    assert model.config["replace_stride_with_dilation"] == [False, True, True]
    with pytest.raises(ConfigError, match=r"None or three bools, .* got \[True\]"):
        models.resnet50(replace_stride_with_dilation=[True])
    with pytest.raises(ConfigError, match="can only be 1, 64 and 1, got 2, 64 and 1; a Bottlen"):
        models.resnet18(groups=2)


def test_a_norm_of_ones_own_leaves_no_config():
    with nn.init.skipped():
        net = models.resnet18(norm_layer=lambda n: nn.GroupNorm(4, n))
        assert not hasattr(net, "config")
        assert models.heads(net) == ("fc",)
        assert isinstance(net.layer4[1].bn2, nn.GroupNorm)
        net = models.mobilenet_v2(norm_layer=nn.Identity, width_mult=0.5)
    assert isinstance(net.features[3].conv[3], nn.Identity)


def test_googlenet_gives_the_scores_of_its_heads_in_training():
    net = build("googlenet", num_classes=3)
    x = cr.randn(2, 3, 20, 20)
    scores = net(x)
    assert scores._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [s.shape for s in scores] == [(2, 3)] * 3
    assert net.eval()(x).shape == (2, 3)
    assert build("googlenet", num_classes=3, aux_logits=False)(x).shape == (2, 3)


def test_googlenet_may_take_images_normalised_for_imagenet():
    pixels = np.random.default_rng(0).random((2, 3, 20, 20)).astype(np.float32)
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
    deviation = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
    cr.manual_seed(0)
    net = models.googlenet(4, aux_logits=False).eval()
    with cr.no_grad():
        wanted = net(cr.tensor(2 * pixels - 1))
        net.transform_input = True
        scores = net(cr.tensor((pixels - mean) / deviation))
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match="transform_input needs 3 channels, got 1"):
        models.googlenet(in_channels=1, transform_input=True)


def test_densenet_takes_the_names_of_older_files():
    net = models.DenseNet(4, (2, 1), 8, num_classes=3)
    new = net.state_dict()
    old = {re.sub(r"(denselayer\d\.\w+)([12])\.", r"\1.\2.", k): v for k, v in new.items()}
    assert "features.denseblock1.denselayer2.norm.1.weight" in old
    other = models.DenseNet(4, (2, 1), 8, num_classes=3)
    other.load_state_dict(old)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, new[name])
    whole = nn.Sequential(other)
    whole.load_state_dict({f"0.{k}": v for k, v in old.items()})


def test_a_memory_efficient_densenet_computes_the_same():
    settings = {"growth_rate": 4, "block_config": (2, 2), "num_init_features": 8, "num_classes": 3}
    usual, thrifty = models.DenseNet(**settings), models.DenseNet(**settings, memory_efficient=True)
    thrifty.load_state_dict(usual.state_dict())
    x = cr.randn(2, 3, 20, 20)
    first, second = usual(x), thrifty(x)
    np.testing.assert_array_equal(first.detach(), second.detach())
    first.square().sum().backward()
    second.square().sum().backward()
    for (name, p), q in zip(usual.named_parameters(), thrifty.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, rtol=1e-5, atol=1e-6, err_msg=name)


def test_mobilenet_may_be_narrower_and_have_other_blocks():
    net = build("mobilenet_v2", width_mult=0.35)
    assert net.features[0].out_channels == 16 and net.last_channel == 1280
    assert [net.features[i].out_channels for i in (1, 2, 7, 17)] == [8, 8, 24, 112]
    net = build("mobilenet_v2", width_mult=1.4)
    assert net.last_channel == 1792 and net.features[0].out_channels == 48
    net = build("mobilenet_v2", inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]])
    assert len(net.features) == 5
    assert net.config["inverted_residual_setting"] == [[1, 16, 1, 1], [6, 24, 2, 2]]
    for rows in ([], [[1, 16, 1]]):
        with pytest.raises(ConfigError, match="rows of expansion, channels, number and stride"):
            models.mobilenet_v2(inverted_residual_setting=rows)


def test_options_are_known_by_name():
    assert models.entry("vgg16").options == ("init_weights", "dropout")
    assert "memory_efficient" in models.entry("densenet161").options
    assert "zero_init_residual" in models.entry("resnet152").options
    with pytest.raises(ConfigError, match=r"resnet18 has no option 'dropout'; .*norm_layer"):
        models.create("resnet18", dropout=0.5)
    assert build("vgg11", dropout=0.1).classifier[2].p == 0.1
    with pytest.raises(ConfigError, match=r"version must be '1_0' or '1_1', got '2'"):
        models.SqueezeNet("2")
