"""Mixed precision by its older names: `chainrule.amp` for the device "cuda"."""

from __future__ import annotations

from typing import Any

from chainrule import amp
from chainrule.amp import custom_bwd as custom_bwd
from chainrule.amp import custom_fwd as custom_fwd


class autocast(amp.autocast):
    """`chainrule.amp.autocast` for "cuda", which changes nothing."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """`chainrule.amp.GradScaler` for "cuda", which changes nothing."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )
