"""Code written for PyTorch runs when its imports are changed, and computes the same."""

import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

TEXT = Path(__file__).with_name("code_for_pytorch.py").read_text(encoding="utf-8")


def with_imports_changed(text):
    """``import torch.nn as nn`` becomes ``import chainrule.nn as nn``, and so on."""
    return re.sub(
        r"^import torch(\S*)(?: as (\w+))?$",
        lambda m: f"import chainrule{m[1]} as {m[2] or 'torch'}",
        text,
        flags=re.MULTILINE,
    )


def run(text):
    names = {"__name__": "code"}
    exec(compile(text, "code_for_pytorch.py", "exec"), names)
    return names


OURS, THEIRS = run(with_imports_changed(TEXT)), run(TEXT)
MODELS = [kind.__name__ for kind in THEIRS["MODELS"]]
TRAININGS = [f.__name__ for f in THEIRS["TRAININGS"]]


def twins(name):
    """The same model here and there, in float64, with the weights PyTorch drew."""
    torch.manual_seed(0)
    ours, theirs = OURS[name]().double(), THEIRS[name]().double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def batches(name, library):
    rng = np.random.default_rng(0)
    shape = (6, 3, 2, 2) if name == "MLP" else (6, 3, 8, 8)
    draws = [(rng.standard_normal(shape), rng.integers(0, 5, 6)) for _ in range(2)]
    return [(library.from_numpy(x), library.from_numpy(y)) for x, y in draws]


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients(name):
    ours, theirs = twins(name)
    (x, y), _ = batches(name, cr)
    (tx, ty), _ = batches(name, torch)
    x.requires_grad_()
    tx.requires_grad_()
    out, tout = ours(x), theirs(tx)
    np.testing.assert_allclose(out.detach(), tout.detach(), rtol=1e-9, atol=1e-11)
    cr.nn.functional.cross_entropy(out, y).backward()
    torch.nn.functional.cross_entropy(tout, ty).backward()
    np.testing.assert_allclose(x.grad, tx.grad, rtol=1e-8, atol=1e-11)
    for (k, p), (_, t) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(p.grad, t.grad, rtol=1e-8, atol=1e-11, err_msg=k)


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("name", MODELS)
def test_training(name, training):
    ours, theirs = twins(name)
    history = OURS[training](ours, batches(name, cr))
    history_there = THEIRS[training](theirs, batches(name, torch))
    np.testing.assert_allclose(history, history_there, rtol=1e-6, atol=1e-9)
    for (k, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7, err_msg=k)
    result = OURS["evaluate"](ours, batches(name, cr))
    np.testing.assert_allclose(result, THEIRS["evaluate"](theirs, batches(name, torch)), rtol=1e-5)
