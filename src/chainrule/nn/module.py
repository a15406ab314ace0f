"""Module: state (parameters, buffers, sub-modules) and the function that uses it.

Names, state_dict keys and printed form are PyTorch's, so that a model written for PyTorch
runs when its imports change, and weights load by name. The mathematics lives in
`chainrule.nn.functional`; a module only remembers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from chainrule.absent import use_instead
from chainrule.autograd.hooks import HookTable, RemovableHandle, module_calls
from chainrule.errors import ConfigError, DTypeError
from chainrule.nn.hooks import (
    NONE,
    Call,
    ModuleHooks,
    marks_of,
)
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.nn.state import IncompatibleKeys, load_state
from chainrule.tensor import Tensor
from chainrule.tensor import device as Device


class Module:
    """Base of all layers and models.

    Assigning a `Parameter`, a `Buffer` or a `Module` to an attribute registers it.
    Subclasses call ``super().__init__()`` first and define ``forward``.
    """

    training: bool
    _newer_state: ClassVar[tuple[str, ...]] = ()  # what old checkpoints of this kind have not
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        # Past __setattr__, which needs these to exist.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _transient_buffers=set(),
            _modules={},
            _hooks=None,  # until there is one: see chainrule.nn.hooks
        )

    # -- calling ---------------------------------------------------------------------------

    def _forward_is_missing(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    # As an attribute, not a method: subclasses choose their own arguments.
    forward: Callable[..., Any] = _forward_is_missing

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__["_hooks"] is not None or module_calls.watched:
            return Call(self, args, kwargs).run()
        return self.forward(*args, **kwargs)

    # -- hooks -----------------------------------------------------------------------------

    def _own_hooks(self) -> ModuleHooks:
        """This module's hooks; it has some from now on."""
        state = self.__dict__
        if state["_hooks"] is None:
            state["_hooks"] = ModuleHooks()
        return state["_hooks"]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before forward; what it returns replaces args (None: not).

        with_kwargs: call ``hook(module, args, kwargs)``, which may return (args, kwargs).
        prepend: before the hooks registered so far.
        """
        marks = marks_of(with_kwargs)
        return self._own_hooks().add("forward_pre", hook, *marks, prepend=prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after forward; what it returns replaces output.

        with_kwargs: call ``hook(module, args, kwargs, output)``. prepend: before the hooks
        registered so far. always_call: after an error too, with what output there is.
        """
        marks = marks_of(with_kwargs, always_call)
        return self._own_hooks().add("forward", hook, *marks, prepend=prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when dL/d(output) is known; it may replace it.

        grad_output: a tuple, None for what is no tensor; so is what the hook returns.
        """
        return self._own_hooks().add("backward_pre", hook, prepend=prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when dL/d(inputs) is known.

        Both are tuples, with None for what is no tensor or needs no gradient. A tuple that the
        hook returns replaces grad_input. Where no input needs a gradient, it is called when
        grad_output is known.
        """
        return self._own_hooks().add("backward", hook, prepend=prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """PyTorch's old name; the same as `register_full_backward_hook`."""
        return self.register_full_backward_hook(hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before the module's state is collected."""
        return self._own_hooks().add("state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after; it may change the dict.

        local_metadata is an empty dict: no versions are kept.
        """
        return self._own_hooks().add("state_dict", hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before loading; it may change the dict and the lists."""
        return self._own_hooks().add("load_state_dict_pre", hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        marks = () if with_module else ("bare",)
        return self._own_hooks().add("load_state_dict_pre", hook, *marks)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the two lists."""
        return self._own_hooks().add("load_state_dict_post", hook)

    @property
    def _forward_hooks(self) -> HookTable:
        return self._own_hooks().forward

    @property
    def _forward_pre_hooks(self) -> HookTable:
        return self._own_hooks().forward_pre

    @property
    def _backward_hooks(self) -> HookTable:
        return self._own_hooks().backward

    # -- registering -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.add_module(name, value)
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
        elif (registry := self._registry_of(name)) is None:
            object.__setattr__(self, name, value)
        elif value is None or (registry is self._buffers and isinstance(value, Tensor)):
            registry[name] = value
        else:
            kind = {id(self._parameters): "Parameter", id(self._buffers): "Tensor"}.get(
                id(registry), "Module"
            )
            raise DTypeError(
                f"{type(self).__name__}.{name} holds a {kind}; "
                f"cannot assign a {type(value).__name__} (assign a {kind} or None)"
            )

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not an ordinary attribute.
        state = self.__dict__
        if "_modules" in state:
            if name in state["_modules"]:
                return state["_modules"][name]
            if name in state["_parameters"]:
                return state["_parameters"][name]
            if name in state["_buffers"]:
                return state["_buffers"][name]
        elif not name.startswith("__"):  # copy and pickle ask a bare object for such names
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before using attributes"
            )
        message = f"'{type(self).__name__}' object has no attribute '{name}'"
        instead = use_instead("chainrule.nn.Module", name)
        raise AttributeError(message if instead is None else f"{message}: {instead}")

    def _weight_and_bias(self) -> tuple[Any, Any]:
        """The attributes of these names; Python is slow to fall back on __getattr__."""
        parameters = self._parameters
        try:
            return parameters["weight"], parameters["bias"]
        except KeyError:  # replaced by what is no parameter
            return self.weight, self.bias

    def __delattr__(self, name: str) -> None:
        registry = self._registry_of(name)
        if registry is None:
            object.__delattr__(self, name)
        else:
            del registry[name]
            self._transient_buffers.discard(name)

    def __dir__(self) -> list[str]:
        registered = (*self._parameters, *self._buffers, *self._modules)
        return sorted({*super().__dir__(), *registered})

    def _registry_of(self, name: str) -> dict[str, Any] | None:
        """The registry that holds ``name``, if one does."""
        if "_modules" not in self.__dict__:  # plain attributes may come before super().__init__()
            return None
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                return registry
        return None

    def _claim(self, name: str, registry: Mapping[str, Any]) -> None:
        """Check a name to be registered and forget what bore it elsewhere."""
        if not isinstance(name, str) or not name or "." in name:
            raise ConfigError(
                f"{type(self).__name__}: {name!r} cannot name a parameter, buffer or module; "
                "a name is a non-empty string without '.'"
            )
        if self._registry_of(name) not in (None, registry):
            delattr(self, name)
        self.__dict__.pop(name, None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter, or None for an absent one."""
        if not isinstance(param, Parameter | None):
            raise DTypeError(
                f"register_parameter: {name!r} must be a Parameter or None, "
                f"got {type(param).__name__}; wrap it in nn.Parameter"
            )
        self._claim(name, self._parameters)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is state but not trained; ``persistent``: in the state_dict."""
        if not isinstance(tensor, Tensor | None):
            raise DTypeError(
                f"register_buffer: {name!r} must be a Tensor or None, got {type(tensor).__name__}"
            )
        self._claim(name, self._buffers)
        self._buffers[name] = tensor
        (self._transient_buffers.discard if persistent else self._transient_buffers.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a sub-module, or None for an absent one."""
        if not isinstance(module, Module | None):
            raise DTypeError(
                f"add_module: {name!r} must be a Module or None, got {type(module).__name__}"
            )
        self._claim(name, self._modules)
        self._modules[name] = module

    register_module = add_module

    # -- looking around --------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module and all below it, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the direct sub-modules, each once."""
        return _once((n, m) for n, m in self._modules.items() if m is not None)

    def children(self) -> Iterator[Module]:
        """The direct sub-modules, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter) here and, with ``recurse``, below; shared ones once."""
        found = self._named("_parameters", prefix, recurse, remove_duplicate)
        return _once(found) if remove_duplicate else found

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters here and, with ``recurse``, below, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, buffer) here and, with ``recurse``, below; shared ones once."""
        found = self._named("_buffers", prefix, recurse, remove_duplicate)
        return _once(found) if remove_duplicate else found

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers here and, with ``recurse``, below, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        owners = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in owners:
            for name, member in module.__dict__[registry].items():
                if member is not None:
                    yield (f"{path}.{name}" if path else name), member

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name, such as "layer1.0.conv1"; "" is this module."""
        module = self
        for name in target.split(".") if target else ():
            below = module._modules.get(name)
            if below is None:
                raise AttributeError(
                    f"{type(self).__name__} has no sub-module {target!r}: "
                    f"{type(module).__name__} has {', '.join(module._modules) or 'none'}"
                )
            module = below
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put ``module`` in the place with a dotted name; strict: where there is one already."""
        path, _, name = target.rpartition(".")
        if strict:
            self.get_submodule(target)
        self.get_submodule(path).add_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name, such as "layer1.0.conv1.weight"."""
        return self._get("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with a dotted name, such as "bn1.running_mean"."""
        return self._get("_buffers", "buffer", target)

    def _get(self, registry: str, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path).__dict__[registry].get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no {kind} {target!r}")
        return found

    # -- changing all at once --------------------------------------------------------------

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call ``fn`` on every module below, then on this one (to initialise, for example)."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Choose training (True) or evaluation behaviour of dropout, batch norm and the like."""
        self.training = mode
        for module in self.children():
            module.train(mode)  # which it may define in its own way
        return self

    def eval(self) -> Self:
        """Choose evaluation behaviour: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Choose whether gradients of the parameters are computed (False freezes them)."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or fill them with zeros."""
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    def to(
        self,
        *targets: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """Convert float parameters and buffers to a float dtype, or to that of a tensor.

        The only device is "cpu"; non_blocking and memory_format change nothing: images take
        channels-last memory by themselves.
        """
        for target in (*targets, dtype, device):
            if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "mps"):
                Device(target)  # raises ConfigError for any but the CPU
            elif isinstance(target, Tensor):
                self._convert(target.dtype)
            elif target is not None and not isinstance(target, bool):
                self._convert(np.dtype(target))
        return self

    def type(self, dst_type: Any) -> Self:
        """Convert float parameters and buffers to ``dst_type``."""
        return self.to(dtype=dst_type)

    def _convert(self, dtype: np.dtype[Any]) -> None:
        if dtype.kind != "f":
            raise DTypeError(f"Module.to: expects a float dtype, got {dtype}")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.kind == "f" and tensor.dtype != dtype:
                grad = tensor.grad
                tensor.grad = None
                tensor.data = tensor.data.to(dtype)
                tensor.grad = None if grad is None else grad.to(dtype)

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert to float64."""
        return self.to(np.float64)

    def half(self) -> Self:
        """Convert to float16."""
        return self.to(np.float16)

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """Raises ConfigError: there is no such device."""
        return self.to("cuda")

    def cpu(self) -> Self:
        """This module: the CPU is where it is."""
        return self

    # -- saving and loading ----------------------------------------------------------------

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Parameters and persistent buffers by dotted name, sharing memory with the module.

        keep_vars: the parameters themselves; otherwise detached from the graph.
        destination: a dict to add them to.
        """
        state: dict[str, Any] = OrderedDict() if destination is None else destination
        returned = self._collect_state(state, prefix, keep_vars)
        return state if returned is None else returned

    def _collect_state(self, state: dict[str, Tensor], prefix: str, keep_vars: bool) -> Any:
        """Add this module's state and that of all below; returns what a hook put in its place."""
        hooks = self.__dict__["_hooks"] or NONE
        for hook in tuple(hooks.state_dict_pre.values()):
            hook(self, prefix, keep_vars)
        for name, member in self._own_state():
            state[prefix + name] = member if keep_vars else member.detach()
        for name, module in self._modules.items():
            if module is not None:
                module._collect_state(state, f"{prefix}{name}.", keep_vars)
        returned = None
        for hook in tuple(hooks.state_dict.values()):
            returned = hook(self, state, prefix, {})
        return returned

    def _own_state(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters and persistent buffers of this module alone."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._transient_buffers:
                yield name, buffer

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers by name; arrays and tensors alike.

        strict: every name must be there and known. With False the others are left alone;
        both kinds are returned either way. The values are cast to each parameter's dtype.
        assign: put the values themselves in their place, in their own dtypes.
        Raises CheckpointError listing missing and unexpected names and shapes that differ,
        before anything is changed (but where a load_state_dict post-hook, which may alter what
        is missing, has to see the values first). An uninitialized parameter takes the shape of
        its value, or stays as it is where that is uninitialized too.
        """
        return load_state(self, state_dict, strict, assign)

    # -- printing --------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What the printed form says between the parentheses."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [
            f"  ({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        if not children and "\n" not in extra:
            return f"{self._get_name()}({extra})"
        lines = [f"  {line}" for line in extra.split("\n")] if extra else []
        return "\n".join([f"{self._get_name()}(", *lines, *children, ")"])


def clear_grad(tensor: Tensor, set_to_none: bool = True) -> None:
    """Forget a tensor's gradient, or fill it with zeros."""
    if tensor.grad is None:
        return
    if set_to_none:
        tensor.grad = None
    else:
        tensor.grad = Tensor(np.zeros_like(tensor.grad.array))


def _once(named: Any) -> Iterator[tuple[str, Any]]:
    """The pairs whose second element (by identity) has not come before."""
    seen: set[int] = set()
    for name, member in named:
        if id(member) not in seen:
            seen.add(id(member))
            yield name, member
