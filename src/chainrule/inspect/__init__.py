"""Facts about a model: what it costs, keeps and sees.

from chainrule import inspect, models

print(inspect.summary(models.resnet20(), (3, 32, 32)))
"""

from chainrule.inspect.accounts import Row, Summary
from chainrule.inspect.count import summary

__all__ = ["Row", "Summary", "summary"]
