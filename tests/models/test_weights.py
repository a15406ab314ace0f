"""Weights from files, runs, folders and the package, into models."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

import chainrule as cr
from chainrule import models, nn
from chainrule.errors import CheckpointError, ConfigError
from chainrule.models import weights
from chainrule.models.weights import load_weights
from chainrule.training import Checkpoint, save_checkpoint


def arrays(model):
    return {name: tensor.array.copy() for name, tensor in model.state_dict().items()}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], name)


@pytest.fixture
def net():
    cr.manual_seed(3)
    return models.create("resnet20", num_classes=4)


@pytest.fixture
def run(net, tmp_path):
    """A run folder with a resumable checkpoint, whose optimizer's tensors are no weights."""
    folder = tmp_path / "run"
    folder.mkdir()
    checkpoint = Checkpoint(
        net, tuple("abcd"), (0.5,) * 3, (0.25,) * 3, (32, 32), 3,
        config={"data": "digits"}, state={"optimizer": {"momentum": cr.ones(3)}},
    )  # fmt: skip
    save_checkpoint(folder / "last.safetensors", checkpoint)
    return folder


def fresh(classes=4):
    cr.manual_seed(9)
    return models.create("resnet20", num_classes=classes)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {"state_dict": {"net": state, "best": 0.5}},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model": {f"_orig_mod.module.{k}": v for k, v in state.items()}},
        lambda state: {k: v for k, v in state.items() if "num_batches_tracked" not in k},
    ],
    ids=["state", "state_dict", "model", "nested", "DataParallel", "compiled", "without counts"],
)
def test_a_file_in_whatever_wrapping(wrap, net, tmp_path):
    cr.save(wrap(net.state_dict()), tmp_path / "net.pt")
    twin = fresh()
    done = load_weights(twin, tmp_path / "net.pt")
    same(arrays(net), arrays(twin))
    assert done.fresh == () and set(done.loaded) <= set(net.state_dict())
    assert done.weights.model is None and done.weights.classes is None


def test_a_model_whose_own_names_begin_with_module(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 1)

    a, b = Wrapped(), Wrapped()
    cr.save(a.state_dict(), tmp_path / "a.pt")
    load_weights(b, tmp_path / "a.pt")
    same(arrays(a), arrays(b))


def test_weights_of_a_part_that_is_not_there_are_left_out(tmp_path):
    class Net(nn.Module):
        def __init__(self, with_aux, bias=True):
            super().__init__()
            self.fc = nn.Linear(2, 1, bias=bias)
            self.aux = nn.Sequential(nn.Linear(2, 1)) if with_aux else None

    whole, part = Net(True), Net(False)
    cr.save(whole.state_dict(), tmp_path / "whole.pt")
    load_weights(part, tmp_path / "whole.pt")
    same(arrays(whole.fc), arrays(part.fc))
    cr.save(part.state_dict(), tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=r"missing 2: aux\.0\.weight, aux\.0\.bias$"):
        load_weights(whole, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=r"unexpected 1: fc\.bias$"):
        load_weights(Net(False, bias=False), tmp_path / "part.pt")


def test_half_precision_is_widened(net, tmp_path):
    save_file({k: v.astype(np.float16) for k, v in arrays(net).items()}, tmp_path / "half")
    twin = fresh()
    load_weights(twin, tmp_path / "half")
    assert {v.dtype for v in arrays(twin).values()} == {v.dtype for v in arrays(net).values()}
    np.testing.assert_allclose(twin.fc.weight.array, net.fc.weight.array, atol=1e-3)


def test_a_run_says_what_its_weights_are_of(net, run):
    done = load_weights(fresh(), str(run))
    found = done.weights
    assert found.model == net.config and found.classes == tuple("abcd")
    assert (found.mean, found.std, found.image_size) == ((0.5,) * 3, (0.25,) * 3, (32, 32))
    assert found.data == "digits" and not any("momentum" in name for name in found.state)
    same(arrays(net), arrays(weights.read(run / "last.safetensors").build()))


def test_a_new_head_is_left_as_it_is(net, run):
    for classes in (7, 4):  # of as many classes as before, but others
        twin = fresh(classes)
        before = arrays(twin)
        done = load_weights(twin, run, new_head=True)
        after = arrays(twin)
        assert done.fresh == ("fc.weight", "fc.bias")
        same({k: after[k] for k in done.fresh}, {k: before[k] for k in done.fresh})
        rest = set(after) - set(done.fresh)
        assert rest == set(done.loaded)
        same({k: after[k] for k in rest}, {k: v for k, v in arrays(net).items() if k in rest})


