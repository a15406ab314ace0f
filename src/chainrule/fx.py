"""Marks that code written for PyTorch leaves for its tracer. Python runs everything here.

What records or rewrites programs is absent; a model's parts are reached by hooks
(`nn.Module.register_forward_hook`) and by name (`get_submodule`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from chainrule.errors import absent_name

__all__ = ["wrap"]

T = TypeVar("T")


def wrap(fn_or_name: T) -> T:
    """``fn_or_name`` itself, a function or its name: no call of it is ever traced."""
    return fn_or_name


def _assert(condition: Any, message: str) -> None:
    """``assert condition, message``: PyTorch's ``torch._assert``, which its tracer can follow."""
    assert condition, message


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
