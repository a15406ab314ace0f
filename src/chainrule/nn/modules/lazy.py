"""What makes a module lazy, for ``class LazyLayer(LazyModuleMixin, Layer)``."""

from chainrule.nn.lazy import LazyModuleMixin as LazyModuleMixin
