"""Padding as modules."""

from chainrule.nn.layers.padding import *
