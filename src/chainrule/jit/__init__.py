"""Marks that code written for PyTorch leaves for its compiler. Python runs everything here.

``@torch.jit.script`` leaves a function or a model as it is: neighbouring operations are fused by
themselves. What writes or reads compiled programs is absent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from chainrule.errors import absent_name
from chainrule.nn.module import Module as ScriptModule

__all__ = [
    "Final", "ScriptModule", "annotate", "export", "ignore", "is_scripting", "is_tracing",
    "script", "script_if_tracing", "script_method", "unused",
]  # fmt: skip

T = TypeVar("T")


def script(obj: T, optimize: Any = None, example_inputs: Any = None) -> T:
    """``obj`` itself, a function or a module."""
    return obj


def script_if_tracing(fn: T) -> T:
    """``fn`` itself."""
    return fn


_script_if_tracing = script_if_tracing  # as torchvision writes it


def script_method(fn: T) -> T:
    """``fn`` itself, a method of a ScriptModule, which is `chainrule.nn.Module`."""
    return fn


def unused(fn: T) -> T:
    """``fn`` itself: nothing is left out of a program."""
    return fn


def export(fn: T) -> T:
    """``fn`` itself."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, also as ``@ignore(drop=True)``."""
    return drop if callable(drop) else lambda fn: fn


def annotate(the_type: Any, the_value: T) -> T:
    """``the_value``."""
    return the_value


def is_scripting() -> bool:
    """False, always."""
    return False


def is_tracing() -> bool:
    """False, always."""
    return False


def _overload_method(method: Callable[..., Any]) -> Callable[..., Any]:
    """A declaration of one of several forms; the one defined last counts, as in Python."""
    return method


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
