"""Convolutions and the base of all, for ``isinstance(m, nn.modules.conv._ConvNd)``."""

from chainrule.nn.layers.conv import *
from chainrule.nn.layers.conv import _Convolution
from chainrule.nn.layers.lazy import *

_ConvNd = _Convolution
