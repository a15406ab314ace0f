"""Mixed precision as code written for PyTorch asks for it where there is no GPU: float32."""

import pytest

import chainrule as cr
from chainrule.cuda.amp import GradScaler, autocast, custom_bwd, custom_fwd
from chainrule.errors import ConfigError


def one_step(with_scaler):
    cr.manual_seed(0)
    net = cr.nn.Linear(3, 2)
    optimizer = cr.optim.SGD(net.parameters(), lr=0.1)
    x = cr.randn(4, 3)
    if not with_scaler:
        net(x).square().mean().backward()
        optimizer.step()
        return net.weight
    scaler = cr.amp.GradScaler("cuda") if with_scaler == "new" else GradScaler(enabled=True)
    with cr.autocast("cuda", dtype=cr.float16) if with_scaler == "new" else autocast():
        y = net(x)
        loss = y.square().mean()
    assert y.dtype == cr.float32
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    scaler.load_state_dict(scaler.state_dict())
    assert scaler.get_scale() == 1.0 and not scaler.is_enabled()
    return net.weight


@pytest.mark.parametrize("scaler", ["new", "old"])
def test_a_step_in_mixed_precision_is_a_step_in_float32(scaler):
    assert (one_step(scaler) == one_step(None)).all()


def test_marks_of_functions_leave_them_as_they_are():
    def double(x):
        return 2 * x

    assert autocast()(double) is double and cr.autocast("cpu", enabled=False)(double) is double
    assert custom_fwd(double) is double and custom_bwd(double) is double
    assert cr.amp.custom_fwd(device_type="cuda", cast_inputs=cr.float32)(double) is double
    assert cr.amp.custom_bwd(device_type="cuda")(double) is double
    assert not cr.amp.is_autocast_available("cuda")


def test_what_would_be_computed_in_bfloat16_is_refused():
    with pytest.raises(ConfigError, match=r"^autocast: .*bfloat16, which NumPy has not; "):
        cr.autocast("cpu")
    with pytest.raises(ConfigError, match=r"^GradScaler: .*leave it out, or enabled=False"):
        cr.amp.GradScaler("cpu")
    assert not cr.amp.GradScaler("cpu", enabled=False).is_enabled()


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_arguments_are_pytorchs():
    import inspect

    torch = pytest.importorskip("torch")
    for ours, theirs in (
        (cr.amp.autocast, torch.amp.autocast),
        (cr.amp.GradScaler, torch.amp.GradScaler),
        (autocast, torch.cuda.amp.autocast),
        (GradScaler, torch.cuda.amp.GradScaler),
        (cr.amp.custom_fwd, torch.amp.custom_fwd),
    ):
        here, there = (list(inspect.signature(f).parameters) for f in (ours, theirs))
        assert here == there, ours
