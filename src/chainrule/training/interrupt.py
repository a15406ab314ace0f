"""Ctrl-C, or the system's wish to end the process, at a moment that leaves everything whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a scheduler, a terminal that is closed
    if (number := getattr(signal, name, None)) is not None  # Windows knows no SIGHUP
]


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
    """Inside the block `SIGNALS` only set a mark; the second one interrupts at once.

    Signals reach the main thread alone: in another thread the mark is never set. What the
    caller ignores stays ignored, as SIGHUP under nohup.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {
        number: handler
        for number in SIGNALS
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, interrupt._handle)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
