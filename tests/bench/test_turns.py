"""Comparing two functions in turns."""

import pytest

from chainrule.bench import turns
from chainrule.bench.turns import Pace, compare, geometric_mean, quartiles_of, run, turn

SHORT = Pace(rounds=3, warm_up_seconds=0, counted_seconds=0)


class Clock:
    """Time that passes only while a step runs."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(turns.time, "perf_counter", lambda: self.now)

    def step(self, *durations):
        """A step that takes these seconds, one after the other, the last for ever."""
        left = list(durations)

        def step():
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return step


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_the_ratio_is_against_the_fastest_of_the_others(clock):
    sides = {"ours": clock.step(2.0), "slow": clock.step(8.0), "fast": clock.step(4.0)}
    found = compare(sides, SHORT)
    assert found.seconds == {"ours": 2.0, "slow": 8.0, "fast": 4.0}
    assert (found.peer, found.ratio, found.quartiles, found.rounds) == ("fast", 0.5, (0.5, 0.5), 3)


def test_a_peer_can_be_named(clock):
    sides = {"ours": clock.step(2.0), "slow": clock.step(8.0), "fast": clock.step(4.0)}
    assert compare(sides, SHORT, "slow").ratio == 0.25


def test_alone_there_is_no_ratio(clock):
    found = compare({"ours": clock.step(2.0)}, SHORT)
    assert (found.seconds, found.peer, found.ratio) == ({"ours": 2.0}, None, None)


def test_warming_up_does_not_count(clock):
    pace = Pace(warm_up=3, warm_up_seconds=0, counted=5, counted_seconds=0, most=1000)
    assert turn(clock.step(9, 9, 9, 1, 1, 1, 1, 1, 9), pace) == 1
    assert clock.now == 3 * 9 + 5


def test_a_part_of_a_turn_lasts_long_enough_and_not_too_long(clock):
    assert len(run(clock.step(0.125), 3, 1.0, 9)) == 8  # until the second is over
    assert len(run(clock.step(0.125), 3, 0.0, 9)) == 3
    assert len(run(clock.step(5.0), 3, 0.0, 1.0)) == 1  # the first was long enough


def test_a_step_that_takes_long_is_not_warmed_up(clock):
    pace = Pace(rounds=1, warm_up=1, counted=1, most=1.0)
    compare({"ours": clock.step(2.0)}, pace)
    assert clock.now == 2 * 2.0  # the first step, and the one that counts


def test_no_further_round_begins_when_the_time_is_over(clock):
    pace = Pace(rounds=9, fewest_rounds=2, seconds=1.0, warm_up=0, warm_up_seconds=0)
    assert compare({"ours": clock.step(2.0)}, pace).rounds == 2


def test_a_machine_whose_speed_drifts_does_not_decide(clock):
    def drifting():
        clock.now += 1 + clock.now / 10

    # each round is slower than the one before, but the neighbours in it are alike
    found = compare({"ours": drifting, "theirs": drifting}, Pace(15, 15, 1e9, 0, 0, 1, 0))
    assert found.ratio == pytest.approx(1 / 1.1)
    assert found.quartiles == pytest.approx((1 / 1.1, 1 / 1.1))


def test_means():
    assert geometric_mean([0.5, 2.0, 1.0]) == pytest.approx(1.0)
    assert quartiles_of([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert quartiles_of([7.0]) == (7.0, 7.0)
