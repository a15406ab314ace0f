"""The base of all modules, and hooks that every module calls."""

from chainrule.nn.hooks import (
    register_module_forward_hook as register_module_forward_hook,
)
from chainrule.nn.hooks import (
    register_module_forward_pre_hook as register_module_forward_pre_hook,
)
from chainrule.nn.hooks import (
    register_module_full_backward_hook as register_module_full_backward_hook,
)
from chainrule.nn.hooks import (
    register_module_full_backward_pre_hook as register_module_full_backward_pre_hook,
)
from chainrule.nn.module import Module as Module
