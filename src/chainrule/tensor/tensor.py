"""Tensor: an array with a gradient, and PyTorch's vocabulary over the ops.

No mathematics lives here. A method is an op (``exp = ops.exp``), or arranges arguments the
way PyTorch's callers write them (``x.view(2, -1)``) and calls one.
"""

from __future__ import annotations

import builtins
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chainrule import ops
from chainrule.absent import absent_name
from chainrule.autograd import engine
from chainrule.autograd.graph import Node, Variable, Version
from chainrule.autograd.hooks import RemovableHandle, hooks_of
from chainrule.autograd.pending import Late, before_change
from chainrule.errors import ConfigError, DTypeError, GraphError, ShapeError
from chainrule.ops.axes import axis_of
from chainrule.ops.dtypes import get_default_dtype
from chainrule.random import Generator
from chainrule.tensor.description import Described, Size, device
from chainrule.tensor.forms import sizes_of
from chainrule.tensor.printing import describe


def as_array(data: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Anything array-like as an array: Python floats in the default dtype, integers int64."""
    if isinstance(data, Variable):
        array = data.array
    elif isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
    else:
        if isinstance(data, list | tuple):
            data = _plain(data)
        try:
            array = np.asarray(data)
        except ValueError:
            raise ShapeError("tensor: the nested sequences differ in length") from None
        if dtype is None and array.dtype == np.float64 and not hasattr(data, "__array__"):
            array = array.astype(get_default_dtype())
    if array.dtype.kind not in "buif":
        raise DTypeError(
            f"tensor: cannot hold {array.dtype} values; give numbers or booleans, "
            "and nested sequences of equal length"
        )
    if dtype is None and not array.dtype.isnative:  # as files of other machines have it
        dtype = array.dtype.newbyteorder("=")
    return array if dtype is None else array.astype(dtype, copy=False)


def _plain(data: Any) -> Any:
    """Nested sequences with any tensors in them turned into arrays."""
    if isinstance(data, list | tuple):
        return [_plain(d) for d in data]
    return data.array.tolist() if isinstance(data, Variable) else data


class Tensor(Described):
    """An n-dimensional array that records what is computed from it.

    Construct with `chainrule.tensor`, `chainrule.zeros`, `chainrule.from_numpy`, ...; this
    class shares the memory of an array or a tensor and copies all else. With ``requires_grad``
    set, results know how they came about, and ``backward()`` on a number computed from it adds
    dL/dx to ``x.grad``. ``x.array`` is the NumPy array itself.
    """

    __slots__ = ()
    __array_priority__ = 1000  # array * tensor is a tensor

    def __init__(
        self, data: Any = (), *sizes: int, dtype: Any = None, requires_grad: bool = False
    ) -> None:
        if isinstance(data, int | Size):  # sizes of memory to be filled, as of `chainrule.empty`
            data = np.empty(data if isinstance(data, Size) else (data, *sizes), get_default_dtype())
        elif sizes:
            raise DTypeError(
                f"Tensor: takes data, or sizes as whole numbers; got {sizes} beside data"
            )
        if dtype is None and isinstance(data, list | tuple):
            dtype = get_default_dtype()  # as PyTorch's; chainrule.tensor keeps integers
        array = as_array(data, dtype)
        is_shared = isinstance(data, np.ndarray | Variable)
        self.array = array if is_shared else array.copy()
        self.node = None
        self.version = Version()
        self.version.is_visible = is_shared
        if isinstance(data, Variable):
            data.version.is_visible = True  # each knows nothing of the other
        self._grad = None
        self.hooks = None
        self.requires_grad = requires_grad

    # -- gradients -------------------------------------------------------------------------

    @property
    def grad(self) -> Any:
        """dL/dx added up by ``backward``, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Variable) or value.array.dtype != self.array.dtype:
                what = getattr(value, "dtype", type(value).__name__)
                raise DTypeError(f"grad: must be a tensor of {self.array.dtype}, got {what}")
            if value.array.shape != self.array.shape:
                raise ShapeError(f"grad: shape {value.array.shape} must be {self.array.shape}")
        self._grad = value

    @property
    def grad_fn(self) -> Node | None:
        """The graph's node that made this tensor; None for a leaf."""
        return self.node

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not by an operation on tensors that need grad."""
        return self.node is None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether gradients for this leaf are wanted; floats only."""
        self.requires_grad = requires_grad
        return self

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add dL/dx to ``x.grad`` of every leaf x under this tensor.

        gradient: dL/d(self), needed unless self is a single number. See
        `chainrule.autograd.backward`.
        """
        gradients = None if gradient is None else [gradient]
        engine.backward([self], gradients, retain_graph, create_graph, inputs=inputs)

    def retain_grad(self) -> None:
        """Keep ``.grad`` of this tensor too, though it is no leaf."""
        if not self.requires_grad:
            raise GraphError("retain_grad: this tensor does not require grad")
        if self.node is not None:
            self.node.retain = weakref.ref(self)

    @property
    def retains_grad(self) -> builtins.bool:
        """Whether `retain_grad` was called for this result."""
        return self.node is not None and self.node.retain is not None

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` when this tensor's gradient is known; it may replace it."""
        if not self.requires_grad:
            raise GraphError("register_hook: this tensor does not require grad")
        return RemovableHandle(hooks_of(self.edge()).gradient, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call ``hook(tensor)`` each time ``backward`` has added to this leaf's ``.grad``."""
        if not self.requires_grad or self.node is not None:
            raise GraphError(
                "register_post_accumulate_grad_hook: only a leaf that requires grad accumulates "
                "one; for a result use register_hook"
            )
        return RemovableHandle(hooks_of(self).accumulated, hook)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        v: Tensor = Variable.of(self.array)
        v.version = self.version
        v.version.add_outside(v)
        return v

    def detach_(self) -> Self:
        """Leave the graph: this tensor becomes a leaf that needs no gradient."""
        self.node, self.wanted = None, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, outside the graph; changing it is not noticed by the graph."""
        v: Tensor = Variable.of(self.array)
        v.version.is_visible = self.version.is_visible = True  # each knows nothing of the other
        return v

    @data.setter
    def data(self, value: Tensor) -> None:
        self.array = as_array(value)
        self.version = Version()

    # -- as an object of Python -------------------------------------------------------------

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):
                return object.__getattribute__(self, name)  # fails as it did
            raise absent_name(type(self), "chainrule.Tensor", name)

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __repr__(self) -> str:
        return describe(self.array, self.node, self.wanted)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.array.ndim == 0 else repr(self)

    # -- to and from other worlds ------------------------------------------------------------

    def numpy(self, *, force: builtins.bool = False) -> np.ndarray[Any, Any]:
        """The NumPy array, sharing memory. force: also where it leaves the graph."""
        if self.requires_grad and not force:
            raise GraphError(
                "numpy: this tensor requires grad, and NumPy would not record what follows; "
                "use .detach().numpy()"
            )
        self.version.is_visible = True
        before_change(self.array)  # by whom it is handed to
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        array = self.numpy()
        return (array if array.flags.writeable else array.copy()).__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    def item(self) -> Any:
        """The single element as a Python number."""
        if self.array.size != 1:
            raise ShapeError(f"item: needs exactly one element\n  x {self.array.shape}")
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.array.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu":
            raise TypeError("only an integer tensor of one element can be an index")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ShapeError(
                f"the truth of a tensor with {self.array.size} elements is ambiguous; "
                "use .any() or .all()"
            )
        return builtins.bool(self.array.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What NumPy's functions give for a tensor is one."""
        return Variable.of(array)

    def __reversed__(self) -> Any:
        """The slices along the first axis, in reverse order."""
        return ops.flip(self, (0,)) if self.array.ndim else self

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(ops.unbind(self))

    def __contains__(self, value: Any) -> builtins.bool:
        return builtins.bool((self.array == as_array(value)).any())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self.node is not None:
            raise GraphError("deepcopy: only leaves can be copied; use .detach().clone()")
        made = type(self).__new__(type(self))
        made.array, made.node, made.version = self.array.copy(order="K"), None, Version()
        made.wanted, made.hooks = self.wanted, None
        made._grad = None if self._grad is None else self._grad.__deepcopy__(memo)  # type: ignore
        memo[id(self)] = made
        return made

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.array, self.requires_grad)

    # -- dtype -----------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Convert: to(dtype), to(device), to(device, dtype), to(other); the device is the CPU.

        copy=True gives new memory in any case. non_blocking and memory_format change nothing.
        """
        copy = kwargs.pop("copy", False)
        for name in kwargs:
            if name not in ("device", "dtype", "other", "non_blocking", "memory_format"):
                raise TypeError(f"to() got an unexpected argument '{name}'")
        dtype = None
        for a in (*args, *(kwargs.get(name) for name in ("device", "dtype", "other"))):
            if isinstance(a, Variable):
                dtype = a.array.dtype
            elif isinstance(a, str) and not isinstance(a, device) and not _is_dtype_name(a):
                device(a)  # complains about any but the CPU
            elif a is not None and not isinstance(a, device | builtins.bool):
                dtype = np.dtype(a)
        made = self if dtype is None or self.dtype == dtype else ops.cast(self, dtype)
        return ops.clone(self) if copy and made is self else made

    def type(self, dtype: Any = None, non_blocking: builtins.bool = False) -> Any:
        """Convert to ``dtype``; the same tensor where it has it already. None: the type's name."""
        if dtype is None:
            return f"chainrule.{TYPE_NAMES.get(self.dtype.name, self.dtype.name)}"
        if isinstance(dtype, str) and dtype.endswith("Tensor"):
            dtype = _dtype_of(dtype)
        dtype = np.dtype(dtype)
        return self if self.dtype == dtype else ops.cast(self, dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """Convert to the dtype of ``other``."""
        return self.type(other.array.dtype)

    def float(self) -> Tensor:
        """As float32."""
        return self.type(np.float32)

    def double(self) -> Tensor:
        """As float64."""
        return self.type(np.float64)

    def half(self) -> Tensor:
        """As float16."""
        return self.type(np.float16)

    def long(self) -> Tensor:
        """As int64."""
        return self.type(np.int64)

    def int(self) -> Tensor:
        """As int32."""
        return self.type(np.int32)

    def short(self) -> Tensor:
        """As int16."""
        return self.type(np.int16)

    def char(self) -> Tensor:
        """As int8."""
        return self.type(np.int8)

    def byte(self) -> Tensor:
        """As uint8."""
        return self.type(np.uint8)

    def bool(self) -> Tensor:
        """As booleans: whether each element is nonzero."""
        return self.type(np.bool_)

    def cuda(self, *args: Any, **kwargs: Any) -> Tensor:
        """Raises ConfigError: there is no such device."""
        return self.to(device("cuda"))

    def cpu(self, memory_format: Any = None) -> Tensor:
        """The tensor itself: it lives on the CPU."""
        return self

    def pin_memory(self, device: Any = None) -> Tensor:
        """The tensor itself: no memory needs pinning."""
        return self

    def is_pinned(self, device: Any = None) -> builtins.bool:
        """False: there is no device to pin memory for."""
        return False

    def share_memory_(self) -> Self:
        """The tensor itself: threads share memory."""
        return self

    def is_shared(self) -> builtins.bool:
        """Whether other processes see the memory: no."""
        return False

    def contiguous(self, memory_format: Any = None) -> Tensor:
        """The elements in row-major order without gaps; images may lie by pixel.

        Every operation takes any memory layout; this is for code that asks.
        """
        if self.is_contiguous():
            return self
        return ops.reshape(ops.flatten(self), tuple(self.shape))

    # -- new tensors like this one -----------------------------------------------------------

    def bernoulli(self, p: Any = None, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability each element gives (or p), else 0. No gradient."""
        made: Tensor = self.detach().clone()
        return made.bernoulli_(made if p is None else p, generator)

    def new_empty(self, *size: Any, dtype: Any = None, **settings: Any) -> Tensor:
        """Unset memory of this dtype."""
        return self._new(np.empty, size, dtype, settings)

    def new_zeros(self, *size: Any, dtype: Any = None, **settings: Any) -> Tensor:
        """Zeros of this dtype."""
        return self._new(np.zeros, size, dtype, settings)

    def new_ones(self, *size: Any, dtype: Any = None, **settings: Any) -> Tensor:
        """Ones of this dtype."""
        return self._new(np.ones, size, dtype, settings)

    def new_full(
        self, size: Sequence[builtins.int], fill_value: Any, dtype: Any = None, **settings: Any
    ) -> Tensor:
        """``fill_value`` everywhere, of this dtype."""
        made = self._new(np.empty, (size,), dtype, settings)
        made.array[...] = fill_value
        return made

    def new_tensor(self, data: Any, dtype: Any = None, **settings: Any) -> Tensor:
        """``data`` as a tensor of this dtype."""
        array = as_array(data, dtype or self.dtype).copy()
        return self._new(lambda *_: array, (array.shape,), dtype, settings)

    def _new(
        self, make: Any, size: tuple[Any, ...], dtype: Any, settings: dict[str, Any]
    ) -> Tensor:
        if "size" in settings:
            size = (settings.pop("size"),)
        requires_grad = check_settings("new", settings)
        made: Tensor = Variable.of(make(sizes_of(size), np.dtype(dtype or self.dtype)))
        return made.requires_grad_(requires_grad)


def check_settings(name: str, settings: dict[str, Any]) -> bool:
    """What PyTorch's makers of tensors take beside the dtype; gives requires_grad."""
    known = ("device", "requires_grad", "layout", "pin_memory", "memory_format", "out", "names")
    for key in settings:
        if key not in known:
            raise TypeError(f"{name}() got an unexpected argument '{key}'")
    if settings.get("device") is not None:
        device(settings["device"])
    return bool(settings.get("requires_grad", False))


TYPE_NAMES = {
    "float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor",
    "int64": "LongTensor", "int32": "IntTensor", "int16": "ShortTensor", "int8": "CharTensor",
    "uint8": "ByteTensor", "bool": "BoolTensor",
}  # fmt: skip
"""PyTorch's names of tensors of each dtype, for x.type()."""


def _dtype_of(name: str) -> str:
    """The dtype of a name as x.type() gives it."""
    for dtype, known in TYPE_NAMES.items():
        if name.split(".")[-1] == known:
            device("cuda" if ".cuda." in name else "cpu")
            return dtype
    raise ConfigError(f"type: {name!r} is unknown; use a dtype, as chainrule.float32")


def _is_dtype_name(name: str) -> bool:
    try:
        np.dtype(name)
    except TypeError:
        return False
    return True


class LateTensor(Late, Tensor):
    """A tensor whose array is computed when it is first read; then it is a `Tensor`.

    What can be said of it without its values, its class says from the pending call.
    """

    __slots__ = ()
    settled = Tensor
    pending = Variable.__dict__["array"]
    array = property(Late.compute)

    @property
    def shape(self) -> Size:
        return Size(self.pending.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pending.dtype

    @property
    def ndim(self) -> int:
        return len(self.pending.shape)

    def dim(self) -> int:
        return len(self.pending.shape)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.pending.shape[axis_of("size", dim, self.ndim)]

    ndimension = dim

    def is_floating_point(self) -> bool:
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._settled().__deepcopy__(memo)

    def __reduce__(self) -> Any:
        return self._settled().__reduce__()

    def _settled(self) -> Tensor:
        self.compute()
        return self


Variable.concrete = Tensor
Variable.late = LateTensor


def _rebuild(kind: type[Tensor], array: Any, requires_grad: bool) -> Tensor:
    return kind(array, requires_grad=requires_grad)


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)
