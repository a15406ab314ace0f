"""How much memory a dataset may take."""

from __future__ import annotations

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
UNKNOWN = 8 * 2**30
"""Bytes assumed where the system does not say (macOS, Windows)."""


def default_memory_limit() -> int:
    """Bytes that decoded images may take: a quarter of the free memory this process can get."""
    return _free_memory() // 4


def _free_memory() -> int:
    """Bytes available on the machine, or all that the container may have if that is less."""
    limits = []
    try:
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, ValueError, KeyError):
        limits.append(UNKNOWN)
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no control group, or "max": no limit
            continue
    return min(limits)
