"""Averaged models, their statistics, and the schedule that goes with them, beside PyTorch's."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ConfigError
from chainrule.optim import swa_utils


def networks(torch):
    """The same network here and in PyTorch."""
    build = lambda m: m.Sequential(m.Linear(3, 4), m.BatchNorm1d(4), m.Linear(4, 2))  # noqa: E731
    theirs, ours = build(torch.nn).double(), build(nn).double()
    ours.load_state_dict({k: cr.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


def assert_same_state(ours, theirs):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name].array, value.numpy(), rtol=1e-12, err_msg=name)


FUNCTIONS = {
    "equal": lambda m: {},
    "ema": lambda m: {"avg_fn": m.get_ema_avg_fn(0.8)},
    "ema of all": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.8)},
    "equal, given": lambda m: {"avg_fn": m.get_swa_avg_fn()},
    "a user's": lambda m: {"avg_fn": lambda old, new, n: old * 0.3 + new * 0.7 + n},
}


@pytest.mark.parity
@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_averages_as_pytorch(function, use_buffers):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs chainrule[parity]")
    from torch.optim import swa_utils as torch_swa

    ours, theirs = networks(torch)
    mine = swa_utils.AveragedModel(ours, use_buffers=use_buffers, **FUNCTIONS[function](swa_utils))
    twin = torch_swa.AveragedModel(
        theirs, use_buffers=use_buffers, **FUNCTIONS[function](torch_swa)
    )
    rng = np.random.default_rng(0)
    for _ in range(4):
        with torch.no_grad():
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                noise = rng.standard_normal(p.shape)
                p.array[...] += noise
                q += torch.tensor(noise)
        x = rng.standard_normal((5, 3))
        ours(cr.tensor(x)), theirs(torch.tensor(x))
        mine.update_parameters(ours)
        twin.update_parameters(theirs)
    assert_same_state(mine, twin)
    batches = [rng.standard_normal((6, 3)) for _ in range(3)]
    swa_utils.update_bn([(cr.tensor(x), 0) for x in batches], mine)
    torch_swa.update_bn([(torch.tensor(x), 0) for x in batches], twin)
    assert_same_state(mine, twin)
    assert mine.module[1].momentum == 0.1
    x = rng.standard_normal((5, 3))
    mine.eval(), twin.eval()
    expected = twin(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(mine(cr.tensor(x)).detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 5])
def test_schedule_as_pytorch(strategy, epochs):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs chainrule[parity]")

    def run(optimizers, utils, parameter):
        groups = [{"params": [parameter()], "lr": lr} for lr in (0.1, 0.7)]
        opt = optimizers.SGD(groups)
        schedule = utils.SWALR(opt, [0.05, 0.9], epochs, strategy)
        seen = []
        for _ in range(9):
            seen.append(schedule.get_last_lr())
            opt.step()
            schedule.step()
        return seen

    ours = run(optim, swa_utils, lambda: nn.Parameter(cr.ones(1)))
    theirs = run(torch.optim, torch.optim.swa_utils, lambda: torch.nn.Parameter(torch.ones(1)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("function", [None, swa_utils.get_swa_multi_avg_fn()])
def test_the_first_weights_are_copied_and_the_model_is_left_alone(function):
    model = nn.Linear(2, 2)
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=function)
    before = model.weight.array.copy()
    model.weight.array[...] = 3
    averaged.update_parameters(model)
    assert (averaged.module.weight.array == 3).all() and not (before == 3).any()
    model.weight.array[...] = 6
    averaged.update_parameters(model)
    assert averaged.module.weight.array == pytest.approx(4.5)
    assert (model.weight.array == 6).all() and averaged.n_averaged.item() == 2


def test_settings_that_are_refused():
    average = swa_utils.get_swa_avg_fn()
    with pytest.raises(ConfigError, match=r"AveragedModel: give avg_fn or multi_avg_fn, not both"):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=average, multi_avg_fn=lambda *_: None)
    with pytest.raises(ConfigError, match=r"decay of an average must be in \[0, 1\], got 1.5"):
        swa_utils.get_ema_avg_fn(1.5)
    opt = optim.SGD([nn.Parameter(cr.ones(1))])
    with pytest.raises(ConfigError, match=r"anneal_strategy must be 'cos' or 'linear', got 'x'"):
        swa_utils.SWALR(opt, 0.1, anneal_strategy="x")
    with pytest.raises(ConfigError, match=r"anneal_epochs must be a number of epochs, got -1"):
        swa_utils.SWALR(opt, 0.1, anneal_epochs=-1)
