"""What PyTorch keeps in nn.utils: clipping, reparametrised weights, folding, vectors of parameters.

The room's and the files' names are PyTorch's.
"""

import sys
from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import absent_name
from chainrule.nn.utils import parametrizations as parametrizations
from chainrule.nn.utils import parametrize as parametrize
from chainrule.nn.utils.clip_grad import *
from chainrule.nn.utils.convert_parameters import *
from chainrule.nn.utils.fusion import *
from chainrule.nn.utils.spectral_norm import *
from chainrule.nn.utils.weight_norm import *

if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
