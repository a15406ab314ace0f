"""Sample calls of every op, one file a family; importing this fills `CASES`."""

from . import (  # noqa: F401
    activation,
    conv,
    dropout,
    elementwise,
    indexing,
    linalg,
    loss_binary,
    loss_classification,
    loss_embedding,
    loss_margin,
    loss_regression,
    norm,
    padding,
    pool,
    reduction,
    regularization,
    shape,
    special,
)
