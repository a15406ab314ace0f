"""The threads that native kernels share their work with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import chainrule as cr
from chainrule import kernels

try:
    from chainrule.kernels import _native
except ImportError:
    _native = None

pytestmark = [
    pytest.mark.skipif(_native is None, reason="the native kernels were not built"),
    pytest.mark.skipif(sys.platform != "linux", reason="Linux says where threads may run"),
]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = cr.get_num_threads()
    cr.set_num_threads(2)
    yield
    cr.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_worker_woken_beside_its_caller_may_run_everywhere_afterwards() -> None:
    allowed, caller = os.sched_getaffinity(0), threading.get_native_id()
    x = np.linspace(-1, 1, 1 << 23, dtype=np.float32)
    with kernels.use("native"):
        expected = kernels.relu(x)  # starts the worker
        workers = [int(task) for task in os.listdir("/proc/self/task") if int(task) != caller]
        assert workers
        try:
            os.sched_setaffinity(caller, {min(allowed)})
            for _ in range(20):
                for worker in workers:
                    os.sched_setaffinity(worker, {min(allowed)})  # moves it here
                    os.sched_setaffinity(worker, allowed)
                y = kernels.relu(x)  # takes longer than the worker waits for its turn
        finally:
            os.sched_setaffinity(caller, allowed)
    np.testing.assert_array_equal(y, expected)
    assert all(os.sched_getaffinity(worker) == allowed for worker in workers)


MANY_THREADS = """
import numpy as np, chainrule as cr
from chainrule import kernels
x = np.linspace(-1, 1, 5_000_011, dtype=np.float32)
results = []
for threads in (1, 2, 3, 7, 64, 65, 90, 2):
    cr.set_num_threads(threads)
    results.append(kernels.relu(x))
assert kernels.tier() == "native"
assert all(np.array_equal(y, np.maximum(x, 0)) for y in results)
"""


def test_every_task_is_done_by_any_number_of_threads() -> None:
    """Also by more than share_ in threads.cpp has places; in a process of its own, to end them."""
    subprocess.run([sys.executable, "-c", MANY_THREADS], check=True)
