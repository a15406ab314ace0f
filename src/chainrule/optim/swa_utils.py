"""Averages of the weights that training passes through: the average often generalises better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from chainrule.autograd import no_grad
from chainrule.errors import ConfigError
from chainrule.nn.layers.norm import _BatchNorm
from chainrule.nn.module import Module
from chainrule.optim.lr_scheduler.base import LRScheduler, for_each_group
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
AverageOfMany = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_swa_avg_fn() -> Average:
    """Equal weights: avg + (new - avg)/(n + 1), where n models were averaged before."""

    @no_grad()
    def average(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Weights that fade: decay·avg + (1 - decay)·new. ConfigError: decay outside 0..1."""
    _check(decay)

    @no_grad()
    def average(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return ema_param * decay + current_param * (1 - decay)

    return average


def get_swa_multi_avg_fn() -> AverageOfMany:
    """As `get_swa_avg_fn`, of lists of parameters, which it changes."""
    return _of_many(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageOfMany:
    """As `get_ema_avg_fn`, of lists of parameters, which it changes."""
    return _of_many(get_ema_avg_fn(decay))


def _check(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ConfigError(f"the decay of an average must be in [0, 1], got {decay}")


def _of_many(average: Average) -> AverageOfMany:
    @no_grad()
    def averages(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Any) -> None:
        for old, new in zip(averaged, current, strict=True):
            old.copy_(average(old, new, num_averaged))

    return averages


class AveragedModel(Module):
    """A copy of a model whose weights are the average of the model's, over time.

    `update_parameters` takes in the model's weights: the first ones are copied, later ones are
    averaged with equal weights (stochastic weight averaging), or by ``avg_fn(average, new, n)``,
    which returns the new average, or by ``multi_avg_fn(averages, news, n)``, which changes the
    averages of all; n models were averaged before. Buffers are averaged with use_buffers, else
    copied; for batch normalisation see `update_bn`. Called, it is the averaged model.
    device: there is one. Raises ConfigError (both functions given).
    Source: Izmailov et al. 2018, arXiv:1803.05407; Polyak & Juditsky 1992.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageOfMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ConfigError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", Tensor(np.array(0, np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's weights into the average."""
        pairs = list(zip(self._averaged(self.module), self._averaged(model), strict=True))
        if self.n_averaged.item() == 0:
            for average, new in pairs:
                average.copy_(new)
        elif self.avg_fn is not None:
            for average, new in pairs:
                average.copy_(self.avg_fn(average.detach(), new.detach(), self.n_averaged))
        else:
            averages, news = ([p.detach() for p in each] for each in zip(*pairs, strict=True))
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, news, self.n_averaged)
        if not self.use_buffers:
            for own, new in zip(self.module.buffers(), model.buffers(), strict=True):
                own.copy_(new)
        self.n_averaged += 1

    def _averaged(self, model: Module) -> Iterable[Tensor]:
        return chain(model.parameters(), model.buffers() if self.use_buffers else ())


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Measure the running statistics of the model's batch normalisation anew, over a pass.

    loader gives batches of inputs, or lists and tuples that begin with them. All batches count
    the same. device: there is one.
    """
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for layer in momenta:
        layer.reset_running_stats()
        layer.momentum = None
    for batch in loader:
        model(batch[0] if isinstance(batch, list | tuple) else batch)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the rates that the groups have to swa_lr, in anneal_epochs epochs; then it stays.

        η = swa_lr · a + η₀(1 - a),   a = (1 - cos(π t))/2, or t,   t = e/anneal_epochs, at most 1

    swa_lr: one number, or one for each group. anneal_strategy: "cos" or "linear".
    Raises ConfigError (another strategy, negative epochs).
    Source: Izmailov et al. 2018, arXiv:1803.05407.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ConfigError(
                f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ConfigError(
                f"SWALR: anneal_epochs must be a number of epochs, got {anneal_epochs}"
            )
        rates = for_each_group("swa_lr", optimizer, swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs = anneal_epochs
        self._anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            start = goal if before == 1 else (group["lr"] - before * goal) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates

    def _share(self, step: int) -> float:
        """How much of swa_lr there is in the rate."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t
