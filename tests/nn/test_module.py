"""Module: registering, looking around, hooks, saving and loading, printing."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import CheckpointError, ConfigError, DTypeError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(cr.ones(1))
        self.register_buffer("mean", cr.zeros(3))
        self.register_buffer("cache", cr.zeros(2), persistent=False)

    def forward(self, x):
        return self.head(self.body(x - self.mean)) * self.scale


KEYS = [
    "scale",
    "mean",
    "body.0.weight",
    "body.0.bias",
    "body.2.weight",
    "body.2.bias",
    "body.2.running_mean",
    "body.2.running_var",
    "body.2.num_batches_tracked",
    "head.weight",
]


def test_state_dict_names_parameters_then_persistent_buffers_then_what_is_below():
    assert list(Net().state_dict()) == KEYS
    assert "net.body.0.weight" in Net().state_dict(prefix="net.")


def test_state_dict_shares_memory_and_leaves_the_graph():
    net = Net()
    state = net.state_dict()
    assert not state["scale"].requires_grad
    state["scale"].array[...] = 5
    assert net.scale.item() == 5
    assert net.state_dict(keep_vars=True)["scale"] is net.scale


def test_names_of_parameters_buffers_and_modules():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias", "head.weight",
    ]  # fmt: skip
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_buffers()][:3] == ["mean", "cache", "body.2.running_mean"]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert net.get_submodule("body.2") is net.body[2]
    assert net.get_parameter("body.0.bias") is net.body[0].bias
    assert net.get_buffer("body.2.running_var") is net.body[2].running_var
    with pytest.raises(AttributeError, match=r"no sub-module 'body\.9': Sequential has 0, 1, 2"):
        net.get_submodule("body.9")
    with pytest.raises(AttributeError, match=r"no parameter 'head\.bias'"):
        net.get_parameter("head.bias")


def test_a_shared_parameter_is_listed_once_and_saved_under_both_names():
    net = nn.Module()
    net.a, net.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    net.b.weight = net.a.weight
    assert [n for n, _ in net.named_parameters()] == ["a.weight"]
    both = [n for n, _ in net.named_parameters(remove_duplicate=False)]
    assert both == list(net.state_dict()) == ["a.weight", "b.weight"]
    net.c = net.a
    assert [n for n, _ in net.named_modules()] == ["", "a", "b"]
    assert len(list(net.named_modules(remove_duplicate=False))) == 4


def test_attributes_are_registered_replaced_and_deleted():
    net = Net()
    net.mean = cr.ones(3)  # a tensor assigned to a buffer's name stays a buffer
    assert dict(net.named_buffers())["mean"].tolist() == [1, 1, 1]
    net.head = None
    assert "head.weight" not in net.state_dict()
    net.scale = nn.Linear(1, 1)  # another kind takes the name over
    assert "scale.weight" in net.state_dict() and "scale" not in net.state_dict()
    del net.scale
    assert not hasattr(net, "scale")
    net.offset = nn.Buffer(cr.zeros(1), persistent=False)
    assert "offset" in dict(net.named_buffers()) and "offset" not in net.state_dict()
    net.plain = 3
    net.plain = nn.Parameter(cr.ones(1))
    assert "plain" in net.state_dict() and "plain" in dir(net)


def test_wrong_registrations_are_explained():
    net = Net()
    with pytest.raises(DTypeError, match=r"Net\.scale holds a Parameter; cannot assign a Tensor"):
        net.scale = cr.ones(1)
    with pytest.raises(DTypeError, match=r"Net\.mean holds a Tensor; cannot assign a int"):
        net.mean = 3
    with pytest.raises(DTypeError, match=r"Net\.head holds a Module"):
        net.head = 3
    with pytest.raises(DTypeError, match=r"must be a Parameter or None, got Tensor; wrap it"):
        net.register_parameter("w", cr.ones(1))
    with pytest.raises(DTypeError, match=r"'b' must be a Tensor or None, got list"):
        net.register_buffer("b", [1])
    with pytest.raises(ConfigError, match=r"'a\.b' cannot name"):
        net.add_module("a.b", nn.ReLU())
    with pytest.raises(AttributeError, match=r"'Net' object has no attribute 'nothing'"):
        _ = net.nothing


def test_forgetting_super_init_is_explained():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\)"):
        Forgetful()


def test_parameters_take_marks():
    layer = nn.Linear(2, 3)
    layer.bias.no_weight_decay = True
    layer.weight.seen = layer.weight.data.clone()
    marked = [name for name, p in layer.named_parameters() if hasattr(p, "no_weight_decay")]
    assert marked == ["bias"] and layer.weight.seen.shape == (3, 2)
    assert not hasattr(copy.deepcopy(layer).bias, "no_weight_decay")


def test_plain_attributes_may_be_set_before_super_init():
    class Model(nn.Module):
        def __init__(self, classes):
            self.classes = classes
            super().__init__()
            self.head = nn.Linear(2, self.classes)

    model = Model(3)
    assert model.classes == 3
    assert list(model.state_dict()) == ["head.weight", "head.bias"]


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match=r"Module does not define forward"):
        nn.Module()(1)


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.training and net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())


def test_requires_grad_and_zero_grad_reach_every_parameter():
    net = Net()
    net(cr.randn(4, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.array == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(cr.randn(4, 3)).requires_grad


def test_apply_visits_children_first():
    seen = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "BatchNorm1d", "Sequential", "Linear", "Net"]


def test_conversion_keeps_the_parameter_and_its_gradient_and_spares_integers():
    net = Net()
    scale = net.scale
    net(cr.randn(4, 3)).sum().backward()
    assert net.double() is net and net.scale is scale
    assert scale.dtype == scale.grad.dtype == np.float64
    assert net.body[2].running_mean.dtype == np.float64
    assert net.body[2].num_batches_tracked.dtype == np.int64
    assert net(cr.randn(4, 3).double()).dtype == np.float64
    assert net.to("cpu").to(cr.device("cpu"), cr.float32).scale.dtype == np.float32
    with pytest.raises(DTypeError, match=r"expects a float dtype, got int64"):
        net.to(cr.int64)
    with pytest.raises(ConfigError, match=r"'cuda': chainrule computes on the CPU only"):
        net.to("cuda")


# -- hooks -------------------------------------------------------------------------------------


def test_hooks_see_and_replace_what_goes_in_and_out():
    net, seen = nn.ReLU(), []
    x = cr.tensor([1.0, -2.0])
    before = net.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    after = net.register_forward_hook(lambda m, args, y: seen.append((m, args[0].tolist())))
    assert net(x).tolist() == [2, 0] and seen == [(net, [2, -4])]
    before.remove()
    before.remove()
    with after:
        assert net(x).tolist() == [1, 0] and len(seen) == 2
    with net.register_forward_hook(lambda m, args, y: y + 5):
        assert net(x).tolist() == [6, 5] and len(seen) == 2
    assert net(x).tolist() == [1, 0]


# -- loading -----------------------------------------------------------------------------------


def test_loading_copies_values_from_tensors_and_arrays():
    source, target = Net(), Net()
    source(cr.randn(4, 3))
    arrays = {k: v.array.astype(np.float64) for k, v in source.state_dict().items()}
    result = target.load_state_dict(arrays)
    assert result == ([], [])
    for name, value in target.state_dict().items():
        assert value.dtype == source.state_dict()[name].dtype
        np.testing.assert_array_equal(value.array, source.state_dict()[name].array)
    assert target.body[2].num_batches_tracked.item() == 1
    target.scale.array[...] = 7
    assert source.scale.item() == 1


def test_loading_what_does_not_fit_lists_all_problems_and_changes_nothing():
    net = Net()
    before = {k: v.array.copy() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()}
    del state["scale"]
    state["extra"] = np.zeros(1)
    state["head.weight"] = np.zeros((5, 4))
    with pytest.raises(CheckpointError) as error:
        net.load_state_dict(state)
    lines = str(error.value).split("\n")
    assert lines == [
        "load_state_dict: the weights do not fit Net",
        "  missing 1: scale",
        "  unexpected 1: extra",
        "  wrong shape 1: head.weight (5, 4) for (2, 4)",
    ]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.array, before[name])


def test_loading_loosely_returns_what_did_not_match():
    net = Net()
    result = net.load_state_dict({"scale": [3.0], "extra": 0}, strict=False)
    assert net.scale.item() == 3
    assert result.missing_keys == [k for k in KEYS[1:] if "num_batches" not in k]
    assert result.unexpected_keys == ["extra"]
    with pytest.raises(CheckpointError, match=r"wrong shape 1: scale \(2,\) for \(1,\)"):
        net.load_state_dict({"scale": np.zeros(2)}, strict=False)
    with pytest.raises(CheckpointError, match=r"'scale' holds <U1, not numbers"):
        net.load_state_dict({"scale": ["a"]}, strict=False)


def test_a_long_list_of_problems_is_cut():
    net = nn.Sequential(*[nn.Linear(1, 1) for _ in range(9)])
    with pytest.raises(CheckpointError, match=r"missing 18: 0\.weight, .*3\.bias and 10 more"):
        net.load_state_dict({})


def test_loading_is_noticed_by_a_graph_that_saved_the_old_values():
    net = nn.Linear(2, 2)
    x = cr.ones(1, 2, requires_grad=True)
    y = net(x).sum()
    net.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(cr.errors.GraphError, match=r"changed in place"):
        y.backward()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_independent(again):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    twin = again(net)
    x = cr.randn(4, 2)
    np.testing.assert_array_equal(twin(x).detach().array, net(x).detach().array)
    assert isinstance(twin[0].weight, nn.Parameter) and twin[0].weight.requires_grad
    twin[0].weight.array[...] = 0
    assert net[0].weight.array.any()


# -- parameters and printing -------------------------------------------------------------------


def test_parameter_is_a_leaf_that_shares_memory():
    array = np.ones(2, np.float32)
    p = nn.Parameter(cr.from_numpy(array))
    assert isinstance(p, cr.Tensor) and p.is_leaf and p.requires_grad
    assert p.array is array
    assert not nn.Parameter(cr.ones(1), requires_grad=False).requires_grad
    assert type(p * 2) is cr.Tensor
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


def test_printed_form_is_a_tree():
    net = nn.Sequential(
        OrderedDict(body=nn.Sequential(nn.Linear(2, 3), nn.ReLU()), empty=nn.Sequential())
    )
    assert repr(net) == (
        "Sequential(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (empty): Sequential()\n"
        ")"
    )


# -- what people do with modules -------------------------------------------------------------------


class Frozen(nn.Module):
    """Batch norm that stays in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.bn = nn.BatchNorm2d(2)

    def train(self, mode=True):
        super().train(mode)
        self.bn.eval()
        return self


