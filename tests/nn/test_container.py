"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from collections import OrderedDict

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, DTypeError


def sequence(cls=nn.Sequential):
    modules = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    return cls(*modules) if cls is nn.Sequential else cls(modules)


def test_sequential_applies_in_order():
    net = sequence()
    x = cr.randn(4, 2)
    assert net(x).tolist() == net[2](net[1](net[0](x))).tolist()


def test_sequential_takes_names_from_a_mapping():
    net = nn.Sequential(OrderedDict(fc=nn.Linear(2, 2), act=nn.ReLU()))
    assert list(net.state_dict()) == ["fc.weight", "fc.bias"]
    assert isinstance(net.act, nn.ReLU) and isinstance(net[1], nn.ReLU)
    assert list(net[1:]._modules) == ["act"]


@pytest.mark.parametrize("cls", [nn.Sequential, nn.ModuleList])
def test_list_behaviour(cls):
    net = sequence(cls)
    first, relu, last = net
    assert len(net) == 3 and net[-1] is last and list(net) == [first, relu, last]
    assert isinstance(net[:2], cls) and list(net[:2]) == [first, relu]
    net[1] = nn.Tanh()
    assert list(net._modules) == ["0", "1", "2"] and isinstance(net[1], nn.Tanh)
    del net[1]
    assert list(net) == [first, last] and list(net._modules) == ["0", "1"]
    net.insert(1, relu).append(nn.Identity()).extend([nn.Tanh()])
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear", "Identity", "Tanh"]
    assert list(net._modules) == ["0", "1", "2", "3", "4"]
    with pytest.raises(IndexError, match=r"index 9 is out of range; it holds 5"):
        net[9]


def test_containers_hold_modules_only():
    with pytest.raises(DTypeError, match=r"'0' must be a Module or None, got int"):
        nn.Sequential(3)


def test_slice_of_a_module_list_is_numbered_anew_and_of_a_sequential_is_not():
    assert list(sequence(nn.ModuleList)[1:].state_dict()) == ["1.weight", "1.bias"]
    assert list(sequence()[1:].state_dict()) == ["2.weight", "2.bias"]  # as in PyTorch


def test_module_dict():
    net = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False)})
    net["b"] = nn.ReLU()
    net.update([("c", nn.Tanh())])
    assert list(net) == list(net.keys()) == ["a", "b", "c"] and "b" in net and len(net) == 3
    assert [type(m).__name__ for m in net.values()] == ["Linear", "ReLU", "Tanh"]
    del net["b"]
    assert [k for k, _ in net.items()] == ["a", "c"]
    assert list(net.state_dict()) == ["a.weight"]


def test_parameter_list():
    values = nn.ParameterList([cr.ones(2), nn.Parameter(cr.zeros(3))])
    values.append(cr.ones(1))
    assert len(values) == 3 and all(isinstance(p, nn.Parameter) for p in values)
    assert list(values.state_dict()) == ["0", "1", "2"]
    values[0] = cr.zeros(4)
    assert values[0].shape == (4,) and len(values[1:]) == 2
    assert "(1): Parameter containing: [float32 of size 3]" in repr(values)
    with pytest.raises(ConfigError, match=r"expects tensors, got int"):
        values.append(3)


def test_parameter_dict():
    values = nn.ParameterDict({"scale": cr.ones(2), "shift": nn.Parameter(cr.zeros(3))})
    assert [type(p) for p in values.values()] == [nn.Parameter] * 2
    assert "(scale): Parameter containing: [float32 of size 2]" in repr(values)
    with pytest.raises(ConfigError, match=r"ParameterDict: expects tensors, got str"):
        values["shift"] = "3"
    with pytest.raises(ConfigError, match=r"name is a non-empty string without '\.'"):
        values["a.b"] = cr.ones(1)


def test_a_sequential_is_repeated_at_least_once():
    with pytest.raises(ConfigError, match=r"once or more, not 0 times"):
        sequence() * 0
