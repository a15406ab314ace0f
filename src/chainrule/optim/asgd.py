"""Averaged stochastic gradient descent."""

from __future__ import annotations

from chainrule import kernels
from chainrule.ops.dtypes import get_default_dtype
from chainrule.optim.optimizer import Group, Params, Rate
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class ASGD(Rule):
    """Descent with a falling rate, and the average of the weights on its way.

        g ← g + δw                        δ = weight_decay
        w ← (1 - λη)w - ηg                λ = lambd; at first η = lr, μ = 1
        a ← a + μ(w - a)
        η ← lr/(1 + λ lr t)^α             at step t = 1, 2, ...
        μ ← 1/max(1, t - t₀)              averaging begins at step t₀

    The average a of a parameter p is ``state[p]["ax"]``; the parameter itself is not averaged.
    η and μ are kept in the default dtype, as PyTorch keeps them.
    maximize: climb instead, g ← -g at first. foreach: one pass over memory does that.
    Raises ConfigError (negative lr or weight_decay).
    Source: Polyak & Juditsky 1992, doi:10.1137/0330046; Xu 2011, arXiv:1107.2490 (the rate).
    """

    per_element = ("ax",)
    not_negative = ("lr", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        kept = get_default_dtype().type
        lr, lambd = group["lr"], group["lambd"]
        start = {"step": 0, "eta": float(kept(lr)), "mu": 1.0}
        for (steps, eta, mu), together in self._alike(params, **start):
            self._run(
                kernels.asgd_step,
                together,
                self.per_element,
                eta,
                1 - lambd * eta,
                mu,
                group["weight_decay"],
                group["maximize"],
            )
            t = int(steps) + 1
            self._note(
                together,
                step=t,
                eta=float(kept(lr / (1 + lambd * lr * t) ** group["alpha"])),
                mu=float(kept(1 / max(1, t - group["t0"]))),
            )
