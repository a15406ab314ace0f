"""Weight and spectral normalisation, and tensors of modules that stand for others."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import gradcheck
from chainrule.errors import AxisError, ConfigError, DTypeError, ShapeError
from chainrule.nn.utils import parametrizations
from chainrule.nn.utils import parametrize as P


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, a):
        return a.triu()


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


class RankOne(nn.Module):
    def forward(self, x, y):
        return x.unsqueeze(-1) @ y.unsqueeze(-2)

    def right_inverse(self, z):
        return z[:, 0].clone(), z[0].clone()


# -- any parametrization -----------------------------------------------------------------------


def test_a_parametrized_weight_is_used_trained_and_assigned():
    layer = nn.Linear(4, 4)
    weight = layer.weight
    assert P.register_parametrization(layer, "weight", Symmetric()) is layer
    assert layer.parametrizations.weight.original is weight  # an optimizer keeps it
    assert P.is_parametrized(layer) and P.is_parametrized(layer, "weight")
    assert not P.is_parametrized(layer, "bias")
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert P.type_before_parametrizations(layer) is nn.Linear
    np.testing.assert_array_equal(layer.weight.detach().array, layer.weight.mT.detach().array)
    layer(cr.randn(2, 4)).sum().backward()
    assert weight.grad is not None
    value = cr.ones(4, 4)
    layer.weight = value
    np.testing.assert_array_equal(weight.detach().array, np.triu(np.ones((4, 4))))
    np.testing.assert_array_equal(layer.weight.detach().array, value.array)


def test_several_are_applied_in_order_and_removed_together():
    layer = nn.Linear(4, 4)
    P.register_parametrization(layer, "weight", Symmetric())
    once = layer.weight.detach().array
    P.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_array_equal(layer.weight.detach().array, 2 * once)
    with pytest.raises(ConfigError, match=r"Doubled: has no right_inverse"):
        layer.weight = cr.ones(4, 4)
    original = layer.parametrizations.weight.original
    P.remove_parametrizations(layer, "weight")
    assert layer.weight is original and type(layer) is nn.Linear
    assert not hasattr(layer, "parametrizations")
    np.testing.assert_array_equal(layer.weight.detach().array, 2 * once)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_the_original_can_be_kept_instead():
    layer = nn.Linear(3, 3)
    P.register_parametrization(layer, "weight", Doubled())
    before = layer.parametrizations.weight.original.detach().array.copy()
    P.remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(layer.weight.detach().array, before)


def test_two_tensors_of_one_module_and_of_its_copy():
    layer = nn.Linear(3, 3)
    P.register_parametrization(layer, "weight", Symmetric())
    P.register_parametrization(layer, "bias", Doubled())
    twin = copy.deepcopy(layer)
    P.remove_parametrizations(layer, "weight")
    P.remove_parametrizations(layer, "bias")
    assert type(layer) is nn.Linear
    assert P.is_parametrized(twin, "weight") and P.is_parametrized(twin, "bias")
    np.testing.assert_array_equal(twin.weight.detach().array, layer.weight.detach().array)


def test_several_originals():
    layer = P.register_parametrization(nn.Linear(4, 3), "weight", RankOne(), unsafe=True)
    names = ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert list(layer.state_dict()) == names
    assert all(isinstance(p, nn.Parameter) for p in layer.parameters())
    layer(cr.ones(1, 4)).sum().backward()
    assert layer.parametrizations.weight.original1.grad is not None
    with pytest.raises(ConfigError, match=r"'weight' is made of 2 tensors, none of which"):
        P.remove_parametrizations(layer, "weight", leave_parametrized=False)
    value = layer.weight.detach().array
    P.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    np.testing.assert_array_equal(layer.weight.detach().array, value)


def test_a_buffer_stays_a_buffer():
    layer = nn.BatchNorm1d(3)
    P.register_parametrization(layer, "running_var", Doubled())
    assert layer.running_var.tolist() == [2, 2, 2]
    assert "parametrizations.running_var.original" in dict(layer.named_buffers())
    P.remove_parametrizations(layer, "running_var")
    assert dict(layer.named_buffers())["running_var"].tolist() == [2, 2, 2]


def test_cached_values_are_computed_once():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x

    layer = P.register_parametrization(nn.Linear(2, 2), "weight", Counted())
    calls.clear()
    with P.cached():
        assert layer.weight is layer.weight
        with P.cached():
            layer(cr.ones(1, 2))
        assert layer.weight is layer.weight
    assert len(calls) == 1
    assert layer.weight is not None and layer.weight is not None
    assert len(calls) == 3


def test_transfer():
    source = P.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    target = P.transfer_parametrizations_and_params(source, nn.Linear(3, 3))
    np.testing.assert_array_equal(target.weight.detach().array, source.weight.detach().array)
    plain = nn.Linear(3, 3)
    assert P.transfer_parametrizations_and_params(nn.Linear(3, 3), plain) is plain
    assert not P.is_parametrized(plain)


class Wider(nn.Module):
    def forward(self, x):
        return cr.cat([x, x])


class Coarser(nn.Module):
    def forward(self, x):
        return x.half()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: P.register_parametrization(nn.Linear(2, 2), "size", Doubled()),
            ConfigError,
            "Linear has no parameter or buffer 'size'",
        ),
        (
            lambda: P.register_parametrization(nn.Linear(2, 2), "weight", Wider()),
            ShapeError,
            r"must keep the shape \(2, 2\), got \(4, 2\); unsafe=True",
        ),
        (
            lambda: P.register_parametrization(nn.Linear(2, 2), "weight", Coarser()),
            DTypeError,
            "must keep the dtype float32, got float16",
        ),
        (
            lambda: P.remove_parametrizations(nn.Linear(2, 2), "weight"),
            ConfigError,
            "'weight' of Linear has none",
        ),
        (lambda: P.ParametrizationList([], cr.ones(2)), ConfigError, "at least one"),
        (
            lambda: parametrizations.spectral_norm(nn.Linear(2, 2), "size"),
            ConfigError,
            "Linear has no parameter or buffer 'size'",
        ),
        (
            lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0),
            ConfigError,
            "n_power_iterations must be positive, got 0",
        ),
        (
            lambda: parametrizations.spectral_norm(nn.Linear(2, 2), dim=2),
            AxisError,
            "there is no dim 2; the weight has 2 axes",
        ),
        (
            lambda: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(2, 2))),
            ConfigError,
            "'weight' of Linear has it already",
        ),
        (
            lambda: nn.utils.spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 2))),
            ConfigError,
            "'weight' of Linear has it already",
        ),
        (lambda: nn.utils.remove_weight_norm(nn.Linear(2, 2)), ConfigError, "has none"),
        (lambda: nn.utils.remove_spectral_norm(nn.Linear(2, 2)), ConfigError, "has none"),
        (
            lambda: cr.ops.weight_norm(cr.ones(2, 3), cr.ones(2)),
            ShapeError,
            r"g \(2,\) must hold a length for each slice along dim 0, \(2, 1\)",
        ),
        (lambda: cr.ops.norm_except_dim(cr.ones(2, 3), 2, 5), AxisError, "there is no dim 5"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- weight and spectral norm ------------------------------------------------------------------

NORMS = {
    "weight norm": lambda m, layer: m.utils.weight_norm(layer),
    "weight norm, dim 1": lambda m, layer: m.utils.weight_norm(layer, "weight", 1),
    "weight norm, all": lambda m, layer: m.utils.weight_norm(layer, dim=None),
    "spectral norm": lambda m, layer: m.utils.spectral_norm(layer),
    "spectral norm, settings": lambda m, layer: m.utils.spectral_norm(layer, "weight", 3, 1e-6, 1),
    "new weight norm": lambda m, layer: m.utils.parametrizations.weight_norm(layer),
    "new weight norm, all": lambda m, layer: m.utils.parametrizations.weight_norm(layer, dim=None),
    "new spectral norm": lambda m, layer: m.utils.parametrizations.spectral_norm(layer),
    "new spectral norm, settings": lambda m, layer: m.utils.parametrizations.spectral_norm(
        layer, n_power_iterations=2, dim=-1
    ),
    "new spectral norm of a vector": lambda m, layer: m.utils.parametrizations.spectral_norm(
        layer, "bias"
    ),
}
LAYERS = {
    "linear": (lambda m: m.Linear(4, 3), (5, 4)),
    "conv": (lambda m: m.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 5)),
}


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", NORMS)
def test_matches_pytorch_in_training_and_evaluation(name, layer):
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    build, shape = LAYERS[layer]
    theirs = NORMS[name](torch.nn, build(torch.nn).double())
    ours = NORMS[name](nn, build(nn).double())
    state = {k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    rng = np.random.default_rng(0)
    for mode in (True, True, False):
        ours.train(mode)
        theirs.train(mode)
        value = rng.standard_normal(shape)
        x, t = cr.tensor(value).requires_grad_(), torch.tensor(value, requires_grad=True)
        y, u = ours(x), theirs(t)
        (y * y).sum().backward()
        (u * u).sum().backward()
        np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(x.grad.array, t.grad.numpy(), rtol=1e-9, atol=1e-12)
    parameters = dict(theirs.named_parameters())
    for key, p in ours.named_parameters():
        np.testing.assert_allclose(
            p.grad.array, parameters[key].grad.numpy(), rtol=1e-8, err_msg=key
        )
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            ours.state_dict()[key].array, value.numpy(), rtol=1e-9, atol=1e-12
        )
    if "new" in name:
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["weight", "spectral"])
def test_removing_leaves_the_weight_as_it_was(name):
    layer = getattr(nn.utils, f"{name}_norm")(nn.Conv2d(3, 4, 3))
    x = cr.randn(2, 3, 5, 5)
    y = layer.eval()(x).detach().array
    assert getattr(nn.utils, f"remove_{name}_norm")(layer) is layer
    assert list(layer.state_dict()) == ["bias", "weight"] and not layer._forward_pre_hooks
    np.testing.assert_allclose(layer(x).detach().array, y, rtol=1e-5, atol=1e-6)


def test_weight_norm_starts_from_the_weight_and_learns_its_length():
    layer = nn.Linear(4, 3).double()
    before = layer.weight.detach().array.copy()
    nn.utils.weight_norm(layer)
    layer(cr.ones(1, 4, dtype=cr.float64)).sum().backward()
    np.testing.assert_allclose(layer.weight.detach().array, before, rtol=1e-12)
    # along v the output does not change: its gradient is across
    across = (layer.weight_v.grad * layer.weight_v).sum(1)
    np.testing.assert_allclose(across.detach().array, 0, atol=1e-12)


def test_weights_saved_by_the_older_weight_norm_load():
    old = nn.utils.weight_norm(nn.Linear(4, 3))
    new = parametrizations.weight_norm(nn.Linear(4, 3))
    net = nn.Sequential(new)
    net.load_state_dict(nn.Sequential(old).state_dict())
    x = cr.randn(2, 4)
    np.testing.assert_array_equal(net(x).detach().array, old(x).detach().array)


def test_spectral_norm_finds_the_largest_singular_value():
    layer = nn.Linear(6, 4).double()
    largest = np.linalg.svd(layer.weight.detach().array, compute_uv=False)[0]
    expected = layer.weight.detach().array / largest
    parametrizations.spectral_norm(layer, n_power_iterations=50)
    for _ in range(20):
        weight = layer.weight
    np.testing.assert_allclose(weight.detach().array, expected, rtol=1e-6)


def test_spectral_norm_of_two_forwards_before_one_backward():
    layer = nn.utils.spectral_norm(nn.Linear(4, 3).double())
    x = cr.randn(2, 4, dtype=cr.float64)
    (layer(x).sum() - layer(2 * x).sum()).backward()
    assert layer.weight_orig.grad is not None


def test_gradient_of_spectral_norm_with_the_vectors_held():
    layer = nn.utils.spectral_norm(nn.Linear(4, 3).double()).eval()
    x = cr.randn(2, 4, dtype=cr.float64)
    assert gradcheck(lambda w: layer(x), [layer.weight_orig])


# -- orthogonal matrices -----------------------------------------------------------------------


@pytest.mark.parametrize("trivial", [True, False])
@pytest.mark.parametrize("how", [None, "matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 5, 3)], ids=str)
@pytest.mark.parity
def test_orthogonal_matches_pytorch(shape, how, trivial):
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    rng = np.random.default_rng(0)
    start = rng.standard_normal(shape)
    ours, theirs = nn.Module(), torch.nn.Module()
    ours.weight = nn.Parameter(cr.tensor(start))
    theirs.weight = torch.nn.Parameter(torch.tensor(start))
    parametrizations.orthogonal(ours, "weight", how, use_trivialization=trivial)
    torch.nn.utils.parametrizations.orthogonal(theirs, "weight", how, use_trivialization=trivial)
    np.testing.assert_allclose(
        ours.weight.detach().array, theirs.weight.detach().numpy(), atol=1e-12
    )
    state = {k: v.numpy().copy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state) and repr(ours) == repr(theirs)
    strict = np.tril(rng.standard_normal(shape), -1) + np.triu(rng.standard_normal(shape), 1)
    state["parametrizations.weight.original"] += strict
    ours.load_state_dict(state)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    w, t = ours.weight, theirs.weight
    small = w.mT @ w if shape[-2] >= shape[-1] else w @ w.mT
    unit = np.broadcast_to(np.eye(small.shape[-1]), small.shape)
    np.testing.assert_allclose(small.detach().array, unit, atol=1e-12)
    np.testing.assert_allclose(w.detach().array, t.detach().numpy(), atol=1e-12)
    g = rng.standard_normal(shape)
    w.backward(cr.tensor(g))
    t.backward(torch.tensor(g))
    np.testing.assert_allclose(
        ours.parametrizations.weight.original.grad.array,
        theirs.parametrizations.weight.original.grad.numpy(),
        atol=1e-11,
    )


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
def test_an_orthogonal_matrix_can_be_assigned(how):
    layer = parametrizations.orthogonal(nn.Linear(4, 4).double(), "weight", how)
    value, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))
    layer.weight = cr.tensor(value)
    np.testing.assert_allclose(layer.weight.detach().array, value, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "size"), ConfigError, "no parameter"),
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"), ShapeError, "is no matrix"),
        (
            lambda: parametrizations.orthogonal(nn.Linear(2, 2), "weight", "givens"),
            ConfigError,
            'must be "matrix_exp", "cayley" or "householder", got',
        ),
        (lambda: cr.matrix_exp(cr.ones(2, 3)), ShapeError, "matrix_exp: needs square matrices"),
        (lambda: cr.matrix_exp(cr.ones(2, 2).int()), DTypeError, "expects a float tensor"),
    ],
)
def test_orthogonal_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- vectors of parameters ---------------------------------------------------------------------


def test_parameters_become_a_vector_and_a_vector_parameters():
    layer = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert tuple(vector.shape) == (8,) and vector.requires_grad
    new = cr.arange(8.0)
    nn.utils.vector_to_parameters(new, layer.parameters())
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and layer.bias.tolist() == [6, 7]
    with pytest.raises(DTypeError, match="vec must be a Tensor, got list"):
        nn.utils.vector_to_parameters([1.0], layer.parameters())
    with pytest.raises(ShapeError, match="vec has 7 elements, the parameters 8"):
        nn.utils.vector_to_parameters(new[:7], layer.parameters())


@pytest.mark.parametrize(
    "how",
    [
        parametrizations.weight_norm,
        nn.utils.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ],
)
def test_pickles_and_copies_compute_and_learn_by_themselves(how):
    layer = how(nn.Linear(3, 2))
    layer.eval()
    x, y = cr.randn(4, 3), None
    y = layer(x)
    twin = pickle.loads(pickle.dumps(layer))
    if how is not nn.utils.weight_norm:  # whose weight is no leaf: refused, as by PyTorch
        twin = copy.deepcopy(twin)
    assert type(twin) is type(layer) and repr(twin) == repr(layer)
    np.testing.assert_array_equal(twin(x).detach().numpy(), y.detach().numpy())
    twin(x).sum().backward()
    assert all(p.grad is not None for p in twin.parameters())
    assert all(p.grad is None for p in layer.parameters())
    twin.load_state_dict(layer.state_dict())
