"""Losses as modules, one file a family; the formulas are in `chainrule.nn.functional`."""

from chainrule.nn.loss.binary import *
from chainrule.nn.loss.classification import *
from chainrule.nn.loss.distance import *
from chainrule.nn.loss.embedding import *
from chainrule.nn.loss.margin import *
from chainrule.nn.loss.regression import *
