"""Linear layers, and the one that does nothing."""

from chainrule.nn.layers.lazy import LazyLinear as LazyLinear
from chainrule.nn.layers.linear import *
