"""Memory of arrays comes back: a step that repeats asks the system for none."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import kernels, models, optim
from chainrule.nn import functional

try:
    from chainrule.kernels import _native
except ImportError:
    _native = None

pytestmark = pytest.mark.skipif(_native is None, reason="the native kernels were not built")


def training_step() -> Callable[[], None]:
    model = models.lenet5()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = cr.randn(16, 1, 28, 28), cr.tensor([k % 10 for k in range(16)])

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def keeps_blocks() -> bool:
    """Not so in a build for sanitizers, which must see every block come and go."""
    _native.empty([1000])
    return _native.kept_bytes() > 0


@pytest.fixture
def one_thread() -> Iterator[None]:
    """How many tasks work at a time, each with memory of its own, is else left to chance."""
    before = cr.get_num_threads()
    cr.set_num_threads(1)
    yield
    cr.set_num_threads(before)


def test_a_steady_training_step_asks_the_system_for_no_block(one_thread):
    if not keeps_blocks():
        pytest.skip("this build keeps no blocks")
    step = training_step()
    for _ in range(2):
        step()
    before = _native.allocations()
    for _ in range(3):
        step()
    assert _native.allocations() == before


def test_memory_serves_blocks_of_other_sizes():
    if not keeps_blocks():
        pytest.skip("this build keeps no blocks")
    _native.release_kept()
    large = _native.empty([3 << 20])  # 12 MB
    del large
    before = _native.allocations()
    parts = [_native.empty([900 << 10]) for _ in range(3)]  # cut from it
    parts.reverse()
    del parts  # and merged again
    _native.empty([3 << 20])
    assert _native.allocations() == before


def test_blocks_that_are_taken_never_overlap():
    """And keep what is in them while others come and go, also to the system."""
    rng = np.random.default_rng(0)
    held = []
    for turn in range(2000):
        if len(held) < 30:
            size = int(2 ** rng.uniform(0, 19))
            block = _native.empty([size])
            assert block.ctypes.data % 64 == 0
            block[...] = turn
            held.append(block)
        else:
            block = held.pop(int(rng.integers(len(held))))
            first = block.flat[0]
            assert (block == first).all()
            del block
            assert all(other.flat[0] != first for other in held)
        if turn % 500 == 499:
            _native.release_kept()
            assert _native.kept_bytes() == 0
    for block in held:
        assert (block == block.flat[0]).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_children_forked_while_another_thread_takes_blocks_can_take_some(one_thread):
    """A kernel lets other threads run, so one may fork while it holds the memory's lock."""
    x, weight = cr.ones(64, 16, 2, 2).numpy(), cr.ones(16, 16, 3, 3).numpy()
    done = threading.Event()

    def keep_taking() -> None:
        while not done.is_set():
            kernels.conv2d_weight_grad(x, x, weight.shape, (1, 1), (1, 1), (1, 1), 1)

    threads = [threading.Thread(target=keep_taking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # ends the child if it waits for ever
                _native.empty([1000])
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_block_of_whole_huge_pages_takes_no_further_one():
    import resource

    if not keeps_blocks():
        pytest.skip("this build keeps no blocks")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    _native.release_kept()
    before = resident()
    blocks = [_native.empty([1 << 20]) for _ in range(10)]  # 4 MB each
    for block in blocks:
        block[...] = 1
    assert 40 * 2**20 <= resident() - before < 45 * 2**20


@pytest.mark.parametrize(
    "shape", [(1 << 40, 1 << 40), (1 << 61,), (3, 1 << 62), (1 << 32, 1 << 32)]
)
def test_sizes_beyond_memory_raise(shape):
    with pytest.raises(MemoryError):
        _native.empty(shape)
