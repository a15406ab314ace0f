"""Tensors of a module computed from others whenever they are read.

``register_parametrization(module, "weight", f)`` makes ``module.weight`` stand for
``f(original)``: the original moves to ``module.parametrizations.weight.original``, where an
optimizer trains it, and the module's class becomes one with a property of that name. The names
are PyTorch's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chainrule.autograd import no_grad
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.nn.container import ModuleDict, ModuleList
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class _Cache:
    """Values read inside ``cached()``: by parametrization, kept until the outermost block ends."""

    depth = 0
    values: dict[ParametrizationList, Tensor]


_cache = _Cache()
_cache.values = {}


@contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed when it is first read, and not again."""
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in order, and the original they start from.

    ``original``; or ``original0``, ``original1``, ... where the first one's right_inverse
    returns several tensors, which its forward takes.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ConfigError("ParametrizationList: needs at least one parametrization")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = tuple(original.shape), original.dtype
        with no_grad():
            new = original
            for module in reversed(list(self)):
                new = _inverse(module, new)
        self.is_tensor = isinstance(new, Tensor)
        if not self.is_tensor and not _are_tensors(new):
            raise DTypeError(
                "right_inverse: must return a Tensor or a sequence of them, "
                f"got {type(new).__name__}"
            )
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            _require(new, shape if not unsafe else None, original.dtype, "right_inverse")
            original.data = new.data  # the same object: an optimizer goes on with it
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                as_original = Parameter if isinstance(original, Parameter) else Tensor
                made = as_original(part.array, requires_grad=original.requires_grad)
                _register(self, f"original{i}", made)
        if not unsafe:
            _require(self(), shape, dtype, "a parametrization")

    def names(self) -> list[str]:
        """What the originals are called."""
        if self.is_tensor:
            return ["original"]
        return [f"original{i}" for i in range(self.ntensors)]

    def originals(self) -> list[Tensor]:
        """What the first parametrization is applied to."""
        return [getattr(self, name) for name in self.names()]

    def forward(self) -> Tensor:
        first, *others = self
        x = first(*self.originals())
        for module in others:
            x = module(x)
        return x

    def right_inverse(self, value: Tensor) -> None:
        """Change the originals so that the tensor is ``value`` (or as near as they can make it)."""
        with no_grad():
            new: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise ConfigError(
                        f"{type(module).__name__}: has no right_inverse, so that nothing can be "
                        "assigned; assign to its originals"
                    )
                new = module.right_inverse(new)
            parts = [new] if self.is_tensor else list(new)
            if len(parts) != self.ntensors:
                raise ConfigError(
                    f"right_inverse: returned {len(parts)} tensors for {self.ntensors} originals"
                )
            for original, part in zip(self.originals(), parts, strict=True):
                _require(part, None, original.dtype, "right_inverse")
                original.data = part.data


def _inverse(module: Module, value: Tensor) -> Any:
    """right_inverse where there is one; otherwise taken to be the identity."""
    try:
        return module.right_inverse(value) if hasattr(module, "right_inverse") else value
    except NotImplementedError:
        return value


def _are_tensors(values: Any) -> bool:
    return isinstance(values, Sequence) and all(isinstance(v, Tensor) for v in values)


