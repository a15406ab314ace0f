"""Distances as modules."""

from chainrule.nn.loss.distance import *
