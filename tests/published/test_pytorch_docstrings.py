"""The examples in PyTorch's own docstrings, run here and there: every statement does the same.

Random numbers and fresh weights are taken over from PyTorch. A statement that fails there (it may
ask for a GPU) is left out; an example ends where it uses what this library leaves out, with an
error that says what to use instead.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError

torch = pytest.importorskip("torch", reason="the docstrings are PyTorch's")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

ROOMS = {  # with how many statements must agree at least, so that none is lost unseen
    "torch": (torch, cr, 1100),
    "Tensor": (torch.Tensor, cr.Tensor, 120),
    "nn": (torch.nn, cr.nn, 480),
    "nn.functional": (torch.nn.functional, cr.nn.functional, 70),
    "nn.init": (torch.nn.init, cr.nn.init, 25),
    "autograd.functional": (torch.autograd.functional, cr.autograd.functional, 30),
    "func": (torch.func, cr.func, 130),
    "linalg": (torch.linalg, cr.linalg, 160),
    "special": (torch.special, cr.special, 30),
}
LIBRARIES = {"np": np, "numpy": np, "math": math}
DRAWS = re.compile(r"rand|empty|normal|bernoulli|multinomial|poisson|uniform|init\.|[nN]N?\.[A-Z]")
NOT_RUN = re.compile(  # settings, files, what draws at every call, and the largest inputs
    r"default|^set_|determin|seed|rng|^(save|load|from_file)$|[dD]ropout|Transformer|[rR]{2}e[lL]|gumbel|3d"
)
LEFT_OUT = re.compile(
    "has no|cannot hold complex|out= is not supported|on the CPU only|cannot import|No module"
)
FREE = {"sort", "svd"}  # whose results are not determined: order of equals, bases of a space


def statements(doc: str) -> Iterator[str]:
    """The statements after >>> and ..., however they are spread over lines."""
    block: list[str] = []
    for line in [*doc.splitlines(), ""]:
        found = re.match(r"\s*(?:>>>|\.\.\.) ?(.*)$", line)
        if found:
            block.append(found[1])
            continue
        while block:
            end, tree = longest_program(block)
            yield from (ast.unparse(node) for node in tree.body)
            block = block[end:]


def longest_program(lines: list[str]) -> tuple[int, ast.Module]:
    for end in range(len(lines), 0, -1):
        try:
            return end, ast.parse("\n".join(lines[:end]))
        except SyntaxError:
            pass
    return 1, ast.parse("")


def run(source: str, names: dict[str, Any]) -> Any:
    tree = ast.parse(source)
    if isinstance(tree.body[0], ast.Expr):
        return eval(source, names)
    exec(source, names)


def here(source: str) -> str:
    source = re.sub(r"^(from|import) torch", r"\1 chainrule", source)
    return re.sub(r"^import chainrule$", "import chainrule as torch", source)


def take_over(mine: Any, theirs: Any) -> None:
    """Give a tensor or module of ours the values of PyTorch's."""
    if isinstance(theirs, torch.nn.Module):
        mine.load_state_dict({k: cr.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    elif isinstance(theirs, torch.Tensor) and isinstance(mine, cr.Tensor):
        mine.data.copy_(cr.tensor(theirs.detach().numpy()))
    elif isinstance(theirs, tuple | list):
        for one, other in zip(mine, theirs, strict=True):
            take_over(one, other)


def compare(mine: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(mine, cr.Tensor) and mine.requires_grad == theirs.requires_grad
        a, b = mine.detach().numpy(), theirs.detach().numpy()
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 if b.size > 10_000 else 1e-5)
    elif isinstance(theirs, torch.nn.Module):
        assert list(mine.state_dict()) == list(theirs.state_dict())
        if "Size" not in repr(theirs):
            assert repr(mine) == repr(theirs)
    elif isinstance(theirs, tuple | list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            compare(one, other)
    elif isinstance(theirs, bool | int | str | None):
        assert mine == theirs and type(mine) is type(theirs)
    elif isinstance(theirs, float):
        assert mine == pytest.approx(theirs, rel=1e-4, nan_ok=True)


def agreeing(doc: str) -> int:
    """How many statements of an example agree; raises at one that does not."""
    there = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, **LIBRARIES}
    mine = {"torch": cr, "nn": cr.nn, "F": cr.nn.functional, **LIBRARIES}
    rooms, count = set(there), 0
    for source in statements(doc):
        torch.manual_seed(0)
        try:
            value = run(source, there)
        except Exception:
            continue
        try:
            result = run(here(source), mine)
        except (ChainruleError, AttributeError, ImportError) as e:
            if LEFT_OUT.search(str(e)):
                return count
            raise AssertionError(f"{source}\n  {e}") from e
        used = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)} - rooms
        pairs = [(result, value), *((mine[n], there[n]) for n in used if n in there)]
        try:
            for one, other in pairs:
                if DRAWS.search(source):
                    take_over(one, other)
                compare(one, other)
        except (AssertionError, RuntimeError, TypeError, ValueError) as e:
            raise AssertionError(f"{source}\n  {e}") from e
        count += 1
    return count


@pytest.mark.parametrize("room", ROOMS)
def test_examples_of_docstrings_do_the_same(room: str) -> None:
    theirs, ours, at_least = ROOMS[room]
    failures, count = {}, 0
    for name in dir(theirs):
        doc = getattr(getattr(theirs, name), "__doc__", None)
        if not isinstance(doc, str) or ">>>" not in doc or not hasattr(ours, name):
            continue
        if NOT_RUN.search(name) or name in FREE:
            continue
        with np.errstate(all="ignore"):
            try:
                count += agreeing(doc)
            except AssertionError as e:
                failures[name] = str(e)
    assert not failures, "\n".join(f"{name}: {text}" for name, text in failures.items())
    assert count >= at_least
