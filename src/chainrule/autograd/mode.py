"""Switching recording off and on: ``with no_grad():`` or ``@no_grad()``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self, TypeVar

from chainrule.autograd.graph import grad_mode

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A mode that holds inside a ``with`` block or a decorated function; may be nested."""

    mode: bool
    _before: list[bool]

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        made._before = []
        return made if function is None else made(function)

    def __enter__(self) -> Self:
        self._before.append(grad_mode.enabled)
        grad_mode.enabled = self.mode
        return self

    def __exit__(self, *exc: object) -> None:
        grad_mode.enabled = self._before.pop()

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():  # its own, so that threads do not share one
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(_Mode):
    """Nothing inside is recorded: results do not require grad. Saves memory and time."""

    mode = False


class enable_grad(_Mode):
    """Recording is on inside, also within `no_grad`."""

    mode = True


class set_grad_enabled:
    """Record operations or not: from the call on, or to the end of a ``with`` block."""

    def __init__(self, mode: bool) -> None:
        self._mode = bool(mode)
        self._before = grad_mode.enabled
        grad_mode.enabled = self._mode

    def __enter__(self) -> Self:
        grad_mode.enabled = self._mode
        return self

    def __exit__(self, *exc: object) -> None:
        grad_mode.enabled = self._before


def is_grad_enabled() -> bool:
    """Whether operations are recorded now, in this thread."""
    return grad_mode.enabled
