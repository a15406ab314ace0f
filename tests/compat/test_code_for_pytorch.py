"""Code written for PyTorch runs when its imports are changed, and computes the same.

Each file of `code_for_pytorch/` is run twice, as it stands and with its imports changed. From
PyTorch's weights, in float64, models must give the same outputs, gradients, buffers, names and
text, training the same weights, and scripts the same numbers and the same printed lines.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

FOLDER = Path(__file__).with_name("code_for_pytorch")
FILES = sorted(f.stem for f in FOLDER.glob("*.py"))


def with_imports_changed(text):
    """``import torch.nn as nn`` becomes ``import chainrule.nn as nn``, and so on."""
    text = re.sub(r"^import torch$", "import chainrule as torch", text, flags=re.MULTILINE)
    text = re.sub(
        r"^import torch(\.\S+)$",
        r"import chainrule\1; import chainrule as torch", text, flags=re.MULTILINE,
    )  # fmt: skip
    return re.sub(
        r"^( *)(import|from) torch(\S*) (as|import) ",
        r"\1\2 chainrule\3 \4 ", text, flags=re.MULTILINE,
    )  # fmt: skip


@cache
def run(file, library):
    text = (FOLDER / f"{file}.py").read_text(encoding="utf-8")
    names = {"__name__": file}
    exec(compile(with_imports_changed(text) if library is cr else text, file, "exec"), names)
    return names


MODELS = [(file, name) for file in FILES for name in run(file, torch).get("MODELS", ())]
TRAINABLE = list(run("everyday", torch)["MODELS"])
TRAININGS = [f.__name__ for f in run("everyday", torch)["TRAININGS"]]
SCRIPTS = [f.__name__ for f in run("scripts", torch)["SCRIPTS"]]
OF_DATA = [f.__name__ for f in run("data_loading", torch)["SCRIPTS"]]


def twins(file, name):
    """The same model here and there, in float64, with PyTorch's weights, all of them nonzero."""
    torch.manual_seed(0)
    (make, shape), (make_there, _) = (run(file, o)["MODELS"][name] for o in (cr, torch))
    ours, theirs = make().double(), make_there().double()
    for model in (ours, theirs):
        for module in model.modules():
            if "Dropout" in type(module).__name__:
                module.p = 0.0
    with torch.no_grad():
        for p in theirs.parameters():
            p += 0.1 * torch.randn(p.shape)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return (ours, theirs), np.random.default_rng(0).standard_normal(shape)


def tensors(output):
    return [output] if hasattr(output, "backward") else [t for t in output if t is not None]


def same(ours, theirs, label, rtol=1e-8):
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype, label
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-10, err_msg=label)


@pytest.mark.parametrize(("file", "name"), MODELS)
def test_it_looks_the_same(file, name):
    (ours, theirs), _ = twins(file, name)
    assert repr(ours) == repr(theirs)
    state, state_there = ours.state_dict(), theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in state.items()] == [
        (k, tuple(v.shape)) for k, v in state_there.items()
    ]
    for list_of in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        names = [k for k, _ in getattr(ours, list_of)()]
        assert names == [k for k, _ in getattr(theirs, list_of)()], list_of
    count = sum(p.numel() for p in ours.parameters() if p.requires_grad)
    assert count == sum(p.numel() for p in theirs.parameters() if p.requires_grad)


