"""Ctrl-C, or the system's wish to end the process, at a moment that leaves everything whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)  # a terminal was closed; Windows does not know it
SIGNALS = [signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else [])]


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

    Signals reach the main thread alone: in another thread the mark is never set. SIGHUP that
    is ignored, as under nohup, stays so.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before.get(HANGUP) == signal.SIG_IGN:
        del before[HANGUP]
    for number in before:
        signal.signal(number, interrupt._handle)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
