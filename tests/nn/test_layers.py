"""Layers: what they do beyond calling the functional, and the errors they raise."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ConfigError, DTypeError, LabelError, ShapeError


def test_linear_is_the_formula():
    layer = nn.Linear(3, 2)
    x = cr.randn(4, 3)
    expected = x.array @ layer.weight.array.T + layer.bias.array
    np.testing.assert_allclose(layer(x).detach().array, expected, rtol=1e-6)
    assert list(nn.Linear(3, 2, bias=False).state_dict()) == ["weight"]
    assert nn.Linear(3, 2, dtype=cr.float64).weight.dtype == np.float64


def test_linear_with_one_row_of_weights_makes_numbers():
    x, w = cr.randn(2, 3), cr.arange(3.0)
    np.testing.assert_allclose(F.linear(x, w).array, x.array @ w.array, rtol=1e-6)
    assert F.linear(x[0], w).shape == ()
    with pytest.raises(ShapeError, match="weight"):
        F.linear(x, w, cr.ones(1))


@pytest.mark.parametrize("layer", [nn.Linear(50, 400), nn.Conv2d(8, 100, 3, groups=2)])
def test_default_initialisation_is_uniform_within_one_over_root_fan_in(layer):
    bound = 1 / np.sqrt(np.prod(layer.weight.shape[1:]))
    w, b = layer.weight.array, layer.bias.array
    assert np.abs(w).max() <= bound and np.abs(b).max() <= bound
    assert np.abs(w).max() > 0.98 * bound and np.abs(b).max() > 0.9 * bound
    np.testing.assert_allclose(w.std(), bound / np.sqrt(3), rtol=0.05)
    assert abs(w.mean()) < 0.05 * bound


def test_stochastic_depth_is_the_identity_in_evaluation():
    layer = nn.StochasticDepth(0.4, "row")
    x = cr.randn(64, 3)
    dropped = (layer(x) == 0).array.all(1)
    assert 0 < dropped.sum() < 64
    np.testing.assert_allclose(layer(x).array.max(), (x / 0.6).array.max(), rtol=0.5)
    assert layer.eval()(x) is x
    assert repr(layer) == "StochasticDepth(p=0.4, mode=row)"


def test_maxout_of_linear_pieces_can_be_the_absolute_value():
    layer = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Maxout(2))
    layer[0].weight.data = cr.tensor([[1.0], [-1.0]])
    assert layer(cr.tensor([[-2.0], [3.0]])).tolist() == [[2], [3]]
    assert repr(layer[1]) == "Maxout(num_pieces=2, dim=1)"


@pytest.mark.parametrize("dims", [{1: 0, 2: 1, 3: 0, 4: 1}])
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, F.softmin])
def test_the_implicit_axis_of_softmax_is_pytorchs(function, dims):
    for ndim, dim in dims.items():
        x = cr.randn(*range(2, 2 + ndim))
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            y = function(x)
        np.testing.assert_array_equal(y.array, function(x, dim).array)
    assert function(x, 1, dtype=cr.float64).dtype == np.float64


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x: F.prelu(x, cr.ones(2)), ShapeError, "prelu: .* one for each of 3 channels"),
        (lambda x: F.rrelu(x, 0.5, 0.2), ConfigError, r"rrelu: lower 0\.5 must not exceed"),
        (lambda x: F.softshrink(x, -1), ConfigError, "softshrink: lambd .* got -1"),
        (lambda x: F.celu(x, 0), ConfigError, "celu: alpha .* cannot be 0"),
        (lambda x: F.gelu(x, "erf"), ConfigError, 'gelu: approximate is "none" or "tanh"'),
        (lambda x: F.glu(x, 1), ShapeError, "glu: .* even length, dim 1 has 3"),
        (lambda x: F.maxout(x, 2), ShapeError, "maxout: dim 1 of length 3 .* 2 pieces"),
        (lambda x: F.hardtanh(x, 2, 1), ValueError, "min_val cannot be greater than max_val"),
        (lambda x: nn.Softmax2d()(x), ShapeError, "Softmax2d: expects three or four axes"),
        (lambda x: F.dropout1d(x[0]), ShapeError, "dropout1d: expects two or three axes"),
        (lambda x: F.dropout1d(x, 1.5), ConfigError, "p is a probability between 0 and 1"),
        (lambda x: F.feature_alpha_dropout(x[0], 0.5, True), ShapeError, "at least two axes"),
        (lambda x: F.stochastic_depth(x, 0.5, "all"), ConfigError, 'mode is "batch" or "row"'),
        (lambda x: nn.Dropout3d(-0.1), ConfigError, "Dropout3d: p is a probability"),
    ],
)
def test_errors_of_gates_and_dropout(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(cr.ones(2, 3))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x: F.max_pool3d(x[0], 2), ShapeError, r"max_pool3d: x needs five axes"),
        (lambda x: F.max_pool1d(x[0], 9), ShapeError, "max_pool1d: the window of 9 pixels"),
        (lambda x: F.avg_pool1d(x[0], 2, padding=2), ConfigError, "exceeds half the window"),
        (lambda x: F.max_pool2d(x, (1, 2, 3)), ConfigError, "kernel_size must be .* a pair"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), ConfigError, "divisor_override"),
        (lambda x: F.adaptive_max_pool2d(x, (1, 2, 3)), ConfigError, "output_size must be"),
        (lambda x: F.adaptive_max_pool2d(x[..., :0], 1), ShapeError, "no pixel to choose"),
        (lambda x: F.adaptive_avg_pool3d(x[0], 1), ShapeError, "x needs five axes"),
        (lambda x: F.max_unpool2d(x, cr.zeros(1), 2), ShapeError, "each maximum needs an index"),
        (lambda x: F.max_unpool2d(x, x.long() + 99, 2), ShapeError, "indices go from 100 to 100"),
        (
            lambda x: F.max_unpool2d(x, x.long(), 2, output_size=(8, 12)),
            ConfigError,
            r"output_size \(8, 12\) must be less than a stride of \(2, 2\) from \(8, 10\)",
        ),
    ],
)
def test_errors_of_pooling(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(cr.ones(2, 3, 4, 5))


def test_deformable_convolution_starts_as_a_convolution():
    layer = nn.DeformConv2d(4, 6, 3, 2, 1, groups=2)
    x = cr.randn(2, 4, 7, 8)
    plain = F.conv2d(x, layer.weight, layer.bias, 2, 1, 1, 2)
    offset, mask = cr.zeros(2, 18, 4, 4), cr.ones(2, 9, 4, 4)
    np.testing.assert_allclose(layer(x, offset).array, plain.array, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(x, offset, mask / 2).array * 2 - plain.array,
                               np.broadcast_to(layer.bias.array[:, None, None], plain.shape),
                               rtol=1e-4, atol=1e-5)  # fmt: skip
    assert repr(layer) == (
        "DeformConv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2)"
    )


def test_moving_every_tap_moves_the_image():
    x, w = cr.randn(1, 2, 6, 6), cr.randn(3, 2, 1, 1)
    down = cr.stack([cr.full((6, 6), 2.0), cr.full((6, 6), -1.0)])[None]
    y = F.deform_conv2d(x, down, w)
    moved = F.pad(x, (1, -1, -2, 2))  # from two rows below and one column to the left
    np.testing.assert_allclose(y.array, F.conv2d(moved, w).array, rtol=1e-5, atol=1e-6)


def test_selective_kernel_weighs_its_branches():
    layer = nn.SelectiveKernel(8, 12, branches=3, groups=2)
    x = cr.randn(4, 8, 6, 6, requires_grad=True)
    y = layer(x)
    assert y.shape == (4, 12, 6, 6)
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    layer.eval()
    for choose in layer.select:
        choose.weight.data.fill_(0.0)  # so that all branches weigh alike
    mean = sum(branch(x).detach().array for branch in layer.branches) / 3
    np.testing.assert_allclose(layer(x).detach().array, mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x: F.interpolate(x), ConfigError, "only one of size or scale_factor"),
        (lambda x: F.interpolate(x, 2, 2), ConfigError, "only one of size or scale_factor"),
        (lambda x: F.interpolate(x, (2, 3, 4)), ConfigError, r"size \(2, 3, 4\) needs one"),
        (lambda x: F.interpolate(x, 2, mode="cubic"), ConfigError, "mode is one of nearest"),
        (lambda x: F.interpolate(x, 2, mode="linear"), ShapeError, '"linear" needs 3 axes'),
        (
            lambda x: F.interpolate(x, 2, align_corners=True),
            ConfigError,
            "align_corners can only be set with",
        ),
        (lambda x: F.interpolate(x, 2, antialias=True), ConfigError, "Anti-alias option"),
        (lambda x: F.interpolate(x, scale_factor=0.1), ShapeError, "lengths must be at least 1"),
        (
            lambda x: F.interpolate(x, 2, recompute_scale_factor=True),
            ConfigError,
            "recompute_scale_factor needs scale_factor",
        ),
        (lambda x: F.pixel_shuffle(x, 2), ShapeError, "multiple of upscale_factor² = 4"),
        (lambda x: F.pixel_unshuffle(x, 3), ShapeError, "multiples of downscale_factor 3"),
        (lambda x: F.channel_shuffle(x, 4), ShapeError, "multiple of groups 4"),
        (lambda x: F.grid_sample(x, x, align_corners=True), ShapeError, "grid is"),
        (
            lambda x: F.grid_sample(x, cr.zeros(2, 1, 1, 2), "cubic", align_corners=True),
            ConfigError,
            "mode is bilinear, nearest",
        ),
        (lambda x: F.affine_grid(cr.ones(2, 2, 2), (2, 1, 3, 3), True), ShapeError, "theta is"),
        (
            lambda x: F.deform_conv2d(x, cr.ones(2, 7, 3, 4), cr.ones(2, 3, 2, 2)),
            ShapeError,
            r"offset must be \(N, 2·G·4, 3, 4\)",
        ),
        (
            lambda x: F.deform_conv2d(
                x, cr.ones(2, 8, 3, 4), cr.ones(2, 3, 2, 2), mask=cr.ones(2, 3, 3, 4)
            ),
            ShapeError,
            r"mask must be \(2, 4, 3, 4\)",
        ),
    ],
)
def test_errors_of_upsampling_and_sampling(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(cr.ones(2, 3, 4, 5))


def test_dropouts_of_channels_take_samples_without_a_batch():
    for function, shape in ((F.dropout1d, (64, 5)), (F.dropout3d, (64, 2, 3, 4))):
        y = function(cr.ones(shape), 0.5).array.reshape(64, -1)
        assert set(np.unique(y)) == {0, 2}
        assert np.all(y == y[:, :1])
    with pytest.warns(UserWarning, match="interpreted as shape"):
        y = F.dropout2d(cr.ones(2, 50, 5), 0.5).array
    assert np.all(y == y[:, :, :1]) and set(np.unique(y)) == {0, 2}


def test_the_same_seed_gives_the_same_bits():
    cr.manual_seed(3)
    first = nn.Conv2d(2, 3, 3).weight.array
    second = nn.Conv2d(2, 3, 3).weight.array
    cr.manual_seed(3)
    np.testing.assert_array_equal(nn.Conv2d(2, 3, 3).weight.array, first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding_mode": "same"}, r"padding_mode must be one of zeros, .*circular, got 'same'"),
        ({"groups": 4}, r"groups 4 must divide in_channels 6 and out_channels 8"),
        ({"groups": 0}, r"groups 0 must divide"),
        ({"padding": "half"}, r'padding must be a number, "same" or "valid", got \'half\''),
        ({"padding": "same", "stride": 2}, r'"same" needs stride 1, got \(2, 2\)'),
        ({"stride": 0}, r"stride must be a whole number of at least 1"),
    ],
)
def test_conv2d_refuses_impossible_settings(arguments, message):
    with pytest.raises(ConfigError, match=message):
        nn.Conv2d(6, 8, 3, **arguments)


def test_conv2d_padding_by_name():
    x = cr.randn(2, 3, 7, 6)
    assert nn.Conv2d(3, 4, (3, 4), padding="same")(x).shape == (2, 4, 7, 6)
    assert nn.Conv2d(3, 4, (3, 4), padding="valid")(x).shape == (2, 4, 5, 3)


# -- batch norm --------------------------------------------------------------------------------


def test_batch_norm_normalises_in_training_and_remembers():
    layer = nn.BatchNorm2d(3)
    x = cr.randn(8, 3, 5, 5) * 3 + 2
    y = layer(x).detach().array
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1, atol=1e-4)
    n = 8 * 25
    mean, var = x.array.mean((0, 2, 3)), x.array.var((0, 2, 3)) * n / (n - 1)
    np.testing.assert_allclose(layer.running_mean.array, 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(layer.running_var.array, 0.9 + 0.1 * var, rtol=1e-4)
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_in_evaluation_uses_and_keeps_what_it_remembers():
    layer = nn.BatchNorm1d(2)
    layer.running_mean.array[...] = [1, 2]
    layer.running_var.array[...] = [4, 9]
    layer.eval()
    y = layer(cr.tensor([[3.0, 5.0]]))
    np.testing.assert_allclose(y.detach().array, [[1, 1]], rtol=1e-5)
    assert layer.running_mean.tolist() == [1, 2] and layer.num_batches_tracked.item() == 0


def test_batch_norm_without_momentum_averages_all_batches():
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [cr.randn(6, 2) for _ in range(3)]
    for x in batches:
        layer(x)
    means = np.mean([x.array.mean(0) for x in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.array, means, rtol=1e-4, atol=1e-6)


def test_batch_norm_without_memory_uses_the_batch_even_in_evaluation():
    layer = nn.BatchNorm1d(2, track_running_stats=False).eval()
    y = layer(cr.randn(50, 2) + 5).detach().array
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_batch_norm_starts_anew():
    layer = nn.BatchNorm1d(2)
    fresh = {k: v.array.copy() for k, v in layer.state_dict().items()}
    layer(cr.randn(5, 2))
    layer.weight.array[...] = 3
    layer.reset_parameters()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.array, fresh[name])


@pytest.mark.parametrize(
    ("layer", "shape", "layout"),
    [
        (nn.BatchNorm2d(3), (2, 3), r"\(N, C, H, W\)"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), r"\(N, C\) or \(N, C, L\)"),
    ],
)
def test_batch_norm_names_the_shape_it_expects(layer, shape, layout):
    with pytest.raises(ShapeError, match=rf"{type(layer).__name__}: expects {layout}, x is \("):
        layer(cr.zeros(shape))


def test_functional_batch_norm_needs_statistics_in_evaluation():
    with pytest.raises(ConfigError, match=r"evaluation needs running statistics"):
        F.batch_norm(cr.ones(2, 3), None, None)


# -- the others --------------------------------------------------------------------------------


def test_dropout_drops_in_training_only():
    cr.manual_seed(0)
    layer = nn.Dropout(0.25)
    x = cr.ones(100, 100)
    y = layer(x).array
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.23 < (y == 0).mean() < 0.27
    assert layer.eval()(x).tolist() == x.tolist()
    with pytest.raises(ConfigError, match=r"p is a probability between 0 and 1, got 1.5"):
        nn.Dropout(1.5)


def test_shape_layers():
    x = cr.randn(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(2)(x).shape == (2, 3, 20)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(1, (12, -1))(nn.Flatten()(x)).shape == (2, 12, 5)
    assert nn.Unflatten(-1, (5, 1))(x).shape == (2, 3, 4, 5, 1)
    assert nn.Identity(1, a=2)(x) is x


@pytest.mark.parametrize("inplace", [False, True])
def test_relu_in_place_changes_its_input(inplace):
    x = cr.tensor([-1.0, 2.0])
    y = nn.ReLU(inplace)(x)
    assert y.tolist() == [0, 2] and (y is x) == inplace
    assert x.tolist() == ([0, 2] if inplace else [-1, 2])
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.LayerNorm(4)(cr.ones(2, 3)), ShapeError, r"normalized_shape \(4,\) must be"),
        (lambda: cr.nn.functional.layer_norm(cr.ones(2, 3), ()), ShapeError, "normalized_shape"),
        (
            lambda: cr.nn.functional.layer_norm(cr.ones(2, 3), 3, cr.ones(2)),
            ShapeError,
            r"weight \(2,\) must have normalized_shape \(3,\)",
        ),
        (lambda: nn.LayerNorm(2)(cr.ones(3, 2).long()), DTypeError, "expects a float tensor"),
        (lambda: nn.GroupNorm(2, 3), ConfigError, "num_groups 2 must divide num_channels 3"),
        (
            lambda: cr.nn.functional.group_norm(cr.ones(2, 3, 4), 2),
            ShapeError,
            "2 groups must divide the channels of x",
        ),
        (
            lambda: cr.nn.functional.group_norm(cr.ones(2, 4, 4), 2, cr.ones(2)),
            ShapeError,
            r"weight \(2,\) must hold one value per channel",
        ),
    ],
)
def test_layer_and_group_norm_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_resetting_layer_and_group_norm():
    for layer in (nn.LayerNorm(3), nn.GroupNorm(1, 3)):
        layer.weight.array[:], layer.bias.array[:] = 5, 6
        layer.reset_parameters()
        assert layer.weight.tolist() == [1, 1, 1] and layer.bias.tolist() == [0, 0, 0]


# -- tables and forms --------------------------------------------------------------------------


def test_embedding_starts_standard_normal_with_zeros_at_the_padding():
    cr.manual_seed(0)
    table = nn.Embedding(400, 30, padding_idx=-2).weight.array
    assert not table[398].any()
    np.testing.assert_allclose([table.mean(), table.std()], [0, 1], atol=0.02)


def test_bilinear_starts_uniform():
    cr.manual_seed(0)
    layer = nn.Bilinear(25, 8, 40)
    for p in (layer.weight, layer.bias):
        assert 0.9 * 0.2 < np.abs(p.array).max() <= 0.2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(3, 2, padding_idx=3), ConfigError, "padding_idx 3 is none of 3"),
        (lambda: nn.Embedding(3, 2, sparse=True), ConfigError, "gradients are dense"),
        (lambda: nn.Embedding(3, 2)(cr.tensor([0, 3])), IndexError, "rows 0 to 3 do not lie in"),
        (lambda: nn.Embedding(3, 2)(cr.tensor([-1])), IndexError, "rows -1 to -1 do not lie in"),
        (lambda: nn.Embedding(3, 2)(cr.ones(2)), DTypeError, "input must hold integers"),
        (lambda: F.embedding(cr.tensor([0]), cr.ones(3)), ShapeError, "weight needs two axes"),
        (lambda: nn.Bilinear(0, 2, 3), ConfigError, "in1_features must be positive, got 0"),
        (
            lambda: nn.Bilinear(2, 3, 4)(cr.ones(5, 2), cr.ones(4, 3)),
            ShapeError,
            r"bilinear: x1 and x2 must agree.*\n  x1 \(5, 2\) = \(\.\.\., I\)",
        ),
        (
            lambda: F.bilinear(cr.ones(1, 2), cr.ones(1, 3), cr.ones(4, 2, 3), cr.ones(3)),
            ShapeError,
            "one value for each of 4 outputs",
        ),
        (
            lambda: F.bilinear(cr.ones(1, 2), cr.ones(1, 3).double(), cr.ones(4, 2, 3)),
            DTypeError,
            "bilinear: dtypes of x1, x2, weight differ: float32, float64, float32",
        ),
    ],
)
def test_embedding_and_bilinear_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("input", "settings", "error", "message"),
    [
        ([[0]], {"mode": "min"}, ConfigError, 'mode is "sum", "mean" or "max"'),
        ([[0]], {"per_sample_weights": [[1.0]]}, ConfigError, 'per_sample_weights need mode "sum"'),
        ([[0]], {"mode": "sum", "per_sample_weights": [1.0]}, ShapeError, r"\(1,\) need the shape"),
        ([[0]], {"mode": "max", "scale_grad_by_freq": True}, ConfigError, "for sums and means"),
        ([0], {}, ShapeError, r"input is \(B, N\), or \(T,\) with offsets"),
        ([[0]], {"offsets": [0]}, ShapeError, r"input is \(B, N\), or \(T,\) with offsets"),
        ([0, 1], {"offsets": [1]}, ConfigError, "offsets begin with 0"),
        ([0, 1], {"offsets": [0, 3]}, ConfigError, "offsets begin with 0, never decrease"),
        ([[9]], {}, LabelError, "do not lie in 0 to 2"),
        ([[0]], {"sparse": True}, ConfigError, "leave sparse=False"),
    ],
)
def test_errors_of_embedding_bag(input, settings, error, message):
    of_arrays = {k: cr.tensor(v) if isinstance(v, list) else v for k, v in settings.items()}
    with pytest.raises(error, match=message):
        nn.functional.embedding_bag(cr.tensor(input), cr.ones(3, 2), **of_arrays)


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.0, True), nn.Dropout(0.5, True).eval(), nn.Dropout2d(0.0, True),
              nn.AlphaDropout(0.0, True), nn.FeatureAlphaDropout(0.5, True).eval()], ids=repr
)  # fmt: skip
def test_dropout_in_place_that_drops_nothing_leaves_saved_values_valid(layer):
    x = cr.randn(2, 3, 4, 4, requires_grad=True)
    y = F.relu(x)  # saves its result
    assert layer(y) is y
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), x.detach().numpy() > 0)
