"""Seeded streams of random numbers."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.random import Generator, default_generator


def test_same_seed_same_stream() -> None:
    a, b = Generator(7), Generator(7)
    np.testing.assert_array_equal(a.rng.random(5), b.rng.random(5))
    assert a.initial_seed() == 7
    assert not np.array_equal(a.rng.random(5), Generator(8).rng.random(5))


def test_a_stream_can_be_started_anew() -> None:
    g = Generator(1)
    first = g.rng.random(3)
    assert g.manual_seed(1) is g
    np.testing.assert_array_equal(g.rng.random(3), first)


def test_without_a_seed_streams_differ() -> None:
    assert Generator().initial_seed() != Generator().initial_seed()


def test_state_survives_json() -> None:
    g = Generator(3)
    g.rng.random(10)
    state = json.loads(json.dumps(g.get_state()))
    expected = g.rng.random(4)
    other = Generator(99)
    other.set_state(state)
    np.testing.assert_array_equal(other.rng.random(4), expected)


def test_state_is_a_copy() -> None:
    g = Generator(3)
    state = g.get_state()
    g.rng.random(10)
    g.set_state(state)
    np.testing.assert_array_equal(g.rng.random(2), Generator(3).rng.random(2))


def test_manual_seed_seeds_the_default() -> None:
    assert cr.manual_seed(11) is default_generator
    assert cr.initial_seed() == 11
    a = cr.randn(3).array
    cr.manual_seed(11)
    np.testing.assert_array_equal(cr.randn(3).array, a)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_forked_while_another_thread_draws_can_draw():
    locked = threading.Event()

    def draw_slowly():
        with default_generator.rng.bit_generator.lock:
            locked.set()
            time.sleep(0.2)

    other = threading.Thread(target=draw_slowly)
    other.start()
    locked.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # ends a child that waits for ever
        cr.rand(3)
        os._exit(0)
    other.join()
    assert os.waitpid(child, 0)[1] == 0
