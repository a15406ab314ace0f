"""RMSprop: steps scaled by a running mean of the squared gradient."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class RMSprop(Rule):
    """Divide the gradient by its running root mean square.

        g ← g + λw                        λ = weight_decay
        v ← αv + (1 - α)g²                starts at 0
        d = g/(√v + ε)
        b ← μb + d, d = b                 with momentum μ > 0
        w ← w - ηd                        η = lr

    centered: the root of v - m², the variance, with m ← αm + (1 - α)g; 0 where rounding makes it
    negative (PyTorch's steps are NaN there). maximize: climb instead, g ← -g at first.
    foreach: one pass over memory does that. Raises ConfigError (negative settings).
    Source: Tieleman & Hinton 2012, Coursera lecture 6.5; Graves 2013, arXiv:1308.0850, section
    2.1 (centred).
    """

    per_element = ("square_avg", "grad_avg", "momentum_buffer")
    not_negative = ("lr", "eps", "momentum", "weight_decay", "alpha")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        names = ("lr", "alpha", "eps", "momentum", "weight_decay", "maximize")
        settings = [group[name] for name in names]
        state = (
            "square_avg",
            "grad_avg" if group["centered"] else None,
            "momentum_buffer" if group["momentum"] > 0 else None,
        )
        for _, together in self._count(params):
            self._run(kernels.rmsprop_step, together, state, *settings)
