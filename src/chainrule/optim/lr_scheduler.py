"""Schedules: the learning rate as a function of time.

A schedule is a closed formula of the epoch (or step) number and the rates the groups began
with, so it holds no state but that number: a resumed run has the bits of an uninterrupted
one. Call ``step()`` after the epoch (or after every optimizer step, if times are in steps).
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from chainrule.errors import ConfigError, absent_name
from chainrule.optim.optimizer import Optimizer


class LRScheduler:
    """Base of schedules: a subclass defines `lrs`.

    The rates that the groups have when the schedule is made are kept as "initial_lr".
    last_epoch: where to go on, for groups that have an "initial_lr" already; -1 begins.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ConfigError(
                    f"{type(self).__name__}: to go on at last_epoch {last_epoch}, the "
                    "optimizer's groups need 'initial_lr'; load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def lrs(self, epoch: int) -> list[float]:
        """The learning rate of each group in epoch ``epoch``, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} does not define lrs()")

    def step(self) -> None:
        """Go on to the next epoch and set its learning rates."""
        self._enter(self.last_epoch + 1)

    def _enter(self, epoch: int) -> None:
        """Set what the groups use in ``epoch``."""
        rates = self.lrs(epoch)
        self.last_epoch = epoch
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All settings and the epoch, without the optimizer and without functions."""
        return {
            k: v
            for k, v in self.__dict__.items()
            if k not in ("optimizer", "schedulers", "lr_lambdas")
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; sets the learning rates of that epoch."""
        self.__dict__.update(state_dict)
        self._enter(self.last_epoch)


class StepLR(LRScheduler):
    """η = η₀ · γ^⌊e/step_size⌋: multiply by gamma every step_size epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ConfigError(f"StepLR: step_size must be at least 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        return [lr * self.gamma ** (epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """η = η₀ · γ^(number of milestones ≤ e): multiply by gamma at each milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        passed = bisect_right(self.milestones, epoch)
        return [lr * self.gamma**passed for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """η = η_min + (η₀ - η_min) (1 + cos(π e/T_max)) / 2: down to eta_min in T_max epochs.

    Beyond T_max the cosine comes up again. Source: Loshchilov & Hutter 2017, arXiv:1608.03983.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max < 1:
            raise ConfigError(f"CosineAnnealingLR: T_max must be at least 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        part = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * part for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """From start_factor · η₀ to end_factor · η₀ in total_iters epochs, in a straight line."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ConfigError(
                "LinearLR: factors must lie in 0..1 and the first not be 0, "
                f"got {start_factor} and {end_factor}"
            )
        if total_iters < 1:
            raise ConfigError(f"LinearLR: total_iters must be at least 1, got {total_iters}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        part = min(epoch, self.total_iters) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * part
        return [lr * factor for lr in self.base_lrs]


class LambdaLR(LRScheduler):
    """η = η₀ · f(e), with one function f, or one for each group.

    The functions are not part of state_dict.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ConfigError(
                f"LambdaLR: {groups} groups need as many functions, got {len(self.lr_lambdas)}"
            )
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        return [lr * f(epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class SequentialLR(LRScheduler):
    """One schedule after the other: the next begins, at its epoch 0, at each milestone."""

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
        if any(s.optimizer is not optimizer for s in schedulers):
            raise ConfigError("SequentialLR: every schedule must be of the same optimizer")
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        scheduler, since = self._active(epoch)
        return scheduler.lrs(since)

    def _enter(self, epoch: int) -> None:
        scheduler, since = self._active(epoch)
        scheduler._enter(since)  # it may set more than rates
        self.last_epoch = epoch

    def _active(self, epoch: int) -> tuple[LRScheduler, int]:
        """The schedule of ``epoch``, and the epochs since it began."""
        i = bisect_right(self.milestones, epoch)
        return self.schedulers[i], epoch - (self.milestones[i - 1] if i else 0)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = dict(state_dict)
        for scheduler, state in zip(self.schedulers, own.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(own)


class OneCycleLR(LRScheduler):
    """Up from η_max/div_factor to η_max, then down to a final_div_factor-th of the start.

    For pct_start of total_steps the rate rises, then it falls; momentum (or Adam's β₁) goes
    the other way between max_momentum and base_momentum. three_phase: down to the start in
    as many steps as up, then on to the end. Step after every batch, total_steps - 1 times.
    Source: Smith & Topin 2018, arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if total_steps is None or total_steps < 1:
            raise ConfigError(
                "OneCycleLR: give total_steps, or epochs and steps_per_epoch, at least 1; "
                f"got {total_steps}, {epochs}, {steps_per_epoch}"
            )
        if not 0 <= pct_start <= 1:
            raise ConfigError(f"OneCycleLR: pct_start is a fraction in 0..1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ConfigError(
                f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}'
            )
        groups = optimizer.param_groups
        peaks = [max_lr] * len(groups) if isinstance(max_lr, int | float) else list(max_lr)
        if len(peaks) != len(groups):
            raise ConfigError(f"OneCycleLR: {len(groups)} groups, but {len(peaks)} max_lr")
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ConfigError("OneCycleLR: the optimizer has no momentum; set cycle_momentum=False")
        self.total_steps = total_steps
        self.max_lrs = peaks
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.base_momentum = base_momentum
        self.max_momentum = max_momentum
        self.final_div_factor = final_div_factor
        self.phase_ends = [pct_start * total_steps - 1.0, total_steps - 1.0]
        if three_phase:
            self.phase_ends.insert(1, 2 * pct_start * total_steps - 2.0)
        if last_epoch == -1:
            for group, peak in zip(groups, peaks, strict=True):
                group["initial_lr"] = peak / div_factor
        super().__init__(optimizer, last_epoch)

    def lrs(self, epoch: int) -> list[float]:
        phase, part = self._phase(epoch)
        rates = []
        for first, peak in zip(self.base_lrs, self.max_lrs, strict=True):
            knots = [first, peak, first, first / self.final_div_factor]
            if len(self.phase_ends) == 2:
                del knots[2]
            rates.append(self._between(knots[phase], knots[phase + 1], part))
        return rates

    def _enter(self, epoch: int) -> None:
        super()._enter(epoch)
        if not self.cycle_momentum:
            return
        phase, part = self._phase(epoch)
        knots = [self.max_momentum, self.base_momentum, self.max_momentum, self.max_momentum]
        momentum = self._between(knots[phase], knots[phase + 1], part)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _phase(self, step: int) -> tuple[int, float]:
        """Which phase ``step`` lies in, and which part of it has passed."""
        if step >= self.total_steps:
            raise ConfigError(
                f"OneCycleLR: step {step + 1} is beyond the cycle of {self.total_steps} steps"
            )
        phase = next(i for i, end in enumerate(self.phase_ends) if step <= end)
        start = self.phase_ends[phase - 1] if phase else 0.0
        length = self.phase_ends[phase] - start
        return phase, (step - start) / length if length else 1.0

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * part
        return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
