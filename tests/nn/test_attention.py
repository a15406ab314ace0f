"""Attention beside PyTorch's: values, weights, gradients, names, errors."""

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import ConfigError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
NO_KEYS = np.array([[0, -np.inf, 0, 1], [-np.inf] * 4, [0.5, 0, 0, 0]])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")


def attended(o, shapes, mask, settings):
    rng = np.random.default_rng(1)
    inputs = [o.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]
    mask = None if mask is None else o.tensor(mask)
    y = o.nn.functional.scaled_dot_product_attention(*inputs, mask, **settings)
    (y * o.tensor(rng.standard_normal(tuple(y.shape)))).sum().backward()
    return [y.detach(), *[t.grad for t in inputs]]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("shapes", "mask", "settings"),
    [
        (((3, 5), (4, 5), (4, 2)), None, {}),
        (((2, 1, 3, 5), (2, 6, 4, 5), (2, 6, 4, 2)), None, {"scale": 0.3}),
        (((2, 3, 5), (2, 4, 5), (2, 4, 2)), NO_KEYS, {}),
        (((2, 3, 5), (2, 4, 5), (2, 4, 2)), NO_KEYS > -1, {}),
        (((3, 5), (4, 5), (4, 2)), None, {"is_causal": True}),
        (((1, 6, 3, 5), (1, 2, 4, 5), (1, 2, 4, 5)), None, {"enable_gqa": True}),
    ],
)
def test_scaled_dot_product_attention(torch, shapes, mask, settings):
    ours, theirs = (attended(o, shapes, mask, settings) for o in (chainrule, torch))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_dropout_of_the_weights():
    x = chainrule.ones(1, 200, 1)
    y = nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)
    assert y.std() > 0 and y.mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_mask_beside_is_causal_forbids_too(kind):
    rng = np.random.default_rng(0)
    q, k, v = (chainrule.from_numpy(rng.standard_normal((2, 4, 3))) for _ in range(3))
    allowed = rng.random((4, 4)) > 0.4
    both = allowed & np.tri(4, dtype=bool)
    mask = allowed if kind == "bool" else np.where(allowed, 0.0, -np.inf)
    attend = nn.functional.scaled_dot_product_attention
    np.testing.assert_array_equal(
        attend(q, k, v, chainrule.from_numpy(mask), is_causal=True).array,
        attend(q, k, v, chainrule.from_numpy(both)).array,
    )


