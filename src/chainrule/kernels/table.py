"""Which function stands behind each kernel's name."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from chainrule.errors import ConfigError
from chainrule.kernels import reference

__all__ = ["activate", "activate_on_import", "contracts", "describe", "tier", "use"]

TIERS = ("reference", "native", "naive")
VARIABLE = "CHAINRULE_KERNELS"

_active = "reference"
_refusal: ConfigError | None = None


def contracts() -> list[str]:
    """Names of all kernels; every tier answers to each of them."""
    return list(reference.__all__)


def tier() -> str:
    """Name of the active tier; raises ConfigError while the environment asks for nonsense."""
    if _refusal:
        raise _refusal
    return _active


def activate(name: str | None = None) -> None:
    """Make a tier answer ``kernels.<name>``; None: the environment's choice, else the fastest.

    Raises ConfigError for an unknown tier, or for native where it was not built.
    """
    global _active, _refusal
    asked = name or os.environ.get(VARIABLE) or None
    chosen = asked or ("native" if why_native_is_absent() is None else "reference")
    table = _functions(chosen)
    vars(sys.modules[__package__]).update(table)
    _active, _refusal = chosen, None


def activate_on_import() -> None:
    """As activate(), but a wrong setting is raised by the first kernel that is called.

    `import chainrule` must work: the command line says what is wrong in one line only once it
    runs.
    """
    global _refusal
    try:
        activate()
    except ConfigError as error:
        _refusal = refusal = error

        def refuse(*args: Any, **kwargs: Any) -> NoReturn:
            raise refusal

        vars(sys.modules[__package__]).update(dict.fromkeys(contracts(), refuse))


@contextmanager
def use(name: str) -> Iterator[None]:
    """Run a block on another tier (for tests and comparisons; not safe across threads)."""
    before = tier()
    activate(name)
    try:
        yield
    finally:
        activate(before)


def describe() -> dict[str, Any]:
    """Facts for a bug report: tier, instruction set, threads, why native is absent."""
    from chainrule.threads import get_num_threads

    facts: dict[str, Any] = {"tier": tier(), "threads": get_num_threads()}
    if reason := why_native_is_absent():
        return facts | {"instruction_set": "NumPy's", "native_absent": reason}
    from chainrule.kernels import native

    if _active == "native":
        facts |= {"instruction_set": native.instruction_set(), "winograd": native.winograd()}
    else:
        facts |= {"instruction_set": "NumPy's"}
    return facts | {"native": sorted(native.__all__)}


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
