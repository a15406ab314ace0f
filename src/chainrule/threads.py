"""How many threads the numbers may use.

The default is what this process is allowed: its CPU affinity, cut by the quota of its
control group (containers), not the number of cores of the host.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

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


def _cgroup_quota(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> float | None:
    """The least CPU time per time that this process's control group and those around it allow.

    Version 2 writes it in ``cpu.max``, version 1 in ``cpu.cfs_quota_us`` and ``_period_us``.
    None: no limit. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst.
    """
    quotas = [_quota_in(folder) for folder in _own_cgroups(root, membership)]
    return min((q for q in quotas if q is not None), default=None)


def _own_cgroups(root: Path, membership: Path) -> list[Path]:
    """The folders of the groups this process is in, and of the groups around them."""
    folders = [root, root / "cpu"]
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # no /proc
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        top = root if controllers == "" else root / "cpu"
        if controllers == "" or "cpu" in controllers.split(","):
            own = PurePosixPath(path.lstrip("/"))
            folders += [top / group for group in (own, *own.parents)]
    return folders


def _quota_in(folder: Path) -> float | None:
    """CPUs that one group's files allow; None without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        cpus = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such files, or "max"
        return None
    return cpus if cpus > 0 else None


def get_num_threads() -> int:
    """Threads that kernels and matrix products use."""
    global _threads
    if _threads is None:
        _threads = available_cpus()
    return _threads


def set_num_threads(num: int) -> None:
    """Use ``num`` threads in the native kernels and in the BLAS behind NumPy."""
    global _threads
    if not isinstance(num, int) or num < 1:
        raise ConfigError(f"set_num_threads: expects a whole number of at least 1, got {num!r}")
    _threads = num
    import threadpoolctl

    threadpoolctl.threadpool_limits(num)
