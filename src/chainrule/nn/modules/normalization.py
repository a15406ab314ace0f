"""Norms that keep no statistics."""

from chainrule.nn.layers.norm import GroupNorm as GroupNorm
from chainrule.nn.layers.norm import LayerNorm as LayerNorm
from chainrule.nn.layers.norm import LocalResponseNorm as LocalResponseNorm
from chainrule.nn.layers.norm import RMSNorm as RMSNorm
