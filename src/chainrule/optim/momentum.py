"""Momentum as the lectures write it: the velocity is what the weights move by."""

from __future__ import annotations

from typing import ClassVar

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class Momentum(Rule):
    """Gradient descent with momentum, in the lectures' form.

        g ← g + λw           λ = weight_decay
        v ← μv - ηg          μ = momentum, η = lr; v starts at 0
        w ← w + v

    With one learning rate this makes the steps of ``SGD(params, lr, momentum)``, whose v is
    -1/η times this one. When the rate changes they differ: here each gradient keeps the rate of
    its time, there the new rate scales all of the velocity at once.
    Derivation: docs/derivations/optimizers.md.
    maximize: climb instead, g ← -g at first. Raises ConfigError (negative settings).
    Source: Polyak 1964, doi:10.1016/0041-5553(64)90137-5; CS231n, neural-networks-3.
    """

    per_element = ("velocity",)
    not_negative = ("lr", "momentum", "weight_decay")
    ahead: ClassVar[bool] = False

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        momentum: float = 0.9,
        weight_decay: Rate = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        lr, momentum, weight_decay = (group[k] for k in ("lr", "momentum", "weight_decay"))
        rule = (lr, momentum, weight_decay, self.ahead, group["maximize"])
        self._run(kernels.momentum_step, params, self.per_element, *rule)


class Nesterov(Momentum):
    """Nesterov's momentum, in the lectures' form: the gradient is taken a step ahead.

        g ← g + λw           λ = weight_decay
        v' ← μv - ηg         μ = momentum, η = lr; v starts at 0
        w ← w - μv + (1 + μ)v'

    w is the point ahead, x + μv, at which the gradient is computed: x ← x + v' is the sequence
    of the classic form. With one learning rate this makes the steps of
    ``SGD(params, lr, momentum, nesterov=True)``; see `Momentum` for a rate that changes.
    Source: Nesterov 1983; Bengio et al. 2012, arXiv:1212.0901; CS231n, neural-networks-3.
    """

    ahead = True