@pytest.mark.parametrize(("file", "name"), MODELS)
def test_it_computes_the_same(file, name, monkeypatch):
    noise = np.random.default_rng(1)
    draw_the_same(monkeypatch)
    (ours, theirs), x = twins(file, name)
    x_here = cr.from_numpy(x.copy()).requires_grad_()
    x_there = torch.from_numpy(x.copy()).requires_grad_()

    outputs, outputs_there = tensors(ours(x_here)), tensors(theirs(x_there))
    assert len(outputs) == len(outputs_there)
    loss = loss_there = 0
    for i, (a, b) in enumerate(zip(outputs, outputs_there, strict=True)):
        same(a, b, f"output {i}")
        weights = noise.standard_normal(a.shape)
        loss = loss + (a * cr.from_numpy(weights)).sum()
        loss_there = loss_there + (b * torch.from_numpy(weights)).sum()
    loss.backward()
    loss_there.backward()

    if x_there.grad is None:
        assert x_here.grad is None
    else:
        same(x_here.grad, x_there.grad, "gradient of the input", 1e-6)
    there = dict(theirs.named_parameters())
    for k, p in ours.named_parameters():
        assert (p.grad is None) == (there[k].grad is None), k
        if p.grad is not None:
            same(p.grad, there[k].grad, f"gradient of {k}", 1e-6)
    buffers = dict(theirs.named_buffers())
    for k, b in ours.named_buffers():
        same(b, buffers[k], k)

    step(cr, ours)
    step(torch, theirs)
    ours.eval()
    theirs.eval()
    with cr.no_grad(), torch.no_grad():
        for a, b in zip(tensors(ours(x_here)), tensors(theirs(x_there)), strict=True):
            same(a, b, "output after a step", 1e-6)


@pytest.mark.parametrize(("file", "name"), MODELS)
def test_the_kernels_of_float32_compute_the_same(file, name, monkeypatch):
    draw_the_same(monkeypatch)
    (ours, theirs), x = twins(file, name)
    for library, model in ((cr, ours.float()), (torch, theirs.float())):
        outputs = tensors(model(library.from_numpy(x).float()))
        noise = np.random.default_rng(1)
        sum(
            (y * library.from_numpy(noise.standard_normal(y.shape))).sum() for y in outputs
        ).backward()
        model.outputs = [y.detach().numpy() for y in outputs]
    for a, b in zip(ours.outputs, theirs.outputs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max(initial=0))
    there = {k: p.grad.numpy() for k, p in theirs.named_parameters() if p.grad is not None}
    largest = max(np.abs(g).max() for g in there.values())
    for k, p in ours.named_parameters():
        if p.grad is not None:
            np.testing.assert_allclose(p.grad, there[k], atol=1e-3 * largest, err_msg=k)


def draw_the_same(monkeypatch):
    """randn_like gives the same numbers in both libraries."""
    for library in (cr, torch):
        draws = np.random.default_rng(1)
        draw = lambda x, library=library, draws=draws: library.from_numpy(  # noqa: E731
            draws.standard_normal(tuple(x.shape))
        ).to(x)
        monkeypatch.setattr(library, "randn_like", draw)


def step(library, model):
    optimizer = library.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    library.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def batches(library, shape, count, labels):
    rng = np.random.default_rng(0)
    draws = [(rng.standard_normal(shape), labels(rng, k)) for k in range(count)]
    return [(library.from_numpy(x), library.from_numpy(y)) for x, y in draws]


def same_state(ours, theirs):
    for (k, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=k)


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("name", TRAINABLE)
def test_it_trains_the_same(name, training):
    (ours, theirs), x = twins("everyday", name)

    def outcome(library, net, function):
        data = batches(library, x.shape, 2, lambda rng, _: rng.integers(0, 5, len(x)))
        return run("everyday", library)[function](net, data)

    here, there = outcome(cr, ours, training), outcome(torch, theirs, training)
    np.testing.assert_allclose(here, there, rtol=1e-6, atol=1e-9)
    same_state(ours, theirs)
    here, there = outcome(cr, ours, "evaluate"), outcome(torch, theirs, "evaluate")
    np.testing.assert_allclose(here, there, rtol=1e-5)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_does_the_same(script, tmp_path, capsys):
    (ours, theirs), x = twins("scripts", "Net")
    results, texts = [], []
    for library, net in ((cr, ours), (torch, theirs)):
        data = batches(library, x.shape, 3, lambda _, k: np.arange(len(x)) * (k + 1) % 5)
        results.append(run("scripts", library)[script](net, data, tmp_path))
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    same_numbers(*results)
    same_state(ours, theirs)


@pytest.mark.parametrize("script", OF_DATA)
def test_loaders_give_the_same(script, capsys):
    results, texts = [], []
    for library in (cr, torch):
        results.append(run("data_loading", library)[script]())
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    same_numbers(*results)


def same_numbers(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same_numbers(a, b)
    else:
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
