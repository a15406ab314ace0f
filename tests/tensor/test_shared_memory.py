"""Which results lie in the memory of their argument: those that do in PyTorch, and no others."""

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compared with PyTorch's")
pytestmark = pytest.mark.parity

RESULTS = {
    "repeat": lambda lib, x: x.repeat(1, 1),
    "repeat, new axes": lambda lib, x: x.repeat(2, 1, 1),
    "tile": lambda lib, x: x.tile(1),
    "repeat_interleave": lambda lib, x: x.repeat_interleave(1, 0),
    "repeat_interleave of one": lambda lib, x: x[:1].repeat_interleave(3, 0),
    "flip": lambda lib, x: x.flip(0),
    "flip nothing": lambda lib, x: x.flip(()),
    "roll": lambda lib, x: x.roll(3, 1),
    "rot90": lambda lib, x: lib.rot90(x),
    "rot90 by nothing": lambda lib, x: lib.rot90(x, 4),
    "diag": lambda lib, x: lib.diag(x),
    "diagonal": lambda lib, x: x.diagonal(),
    "tril": lambda lib, x: x.tril(5),
    "cat": lambda lib, x: lib.cat([x]),
    "stack": lambda lib, x: lib.stack([x]),
    "pad by nothing": lambda lib, x: lib.nn.functional.pad(x, (0, 0)),
    "pad by less": lambda lib, x: lib.nn.functional.pad(x, (-1, 0)),
    "interpolate to the same size": lambda lib, x: lib.nn.functional.interpolate(x[None], 3),
    "max_pool of one": lambda lib, x: lib.nn.functional.max_pool1d(x[None], 1),
    "pixel_shuffle": lambda lib, x: lib.pixel_shuffle(x[None], 1),
    "pixel_shuffle of one": lambda lib, x: lib.pixel_shuffle(x.view(1, 6, 1, 1)[:, :4], 2),
    "pixel_unshuffle": lambda lib, x: lib.pixel_unshuffle(x[None], 1),
    "channel_shuffle": lambda lib, x: lib.channel_shuffle(x[None, :, :, None], 1),
    "sum of one": lambda lib, x: x[:1].sum(0),
    "max of one": lambda lib, x: x[:1].max(0)[0],
    "to the same": lambda lib, x: x.to(lib.float32),
    "to a copy": lambda lib, x: x.to(lib.float32, copy=True),
    "contiguous": lambda lib, x: x.contiguous(),
    "reshape": lambda lib, x: x.reshape(6),
    "flatten": lambda lib, x: x.flatten(),
    "expand": lambda lib, x: x.expand(1, 2, 3),
    "expand_as": lambda lib, x: x.expand_as(x),
    "broadcast_tensors": lambda lib, x: lib.broadcast_tensors(x, x)[0],
    "slice": lambda lib, x: x[:, ::2],
    "integers": lambda lib, x: x[[0, 1]],
    "mask": lambda lib, x: x[x > 0],
    "einsum of an axis turned": lambda lib, x: lib.einsum("ij->ji", x),
    "Variable": lambda lib, x: lib.autograd.Variable(x),
    "Tensor of a tensor": lambda lib, x: lib.Tensor(x),
    "tensor of an array": lambda lib, x: lib.tensor(x.numpy()),
    "from_numpy": lambda lib, x: lib.from_numpy(x.numpy()),
    "dropout of nothing": lambda lib, x: lib.nn.functional.dropout(x, 0.5, False),
}


@pytest.mark.parametrize("name", RESULTS)
def test_changing_a_result_changes_what_it_changes_in_pytorch(name):
    after = []
    for lib in (cr, torch):
        x = lib.arange(1.0, 7.0).reshape(2, 3).clone()
        RESULTS[name](lib, x).mul_(10)
        after.append(x.numpy())
    np.testing.assert_array_equal(*after)


def test_what_is_repeated_takes_no_changes():
    with pytest.raises(RuntimeError, match="this memory is read-only"):
        cr.ones(1, 3).expand(2, 3).mul_(2)
