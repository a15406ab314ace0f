"""Receptive fields against gradients: which pixels does an output really depend on?"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import inspect, models, nn
from chainrule.inspect.fields import Along, fields_of
from chainrule.inspect.recording import record


class Net(nn.Module):
    """Layers by name, and what is done with them."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.does = forward

    def forward(self, *args: Any) -> Any:
        return self.does(self, *args)


def conv(
    kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, channels: tuple = (1, 1)
) -> nn.Module:
    return nn.Conv2d(*channels, kernel, stride, padding, dilation, bias=False)


def inception(m: Any, x: Any) -> Any:
    pooled = m.after(F.avg_pool2d(x, 3, 1, 1))
    return cr.cat([m.one(x), m.three(x), m.five(m.reduce(x)), pooled], 1)


def dense(m: Any, x: Any) -> Any:
    a = m.first(x)
    b = m.second(cr.cat([x, a], 1))
    return F.avg_pool2d(cr.cat([x, a, b], 1), 2)


def residual(m: Any, x: Any) -> Any:
    y = m.b(F.relu(m.a(x)))
    return F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 1)))


def u_net(m: Any, x: Any) -> Any:
    down = m.down(x)
    return m.end(cr.cat([x, m.up(m.middle(down))], 1))


def gated(m: Any, x: Any) -> Any:
    y = m.a(x)
    return y * F.adaptive_avg_pool2d(m.b(y), 1)


NETS: dict[str, tuple[nn.Module, int]] = {
    "convolution": (nn.Sequential(conv(5, 2, 1), conv(3, 1, 1)), 17),
    "dilation": (nn.Sequential(conv(3, 1, 2, 2), conv(3, 2, 3, 3), conv(2, 1, 0, 4)), 31),
    "oblong": (nn.Sequential(nn.Conv2d(1, 1, (3, 1), (2, 1), (0, 2)), nn.AvgPool2d((1, 3))), 18),
    "pooling": (nn.Sequential(conv(3), nn.AvgPool2d(3, 2, 1), conv(3), nn.AvgPool2d(2)), 23),
    "ceil mode": (nn.Sequential(conv(2), nn.AvgPool2d(3, 2, ceil_mode=True), conv(2)), 15),
    "residual": (Net(residual, a=conv(3, 2, 1, channels=(1, 2)), b=conv(3, 1, 1, 1, (2, 2))), 16),
    "inception": (
        Net(inception, one=conv(1), three=conv(3, 1, 1), reduce=conv(1), five=conv(5, 1, 2),
            after=conv(1)), 14,
    ),
    "dense": (Net(dense, first=conv(3, 1, 1), second=conv(3, 1, 1, channels=(2, 1))), 12),
    "transposed": (nn.Sequential(conv(3, 2), nn.ConvTranspose2d(1, 1, 3, 2, 1), conv(2)), 15),
    "transposed with holes": (nn.ConvTranspose2d(1, 1, 2, 3, bias=False), 5),
    "transposed and dilated": (
        nn.Sequential(conv(3), nn.ConvTranspose2d(1, 1, 3, 2, 2, dilation=2, output_padding=1)), 9,
    ),
    "nearest": (nn.Sequential(conv(3, 2), nn.Upsample(scale_factor=3), conv(2, 2)), 13),
    "nearest to a size": (nn.Sequential(conv(3), nn.Upsample(size=(7, 13))), 11),
    "bilinear": (
        nn.Sequential(conv(3, 2, 1), nn.Upsample(scale_factor=2, mode="bilinear"), conv(3)), 14,
    ),
    "aligned corners": (
        nn.Sequential(conv(3, 2, 1), nn.Upsample(size=9, mode="bilinear", align_corners=True)), 9,
    ),
    "adaptive": (nn.Sequential(conv(3), nn.AdaptiveAvgPool2d((3, 5))), 13),
    "global": (nn.Sequential(conv(3), nn.AdaptiveAvgPool2d(1), nn.ConvTranspose2d(1, 1, 3)), 9),
    "u-net": (
        Net(u_net, down=nn.Sequential(conv(3, 1, 1), nn.AvgPool2d(2)), middle=conv(3, 1, 1),
            up=nn.ConvTranspose2d(1, 1, 2, 2), end=conv(3, 1, 1, channels=(2, 1))), 16,
    ),
    "gate": (Net(gated, a=conv(3, 2), b=conv(1)), 11),
    "linear": (nn.Sequential(conv(3, 2), nn.Flatten(2), nn.Linear(25, 9), nn.Unflatten(2, (3, 3))),
               11),
    "pixel shuffle": (
        nn.Sequential(conv(3, 2, 1, channels=(1, 4)), nn.PixelShuffle(2), conv(2)), 12,
    ),
    "pixel unshuffle": (nn.Sequential(nn.PixelUnshuffle(2), conv(3, 1, 1, channels=(4, 1))), 12),
    "channel shuffle": (
        nn.Sequential(conv(3, channels=(1, 4)), nn.ChannelShuffle(2), conv(3, 2, 0, 1, (4, 2))), 12,
    ),
    "slices": (Net(lambda m, x: m.a(x[..., 1::3, 2:-1])[:, :, 1:], a=conv(2)), 16),
    "one row": (Net(lambda m, x: m.a(x)[:, :, 2, None, :], a=conv(3)), 9),
    "padding": (Net(lambda m, x: m.a(F.pad(x, (3, 0, 1, 2))), a=conv(3, 2)), 12),
    "turned": (Net(lambda m, x: m.a(x).transpose(2, 3).permute(1, 0, 3, 2).swapaxes(0, 1),
                   a=nn.Conv2d(1, 1, (3, 2))), 9),
    "mean of a row": (Net(lambda m, x: m.a(x).mean(3, keepdim=True) + m.a(x), a=conv(3)), 9),
    "softmax": (Net(lambda m, x: m.a(x) * x.softmax(3), a=conv(3, 1, 1)), 9),
    "matrix product": (Net(lambda m, x: m.a(x) @ m.a(x), a=conv(2)), 7),
    "function in place": (Net(lambda m, x: m.a(x.mul_(2)).add_(x[..., 1:-1, 1:-1]), a=conv(3)), 9),
}  # fmt: skip


