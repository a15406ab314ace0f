"""Layers, one file a family."""

from chainrule.nn.layers.activation import *
from chainrule.nn.layers.attention import *
from chainrule.nn.layers.conv import *
from chainrule.nn.layers.deform import *
from chainrule.nn.layers.dropout import *
from chainrule.nn.layers.embedding import *
from chainrule.nn.layers.lazy import *
from chainrule.nn.layers.linear import *
from chainrule.nn.layers.norm import *
from chainrule.nn.layers.padding import *
from chainrule.nn.layers.pool import *
from chainrule.nn.layers.shape import *
from chainrule.nn.layers.transformer import *
from chainrule.nn.layers.upsample import *
