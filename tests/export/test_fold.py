"""Batch norms folded into the layers before them: the same outputs, and nothing by mistake."""

import copy

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn
from chainrule.errors import ConfigError, ExportError
from chainrule.export import fold_batch_norm


def trained(model):
    """The model with statistics, scales and shifts as training leaves them."""
    rng = np.random.default_rng(0)
    for module in model.modules():
        if hasattr(module, "running_var") and module.running_var is not None:
            n = module.num_features
            module.running_mean.array[...] = rng.normal(size=n)
            module.running_var.array[...] = rng.uniform(0.5, 2, n)
            if module.affine:
                module.weight.array[...] = rng.uniform(0.5, 2, n)
                module.bias.array[...] = rng.normal(size=n)
    return model.double()


def norms_of(model):
    return [n for n, m in model.named_modules() if type(m).__name__.startswith("BatchNorm")]


def check(model, *sample, left=()):
    """Fold, compare, and return the folded copy."""
    state = copy.deepcopy(model.state_dict())
    mode = model.training
    folded = fold_batch_norm(model, *sample)
    assert model.training == mode and not folded.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.array, state[name].array)
    assert norms_of(folded) == list(left) == list(folded.folding.left)
    assert sorted(folded.folding.folded) == sorted(set(norms_of(model)) - set(left))
    model = copy.deepcopy(model).eval()
    for x in sample or [None]:
        if x is not None:
            np.testing.assert_allclose(
                folded(x).detach().array, model(x).detach().array, rtol=1e-8, atol=1e-9
            )
    return folded


class Block(nn.Module):
    """A residual block, with a projection where the shape changes."""

    def __init__(self, n, m, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n, m, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(m)
        self.conv2 = nn.Conv2d(m, m, 3, 1, 1, groups=2)
        self.bn2 = nn.BatchNorm2d(m, affine=False)
        self.downsample = None
        if stride != 1 or n != m:
            self.downsample = nn.Sequential(nn.Conv2d(n, m, 1, stride), nn.BatchNorm2d(m))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            x = self.downsample(x)
        y += x
        return F.relu(y)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv1d(3, 4, 3, padding=1), nn.BatchNorm1d, (2, 3, 7)),
        (nn.Conv2d(4, 6, 3, 2, 1, groups=2, padding_mode="reflect"), nn.BatchNorm2d, (2, 4, 7, 7)),
        (nn.Conv3d(2, 4, 2, bias=False), nn.BatchNorm3d, (2, 2, 4, 4, 4)),
        (nn.ConvTranspose1d(3, 4, 3, 2), nn.BatchNorm1d, (2, 3, 5)),
        (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), nn.BatchNorm2d, (2, 4, 5, 5)),
        (nn.ConvTranspose3d(2, 4, 2, bias=False), nn.BatchNorm3d, (2, 2, 3, 3, 3)),
        (nn.Linear(5, 4), nn.BatchNorm1d, (3, 5)),
        (nn.Linear(5, 4, bias=False), nn.BatchNorm1d, (3, 5)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else None,
)
def test_every_kind_of_layer(layer, norm, shape):
    out = getattr(layer, "out_channels", getattr(layer, "out_features", None))
    net = trained(nn.Sequential(layer, norm(out), nn.ReLU()))
    folded = check(net, cr.randn(*shape, dtype=cr.float64))
    assert isinstance(folded[1], nn.Identity) and folded[0].bias is not None
    assert folded.folding.folded == {"1": ("0",)}
    fold_batch_norm(net)  # a sample is made up


@pytest.mark.parametrize(("n", "m", "stride"), [(4, 4, 1), (4, 6, 2)])
def test_residual_block(n, m, stride):
    check(trained(Block(n, m, stride)), cr.randn(2, n, 8, 8, dtype=cr.float64))


