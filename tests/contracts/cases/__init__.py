"""Sample calls of every op, one file a family; importing this fills `CASES`."""

from . import (  # noqa: F401
    activation,
    conv,
    dropout,
    elementwise,
    linalg,
    loss,
    norm,
    pool,
    reduction,
    shape,
)
