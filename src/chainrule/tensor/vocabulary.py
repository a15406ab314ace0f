"""What one can ask of a tensor: the ops as methods, by PyTorch's names and ways of writing.

No mathematics lives here. A method is an op (``exp = ops.exp``), or arranges arguments the way
PyTorch's callers write them (``x.view(2, -1)``) and calls one.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.autograd.graph import Variable
from chainrule.errors import ShapeError
from chainrule.ops.elementwise import sum_to
from chainrule.ops.op import spelled
from chainrule.tensor.forms import (
    bmm,
    cholesky,
    detach,
    div,
    dot,
    log_softmax,
    max,
    min,
    mm,
    mv,
    pinverse,
    qr,
    sizes_of,
    softmax,
    split_with_sizes,
    svd,
    t,
)
from chainrule.tensor.inplace import (
    InPlace,
    as_index,
    has_numbers_beside_arrays,
    numbers_first,
    spelled_out,
)


class Vocabulary(InPlace):
    """The part of `chainrule.Tensor` that makes new tensors of it."""

    __slots__ = ()

    # -- arithmetic ------------------------------------------------------------------------

    __add__ = add = ops.add
    __sub__ = sub = subtract = ops.sub
    __mul__ = mul = multiply = ops.mul
    __truediv__ = ops.div
    __floordiv__ = floor_divide = ops.floor_divide
    __mod__ = remainder = ops.remainder
    __pow__ = pow = ops.pow
    __matmul__ = ops.matmul
    matmul = spelled(ops.matmul)
    __neg__ = neg = negative = ops.neg
    __pos__ = ops.positive
    __abs__ = abs = absolute = ops.abs
    __and__ = ops.bitwise_and
    __or__ = ops.bitwise_or
    __xor__ = ops.bitwise_xor
    __invert__ = ops.bitwise_not
    __lshift__ = ops.bitwise_left_shift
    __rshift__ = ops.bitwise_right_shift
    __lt__ = lt = less = ops.lt
    __le__ = le = less_equal = ops.le
    __gt__ = gt = greater = ops.gt
    __ge__ = ge = greater_equal = ops.ge
    eq = ops.eq
    ne = not_equal = ops.ne
    div = divide = true_divide = div
    dot = dot
    mv = mv
    mm = mm
    bmm = bmm

    def __eq__(self, other: Any) -> Any:
        return False if other is None else ops.eq(self, other)

    def __ne__(self, other: Any) -> Any:
        return True if other is None else ops.ne(self, other)

    __hash__ = object.__hash__

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    def __rsub__(self, other: Any) -> Any:
        return ops.sub(other, self)

    def __rmul__(self, other: Any) -> Any:
        return ops.mul(other, self)

    def __rtruediv__(self, other: Any) -> Any:
        return ops.div(other, self)

    def __rfloordiv__(self, other: Any) -> Any:
        return ops.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Any:
        return ops.remainder(other, self)

    def __divmod__(self, other: Any) -> Any:
        return ops.floor_divide(self, other), ops.remainder(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return ops.floor_divide(other, self), ops.remainder(other, self)

    def __rpow__(self, other: Any) -> Any:
        return ops.pow(other, self)

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(Variable.of(other), self)

    def __rand__(self, other: Any) -> Any:
        return ops.bitwise_and(other, self)

    def __ror__(self, other: Any) -> Any:
        return ops.bitwise_or(other, self)

    def __rxor__(self, other: Any) -> Any:
        return ops.bitwise_xor(other, self)

    def __rlshift__(self, other: Any) -> Any:
        return ops.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Any:
        return ops.bitwise_right_shift(other, self)

    # -- products --------------------------------------------------------------------------

    outer = ops.outer
    inner = ops.inner
    vdot = ops.vdot
    kron = ops.kron
    cross = ops.cross
    trace = ops.trace
    addmm = ops.addmm
    addmv = ops.addmv
    addr = ops.addr
    baddbmm = ops.baddbmm
    addbmm = ops.addbmm
    dist = ops.dist
    matrix_power = ops.matrix_power
    ger = ops.outer

    # -- matrices --------------------------------------------------------------------------

    det = ops.det
    logdet = ops.logdet
    slogdet = ops.slogdet
    inverse = ops.inv
    pinverse = pinverse
    cholesky = cholesky
    cholesky_solve = ops.cholesky_solve
    cholesky_inverse = ops.cholesky_inverse
    qr = qr
    svd = svd
    matrix_exp = ops.matrix_exp

    # -- elementwise -----------------------------------------------------------------------

    exp = ops.exp
    expm1 = ops.expm1
    exp2 = ops.exp2
    log = ops.log
    log1p = ops.log1p
    log2 = ops.log2
    log10 = ops.log10
    sqrt = ops.sqrt
    rsqrt = ops.rsqrt
    reciprocal = ops.reciprocal
    square = ops.square
    sin = ops.sin
    cos = ops.cos
    tan = ops.tan
    asin = arcsin = ops.asin
    acos = arccos = ops.acos
    atan = arctan = ops.atan
    atan2 = arctan2 = ops.atan2
    sinh = ops.sinh
    cosh = ops.cosh
    tanh = ops.tanh
    asinh = arcsinh = ops.asinh
    acosh = arccosh = ops.acosh
    atanh = arctanh = ops.atanh
    sinc = ops.sinc
    deg2rad = ops.deg2rad
    rad2deg = ops.rad2deg
    hypot = ops.hypot
    logaddexp = ops.logaddexp
    logaddexp2 = ops.logaddexp2
    logit = ops.logit
    xlogy = ops.xlogy
    sigmoid = ops.sigmoid
    relu = ops.relu
    prelu = ops.prelu
    hardshrink = ops.hardshrink
    erf = ops.erf
    erfc = ops.erfc
    erfinv = ops.erfinv
    sign = ops.sign
    floor = ops.floor
    ceil = ops.ceil
    round = ops.round
    trunc = fix = ops.trunc
    frac = ops.frac
    fmod = ops.fmod
    copysign = ops.copysign
    ldexp = ops.ldexp
    frexp = ops.frexp
    float_power = ops.float_power
    nan_to_num = ops.nan_to_num
    heaviside = ops.heaviside
    maximum = ops.maximum
    minimum = ops.minimum
    fmax = ops.fmax
    fmin = ops.fmin
    clamp = clip = ops.clamp
    clamp_min = ops.clamp_min
    clamp_max = ops.clamp_max
    lerp = ops.lerp
    addcmul = ops.addcmul
    addcdiv = ops.addcdiv
    clone = ops.clone
    positive = ops.positive
    angle = ops.angle
    signbit = ops.signbit
    isposinf = ops.isposinf
    isneginf = ops.isneginf
    isreal = ops.isreal
    gcd = ops.gcd
    lcm = ops.lcm
    nextafter = ops.nextafter
    sgn = ops.sign
    softmax = softmax
    log_softmax = log_softmax

    def conj(self) -> Any:
        """The tensor itself: numbers are real."""
        return self

    resolve_conj = conj
    real = property(conj, doc="The tensor itself: numbers are real.")

    def is_conj(self) -> builtins.bool:
        """False: numbers are real."""
        return False

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where the condition holds, else ``other``."""
        return ops.where(condition, self, other)

    # -- comparison and logic --------------------------------------------------------------

    isnan = ops.isnan
    isinf = ops.isinf
    isfinite = ops.isfinite
    isclose = ops.isclose
    allclose = ops.allclose
    equal = ops.equal
    logical_and = ops.logical_and
    logical_or = ops.logical_or
    logical_xor = ops.logical_xor
    logical_not = ops.logical_not
    bitwise_and = ops.bitwise_and
    bitwise_or = ops.bitwise_or
    bitwise_xor = ops.bitwise_xor
    bitwise_not = ops.bitwise_not
    bitwise_left_shift = ops.bitwise_left_shift
    bitwise_right_shift = ops.bitwise_right_shift

    # -- reductions ------------------------------------------------------------------------

    sum = ops.sum
    nansum = ops.nansum
    prod = ops.prod
    mean = ops.mean
    nanmean = ops.nanmean
    var = ops.var
    std = ops.std
    amax = ops.amax
    amin = ops.amin
    aminmax = ops.aminmax
    argmax = ops.argmax
    argmin = ops.argmin
    logsumexp = ops.logsumexp
    norm = ops.norm
    renorm = ops.renorm
    any = ops.any
    all = ops.all
    count_nonzero = ops.count_nonzero
    median = ops.median
    nanmedian = ops.nanmedian
    mode = ops.mode
    quantile = ops.quantile
    nanquantile = ops.nanquantile
    kthvalue = ops.kthvalue
    cumsum = ops.cumsum
    cumprod = ops.cumprod
    cummax = ops.cummax
    cummin = ops.cummin
    logcumsumexp = ops.logcumsumexp
    diff = ops.diff
    bincount = ops.bincount
    histc = ops.histc
    histogram = ops.histogram
    corrcoef = ops.corrcoef
    cov = ops.cov
    max = max
    min = min

    # -- shape -----------------------------------------------------------------------------

    flatten = ops.flatten
    unflatten = ops.unflatten
    squeeze = ops.squeeze
    unsqueeze = ops.unsqueeze
    movedim = moveaxis = ops.movedim
    adjoint = ops.adjoint
    roll = ops.roll
    rot90 = ops.rot90
    fliplr = ops.fliplr
    flipud = ops.flipud
    split = ops.split
    tensor_split = ops.tensor_split
    hsplit = ops.hsplit
    vsplit = ops.vsplit
    dsplit = ops.dsplit
    chunk = ops.chunk
    unbind = ops.unbind
    narrow = ops.narrow
    select = ops.select
    diagonal = ops.diagonal
    diag = ops.diag
    diag_embed = ops.diag_embed
    diagflat = ops.diagflat
    tril = ops.tril
    triu = ops.triu
    repeat_interleave = ops.repeat_interleave
    transpose = swapaxes = swapdims = ops.transpose
    unfold = ops.unfold_view
    t = t

    def reshape(self, *shape: Any) -> Any:
        """The same elements in row-major order under another shape; one length may be -1."""
        return ops.reshape(self, sizes_of(shape))

    def view(self, *shape: Any, size: Any = None, dtype: Any = None) -> Any:
        """As `reshape`; where the memory cannot be seen so, a copy.

        Given a dtype: the same bits read as another type, outside the graph; the last axis
        becomes longer or shorter where the types differ in size.
        """
        if len(shape) == 1 and isinstance(shape[0], np.dtype | builtins.type):
            shape, dtype = (self.array.shape,), shape[0]
        if dtype is not None:
            return self._bits_as(np.dtype(dtype))
        return ops.reshape(self, sizes_of(shape if size is None else (size,)))

    def _bits_as(self, dtype: np.dtype[Any]) -> Any:
        try:
            array = self.array.view(dtype)
        except ValueError as e:
            raise ShapeError(
                f"view: {self.array.dtype} {self.array.shape} cannot be read as {dtype}: {e}"
            ) from None
        same_memory = detach(self)
        same_memory.array = array
        return same_memory

    def view_as(self, other: Any) -> Any:
        """Reshape to the shape of ``other``."""
        return ops.reshape(self, tuple(other.shape))

    reshape_as = view_as

    def ravel(self) -> Any:
        """All elements in a row."""
        return ops.flatten(self)

    def permute(self, *dims: Any) -> Any:
        """Reorder the axes."""
        return ops.permute(self, sizes_of(dims))

    def expand(self, *sizes: Any, size: Any = None) -> Any:
        """Repeat axes of length one without a copy; -1 keeps a length."""
        return ops.expand(self, sizes_of(sizes if size is None else (size,)))

    def expand_as(self, other: Any) -> Any:
        """Expand to the shape of ``other``."""
        return ops.expand(self, tuple(other.shape))

    broadcast_to = expand

    def sum_to_size(self, *size: Any) -> Any:
        """Sum over what was broadcast from ``size``."""
        return sum_to(self, sizes_of(size))

    def repeat(self, *repeats: Any) -> Any:
        """Repeat the tensor along each axis (copies); new axes come first."""
        times = sizes_of(repeats)
        if len(times) < self.array.ndim:
            raise ShapeError(
                f"repeat: needs a number for each axis, got {times}\n  x {self.array.shape}"
            )
        return ops.tile(self, times)

    def tile(self, *dims: Any) -> Any:
        """As `repeat`, but the numbers may be fewer: they are of the last axes."""
        return ops.tile(self, sizes_of(dims))

    def flip(self, *axes: Any, dims: Any = None) -> Any:
        """Reverse the order along each of the axes."""
        return ops.flip(self, sizes_of(axes if dims is None else (dims,)))

    split_with_sizes = split_with_sizes
    unsafe_split = ops.split
    unsafe_chunk = ops.chunk

    @property
    def T(self) -> Any:
        """All axes in reverse order."""
        return ops.permute(self, tuple(reversed(range(self.array.ndim))))

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return ops.transpose(self, -2, -1)

    @property
    def H(self) -> Any:
        """The transpose of a matrix (numbers are real)."""
        return t(self)

    mH = mT

    # -- selecting -------------------------------------------------------------------------

    gather = ops.gather
    scatter = ops.scatter
    scatter_add = ops.scatter_add
    scatter_reduce = ops.scatter_reduce
    index_add = ops.index_add
    index_copy = ops.index_copy
    index_fill = ops.index_fill
    index_reduce = ops.index_reduce
    index_select = ops.index_select
    masked_fill = ops.masked_fill
    masked_scatter = ops.masked_scatter
    masked_select = ops.masked_select
    take = ops.take
    take_along_dim = ops.take_along_dim
    put = ops.put
    select_scatter = ops.select_scatter
    slice_scatter = ops.slice_scatter
    diagonal_scatter = ops.diagonal_scatter
    nonzero = ops.nonzero
    argwhere = ops.argwhere

    def __getitem__(self, index: Any) -> Any:
        index = spelled_out(as_index(index), self.array.ndim)
        if has_numbers_beside_arrays(index):
            ahead, index = numbers_first(index)
            return ops.getitem(ops.getitem(self, ahead), index)
        return ops.getitem(self, index)

    def index_put(self, indices: Any, values: Any, accumulate: builtins.bool = False) -> Any:
        """A copy in which x[indices] is replaced by values, or has them added."""
        return self.clone().index_put_(indices, values, accumulate)

    # -- order -----------------------------------------------------------------------------

    sort = ops.sort
    argsort = ops.argsort
    topk = ops.topk
    msort = ops.msort
    unique = ops.unique
    unique_consecutive = ops.unique_consecutive