def test_what_does_not_fit_is_listed_at_once_and_changes_nothing(net, tmp_path):
    state = arrays(net)
    state["fc.weight"] = np.zeros((5, 64), np.float32)
    state["extra"] = state.pop("conv1.weight")
    save_file(state, tmp_path / "net.safetensors")
    twin = fresh()
    before = arrays(twin)
    with pytest.raises(CheckpointError) as error:
        load_weights(twin, tmp_path / "net.safetensors")
    assert str(error.value).splitlines()[0].endswith("net.safetensors do not fit resnet20")
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == [
        "missing 1: conv1.weight", "unexpected 1: extra",
        "wrong shape 1: fc.weight (5, 64) for (4, 64)",
    ]  # fmt: skip
    same(before, arrays(twin))


def test_numbers_that_are_not_finite_are_refused(net, tmp_path):
    state = arrays(net)
    state["conv1.weight"][0, 0] = np.nan
    state["conv1.weight"][1, 0, 0] = -np.inf
    state["bn1.running_var"][:] = np.inf
    twin = fresh()
    before = arrays(twin)
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError) as error:
        load_weights(twin, tmp_path / "net.safetensors")
    assert re.search(
        r"the weights in \S+net\.safetensors hold numbers that are not finite: "
        r"conv1\.weight \(9 NaN and 3 infinite of 432\), bn1\.running_var \(16 infinite of 16\); "
        r"if you want them all the same, model\.load_state_dict\(chainrule\.load",
        str(error.value),
    )
    same(before, arrays(twin))
    for name in state:
        state[name] = np.full_like(state[name], np.nan) if state[name].ndim else state[name]
    save_file(state, tmp_path / "net.safetensors")
    told = r"conv1\.weight \(432 NaN of 432\), bn1\.weight .*, bn1\.bias .* and \d\d more tensors;"
    with pytest.raises(CheckpointError, match=told):
        load_weights(twin, tmp_path / "net.safetensors")
    twin.load_state_dict(cr.load(tmp_path / "net.safetensors"))
    assert np.isnan(twin.fc.weight.array).all()


def test_a_head_that_is_left_out_may_hold_anything(net, tmp_path):
    state = arrays(net)
    state["fc.bias"][0] = np.inf
    save_file(state, tmp_path / "net.safetensors")
    assert "fc.bias" in load_weights(fresh(), tmp_path / "net.safetensors", new_head=True).fresh


def test_a_mask_may_be_infinite_where_the_models_own_is(tmp_path):
    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)
            self.register_buffer("mask", cr.full((3, 3), float("-inf")).triu(1))

    cr.save(Causal().state_dict(), tmp_path / "net.safetensors")
    net = Causal()
    assert "mask" in load_weights(net, tmp_path / "net.safetensors").loaded
    net.mask = cr.ones(3, 3)
    with pytest.raises(CheckpointError, match=r"mask \(3 infinite of 9\)"):
        load_weights(net, tmp_path / "net.safetensors")


def test_other_classes_alone_get_an_advice(run):
    with pytest.raises(CheckpointError, match=r"of a resnet20, do not fit resnet20\n(.*\n)+.*new_"):
        load_weights(fresh(5), run)


def test_sources_that_are_none(tmp_path, net):
    with pytest.raises(CheckpointError, match=r"nowhere is no file, no folder, and none of the w"):
        load_weights(net, "nowhere")
    with pytest.raises(CheckpointError, match=r"neither config\.json nor best\.safetensors"):
        load_weights(net, tmp_path)
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(CheckpointError, match=r"text\.pth is broken, or no safetensors file"):
        load_weights(net, tmp_path / "text.pth")
    cr.save({"epoch": 3, "history": [1]}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=r"holds no weights by name, but a dict of epoch, hi"):
        load_weights(net, tmp_path / "odd.pt")
    cr.save([1], tmp_path / "list.pt")
    with pytest.raises(
        CheckpointError, match=r"holds no weights by name, but a value of type list"
    ):
        load_weights(net, tmp_path / "list.pt")


