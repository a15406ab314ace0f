"""Choosing cases, and measuring them one by one."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from chainrule import kernels
from chainrule.bench import footprint, kernel_cases, memory, overhead, steps
from chainrule.bench.case import Case, Settings
from chainrule.bench.libraries import why_torch_is_absent
from chainrule.bench.peak import measure_peaks
from chainrule.bench.result import Result, Row
from chainrule.errors import ConfigError
from chainrule.threads import set_num_threads
from chainrule.training.environment import describe_environment

SOURCES = (steps, kernel_cases, overhead, memory, footprint)


def all_cases() -> list[Case]:
    """Every case that this machine can run, in the order of the report.

    A case that asks for an instruction set is here only where that is not in use anyway.
    """
    facts = kernels.describe()
    others: list[str] = []
    if facts["tier"] == "native":
        from chainrule.kernels import native

        others = [s for s in native.instruction_sets() if s != facts["instruction_set"]]
    return [
        case
        for source in SOURCES
        for case in source.cases()
        if case.instruction_set in (None, *others)
    ]


def select(patterns: Sequence[str], quick: bool = False) -> list[Case]:
    """The cases that patterns name: a whole name, a part of one, or * and ? as for files.

    Without patterns, all; a quick run then leaves some out. Raises ConfigError for a pattern
    that names nothing.
    """
    cases = all_cases()
    if not patterns:
        return [case for case in cases if case.quick or not quick]
    chosen: set[str] = set()
    for pattern in patterns:
        picked = _picks(pattern, cases)
        if not picked:
            groups = dict.fromkeys(case.name.partition("/")[0] for case in cases)
            raise ConfigError(
                f"bench: no case is called {pattern!r}; the groups are {', '.join(groups)}, "
                "and chainrule bench --list shows all names"
            )
        chosen.update(case.name for case in picked)
    return [case for case in cases if case.name in chosen]


def _picks(pattern: str, cases: Sequence[Case]) -> list[Case]:
    """By the whole name, else by * and ?, else by a part of the name."""
    whole = [case for case in cases if case.name == pattern]
    if whole:
        return whole
    wild = any(sign in pattern for sign in "*?[")
    glob = pattern if wild and "/" in pattern else f"*/{pattern}" if wild else f"*{pattern}*"
    return [case for case in cases if fnmatchcase(case.name, glob)]


def begin(settings: Settings, instruction_set: str | None = None) -> Result:
    """Set up both libraries; the result, still without rows. Raises ConfigError."""
    set_up(settings.threads, instruction_set)
    machine = {k: v for k, v in describe_environment().items() if k != "executable"}
    machine["packages"]["torch"] = _torch_version()
    machine["load"] = _load()
    return Result(machine, settings.threads, settings.quick, measure_peaks(settings.threads))


def set_up(threads: int, instruction_set: str | None = None) -> None:
    """Threads of both libraries, and our instruction set. Raises ConfigError."""
    if instruction_set is not None:
        _choose(instruction_set)
    set_num_threads(threads)
    if not why_torch_is_absent():
        import torch

        torch.set_num_threads(threads)


def measure(case: Case, settings: Settings) -> Row:
    """One case, with memory that the cases before it do not hold."""
    gc.collect()
    if kernels.tier() == "native":
        from chainrule.kernels import native

        native.release_kept()
    with _instruction_set(case.instruction_set):
        row = case.measure(case, settings)
        return replace(row, instruction_set=kernels.describe()["instruction_set"])


@contextmanager
def _instruction_set(name: str | None) -> Iterator[None]:
    if name is None:
        yield
        return
    from chainrule.kernels import native

    before = native.instruction_set()
    native.choose_instruction_set(name)
    try:
        yield
    finally:
        native.choose_instruction_set(before)


def _choose(name: str) -> None:
    if kernels.tier() != "native":
        raise ConfigError(
            f"bench: instruction set {name!r} needs the native kernels; the {kernels.tier()} "
            "tier is in use (chainrule info says why)"
        )
    from chainrule.kernels import native

    native.choose_instruction_set(name)


def _load() -> float | None:
    """How many processes wanted a CPU in the last minute, on average; None if not told."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):  # Windows
        return None


def _torch_version() -> Any:
    if why_torch_is_absent():
        return None
    import torch

    return torch.__version__
