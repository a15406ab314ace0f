"""Rprop: steps by the gradient's sign alone."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate, require
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class Rprop(Rule):
    """Resilient propagation: longer steps while the sign stays, shorter ones where it changes.

        s ← s η₊ where g g' > 0, s η₋ where g g' < 0      g': the gradient before; etas = (η₋, η₊)
        s ← s between step_sizes = (smallest, largest)    starts at lr
        g ← 0 where g g' < 0
        w ← w - s sign(g),  g' ← g

    For full batches: the sign of a noisy gradient says little. maximize: climb instead,
    g ← -g at first. foreach: one pass over memory does that.
    Raises ConfigError (negative lr; etas that do not enclose 1).
    Source: Riedmiller & Braun 1993, doi:10.1109/ICNN.1993.298623, as iRprop- of Igel & Hüsken
    2000.
    """

    per_element = ("prev", "step_size")
    not_negative = ("lr",)

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        shrink, grow = group["etas"]
        require(0 < shrink < 1 < grow, self, "etas must be 0 < η₋ < 1 < η₊", group["etas"])

    def _update(self, params: list[Tensor], group: Group) -> None:
        for _, together in self._count(params):
            self._remembered(together, "step_size", group["lr"])  # where they begin
            rule = (*group["etas"], *group["step_sizes"], group["maximize"])
            self._run(kernels.rprop_step, together, self.per_element, *rule)
