"""Functions of the user's that see, and may replace, gradients on their way.

Where they sit in one node's turn of the backward sweep, in this order (PyTorch's):

1. ``tensor.register_hook`` on the node's result: the gradient, as soon as all of it is there;
2. ``tensor.retain_grad()``: what the hooks of 1 left of it is kept in ``.grad``;
3. ``grad_fn.register_prehook``: the same gradient, as a tuple;
4. the node's VJPs run;
5. ``grad_fn.register_hook``: the gradients of the node's inputs, before they are sent on.

A leaf has 1, and ``register_post_accumulate_grad_hook`` after its ``.grad`` has changed.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any, Self

_ids = itertools.count()


class RemovableHandle:
    """Returned where a hook is registered; ``remove()`` takes the hook away again."""

    def __init__(
        self, hooks: MutableMapping[int, Any], hook: Any, *marks: MutableMapping[int, bool]
    ) -> None:
        """Add ``hook`` to ``hooks``, and its id to each of ``marks``."""
        self.id = next(_ids)
        hooks[self.id] = hook
        for mark in marks:
            mark[self.id] = True
        # Weakly: a handle that somebody keeps does not keep the model.
        self._places = tuple(weakref.ref(place) for place in (hooks, *marks))

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        for reference in self._places:
            place = reference()
            if place is not None:
                place.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class HookTable(dict[int, Any]):
    """Hooks by the id of their handle, in the order they run. (A dict that can be weakly held.)"""

    __slots__ = ("__weakref__",)

    def move_to_front(self, key: int) -> None:
        """Let the hook of this id run before all others."""
        hook = self.pop(key)
        others = list(self.items())
        self.clear()
        self[key] = hook
        self.update(others)


class Hooks:
    """The hooks of one node or leaf; most have none, and then no such object either."""

    __slots__ = ("accumulated", "after", "before", "gradient")

    def __init__(self) -> None:
        self.gradient = HookTable()  # of a tensor's gradient
        self.before = HookTable()  # of a node, before its VJPs
        self.after = HookTable()  # of a node, after them
        self.accumulated = HookTable()  # of a leaf, after its .grad has changed

    def __bool__(self) -> bool:
        return bool(self.gradient or self.before or self.after or self.accumulated)


def hooks_of(holder: Any) -> Hooks:
    """The hooks of a node or leaf, which has them from now on."""
    if holder.hooks is None:
        holder.hooks = Hooks()
    return holder.hooks


Hook = Callable[..., Any]


class _ModuleCalls:
    """Who wants to see every call of every module. One flag, so that it costs nothing else."""

    watched = False
    anomaly = False  # set while anomalies are looked for: which modules are being called matters
    hooks: Callable[[], bool] = staticmethod(lambda: False)  # whether hooks of all modules exist
    entering: tuple[Callable[[Any], None], ...] = ()  # to be called with each module

    def look(self) -> None:
        """Set the flag anew."""
        self.watched = self.anomaly or bool(self.entering) or self.hooks()


module_calls = _ModuleCalls()
