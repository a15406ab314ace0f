"""docs/derivations/every_op.md says of every op which gate it is: compared with what ops do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from . import cases  # noqa: F401  fills CASES
from .case import CASES, public_names
from .test_ops import gradients

PAGE = Path(__file__).resolve().parents[2] / "docs" / "derivations" / "every_op.md"
GATES = {"add", "copy", "multiply", "max", "move", "slope", "mix", "none"}


def gates() -> dict[str, set[str]]:
    """The gates of each op, as the page's tables have them."""
    found: dict[str, set[str]] = {}
    for names, gate in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", PAGE.read_text("utf-8"), re.M):
        for name in re.findall(r"`(\w+)`", names):
            assert name not in found, f"{name} stands on the page twice"
            found[name] = set(gate.split(", "))
    return found


def test_the_page_has_every_public_op_and_no_other() -> None:
    assert set(gates()) == public_names() - {"Op", "op", "registry"}


def test_gates_are_those_that_the_page_explains() -> None:
    assert set().union(*gates().values()) == GATES
    explained = re.findall(r"^\| (\w+) \| [^|]* \| [^|]* \|$", PAGE.read_text("utf-8"), re.M)
    assert set(explained) & GATES == GATES


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_the_gradient_is_something_unless_the_gate_is_none() -> None:
    differentiable = set()
    for case in CASES:
        found = gradients(case, case.tensors())
        if any(g is not None and np.any(g != 0) for g in found):
            differentiable.add(case.op)
    said = gates()
    assert {name for name in said if said[name] != {"none"}} - differentiable == set()
    assert {name for name in said if said[name] == {"none"}} & differentiable == set()
