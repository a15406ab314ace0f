"""Modules wrapped for several GPUs work as PyTorch's do where there is none."""

import pytest

import chainrule as cr
import chainrule.distributed as dist
import chainrule.nn.parallel
from chainrule import nn
from chainrule.errors import ConfigError


def test_a_wrapped_module_is_called_as_it_is():
    net = nn.DataParallel(nn.Linear(3, 2))
    x = cr.randn(4, 3)
    assert cr.equal(net(x), net.module(x))
    assert list(net.state_dict()) == ["module.weight", "module.bias"]
    assert cr.equal(nn.parallel.data_parallel(net.module, x), net(x))
    with pytest.raises(ConfigError, match=r"there are no GPUs .* got device_ids \[0, 1\]"):
        nn.DataParallel(nn.Linear(3, 2), device_ids=[0, 1])


def test_keyword_arguments_reach_the_module():
    net = nn.Bilinear(2, 3, 4)
    a, b = cr.randn(5, 2), cr.randn(5, 3)
    assert cr.equal(nn.DataParallel(net)(a, input2=b), net(a, b))
    assert cr.equal(nn.parallel.data_parallel(net, (a,), module_kwargs={"input2": b}), net(a, b))


def test_several_processes_are_not_to_be_had():
    assert not dist.is_available() and not dist.is_initialized()
    with pytest.raises(AttributeError, match=r"distributed has no init_process_group: one process"):
        dist.init_process_group("gloo")
    with pytest.raises(AttributeError, match=r"parallel has no DistributedDataParallel: one proc"):
        nn.parallel.DistributedDataParallel(nn.Linear(3, 2))
