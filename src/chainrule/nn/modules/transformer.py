"""Transformers and their layers."""

from chainrule.nn.layers.transformer import *
