"""Several devices, of which there is one: PyTorch's wrapper, as it works without GPUs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from chainrule.errors import ConfigError, absent_name
from chainrule.nn.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """A module under the name ``module``, called as it is; its threads share the work already.

    Names in the state_dict begin with "module.", as in files written by wrapped models.
    device_ids, output_device: None or empty; dim: the axis that GPUs would share out.
    Raises ConfigError for other devices.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        if device_ids or output_device is not None:
            raise ConfigError(
                "DataParallel: there are no GPUs to share the batch among, got device_ids "
                f"{device_ids}, output_device {output_device}; leave them out"
            )
        self.module = module
        self.device_ids: list[int] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call ``module`` on ``inputs``, one or a tuple of them. See `DataParallel`."""
    if not isinstance(inputs, tuple):
        inputs = (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
