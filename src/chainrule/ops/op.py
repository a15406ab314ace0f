"""What an op is: one function of arrays, and the vector-Jacobian product of each input.

For an op y = f(a, b, ...) and a scalar L further on, reverse-mode differentiation hands
back, for each input, the product of the incoming gradient g = dL/dy with the Jacobian:
``dL/da = g · dy/da``. That product is written once, in operations that work on arrays and
on Tensors, beside the function:

    @op
    def linear(x, weight, bias=None):
        return x @ weight.mT if bias is None else x @ weight.mT + bias

    linear.vjp(
        x=lambda g, weight: g @ weight,
        weight=lambda g, x: g.mT @ x,
        bias=lambda g: sum(g, 0),
    )

A VJP receives ``g`` first and then exactly what its parameters name: an argument of the op
(``weight``), the op's result (``y``), what the op kept for its gradient (``aux``), or an
argument's shape or dtype (``x_shape``, ``x_dtype``). Only what is named is kept alive for
the backward pass, and only for the inputs that need a gradient. It returns ``g``, a view of
``g`` or a new array; never an array it was given otherwise, since its result may be added to.

Called with plain arrays an op just computes. Called with a `Recorded` object (a Tensor),
it hands itself over to be recorded: this room never sees the graph.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from chainrule.errors import GraphError
from chainrule.ops.out import written
from chainrule.ops.refusal import COMPLAINTS, refusal

__all__ = ["Op", "op", "registry"]

registry: dict[str, Op] = {}
"""The package's own ops by name; the contract tests run over it."""


