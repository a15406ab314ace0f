"""Tensor: an array with a gradient, and PyTorch's vocabulary over the ops.

No mathematics lives here. A method is an op (``exp = ops.exp``), or arranges arguments the
way PyTorch's callers write them (``x.view(2, -1)``) and calls one.
"""

from __future__ import annotations

import builtins
import operator
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
from chainrule.inplace import InPlace, as_index, has_numbers_beside_arrays, numbers_first
from chainrule.ops.dtypes import get_default_dtype
from chainrule.ops.reduction import take_extremum


class Size(tuple[int, ...]):
    """A shape; a tuple that can count its elements."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return int(np.prod(self, dtype=np.int64))


class device(str):
    """Where a tensor lives. There is one device, the CPU."""

    __slots__ = ()

    def __new__(cls, name: str = "cpu") -> Self:
        if name.split(":")[0] != "cpu":
            raise ConfigError(f"device {name!r}: chainrule computes on the CPU only; use 'cpu'")
        return super().__new__(cls, "cpu")

    @property
    def type(self) -> str:
        """The kind of device: ``cpu``."""
        return "cpu"


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


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes written apart, or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list | np.ndarray):
        sizes = tuple(sizes[0])
    try:
        return tuple(operator.index(n) for n in sizes)
    except TypeError:
        raise DTypeError(f"sizes must be whole numbers, got {sizes}") from None


class Tensor(InPlace):
    """An n-dimensional array that records what is computed from it.

    Construct with `chainrule.tensor`, `chainrule.zeros`, `chainrule.from_numpy`, ...; this
    class shares an array's memory and copies all else. With ``requires_grad`` set, results
    know how they came about, and ``backward()`` on a number computed from it adds dL/dx to
    ``x.grad``. ``x.array`` is the NumPy array itself.
    """

    __slots__ = ()
    __array_priority__ = 1000  # array * tensor is a tensor

    def __init__(self, data: Any = (), dtype: Any = None, requires_grad: bool = False) -> None:
        if isinstance(dtype, int):
            raise DTypeError("Tensor: takes data, not sizes; use chainrule.empty(2, 3) or .zeros")
        if dtype is None and isinstance(data, list | tuple):
            dtype = get_default_dtype()  # as PyTorch's; chainrule.tensor keeps integers
        array = as_array(data, dtype)
        self.array = array if isinstance(data, np.ndarray) else array.copy()
        self.node = None
        self.version = Version()
        self.version.is_visible = isinstance(data, np.ndarray)
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

    # -- description -----------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of the axes."""
        return Size(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, a NumPy dtype."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    @property
    def device(self) -> device:
        """Always the CPU."""
        return device("cpu")

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        return self.shape if dim is None else self.array.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes an element takes."""
        return self.array.itemsize

    def stride(self) -> tuple[int, ...]:
        """Steps between neighbours along each axis, in elements."""
        return tuple(s // self.array.itemsize for s in self.array.strides)

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self.array.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        return self.array.flags.c_contiguous

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
        text = np.array2string(
            self.array, precision=4, separator=", ", prefix="tensor(", threshold=1000, edgeitems=3
        )
        if self.array.size == 0:
            text += f", size={tuple(self.array.shape)}"
        if self.array.dtype not in (get_default_dtype(), np.int64, np.bool_):
            text += f", dtype={self.array.dtype}"
        if self.node is not None:
            text += f", grad_fn={self.node!r}"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.array.ndim == 0 else repr(self)

    __hash__ = object.__hash__

    # -- to and from other worlds ------------------------------------------------------------

    def numpy(self) -> np.ndarray[Any, Any]:
        """The NumPy array, sharing memory."""
        if self.requires_grad:
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
        if self.node is not None:
            raise GraphError("pickle: only leaves can be pickled; use .detach()")
        return _rebuild, (type(self), self.array, self.requires_grad)

    # -- dtype -----------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Convert to a dtype, to another tensor's dtype; the device can only be "cpu"."""
        for a in (*args, *kwargs.values()):
            if isinstance(a, Variable):
                return self.type(a.array.dtype)
            if isinstance(a, device) or a is None or isinstance(a, builtins.bool):
                continue
            if isinstance(a, str) and a.split(":")[0] in ("cpu", "cuda", "mps"):
                device(a)
                continue
            return self.type(a)
        return self

    def type(self, dtype: Any) -> Tensor:
        """Convert to ``dtype``; the same tensor where it has it already."""
        dtype = np.dtype(dtype)
        return self if self.array.dtype == dtype else ops.cast(self, dtype)

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

    def byte(self) -> Tensor:
        """As uint8."""
        return self.type(np.uint8)

    def bool(self) -> Tensor:
        """As booleans: whether each element is nonzero."""
        return self.type(np.bool_)

    def cuda(self, *args: Any, **kwargs: Any) -> Tensor:
        """Raises ConfigError: there is no such device."""
        return self.to(device("cuda"))

    def cpu(self) -> Tensor:
        """The tensor itself: it lives on the CPU."""
        return self

    def contiguous(self) -> Tensor:
        """The tensor itself: every operation takes any memory layout."""
        return self

    # -- arithmetic ------------------------------------------------------------------------

    __add__ = add = ops.add
    __sub__ = sub = subtract = ops.sub
    __mul__ = mul = multiply = ops.mul
    __truediv__ = div = divide = true_divide = ops.div
    __floordiv__ = floor_divide = ops.floor_divide
    __mod__ = remainder = ops.remainder
    __pow__ = pow = ops.pow
    __matmul__ = matmul = ops.matmul
    __neg__ = neg = negative = ops.neg
    __abs__ = abs = ops.abs
    __and__ = ops.bitwise_and
    __or__ = ops.bitwise_or
    __xor__ = ops.bitwise_xor
    __invert__ = ops.bitwise_not
    __eq__ = eq = ops.eq
    __ne__ = ne = ops.ne
    __lt__ = lt = less = ops.lt
    __le__ = le = less_equal = ops.le
    __gt__ = gt = greater = ops.gt
    __ge__ = ge = greater_equal = ops.ge
    mm = bmm = mv = dot = ops.matmul

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(Variable.of(other), self)

    exp = ops.exp
    expm1 = ops.expm1
    log = ops.log
    log1p = ops.log1p
    sqrt = ops.sqrt
    rsqrt = ops.rsqrt
    reciprocal = ops.reciprocal
    square = ops.square
    sin = ops.sin
    cos = ops.cos
    sign = ops.sign
    floor = ops.floor
    ceil = ops.ceil
    round = ops.round
    clamp = clip = ops.clamp
    maximum = ops.maximum
    minimum = ops.minimum
    sigmoid = ops.sigmoid
    tanh = ops.tanh
    relu = ops.relu
    prelu = ops.prelu
    hardshrink = ops.hardshrink
    erf = ops.erf
    erfc = ops.erfc
    clone = ops.clone
    logical_and = ops.logical_and
    logical_or = ops.logical_or
    logical_xor = ops.logical_xor
    logical_not = ops.logical_not
    isnan = ops.isnan
    isinf = ops.isinf
    isfinite = ops.isfinite
    isclose = ops.isclose
    allclose = ops.allclose
    equal = ops.equal
    masked_fill = ops.masked_fill
    clamp_min = ops.clamp_min
    clamp_max = ops.clamp_max
    lerp = ops.lerp
    addcmul = ops.addcmul
    addcdiv = ops.addcdiv

    def softmax(self, dim: builtins.int) -> Tensor:
        """See `chainrule.ops.softmax`."""
        return ops.softmax(self, dim)

    def log_softmax(self, dim: builtins.int) -> Tensor:
        """See `chainrule.ops.log_softmax`."""
        return ops.log_softmax(self, dim)

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """This tensor where the condition holds, else ``other``."""
        return ops.where(condition, self, other)

    # -- reductions ------------------------------------------------------------------------

    sum = ops.sum
    mean = ops.mean
    var = ops.var
    std = ops.std
    amax = ops.amax
    amin = ops.amin
    argmax = ops.argmax
    argmin = ops.argmin
    logsumexp = ops.logsumexp
    cumsum = ops.cumsum
    norm = ops.norm
    any = ops.any
    all = ops.all

    def max(self, dim: Any = None, keepdim: builtins.bool = False) -> Any:
        """The maximum; (values, indices) along ``dim``; or the maximum with another tensor."""
        return max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: builtins.bool = False) -> Any:
        """The minimum; (values, indices) along ``dim``; or the minimum with another tensor."""
        return min(self, dim, keepdim)

    # -- shape -----------------------------------------------------------------------------

    flatten = ops.flatten
    squeeze = ops.squeeze
    unsqueeze = ops.unsqueeze
    transpose = swapaxes = ops.transpose
    split = ops.split
    chunk = ops.chunk
    unbind = ops.unbind
    narrow = ops.narrow
    gather = ops.gather
    scatter = ops.scatter
    scatter_add = ops.scatter_add
    index_select = ops.index_select
    masked_select = ops.masked_select
    nonzero = ops.nonzero
    tril = ops.tril
    triu = ops.triu
    argsort = ops.argsort
    sort = ops.sort
    topk = ops.topk

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in row-major order under another shape; one length may be -1."""
        return ops.reshape(self, sizes_of(shape))

    view = reshape

    def view_as(self, other: Tensor) -> Tensor:
        """Reshape to the shape of ``other``."""
        return ops.reshape(self, tuple(other.shape))

    reshape_as = view_as

    def ravel(self) -> Tensor:
        """All elements in a row."""
        return ops.flatten(self)

    def permute(self, *dims: Any) -> Tensor:
        """Reorder the axes."""
        return ops.permute(self, sizes_of(dims))

    def expand(self, *sizes: Any) -> Tensor:
        """Repeat axes of length one without a copy; -1 keeps a length."""
        return ops.expand(self, sizes_of(sizes))

    def expand_as(self, other: Tensor) -> Tensor:
        """Expand to the shape of ``other``."""
        return ops.expand(self, tuple(other.shape))

    def broadcast_to(self, *sizes: Any) -> Tensor:
        """As `expand`."""
        return ops.expand(self, sizes_of(sizes))

    def repeat(self, *repeats: Any) -> Tensor:
        """Repeat the tensor along each axis (copies); new axes come first."""
        return ops.tile(self, sizes_of(repeats))

    tile = repeat

    def flip(self, *dims: Any) -> Tensor:
        """Reverse the order along each of the axes."""
        return ops.flip(self, sizes_of(dims))

    def t(self) -> Tensor:
        """The transpose of a matrix."""
        if self.array.ndim > 2:
            raise ShapeError(f"t: expects at most two axes\n  x {self.array.shape}; use .mT")
        return self if self.array.ndim < 2 else ops.transpose(self, 0, 1)

    @property
    def T(self) -> Tensor:
        """All axes in reverse order."""
        return ops.permute(self, tuple(reversed(range(self.array.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        return ops.transpose(self, -2, -1)

    def __getitem__(self, index: Any) -> Tensor:
        index = as_index(index)
        if has_numbers_beside_arrays(index):
            ahead, index = numbers_first(index)
            return ops.getitem(ops.getitem(self, ahead), index)
        return ops.getitem(self, index)

    # -- new tensors like this one -----------------------------------------------------------

    def new_zeros(self, *sizes: Any, dtype: Any = None) -> Tensor:
        """Zeros of this dtype."""
        return Variable.of(np.zeros(sizes_of(sizes), dtype or self.dtype))

    def new_ones(self, *sizes: Any, dtype: Any = None) -> Tensor:
        """Ones of this dtype."""
        return Variable.of(np.ones(sizes_of(sizes), dtype or self.dtype))

    def new_full(self, size: Sequence[builtins.int], fill_value: Any, dtype: Any = None) -> Tensor:
        """``fill_value`` everywhere, of this dtype."""
        return Variable.of(np.full(tuple(size), fill_value, dtype or self.dtype))

    def new_tensor(self, data: Any, dtype: Any = None) -> Tensor:
        """``data`` as a tensor of this dtype."""
        return Variable.of(as_array(data, dtype or self.dtype).copy())


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
        return self.shape if dim is None else self.pending.shape[dim]

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


def _extremum(
    x: Any, dim: Any, keepdim: bool, whole: Callable[..., Any], arg: Callable[..., Any],
    both: Callable[..., Any],
) -> Any:  # fmt: skip
    if dim is None:
        return whole(x)
    if isinstance(dim, Variable):
        return both(x, dim)
    return take_extremum(x, arg(x, dim), dim, keepdim)


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The maximum of all; (values, indices) along ``dim``; or of two tensors, elementwise.

    Along an axis the gradient goes to the first winner; over everything, equal maxima
    share it.
    """
    return _extremum(x, dim, keepdim, ops.amax, ops.argmax, ops.maximum)


def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The minimum of all; (values, indices) along ``dim``; or of two tensors, elementwise."""
    return _extremum(x, dim, keepdim, ops.amin, ops.argmin, ops.minimum)


def is_tensor(x: Any) -> bool:
    """Whether ``x`` is a tensor."""
    return isinstance(x, Tensor)


def is_floating_point(x: Tensor) -> bool:
    """Whether the elements of ``x`` are floats."""
    return x.is_floating_point()


def numel(x: Tensor) -> int:
    """The number of elements of ``x``."""
    return x.numel()