def test_resnet20_of_the_registry_without_a_sample():
    net = trained(models.resnet20()).float()
    folded = fold_batch_norm(net)
    assert len(folded.folding.folded) == 19 and not folded.folding.left
    x = cr.randn(4, 3, 32, 32)
    expected = net.eval()(x).detach().array
    np.testing.assert_allclose(
        folded(x).detach().array, expected, atol=1e-4 * np.abs(expected).max()
    )
    assert "19 of 19 batch norms folded" in str(folded.folding)
    assert "bn1 into conv1" in str(folded.folding)


def test_a_model_of_one_image_size_is_found_out():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 26 * 26, 3)
    )
    assert list(fold_batch_norm(net).folding.folded) == ["1"]


def test_nothing_to_fold():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    folded = fold_batch_norm(net)
    assert folded is not net and not folded.folding.folded and folded.folding.error == 0
    assert not folded.training


class PreActivation(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(3)
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.conv2(F.relu(self.bn2(self.conv1(self.bn1(x)))))


def test_batch_norm_before_a_convolution_is_left():
    folded = check(trained(PreActivation()), cr.randn(2, 3, 6, 6, dtype=cr.float64), left=["bn1"])
    assert "it comes before conv1" in folded.folding.left["bn1"]
    assert "only without padding" in folded.folding.left["bn1"]
    assert "bn1 left: it comes before conv1" in str(folded.folding)


class UsedTwice(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.conv, self.bn, self.how = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), how

    def forward(self, x):
        y = self.conv(x)
        if self.how == "added":
            return self.bn(y) + y
        if self.how == "returned":
            return self.bn(y), y
        if self.how == "in a dict":
            return {"out": self.bn(y), "features": [y]}
        if self.how == "twice":
            return self.bn(y) + self.bn(y)
        if self.how == "with another":
            return self.bn(y) + self.conv(x + 1)
        return self.bn(F.relu(y))


@pytest.mark.parametrize(
    "how", ["added", "returned", "in a dict", "twice", "with another", "after another"]
)
def test_what_is_used_elsewhere_too_is_left(how):
    folded = fold_batch_norm(trained(UsedTwice(how)))
    assert list(folded.folding.left) == ["bn"]
    reason = "not the very result" if how == "after another" else "the result of conv is used els"
    assert reason in folded.folding.left["bn"]


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()


class ByArgument(Pair):
    def forward(self, x, normalise=True):
        y = self.conv(x)
        if normalise:
            y = self.bn(y)
        return y


class ByValues(Pair):
    def forward(self, x):
        y = self.conv(x)
        y = self.bn(y) if x.mean() < 100 else self.act(y)
        return y


class ByReturn(Pair):
    def forward(self, x):
        y = self.conv(x)
        if x.shape[-1] > 1000:
            return y
        return self.bn(y)


class ByAnd(Pair):
    def forward(self, x):
        y = self.conv(x)
        normal = len(x) < 1000 and self.bn(y)
        return y if normal is False else normal


class InAMethod(Pair):
    def forward(self, x):
        return self.bn(self.conv(x))

    def features(self, x):
        return self.conv(x)


class Falls(Pair):
    def forward(self, x):
        y = self.conv(x)
        for _ in range(2):
            if len(x) > 1000:
                break
            y = self.bn(y) if _ == 0 else y
        return y


class InAnother(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs, self.bn = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.convs(x)
        while y.ndim == 4 and y.shape[1] == 4:
            return self.bn(y)
        return y


@pytest.mark.parametrize(
    "kind", [ByArgument, ByValues, ByReturn, ByAnd, InAMethod, Falls, InAnother]
)
def test_what_depends_on_a_condition_is_left(kind):
    folded = fold_batch_norm(trained(kind()))
    assert "depends on a condition" in folded.folding.left["bn"]


class BySettings(nn.Module):
    """As in much code: a norm that may be absent, whole paths that may be, early errors."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.training_only = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), False
        self.head, self.last = nn.Linear(4, 5), nn.BatchNorm1d(5)

    def forward(self, x):
        if x.ndim != 4:
            raise ValueError("images, please")
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        if self.training and self.training_only:
            return x
        if len(x) > 0:
            return self._finish(x)
        return x

    def _finish(self, x):
        return self.last(self.head(x.mean((2, 3))))


def test_conditions_on_the_modules_own_settings_do_not_count():
    check(trained(BySettings()), cr.randn(2, 3, 6, 6, dtype=cr.float64))


class Shared(nn.Module):
    """One pair in a loop, and one norm behind two layers."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.left, self.right, self.both = nn.Linear(3, 4), nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.same = self.bn

    def forward(self, x):
        for _ in range(3):
            x = F.relu(self.same(self.conv(x)))
        x = x.mean((2, 3))
        return self.both(self.left(x)) * self.both(self.right(x))


def test_layers_called_again_and_norms_shared_by_layers():
    folded = check(trained(Shared()), cr.randn(2, 3, 6, 6, dtype=cr.float64))
    assert folded.folding.folded["both"] == ("left", "right")
    assert isinstance(folded.same, nn.Identity) and isinstance(folded.bn, nn.Identity)


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return x


def test_lists_of_modules():
    check(trained(Listed()), cr.randn(2, 3, 4, 4, dtype=cr.float64))


class Features(nn.Module):
    """A linear layer on sequences: its outputs are on the last axis, the norm's on axis 1."""

    def __init__(self):
        super().__init__()
        self.fc, self.bn = nn.Linear(5, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.bn(self.fc(x))


def test_a_linear_layer_on_sequences_is_left():
    folded = check(trained(Features()), cr.randn(2, 4, 5, dtype=cr.float64), left=["bn"])
    assert "the outputs of fc are not on axis 1" in folded.folding.left["bn"]


class Sly(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) ** 2


def pair(conv=None, norm=None):
    return nn.Sequential(conv or nn.Conv2d(3, 4, 3), norm or nn.BatchNorm2d(4))


def hooked(net, index):
    net[index].register_forward_hook(lambda module, args, y: y * 2)
    return net


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (pair(norm=nn.BatchNorm2d(4, track_running_stats=False)), "no running statistics"),
        (pair(Sly(3, 4, 3)), "the own forward or hooks of 0"),
        (hooked(pair(), 0), "the own forward or hooks of 0"),
        (hooked(pair(), 1), "its own forward or hooks"),
        (
            nn.Sequential(
                nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)
            ),
            "the weight of 0 is computed from others",
        ),
    ],
)
def test_what_computes_something_else_is_left(net, reason):
    folded = fold_batch_norm(trained(net), cr.randn(2, 3, 5, 5, dtype=cr.float64))
    assert reason in folded.folding.left["1"]


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.bn, self.spare = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.bn(self.fc(x))