def test_train_respects_what_submodules_make_of_it():
    net = nn.Sequential(Frozen(), nn.ReLU())
    assert not net.eval()[0].conv.training
    assert net.train() is net and net[0].conv.training and not net[0].bn.training


def test_state_dict_into_a_dict_that_is_there():
    state = {"epoch": 3}
    assert nn.Linear(1, 1).state_dict(destination=state, prefix="fc.") is state
    assert list(state) == ["epoch", "fc.weight", "fc.bias"]


def test_loading_by_assignment_puts_the_values_themselves_in_place():
    net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    net[0].weight.requires_grad_(False)
    state = {k: v.detach().clone() for k, v in net.double().state_dict().items()}
    state["0.bias"] = nn.Parameter(state["0.bias"])
    net = net.float()
    net.load_state_dict(state, assign=True)
    assert net[0].bias is state["0.bias"] and net[0].weight.dtype == cr.float64
    assert not net[0].weight.requires_grad and net[1].weight.requires_grad
    assert isinstance(net[1].weight, nn.Parameter) and net[1].running_var is state["1.running_var"]
    state["0.weight"].fill_(7)
    assert net[0].weight.tolist() == [[7, 7]]  # the same memory


def test_old_checkpoints_count_no_batches():
    net = nn.Sequential(nn.BatchNorm2d(2))
    net[0].num_batches_tracked.fill_(5)
    state = net.state_dict()
    del state["0.num_batches_tracked"]
    assert net.load_state_dict(state).missing_keys == [] and net[0].num_batches_tracked == 5
    del state["0.weight"]
    with pytest.raises(CheckpointError, match=r"missing 1: 0\.weight$"):
        net.load_state_dict(state)


