"""The computational graph and reverse-mode differentiation of any order."""

from chainrule.autograd.check import (
    GradcheckError,
    gradcheck,
    gradgradcheck,
    numerical_gradient,
)
from chainrule.autograd.engine import backward, grad
from chainrule.autograd.fusion import (
    fused_operations,
    is_fusion_enabled,
    set_fusion_enabled,
)
from chainrule.autograd.mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "GradcheckError",
    "backward",
    "enable_grad",
    "fused_operations",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_fusion_enabled",
    "is_grad_enabled",
    "no_grad",
    "numerical_gradient",
    "set_fusion_enabled",
    "set_grad_enabled",
]
