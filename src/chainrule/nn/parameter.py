"""Parameter and Buffer: tensors that a module registers when they become its attributes.

Those of lazy modules (`chainrule.nn.lazy`) begin uninitialized: registered, but without a shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from chainrule.autograd.graph import Variable
from chainrule.errors import UninitializedError
from chainrule.tensor import Tensor
from chainrule.tensor.creation import empty

if TYPE_CHECKING:
    _BesideTensor = Tensor
else:
    _BesideTensor = object


class Parameter(Tensor):
    """A tensor to be trained: a leaf that requires grad. Shares the memory of ``data``.

    Unlike other tensors it takes attributes of any name: optimizers and layers leave marks on it
    (``weight.no_weight_decay = True``). A copy has none of them, as in PyTorch.
    """

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        super().__init__(_memory_of(data), requires_grad=requires_grad)
        _share_visibility(self, data)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A parameter of the same values, without their gradient, as PyTorch copies parameters."""
        made = super().__deepcopy__(memo)
        made._grad = None
        return made

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that is state but not trained; ``persistent``: in the state_dict."""

    persistent: bool = True

    def __init__(
        self, data: Any = (), persistent: bool = True, *, requires_grad: bool = False
    ) -> None:
        super().__init__(_memory_of(data), requires_grad=requires_grad)
        _share_visibility(self, data)
        self.persistent = persistent


class UninitializedTensorMixin(_BesideTensor):
    """What a parameter and a buffer share before their shape is known.

    Their dtype can be asked for and changed; anything else raises UninitializedError. It is the
    same object that `materialize` makes an ordinary one: an optimizer that holds it keeps it.
    """

    __slots__ = ()
    cls_to_become: ClassVar[type[Tensor]]
    _memory = Variable.__dict__["array"]  # of no elements, but of a dtype

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        Tensor.__init__(self, empty(0, device=device, dtype=dtype).array)
        self.wanted = requires_grad

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of this shape, of values to be set."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        made = empty(shape, device=device, dtype=dtype or self.dtype)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]  # of one layout
        self.data = made  # memory that no array outside shows

    def _no(self, what: str) -> UninitializedError:
        kind = "buffer" if isinstance(self, Buffer) else "parameter"
        return UninitializedError(
            f"the {what} of an uninitialized {kind} cannot be used: call the lazy module that it "
            "belongs to, or the model, on a batch first"
        )

    if not TYPE_CHECKING:

        @property
        def array(self) -> Any:
            raise self._no("values")

        @array.setter
        def array(self, value: Any) -> None:
            self._memory = value

        @property
        def requires_grad(self) -> bool:
            return self.wanted

        @requires_grad.setter
        def requires_grad(self, wanted: bool) -> None:
            self.wanted = bool(wanted)

        @property
        def data(self) -> Tensor:
            return Variable.of(self._memory)

        @data.setter
        def data(self, value: Tensor) -> None:
            self._memory = value.array

        @property
        def dtype(self) -> np.dtype[Any]:
            return self._memory.dtype

        @property
        def shape(self) -> Any:
            raise self._no("shape")

    def detach(self) -> Self:
        """Itself: it has no values to share."""
        return self

    def is_floating_point(self) -> bool:
        return self.dtype.kind == "f"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo[id(self)] = made = type(self)(self.requires_grad, dtype=self.dtype)
        return made

    def __reduce__(self) -> Any:
        return type(self), (self.requires_grad, None, self.dtype)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet; `materialize` makes it a `Parameter`."""

    __slots__ = ()
    cls_to_become = Parameter


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer whose shape is not known yet; `materialize` makes it a `Buffer`."""

    __slots__ = ()
    cls_to_become = Buffer

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        super().__init__(requires_grad, device, dtype)
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Whether it is an uninitialized parameter or buffer."""
    return isinstance(param, UninitializedTensorMixin)


def _share_visibility(tensor: Tensor, data: Any) -> None:
    if isinstance(data, Tensor):
        tensor.version.is_visible = data.version.is_visible


def _memory_of(data: Any) -> Any:
    return data.array if isinstance(data, Tensor) else data
