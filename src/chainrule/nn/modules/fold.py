"""Windows as columns, and back."""

from chainrule.nn.layers.conv import Fold as Fold
from chainrule.nn.layers.conv import Unfold as Unfold
