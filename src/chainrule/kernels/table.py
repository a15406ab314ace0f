"""Which function stands behind each kernel's name."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ..errors import ConfigError
from . import reference

__all__ = ["activate", "contracts", "describe", "tier", "use"]

TIERS = ("reference", "native", "naive")
VARIABLE = "CHAINRULE_KERNELS"

_active = "reference"


def contracts() -> list[str]:
    """Names of all kernels; every tier answers to each of them."""
    return list(reference.__all__)


def tier() -> str:
    """Name of the active tier."""
    return _active


def activate(name: str | None = None) -> None:
    """Make a tier answer ``kernels.<name>``; None: the environment's choice, else the fastest.

    Raises ConfigError for an unknown tier, or for native where it was not built.
    """
    global _active
    asked = name or os.environ.get(VARIABLE) or None
    chosen = asked or ("native" if why_native_is_absent() is None else "reference")
    table = _functions(chosen)
    vars(sys.modules[__package__]).update(table)
    _active = chosen


@contextmanager
def use(name: str) -> Iterator[None]:
    """Run a block on another tier (for tests and comparisons; not safe across threads)."""
    before = _active
    activate(name)
    try:
        yield
    finally:
        activate(before)


def describe() -> dict[str, Any]:
    """Facts for a bug report: tier, instruction set, threads, why native is absent."""
    from ..threads import get_num_threads

    facts: dict[str, Any] = {"tier": _active, "threads": get_num_threads()}
    reason = why_native_is_absent()
    if reason is None:
        from . import native

        facts |= {"instruction_set": native.instruction_set(), "native": sorted(native.__all__)}
    else:
        facts |= {"instruction_set": "NumPy's", "native_absent": reason}
    return facts


def why_native_is_absent() -> str | None:
    """None where the native kernels can be used, else one sentence."""
    try:
        import_module(".native", __package__)
    except ImportError as error:
        return str(error)
    return None


def _functions(name: str) -> dict[str, Callable[..., Any]]:
    """The complete table of one tier: its own entries over reference's."""
    if name not in TIERS:
        raise ConfigError(
            f"kernels: unknown tier {name!r}; choose one of {', '.join(TIERS)} "
            f"(the environment variable {VARIABLE} sets it)"
        )
    if name == "native" and (reason := why_native_is_absent()):
        raise ConfigError(f"kernels: the native tier cannot be used: {reason}")
    module = import_module(f".{name}", __package__)
    own = {entry: getattr(module, entry) for entry in module.__all__}
    return {entry: getattr(reference, entry) for entry in contracts()} | own
