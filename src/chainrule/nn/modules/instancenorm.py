"""Instance norm and the base of its kinds."""

from chainrule.nn.layers.lazy import LazyInstanceNorm1d as LazyInstanceNorm1d
from chainrule.nn.layers.lazy import LazyInstanceNorm2d as LazyInstanceNorm2d
from chainrule.nn.layers.lazy import LazyInstanceNorm3d as LazyInstanceNorm3d
from chainrule.nn.layers.norm import InstanceNorm1d as InstanceNorm1d
from chainrule.nn.layers.norm import InstanceNorm2d as InstanceNorm2d
from chainrule.nn.layers.norm import InstanceNorm3d as InstanceNorm3d
from chainrule.nn.layers.norm import _InstanceNorm as _InstanceNorm