def positive(model: nn.Module) -> nn.Module:
    """All weights positive, so that no gradient cancels."""
    for p in model.parameters():
        p.data.fill_(0.1)
    return model.double().eval()


def seen(model: nn.Module, shape: tuple[int, ...]) -> list[Along]:
    """The predicted fields of the result, along height and width."""
    x = cr.ones(1, *shape, dtype=cr.float64)
    recording = record(model, [x], {}, False)
    field = fields_of(recording, 2)[-1]
    assert field is not None
    return [field[0, axis] for axis in range(2, 2 + len(shape) - 1)]


def depends(model: nn.Module, side: int, position: tuple[int, int]) -> Any:
    """The pixels with a gradient from this output position, as a mask."""
    x = cr.ones(1, 1, side, side, dtype=cr.float64, requires_grad=True)
    y = model(x * 1)
    y[0, :, position[0], position[1]].sum().backward()
    return x.grad.array[0, 0] != 0


@pytest.mark.parametrize("name", NETS)
def test_the_field_is_where_gradients_are(name: str) -> None:
    model, side = NETS[name]
    positive(model)
    predicted = seen(model, (1, side, side))
    height, width = model(cr.ones(1, 1, side, side, dtype=cr.float64)).shape[2:]
    for i in range(max(height, width)):
        position = (min(i, height - 1), min(i, width - 1))
        mask = depends(model, side, position)
        ends = [along.at(o) for along, o in zip(predicted, position, strict=True)]
        if not mask.any():  # nothing but padding
            assert any(hi < 0 or lo >= side or hi < lo for lo, hi in ends), position
            continue
        for axis, (lo, hi) in enumerate(ends):
            touched = np.flatnonzero(mask.any(1 - axis))
            if name != "dilation" or lo >= 0:  # whose field has gaps: 0 may lie in one
                assert touched[0] == max(lo, 0), (position, axis)
            if name != "dilation" or hi < side:
                assert touched[-1] == min(hi, side - 1), (position, axis)


def test_a_maximum_sees_its_whole_window() -> None:
    """Its gradient shows the winner alone; but NaN passes through a maximum from anywhere."""
    model = nn.Sequential(conv(3, 1, 1), nn.MaxPool2d(3, 2, 1), conv(3), nn.MaxPool2d(2))
    positive(model)
    rows, _ = seen(model, (1, 25, 25))
    for i in range(5):
        reached = []
        for row in range(25):
            x = np.ones((1, 1, 25, 25))
            x[:, :, row] = np.nan
            reached.append(bool(np.isnan(model(cr.tensor(x)).array[0, 0, i]).any()))
        touched = np.flatnonzero(reached)
        assert (touched[0], touched[-1]) == tuple(np.clip(rows.at(i), 0, 24))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer3.1"),
        ("squeezenet1_0", "features.9"),
        pytest.param("googlenet", "inception4a", marks=pytest.mark.slow),
        pytest.param("densenet121", "features.transition2", marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", "features.10", marks=pytest.mark.slow),
        pytest.param("preact_resnet20", "layer3", marks=pytest.mark.slow),
    ],
)
def test_models_see_what_is_said_and_not_a_pixel_more(name: str, layer: str) -> None:
    """NaN in the first or last row that is seen arrives; in the rows before and behind it, not.

    (In float64, for Winograd's algorithm multiplies by zero what a pixel does not see.)
    """
    model = models.create(name).eval().double()
    side, width = 301, 32
    rows = inspect.summary(model, (3, side, width)).by_module(layer.count(".") + 1).rows
    row = [r for r in rows if r.path == layer][-1]
    (size, _), (jump, _), (start, _) = row.field, row.jump, row.start
    o = row.output[2] // 2
    first = int(o * jump) + start
    outputs: list[Any] = []
    model.get_submodule(layer).register_forward_hook(lambda m, x, y: outputs.append(y.array[0]))
    edges = [first - 1, first, first + size - 1, first + size]
    assert first > 0 and first + size < side
    for edge in edges:
        image = np.full((1, 3, side, width), 0.1)
        image[:, :, edge] = np.nan
        with cr.no_grad():
            model(cr.tensor(image))
    reached = [bool(np.isnan(y[:, o]).any()) for y in outputs]
    assert reached == [False, True, True, False]


