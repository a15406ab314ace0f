"""What arguments may be."""

from collections.abc import Sequence
from typing import Literal

Size = int | Sequence[int]
Reduction = Literal["mean", "sum", "none"]
