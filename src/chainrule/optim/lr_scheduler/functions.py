"""Schedules that are given as functions of the epoch."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.errors import ConfigError, DTypeError
from chainrule.optim.lr_scheduler.base import LRScheduler, checked
from chainrule.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class LambdaLR(LRScheduler):
    """η = η₀ · f(e), with one function f, or one for each group. Not chainable.

    Functions are not part of the state_dict; the attributes of callable objects are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Factor | Sequence[Factor],
        last_epoch: int = -1,
    ) -> None:
        groups = len(checked(optimizer).param_groups)
        one_each = isinstance(lr_lambda, list | tuple)
        self.lr_lambdas: list[Any] = list(lr_lambda) if one_each else [lr_lambda] * groups  # type: ignore[arg-type]
        name = type(self).__name__
        if len(self.lr_lambdas) != groups:
            raise ConfigError(
                f"{name}: {groups} groups need as many functions, got {len(self.lr_lambdas)}"
            )
        for f in self.lr_lambdas:
            if not callable(f):
                raise DTypeError(f"{name}: lr_lambda should be a function, got {type(f).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [lr * f(self.last_epoch) for lr, f in pairs]

    def state_dict(self) -> dict[str, Any]:
        """All settings and the epoch; of functions nothing, of callable objects what they hold."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if isinstance(f, types.FunctionType) else dict(getattr(f, "__dict__", {}))
            for f in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, with the functions there are."""
        state = dict(state_dict)
        for f, held in zip(self.lr_lambdas, state.pop("lr_lambdas", ()), strict=False):
            if held:
                f.__dict__.update(held)
        super().load_state_dict(state)


class MultiplicativeLR(LambdaLR):
    """η = η · f(e): multiply the present rate by a function of the epoch, from epoch 1 on.

    f may be one function, or one for each group.
    """

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        if self._is_initial:
            return self._unchanged()
        pairs = zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)
        return [group["lr"] * f(self.last_epoch) for group, f in pairs]