def test_jump_of_less_than_a_pixel() -> None:
    along, _ = seen(positive(nn.Sequential(conv(3), nn.ConvTranspose2d(1, 1, 4, 2, 1))), (1, 9, 9))
    assert along.jump == Fraction(1, 2)
    assert along.size == 4  # two positions of the convolution


def test_group_norm_sees_the_image_and_batch_norm_a_pixel() -> None:
    for layer, whole in ((nn.GroupNorm(2, 4), True), (nn.BatchNorm2d(4), False)):
        s = inspect.summary(nn.Sequential(nn.Conv2d(1, 4, 3), layer), (1, 9, 9))
        assert s.rows[-1].whole is whole


@pytest.mark.parametrize(("axes", "shape"), [(1, (1, 20)), (3, (1, 9, 10, 11))])
def test_sequences_and_volumes(axes: int, shape: tuple[int, ...]) -> None:
    Conv: Any = {1: nn.Conv1d, 3: nn.Conv3d}[axes]
    s = inspect.summary(nn.Sequential(Conv(1, 2, 3, 2), Conv(2, 2, 3, padding=1)), shape)
    assert s.rows[-1].field == (7,) * axes
    assert s.rows[-1].jump == (2,) * axes
    assert s.rows[-1].start == (-2,) * axes


def test_what_reads_where_the_data_says_is_unknown_and_so_is_what_follows() -> None:
    def sample(m: Any, x: Any) -> Any:
        grid = F.affine_grid(cr.ones(1, 2, 3), (1, 1, 8, 8), align_corners=False)
        return m.a(F.grid_sample(x, grid, align_corners=False))

    s = inspect.summary(Net(sample, a=conv(3)), (1, 8, 8))
    assert s.rows[-1].field is None
    assert "?" in str(s)
    assert s.unknown == {}


# -- published fields ------------------------------------------------------------------------------


def vgg(*blocks: int) -> nn.Module:
    layers: list[nn.Module] = []
    for convolutions in blocks:
        layers += [*(conv(3, 1, 1) for _ in range(convolutions)), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def slim_resnet(*blocks: int) -> nn.Module:
    """As in TF-Slim: the last unit of a stage has its stride, not the first of the next."""
    layers: list[nn.Module] = [conv(7, 2, 3), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)]
    for stage, units in enumerate(blocks):
        strides = [1] * (units - 1) + [1 if stage == len(blocks) - 1 else 2]
        layers += [
            Net(
                lambda m, x: m.c(m.b(m.a(x))) + F.max_pool2d(x, 1, m.b.stride),
                a=conv(1), b=conv(3, s, 1), c=conv(1),
            )
            for s in strides
        ]  # fmt: skip
    return nn.Sequential(*layers)


ALEXNET = nn.Sequential(
    conv(11, 4), nn.MaxPool2d(3, 2), conv(5, 1, 2), nn.MaxPool2d(3, 2), conv(3, 1, 1),
    conv(3, 1, 1), conv(3, 1, 1), nn.MaxPool2d(3, 2),
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "field", "stride", "padding"),
    [
        (ALEXNET, 195, 32, 64),
        (ALEXNET[:3], 51, 8, 16),
        (ALEXNET[:7], 163, 16, 64),
        (vgg(2, 2, 3, 3, 3), 212, 32, 90),
        (vgg(2, 2, 3, 3, 3)[:-1], 196, 16, 90),
        (slim_resnet(3, 4, 6, 3), 483, 32, 239),
        (slim_resnet(3, 4, 23, 3), 1027, 32, 511),
        (slim_resnet(3, 8, 36, 3), 1507, 32, 751),
    ],
    ids=["alexnet", "alexnet conv2", "alexnet conv5", "vgg16", "vgg16 conv5_3", "resnet50",
         "resnet101", "resnet152"],
)  # fmt: skip
def test_published(model: nn.Module, field: int, stride: int, padding: int) -> None:
    """Table of github.com/google-research/receptive_field, with Araujo, Norris & Sim 2019."""
    last = inspect.summary(model, (1, 224, 224)).rows[-1]
    assert last.field == (field, field)
    assert last.jump == (stride, stride)
    assert last.start == (-padding, -padding)
