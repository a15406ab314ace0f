"""Pooling and the bases of its kinds."""

from chainrule.nn.layers.pool import *
from chainrule.nn.layers.pool import _AdaptiveAvgPool, _AdaptiveMaxPool, _MaxPool

_AdaptiveAvgPoolNd = _AdaptiveAvgPool
_AdaptiveMaxPoolNd = _AdaptiveMaxPool
_MaxPoolNd = _MaxPool
