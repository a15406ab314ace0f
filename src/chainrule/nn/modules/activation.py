"""Activations, and attention."""

from chainrule.nn.layers.activation import *
from chainrule.nn.layers.attention import *
