"""What programs ask about or set before they choose a device. There is one device, the CPU.

    torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True

Questions are answered truly; settings of libraries that are not used here can be set, and
change nothing: results are the same bits on every run without being asked for.
"""

from __future__ import annotations

from chainrule.backends import cudnn as cudnn
from chainrule.backends import mkldnn as mkldnn
from chainrule.backends import mps as mps

__all__ = [
    "accelerator",
    "are_deterministic_algorithms_enabled",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "get_float32_matmul_precision",
    "memory_format",
    "preserve_format",
    "set_float32_matmul_precision",
    "use_deterministic_algorithms",
]


class accelerator:
    """There is none."""

    @staticmethod
    def is_available() -> bool:
        """False: chainrule computes on the CPU."""
        return False

    @staticmethod
    def device_count() -> int:
        """0."""
        return 0

    @staticmethod
    def current_accelerator(check_available: bool = False) -> None:
        """None."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted, and changes nothing: every result is the same bits on every run."""


def are_deterministic_algorithms_enabled() -> bool:
    """True, always."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted, and changes nothing: products are computed in full float32."""


def get_float32_matmul_precision() -> str:
    """``highest``, always."""
    return "highest"


class memory_format(str):
    """How a tensor asks to lie in memory: images take channels-last memory by themselves."""

    __slots__ = ()


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
