"""Losses and their bases, for ``class MyLoss(_Loss)``."""

from chainrule.nn.loss import *
from chainrule.nn.loss.base import Loss, WeightedLoss

_Loss = Loss
_WeightedLoss = WeightedLoss
