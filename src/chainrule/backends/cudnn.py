"""NVIDIA's library of kernels, which is not used here: its settings can be set and do nothing."""

enabled = benchmark = allow_tf32 = False
deterministic = True


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def version() -> None:
    """None."""
