"""The computational graph and reverse-mode differentiation of any order."""

import sys
from typing import TYPE_CHECKING, Any

from chainrule.autograd import functional as functional
from chainrule.autograd import graph as graph
from chainrule.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from chainrule.autograd.check import (
    GradcheckError,
    GradcheckReport,
    gradcheck,
    gradcheck_report,
    gradgradcheck,
    numerical_gradient,
)
from chainrule.autograd.engine import backward, grad
from chainrule.autograd.function import Function
from chainrule.autograd.fusion import (
    fused_operations,
    is_fusion_enabled,
    set_fusion_enabled,
)
from chainrule.autograd.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from chainrule.errors import absent_name

__all__ = [
    "Function",
    "GradcheckError",
    "GradcheckReport",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "fused_operations",
    "grad",
    "gradcheck",
    "gradcheck_report",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_fusion_enabled",
    "is_grad_enabled",
    "no_grad",
    "numerical_gradient",
    "set_detect_anomaly",
    "set_fusion_enabled",
    "set_grad_enabled",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "Variable":  # PyTorch's old name of Tensor
            from chainrule.autograd.graph import Variable

            return Variable.concrete
        raise absent_name(sys.modules[__name__], name)
