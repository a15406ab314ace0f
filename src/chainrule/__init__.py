"""chainrule: deep learning for images, with every gradient in plain sight.

    import chainrule as cr
    from chainrule import nn, optim, models, data
    import chainrule.nn.functional as F

    net = models.resnet20(num_classes=10)
    loss = F.cross_entropy(net(cr.randn(8, 3, 32, 32)), cr.arange(8))
    loss.backward()

Names and semantics are PyTorch's; arrays are NumPy's.
"""

import sys as _sys
from importlib import import_module as _import_module
from typing import Any as _Any

import numpy as _np

from chainrule import (
    amp,
    autograd,
    backends,
    cuda,
    errors,
    fx,
    kernels,
    linalg,
    ops,
    saving,
)
from chainrule.amp import autocast
from chainrule.autograd import (
    enable_grad,
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_fusion_enabled,
    is_grad_enabled,
    no_grad,
    set_fusion_enabled,
    set_grad_enabled,
)
from chainrule.backends import *
from chainrule.fx import _assert as _assert
from chainrule.ops.dtypes import (
    finfo,
    get_default_dtype,
    iinfo,
    promote_types,
    set_default_dtype,
)
from chainrule.random import (
    Generator,
    default_generator,
    initial_seed,
    manual_seed,
    seed,
)
from chainrule.saving import *
from chainrule.tensor import Size, Tensor, creation, device, functions, is_tensor, typed
from chainrule.tensor.batched import vmap
from chainrule.tensor.creation import *
from chainrule.tensor.description import (
    is_complex,
    is_floating_point,
    is_nonzero,
    is_same_size,
    is_signed,
    numel,
)
from chainrule.tensor.functions import *
from chainrule.tensor.printing import set_printoptions
from chainrule.tensor.typed import *
from chainrule.threads import get_num_threads, set_num_threads

inf, nan, pi, e, newaxis = _np.inf, _np.nan, _np.pi, _np.e, None

float16 = half = _np.dtype(_np.float16)
float32 = float = _np.dtype(_np.float32)
float64 = double = _np.dtype(_np.float64)
int8 = _np.dtype(_np.int8)
uint8 = _np.dtype(_np.uint8)
int16 = short = _np.dtype(_np.int16)
uint16, uint32, uint64 = _np.dtype(_np.uint16), _np.dtype(_np.uint32), _np.dtype(_np.uint64)
int32 = int = _np.dtype(_np.int32)
int64 = long = _np.dtype(_np.int64)
bool = _np.dtype(_np.bool_)
dtype = _np.dtype

_ROOMS = (
    "data", "distributed", "export", "func", "hub", "jit", "models", "nn", "optim", "special",
    "testing", "training", "utils",
)  # fmt: skip


def __getattr__(name: str) -> _Any:
    """The rooms above, ``cr.nn`` and so on, imported when they are first asked for."""
    if name in _ROOMS:
        return _import_module(f"{__name__}.{name}")
    if name.endswith("_") and not name.startswith("_") and hasattr(Tensor, name):
        return getattr(Tensor, name)  # chainrule.relu_(x) is x.relu_()
    raise errors.absent_name(_sys.modules[__name__], name)


_sys.meta_path.append(errors.Advisor)  # the last to be asked for a module

__version__ = "0.1.0"

__all__ = [
    "Generator",
    "Size",
    "Tensor",
    "__version__",
    "amp",
    "autocast",
    "autograd",
    "backends",
    "bool",
    "cuda",
    "default_generator",
    "device",
    "double",
    "dtype",
    "e",
    "enable_grad",
    "errors",
    "finfo",
    "float",
    "float16",
    "float32",
    "float64",
    "fx",
    "get_default_dtype",
    "get_num_threads",
    "half",
    "iinfo",
    "inf",
    "inference_mode",
    "initial_seed",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_complex",
    "is_floating_point",
    "is_fusion_enabled",
    "is_grad_enabled",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_tensor",
    "kernels",
    "linalg",
    "long",
    "manual_seed",
    "nan",
    "newaxis",
    "no_grad",
    "numel",
    "ops",
    "pi",
    "promote_types",
    "seed",
    "set_default_dtype",
    "set_fusion_enabled",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "short",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "vmap",
]
__all__ += backends.__all__
__all__ += creation.__all__
__all__ += functions.__all__
__all__ += saving.__all__
__all__ += typed.__all__
