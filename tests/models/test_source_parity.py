"""The models beside PyTorch twins of the same source and the same weights.

What is deep is built and compared by names, shapes and printed form; what is made of the same parts
and shallow computes. Both are in float64, on NumPy's kernels.
"""

from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from tests.models.torch_twins import source

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity


def group_norm(module):
    return partial(module.nn.GroupNorm, 4)


FIVE_STAGES = ((8,), (12,), (16, 16), (20,), (512,))

# file: {label: (build from the file's module, sides of the image)}; the linear layers of 4,096
# are made narrow
MODELS = {
    "alexnet": {"alexnet": (lambda m: m.alexnet(7), (64, 79))},
    "zfnet": {"zfnet": (lambda m: m.zfnet(7, dropout=0.2), (63, 70))},
    "vgg": {
        "vgg": (lambda m: m.VGG(m.stages(FIVE_STAGES), 7), (32, 48)),
        "vgg bn": (lambda m: m.VGG(m.stages(FIVE_STAGES, True), 5, dropout=0.1), (40, 33)),
    },
    "googlenet": {
        "googlenet": (lambda m: m.googlenet(7), (32, 40)),
        "plain": (lambda m: m.googlenet(6, 1, aux_logits=False, init_weights=False), (15, 16)),
        "transformed": (lambda m: m.googlenet(5, transform_input=True, dropout_aux=0.3), (20, 20)),
    },
    "resnet": {
        "basic": (
            lambda m: m.ResNet(m.BasicBlock, [2, 1, 1, 1], 7, zero_init_residual=True),
            (33, 40),
        ),
        "bottleneck": (lambda m: m.ResNet(m.Bottleneck, [2, 1, 1, 1], 7), (40, 32)),
        "dilated": (
            lambda m: m.ResNet(
                m.Bottleneck, [1, 1, 2, 1], 5, replace_stride_with_dilation=[False, True, True]
            ),
            (48, 33),
        ),
        "resnext": (
            lambda m: m.ResNet(m.Bottleneck, [1, 1, 1, 1], 5, groups=32, width_per_group=4),
            (32, 32),
        ),
        "group norm": (
            lambda m: m.ResNet(m.BasicBlock, [1, 1, 1, 1], 5, norm_layer=group_norm(m)),
            (33, 33),
        ),
    },
    "squeezenet": {
        "squeezenet1_0": (lambda m: m.squeezenet1_0(7), (40, 33)),
        "squeezenet1_1": (lambda m: m.squeezenet1_1(7, 1, dropout=0.2), (33, 40)),
    },
    "densenet": {
        "densenet": (lambda m: m.DenseNet(8, (2, 1, 3, 2), 16, num_classes=7), (32, 48)),
        "memory efficient": (
            lambda m: m.DenseNet(8, (2, 3, 2), 16, 2, 0.0, 5, memory_efficient=True),
            (32, 33),
        ),
    },
    "all_cnn": {"all_cnn_c": (lambda m: m.all_cnn_c(7), (20, 17))},
    "cifar_resnet": {
        "resnet20": (lambda m: m.resnet20(7), (17, 16)),
        "shortcut B": (lambda m: m.CifarResNet(2, 7, 1, shortcut="B"), (16, 17)),
        "shortcut C": (lambda m: m.CifarResNet(2, 5, shortcut="C"), (17, 17)),
        "plain20": (lambda m: m.plain20(7), (16, 19)),
    },
    "example_net": {"example_net": (lambda m: m.example_net(7, 1, (39, 20)), (39, 20))},
    "fcn": {"fcn_resnet20": (lambda m: m.fcn_resnet20(7), (17, 22))},
    "lenet": {"lenet5": (lambda m: m.lenet5(7, image_size=(28, 33)), (28, 33))},
    "mlp": {  # (classes, channels, sides)
        "softmax": (lambda m: m.softmax(7, 3, 5), (5, 5)),
        "svm": (lambda m: m.svm(7, 3, 5), (5, 5)),
        "two_layer_net": (lambda m: m.two_layer_net(7, 1, (5, 4), hidden=9), (5, 4)),
        "mlp": (lambda m: m.mlp(7, 2, 5, (9, 8, 7), "batchnorm", 0.5), (5, 5)),
        "mlp layernorm": (lambda m: m.mlp(7, 2, 5, (9, 8), "layernorm"), (5, 5)),
    },
    "preact_resnet": {
        "preact_resnet20": (lambda m: m.preact_resnet20(7), (17, 16)),
        "four stages": (
            lambda m: m.PreActResNet(m.PreActUnit, 1, (16, 24, 32, 40), 5, 1),
            (17, 16),
        ),
        "bottleneck": (lambda m: m.PreActResNet(m.PreActBottleneck, 2), (9, 12)),
        "unprojected": (
            lambda m: m.PreActResNet(m.PreActBottleneck, 2, (8, 8), projects=False),
            (9, 12),
        ),
    },
    "se_resnet": {
        "se_resnet20": (lambda m: m.se_resnet20(7), (17, 16)),
        "basic": (lambda m: m.ResNet(m.SEBasicBlock, [1, 2, 1, 1], 5), (33, 32)),
        "bottleneck": (lambda m: m.ResNet(m.SEBottleneck, [1, 1, 1, 1], 5), (33, 32)),
    },
    "mobilenetv2": {
        "mobilenet_v2": (lambda m: m.mobilenet_v2(5, 1, width_mult=0.35), (40, 33)),
        "other rows": (
            lambda m: m.mobilenet_v2(5, inverted_residual_setting=[[1, 16, 1, 2], [4, 24, 2, 2]]),
            (20, 20),
        ),
    },
}
CASES = [pytest.param(f, *case, id=label) for f, of in MODELS.items() for label, case in of.items()]

