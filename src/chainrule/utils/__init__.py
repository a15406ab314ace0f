"""What PyTorch keeps under torch.utils and chainrule has: checkpointing."""

import sys
from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import absent_name
from chainrule.utils import checkpoint as checkpoint
from chainrule.utils import hooks as hooks

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
