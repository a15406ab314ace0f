"""Mixed precision as code written for PyTorch asks for it; everything is computed in float32.

`autocast` and `GradScaler` for "cuda" do what PyTorch's do where there is no GPU: nothing. For
"cpu" they would compute in bfloat16, which NumPy has not, and are refused unless disabled.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from chainrule.errors import ConfigError, absent_name

__all__ = [
    "GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def is_autocast_available(device_type: str) -> bool:
    """False."""
    return False


class autocast:
    """``with autocast("cuda"):`` and ``@autocast("cuda")`` leave the dtypes as they are.

    Raises ConfigError for "cpu", unless ``enabled=False``.
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if enabled:
            _refuse_the_cpu("autocast", device_type)

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, func: F) -> F:
        """``func`` itself."""
        return func


class GradScaler:
    """The scaler that scales nothing: what PyTorch's is where there is no GPU.

    Raises ConfigError for "cpu", unless ``enabled=False``.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled:
            _refuse_the_cpu("GradScaler", device)

    def is_enabled(self) -> bool:
        """False."""
        return False

    def scale(self, outputs: Any) -> Any:
        """``outputs`` themselves."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Leave the gradients as they are."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """There is no scale to update."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """There is no state to load."""


def custom_fwd(fwd: Any = None, *, device_type: str = "cuda", cast_inputs: Any = None) -> Any:
    """The forward of an autograd.Function itself, also as ``@custom_fwd(device_type="cuda")``."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    return fwd


def custom_bwd(bwd: Any = None, *, device_type: str = "cuda") -> Any:
    """The backward of an autograd.Function itself, as custom_fwd."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd


def _refuse_the_cpu(name: str, device: str) -> None:
    if str(device).split(":")[0] == "cpu":
        raise ConfigError(
            f"{name}: mixed precision on the CPU means bfloat16, which NumPy has not; "
            "everything is computed in float32 (leave it out, or enabled=False)"
        )


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
