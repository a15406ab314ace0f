"""Switching recording off and on: ``with no_grad():`` or ``@no_grad()``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
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
        return _within(type(self), function)  # a block of its own: threads do not share one


def _within(block: Callable[[], Any], function: F) -> F:
    """``function`` with every call inside ``block()``; a generator: each of its steps."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with block():
            return function(*args, **kwargs)

    @functools.wraps(function)
    def generated(*args: Any, **kwargs: Any) -> Any:
        return _stepwise(block, function(*args, **kwargs))

    return generated if inspect.isgeneratorfunction(function) else called  # type: ignore


def _stepwise(block: Callable[[], Any], steps: Generator[Any, Any, Any]) -> Any:
    """The same generator; the mode holds while it runs, not while its user does."""
    send: Callable[..., Any] = steps.send
    given: Any = None
    try:
        while True:
            try:
                with block():
                    made = send(given)
            except StopIteration as end:
                return end.value
            try:
                send, given = steps.send, (yield made)
            except GeneratorExit:
                raise
            except BaseException as error:
                send, given = steps.throw, error
    finally:
        with block():
            steps.close()


class no_grad(_Mode):
    """Nothing inside is recorded: results do not require grad. Saves memory and time."""

    mode = False


class enable_grad(_Mode):
    """Recording is on inside, also within `no_grad`."""

    mode = True


class set_grad_enabled:
    """Record operations or not: from the call on, to the end of a ``with`` block, or, as a
    decorator, inside a function."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._before = grad_mode.enabled
        grad_mode.enabled = self.mode

    def __enter__(self) -> Self:
        grad_mode.enabled = self.mode
        return self

    def __exit__(self, *exc: object) -> None:
        grad_mode.enabled = self._before

    def __call__(self, function: F) -> F:
        grad_mode.enabled = self._before  # only the function is meant
        return _within(functools.partial(type(self), self.mode), function)


class inference_mode(_Mode):
    """As `no_grad`; ``inference_mode(False)`` as `enable_grad`. (PyTorch moreover forbids to use
    the results in a graph later; here they are ordinary tensors that need no gradient.)"""

    def __new__(cls, mode: Any = True) -> Any:
        if not isinstance(mode, bool):  # @inference_mode
            return cls(True)(mode)
        made = object.__new__(cls)
        made.mode, made._before = not mode, []
        return made

    def __call__(self, function: F) -> F:
        return _within(functools.partial(type(self), not self.mode), function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded now, in this thread."""
    return grad_mode.enabled
