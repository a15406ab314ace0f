"""Where PyTorch keeps the layers; code that asks for their base classes finds them here."""

from chainrule.nn.container import *
from chainrule.nn.layers import *
from chainrule.nn.loss import *
from chainrule.nn.module import Module as Module
from chainrule.nn.modules import activation as activation
from chainrule.nn.modules import batchnorm as batchnorm
from chainrule.nn.modules import channelshuffle as channelshuffle
from chainrule.nn.modules import container as container
from chainrule.nn.modules import conv as conv
from chainrule.nn.modules import distance as distance
from chainrule.nn.modules import dropout as dropout
from chainrule.nn.modules import flatten as flatten
from chainrule.nn.modules import fold as fold
from chainrule.nn.modules import instancenorm as instancenorm
from chainrule.nn.modules import lazy as lazy
from chainrule.nn.modules import linear as linear
from chainrule.nn.modules import loss as loss
from chainrule.nn.modules import module as module
from chainrule.nn.modules import normalization as normalization
from chainrule.nn.modules import padding as padding
from chainrule.nn.modules import pixelshuffle as pixelshuffle
from chainrule.nn.modules import pooling as pooling
from chainrule.nn.modules import sparse as sparse
from chainrule.nn.modules import transformer as transformer
from chainrule.nn.modules import upsampling as upsampling
from chainrule.nn.modules import utils as utils
