"""Tables of vectors."""

from chainrule.nn.layers.embedding import *
