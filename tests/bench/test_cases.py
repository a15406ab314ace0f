"""What is measured: the models' layers, the kernels on them, and that both sides do the same."""

import numpy as np
import pytest

from chainrule import kernels, nn
from chainrule.bench import footprint, layers, memory, overhead, peak, steps
from chainrule.bench import run as bench_run
from chainrule.bench.case import Settings
from chainrule.bench.kernel_cases import operations, sides
from chainrule.bench.kernel_steps import BESIDE_MODELS, KERNELS
from chainrule.bench.layers import Layer, layers_of
from chainrule.bench.libraries import OURS, SIDES, library, why_torch_is_absent
from chainrule.bench.models import MODELS
from chainrule.bench.tiers import compare_tiers
from chainrule.errors import ConfigError

needs_torch = pytest.mark.skipif(
    why_torch_is_absent() is not None, reason="needs the extra: pip install 'chainrule[parity]'"
)
needs_native = pytest.mark.skipif(kernels.tier() != "native", reason="native kernels are absent")
QUICK = Settings(threads=1, rounds=1, quick=True)

SMALL = {
    "conv2d": Layer("conv2d", (2, 3, 9, 9), 4, (3, 3), (2, 2), (1, 1), True),
    "linear": Layer("linear", (5, 7), 3, bias=True),
    "batch_norm": Layer("batch_norm", (2, 3, 4, 4)),
    "batch_norm+relu": Layer("batch_norm+relu", (2, 3, 4, 4)),
    "batch_norm+add+relu": Layer("batch_norm+add+relu", (2, 3, 4, 4)),
    "max_pool2d": Layer("max_pool2d", (2, 3, 9, 9), 0, (3, 3), (2, 2), (1, 1)),
    "avg_pool2d": Layer("avg_pool2d", (2, 3, 5, 5)),
    "relu": Layer("relu", (2, 3, 4, 4)),
    "add": Layer("add", (2, 3, 4, 4)),
    "loss": Layer("loss", (6, 5)),
}

SMALL_BESIDE = {
    "activation": Layer("activation", (2, 3, 4, 4)),
    "sampling": Layer("sampling", (2, 3, 5, 4)),
}
FAMILIES = KERNELS | {layer.kind: family for layer, family in BESIDE_MODELS.items()}


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_the_peer():
    """Its threads wait in a loop, which takes minutes where other tests run beside."""
    if why_torch_is_absent():
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def numbers(result):
    """The first array that a step returns."""
    return np.asarray(result[0] if isinstance(result, tuple | list) else result)


# -- the cases -----------------------------------------------------------------------------------


def test_names_are_unique_and_cover_what_is_promised():
    names = [case.name for case in bench_run.all_cases()]
    assert len(set(names)) == len(names)
    for model in MODELS:
        assert f"training/{model}" in names
        assert f"memory/{model}" in names or not memory.RESET.exists()
        assert {f"inference/{model}-1", f"inference/{model}-128"} <= set(names)
        assert {f"kernels/sgd_step-{model}", f"kernels/adam_step-{model}"} <= set(names)
    assert {"kernels/rmsprop_step-resnet20", "kernels/nadam_step-resnet20"} <= set(names)
    assert "kernels/conv2d_weight_grad-8x512x7x7-512-k3s1p1" in names
    assert "kernels/conv2d_input_grad-8x3x224x224-64-k7s2p3" not in names  # images need none
    assert len([n for n in names if n.startswith("kernels/conv2d-")]) == 27


def test_selection():
    def names(*patterns, quick=False):
        return [case.name for case in bench_run.select(patterns, quick)]

    assert names("training/resnet20") == ["training/resnet20"]  # and not -avx2
    assert names("*k7s2p3") == [
        "kernels/conv2d-8x3x224x224-64-k7s2p3",
        "kernels/conv2d_weight_grad-8x3x224x224-64-k7s2p3",
    ]
    assert names("inference/*-1") == [f"inference/{model}-1" for model in MODELS]
    assert names("overhead", "import") == [
        *(f"overhead/{op}" for op in overhead.LINKS),
        "import/time",
    ]
    assert 0 < len(names(quick=True)) < len(names()) / 2
    with pytest.raises(ConfigError, match="no case is called 'vgg19'; the groups are training"):
        names("training", "vgg19")


@needs_native
def test_another_instruction_set_has_a_case_where_it_can_be_used():
    from chainrule.kernels import native

    names = [case.name for case in bench_run.all_cases()]
    usable = "avx2" in native.instruction_sets() and native.instruction_set() != "avx2"
    assert ("training/resnet20-avx2" in names) == usable


def test_the_layers_of_a_model_are_those_it_is_built_of():
    within = {Layer("batch_norm+relu", (128, 16, 32, 32)), Layer("add", (128, 16, 32, 32))}
    found = layers_of(MODELS["resnet20"])
    assert [layer.kind for layer in found].count("conv2d") == 21
    assert [layer.kind for layer in found].count("add") == 9
    assert within <= set(found)
    assert found[0] == Layer("conv2d", (128, 3, 32, 32), 16, (3, 3), (1, 1), (1, 1), first=True)
    assert Layer("conv2d", (128, 16, 32, 32), 32, (1, 1), (2, 2)) in found
    assert found[-1] == Layer("loss", (128, 10))
    assert [layer.kind for layer in layers_of(MODELS["mlp"])] == [
        "linear",
        "relu",
        "linear",
        "loss",
    ]
    assert {layer.kind for layer in layers.layers()} == set(KERNELS) == set(SMALL)


