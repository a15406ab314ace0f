"""Modules that hold other modules in order or by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]


class _Ordered(Module):
    """Modules registered under "0", "1", ...: what Sequential and ModuleList share."""

    def _replace(self, modules: Iterable[Module]) -> None:
        """Hold these modules, numbered anew."""
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def _name_at(self, index: int) -> str:
        names = list(self._modules)
        try:
            return names[index]
        except IndexError:
            raise IndexError(
                f"{type(self).__name__}: index {index} is out of range; it holds {len(names)}"
            ) from None

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())  # type: ignore[arg-type]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            Module.__init__(part)
            for name in list(self._modules)[index]:
                part.add_module(name, self._modules[name])
            part.training = self.training
            return part
        return self._modules[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index]
        self._replace(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before position ``index``."""
        modules = list(self)
        modules.insert(index, module)
        self._replace(modules)
        return self


class Sequential(_Ordered):
    """Modules applied one after the other: y = f_n(... f_2(f_1(x))).

    ``Sequential(a, b)`` or ``Sequential(OrderedDict(conv=a, act=b))``. Indexing gives a
    module, a slice gives a Sequential that shares the modules.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self._replace(modules)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)  # type: ignore[misc]
        return x


class ModuleList(_Ordered):
    """A list of modules whose parameters are registered; what they do is yours to say."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._replace(modules or ())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])  # numbered from 0 again
        return super().__getitem__(index)


class ModuleDict(Module):
    """Modules by name, in the order they were added."""

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """(name, module) pairs."""
        return self._modules.items()


class ParameterList(Module):
    """A list of parameters; plain tensors become parameters."""

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())  # type: ignore[arg-type]

    def __getitem__(self, index: int | slice) -> Any:
        values = list(self)[index]
        return ParameterList(values) if isinstance(values, list) else values

    def __setitem__(self, index: int, value: Tensor) -> None:
        self.register_parameter(list(self._parameters)[index], _as_parameter(value))

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(
            f"({name}): Parameter of shape {tuple(p.shape)}, {p.dtype}"  # type: ignore[union-attr]
            for name, p in self._parameters.items()
        )


def _as_parameter(value: Tensor) -> Parameter:
    if not isinstance(value, Tensor):
        raise ConfigError(f"ParameterList: expects tensors, got {type(value).__name__}")
    return value if isinstance(value, Parameter) else Parameter(value)
