"""There are no GPUs; questions are answered so, and what is asked of all of them is done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from chainrule.cuda import amp as amp
from chainrule.errors import absent_name

__all__ = [
    "device_count", "empty_cache", "is_available", "is_initialized", "manual_seed",
    "manual_seed_all", "max_memory_allocated", "max_memory_reserved", "memory_allocated",
    "memory_reserved", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed nothing: there is no such device. `chainrule.manual_seed` seeds the CPU."""


def manual_seed_all(seed: int) -> None:
    """Seed nothing, as manual_seed."""


def empty_cache() -> None:
    """Empty nothing."""


def synchronize(device: Any = None) -> None:
    """Wait for nothing."""


def memory_allocated(device: Any = None) -> int:
    """0: there is no such memory."""
    return 0


memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
