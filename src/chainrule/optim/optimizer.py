"""Optimizer: what all update rules share. Groups of parameters, state, hooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any, ClassVar

import numpy as np

from chainrule.autograd.hooks import HookTable, RemovableHandle
from chainrule.autograd.pending import before_change
from chainrule.errors import CheckpointError, ConfigError, DTypeError
from chainrule.nn.module import Module, clear_grad
from chainrule.tensor import Tensor

Array = np.ndarray[Any, Any]
Group = dict[str, Any]
Params = Iterable[Tensor] | Iterable[Mapping[str, Any]] | Iterable[tuple[str, Tensor]]
Rate = float | Tensor


class required:
    """A default that each group of parameters must give itself."""


_before_steps, _after_steps = HookTable(), HookTable()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of every optimizer."""
    return RemovableHandle(_before_steps, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after each step of every optimizer."""
    return RemovableHandle(_after_steps, hook)


class Optimizer:
    """Base of optimizers.

    params: parameters, named parameters as `Module.named_parameters` gives them, or groups of
    either as dicts: ``[{"params": ..., "lr": 0.1}, ...]``; what a group does not say comes from
    ``defaults``. ``param_groups`` may be changed between steps (a schedule sets
    ``group["lr"]``); ``state`` holds, by parameter, what a rule remembers.

    A subclass defines `step`, which changes the parameters and is not recorded if it works on
    arrays or in ``no_grad()``.
    """

    per_element: ClassVar[tuple[str, ...]] = ()
    """Entries of a parameter's state that hold a number for each of its elements."""

    def __init__(self, params: Params, defaults: Group) -> None:
        if isinstance(params, Tensor | Module) or not isinstance(params, Iterable):
            raise DTypeError(
                f"{type(self).__name__}: params must be a list of tensors or dicts, "
                f"got a {type(params).__name__}; pass [tensor] or module.parameters()"
            )
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self._make_hook_tables()
        groups: list[Any] = list(params)
        if not groups:
            raise ConfigError(f"{type(self).__name__}: there are no parameters to optimize")
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = _with_hooks(cls.step)  # type: ignore[method-assign]

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimize further parameters, with settings of their own."""
        name = type(self).__name__
        if not isinstance(param_group, Mapping):
            raise DTypeError(f"{name}: a group must be a dict, got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ConfigError(f"{name}: a group of parameters must say its params")
        group = {**self.defaults, **param_group}
        group["params"], names = self._listed(group["params"])
        if names:
            group["param_names"] = names
        for setting, value in group.items():
            if value is required:
                raise ConfigError(f"{name}: a group of parameters must say its {setting}")
        if any(("param_names" in group) != ("param_names" in g) for g in self.param_groups):
            raise ConfigError(f"{name}: either all groups have names for parameters, or none")
        known = {id(p) for p in self._params()}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise DTypeError(f"{name}: can only optimize tensors, got {type(p).__name__}")
            if not (p.is_leaf or p.retains_grad):
                raise ConfigError(f"{name}: can only optimize leaves, not results of operations")
            if id(p) in known:
                raise ConfigError(f"{name}: a parameter {tuple(p.shape)} is given more than once")
            known.add(id(p))
        self._check(group)
        self.param_groups.append(group)

    def _listed(self, params: Any) -> tuple[list[Any], list[str]]:
        """Parameters and their names, if they have any."""
        if isinstance(params, set | frozenset):
            raise DTypeError(
                f"{type(self).__name__}: params must be in an order, which a set has not; "
                "pass a list"
            )
        listed = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in listed if isinstance(p, tuple)]
        if names and len(names) < len(listed):
            raise ConfigError(f"{type(self).__name__}: either all parameters have names, or none")
        return ([p for _, p in listed], names) if names else (listed, [])

    def _check(self, group: Group) -> None:
        """Raise ConfigError for impossible settings."""
        if group.get("capturable"):
            raise ConfigError(
                f"{type(self).__name__}: capturable is for graphs of a GPU; "
                "chainrule computes on the CPU only"
            )
        if group.get("differentiable"):
            raise ConfigError(
                f"{type(self).__name__}: steps change memory and are not recorded; for gradients "
                "through a step, compute it with tensors and chainrule.func.functional_call"
            )

    # -- stepping --------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        closure: computes the loss and its gradients first; its result is returned.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_grad(p, set_to_none)

    # -- hooks -----------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step.

        It may return other (args, kwargs) for the step.
        """
        return RemovableHandle(self._before_step, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._after_step, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before `state_dict` collects the state."""
        return _registered(self._before_state_dict, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` on what `state_dict` will return, or replace it."""
        return _registered(self._after_state_dict, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before it is loaded; it may return another."""
        return _registered(self._before_load, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after a state was loaded."""
        return _registered(self._after_load, hook, prepend)

    def _make_hook_tables(self) -> None:
        self._before_step, self._after_step = HookTable(), HookTable()
        self._before_state_dict, self._after_state_dict = HookTable(), HookTable()
        self._before_load, self._after_load = HookTable(), HookTable()

    # -- saving and loading ----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """``state`` by the parameters' numbers, and the groups with numbers for parameters."""
        for hook in tuple(self._before_state_dict.values()):
            hook(self)
        number = {id(p): i for i, p in enumerate(self._params())}
        saved: dict[str, Any] = {
            "state": {number.get(id(p), p): dict(state) for p, state in self.state.items()},
            "param_groups": [
                {**group, "params": [number[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }
        for hook in tuple(self._after_state_dict.values()):
            result = hook(self, saved)
            saved = saved if result is None else result
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; tensors are copied.

        Raises CheckpointError (other groups, other shapes) before anything is changed.
        """
        state_dict = dict(state_dict)
        for hook in tuple(self._before_load.values()):
            result = hook(self, state_dict)
            state_dict = state_dict if result is None else result
        name = type(self).__name__
        if not {"state", "param_groups"} <= set(state_dict):
            raise CheckpointError(
                f"{name}.load_state_dict: expects 'state' and 'param_groups', "
                f"got {', '.join(map(str, state_dict)) or 'nothing'}"
            )
        saved = state_dict["param_groups"]
        own = [len(g["params"]) for g in self.param_groups]
        theirs = [len(g.get("params", ())) for g in saved]
        if theirs != own:
            raise CheckpointError(
                f"{name}.load_state_dict: the saved groups hold {theirs} parameters, "
                f"the optimizer's hold {own}"
            )
        numbers = [n for g in saved for n in g["params"]]
        by_number = {str(n): p for n, p in zip(numbers, self._params(), strict=True)}
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for n, entries in state_dict["state"].items():
            p = by_number.get(str(n))  # JSON makes strings of the numbers
            if p is None:
                raise CheckpointError(
                    f"{name}.load_state_dict: state of a parameter {n} that no group holds"
                )
            state[p] = {k: self._restored(k, v, p) for k, v in entries.items()}
        self.state = state
        for group, new in zip(self.param_groups, saved, strict=True):
            group.update({k: deepcopy(v) for k, v in new.items() if k != "params"})
        for hook in tuple(self._after_load.values()):
            hook(self)

    def _restored(self, name: str, value: Any, p: Tensor) -> Any:
        """A saved entry of p's state: a copy in p's dtype and order, or a plain number."""
        if isinstance(value, list | tuple):
            return type(value)(self._restored("", each, p) for each in value)
        if isinstance(value, Mapping):
            return {k: self._restored(k, v, p) for k, v in value.items()}
        if value is None or isinstance(value, str | int | float):
            return value
        array = value.array if isinstance(value, Tensor) else np.asarray(value)
        if name in self.per_element and array.shape != p.array.shape:
            raise CheckpointError(
                f"load_state_dict: {name} has shape {array.shape}, its parameter {p.array.shape}"
            )
        if array.ndim == 0 and name not in self.per_element:
            return array.item()
        copy = np.empty_like(p.array) if array.shape == p.array.shape else np.empty_like(array)
        copy = copy.astype(p.dtype, copy=False)
        copy[...] = array
        return Tensor(copy)

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without hooks and the `step` that a schedule watches."""
        hooks = {k for k, v in vars(self).items() if isinstance(v, HookTable)}
        return {k: v for k, v in vars(self).items() if k not in {"step", *hooks}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if not hasattr(self, "_before_step"):
            self._make_hook_tables()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def change(params: Iterable[Tensor]) -> None:
    """To be called before the parameters' memory is changed: older graphs then know of it."""
    for p in params:
        before_change(p.array)
        p.version.count += 1


def plain(setting: Any) -> Any:
    """A setting as a plain number, if it is a tensor."""
    return setting.item() if isinstance(setting, Tensor) else setting


def require(condition: Any, rule: Optimizer, expected: str, got: Any) -> None:
    """Raise ConfigError unless a setting is possible."""
    if not condition:
        raise ConfigError(f"{type(rule).__name__}: {expected}, got {got}")


def _registered(table: HookTable, hook: Callable[..., Any], prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(table, hook)
    if prepend:
        table.move_to_front(handle.id)
    return handle


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        for hook in (*_before_steps.values(), *self._before_step.values()):
            result = hook(self, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise ConfigError(
                        f"{type(self).__name__}: a hook before a step must return None or "
                        f"(args, kwargs), got {result!r}"
                    )
                args, kwargs = result
        out = step(self, *args, **kwargs)
        for hook in (*self._after_step.values(), *_after_steps.values()):
            hook(self, args, kwargs)
        return out

    return hooked
