"""Networks with timm's names of layers: their weights give the same scores here."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn
from chainrule.errors import CheckpointError
from chainrule.models.vgg import VGG, stages
from chainrule.models.weights import load_weights


class ConvMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Conv2d(512, 12, 7)
        self.fc2 = nn.Conv2d(12, 12, 1)

    def forward(self, x):
        return F.relu(self.fc2(F.relu(self.fc1(x))))


class ClassifierHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


class TimmVGG(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = stages(((4,), (6, 6), (512,)), batch_norm=True)
        self.pre_logits = ConvMlp()
        self.head = ClassifierHead()

    def forward(self, x):
        return self.head(self.pre_logits(self.features(x)))


def own_vgg():
    net = VGG(stages(((4,), (6, 6), (512,)), batch_norm=True), 5, init_weights=False)
    for number, layer in ((0, nn.Linear(512 * 49, 12)), (3, nn.Linear(12, 12))):
        net.classifier[number] = layer  # narrow ones
    net.classifier[6] = nn.Linear(12, 5)
    return net


class DepthwiseSeparable(nn.Module):
    def __init__(self, inp, out):
        super().__init__()
        self.conv_dw = nn.Conv2d(inp, inp, 3, padding=1, groups=inp, bias=False)
        self.bn1 = nn.BatchNorm2d(inp)
        self.conv_pw = nn.Conv2d(inp, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x):
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class Inverted(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.adds = stride == 1
        self.conv_pw = nn.Conv2d(inp, 3 * inp, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(3 * inp)
        self.conv_dw = nn.Conv2d(3 * inp, 3 * inp, 3, stride, 1, groups=3 * inp, bias=False)
        self.bn2 = nn.BatchNorm2d(3 * inp)
        self.conv_pwl = nn.Conv2d(3 * inp, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)

    def forward(self, x):
        y = F.relu6(self.bn1(self.conv_pw(x)))
        y = self.bn3(self.conv_pwl(F.relu6(self.bn2(self.conv_dw(y)))))
        return x + y if self.adds else y


class TimmMobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.blocks = nn.Sequential(
            nn.Sequential(DepthwiseSeparable(32, 8)),
            nn.Sequential(Inverted(8, 16, 2), *(Inverted(16, 16, 1) for _ in range(11))),
        )
        self.conv_head = nn.Conv2d(16, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.classifier = nn.Linear(1280, 5)

    def forward(self, x):
        x = self.blocks(F.relu6(self.bn1(self.conv_stem(x))))
        return self.classifier(F.relu6(self.bn2(self.conv_head(x))).mean((2, 3)))


def own_mobilenet():
    rows = [[1, 8, 1, 1], [3, 16, 12, 2]]
    return models.mobilenet_v2(5, inverted_residual_setting=rows)


PAIRS = [
    pytest.param(TimmVGG, own_vgg, 56, id="vgg"),
    pytest.param(TimmMobileNetV2, own_mobilenet, 20, id="mobilenetv2"),
]


@pytest.mark.parametrize(("make", "make_own", "side"), PAIRS)
def test_the_scores_are_the_same(make, make_own, side, tmp_path):
    theirs, ours = make().eval(), make_own().eval()
    for buffer in theirs.buffers():
        if buffer.ndim:  # statistics that batch norms did not start with
            buffer.copy_(cr.rand(buffer.shape) + 0.5)
    cr.save({"state_dict": theirs.state_dict()}, tmp_path / "net.safetensors")
    done = load_weights(ours, tmp_path / "net.safetensors")
    assert set(done.loaded) == set(ours.state_dict())
    x = cr.randn(2, 3, side, side)
    with cr.no_grad():
        np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("make", "make_own", "side"), PAIRS)
def test_what_is_missing_is_told_by_our_names(make, make_own, side, tmp_path):
    state = dict(make().state_dict())
    head = next(name for name in reversed(state) if name.endswith("bias"))
    del state[head]
    cr.save(state, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"missing 1: classifier\.\d\.bias$"):
        load_weights(make_own(), tmp_path / "net.safetensors")


def test_classes_are_counted_under_timms_name(tmp_path):
    rows = [[1, 8, 1, 1], [3, 16, 12, 2]]
    cr.save(TimmMobileNetV2().state_dict(), tmp_path / "net.safetensors")
    net = models.create(
        "mobilenet_v2", weights=tmp_path / "net.safetensors", inverted_residual_setting=rows
    )
    assert net.config["num_classes"] == 5
