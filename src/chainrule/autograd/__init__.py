"""The computational graph and reverse-mode differentiation of any order."""

from chainrule.autograd.check import (
    GradcheckError,
    gradcheck,
    gradgradcheck,
    numerical_gradient,
)
from chainrule.autograd.engine import backward, grad
from chainrule.autograd.mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "GradcheckError",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "numerical_gradient",
    "set_grad_enabled",
]