def _require(value: Any, shape: tuple[int, ...] | None, dtype: Any, what: str) -> None:
    """Raise unless ``value`` is a Tensor of this dtype and, where one is given, of this shape."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{what} must return a Tensor, got {type(value).__name__}")
    if value.dtype != dtype:
        raise DTypeError(f"{what} must keep the dtype {dtype}, got {value.dtype}")
    if shape is not None and tuple(value.shape) != shape:
        raise ShapeError(
            f"{what} must keep the shape {shape}, got {tuple(value.shape)}; unsafe=True allows it"
        )


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


@functools.cache
def _class_with(base: type[Module], names: tuple[str, ...]) -> type[Module]:
    """``base`` with a property for each parametrized tensor; one class for all such modules."""

    def __reduce_ex__(module: Any, protocol: Any) -> Any:
        return _new_with, (base, names), module.__dict__  # pickle would look for the class by name

    members: dict[str, Any] = {
        "__module__": base.__module__,
        "__reduce_ex__": __reduce_ex__,
        **{name: _property(name) for name in names},
    }
    made = type(f"Parametrized{base.__name__}", (base,), members)
    _made.add(made)
    return made


def _new_with(base: Any, names: tuple[str, ...]) -> Module:
    """An empty module of such a class, for copies and pickles to fill."""
    made = _class_with(base, names)
    return made.__new__(made)


_made: set[type] = set()


def _property(name: str) -> property:
    def read(module: Any) -> Tensor:
        tensors = module.parametrizations[name]
        if not _cache.depth:
            return tensors()
        if tensors not in _cache.values:
            _cache.values[tensors] = tensors()
        return _cache.values[tensors]

    def assign(module: Any, value: Tensor) -> None:
        module.parametrizations[name].right_inverse(value)

    return property(read, assign, doc=f"parametrizations.{name} applied to the original")


def _renew_class(module: Module) -> None:
    """Give the module the class that fits its parametrizations."""
    base = type(module).__bases__[0] if type(module) in _made else type(module)
    names = tuple(module.parametrizations) if is_parametrized(module) else ()
    object.__setattr__(module, "__class__", _class_with(base, names) if names else base)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let ``module.tensor_name`` be ``parametrization(original)`` from now on.

    Several are applied in the order registered. parametrization.right_inverse, where it has one,
    gives the original (or originals) for the tensor's present value and for values assigned
    later. unsafe: dtype and shape may change, and nothing is checked.
    Returns the module. Raises ConfigError (no such tensor), ShapeError, DTypeError.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        tensors = module.parametrizations[tensor_name]
        if not unsafe:
            _check_further(getattr(module, tensor_name), parametrization)
        tensors.append(parametrization)
        tensors.unsafe |= unsafe
        return module
    original = module._parameters.get(tensor_name, module._buffers.get(tensor_name))
    if original is None:
        raise ConfigError(
            f"register_parametrization: {type(module).__name__} has no parameter or buffer "
            f"{tensor_name!r}"
        )
    tensors = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = tensors
    _renew_class(module)
    return module


def _check_further(value: Tensor, parametrization: Module) -> None:
    """That a parametrization after others keeps shape and dtype, both ways."""
    shape, dtype = tuple(value.shape), value.dtype
    new = parametrization(value)
    _require(new, shape, dtype, "a parametrization")
    _require(_inverse(parametrization, new), shape, dtype, "right_inverse")


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module is parametrized (None: any)."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make the tensor an ordinary parameter or buffer again.

    leave_parametrized: of its present value; otherwise of the original's, where it is one tensor.
    Returns the module. Raises ConfigError.
    """
    if not is_parametrized(module, tensor_name):
        raise ConfigError(
            f"remove_parametrizations: {tensor_name!r} of {type(module).__name__} has none"
        )
    tensors = module.parametrizations[tensor_name]
    if not tensors.is_tensor and not leave_parametrized:
        raise ConfigError(
            f"remove_parametrizations: {tensor_name!r} is made of {tensors.ntensors} tensors, none "
            "of which can take its place; pass leave_parametrized=True"
        )
    value = getattr(module, tensor_name)
    if not tensors.is_tensor:
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        original = tensors.original
        if leave_parametrized:
            original.data = value.detach().data
    del module.parametrizations[tensor_name]
    _renew_class(module)
    if not is_parametrized(module):
        del module.parametrizations
    _register(module, tensor_name, original)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class without its parametrizations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give ``to_module`` the parametrizations (of one tensor, or all) and the originals too."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        parts = (
            ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]
        )
        for part in parts:
            setattr(target, part, getattr(source, part))
    return to_module
