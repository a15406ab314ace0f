"""Lazy modules: created without the sizes of their input, which the first call tells them."""

from __future__ import annotations

from itertools import chain
from typing import Any, ClassVar

from chainrule.autograd import no_grad
from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.nn.parameter import is_lazy


class LazyModuleMixin(Module):
    """Before another module class: its parameters are made when it is first called.

    A subclass registers `UninitializedParameter`s and `UninitializedBuffer`s, and defines
    ``initialize_parameters(*args, **kwargs)``, which gets the arguments of that call and
    materializes them. Then the module becomes one of ``cls_to_become``, so that further calls
    cost what that class's do; where that is None, it stays what it is.
    """

    cls_to_become: ClassVar[type[Module] | None] = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        becomes = self.cls_to_become
        if becomes is not None or self.has_uninitialized_params():
            self._infer_parameters(self, args, kwargs)
        if becomes is not None:
            return self(*args, **kwargs)  # as what it is now
        return super().__call__(*args, **kwargs)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give shapes and first values to what is uninitialized, knowing the first input."""
        raise NotImplementedError(
            f"{type(self).__name__} does not define initialize_parameters(), which a lazy module "
            "needs"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module alone has no shape yet."""
        return any(map(is_lazy, chain(self._parameters.values(), self._buffers.values())))

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        with no_grad():
            module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise ConfigError(
                f"{type(module).__name__}: initialize_parameters() left parameters uninitialized"
            )
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
