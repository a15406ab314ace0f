"""Compare a training step and the weight of the package with PyTorch's.

    pip install ".[parity]" && python -m benchmarks

Both sides run in one process, in turn, on the same data and the same number of threads: a few
steps of the one, a few of the other. The ratio is the median of the ratios of neighbouring
turns, so that a machine whose speed drifts does not decide. The first steps of a turn do not
count: the threads of the side before spin for a while and take a core from them. Peer:
PyTorch in its faster memory layout.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from benchmarks.steps import CASES

WARM_UP, COUNTED = 3, 5  # steps of a turn


def alternate(
    ours: Callable[[], Any], theirs: Sequence[Callable[[], Any]], rounds: int
) -> dict[str, float]:
    """Median milliseconds of each side, and the median ratio to the fastest of the others."""
    turns = [[turn(f) for f in (ours, *theirs)] for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*turns, strict=True)]
    best = min(range(1, len(medians)), key=medians.__getitem__)
    return {
        "chainrule_ms": medians[0],
        "torch_ms": medians[best],
        "ratio": statistics.median(row[0] / row[best] for row in turns),
    }


def turn(step: Callable[[], Any]) -> float:
    """Median milliseconds of a few steps in a row."""
    times = []
    for _ in range(WARM_UP + COUNTED):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[WARM_UP:])


def import_seconds(module: str, rounds: int = 5) -> float:
    """Median seconds that a fresh interpreter needs for ``import module``, over its start."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    run(f"import {module}")
    return statistics.median(run(f"import {module}") - run("pass") for _ in range(rounds))


def installed_megabytes(names: Sequence[str]) -> float:
    """Disk space of the files of installed distributions, in units of 10^6 bytes."""
    total = 0
    for name in names:
        found = distribution(name)
        for file in found.files or ():
            path = Path(str(found.locate_file(file)))
            if path.is_file():
                total += path.stat().st_size
    return total / 1e6


CORE = (
    "chainrule", "numpy", "pillow", "safetensors", "rich", "click", "pooch", "threadpoolctl",
    "markdown-it-py", "mdurl", "pygments", "platformdirs", "packaging", "requests", "urllib3",
    "certifi", "idna", "charset-normalizer",
)  # fmt: skip


def main() -> None:
    """Run the cases and print a table; --json also writes the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], help="default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()

    import torch

    import chainrule

    chainrule.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {
        "cpu": platform.processor() or platform.machine(),
        "kernels": chainrule.kernels.describe(),
        "versions": {"chainrule": chainrule.__version__, "torch": torch.__version__},
        "threads": options.threads,
        "steps": {},
    }
    print(f"training step, {options.threads} threads, median of {options.rounds} turns")
    for name in options.cases or CASES:
        ours, theirs = CASES[name]()
        figures = result["steps"][name] = alternate(ours, theirs, options.rounds)
        print(
            f"{name:24s} chainrule {figures['chainrule_ms']:8.2f} ms   "
            f"torch {figures['torch_ms']:8.2f} ms   {figures['ratio']:.2f}x"
        )
    for module in ("chainrule", "torch"):
        result[f"import_{module}_s"] = import_seconds(module)
        print(f"import {module:17s} {result[f'import_{module}_s']:.2f} s")
    for label, names in (("chainrule, all it needs", CORE), ("torch alone", ("torch",))):
        size = installed_megabytes(names)
        result[f"installed {label}"] = size
        print(f"{label:24s} {size:.0f} MB installed")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
