"""Batch norm and the base of its kinds, for ``isinstance(m, nn.modules.batchnorm._BatchNorm)``."""

from chainrule.nn.layers.lazy import LazyBatchNorm1d as LazyBatchNorm1d
from chainrule.nn.layers.lazy import LazyBatchNorm2d as LazyBatchNorm2d
from chainrule.nn.layers.lazy import LazyBatchNorm3d as LazyBatchNorm3d
from chainrule.nn.layers.norm import BatchNorm1d as BatchNorm1d
from chainrule.nn.layers.norm import BatchNorm2d as BatchNorm2d
from chainrule.nn.layers.norm import BatchNorm3d as BatchNorm3d
from chainrule.nn.layers.norm import _BatchNorm as _BatchNorm
