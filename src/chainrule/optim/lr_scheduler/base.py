"""LRScheduler: what all schedules share. Time, the groups' rates, saving, the order of calls."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from chainrule.errors import ConfigError, DTypeError, ResumeError
from chainrule.optim.optimizer import Group, Optimizer
from chainrule.tensor import Tensor

ORDER = "see https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible; call `scheduler.step()` once for each epoch. With an epoch, the rates come from the "
    "closed formula instead of the chainable one, where there is one."
)


class LRScheduler:
    """Base of schedules: a subclass defines `get_lr`, the rates at ``last_epoch``.

    Making a schedule enters epoch 0: it writes the first rates into the optimizer's groups,
    and keeps those it found as each group's "initial_lr" (η₀, in ``base_lrs``). `step` goes
    on to the next epoch; whether an epoch is a pass over the data or one update is the
    caller's choice. Call it after ``optimizer.step()``.

    Most rules are chainable: they multiply the rate that a group has by the change from one
    epoch to the next, so that several act on one optimizer together, and a rate that was set
    by hand in between stays changed. Those that compute the rate from η₀ alone say so.

    last_epoch: where to go on, for groups that have an "initial_lr" already; -1 begins.
    Raises DTypeError (no optimizer), ResumeError (a KeyError: no "initial_lr" to go on from).
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _last_lr: list[Any]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise ResumeError(
                    f"{type(self).__name__}: param 'initial_lr' is not specified in "
                    f"param_groups[{i}] when resuming scheduler with last_epoch >= 0, here "
                    f"{last_epoch}; load the optimizer's state first"
                )
        self.base_lrs = values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        note_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Enter the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The rate of each group at ``last_epoch``; for `step`, not for users."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def get_last_lr(self) -> list[Any]:
        """The rate of each group, as this schedule last set it."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, and set its rates.

        epoch: enter this one instead (deprecated, with a warning); the rates then come from
        η₀ in one formula, where the rule has one, and not from the groups' present rates.
        Warns when the optimizer has not made a step yet: the first rate would go unused.
        """
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _check_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Make sure that it is called before `lr_scheduler.step()`; "
                + ORDER,
                UserWarning,
                stacklevel=3,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in "
                "the opposite order: otherwise the first learning rate is never used; " + ORDER,
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        """Enter an epoch, the next one by default, and write its rates into the groups."""
        with self._computing():
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = getattr(self, "_get_closed_form_lr", self.get_lr)()
        self._write(rates)

    def _write(self, rates: Sequence[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            assign(group, "lr", lr)
        self._last_lr = values(self.optimizer, "lr")

    @contextmanager
    def _computing(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        """To be called first in `get_lr`: chained rules may only be asked once an epoch."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _times(self, factor: float) -> list[Any]:
        """The groups' present rates, multiplied by one factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _unchanged(self) -> list[Any]:
        """The groups' present rates."""
        return values(self.optimizer, "lr")

    def state_dict(self) -> dict[str, Any]:
        """All settings and the epoch; the rates themselves are in the optimizer's state."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; load the optimizer's state too."""
        self.__dict__.update(state_dict)


_LRScheduler = LRScheduler  # its name in older code


# -- the optimizer's side ------------------------------------------------------------------------


def checked(optimizer: Any) -> Optimizer:
    """The optimizer, or DTypeError for something else."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"lr_scheduler: {type(optimizer).__name__} is not an Optimizer")
    return optimizer


def note_steps(optimizer: Optimizer) -> None:
    """Have the optimizer remember that it made a step, to warn where the order is wrong."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    rule = optimizer.step.__func__  # type: ignore[attr-defined]
    own = weakref.ref(optimizer)  # the optimizer holds the function: no cycle, please

    @wraps(rule)
    def step(*args: Any, **kwargs: Any) -> Any:
        optimizer = own()
        assert optimizer is not None
        optimizer._opt_called = True  # type: ignore[attr-defined]
        return rule(optimizer, *args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = step  # type: ignore[method-assign]


def copied(value: Any) -> Any:
    """A setting that later changes of the group do not reach."""
    return value.clone() if isinstance(value, Tensor) else value


def values(optimizer: Optimizer, key: str) -> list[Any]:
    """One setting of each group."""
    return [copied(group[key]) for group in optimizer.param_groups]


def assign(group: Group, key: str, value: Any) -> None:
    """Change a setting; one that is a tensor stays that tensor."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for all groups, or a list with one for each."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [copied(value) for _ in range(groups)]
    if len(value) != groups:
        raise ConfigError(
            f"{name} must be one number, or one for each group: "
            f"{groups} groups, but {len(value)} {name}"
        )
    return [copied(v) for v in value]


def check_momentum(rule: str, optimizer: Optimizer) -> bool:
    """Whether momentum is Adam's β₁ here; ConfigError where an optimizer has none at all."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ConfigError(
            f"{rule}: {type(optimizer).__name__} has no momentum and no betas; "
            "set cycle_momentum=False"
        )
    return "betas" in optimizer.defaults


def put_momentum(group: Group, momentum: float, uses_beta1: bool) -> None:
    """Set a group's momentum, or the first of its betas."""
    if uses_beta1:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def begin_momentum(
    optimizer: Optimizer, low: Sequence[float], high: Sequence[float], uses_beta1: bool
) -> None:
    """Note each group's range of momentum, and start at its upper end."""
    for group, lowest, highest in zip(optimizer.param_groups, low, high, strict=True):
        put_momentum(group, highest, uses_beta1)
        group["max_momentum"] = highest
        group["base_momentum"] = lowest


def warn_of_epoch() -> None:
    """Warn that `step` was told an epoch."""
    warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=3)
