"""Schedules along half a cosine, once or with warm restarts."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ConfigError
from chainrule.optim.lr_scheduler.base import LRScheduler
from chainrule.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """η = η_min + (η₀ - η_min) (1 + cos(π e/T_max)) / 2: down to eta_min in T_max epochs.

    Beyond T_max the cosine comes up again. Chainable, by the ratio of two epochs:

        η_e = η_min + (η_{e-1} - η_min) (1 + cos(π e/T_max)) / (1 + cos(π (e-1)/T_max))

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max <= 0:
            raise ConfigError(f"CosineAnnealingLR: T_max must be at least 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        groups, low, epoch = self.optimizer.param_groups, self.eta_min, self.last_epoch
        if self._is_initial:
            return self._unchanged()
        if self._step_count == 1 and epoch > 0:  # the first step after one was told an epoch
            return self._get_closed_form_lr()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The rate was at its lowest: nothing is left that could be multiplied.
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(groups, self.base_lrs, strict=True)
            return [group["lr"] + (base - low) * rise for group, base in pairs]
        ratio = self._height(epoch) / self._height(epoch - 1)
        return [ratio * (group["lr"] - low) + low for group in groups]

    def _get_closed_form_lr(self) -> list[Any]:
        low, height = self.eta_min, self._height(self.last_epoch)
        return [low + (lr - low) * height / 2 for lr in self.base_lrs]

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from η₀ to eta_min, again and again: T_0 epochs, then T_mult times longer.

        η = η_min + (η₀ - η_min) (1 + cos(π T_cur/T_i)) / 2

    T_cur: epochs since the last restart; T_i: from that restart to the next. Not chainable.
    Raises ConfigError (T_0 or T_mult no whole number of at least 1).
    Source: Loshchilov & Hutter 2017, arXiv:1608.03983.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ConfigError(
                    f"CosineAnnealingWarmRestarts: {name} must be a whole number of at least 1, "
                    f"got {value}"
                )
        if not isinstance(eta_min, int | float):
            raise ConfigError(
                f"CosineAnnealingWarmRestarts: eta_min must be a number, got {eta_min!r}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        low, height = self.eta_min, 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [low + (lr - low) * height / 2 for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to any, in fractions too: ``epoch + batch / batches``."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ConfigError(f"CosineAnnealingWarmRestarts: step: epoch is negative: {epoch}")
        else:
            self._locate(epoch)
        self.last_epoch = math.floor(epoch)
        with self._computing():
            rates = self.get_lr()
        self._write(rates)

    def _locate(self, epoch: float) -> None:
        """Find the cycle of an epoch; number n begins at T_0 (T_multⁿ - 1)/(T_mult - 1)."""
        growth = self.T_mult
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif growth == 1:
            self.T_i, self.T_cur = self.T_0, epoch % self.T_0
        else:
            cycle = int(math.log(epoch / self.T_0 * (growth - 1) + 1, growth))
            self.T_cur = epoch - self.T_0 * (growth**cycle - 1) / (growth - 1)
            self.T_i = self.T_0 * growth**cycle
