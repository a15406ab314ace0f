"""Convolutions and the base of all, for ``isinstance(m, nn.modules.conv._ConvNd)``."""

from chainrule.nn.layers.conv import *
from chainrule.nn.layers.conv import _Convolution as _ConvNd

__all__ = ["_ConvNd"]
