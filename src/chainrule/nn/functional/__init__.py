"""PyTorch's `torch.nn.functional` by name and signature, over `chainrule.ops`.

Nothing is computed here; the formulas and their gradients are in `chainrule.ops`.
Losses take ``size_average`` and ``reduce`` as PyTorch's do, with its warning: where either is
given it overrides ``reduction``.
With ``inplace`` the result takes the place of the input, which is returned: one tensor then, as
in PyTorch (`chainrule.autograd.change`).
"""

import sys
from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import absent_name
from chainrule.nn.functional.activation import *
from chainrule.nn.functional.attention import *
from chainrule.nn.functional.conv import *
from chainrule.nn.functional.deform import *
from chainrule.nn.functional.distance import *
from chainrule.nn.functional.dropout import *
from chainrule.nn.functional.embedding import *
from chainrule.nn.functional.linear import *
from chainrule.nn.functional.loss_binary import *
from chainrule.nn.functional.loss_classification import *
from chainrule.nn.functional.loss_embedding import *
from chainrule.nn.functional.loss_margin import *
from chainrule.nn.functional.loss_regression import *
from chainrule.nn.functional.norm import *
from chainrule.nn.functional.pool import *
from chainrule.nn.functional.sampling import *
from chainrule.nn.functional.shape import *
from chainrule.nn.functional.upsample import *

if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
