"""Dropout, and the base of its kinds."""

from chainrule.nn.layers.dropout import *
from chainrule.nn.layers.dropout import Dropout

_DropoutNd = Dropout
