"""Where PyTorch has what registering a hook returns."""

from chainrule.autograd.hooks import RemovableHandle as RemovableHandle
