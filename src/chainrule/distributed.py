"""Training by several processes, which there is not: the question is answered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import absent_name

__all__ = ["is_available", "is_initialized"]


def is_available() -> bool:
    """False: one process trains, with as many threads as set_num_threads says."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
