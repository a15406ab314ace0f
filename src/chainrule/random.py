"""Seeded random numbers. The same seed gives the same bits on the same machine."""

from __future__ import annotations

import os
import secrets
from typing import Any

import numpy as np

from chainrule.errors import DTypeError


class Generator:
    """A stream of random numbers; ``rng`` is the NumPy generator (PCG64) behind it."""

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(secrets.randbits(63) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew from ``seed``."""
        self._seed = int(seed)
        self.rng = np.random.Generator(np.random.PCG64(self._seed))
        return self

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Where the stream stands, as plain numbers that JSON can hold."""
        return dict(self.rng.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.rng.bit_generator.state = state


default_generator = Generator()


class _HeldOverFork:
    """Keeps the default generator's lock while the process forks.

    Another thread that draws at this moment would leave it locked in the child for ever.
    """

    def hold(self) -> None:
        self._lock = default_generator.rng.bit_generator.lock
        self._lock.acquire()

    def let_go(self) -> None:
        self._lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    _held = _HeldOverFork()
    os.register_at_fork(
        before=_held.hold, after_in_parent=_held.let_go, after_in_child=_held.let_go
    )


def uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Floats drawn evenly from [0, 1); drawn in ``dtype``, since rounding could give 1."""
    dtype = np.dtype(dtype)
    if dtype == np.float16:  # 11 bits of a fraction
        return (rng.integers(0, 2048, shape) / 2048).astype(dtype)
    if dtype in (np.float32, np.float64):
        return rng.random(shape, dtype)
    raise DTypeError(f"random numbers in [0, 1) need a float dtype, got {dtype}")


def manual_seed(seed: int) -> Generator:
    """Seed the generator that everything random uses unless given another."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def seed() -> int:
    """Start the default generator anew from a number nobody knows, which is returned."""
    return default_generator.manual_seed(secrets.randbits(63)).initial_seed()
