"""A schedule that waits for progress to end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from chainrule.errors import ConfigError, GroupsError
from chainrule.optim.lr_scheduler.base import (
    LRScheduler,
    assign,
    checked,
    for_each_group,
    values,
    warn_of_epoch,
)
from chainrule.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by factor when a metric has not improved for more than patience epochs.

    mode: "min" for a loss, "max" for an accuracy. An epoch is better than the best so far by
    more than threshold: a part of the best (threshold_mode "rel"), or a difference ("abs").
    After a reduction, cooldown epochs are not counted. min_lr: never below, one for all groups
    or one for each. A change of eps or less is not made.

    Call ``step(metric)`` after each validation.
    Raises ConfigError (factor not below 1, unknown modes, min_lr for other groups),
    GroupsError (a RuntimeError: a group was added, and min_lrs has nothing for it).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ConfigError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        self.factor = factor
        self.optimizer = checked(optimizer)
        self.default_min_lr: float | None
        if isinstance(min_lr, list | tuple):
            self.default_min_lr = None
        else:
            self.default_min_lr = min_lr  # type: ignore[assignment]
        self.min_lrs = for_each_group("min_lr", optimizer, min_lr)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = values(optimizer, "lr")
        self._init_is_better(mode, threshold, threshold_mode)
        self._reset()

    def _reset(self) -> None:
        """Forget the metrics so far."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of an epoch's metric, and lower the rates where it is time."""
        if epoch is not None:
            warn_of_epoch()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        current = float(metrics)
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = values(self.optimizer, "lr")

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs) and self.default_min_lr is not None:
            self.min_lrs = [self.default_min_lr] * len(groups)
        if len(groups) != len(self.min_lrs):
            raise GroupsError(
                "ReduceLROnPlateau: The number of param groups in the optimizer "
                f"({len(groups)}) is not the number of min_lrs ({len(self.min_lrs)}); where a "
                "group was added, append its least rate to min_lrs"
            )
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                assign(group, "lr", new)

    @property
    def in_cooldown(self) -> bool:
        """Whether the last reduction is too recent for another one."""
        return self.cooldown_counter > 0

    def _is_better(self, a: float, best: float) -> bool:
        less = self.mode == "min"
        if self.threshold_mode == "rel":
            bound = best * (1 - self.threshold if less else 1 + self.threshold)
        else:
            bound = best - self.threshold if less else best + self.threshold
        return a < bound if less else a > bound

    def _init_is_better(self, mode: str, threshold: float, threshold_mode: str) -> None:
        if mode not in ("min", "max"):
            raise ConfigError(f'ReduceLROnPlateau: mode must be "min" or "max", got {mode!r}')
        if threshold_mode not in ("rel", "abs"):
            raise ConfigError(
                f'ReduceLROnPlateau: threshold_mode must be "rel" or "abs", got {threshold_mode!r}'
            )
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state_dict)
        self._init_is_better(self.mode, self.threshold, self.threshold_mode)
