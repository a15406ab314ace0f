"""The numbers: one contract for each kernel, three tiers that obey it.

`reference` (vectorised NumPy) fills the table; `native` (C++) overlays the entries it has;
`naive` is the definition in loops. Call through the module, ``kernels.conv2d(...)``, so that
the active tier is used. The contracts are the docstrings in reference/.

``CHAINRULE_KERNELS=reference|native|naive`` chooses a tier when the package is imported;
without it the fastest that was built is taken.
"""

from chainrule.kernels.reference import *  # noqa: F403  the table's signatures; activate() overlays its entries
from chainrule.kernels.table import activate, activate_on_import, contracts, describe, tier, use

__all__ = ["activate", "contracts", "describe", "tier", "use"]

activate_on_import()
