"""Functions of the user's around a module's call: what they see and replace, and their order.

One call runs, with PyTorch's order and meaning:

1. forward pre-hooks: of all modules, then of this one; they may replace the arguments;
2. forward;
3. forward hooks: of all modules, then of this one; they may replace the result. Those with
   ``always_call`` run even where something raised.

For backward hooks the arguments and the result pass through an identity whose VJP shows the
gradients: first backward pre-hooks get those of the result, then backward hooks get both.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from chainrule.autograd import Function, is_grad_enabled
from chainrule.autograd.anomaly import entered
from chainrule.autograd.graph import Variable
from chainrule.autograd.hooks import HookTable, RemovableHandle, module_calls
from chainrule.errors import GraphError

Grads = tuple[Any, ...]


class ModuleHooks:
    """All hooks of one module (or of all modules), by kind."""

    KINDS = (
        "forward_pre", "forward", "backward_pre", "backward", "state_dict_pre", "state_dict",
        "load_state_dict_pre", "load_state_dict_post", "with_kwargs", "always_called", "bare",
    )  # fmt: skip
    __slots__ = KINDS

    forward_pre: HookTable
    forward: HookTable
    backward_pre: HookTable
    backward: HookTable
    state_dict_pre: HookTable
    state_dict: HookTable
    load_state_dict_pre: HookTable
    load_state_dict_post: HookTable
    with_kwargs: HookTable  # marks: hooks that are given keyword arguments, too
    always_called: HookTable  # marks: hooks that run after an error, too
    bare: HookTable  # marks: load_state_dict pre-hooks that are not given the module

    def __init__(self) -> None:
        for kind in self.KINDS:
            setattr(self, kind, HookTable())

    def add(self, kind: str, hook: Any, *marks: str, prepend: bool = False) -> RemovableHandle:
        """Register a hook, last of its kind or first."""
        table: HookTable = getattr(self, kind)
        handle = RemovableHandle(table, hook, *(getattr(self, mark) for mark in marks))
        if prepend:
            table.move_to_front(handle.id)
        return handle

    @property
    def surround_calls(self) -> bool:
        """Whether a call has anything to do with them."""
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)


everywhere = ModuleHooks()
"""The hooks of all modules."""
module_calls.hooks = lambda: everywhere.surround_calls

NONE = ModuleHooks()


class Call:
    """One call of a module that hooks surround."""

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module, self.args, self.kwargs = module, args, kwargs
        self.result: Any = None
        self.own: ModuleHooks = module._hooks or NONE
        self.done: set[int] = set()  # the hooks that were called

    def run(self) -> Any:
        """The call, with all that surrounds it."""
        for enter in module_calls.entering:
            enter(self.module)
        if not module_calls.anomaly:
            module_calls.look()
            return self._run()
        with entered(self.module):
            return self._run()

    def _run(self) -> Any:
        try:
            self._before()
            backward = self._backward_hooks()
            if backward is not None:
                self.args = backward.through_inputs(self.args)
            self.result = self.module.forward(*self.args, **self.kwargs)
            for key, hooks, hook in self._each("forward"):
                self._after(key, hooks, hook)
            if backward is not None:
                self.result = backward.through_outputs(self.result)
        except Exception:
            self._after_error()
            raise
        return self.result

    def _each(self, kind: str) -> Iterator[tuple[int, ModuleHooks, Any]]:
        for hooks in (everywhere, self.own):
            for key, hook in tuple(getattr(hooks, kind).items()):
                yield key, hooks, hook

    def _before(self) -> None:
        for key, hooks, hook in self._each("forward_pre"):
            if key in hooks.with_kwargs:
                changed = hook(self.module, self.args, self.kwargs)
                if changed is None:
                    continue
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise GraphError(
                        "forward pre-hook: with kwargs it must return None or (args, kwargs), "
                        f"got {changed!r}"
                    )
                self.args, self.kwargs = changed
            else:
                changed = hook(self.module, self.args)
                if changed is not None:
                    self.args = changed if isinstance(changed, tuple) else (changed,)

    def _after(self, key: int, hooks: ModuleHooks, hook: Callable[..., Any]) -> None:
        self.done.add(key)
        given = (self.args, self.kwargs) if key in hooks.with_kwargs else (self.args,)
        changed = hook(self.module, *given, self.result)
        if changed is not None:
            self.result = changed

    def _after_error(self) -> None:
        for key, hooks, hook in self._each("forward"):
            if key in hooks.always_called and key not in self.done:
                try:
                    self._after(key, hooks, hook)
                except Exception as error:
                    warnings.warn(
                        f"a forward hook with always_call raised {error!r} after an error in "
                        "forward; that one is raised",
                        stacklevel=2,
                    )

    def _backward_hooks(self) -> _BackwardHooks | None:
        before = [hook for _, _, hook in self._each("backward_pre")]
        hooks = [hook for _, _, hook in self._each("backward")]
        return _BackwardHooks(self.module, before, hooks) if before or hooks else None


class BackwardHookFunction(Function):
    """Identity; ``told`` sees the gradients, and gives those that go on."""

    @staticmethod
    def forward(ctx: Any, told: Callable[[Grads], Grads], zeros: bool, *tensors: Any) -> Any:
        ctx.told = told
        ctx.set_materialize_grads(zeros)
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, None, *ctx.told(grads)


class _BackwardHooks:
    """The backward hooks of one call."""

    def __init__(self, module: Any, before: list[Any], hooks: list[Any]) -> None:
        self.module, self.before, self.hooks = module, before, hooks
        self.inputs: list[int] | None = None  # positions of tensors, if one wants a gradient
        self.count = 0  # of arguments
        self.grad_outputs: Grads | None = None

    def through_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, such that their gradients will be shown."""
        self.count = len(args)
        args, self.inputs = _through(args, self._at_inputs, zeros=True)
        return args

    def through_outputs(self, result: Any) -> Any:
        """The result, such that its gradients will be shown."""
        if not isinstance(result, Variable | tuple):
            warnings.warn(
                "backward hooks need a module whose result is a tensor or a tuple of tensors, "
                f"got {type(result).__name__}",
                stacklevel=4,
            )
            return result
        results = result if isinstance(result, tuple) else (result,)
        count = len(results)  # so that the graph does not hold the results themselves
        shown, at = _through(results, lambda grads: self._at_outputs(grads, at, count), zeros=False)
        return shown if isinstance(result, tuple) else shown[0]

    def _at_outputs(self, grads: Grads, at: Any, count: int) -> Grads:
        shown = _spread(grads, at, count)
        for hook in self.before:
            changed = hook(self.module, shown)
            if changed is not None:
                shown = _same_number(changed, shown, "backward pre-hook", "grad_output")
        if self.inputs is None:  # no input wants a gradient: this is all there is to see
            for hook in self.hooks:
                changed = hook(self.module, (None,) * self.count, shown)
                if changed is not None and any(g is not None for g in changed):
                    raise GraphError(
                        "backward hook: no input of the module requires grad, so it must return "
                        "None, or None for all"
                    )
        else:
            self.grad_outputs = shown
        return tuple([shown[i] for i in at])

    def _at_inputs(self, grads: Grads) -> Grads:
        if self.grad_outputs is None:  # this gradient did not come through the result
            return grads
        assert self.inputs is not None
        shown = _spread(grads, self.inputs, self.count)
        for hook in self.hooks:
            changed = hook(self.module, shown, self.grad_outputs)
            if changed is not None:
                shown = _same_number(changed, shown, "backward hook", "grad_input")
        self.grad_outputs = None
        return tuple([shown[i] for i in self.inputs])


