"""Attention."""

from __future__ import annotations

import numpy as np

import chainrule as cr

from ..case import case, normal

# fmt: off

MASKED = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)  # the second sees nothing


def with_mask(shapes, mask):
    return lambda rng: (*normal(*shapes)(rng), mask)


case("scaled_dot_product_attention", "matrices", normal((3, 5), (4, 5), (4, 2)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v))
case("scaled_dot_product_attention", "heads, scale",
     normal((2, 3, 3, 2), (2, 3, 4, 2), (2, 3, 4, 1)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v, scale=0.3))
case("scaled_dot_product_attention", "batch broadcast",
     normal((2, 1, 3, 2), (1, 3, 4, 2), (1, 3, 4, 2)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v))
case("scaled_dot_product_attention", "itself", normal((2, 4, 3)),
     lambda o, x: o.scaled_dot_product_attention(x, x, x))
for _label, _queries in {"fewer queries": 2, "as many": 4, "more queries": 6}.items():
    case("scaled_dot_product_attention", f"causal, {_label}",
         normal((2, _queries, 3), (2, 4, 3), (2, 4, 2)),
         lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v, is_causal=True))
case("scaled_dot_product_attention", "booleans",
     with_mask([(2, 3, 5), (2, 4, 5), (2, 4, 2)], MASKED),
     lambda o, q, k, v, m: o.scaled_dot_product_attention(q, k, v, m))
case("scaled_dot_product_attention", "booleans of each",
     with_mask([(2, 1, 3, 5), (2, 1, 4, 5), (2, 1, 4, 2)], np.stack([MASKED, ~MASKED])[:, None]),
     lambda o, q, k, v, m: o.scaled_dot_product_attention(q, k, v, attn_mask=m))
case("scaled_dot_product_attention", "numbers", normal((2, 3, 5), (2, 4, 5), (2, 4, 2), (3, 4)),
     lambda o, q, k, v, m: o.scaled_dot_product_attention(q, k, v, m))
case("scaled_dot_product_attention", "a number for each key",
     normal((2, 3, 5), (2, 4, 5), (2, 4, 2), (2, 1, 4)),
     lambda o, q, k, v, m: o.scaled_dot_product_attention(q, k, v, m))
case("scaled_dot_product_attention", "groups of heads",
     normal((1, 4, 3, 2), (1, 2, 4, 2), (1, 2, 4, 2)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v, enable_gqa=True))
case("scaled_dot_product_attention", "no keys", normal((2, 3, 2), (2, 0, 2), (2, 0, 4)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v))
case("scaled_dot_product_attention", "no queries", normal((2, 0, 2), (2, 3, 2), (2, 3, 4)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v))
case("scaled_dot_product_attention", "one key", normal((1, 3, 2), (1, 1, 2), (1, 1, 2)),
     lambda o, q, k, v: o.scaled_dot_product_attention(q, k, v))


def _dropped(o, q, k, v):
    cr.manual_seed(4)
    return o.scaled_dot_product_attention(q, k, v, dropout_p=0.4)


case("scaled_dot_product_attention", "dropout", normal((2, 3, 5), (2, 4, 5), (2, 4, 2)), _dropped,
     twin=False)

case("masked_softmax", "all", normal((2, 3)), lambda o, x: o.masked_softmax(x, None), twin=False)
case("masked_softmax", "some", with_mask([(2, 3, 4)], MASKED),
     lambda o, x, m: o.masked_softmax(x, np.asarray(m)), twin=False)
