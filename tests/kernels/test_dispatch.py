"""Which tier answers, and what is said when the wanted one is not there."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from chainrule import errors, kernels
from chainrule.kernels import naive, reference, table
from chainrule.kernels.epilogue import Epilogue

NATIVE_ABSENT = table.why_native_is_absent()
needs_native = pytest.mark.skipif(
    NATIVE_ABSENT is not None, reason=f"native kernels are absent: {NATIVE_ABSENT}"
)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ("CHAINRULE_KERNELS", "CHAINRULE_ISA", "CHAINRULE_WINOGRAD")
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=env | environment, capture_output=True, text=True
    )


TIER = "from chainrule import kernels; print(kernels.tier())"

HIDE_NATIVE = """
import sys
import time
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "chainrule.kernels._native":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
"""


@pytest.mark.parametrize("name", ["reference", "naive"])
def test_environment_chooses_the_tier(name: str):
    assert python(TIER, CHAINRULE_KERNELS=name).stdout.strip() == name


@needs_native
def test_native_is_the_default_where_it_was_built():
    assert python(TIER).stdout.strip() == "native"


def test_unknown_tier_is_named_with_the_choices():
    with pytest.raises(errors.ConfigError, match=r"unknown tier 'cuda'; choose one of reference,"):
        kernels.activate("cuda")
    assert "unknown tier 'cuda'" in python(TIER, CHAINRULE_KERNELS="cuda").stderr


def test_a_wrong_setting_is_one_line_of_the_command():
    shown = python("from chainrule.cli.main import main; main(['info'])", CHAINRULE_KERNELS="cuda")
    assert shown.returncode == 2
    assert shown.stderr.startswith("chainrule: error: kernels: unknown tier 'cuda'")
    assert "Traceback" not in shown.stderr


def test_a_wrong_setting_leaves_import_alone_and_stops_the_first_kernel():
    code = "import numpy, chainrule as cr; print('imported'); cr.kernels.relu(numpy.ones(2))"
    shown = python(code, CHAINRULE_KERNELS="cuda")
    assert shown.stdout.strip() == "imported"
    assert "ConfigError: kernels: unknown tier 'cuda'" in shown.stderr


def test_without_native_the_reference_answers_and_the_reason_is_told():
    shown = python(HIDE_NATIVE + "from chainrule import kernels; print(kernels.describe())")
    assert "'tier': 'reference'" in shown.stdout, shown.stderr
    assert "they were not built" in shown.stdout


def test_asking_for_native_where_it_is_absent_is_an_error():
    shown = python(HIDE_NATIVE + TIER, CHAINRULE_KERNELS="native")
    assert "the native tier cannot be used: they were not built" in shown.stderr


@needs_native
def test_environment_chooses_the_instruction_set():
    code = "from chainrule import kernels; print(kernels.describe()['instruction_set'])"
    assert python(code, CHAINRULE_ISA="portable").stdout.strip() == "portable"
    assert (
        "'sse9' is not available here; choose one of" in python(code, CHAINRULE_ISA="sse9").stderr
    )


@needs_native
def test_environment_chooses_winograd():
    code = "from chainrule import kernels; print(kernels.describe()['winograd'])"
    assert python(code).stdout.strip() == "4"
    assert python(code, CHAINRULE_WINOGRAD="off").stdout.strip() == "off"
    assert (
        "unknown Winograd setting '6'; choose one of off, 2, 4 (the environment variable"
        in python(code, CHAINRULE_WINOGRAD="6").stderr
    )


def test_use_restores_the_tier_even_after_an_error():
    before = kernels.tier()
    with pytest.raises(KeyError), kernels.use("naive"):
        assert kernels.relu is naive.relu
        raise KeyError
    assert kernels.tier() == before


def test_the_table_is_complete_on_every_tier():
    for name in ("reference", "naive", *([] if NATIVE_ABSENT else ["native"])):
        with kernels.use(name):
            assert all(callable(getattr(kernels, entry)) for entry in kernels.contracts())


@needs_native
def test_native_overlays_only_known_kernels_and_leaves_other_dtypes_to_reference():
    from chainrule.kernels import native

    assert set(native.__all__) <= set(kernels.contracts())
    x = np.array([-1, 2])
    assert native.relu(x).dtype == reference.relu(x).dtype


@needs_native
def test_native_refuses_bins_of_another_kind():
    from chainrule.kernels import _native

    x = np.ones((1, 1, 4, 4), np.float32)
    edges, divisor = np.array([[0, 4]]), np.full(1, 4, np.float32)
    assert _native.mean_pool(x, edges, divisor, edges, divisor, 1) == 1
    gaps = np.array([[0, 9, 4, 9]])[:, ::2]
    for bad in (gaps, edges.astype(np.int32), edges.astype(">i8"), [[0, 4]]):
        with pytest.raises(TypeError):
            _native.mean_pool(x, bad, divisor, edges, divisor, 1)
    with pytest.raises(TypeError):
        _native.mean_pool(x, edges, np.full(1, 4.0), edges, divisor, 1)


@needs_native
def test_softmax_leaves_memory_to_reference_that_is_not_in_rows_of_classes():
    from chainrule.kernels import _native

    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for rows, axis in ((x, 2), (x, -1), (last, 1), (last, -2)):
        y = _native.softmax(rows, axis, 1)
        assert y.strides == rows.strides
        np.testing.assert_allclose(y, reference.softmax(rows, axis), rtol=1e-6)
        assert _native.softmax_backward(rows, y, axis, 1).strides == rows.strides
    single = np.ones((), np.float32)
    for other, axis in ((x, 1), (last, 2), (x[::-1], 2), (x, 3), (x, -4), (x[:0], 2), (single, 0)):
        assert _native.softmax(other, axis, 1) is None
    assert _native.log_softmax_backward(last, x, 2, 1) is None
    assert _native.cross_entropy(np.asfortranarray(x[0]), [0, 1, 0], 1) is None
    assert _native.multi_margin_loss(x[0], [0, 1, 0], 3, 1.0, 1) is None
    with pytest.raises(ValueError, match="two axes"):
        _native.cross_entropy(x, [0, 1], 1)


@needs_native
def test_native_leaves_arrays_to_reference_that_it_does_not_take():
    from chainrule.kernels import _native

    x = np.ones((2, 3, 4, 4), np.float32)
    frozen = x.copy()
    frozen.flags.writeable = False
    for other in (x.astype(np.float64), x.astype(">f4"), [1.0]):
        assert _native.relu(other, 1) is None
        assert _native.channel_sum(other, 1) is None
        assert _native.add(x, other, 1) is None
        assert _native.conv2d_input_grad(x, other, (2, 3, 4, 4), *[(1, 1)] * 3, 1, 1) is None
    for other in (x[..., ::2], x.transpose(0, 2, 3, 1), x.transpose(3, 2, 1, 0)[:2, :3]):
        assert _native.add(x, other, 1) is None
    assert not _native.accumulate(frozen, x, 1) and (frozen == 1).all()
    assert _native.accumulate(x, frozen, 1) and (x == 2).all()
    assert _native.relu(x[(None,) * 29], 1) is None  # more axes than there is room for
    with pytest.raises(TypeError):
        _native.relu(None, 1)


@needs_native
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 5)])
def test_results_lie_in_channels_last_memory_however_the_argument_does(shape: tuple[int, ...]):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    wide = np.repeat(x, 2, axis=-1)[..., ::2]
    unaligned = np.frombuffer(b"." + x.tobytes(), np.float32, x.size, 1).reshape(shape)
    scale, shift = np.arange(1, 4, dtype=np.float32), np.ones(6, np.float32)[::2]
    per_channel = (1, 3) + (1,) * (len(shape) - 2)
    for each in (x, last, wide, unaligned):
        with kernels.use("native"):
            y = kernels.scale_shift(each, scale, shift)
        assert np.moveaxis(y, 1, -1).flags.c_contiguous and y.flags.writeable
        expected = each * scale.reshape(per_channel) + shift.reshape(per_channel)
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@needs_native
def test_large_images_are_normalised_in_the_order_they_lie_in():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 8)).astype(np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    ones = np.ones(3, np.float32)
    with kernels.use("native"):
        assert kernels.scale_shift(x, ones, ones).flags.c_contiguous
        assert kernels.scale_shift(last, ones, ones).strides == last.strides


@needs_native
def test_native_leaves_a_step_to_reference_where_memory_does_not_fit():
    from chainrule.kernels import _native

    def left(weights, grads, buffers=None):
        return _native.sgd_step(weights, grads, buffers, 1.0, 0.0, 0.0, 0.0, False, False, 1)

    memory = np.ones(8, np.float32)
    ones, double, gaps, frozen = np.ones(4, np.float32), np.ones(4), memory[::2], np.ones(4, "f4")
    frozen.flags.writeable = False
    for w, g in [(gaps, gaps.copy()), (memory[:4], memory[2:6]), (double, double.copy()),
                 (ones, memory), (frozen, ones), ("w", ones)]:  # fmt: skip
        before = np.copy(w)
        assert left([np.zeros(3, np.float32), w], [np.ones(3, np.float32), g]) == [1]
        assert np.array_equal(w, before)
    assert left([ones], [frozen]) == [] and (ones == 0).all()
    with pytest.raises(ValueError, match="lists of one length"):
        left([ones], [])


@needs_native
@pytest.mark.parametrize("groups", [0, -1, 3, 4])
def test_native_refuses_groups_that_do_not_divide_the_channels(groups: int):
    from chainrule.kernels import _native

    x, y = np.ones((1, 4, 5, 5), np.float32), np.ones((1, 6, 3, 3), np.float32)
    weight = np.ones((6, 2, 3, 3), np.float32)
    geometry = ((1, 1), (0, 0), (1, 1), groups)
    for call in (
        lambda: _native.conv2d(x, weight, None, *geometry, *[None] * 3, False, 1),
        lambda: _native.conv2d_input_grad(y, weight, x.shape, *geometry, 1),
        lambda: _native.conv2d_weight_grad(y, x, weight.shape, *geometry, 1),
    ):
        with pytest.raises(ValueError, match="do not divide into groups"):
            call()


@needs_native
def test_native_refuses_shapes_that_disagree():
    def ones(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    x, y, weight, geometry = ones(1, 4, 5, 5), ones(1, 6, 3, 3), ones(6, 4, 3, 3), [(1, 1)] * 3
    geometry[1] = (0, 0)
    three, four = ones(3), ones(4)
    with kernels.use("native"):
        for call in (
            lambda: kernels.conv2d(x, ones(6, 3, 3, 3), None, *geometry, 1),
            lambda: kernels.conv2d(x, weight, three, *geometry, 1),
            lambda: kernels.conv2d(x, weight, None, *geometry, 1, Epilogue(add=ones(1, 6, 3, 2))),
            lambda: kernels.conv2d(x, weight, None, *geometry, 1, Epilogue(scale=ones(6))),
            lambda: kernels.conv2d(x, weight, None, (0, 1), (0, 0), (1, 1), 1),
            lambda: kernels.conv2d(ones(4, 5, 5), weight, None, *geometry, 1),
            lambda: kernels.conv2d_input_grad(y, weight, (1, 4, 6, 5), *geometry, 1),
            lambda: kernels.conv2d_weight_grad(y, x, (5, 4, 3, 3), *geometry, 1),
            lambda: kernels.linear(ones(2, 3), ones(4, 4), None),
            lambda: kernels.linear(ones(2, 4), ones(4, 4), three),
            lambda: kernels.linear(ones(2, 4, 1), ones(4, 4), None),
            lambda: kernels.normalise(x, three, four, None, None, 1e-5),
            lambda: kernels.normalise(x, four, four, three, None, 1e-5),
            lambda: kernels.normalise(x, four, four, None, None, 1e-5, y),
            lambda: kernels.scale_shift(x, four, three),
            lambda: kernels.batch_norm_backward(y, x, None, four, four, 1e-5),
            lambda: kernels.relu_bias_backward(y, x),
            lambda: kernels.layer_norm(ones(2, 4), three, None, 1e-5),
            lambda: kernels.layer_norm_backward(ones(2, 4), ones(2, 3), None, three, three, 1e-5),
            lambda: kernels.rms_norm(ones(2, 4), three, 1e-5),
            lambda: kernels.rms_norm_backward(ones(2, 4), ones(2, 3), None, three, 1e-5),
            lambda: kernels.group_norm(x, 2, three, None, 1e-5),
            lambda: kernels.group_norm_backward(y, x, None, ones(1, 2), ones(1, 2), 1e-5),
            lambda: kernels.adaptive_avg_pool2d_backward(ones(2, 4, 1, 1), (1, 4, 5, 5)),
            lambda: kernels.max_pool2d_backward(
                y, np.zeros((1, 6, 3, 2), np.uint8), x.shape, (3, 3), (1, 1), (0, 0), (1, 1)
            ),
        ):
            with pytest.raises(ValueError, match=r"disagree|at least 1|axes|together|each channel"):
                call()


@needs_native
def test_native_refuses_labels_that_are_no_class_and_bins_outside_the_image():
    scores = np.zeros((2, 3), np.float32)
    for labels in ([0, 3], [-1, 0], [0]):
        target = np.array(labels)
        with kernels.use("native"), pytest.raises(ValueError, match="loss:"):
            kernels.cross_entropy(scores, target)
        with kernels.use("native"), pytest.raises(ValueError, match="loss:"):
            kernels.multi_margin_loss(scores, target, 1, 1.0)
    from chainrule.kernels import _native

    x = np.zeros((1, 1, 4, 4), np.float32)
    inside, beyond, one = np.array([[0, 4]]), np.array([[0, 5]]), np.ones(1, np.float32)
    with pytest.raises(ValueError, match="outside the image"):
        _native.mean_pool(x, inside, one, beyond, one, 1)


@needs_native
def test_memory_is_reused_and_never_while_it_is_held():
    from chainrule.kernels import _native

    first = _native.empty([1 << 16])
    second = _native.empty([1 << 16])
    assert not np.shares_memory(first, second)
    view, address = first[5:], first.ctypes.data
    del first
    assert _native.empty([1 << 16]).ctypes.data != address  # the view still holds it
    del view
    assert _native.empty([1 << 16]).ctypes.data == address
    _native.release_kept()
    assert _native.kept_bytes() == 0


@needs_native
def test_multiply_adds_are_done_and_counted():
    from chainrule.kernels import native

    before = native.instruction_set()
    rates = {}
    try:
        for name in native.instruction_sets():
            native.choose_instruction_set(name)
            start = time.perf_counter()
            operations = native.multiply_adds(1_000_000, 1)
            rates[name] = operations / (time.perf_counter() - start)
            assert operations == native.multiply_adds(500_000, 2)
    finally:
        native.choose_instruction_set(before)
    # 2 pipes of 16 lanes at 6 GHz; a loop that the compiler removed would seem far faster
    assert all(1e7 < rate < 400e9 for rate in rates.values()), rates