def test_a_norm_that_the_sample_does_not_reach_is_left():
    folded = check(trained(Unused()), cr.randn(2, 3, dtype=cr.float64), left=["spare"])
    assert folded.folding.left["spare"] == "the sample did not reach it"


class Hidden(nn.Module):
    """Uses the convolution's result where the graph cannot see it."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.bn(y) * float(y.array.mean())


def test_an_unseen_use_is_found_by_the_outputs_and_named():
    with pytest.raises(ExportError, match=r"folding bn into conv changes the outputs by .* of the"):
        fold_batch_norm(Hidden())  # fresh statistics hardly change anything: random ones do


def test_no_sample_suits():
    with pytest.raises(ConfigError, match=r"no noise suits the model; pass a sample"):
        fold_batch_norm(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Linear(77, 3)))


@pytest.mark.parametrize("dtype", [cr.float16, cr.float32])
def test_in_the_models_own_precision(dtype):
    net = trained(Block(4, 6, 2)).to(dtype)
    folded = fold_batch_norm(net)
    assert folded.conv1.weight.dtype == dtype and folded.conv1.bias.dtype == dtype
    assert len(folded.folding.folded) == 3
    assert fold_batch_norm(net, tolerance=1.0).folding.error < 2e-2
    with pytest.raises(ExportError, match="0e"):
        fold_batch_norm(net, tolerance=0.0)