FACTS = {
    "model": {"name": "resnet20", "num_classes": 4}, "classes": [*"abcd"], "mean": [0.5] * 3,
    "std": [0.25] * 3, "image_size": [32, 32],
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "the description in .* is damaged"),
        ([], "the description in .* is damaged"),
        ({**FACTS, "model": {"num_classes": 4}}, "the description in .* is damaged"),
        ({**FACTS, "classes": 3}, "the description in .* is damaged"),
        ({**FACTS, "config": []}, "the description in .* is damaged"),
        ({**FACTS, "model": {"name": "resnet21"}}, "describes cannot be built: unknown model"),
        (
            {**FACTS, "model": {"name": "mlp", "dropout": "a"}},
            "cannot be built: '<=' not supported",
        ),
        ({**FACTS, "model": {"name": "mlp", "width": 5}}, "cannot be built: .* no option 'width'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_description_that_makes_no_sense_is_refused(facts, message, net, tmp_path):
    file = tmp_path / "net.safetensors"
    save_file(arrays(net), file, {"chainrule": json.dumps(facts)})
    with pytest.raises(CheckpointError, match=message):
        weights.read(file).build()


# -- create ------------------------------------------------------------------------------------


def test_create_takes_the_settings_of_the_weights(run, tmp_path):
    assert models.create("resnet20", weights=run).config["num_classes"] == 4
    model = models.create("mlp", num_classes=3, in_channels=1, image_size=8, hidden=[5])
    models.save_pretrained(model, tmp_path / "mlp")
    again = models.create("mlp", weights=tmp_path / "mlp")
    assert again.config == model.config
    same(arrays(model), arrays(again))
    new = models.create("mlp", num_classes=6, weights=str(tmp_path / "mlp"))
    assert new.config == {**model.config, "num_classes": 6}
    np.testing.assert_array_equal(new[1].weight.array, model[1].weight.array)
    with pytest.raises(ConfigError, match=r"the weights \S+run are those of a resnet20, no lenet5"):
        models.create("lenet5", weights=run)


def test_create_counts_the_classes_of_bare_weights(net, tmp_path):
    cr.save({f"module.{k}": v for k, v in net.state_dict().items()}, tmp_path / "net.pth")
    again = models.create("resnet20", weights=tmp_path / "net.pth")
    same(arrays(net), arrays(again))
    assert (
        models.create("resnet20", num_classes=9, weights=tmp_path / "net.pth").fc.out_features == 9
    )
    with pytest.raises(CheckpointError, match=r"does not say which model it is of; models\.create"):
        weights.read(tmp_path / "net.pth").build()


# -- inside the package --------------------------------------------------------------------------


def test_the_package_has_weights_that_fit_their_models_and_know_their_classes():
    assert "lenet5.mnist" in models.pretrained_tags()
    for name in models.pretrained_tags():
        model, _, tag = name.partition(".")
        assert tag in models.pretrained_tags(model)
        net = models.create(model, weights=tag)
        known = net.pretrained
        assert len(known.classes) == net.config["num_classes"]
        assert len(known.mean) == len(known.std) == net.config["in_channels"]
        assert {t.dtype for t in net.parameters()} == {np.dtype(np.float32)}
        card = (weights.PACKAGE / name / "README.md").read_text(encoding="utf-8")
        assert "Test accuracy, mean of" in card and "/" + "work" not in card


def test_the_weights_in_the_package_are_small():
    files = list(weights.PACKAGE.rglob("*"))
    assert 200_000 < sum(f.stat().st_size for f in files if f.is_file()) < 1_500_000


def test_the_mnist_weights_read_digits():
    """Digits of another source (UCI's, 8 x 8, brought to 28 x 28) are mostly read."""
    from chainrule import data

    net = models.create("lenet5", weights="mnist").eval()
    held = data.load("digits", image_size=20, channels=1).test
    pixels = np.pad(held.images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    images = data.Normalize(net.pretrained.mean, net.pretrained.std)(pixels)
    with cr.no_grad():
        scores = net(cr.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
    assert (scores.array.argmax(1) == held.labels).mean() > 0.7


def test_tags_of_other_models_and_of_several(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"weights 'mnist' are not resnet20's, but lenet5\.mnist"):
        models.create("resnet20", weights="mnist")
    for name in ("lenet5.digits", "mlp.digits"):
        models.save_pretrained(models.create(name.partition(".")[0]), tmp_path / name)
    monkeypatch.setattr(weights, "PACKAGE", tmp_path)
    assert models.pretrained_tags() == ["lenet5.digits", "mlp.digits"]
    assert models.create("mlp", weights="digits").config["name"] == "mlp"
    assert models.from_pretrained("lenet5.digits").config["name"] == "lenet5"
    with pytest.raises(ConfigError, match=r"several models have them; lenet5\.digits or mlp\.digi"):
        models.from_pretrained("digits")


def test_a_folder_without_weights_is_no_tag(monkeypatch, tmp_path):
    (tmp_path / "resnet20.cifar10").mkdir()
    (tmp_path / "resnet20.cifar10" / "config.json").write_text(json.dumps({}))
    monkeypatch.setattr(weights, "PACKAGE", tmp_path)
    assert models.pretrained_tags() == []
