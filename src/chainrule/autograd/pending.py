"""Values that are not computed yet, because the next call may complete them.

``relu(batch_norm(conv2d(x)))`` reads and writes memory three times where once would do, if the
convolution knew what follows. So some ops give a *late* variable: its array is unset, and it
holds a `Pending`, the kernel call that would compute it. An op that can go on from there takes
the pending call, adds its own step and so replaces both (`chainrule.autograd.fusion` says which
can). Whoever else reads the array has it computed at that moment.

The value must be the one of the moment of the call. So memory is watched until then:

- what this library changes in place says so first (`before_change`), and the pending calls that
  still need the old values keep a copy of them;
- memory that NumPy's users may hold too is copied where that is cheap; else nothing is put off.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from chainrule.kernels.epilogue import NOTHING, Epilogue

Array = np.ndarray[Any, Any]

CHEAP_COPY = 1 << 16  # bytes: below, a copy costs less than a pass of its own over any result


class Kind(NamedTuple):
    """A kernel that can do more to its result before it stores it."""

    name: str
    run: Callable[[Any, Epilogue], Array]
    scales: bool  # takes scale and shift
    adds: bool  # takes an array to add


class Pending:
    """A kernel call that was not made yet."""

    __slots__ = ("arguments", "computed", "dtype", "epilogue", "kind", "shape")

    def __init__(
        self,
        kind: Kind,
        arguments: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        epilogue: Epilogue = NOTHING,
    ) -> None:
        self.kind = kind
        self.arguments = arguments
        self.shape = shape
        self.dtype = dtype
        self.epilogue = epilogue
        self.computed: Array | None = None

    @property
    def ndim(self) -> int:
        """The number of axes of the value."""
        return len(self.shape)

    def value(self) -> Array:
        """The array, computed now unless it has been."""
        if self.computed is None:
            self.settle(self.kind.run(self.arguments, self.epilogue))
        return self.computed  # type: ignore[return-value]  # settle() has set it

    def settle(self, array: Array) -> None:
        """Take ``array`` for the value; what it was computed from is needed no more."""
        self.computed = array
        self.arguments, self.epilogue = (), NOTHING

    def scaled(self, scale: Array, shift: Array) -> Pending:
        """The call that goes on with · scale + shift, per channel."""
        epilogue = Epilogue(scale, shift)
        return Pending(self.kind, self.arguments, self.shape, self.dtype, epilogue)

    def plus(self, other: Array) -> Pending:
        """The call that goes on with + other."""
        epilogue = Epilogue(self.epilogue.scale, self.epilogue.shift, other)
        return Pending(self.kind, self.arguments, self.shape, self.dtype, epilogue)

    def rectified(self) -> Array:
        """The value with a ReLU after it."""
        scale, shift, add, _ = self.epilogue
        return self.kind.run(self.arguments, Epilogue(scale, shift, add, True))

    @property
    def takes_scale(self) -> bool:
        """Whether `scaled` may be called."""
        return self.kind.scales and self.epilogue is NOTHING

    @property
    def takes_add(self) -> bool:
        """Whether `plus` may be called."""
        return self.kind.adds and self.epilogue.add is None

    def keep_old_values(self, changing: Array) -> None:
        """Copy what lies in memory that is about to change."""

        used = (*self.arguments, *self.epilogue)
        arrays = [a for a in used if isinstance(a, np.ndarray)]
        self._copy([a for a in arrays if np.may_share_memory(a, changing)])

    def secured(self, visible: Sequence[Array]) -> Pending | Array:
        """This call made safe from those who hold the ``visible`` arrays: with copies of them
        where these are small beside the result, else its value, computed now."""
        used = set(map(id, self.arguments + self.epilogue))
        held = [a for a in visible if id(a) in used]
        limit = max(math.prod(self.shape) * self.dtype.itemsize // 2, CHEAP_COPY)
        if any(a.nbytes > limit for a in held):
            return self.value()
        self._copy(held)
        return self

    def _copy(self, arrays: Sequence[Array]) -> None:
        """Use copies of these arrays from now on."""
        copies = {id(a): a.copy(order="K") for a in arrays}
        if not copies:
            return
        self.arguments = tuple([copies.get(id(a), a) for a in self.arguments])
        if self.epilogue is not NOTHING:
            steps: Any = [copies.get(id(a), a) for a in self.epilogue]
            self.epilogue = Epilogue(*steps)


_late: list[weakref.ref[Any]] = []
_sweep_at = 64


class Late:
    """Mixed into the class of variables: its array is computed when it is first read.

    A late variable holds its `Pending` where others hold their array; once that is computed
    it becomes an ordinary variable (of class ``settled``), so that those pay nothing.
    """

    __slots__ = ()

    settled: ClassVar[type]
    pending: Any
    """The call that will compute the array, in the slot of ordinary variables' ``array``."""

    def compute(self) -> Array:
        """The array; from now on this is an ordinary variable around it."""
        array = self.pending.value()
        self.settle(array)
        return array

    def settle(self, array: Array) -> None:
        """Become an ordinary variable around ``array``."""
        self.pending = array
        self.__class__ = self.settled


def watch(late: Late) -> None:
    """Remember a late variable for as long as it lives unread."""
    global _sweep_at
    if len(_late) >= _sweep_at:
        _forget_the_settled()
        _sweep_at = max(64, 2 * len(_late))  # doubling: many cost no more each than few
    _late.append(weakref.ref(late))


def before_change(memory: Array) -> None:
    """To be called before ``memory`` is changed in place: pending calls keep its old values."""
    if not _late:
        return
    for reference in tuple(_late):
        late = reference()
        if isinstance(late, Late) and late.pending.computed is None:
            late.pending.keep_old_values(memory)
    _forget_the_settled()


def _forget_the_settled() -> None:
    count = len(_late)  # another thread may be adding behind these
    _late[:count] = [r for r in _late[:count] if isinstance(r(), Late)]
