"""Ctrl-C at a moment that leaves everything whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CleanInterrupt(KeyboardInterrupt):
    """Ctrl-C, noticed between two steps: the state is whole and can be saved."""


class Interrupt:
    """Whether Ctrl-C was pressed. `check` is called where stopping does no harm."""

    pressed = False

    def check(self) -> None:
        """Raise CleanInterrupt if Ctrl-C was pressed."""
        if self.pressed:
            raise CleanInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:  # a second time: the user will not wait for the step to end
            raise KeyboardInterrupt
        self.pressed = True


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Inside the block Ctrl-C only sets a mark; pressed twice, it interrupts at once.

    Signals reach the main thread alone: in another thread the mark is never set.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt._handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
