"""The tensor: an array with a gradient.

`tensor` has the class, made in layers that each know those below: what changes a tensor in place
(`inplace`), the ops as its methods (`vocabulary`), what it tells of itself (`description`).
Beside it stand how it prints, PyTorch's functions of tensors (`functions`; `forms` has those with
several forms), and what makes tensors (`creation`, `typed`).
"""

from chainrule.tensor.description import Size, device
from chainrule.tensor.tensor import Tensor, as_array, is_tensor
from chainrule.tensor.tensor import _rebuild as _rebuild  # pickles of old name it here

__all__ = ["Size", "Tensor", "as_array", "device", "is_tensor"]