def _through(args: tuple[Any, ...], told: Callable[[Grads], Grads], zeros: bool) -> tuple[Any, Any]:
    """The arguments with their tensors led through the identity, and where these are.

    zeros: whether ``told`` sees zeros, not None, for tensors without a gradient.
    """
    at = [i for i, a in enumerate(args) if isinstance(a, Variable)]
    if not (is_grad_enabled() and any(args[i].requires_grad for i in at)):
        return args, None
    shown = list(args)
    tensors = BackwardHookFunction.apply(told, zeros, *[args[i] for i in at])
    for i, tensor in zip(at, tensors, strict=True):
        shown[i] = tensor
    return (tuple(shown) if type(args) is tuple else type(args)(*shown)), at  # a named tuple


def _spread(grads: Grads, at: list[int], count: int) -> Grads:
    """The gradients at their places among all arguments, None at those of other things."""
    spread: list[Any] = [None] * count
    for i, g in zip(at, grads, strict=True):
        spread[i] = g
    return tuple(spread)


def _same_number(changed: Any, shown: Grads, hook: str, what: str) -> Grads:
    changed = changed if isinstance(changed, tuple | list) else (changed,)
    if len(changed) != len(shown):
        raise GraphError(f"{hook}: it returned {len(changed)} {what}, expected {len(shown)}")
    for g in changed:
        if not isinstance(g, Variable | None):
            raise GraphError(
                f"{hook}: it must return tensors or None in place of {what}, got {type(g).__name__}"
            )
    return tuple(changed)


# -- hooks of all modules --------------------------------------------------------------------------


def _for_all(kind: str, hook: Any, *marks: str) -> RemovableHandle:
    handle = everywhere.add(kind, hook, *marks)
    module_calls.look()
    return handle


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_forward_pre_hook`, for all modules."""
    return _for_all("forward_pre", hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """As `Module.register_forward_hook`, for all modules."""
    return _for_all("forward", hook, *marks_of(with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_full_backward_pre_hook`, for all modules."""
    return _for_all("backward_pre", hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_full_backward_hook`, for all modules."""
    return _for_all("backward", hook)


def marks_of(with_kwargs: bool, always_call: bool = False) -> list[str]:
    """The tables in which a forward hook is marked."""
    return ["with_kwargs"] * with_kwargs + ["always_called"] * always_call


# -- hooks of the state_dict -----------------------------------------------------------------------


def before_loading(root: Any, state: MutableMapping[str, Any], strict: bool) -> list[list[str]]:
    """Run the load_state_dict pre-hooks, which may change ``state``.

    Returns what they noted: missing keys, unexpected keys, error messages.
    """
    notes: list[list[str]] = [[], [], []]
    for path, module in root.named_modules(remove_duplicate=False):
        if module._hooks is None:
            continue
        prefix = f"{path}." if path else ""
        for key, hook in tuple(module._hooks.load_state_dict_pre.items()):
            given = () if key in module._hooks.bare else (module,)
            hook(*given, state, prefix, {}, strict, *notes)
    return notes


def hooks_after_loading(root: Any) -> list[tuple[Any, Any]]:
    """(module, load_state_dict post-hook) of all modules, children first."""
    found = []
    for child in root._modules.values():
        if child is not None:
            found += hooks_after_loading(child)
    if root._hooks is not None:
        found += [(root, hook) for hook in root._hooks.load_state_dict_post.values()]
    return found
