"""What a gradient check works on: a function, its inputs and its parameters, all in float64."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.autograd.graph import Variable, Version
from chainrule.autograd.mode import no_grad
from chainrule.errors import GraphError
from chainrule.random import default_generator

Array = np.ndarray[Any, Any]

LARGE, SOME = 10_000, 20  # a model with more parameters is checked in so many of each tensor


def outputs_of(result: Any) -> list[Any]:
    """The float tensors among what a function returned, in nested tuples, lists and dicts."""
    found = _tensors_in(result)
    if not found:
        raise GraphError(
            "gradcheck: func must return a tensor, or several in a tuple, list or dict; "
            f"got {type(result).__name__}"
        )
    return [r for r in found if r.array.dtype.kind == "f"]


def _tensors_in(result: Any) -> list[Any]:
    if isinstance(result, Variable):
        return [result]
    if isinstance(result, Mapping):
        result = result.values()
    elif not isinstance(result, tuple | list):
        return []
    return [t for r in result for t in _tensors_in(r)]


def _is_module(x: Any) -> bool:
    return hasattr(x, "named_parameters") and hasattr(x, "named_buffers")


def _modules_in(func: Any) -> list[Any]:
    """The modules that a function is, is a method of, is given, or uses by name."""
    if _is_module(func):
        return [func]
    if isinstance(func, functools.partial):
        given = [func.func, *func.args, *func.keywords.values()]
        return [m for x in given for m in _modules_in(x)]
    if inspect.ismethod(func):
        return _modules_in(func.__self__) if _is_module(func.__self__) else []
    if not inspect.isfunction(func):
        return []
    used = inspect.getclosurevars(func)
    modules = [x for x in (*used.nonlocals.values(), *used.globals.values()) if _is_module(x)]
    return list({id(m): m for m in modules if not inspect.isclass(m)}.values())


class Subject:
    """The function, and what it is to be differentiated by, in float64 while it is checked."""

    def __init__(
        self, func: Callable[..., Any], inputs: Any, params: Any, modules: Sequence[Any] = ()
    ) -> None:
        self.func = func
        self.inputs = [inputs] if isinstance(inputs, Variable) else list(inputs)
        self.wanted = [
            i for i, v in enumerate(self.inputs) if isinstance(v, Variable) and v.requires_grad
        ]
        found = {id(m): m for m in (*modules, *_modules_in(func))}
        self.modules, self.named = self._parameters(params, list(found.values()))
        self.unasked = params is None
        self.args: list[Any] = []

    def _parameters(
        self, params: Any, modules: list[Any]
    ) -> tuple[list[Any], list[tuple[str, Any]]]:
        """The modules to convert, and the tensors beside the inputs to check, with their names."""
        if params is not None:
            if isinstance(params, Mapping):
                return modules, [(f"parameter {name!r}", t) for name, t in params.items()]
            given = [params] if _is_module(params) or isinstance(params, Variable) else list(params)
            if not all(map(_is_module, given)):
                return modules, [(f"parameter {i}", t) for i, t in enumerate(given)]
            modules = [*modules, *(m for m in given if all(m is not n for n in modules))]
            checked = given
        else:
            checked = modules
        several = len(checked) > 1
        named = [
            (f"parameter {name!r}" + (f" of {type(m).__name__} {i}" if several else ""), p)
            for i, m in enumerate(checked)
            for name, p in m.named_parameters()
            if p.requires_grad
        ]
        return modules, named

    def fewer(self, samples: int | None) -> int | None:
        """How many elements of each parameter to check: some only of a large model's, which
        nobody asked to check."""
        total = sum(t.array.size for _, t in self.named)
        if not self.unasked or total <= LARGE:
            return samples
        return SOME if samples is None else min(samples, SOME)

    @contextmanager
    def in_float64(self) -> Iterator[None]:
        """Inputs, parameters and buffers in float64; afterwards all is as it was before."""
        self.args = [_in_float64(v) for v in self.inputs]
        members: dict[int, Any] = {id(t): t for _, t in self.named}
        registries = []
        for module in self.modules:
            members |= {id(t): t for t in (*module.parameters(), *module.buffers())}
            registries += [m._buffers for m in module.modules()]
        before = [(t, t.array, t.version) for t in members.values()]
        buffers = [(registry, dict(registry)) for registry in registries]
        self._contents = [
            (t, t.array.copy()) for _, own in buffers for t in own.values() if t is not None
        ]
        self._random = default_generator.get_state()
        try:
            for t, array, _ in before:
                if array.dtype.kind == "f" and array.dtype != np.float64:
                    t.array, t.version = array.astype(np.float64), Version()
            self._buffers = [
                (registry, own, [(t, t.array.copy()) for t in own.values() if t is not None])
                for registry, own in buffers
            ]
            yield
        finally:
            for t, array, version in before:
                t.array, t.version = array, version
            for registry, own in buffers:
                registry.update(own)
            for t, content in self._contents:
                t.array[...] = content
            default_generator.set_state(self._random)

    def targets(self) -> list[tuple[str, Any]]:
        """The tensors to differentiate by, with their names."""
        inputs = [(f"input {i}", self.args[i]) for i in self.wanted]
        own = {id(t) for _, t in inputs}
        return inputs + [(name, t) for name, t in self.named if id(t) not in own]

    def outputs(self) -> list[Any]:
        """The function called, with the random numbers and buffers of every other call."""
        default_generator.set_state(self._random)
        for registry, own, contents in self._buffers:
            registry.update(own)
            for t, content in contents:
                t.array[...] = content
        return outputs_of(self.func(*self.args))

    def values(self) -> list[Array]:
        """The arrays of the outputs, not recorded."""
        with no_grad():
            return [y.array.astype(np.float64) for y in self.outputs()]


def _in_float64(v: Any) -> Any:
    """A float64 copy of a narrower float tensor; everything else as it is."""
    if not isinstance(v, Variable):
        return v
    array = v.array
    if array.dtype.kind != "f" or (array.dtype == np.float64 and array.flags.writeable):
        return v
    made: Variable = Variable.of(array.astype(np.float64))
    made.requires_grad = v.requires_grad
    return made
