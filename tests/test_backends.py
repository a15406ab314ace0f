"""What programs written for PyTorch ask and set before they choose a device."""

import pytest

import chainrule as cr


def test_questions_are_answered_truly():
    available = (
        cr.cuda, cr.backends.mps, cr.backends.cudnn, cr.accelerator, cr.backends.mkldnn
    )  # fmt: skip
    assert not any(library.is_available() for library in available)
    assert cr.cuda.device_count() == 0 and cr.accelerator.current_accelerator() is None
    assert cr.cuda.max_memory_allocated() == 0 and not cr.cuda.is_initialized()
    assert cr.device("cuda" if cr.cuda.is_available() else "cpu") == "cpu"
    assert cr.are_deterministic_algorithms_enabled()
    assert cr.get_float32_matmul_precision() == "highest"


def test_settings_of_what_is_not_used_change_nothing(monkeypatch):
    for name, value in (("benchmark", True), ("deterministic", False), ("enabled", True)):
        monkeypatch.setattr(cr.backends.cudnn, name, value)
    cr.use_deterministic_algorithms(False, warn_only=True)
    cr.set_float32_matmul_precision("high")
    cr.manual_seed(3)
    expected = cr.rand(2).tolist()
    cr.manual_seed(3)
    cr.cuda.manual_seed_all(4)
    cr.cuda.manual_seed(4)
    cr.cuda.empty_cache()
    cr.cuda.synchronize()
    assert cr.rand(2).tolist() == expected


@pytest.mark.parametrize("name", ["contiguous_format", "preserve_format", "channels_last"])
def test_memory_formats_are_known(name):
    assert isinstance(getattr(cr, name), cr.memory_format)
    net = cr.nn.Linear(2, 1)
    assert net.to(memory_format=getattr(cr, name)) is net
