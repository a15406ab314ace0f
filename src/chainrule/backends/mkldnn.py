"""Intel's library of kernels, which is not used here: the kernels are chainrule's own."""

enabled = False


def is_available() -> bool:
    """False: it is not used."""
    return False
