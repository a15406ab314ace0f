"""Apple's GPUs, which are not used here."""


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def is_built() -> bool:
    """False: chainrule computes on the CPU."""
    return False
