"""The native tier: what is worth compiling, for float32; all else goes to reference.

Each wrapper decides whether the compiled kernel takes its arguments, brings images into
channels-last memory (a copy only where they are not), and gives results the shape that the
contract promises. Importing this module raises ImportError, with the reason, where the
compiled part is absent.

``CHAINRULE_ISA=portable|avx2|avx512`` forces an instruction set (for tests and comparisons);
the best that the processor has is used otherwise.
"""

import os
from importlib import import_module

import numpy as np

from ..errors import ConfigError
from ..threads import get_num_threads
from . import reference

try:
    _native = import_module("._native", __package__)
except ModuleNotFoundError as error:
    raise ImportError(
        "they were not built; with a C++ compiler at hand, 'pip install .' in chainrule's "
        "source folder builds them"
    ) from error

__all__ = ["relu", "relu_backward"]

ISA_VARIABLE = "CHAINRULE_ISA"


def instruction_set() -> str:
    """Name of the instruction set in use."""
    return str(_native.instruction_set())


def instruction_sets() -> list[str]:
    """Names of those that were compiled and that this processor has, best last."""
    return list(_native.instruction_sets())


def choose_instruction_set(name: str) -> None:
    """Use one instruction set's kernels from now on; ConfigError if the machine lacks it."""
    if not _native.choose(name):
        available = ", ".join(instruction_sets())
        raise ConfigError(
            f"kernels: instruction set {name!r} is not available here; choose one of {available} "
            f"(the environment variable {ISA_VARIABLE} sets it)"
        )


if os.environ.get(ISA_VARIABLE):
    choose_instruction_set(os.environ[ISA_VARIABLE])


def relu(x: np.ndarray) -> np.ndarray:
    axes = _memory_order(x)
    if axes is None:
        return reference.relu(x)
    x = x.transpose(axes)
    y = _native.empty(x.shape)
    _native.relu(x, y, get_num_threads())
    return _restore(y, axes)


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    axes = _memory_order(y)
    if axes is None or g.dtype != y.dtype:
        return reference.relu_backward(g, y)
    g = np.ascontiguousarray(g.transpose(axes))
    dx = _native.empty(g.shape)
    _native.relu_backward(g, y.transpose(axes), dx, get_num_threads())
    return _restore(dx, axes)


CHANNELS_LAST = (0, 2, 3, 1)


def _memory_order(x: np.ndarray) -> tuple[int, ...] | None:
    """Axes from outermost to innermost in memory; None if x is not float32 or has gaps."""
    if x.dtype != np.float32:
        return None
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    if x.ndim == 4 and x.transpose(CHANNELS_LAST).flags.c_contiguous:
        return CHANNELS_LAST
    return None


def _restore(memory: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Undo transpose(axes)."""
    return memory.transpose(0, 3, 1, 2) if axes is CHANNELS_LAST else memory