DEEP = {
    "vgg": [lambda m: m.vgg11(7), lambda m: m.vgg13_bn(5, dropout=0.1)],
    "resnet": [lambda m: m.resnet18(7), lambda m: m.resnet50(7), lambda m: m.wide_resnet50_2(7),
               lambda m: m.resnext50_32x4d(7)],
    "densenet": [lambda m: m.densenet121(7)],
    "mobilenetv2": [lambda m: m.mobilenet_v2(7), lambda m: m.mobilenet_v2(5, round_nearest=4)],
    "se_resnet": [lambda m: m.se_resnet50(7)],
}  # fmt: skip


def outputs(scores):
    return [scores] if hasattr(scores, "backward") else list(scores)


def assert_look_the_same(ours, theirs):
    assert repr(ours) == repr(theirs)
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]


@pytest.mark.parametrize("file", DEEP)
def test_names_shapes_and_printed_form(file):
    for build in DEEP[file]:
        with torch.device("meta"):
            theirs = build(source(file, "torch"))
        with nn.init.skipped():
            assert_look_the_same(build(source(file, "chainrule")), theirs)


@pytest.mark.parametrize(("file", "build", "sides"), CASES)
def test_scores_gradients_and_statistics(file, build, sides):
    torch.manual_seed(0)
    theirs = build(source(file, "torch", 48)).double()
    ours = build(source(file, "chainrule", 48)).double()
    assert_look_the_same(ours, theirs)
    state = theirs.state_dict()
    for model in (ours, theirs):
        for module in model.modules():
            if "Dropout" in type(module).__name__:
                module.p = 0.0
    with torch.no_grad():
        for p in theirs.parameters():  # no weight zero, no batch norm neutral
            p += 0.05 * p.std(correction=0) * torch.randn(p.shape) + 0.01
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})
    first = next(iter(state.values()))
    channels = first.shape[1] if first.ndim == 4 else first.shape[1] // (sides[0] * sides[1])
    draws = np.random.default_rng(0)
    x = draws.standard_normal((2, channels, *sides))

    loss = loss_there = 0.0
    for a, b in zip(outputs(ours(cr.tensor(x))), outputs(theirs(torch.tensor(x))), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-7, atol=1e-9)
        weights = draws.standard_normal(a.shape)
        loss = loss + (a * cr.tensor(weights)).sum()
        loss_there = loss_there + (b * torch.tensor(weights)).sum()
    for name, buffer in ours.named_buffers():
        there = state[name].numpy()
        np.testing.assert_allclose(buffer, there, rtol=1e-9, atol=1e-12, err_msg=name)
    loss.backward()
    loss_there.backward()
    gradients = dict(theirs.named_parameters())
    largest = max(p.grad.abs().max().item() for p in gradients.values())
    for name, p in ours.named_parameters():
        there = gradients[name].grad.numpy()
        np.testing.assert_allclose(p.grad, there, rtol=1e-6, atol=1e-9 * largest, err_msg=name)
    # PyTorch's checkpoints have updated their batch norms twice
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})
    with cr.no_grad(), torch.no_grad():
        scores, scores_there = ours.eval()(cr.tensor(x)), theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(scores, scores_there, rtol=1e-7, atol=1e-9)
