"""Models made ready for use elsewhere, or for use alone.

from chainrule.export import fold_batch_norm

fast = fold_batch_norm(net)       # a copy in evaluation mode, without its batch norms
print(fast.folding)
"""

from chainrule.export.fold import Folding, fold_batch_norm

__all__ = ["Folding", "fold_batch_norm"]
