"""Rule: optimizers that change each element by itself, a group of parameters in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from chainrule.autograd import enable_grad
from chainrule.errors import DTypeError
from chainrule.optim.optimizer import Array, Group, Optimizer, change, plain, require
from chainrule.tensor import Tensor


class Rule(Optimizer):
    """Base of update rules: the loop of a step, and the state that kernels work on.

    A rule defines `_update`, on the arrays of parameters, by a kernel that reads and writes all
    of them once. not_negative: its settings that are one number, 0 or more.
    """

    not_negative: ClassVar[tuple[str, ...]] = ()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        closure: computes the loss and its gradients first; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            if params := [p for p in group["params"] if p.grad is not None]:
                change(params)
                self._update(params, {k: plain(v) for k, v in group.items() if k != "params"})
        return loss

    def _update(self, params: list[Tensor], group: Group) -> None:
        """Change the arrays of some of a group's parameters, given their gradients.

        group: the settings, as plain numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define its update rule")

    def _run(
        self,
        kernel: Callable[..., None],
        params: list[Tensor],
        names: Iterable[str | None],
        *settings: Any,
    ) -> None:
        """Call a kernel with weights, gradients, the state of these names, and settings.

        New state is zeros; None: the kernel is to do without.
        """
        weights, grads = [p.array for p in params], [p.grad.array for p in params]
        state = [name and self._remembered(params, name) for name in names]
        kernel(weights, grads, *state, *settings)

    def _remembered(self, params: list[Tensor], name: str, start: float = 0.0) -> list[Array]:
        """This state of the parameters; where there is none yet, ``start``."""
        found = []
        for p in params:
            state = self.state[p]
            if name not in state:
                state[name] = Tensor(np.full_like(p.array, start))
            found.append(state[name].array)
        return found

    def _alike(
        self, params: list[Tensor], **starts: float
    ) -> Iterator[tuple[tuple[float, ...], list[Tensor]]]:
        """The parameters whose state holds the same numbers under these names, together.

        Mostly that is all of them. ``starts``: the numbers of a parameter without state.
        """
        by_numbers: dict[tuple[float, ...], list[Tensor]] = {}
        for p in params:
            state = self.state[p]
            numbers = tuple(plain(state.setdefault(k, start)) for k, start in starts.items())
            by_numbers.setdefault(numbers, []).append(p)
        yield from by_numbers.items()

    def _count(self, params: list[Tensor]) -> Iterator[tuple[int, list[Tensor]]]:
        """The parameters that have made the same number of steps, together, and one more step."""
        for (steps,), together in self._alike(params, step=0):
            self._note(together, step=(t := int(steps) + 1))
            yield t, together

    def _note(self, params: list[Tensor], **numbers: float) -> None:
        """Let the parameters' state hold these numbers."""
        for p in params:
            self.state[p].update(numbers)

    def _check(self, group: Group) -> None:
        super()._check(group)
        for name in self.not_negative:
            value = group[name]
            size = value.numel() if isinstance(value, Tensor) else 1
            require(size == 1, self, f"{name} must be one number", f"{size} of them")
            if not isinstance(plain(value), Real):
                raise DTypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
            require(value >= 0, self, f"{name} must not be negative", value)
        if "betas" in group:
            betas = group["betas"]
            known = isinstance(betas, tuple | list) and all(
                isinstance(plain(b), Real) for b in betas
            )
            fits = known and len(betas) == 2 and all(0 <= b < 1 for b in betas)
            require(fits, self, "betas must be two numbers in [0, 1)", betas)
            group["betas"] = tuple(map(plain, betas))