LAYERS = [
    ({}, {}),
    ({"batch_first": True, "bias": False}, {"average_attn_weights": False}),
    ({"kdim": 3, "vdim": 5}, {"need_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, {"attn_mask": "float"}),
    ({"batch_first": True}, {"attn_mask": "bool", "key_padding_mask": "bool"}),
    ({}, {"attn_mask": "heads", "key_padding_mask": "float", "need_weights": False}),
]
MASKS = {
    "float": RNG.standard_normal((3, 4)),
    "bool": np.triu(np.ones((3, 4), bool), 2),
    "heads": RNG.standard_normal((4, 3, 4)),
}
PADDING = {
    "float": RNG.standard_normal((2, 4)),
    "bool": np.array([[0, 0, 0, 1], [0, 0, 1, 1]], bool),
}


def layer_outcome(o, layer, settings, batched):
    rng = np.random.default_rng(2)
    arguments = []
    for length, size in ((3, layer.embed_dim), (4, layer.kdim), (4, layer.vdim)):
        shape = (2, length, size) if layer.batch_first else (length, 2, size)
        shape = shape if batched else (length, size)
        arguments.append(o.tensor(rng.standard_normal(shape), requires_grad=True))
    masks = {}
    for name, table in (("attn_mask", MASKS), ("key_padding_mask", PADDING)):
        if name in settings:
            mask = table[settings[name]]
            masks[name] = o.tensor(mask if batched or name == "attn_mask" else mask[0])
    out, weights = layer(*arguments, **(settings | masks))
    loss = (out * o.tensor(rng.standard_normal(tuple(out.shape)))).sum()
    (loss if weights is None else loss + (weights**2).sum()).backward()
    gradients = [t.grad for t in (*arguments, *layer.parameters())]
    return [out.detach(), *([] if weights is None else [weights.detach()]), *gradients]


@pytest.mark.parity
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(("made", "called"), LAYERS)
def test_multihead_attention(torch, made, called, batched):
    if not batched and called.get("attn_mask") == "heads":
        pytest.skip("a mask for each image of a batch")
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(6, 2, dtype=torch.float64, **made)
    ours = nn.MultiheadAttention(6, 2, dtype=chainrule.float64, **made)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        for p in theirs.parameters():
            p += 0.1 * torch.randn(p.shape)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for a, b in zip(
        layer_outcome(chainrule, ours, called, batched),
        layer_outcome(torch, theirs, called, batched),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("need_weights", [True, False])
def test_static_keys_and_values(torch, need_weights):
    rng = np.random.default_rng(0)
    shapes = [(3, 2, 6), (4, 2, 6), (4, 2, 6), (18, 6), (18,), (6, 6), (6,), (4, 5, 3), (4, 5, 3)]
    arrays = [rng.standard_normal(s) for s in shapes]

    def outcome(o):
        q, k, v, w, b, out, c, *static = (o.tensor(a, requires_grad=True) for a in arrays)
        y, weights = o.nn.functional.multi_head_attention_forward(
            q, k, v, 6, 2, w, b, None, None, True, 0.5, out, c, training=False,
            need_weights=need_weights, static_k=static[0], static_v=static[1],
        )  # fmt: skip
        assert (weights is not None) is need_weights
        y.square().sum().backward()
        return [y.detach(), q.grad, w.grad, *(t.grad for t in static)]

    for a, b in zip(outcome(chainrule), outcome(torch), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "settings", "error", "message"),
    [
        (((3, 5), (4, 6), (4, 2)), {}, ShapeError, "query and key need the same last axis"),
        (((3, 5), (4, 5), (3, 2)), {}, ShapeError, "key and value as many rows"),
        (((5,), (4, 5), (4, 2)), {}, ShapeError, "query and key need"),
        (((3, 5), (4, 5), (4, 2)), {"enable_gqa": True}, ShapeError, "enable_gqa needs heads"),
        (((3, 2, 5), (2, 4, 5), (2, 4, 5)), {"enable_gqa": True}, ShapeError, "that divide those"),
        (((3, 5), (4, 5), (4, 2)), {"attn_mask": chainrule.ones(4, 3)}, ShapeError,
         r"attn_mask \(4, 3\) does not broadcast to the scores \(3, 4\)"),
        (((3, 5), (4, 5), (4, 2)), {"attn_mask": chainrule.ones(2, 3, 4)}, ShapeError,
         "attn_mask .* does not broadcast"),
        (((3, 5), (4, 5), (4, 2)), {"attn_mask": chainrule.tensor([1, 0, 1, 1])}, DTypeError,
         "attn_mask holds booleans or floats, got int64"),
    ],
)  # fmt: skip
def test_errors_of_the_function(shapes, settings, error, message):
    with pytest.raises(error, match=message):
        nn.functional.scaled_dot_product_attention(*map(chainrule.ones, shapes), **settings)


def test_dtypes_must_agree():
    x = chainrule.ones(2, 3)
    with pytest.raises(DTypeError, match="dtypes of query, key, value differ: float32, float64"):
        nn.functional.scaled_dot_product_attention(x, x.double(), x)


def test_errors():
    with pytest.raises(ConfigError, match=r"num_heads 4 must divide embed_dim 6"):
        nn.MultiheadAttention(6, 4)
    x = chainrule.ones(2, 1, 6)
    layer = nn.MultiheadAttention(6, 2)
    with pytest.raises(ConfigError, match=r"is_causal says of attn_mask what it is"):
        layer(x, x, x, is_causal=True)
    for mask in (chainrule.ones(2), chainrule.ones(2, 3), chainrule.ones(1, 2, 2)):
        with pytest.raises(ShapeError, match=r"attn_mask is \(2, 2\) or \(2, 2, 2\), got"):
            layer(x, x, x, attn_mask=mask)
    with pytest.raises(ShapeError, match=r"key_padding_mask is \(1, 2\), got \(2, 1\)"):
        layer(x, x, x, chainrule.ones(2, 1))
    with pytest.raises(DTypeError, match="key_padding_mask holds booleans or floats, got int64"):
        layer(x, x, x, chainrule.tensor([[0, 1]]))
    with pytest.raises(ShapeError, match="query needs 6 channels"):
        layer(chainrule.ones(2, 1, 5), x, x)
    with pytest.raises(ShapeError, match="all one batch size"):
        layer(chainrule.ones(2, 3, 6), x, x)


def test_numbers_of_a_mask_take_the_dtype_of_the_scores():
    x = chainrule.randn(3, 1, 6)
    mask = chainrule.triu(chainrule.full((3, 3), -np.inf, dtype=chainrule.float64), 1)
    layer = nn.MultiheadAttention(6, 2)
    assert layer(x, x, x, attn_mask=mask, need_weights=False)[0].dtype == np.float32
    found = nn.functional.scaled_dot_product_attention(x, x, x, mask[:1, :1])
    assert found.dtype == np.float32


@pytest.mark.parametrize("need_weights", [True, False])
def test_nothing_to_attend(need_weights):
    layer = nn.MultiheadAttention(4, 2)
    for queries, images, keys in ((0, 2, 3), (2, 0, 3), (0, 0, 3)):
        shapes = [(queries, images, 4), (keys, images, 4), (keys, images, 4)]
        out, weights = layer(*map(chainrule.ones, shapes), need_weights=need_weights)
        assert out.shape == shapes[0]
        assert weights is None or weights.shape == (images, queries, keys)


def test_initial_values_and_dropout():
    layer = nn.MultiheadAttention(6, 2, dropout=0.5)
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any()
    x = chainrule.randn(50, 1, 6)
    assert (layer(x, x, x)[1] == 0).any() and not (layer.eval()(x, x, x)[1] == 0).any()
