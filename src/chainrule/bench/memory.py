"""Peak memory of a training step, each side in a fresh process.

    python -m chainrule.bench.memory MODEL SIDE THREADS

prints the megabytes that the process's resident memory rose, at its highest, over what it was
before the first of a few steps: activations, gradients, the optimizer's state, and what the
library keeps to work. Linux tells the highest level (VmHWM) and lets it be reset.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from chainrule.bench.case import Case, Settings
from chainrule.bench.libraries import OURS, SIDES, layouts, library
from chainrule.bench.models import MODELS
from chainrule.bench.result import Row
from chainrule.errors import ConfigError

STEPS = 3
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def cases() -> Iterator[Case]:
    """Every model, where the system can tell."""
    if not RESET.exists():
        return
    for name, model in MODELS.items():
        yield Case(
            f"memory/{name}",
            f"{name}, batch {model.batch}",
            partial(_measure, name),
            quick=name == "resnet20",
        )


def _measure(model: str, case: Case, settings: Settings) -> Row:
    sides = layouts(1 + len(MODELS[model].image))
    values = {side: in_a_process(model, side, settings.threads) for side in sides}
    if len(values) == 1:
        return Row(case.name, case.title, "MB", values)
    peer = min((s for s in values if s != OURS), key=values.__getitem__)
    return Row(case.name, case.title, "MB", values, peer, values[OURS] / max(values[peer], 1e-9))


def in_a_process(model: str, side: str, threads: int) -> float:
    """Megabytes that a process of its own measures."""
    from chainrule import kernels

    environment = dict(os.environ)
    if kernels.tier() == "native":
        environment["CHAINRULE_ISA"] = kernels.describe()["instruction_set"]
    command = [sys.executable, "-m", __name__, model, side, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode < 0:
        raise KeyboardInterrupt if done.returncode == -2 else MemoryError
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ConfigError(f"memory/{model}: the process of {side} failed: {last}")
    return float(done.stdout)


def rise(model: str, side: str, threads: int) -> float:
    """Megabytes that this process's memory rises while it trains."""
    import chainrule
    from chainrule.bench.steps import batch_of, training_step

    chainrule.set_num_threads(threads)
    if side != OURS:
        import torch

        torch.set_num_threads(threads)
    architecture = MODELS[model]
    step = training_step(library(side), architecture, *batch_of(architecture, architecture.batch))
    RESET.write_text("5")  # the highest level is now the present one
    before = _level("VmRSS")
    for _ in range(STEPS):
        step()
    return (_level("VmHWM") - before) * 1024 / 1e6


def _level(name: str) -> float:
    """A line of the process's status, in units of 1024 bytes."""
    (line,) = [x for x in STATUS.read_text().splitlines() if x.startswith(f"{name}:")]
    return float(line.split()[1])


if __name__ == "__main__":
    _model, _side, _threads = sys.argv[1:]
    assert _side in SIDES
    print(rise(_model, _side, int(_threads)))
