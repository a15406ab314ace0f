"""Modules (state), functional (mathematics), init (first values); PyTorch's names."""

import sys
from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import absent_name
from chainrule.nn import filters as filters
from chainrule.nn import functional as functional
from chainrule.nn import init as init
from chainrule.nn import modules as modules
from chainrule.nn import parallel as parallel
from chainrule.nn import regularization as regularization
from chainrule.nn import utils as utils
from chainrule.nn.container import *
from chainrule.nn.layers import *
from chainrule.nn.loss import *
from chainrule.nn.module import Module as Module
from chainrule.nn.parallel import DataParallel as DataParallel
from chainrule.nn.parameter import Buffer as Buffer
from chainrule.nn.parameter import Parameter as Parameter
from chainrule.nn.parameter import UninitializedBuffer as UninitializedBuffer
from chainrule.nn.parameter import UninitializedParameter as UninitializedParameter

if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
