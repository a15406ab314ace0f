"""The computational graph and reverse-mode differentiation of any order."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.autograd import graph as graph
from chainrule.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from chainrule.autograd.engine import backward, grad
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

if TYPE_CHECKING:
    from chainrule.autograd import functional as functional
    from chainrule.autograd.check import (
        GradcheckError,
        GradcheckReport,
        gradcheck,
        gradcheck_report,
        gradgradcheck,
        numerical_gradient,
    )
    from chainrule.autograd.function import Function
else:
    # what many programs never ask for is read when it is asked for: it takes time to import
    _FILES = {"Function": "function"} | dict.fromkeys(
        (
            "GradcheckError",
            "GradcheckReport",
            "gradcheck",
            "gradcheck_report",
            "gradgradcheck",
            "numerical_gradient",
        ),
        "check",
    )

    def __getattr__(name: str) -> Any:
        if name == "functional":
            return import_module(f"{__name__}.functional")
        if name in _FILES:
            return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
        if name == "Variable":  # PyTorch's old name of Tensor
            return graph.Variable.concrete
        raise absent_name(sys.modules[__name__], name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_FILES, "functional"})
