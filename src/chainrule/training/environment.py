"""Facts about the machine and the software, for a run folder and for bug reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from chainrule import kernels
from chainrule.threads import available_cpus, get_num_threads


def describe_environment() -> dict[str, Any]:
    """Versions, processor, kernels and threads, as JSON can hold them."""
    from chainrule import __version__

    return {
        "chainrule": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("numpy", "pillow", "safetensors", "rich")},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpus": available_cpus(),
        "threads": get_num_threads(),
        "kernels": kernels.describe(),
        "executable": sys.executable,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
