"""What a library costs before it does anything: time to import it, space on the disk."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from chainrule.bench.case import Case, Settings
from chainrule.bench.libraries import DEFAULT, OURS, why_torch_is_absent
from chainrule.bench.result import Row

IMPORTS = 5


def cases() -> Iterator[Case]:
    """Import, and installed size where there is an installation to measure."""
    yield Case("import/time", "import, over the start of Python", _import)
    if installed_files(OURS):
        yield Case("size/installed", "installed with all it needs", _size)


def _libraries() -> list[str]:
    return [OURS] if why_torch_is_absent() else [OURS, DEFAULT]


def _row(case: Case, unit: str, values: dict[str, float], rounds: int = 1) -> Row:
    if DEFAULT not in values:
        return Row(case.name, case.title, unit, values, rounds=rounds)
    ratio = values[OURS] / values[DEFAULT]
    return Row(case.name, case.title, unit, values, DEFAULT, ratio, rounds=rounds)


def _import(case: Case, settings: Settings) -> Row:
    rounds = 1 if settings.quick else min(IMPORTS, settings.rounds)
    values = {name: import_seconds(name, rounds) for name in _libraries()}
    return _row(case, "s", values, rounds)


def _size(case: Case, settings: Settings) -> Row:
    values = {name: installed_megabytes(name) for name in _libraries()}
    return _row(case, "MB", values)


def import_seconds(module: str, rounds: int) -> float:
    """Median seconds that a fresh interpreter needs for ``import module``, over its start."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    run(f"import {module}")  # fills the system's cache of files
    return statistics.median(run(f"import {module}") - run("pass") for _ in range(rounds))


def installed_megabytes(name: str) -> float:
    """Of a distribution and all that it requires, without bytecode: units of 10⁶ bytes."""
    return sum(file.stat().st_size for one in required(name) for file in installed_files(one)) / 1e6


def required(name: str) -> set[str]:
    """A distribution and those that it requires here, without extras."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    todo = [name]
    while todo:
        one = canonicalize_name(todo.pop())
        if one in found:
            continue
        try:
            lines = distribution(one).requires or []
        except PackageNotFoundError:  # for another system
            continue
        found.add(one)
        wanted = [Requirement(line) for line in lines]
        todo += [r.name for r in wanted if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def installed_files(name: str) -> list[Path]:
    """The files of a distribution that are there; none if it is not installed, or editable."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return []
    if '"editable": true' in (found.read_text("direct_url.json") or ""):
        return []  # its files lie elsewhere, among others that are not installed
    files = found.files or []
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return [path for path in paths if path.is_file()]
