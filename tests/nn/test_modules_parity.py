"""chainrule.nn.modules has the files of torch.nn.modules, and in each what PyTorch has there."""

import importlib
import pkgutil

import pytest

from chainrule import nn

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

FILES = [m.name for m in pkgutil.iter_modules(torch.nn.modules.__path__)]


def names_in(file):
    """PyTorch's classes of a file, those that chainrule.nn has too."""
    theirs = importlib.import_module(f"torch.nn.modules.{file}")
    return [name for name in getattr(theirs, "__all__", ()) if hasattr(nn, name)]


@pytest.mark.parametrize("file", [f for f in FILES if names_in(f)])
def test_a_layer_is_where_pytorch_has_it(file):
    ours = importlib.import_module(f"chainrule.nn.modules.{file}")
    assert {n: getattr(ours, n, None) for n in names_in(file)} == {
        n: getattr(nn, n) for n in names_in(file)
    }


def test_bases_serve_to_derive_from_and_to_ask_for():
    from chainrule.nn.modules.instancenorm import _InstanceNorm
    from chainrule.nn.modules.loss import _Loss, _WeightedLoss
    from chainrule.nn.modules.pooling import _AdaptiveAvgPoolNd, _MaxPoolNd

    class MyLoss(_Loss):
        def forward(self, input, target):
            return (input - target).abs()

    assert MyLoss(reduction="sum").reduction == "sum"
    assert isinstance(nn.CrossEntropyLoss(), _WeightedLoss)
    assert not isinstance(nn.MSELoss(), _WeightedLoss)
    assert isinstance(nn.InstanceNorm2d(3), _InstanceNorm)
    assert isinstance(nn.MaxPool2d(2), _MaxPoolNd)
    assert isinstance(nn.AdaptiveAvgPool2d(1), _AdaptiveAvgPoolNd)


def test_types_of_sizes_have_pytorchs_names():
    from chainrule.nn import common_types

    theirs = importlib.import_module("torch.nn.common_types")
    names = [n for n in dir(theirs) if n.startswith(("_size", "_ratio", "_tensor", "_maybe"))]
    assert [n for n in names if not hasattr(common_types, n)] == []
    assert common_types._size_2_t == int | tuple[int, int]