def test_our_kernels_get_arrays_that_lie_in_memory_as_those_of_a_model(monkeypatch):
    seen = []
    monkeypatch.setattr(kernels, "conv2d", lambda x, weight, *_: seen.append((x, weight)))
    conv2d, layer = KERNELS["conv2d"][0], SMALL["conv2d"]
    sides(conv2d, layer, QUICK)[OURS]()
    ((x, weight),) = seen
    kept = nn.Conv2d(layer.x[1], layer.outputs, layer.kernel_size).weight.detach().numpy()
    assert weight.strides == kept.strides
    assert x.strides == (3 * 9 * 9 * 4, 4, 3 * 9 * 4, 3 * 4)  # channels last


def test_operations_are_counted():
    layer = SMALL["conv2d"]
    assert operations(layer) == 2 * (2 * 4 * 5 * 5) * (3 * 3 * 3)
    assert operations(SMALL["linear"]) == 2 * 5 * 3 * 7
    assert operations(SMALL["relu"]) is None


# -- both sides ----------------------------------------------------------------------------------


@needs_torch
@pytest.mark.parity
@pytest.mark.parametrize(
    "kernel", [(k, n) for k in FAMILIES for n in FAMILIES[k]], ids=lambda p: p[1].name
)
def test_a_kernel_and_its_peer_compute_the_same(kernel):
    kind, one = kernel
    layer = (SMALL | SMALL_BESIDE)[kind]
    found = {name: numbers(step()) for name, step in sides(one, layer, QUICK).items()}
    assert list(found)[:2] == list(SIDES)[:2]
    ours = found.pop(OURS)
    for name, theirs in found.items():
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5, err_msg=name)


@needs_torch
@pytest.mark.parity
@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_the_same_on_both_sides(name):
    model = MODELS[name]
    nets = {side: model.build(library(side)) for side in SIDES[:2]}
    weights = {side: dict(net.named_parameters()) for side, net in nets.items()}
    ours, theirs = ({n: tuple(w.shape) for n, w in found.items()} for found in weights.values())
    assert ours == theirs
    state = {n: library(OURS).tensor(w.detach().numpy()) for n, w in weights[SIDES[1]].items()}
    for parameter, value in weights[OURS].items():
        value.data[...] = state[parameter].data
    images, _ = steps.batch_of(model, 2)
    found = {}
    for side, net in nets.items():
        with library(side).inference_mode():
            found[side] = net.eval()(library(side).tensor(images)).numpy()
    np.testing.assert_allclose(found[OURS], found[SIDES[1]], rtol=1e-3, atol=1e-4)


@needs_torch
@pytest.mark.parity
@pytest.mark.parametrize("link", overhead.LINKS.values(), ids=overhead.LINKS)
def test_chains_run_forward_and_back_on_both_sides(link):
    for side in SIDES[:2]:
        seen = []

        def watched(lib, seen=seen):
            one, shape = link(lib)

            def count(y):
                seen.append(1)
                return one(y)

            return count, shape

        overhead.chain(library(side), watched)()
        assert len(seen) == overhead.LENGTH


def test_a_training_step_changes_the_weights():
    model = MODELS["mlp"]
    images, labels = steps.batch_of(model, 8)
    step = steps.training_step(library(OURS), model, images, labels)
    losses = [step() for _ in range(20)]
    assert losses[-1] < losses[0]


# -- memory, footprint, peak, tiers --------------------------------------------------------------


@pytest.mark.skipif(not memory.RESET.exists(), reason="needs Linux")
def test_memory_of_a_step_is_at_least_what_the_step_must_hold():
    # the input gradient's way back needs the activations of the first layer, 64x6x28x28 floats
    found = memory.in_a_process("lenet5", OURS, 1)
    assert 64 * 6 * 28 * 28 * 4 / 1e6 < found < 200


@pytest.mark.skipif(not memory.RESET.exists(), reason="needs Linux")
def test_a_failing_process_is_told():
    with pytest.raises(
        ConfigError, match="memory/vgg19: the process of chainrule failed: KeyError"
    ):
        memory.in_a_process("vgg19", OURS, 1)


def test_footprint():
    assert 0 < footprint.import_seconds("json", 1) < 5
    numpy = footprint.installed_megabytes("numpy")
    assert 10 < numpy < 300
    assert {"rich", "markdown-it-py", "mdurl"} <= footprint.required("rich")
    assert footprint.installed_files("no-such-distribution") == []


@needs_native
def test_the_peak_of_every_instruction_set():
    from chainrule.kernels import native

    before = native.instruction_set()
    peaks = peak.measure_peaks(2)
    assert list(peaks) == native.instruction_sets()
    assert native.instruction_set() == before
    for by_threads in peaks.values():
        assert by_threads.keys() == {"1", "2"}
        assert min(by_threads.values()) > 0.5


def test_the_tiers_agree_and_loops_are_the_slowest():
    rows = list(compare_tiers(scale=0.02))
    assert {row.tier for row in rows} >= {"naive", "vectorised"}
    assert len({row.work for row in rows}) == 6
    for row in rows:
        assert row.difference <= 1e-5
        if row.tier == "naive":
            assert (row.ratio, row.difference) == (1, 0)
        else:
            assert row.ratio > 1
