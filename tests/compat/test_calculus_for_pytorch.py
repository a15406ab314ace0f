"""Code that uses PyTorch's calculus runs when its imports are changed, and gives the same."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

TEXT = Path(__file__).with_name("calculus_for_pytorch.py").read_text(encoding="utf-8")


def with_imports_changed(text):
    """Every ``torch`` of an import is ``chainrule``; the name that code uses stays torch."""
    text = re.sub(r"^import torch$", "import chainrule as torch", text, flags=re.M)
    text = re.sub(r"^import torch\.(\S+) as", r"import chainrule.\1 as", text, flags=re.M)
    text = re.sub(r"^import torch\.(\S+)$", r"import chainrule.\1", text, flags=re.M)
    return re.sub(r"^from torch(\S*) import", r"from chainrule\1 import", text, flags=re.M)


def run(text):
    names = {"__name__": "code"}
    exec(compile(text, "calculus_for_pytorch.py", "exec"), names)
    return {story.__name__: story for story in names["STORIES"]}


OURS, THEIRS = run(with_imports_changed(TEXT)), run(TEXT)


@pytest.mark.parametrize("name", OURS)
def test_the_same_story(name):
    ours, theirs = OURS[name](), THEIRS[name]()
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-9, atol=1e-12)
