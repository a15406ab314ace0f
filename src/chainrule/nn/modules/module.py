"""The base of all modules."""

from chainrule.nn.module import Module as Module
