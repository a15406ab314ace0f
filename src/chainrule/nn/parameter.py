"""Parameter and Buffer: tensors that a module registers when they become its attributes."""

from __future__ import annotations

from typing import Any

from chainrule.tensor import Tensor


class Parameter(Tensor):
    """A tensor to be trained: a leaf that requires grad. Shares the memory of ``data``."""

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        super().__init__(_memory_of(data), requires_grad=requires_grad)
        _share_visibility(self, data)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that is state but not trained; ``persistent``: in the state_dict."""

    persistent: bool = True

    def __init__(
        self, data: Any = (), persistent: bool = True, *, requires_grad: bool = False
    ) -> None:
        super().__init__(_memory_of(data), requires_grad=requires_grad)
        _share_visibility(self, data)
        self.persistent = persistent


def _share_visibility(tensor: Tensor, data: Any) -> None:
    if isinstance(data, Tensor):
        tensor.version.is_visible = data.version.is_visible


def _memory_of(data: Any) -> Any:
    return data.array if isinstance(data, Tensor) else data
