"""How many threads the numbers may use.

The default is what this process is allowed: its CPU affinity, cut by the quota of its
control group (containers), not the number of cores of the host.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from chainrule.errors import ConfigError

_threads: int | None = None


def available_cpus() -> int:
    """CPUs this process may use: the affinity mask, or the cgroup's quota if that is less."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        cpus = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPU time per time that the control group allows (v2 ``cpu.max``, v1 ``cfs_quota``)."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        cpus = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return cpus if cpus > 0 else None


def get_num_threads() -> int:
    """Threads that kernels and matrix products use."""
    global _threads
    if _threads is None:
        _threads = available_cpus()
    return _threads


def set_num_threads(n: int) -> None:
    """Use ``n`` threads in the native kernels and in the BLAS behind NumPy."""
    global _threads
    if not isinstance(n, int) or n < 1:
        raise ConfigError(f"set_num_threads: expects a whole number of at least 1, got {n!r}")
    _threads = n
    import threadpoolctl

    threadpoolctl.threadpool_limits(n)
