"""Optimizer: what all update rules share. Groups of parameters, state, the loop of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from chainrule.autograd import enable_grad
from chainrule.autograd.pending import before_change
from chainrule.errors import CheckpointError, ConfigError, DTypeError
from chainrule.nn.module import Module, clear_grad
from chainrule.tensor import Tensor

Array = np.ndarray[Any, Any]
Group = dict[str, Any]
Params = Iterable[Tensor] | Iterable[Mapping[str, Any]]


class Optimizer:
    """Base of update rules.

    params: parameters, or groups of them as dicts: ``[{"params": ..., "lr": 0.1}, ...]``;
    what a group does not say comes from ``defaults``. ``param_groups`` may be changed
    between steps (a schedule sets ``group["lr"]``); ``state`` holds, by parameter, what a
    rule remembers.

    A rule defines `_update`, on the arrays of parameters: steps are never recorded.
    """

    def __init__(self, params: Params, defaults: Group) -> None:
        if isinstance(params, Tensor | Module):
            raise DTypeError(
                f"{type(self).__name__}: params must be a list of tensors or dicts, "
                f"got a {type(params).__name__}; pass [tensor] or module.parameters()"
            )
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        groups: list[Any] = list(params)
        if not groups:
            raise ConfigError(f"{type(self).__name__}: there are no parameters to optimize")
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimize further parameters, with settings of their own."""
        group = {**self.defaults, **param_group}
        params = group["params"]
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        name = type(self).__name__
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise DTypeError(f"{name}: can only optimize tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise ConfigError(f"{name}: can only optimize leaves, not results of operations")
            if id(p) in known:
                raise ConfigError(f"{name}: a parameter {tuple(p.shape)} is given more than once")
            known.add(id(p))
        self._check(group)
        self.param_groups.append(group)

    # -- stepping --------------------------------------------------------------------------

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
                for p in params:
                    before_change(p.array)
                self._update(params, group)
                for p in params:
                    p.version.count += 1
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_grad(p, set_to_none)

    def _check(self, group: Group) -> None:
        """Raise ConfigError for impossible settings."""

    def _update(self, params: list[Tensor], group: Group) -> None:
        """Change the arrays of some of a group's parameters, given their gradients."""
        raise NotImplementedError(f"{type(self).__name__} does not define its update rule")

    # -- saving and loading ----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """``state`` by the parameters' numbers, and the groups with numbers for parameters."""
        number = {id(p): i for i, p in enumerate(self._params())}
        return {
            "state": {number[id(p)]: dict(state) for p, state in self.state.items()},
            "param_groups": [
                {**group, "params": [number[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; tensors are copied.

        Raises CheckpointError (other groups, other shapes) before anything is changed.
        """
        if not {"state", "param_groups"} <= set(state_dict):
            raise CheckpointError(
                f"{type(self).__name__}.load_state_dict: expects 'state' and 'param_groups', "
                f"got {', '.join(map(str, state_dict)) or 'nothing'}"
            )
        saved = state_dict["param_groups"]
        own = [len(g["params"]) for g in self.param_groups]
        if [len(g["params"]) for g in saved] != own:
            raise CheckpointError(
                f"{type(self).__name__}.load_state_dict: the saved groups hold "
                f"{[len(g['params']) for g in saved]} parameters, the optimizer's hold {own}"
            )
        numbers = [n for g in saved for n in g["params"]]
        by_number = {str(n): p for n, p in zip(numbers, self._params(), strict=True)}
        state = {}
        for n, entries in state_dict["state"].items():
            p = by_number.get(str(n))  # JSON makes strings of the numbers
            if p is None:
                raise CheckpointError(
                    f"{type(self).__name__}.load_state_dict: state of a parameter {n} that no "
                    "group holds"
                )
            state[p] = {k: _restored(k, v, p) for k, v in entries.items()}
        self.state = state
        for group, new in zip(self.param_groups, saved, strict=True):
            group.update({k: v for k, v in new.items() if k != "params"})

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the `step` that a schedule watches."""
        return {name: value for name, value in self.__dict__.items() if name != "step"}

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _restored(name: str, value: Any, p: Tensor) -> Any:
    """A saved entry of p's state: a copy in p's dtype, or a plain number."""
    if value is None or isinstance(value, int | float):
        return value
    array = value.array if isinstance(value, Tensor) else np.asarray(value)
    if array.ndim == 0 and p.ndim > 0:
        return array.item()
    if array.shape != p.array.shape:
        raise CheckpointError(
            f"load_state_dict: {name} has shape {array.shape}, its parameter {p.array.shape}"
        )
    return Tensor(np.array(array, p.dtype))


def require(condition: bool, rule: Optimizer, expected: str, got: Any) -> None:
    """Raise ConfigError unless a setting is possible."""
    if not condition:
        raise ConfigError(f"{type(rule).__name__}: {expected}, got {got}")
