"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.errors import ConfigError, DTypeError
from chainrule.optim.lr_scheduler.base import LRScheduler, assign, values
from chainrule.optim.lr_scheduler.plateau import ReduceLROnPlateau
from chainrule.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """Several schedules of one optimizer, whose states are saved with the whole."""

    _schedulers: Sequence[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer) -> None:
        name = type(self).__name__
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise DTypeError(
                    f"{name}: number {i} is no schedule, but a {type(scheduler).__name__}"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ConfigError(
                    f"{name}: number {i} is a ReduceLROnPlateau, which needs a metric at each "
                    "step; step it on its own"
                )
            if scheduler.optimizer is not optimizer:
                raise ConfigError(
                    f"{name}: every schedule must be of the same optimizer, number {i} "
                    f"({type(scheduler).__name__}) is of another"
                )

    def state_dict(self) -> dict[str, Any]:
        """The state of each schedule under "_schedulers", and the epoch."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        state = dict(state_dict)
        states = state.pop("_schedulers")
        if len(states) != len(self._schedulers):
            raise ConfigError(
                f"{type(self).__name__}.load_state_dict: the state is of {len(states)} schedules, "
                f"here are {len(self._schedulers)}"
            )
        super().load_state_dict(state)
        for scheduler, held in zip(self._schedulers, states, strict=True):
            scheduler.load_state_dict(held)


class SequentialLR(_Combined):
    """One schedule after the other: the next begins, at its epoch 0, at each milestone.

    A warm-up of 5 epochs and a cosine over the 85 that are left:

        warmup = LinearLR(optimizer, start_factor=0.01, total_iters=5)
        cosine = CosineAnnealingLR(optimizer, T_max=85)
        schedule = SequentialLR(optimizer, [warmup, cosine], milestones=[5])

    Raises ConfigError (not one milestone fewer than schedules; schedules of other optimizers;
    a `ReduceLROnPlateau`, which needs a metric).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1:
            raise ConfigError(
                "SequentialLR: give one milestone fewer than schedules; "
                f"got {len(schedulers)} schedules and {len(milestones)} milestones"
            )
        self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Every schedule set its first rates when it was made; only the first to act should have.
        for group in optimizer.param_groups:
            assign(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = self._schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: LRScheduler | None = None) -> None:
        """Take back the first step of each schedule, in schedules of schedules too."""
        if isinstance(scheduler := sched or self, _Combined):
            for part in scheduler._schedulers:
                self.recursive_undo(part)
        else:
            scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """Go on to the next epoch."""
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """All schedules at once: their factors multiply, where they are chainable.

    Raises ConfigError (none at all; schedules of other optimizers; a `ReduceLROnPlateau`).
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if len(schedulers) < 1:
            raise ConfigError("ChainedScheduler: give at least one schedule")
        optimizer = optimizer or getattr(schedulers[0], "optimizer", None)
        self._check(schedulers, optimizer)  # type: ignore[arg-type]
        self._schedulers = schedulers
        self.optimizer = optimizer  # type: ignore[assignment]
        self._last_lr = values(self.optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]
        """Go on to the next epoch, in every schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = values(self.optimizer, "lr")
