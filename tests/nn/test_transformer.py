"""Transformers beside PyTorch's: names, printed form, values, gradients, errors."""

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import ConfigError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
PADDING = np.array([[0, 0, 0, 0, 1], [0, 0, 0, 1, 1]], bool)
SETTINGS = {
    "norm last": {},
    "norm first, gelu, batch first": {
        "norm_first": True, "activation": "gelu", "batch_first": True, "layer_norm_eps": 1e-3
    },
    "no bias": {"bias": False, "batch_first": True},
}  # fmt: skip


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")


def masks_for(o, length, kind):
    causal = np.triu(np.ones((length, length), bool), 1)
    return {
        "none": None,
        "booleans": o.tensor(causal),
        "numbers": o.tensor(np.where(causal, -np.inf, 0.3)),
        "heads": o.tensor(np.random.default_rng(5).standard_normal((4, length, length))),
    }[kind]


def outcome(o, module, inputs, settings, seed=3):
    rng = np.random.default_rng(seed)
    tensors = [o.tensor(x, requires_grad=True) for x in inputs]
    y = module(*tensors, **settings)
    (y * o.tensor(rng.standard_normal(tuple(y.shape)))).sum().backward()
    gradients = [t.grad for t in (*tensors, *module.parameters())]
    return [np.asarray(t.detach()) for t in (y, *gradients)]


def twins(torch, build):
    torch.manual_seed(0)
    theirs, ours = build(torch.nn).double(), build(nn).double()
    with torch.no_grad():
        for p in theirs.parameters():
            p += 0.1 * torch.randn(p.shape)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def compare(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-11)


@pytest.mark.parity
@pytest.mark.parametrize("mask", ["none", "booleans", "numbers", "heads"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("settings", SETTINGS)
def test_encoder_layer(torch, settings, padded, mask):
    how = SETTINGS[settings]
    ours, theirs = twins(torch, lambda m: m.TransformerEncoderLayer(6, 2, 7, 0.0, **how))
    x = np.random.default_rng(0).standard_normal((2, 5, 6) if how.get("batch_first") else (5, 2, 6))
    found = []
    for o, module in ((chainrule, ours), (torch, theirs)):
        masks = {"src_mask": masks_for(o, 5, mask)}
        if padded:
            kind = PADDING if mask in ("none", "booleans") else np.where(PADDING, -np.inf, 0.2)
            masks["src_key_padding_mask"] = o.tensor(kind)
        found.append(outcome(o, module, [x], masks))
    compare(*found)


@pytest.mark.parity
@pytest.mark.parametrize("settings", SETTINGS)
def test_decoder_layer(torch, settings):
    how = SETTINGS[settings]
    ours, theirs = twins(torch, lambda m: m.TransformerDecoderLayer(6, 2, 7, 0.0, **how))
    rng = np.random.default_rng(0)
    shapes = [(2, 3, 6), (2, 5, 6)] if how.get("batch_first") else [(3, 2, 6), (5, 2, 6)]
    inputs = [rng.standard_normal(s) for s in shapes]
    compare(*[
        outcome(o, module, inputs, {
            "tgt_mask": masks_for(o, 3, "booleans"), "tgt_is_causal": True,
            "memory_mask": o.tensor(np.triu(np.ones((3, 5), bool), 3)),
            "tgt_key_padding_mask": o.tensor(np.array([[0, 0, 1], [0, 0, 0]], bool)),
            "memory_key_padding_mask": o.tensor(PADDING),
        })
        for o, module in ((chainrule, ours), (torch, theirs))
    ])  # fmt: skip


@pytest.mark.parity
def test_encoder_of_one_sequence(torch):
    def build(m):
        layer = m.TransformerEncoderLayer(6, 3, 4, 0.0, m.SiLU())
        return m.TransformerEncoder(layer, 2, m.LayerNorm(6), enable_nested_tensor=False)

    ours, theirs = twins(torch, build)
    x = np.random.default_rng(0).standard_normal((4, 6))
    compare(*[
        outcome(o, module, [x], {"mask": masks_for(o, 4, "numbers"), "is_causal": None})
        for o, module in ((chainrule, ours), (torch, theirs))
    ])  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("batch_first", [False, True])
def test_transformer(torch, batch_first):
    ours, theirs = twins(
        torch, lambda m: m.Transformer(6, 2, 2, 1, 5, 0.0, batch_first=batch_first)
    )
    rng = np.random.default_rng(0)
    shapes = [(2, 5, 6), (2, 3, 6)] if batch_first else [(5, 2, 6), (3, 2, 6)]
    inputs = [rng.standard_normal(s) for s in shapes]
    found = []
    for o, module in ((chainrule, ours), (torch, theirs)):
        causal = module.generate_square_subsequent_mask(3).double()
        masks = {"tgt_mask": causal, "src_key_padding_mask": o.tensor(PADDING)}
        found.append([np.asarray(causal), *outcome(o, module, inputs, masks)])
    compare(*found)


@pytest.mark.parity
def test_state_names_as_pytorchs(torch):
    for build in (
        lambda m: m.Transformer(4, 2, 1, 2, 3),
        lambda m: m.TransformerDecoder(m.TransformerDecoderLayer(4, 1, 3), 2, m.LayerNorm(4)),
    ):
        assert list(build(nn).state_dict()) == list(build(torch.nn).state_dict())
        assert repr(build(nn)) == repr(build(torch.nn))


def test_evaluation_is_training_without_dropout():
    x = chainrule.randn(2, 5, 8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2)
    assert not np.allclose(encoder(x).detach().array, encoder(x).detach().array)
    evaluated = encoder.eval()(x).detach().array
    for module in encoder.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    np.testing.assert_array_equal(encoder(x).detach().array, evaluated)


def test_a_causal_encoder_does_not_look_ahead():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    x = chainrule.randn(1, 6, 4)
    y = encoder(x, mask, is_causal=True)
    x[:, 4:] = 0
    z = encoder(x, mask, is_causal=True)
    np.testing.assert_array_equal(y[:, :4].detach().array, z[:, :4].detach().array)
    assert not np.allclose(y[:, 4:].detach().array, z[:, 4:].detach().array)


def test_copies_begin_alike_and_are_trained_apart():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = (layer.linear1.weight for layer in encoder.layers)
    np.testing.assert_array_equal(first.array, second.array)
    nn.init.zeros_(first)
    assert second.any()


def test_errors():
    with pytest.raises(ConfigError, match=r'activation is "relu", "gelu" or a function'):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")
    net = nn.Transformer(4, 2, 1, 1, 4)
    for src, tgt in (((3, 2, 4), (3, 1, 4)), ((3, 2, 4), (3, 2, 5)), ((3, 4), (3, 1, 4))):
        with pytest.raises(ShapeError, match="src and tgt need d_model 4 features"):
            net(chainrule.ones(src), chainrule.ones(tgt))