class Recorded:
    """Base of objects that record the ops applied to them."""

    __slots__ = ()

    array: Any
    """The values, which ops compute with."""

    def __apply_op__(self, op: Op, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Compute ``op(*args)``, record it, and return (result, aux)."""
        raise NotImplementedError


def values_of(x: Any) -> Any:
    """The array of a recorded value; arrays and numbers as they are."""
    return x.array if isinstance(x, Recorded) else x


OTHER_NAMES = {
    "axis": "dim", "keepdims": "keepdim", "axis0": "dim0", "axis1": "dim1", "size": "shape",
    "split_size": "split_size_or_sections", "sections": "indices_or_sections",
    "indices": "indices_or_sections", "tensor_indices_or_sections": "indices_or_sections",
}  # fmt: skip
"""PyTorch's other names of arguments, some of them NumPy's, and those they have here."""

PLACES = {
    "input": 0, "self": 0, "A": 0, "tensor": 0, "elements": 0, "element": 0,
    "other": 1, "B": 1, "exponent": 1, "mat2": 1, "vec": 1, "vec2": 1, "tensor1": 1,
    "test_element": 1, "input1": 0, "input2": 1, "tensor2": 2,
}  # fmt: skip
"""Which argument PyTorch means by these names, whatever the formulas here call it."""


def respelled(name: str, parameters: Sequence[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The named arguments of a call of ``name`` under the names of its parameters."""
    if "out" in kwargs and "out" not in parameters:  # None: `written` sees to the others
        kwargs = {k: v for k, v in kwargs.items() if k != "out"}
    found = {}
    for key, value in kwargs.items():
        if key not in parameters:
            key = own_name(key, parameters)
        if key in found:
            raise TypeError(f"{name}() got two values for argument '{key}'")
        found[key] = value
    return found


def own_name(key: str, parameters: Sequence[str]) -> str:
    """What the argument that PyTorch calls ``key`` is called among ``parameters``."""
    if OTHER_NAMES.get(key) in parameters:
        return OTHER_NAMES[key]
    place = PLACES.get(key, len(parameters))
    return parameters[place] if place < len(parameters) else key


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The names of a function's parameters, and their defaults (``Parameter.empty``: none).

    As inspect.signature gives them; but that takes ten times as long, for hundreds of functions
    whenever the package is imported.
    """
    plain = type(function) is FunctionType and not hasattr(function, "__wrapped__")
    if not plain or function.__code__.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return {p.name: p.default for p in inspect.signature(function).parameters.values()}
    code = function.__code__
    defaults = function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    parameters: dict[str, Any] = dict.fromkeys(names, inspect.Parameter.empty)
    parameters.update(zip(names[code.co_argcount - len(defaults) :], defaults, strict=False))
    parameters.update(function.__kwdefaults__ or {})
    return parameters


F = TypeVar("F", bound=Callable[..., Any])


def spelled(function: F) -> F:
    """Let a function composed of ops be called with NumPy's and PyTorch's names of arguments."""
    parameters = tuple(parameters_of(function))
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not kwargs.keys() <= known:
            if kwargs.get("out") is not None and "out" not in known:
                out = kwargs.pop("out")
                return written(name, call(*args, **kwargs), out)
            kwargs = respelled(name, parameters, kwargs)
        try:
            return function(*args, **kwargs)
        except COMPLAINTS as e:
            error = refusal(name, parameters, args, e)
            if error is None:
                raise
            raise error from e

    known = set(parameters)
    call.is_spelled = True  # type: ignore[attr-defined]
    return cast(F, call)


class VJP(NamedTuple):
    """One formula: ``function(g, *needs)`` gives the gradients of ``inputs``."""

    inputs: tuple[str, ...]
    function: Callable[..., Any]
    needs: tuple[str, ...]


def needs_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """What a VJP names after ``g``."""
    return tuple(parameters_of(function))[1:]


class Keep(NamedTuple):
    """Something to keep for the backward pass, under the name a VJP has for it."""

    name: str
    what: str  # "argument", "shape" or "dtype" (of the argument at ``position``), "y", "aux"
    position: int


class Step(NamedTuple):
    """Run one formula. Positions in ``keeps`` of its arguments (None: all, in order), and
    positions among the inputs that need gradients of its result or results."""

    function: Callable[..., Any]
    arguments: tuple[int, ...] | None
    targets: tuple[int | None, ...] | int


class Pullback(NamedTuple):
    """What the backward pass of one call does, for one choice of inputs needing gradients."""

    keeps: tuple[Keep, ...]
    steps: tuple[Step, ...]


class Op:
    """A differentiable function. See the module's docstring."""

    def __init__(
        self, forward: Callable[..., Any], *, aux: bool, view: bool, variadic: bool, name: str
    ) -> None:
        functools.update_wrapper(self, forward)
        parameters = parameters_of(forward)
        self.forward = forward
        self.name = name
        self.has_aux = aux
        self.is_view = view
        self.is_variadic = variadic
        self.parameters = tuple(parameters)
        self.arity = len(parameters)
        self.position = {p: i for i, p in enumerate(parameters)}
        self.defaults = tuple(parameters.values())
        self.required = self.defaults.count(inspect.Parameter.empty)
        self.vjps: dict[str, VJP] = {}
        self.inputs: tuple[int, ...] = ()  # positions of what it is differentiated by
        self._pullbacks: dict[tuple[int, ...], Pullback] = {}
        # How autograd fuses it with neighbours, where it does; see chainrule.autograd.fusion.
        self.fusion: Callable[..., tuple[Any, Any]] | None = None
        self.begins_fusion = False

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.parameters)})>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a class attribute an op is a method: ``exp = ops.exp`` gives ``x.exp()``."""
        return self if instance is None else MethodType(self, instance)

    # -- calling ---------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != self.arity:
            if kwargs and kwargs.get("out") is not None and "out" not in self.position:
                out = kwargs.pop("out")
                return written(self.name, self(*args, **kwargs), out)
            args = self._bind(args, kwargs)
        for a in args[0] if self.is_variadic else args:
            if isinstance(a, Recorded):
                return a.__apply_op__(self, args)[0]
        return self.compute(args)[0]

    def with_aux(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The result, and beside it what the op kept for its gradient (None if nothing)."""
        if kwargs or len(args) != self.arity:
            args = self._bind(args, kwargs)
        for a in args[0] if self.is_variadic else args:
            if isinstance(a, Recorded):
                return a.__apply_op__(self, args)
        return self.compute(args)

    def in_vjp(self, g: Any, *args: Any) -> Any:
        """As a call inside a VJP, where ``g`` tells of all arguments whether they are arrays."""
        return self.forward(g, *args) if type(g) is np.ndarray else self(g, *args)

    def compute(self, args: Sequence[Any]) -> tuple[Any, Any]:
        """(result, aux) on plain arrays."""
        try:
            result = self.forward(*args)
        except COMPLAINTS as e:
            error = self.refused(args, e)
            if error is e:
                raise
            raise error from e
        return result if self.has_aux else (result, None)

    def refused(self, args: Sequence[Any], e: Exception) -> Exception:
        """What to raise where the function raised ``e``: a user's op may raise what it likes."""
        ours = registry.get(self.name) is self or isinstance(e, np.exceptions.AxisError)
        return (refusal(self.name, self.parameters, args, e) if ours else None) or e

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        given = len(args)
        if not kwargs and self.required <= given < self.arity:
            return args + self.defaults[given:]
        if len(args) > self.arity:
            raise TypeError(
                f"{self.name}() takes {self.arity} arguments "
                f"({', '.join(self.parameters)}), {len(args)} given"
            )
        kwargs = respelled(self.name, self.parameters, kwargs)
        bound = list(args) + list(self.defaults[len(args) :])
        for name, value in kwargs.items():
            i = self.position.get(name)
            if i is None or i < len(args):
                what = "an unexpected argument" if i is None else "two values for argument"
                raise TypeError(f"{self.name}() got {what} '{name}'")
            bound[i] = value
        for name, value in zip(self.parameters, bound, strict=True):
            if value is inspect.Parameter.empty:
                raise TypeError(f"{self.name}() misses argument '{name}'")
        return tuple(bound)

    # -- gradients -------------------------------------------------------------------------

    def vjp(self, **formulas: Callable[..., Any]) -> None:
        """Declare the VJP of each named input: ``op.vjp(x=lambda g, weight: g @ weight)``."""
        for name, function in formulas.items():
            self._declare((name,), function, needs_of(function))

    def joint_vjp(self, *inputs: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate one formula that returns the gradients of several inputs as a tuple."""

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            self._declare(inputs, function, needs_of(function))
            return function

        return declare

    def _declare(
        self, inputs: tuple[str, ...], function: Callable[..., Any], needs: tuple[str, ...]
    ) -> None:
        for name in (*inputs, *needs):
            if self._keep(name) is None:
                raise TypeError(f"VJP of {self.name}: no argument '{name}' in {self.parameters}")
        vjp = VJP(inputs, function, needs)
        self.vjps.update(dict.fromkeys(inputs, vjp))
        self.inputs = tuple(sorted(self.position[n] for n in self.vjps))
        self._pullbacks.clear()

    def _keep(self, need: str) -> Keep | None:
        """What a VJP means by ``need``; None if it is nothing this op has."""
        if need in self.position:
            return Keep(need, "argument", self.position[need])
        if need in ("y", "aux"):
            return Keep(need, need, -1)
        stem, _, what = need.rpartition("_")
        if stem in self.position and what in ("shape", "dtype"):
            return Keep(need, what, self.position[stem])
        return None

    def pullback(self, wanted: tuple[int, ...], arrays: Sequence[Any], y: Any) -> Pullback:
        """How to give the gradients of the inputs at positions ``wanted`` of this call."""
        plan = self._pullbacks.get(wanted)
        if plan is None:
            plan = self._pullbacks[wanted] = self._plan(wanted, self.vjps)
        return plan

    def _plan(self, wanted: tuple[int, ...], vjps: dict[str, VJP]) -> Pullback:
        if self.is_variadic:  # one formula gives the gradients of all elements of argument 0
            chosen = [vjps[self.parameters[0]]]
        else:
            names = [self.parameters[i] for i in wanted]
            chosen = list({id(v): v for v in (vjps[n] for n in names)}.values())
        needs = tuple(dict.fromkeys(need for v in chosen for need in v.needs))
        steps = []
        for v in chosen:
            arguments = None if v.needs == needs else tuple(needs.index(n) for n in v.needs)
            targets: tuple[int | None, ...] | int
            if self.is_variadic:
                targets = wanted
            else:
                targets = tuple(names.index(n) if n in names else None for n in v.inputs)
                if len(v.inputs) == 1:
                    targets = names.index(v.inputs[0])
            steps.append(Step(v.function, arguments, targets))
        keeps = tuple(self._keep(need) for need in needs)
        return Pullback(keeps, tuple(steps))  # type: ignore[arg-type]  # checked when declared


def op(
    forward: Callable[..., Any] | None = None,
    *,
    aux: bool = False,
    view: bool = False,
    variadic: bool = False,
    name: str | None = None,
    kind: type[Op] = Op,
) -> Any:
    """Make a function of arrays an op.

    aux: the function returns (result, kept), where ``kept`` is plain arrays.
    view: the result may share memory with the first argument.
    variadic: the first argument is a sequence of arrays, all of them inputs.
    """
    if forward is None:
        return functools.partial(op, aux=aux, view=view, variadic=variadic, name=name, kind=kind)
    made = kind(
        forward, aux=aux, view=view, variadic=variadic, name=name or forward.__name__.strip("_")
    )
    module = forward.__module__ or ""  # None for code run by exec()
    if module.split(".")[0] == __name__.split(".")[0]:  # a user's may be redefined
        if made.name in registry:
            raise GraphError(f"op '{made.name}' is defined twice; give one of them another name")
        registry[made.name] = made
    return made
