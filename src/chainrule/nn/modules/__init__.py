"""Where PyTorch keeps the layers; code that asks for their base classes finds them here."""

from chainrule.nn.container import *
from chainrule.nn.layers import *
from chainrule.nn.loss import *
from chainrule.nn.module import Module as Module
from chainrule.nn.modules import batchnorm as batchnorm
from chainrule.nn.modules import conv as conv
from chainrule.nn.modules import lazy as lazy
from chainrule.nn.modules import module as module
from chainrule.nn.modules import utils as utils
