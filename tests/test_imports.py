"""Data flows down and imports point only down; what is heavy is imported where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chainrule

PACKAGE = Path(chainrule.__file__).parent

# from the top of the house to the ground; rooms of one storey do not know each other, and
# "tensor.forms" is a file of a room that has storeys of its own
STOREYS = [
    {"__main__"},
    {"cli"},
    {"bench"},
    {"training"},
    {"inspect"},
    {"viz"},
    {"export"},
    {"models"},
    {"classifiers"},
    {"utils"},
    {"hub", "jit"},
    {"data"},
    {"optim"},
    {"nn"},
    {"func", "special", "testing"},
    {"__init__"},  # the public names, which the rooms above may use: `import chainrule as cr`
    {"cuda", "fx", "linalg", "saving"},
    {"pytorch_files"},
    {"tensor.batched", "tensor.creation", "tensor.functions", "tensor.typed"},
    {"tensor"},  # what the rooms above know of it: the class
    {"tensor.tensor"},
    {"tensor.description"},
    {"tensor.vocabulary"},
    {"tensor.forms"},
    {"tensor.printing", "tensor.inplace"},
    {"autograd"},
    {"ops"},
    {"kernels"},
    {"random"},
    {"threads"},
    {"amp", "distributed"},
    {"errors"},
    {"absent"},
    {"backends"},
]
HEIGHT = {room: -i for i, rooms in enumerate(STOREYS) for room in rooms}
DIVIDED = {room.split(".")[0] for room in HEIGHT if "." in room}

HEAVY = ["PIL", "rich", "click", "pooch", "requests", "safetensors", "matplotlib", "sklearn",
         "scipy", "torch"]  # fmt: skip


def room_of(path: Path) -> str:
    """The room (folder or file at the top of the package) that a source file lies in."""
    room, *inside = path.relative_to(PACKAGE).with_suffix("").parts
    return f"{room}.{inside[0]}" if room in DIVIDED and inside != ["__init__"] else room


def imported_rooms(source: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every import of the package's own rooms, wherever it stands."""
    package = ("chainrule", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            start = [*base, *(node.module.split(".") if node.module else [])]
            modules = [[*start, alias.name] for alias in node.names]
        else:
            continue
        for parts in modules:
            if parts[0] == "chainrule":
                names = (".".join(parts[1:3]), *parts[1:2])
                yield node.lineno, next((room for room in names if room in HEIGHT), "__init__")


def upward_imports(source: str, path: Path) -> list[str]:
    """The offending lines of one file."""
    room = room_of(path)
    if room == "__init__":  # it collects names from below itself
        allowed = {r for r in HEIGHT if HEIGHT[r] < HEIGHT["__init__"]} | {"__init__"}
    else:
        allowed = {r for r in HEIGHT if HEIGHT[r] < HEIGHT[room]} | {room}
    lines = source.splitlines()
    return [
        f"{path.relative_to(PACKAGE)}:{line}: {lines[line - 1].strip()} ({room} may not enter {r})"
        for line, r in imported_rooms(source, path)
        if r not in allowed
    ]


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in FILES} - set(HEIGHT) == set()


def test_imports_point_only_down() -> None:
    assert [line for path in FILES for line in upward_imports(path.read_text(), path)] == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/pool.py", "from chainrule.autograd import grad"),
        ("ops/pool.py", "import chainrule.tensor"),
        ("ops/pool.py", "from chainrule import Tensor"),
        ("ops/pool.py", "import numpy\nimport chainrule as cr"),
        ("ops/pool.py", "def f():\n    from ..nn import Module"),
        ("ops/pool.py", "from .. import tensor"),
        ("kernels/reference/conv.py", "from ...ops import add"),
        ("nn/module.py", "from chainrule.models import create"),
        ("errors.py", "from chainrule.random import Generator"),
        ("tensor/tensor.py", "from .creation import zeros"),
        ("tensor/printing.py", "from chainrule.tensor import Tensor"),
        ("tensor/forms.py", "from chainrule.tensor.vocabulary import Vocabulary"),
        ("__init__.py", "from chainrule import nn"),
        ("training/fit.py", "if True:\n    from chainrule import cli"),
    ],
)
def test_the_checker_catches_an_upward_import(file: str, source: str) -> None:
    (offence,) = upward_imports(source, PACKAGE / file)
    last = source.splitlines()[-1].strip()
    assert offence.startswith(f"{file}:{len(source.splitlines())}: {last} (")


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/pool.py", "from chainrule import kernels\nfrom chainrule.ops.conv import pair"),
        ("ops/pool.py", "from .conv import pair\nfrom . import shape\nimport numpy as np"),
        ("ops/pool.py", "from chainrule.errors import ShapeError"),
        ("kernels/reference/conv.py", "from ..geometry import taps\nfrom ...errors import E"),
        ("nn/module.py", "import chainrule as cr\nfrom chainrule import Tensor, ops"),
        ("tensor/creation.py", "from chainrule.tensor import Tensor\nfrom .forms import sizes_of"),
        ("__init__.py", "from chainrule import autograd, ops"),
        ("cli/main.py", "from chainrule.training import fit"),
    ],
)
def test_the_checker_lets_downward_imports_pass(file: str, source: str) -> None:
    assert upward_imports(source, PACKAGE / file) == []


def test_import_chainrule_loads_nothing_heavy() -> None:
    code = f"import sys, chainrule; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
