"""Whether two calls of sub-modules may part: one be made, and the other not.

Read from the source of the modules that make them. Conditions on a module's own settings
(``if self.bn is not None:``) are the same in every call and do not count; conditions on anything
else do, also those that a ``return`` in a branch puts on all that follows. Where there is no
source, or the calls are not written as ``self.name(...)``, nothing is known and no condition is
seen.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from typing import Any

from chainrule.nn import Module

Branches = tuple[tuple[int, int, str], ...]
"""The branches that a call stands in: where each condition is in the source, and which side."""


def may_part(model: Module, first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether a condition lies between two calls.

    first, second: the names of the modules being called, from the model down to each.
    """
    shared = 0
    while first[shared + 1 : shared + 2] == second[shared + 1 : shared + 2]:
        shared += 1
    here = model.get_submodule(first[shared])
    places = [_places(here, _child(path, shared)) for path in (first, second)]
    if None not in places:
        if places[0] != places[1]:
            return True
    elif any(branches for known in places for _, branches in known or ()):
        return True
    below = [
        _places(model.get_submodule(path[i]), _child(path, i))
        for path in (first, second)
        for i in range(shared + 1, len(path) - 1)
    ]
    return any(branches for known in below for _, branches in known or ())


def _child(path: tuple[str, ...], i: int) -> str:
    """How the module at ``i`` of a path calls the next one itself: the first part of its name."""
    within = path[i + 1][len(path[i]) :].lstrip(".")
    return within.split(".")[0]


def _places(caller: Module, name: str) -> frozenset[tuple[str, Branches]] | None:
    """(method, branches) of every ``self.name(...)`` in a module's methods; None if unknown."""
    return _calls_of(type(caller)).get(name)  # type: ignore[arg-type]


@functools.cache
def _calls_of(kind: type[Module]) -> dict[str, frozenset[tuple[str, Branches]]]:
    found: dict[str, set[tuple[str, Branches]]] = {}
    for name, method in _methods(kind).items():
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
        except (OSError, TypeError, SyntaxError):
            continue
        reader = _Reader()
        reader.block(tree.body[0].body, ())  # type: ignore[attr-defined]
        for child, branches in reader.calls:
            found.setdefault(child, set()).add((name, branches))
    return {child: frozenset(places) for child, places in found.items()}


def _methods(kind: type[Module]) -> dict[str, Any]:
    """The functions that a class and those between it and Module define; the nearest by name."""
    found: dict[str, Any] = {}
    for cls in kind.__mro__[: kind.__mro__.index(Module)]:
        for name, member in vars(cls).items():
            if inspect.isroutine(member) and name != "__init__":
                found.setdefault(name, inspect.unwrap(member))
    return found


class _Reader:
    """Walks a method's statements, remembering the branches it is in."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Branches]] = []

    def block(self, statements: list[ast.stmt], branches: Branches) -> None:
        """Statements one after the other."""
        for statement in statements:
            self.visit(statement, branches)
            if isinstance(statement, ast.If) and _leaves(statement):
                branches = _inside(branches, statement, statement.test, "past")

    def visit(self, node: ast.AST, branches: Branches) -> None:
        """A statement or an expression and all that is in it."""
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            self.visit(node.test, branches)
            self._side(node.body, _inside(branches, node, node.test, "then"))
            self._side(node.orelse, _inside(branches, node, node.test, "else"))
            return
        if isinstance(node, ast.BoolOp):
            self.visit(node.values[0], branches)
            for i, value in enumerate(node.values[1:]):
                self.visit(value, _inside(branches, node, node.values[i], f"{i}"))
            return
        if isinstance(node, ast.ExceptHandler | ast.match_case):
            place = getattr(node, "lineno", getattr(node.body[0], "lineno", 0))
            self.block(node.body, (*branches, (place, 0, "case")))
            return
        if isinstance(node, ast.Call):
            name = _own_member(node.func)
            if name is not None:
                self.calls.append((name, branches))
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self.block(value, branches)
            else:
                for each in value if isinstance(value, list) else [value]:
                    if isinstance(each, ast.AST):
                        self.visit(each, branches)

    def _side(self, body: Any, branches: Branches) -> None:
        if isinstance(body, list):
            self.block(body, branches)
        else:
            self.visit(body, branches)


def _inside(branches: Branches, node: Any, test: ast.expr, side: str) -> Branches:
    """One more branch, unless the module's own settings decide."""
    names = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
    called = any(isinstance(n, ast.Call) for n in ast.walk(test))
    if names <= {"self"} and not called:
        return branches
    return (*branches, (node.lineno, node.col_offset, side))


def _leaves(statement: ast.If) -> bool:
    """Whether a branch ends the method or the round of a loop, with a result."""
    ends = (ast.Return, ast.Break, ast.Continue)
    return any(isinstance(node, ends) for node in ast.walk(statement))


def _own_member(function: ast.expr) -> str | None:
    """name of ``self.name`` or ``self.name[...]``."""
    while isinstance(function, ast.Subscript):
        function = function.value
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.attr if function.value.id == "self" else None
    return None
