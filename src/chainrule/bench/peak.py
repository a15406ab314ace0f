"""The fastest that this processor multiplies and adds."""

from __future__ import annotations

import time

STEPS = 1_000_000
REPEATS = 40


def peak_gigaflops(threads: int) -> float:
    """10⁹ operations a second of independent multiply-adds, with the instruction set in use.

    The best of a few repeats: a peak is what nothing disturbs.
    """
    from chainrule.kernels import native

    best = 0.0
    for _ in range(REPEATS):
        start = time.perf_counter()
        operations = native.multiply_adds(STEPS, threads)
        best = max(best, operations / (time.perf_counter() - start) / 1e9)
    return best


def measure_peaks(threads: int) -> dict[str, dict[str, float]]:
    """Of every instruction set here, with one thread and with `threads`; none without native."""
    from chainrule import kernels

    if kernels.tier() != "native":
        return {}
    from chainrule.kernels import native

    before = native.instruction_set()
    peaks = {}
    try:
        for name in native.instruction_sets():
            native.choose_instruction_set(name)
            peaks[name] = {str(n): peak_gigaflops(n) for n in sorted({1, threads})}
    finally:
        native.choose_instruction_set(before)
    return peaks
