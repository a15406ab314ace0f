"""What can be said of a tensor without its values: shape, dtype, memory, where it lives."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from chainrule.errors import ConfigError
from chainrule.ops.axes import axis_of
from chainrule.tensor.vocabulary import Vocabulary


class Size(tuple[int, ...]):
    """A shape; a tuple that can count its elements, as its slices can."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if type(index) is slice else found

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return int(np.prod(self, dtype=np.int64))


class device(str):
    """Where a tensor lives. There is one device, the CPU."""

    __slots__ = ()

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> Self:
        if not isinstance(type, str) or type.split(":")[0] != "cpu":
            raise ConfigError(f"device {type!r}: chainrule computes on the CPU only; use 'cpu'")
        return super().__new__(cls, "cpu")

    @property
    def type(self) -> str:
        """The kind of device: ``cpu``."""
        return "cpu"

    @property
    def index(self) -> Any:
        """None: there is one CPU."""
        return None

    def __repr__(self) -> str:
        return "device(type='cpu')"


class Described(Vocabulary):
    """The part of `chainrule.Tensor` that tells what it is."""

    __slots__ = ()

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
        if dim is None:
            return self.shape
        return self.array.shape[axis_of("size", dim, self.array.ndim)]

    def dim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    ndimension = dim

    def element_size(self) -> int:
        """Bytes an element takes."""
        return self.array.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes an element takes."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes all elements take."""
        return self.array.nbytes

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours along each axis (or one), in elements."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[axis_of("stride", dim, self.array.ndim)]

    def data_ptr(self) -> int:
        """The address of the first element; changes in place keep it from now on."""
        self.version.is_visible = True
        return int(self.array.__array_interface__["data"][0])

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self.array.dtype.kind == "f"

    def is_complex(self) -> bool:
        """False: numbers are real."""
        return False

    def is_signed(self) -> bool:
        """Whether there may be negative elements."""
        return self.array.dtype.kind in "if"

    def is_nonzero(self) -> bool:
        """Whether the single element is not zero."""
        return bool(self)

    def is_same_size(self, other: Described) -> bool:
        """Whether the shapes agree."""
        return tuple(self.shape) == tuple(other.shape)

    def get_device(self) -> int:
        """-1: the CPU has no number."""
        return -1

    is_cpu = True
    is_cuda = is_sparse = is_quantized = is_meta = is_mps = is_xpu = False

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in row-major order without gaps; of images, also by pixel."""
        flags = self.array.flags
        return flags.c_contiguous or (self.array.ndim == 4 and _is_by_pixel(self.array))


def _is_by_pixel(array: Any) -> bool:
    return bool(array.transpose(0, 2, 3, 1).flags.c_contiguous)


def is_floating_point(input: Described) -> bool:
    """Whether the elements of ``input`` are floats."""
    return input.is_floating_point()


def numel(input: Described) -> int:
    """The number of elements of ``input``."""
    return input.numel()


def is_complex(input: Described) -> bool:
    """False: numbers are real."""
    return False


def is_signed(input: Described) -> bool:
    """Whether there may be negative elements in ``input``."""
    return input.is_signed()


def is_nonzero(input: Described) -> bool:
    """Whether the single element of ``input`` is not zero."""
    return input.is_nonzero()


def is_same_size(input: Described, other: Described) -> bool:
    """Whether the shapes agree."""
    return input.is_same_size(other)
