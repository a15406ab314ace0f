"""Weight normalisation by a hook before every forward; see also `parametrizations.weight_norm`."""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule import ops
from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = ["remove_weight_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class WeightNorm:
    """The hook: sets ``name`` to g·v/‖v‖ of the parameters name_g and name_v."""

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight that the two parameters stand for."""
        v, g = getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g")
        return ops.weight_norm(v, g, self.dim)

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn direction and length of a weight apart: w = g·v/‖v‖ (`ops.weight_norm`).

    Parameter ``name`` is replaced by name_g (lengths of the slices along ``dim``; None: one of
    all) and name_v (the weight itself); it is computed from them before every forward.
    Raises ConfigError if done twice. Source: Salimans & Kingma 2016, arXiv:1602.07868.
    """
    if _hook_of(module, name) is not None:
        raise ConfigError(f"weight_norm: {name!r} of {type(module).__name__} has it already")
    hook = WeightNorm(name, -1 if dim is None else dim)
    weight = module.get_parameter(name)
    lengths = ops.norm_except_dim(weight.detach(), 2, hook.dim)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(lengths))
    module.register_parameter(f"{name}_v", Parameter(weight.data))
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight one parameter again, of its present value."""
    key = _hook_of(module, name)
    if key is None:
        raise ConfigError(f"remove_weight_norm: {name!r} of {type(module).__name__} has none")
    weight = module._forward_pre_hooks.pop(key).compute_weight(module)
    for each in (name, f"{name}_g", f"{name}_v"):
        delattr(module, each)
    setattr(module, name, Parameter(weight.data))
    return module


def _hook_of(module: Module, name: str) -> int | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            return key
    return None
