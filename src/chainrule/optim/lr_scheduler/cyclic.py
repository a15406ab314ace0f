"""Schedules that let the rate rise and fall, and momentum fall and rise."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from chainrule.errors import ConfigError
from chainrule.optim.lr_scheduler.base import (
    LRScheduler,
    assign,
    begin_momentum,
    check_momentum,
    checked,
    for_each_group,
    put_momentum,
)
from chainrule.optim.optimizer import Optimizer


class CyclicLR(LRScheduler):
    """Triangles between base_lr and max_lr: up in step_size_up updates, down in step_size_down.

        η = base_lr + (max_lr - base_lr) · height · scale

    height: 0..1, the place in the triangle. scale, by mode: 1 ("triangular"), halved after
    each cycle ("triangular2"), gamma^update ("exp_range"); or ``scale_fn`` of the number of
    the cycle, from 1, or of the update (scale_mode "cycle", "iterations"). Momentum goes from
    max_momentum to base_momentum as the rate rises. Step it after every update. Not chainable.
    Raises ConfigError (another mode, no steps up, an optimizer without momentum).
    Source: Smith 2017, arXiv:1506.01186.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in SCALES and scale_fn is None:
            raise ConfigError(f"CyclicLR: mode must be one of {', '.join(SCALES)}, got {mode!r}")
        if step_size_up <= 0 or (step_size_down is not None and step_size_down < 0):
            raise ConfigError(
                "CyclicLR: step_size_up must be above 0 and step_size_down not below, "
                f"got {step_size_up} and {step_size_down}"
            )
        self.optimizer = checked(optimizer)
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                assign(group, "lr", lr)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_mode = scale_mode
        self._scale_fn_custom = scale_fn
        self._init_scale_fn()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = check_momentum("CyclicLR", optimizer)
            self.base_momentums = for_each_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = for_each_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                low, high = self.base_momentums, self.max_momentums
                begin_momentum(optimizer, low, high, self.use_beta1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _init_scale_fn(self) -> None:
        if self._scale_fn_custom is None:
            scale, self.scale_mode = SCALES[self.mode]
            own = self.mode == "exp_range"
            self._scale_fn_ref = partial(scale, gamma=self.gamma) if own else scale

    def scale_fn(self, x: float) -> float:
        """The part of the full height that cycle, or update, x has."""
        return (self._scale_fn_custom or self._scale_fn_ref)(x)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ranges = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ranges, strict=True):
                put_momentum(group, high - (high - low) * height * scale, self.use_beta1)
        ranges = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * scale for low, high in ranges]

    def state_dict(self) -> dict[str, Any]:
        """All settings and the update; of a ``scale_fn`` only what a callable object holds."""
        state = super().state_dict()
        state.pop("_scale_fn_ref", None)
        own = state["_scale_fn_custom"]
        plain = own is None or isinstance(own, types.FunctionType)
        state["_scale_fn_custom"] = None if plain else dict(getattr(own, "__dict__", {}))
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, with the ``scale_fn`` there is."""
        state = dict(state_dict)
        held = state.pop("_scale_fn_custom", None)
        super().load_state_dict(state)
        if held and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(held)
        self._init_scale_fn()


def _full(cycle: float) -> float:
    return 1.0


def _halved(cycle: float) -> float:
    return 1 / 2.0 ** (cycle - 1)


def _decayed(update: float, gamma: float) -> float:
    return gamma**update


# By CyclicLR's mode: the scale, and what it is a function of.
SCALES: dict[str, tuple[Callable[..., float], str]] = {
    "triangular": (_full, "cycle"),
    "triangular2": (_halved, "cycle"),
    "exp_range": (_decayed, "iterations"),
}


class OneCycleLR(LRScheduler):
    """One cycle: the rate rises from max_lr/div_factor to max_lr, then falls far below.

    The rise takes pct_start of all steps, along a cosine or a line (anneal_strategy); the
    fall ends at the first rate / final_div_factor. three_phase: the fall mirrors the rise,
    and a third phase goes on down. Momentum (or β₁) goes the other way, from max_momentum to
    base_momentum and back. Step it after every update, total_steps - 1 times. Not chainable.
    Raises ConfigError (impossible settings; a step beyond total_steps).
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
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(optimizer)
        self.total_steps = _all_steps(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ConfigError(f"OneCycleLR: pct_start is a fraction in 0..1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ConfigError(
                f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}'
            )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        peaks = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = check_momentum("OneCycleLR", optimizer)
            if last_epoch == -1:
                low = for_each_group("base_momentum", optimizer, base_momentum)
                high = for_each_group("max_momentum", optimizer, max_momentum)
                begin_momentum(optimizer, low, high, self.use_beta1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        if self.last_epoch > self.total_steps:
            raise ConfigError(
                f"OneCycleLR: step {self.last_epoch} is beyond the cycle of {self.total_steps} "
                "steps; give total_steps the number of all updates"
            )
        phase, part = self._phase()
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                put_momentum(group, self._between(*ends, part), self.use_beta1)
        return rates

    def _phase(self) -> tuple[dict[str, Any], float]:
        """The phase that the step lies in, and which part of it has passed."""
        start, phases = 0.0, self._schedule_phases
        number = next((i for i, p in enumerate(phases) if self.last_epoch <= p["end_step"]), -1)
        phase = phases[number]
        before = phases.index(phase) - 1
        if before >= 0:
            start = phases[before]["end_step"]
        length = phase["end_step"] - start
        return phase, (self.last_epoch - start) / length if length else 1.0

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


def _all_steps(total: int | None, epochs: int | None, per_epoch: int | None) -> int:
    given = (epochs, per_epoch) if total is None else (total,)
    if not all(isinstance(n, int) and n > 0 for n in given):
        raise ConfigError(
            "OneCycleLR: give total_steps, or epochs and steps_per_epoch, whole numbers of at "
            f"least 1; got {total}, {epochs}, {per_epoch}"
        )
    return math.prod(n for n in given if n is not None)


def _phases(steps: int, pct_start: float, three: bool) -> list[dict[str, Any]]:
    """Where each phase ends, and the names of the group's settings that it leads between."""
    ends: list[float] = [float(pct_start * steps) - 1, steps - 1]
    rates = ["initial_lr", "max_lr", "min_lr"]
    momenta = ["max_momentum", "base_momentum", "max_momentum"]
    if three:
        ends.insert(1, float(2 * pct_start * steps) - 2)
        rates.insert(2, "initial_lr")
        momenta.append("max_momentum")
    return [
        {
            "end_step": end,
            "start_lr": rates[i],
            "end_lr": rates[i + 1],
            "start_momentum": momenta[i],
            "end_momentum": momenta[i + 1],
        }
        for i, end in enumerate(ends)
    ]
