"""Modules made of modules."""

from chainrule.nn.container import *
