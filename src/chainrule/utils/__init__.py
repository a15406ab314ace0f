"""What PyTorch keeps under torch.utils and chainrule has: checkpointing, loaders of data."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.errors import absent_name
from chainrule.utils import checkpoint as checkpoint
from chainrule.utils import hooks as hooks

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """``data`` and ``model_zoo``, imported when they are first asked for."""
        if name in ("data", "model_zoo"):
            return import_module(f"{__name__}.data")
        raise absent_name(sys.modules[__name__], name)
