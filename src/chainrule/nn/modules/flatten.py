"""Flatten and its inverse."""

from chainrule.nn.layers.shape import *