def test_conversion_by_type_and_like_a_tensor():
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    assert net.type(cr.float64) is net and net[0].weight.dtype == cr.float64
    assert net[1].num_batches_tracked.dtype == cr.int64
    net.to(cr.ones(1), non_blocking=True)
    assert net[0].weight.dtype == cr.float32
    net.to("cpu", dtype=cr.float64)
    assert net[1].running_mean.dtype == cr.float64


def test_setting_a_submodule():
    net = nn.Sequential(nn.Sequential(nn.ReLU()))
    net.set_submodule("0.0", nn.Tanh())
    net.set_submodule("0.1", nn.Identity())
    assert [type(m).__name__ for m in net[0]] == ["Tanh", "Identity"]
    with pytest.raises(AttributeError, match=r"no sub-module '0\.7'"):
        net.set_submodule("0.7", nn.ReLU(), strict=True)


def test_what_a_module_has_not_says_what_to_do():
    with pytest.raises(AttributeError, match=r"no attribute 'compile': nothing needs compiling"):
        nn.ReLU().compile()
    with pytest.raises(AttributeError, match=r"'ReLU' object has no attribute 'weights'$"):
        nn.ReLU().weights  # noqa: B018


def test_copies_are_apart():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        twin[0].weight.data.zero_()
        twin[1](cr.ones(2, 2, 1, 1))
    assert net[0].weight.abs().sum() > 0 and net[1].num_batches_tracked == 0


def test_load_state_dict_takes_a_mapping_and_shows_what_did_not_match():
    layer = nn.Linear(2, 2)
    with pytest.raises(
        DTypeError, match=r"load_state_dict: expects a dict of names and tensors.*list"
    ):
        layer.load_state_dict([1])
    assert repr(layer.load_state_dict(layer.state_dict())) == "<All keys matched successfully>"
    keys = layer.load_state_dict({"bias": cr.ones(2), "x": cr.ones(2)}, strict=False)
    assert repr(keys) == "_IncompatibleKeys(missing_keys=['weight'], unexpected_keys=['x'])"


def test_a_copied_model_has_no_gradients_but_a_copied_tensor_has():
    model = nn.Linear(2, 1)
    x = cr.ones(3, 2, requires_grad=True)
    model(x).sum().backward()
    twin = copy.deepcopy(model)
    assert all(p.grad is None and p.requires_grad for p in twin.parameters())
    assert cr.equal(twin.weight, model.weight) and model.weight.grad is not None
    assert cr.equal(copy.deepcopy(x).grad, x.grad)
