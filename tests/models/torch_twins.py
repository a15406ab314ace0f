"""PyTorch twins of the models: their own source, run with PyTorch's names for the library's."""

import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from chainrule import models
from chainrule.models.registry import check_count, height_width

FOLDER = Path(models.__file__).parent
IMPORTS = {
    "import chainrule as cr": "import torch as cr",
    "import chainrule.nn.functional as F": "import torch.nn.functional as F",
    "from chainrule import nn": "from torch import nn",
    "from chainrule.tensor import Tensor": "from torch import Tensor",
    "from chainrule.utils.checkpoint import": "from torch.utils.checkpoint import",
}


@cache
def source(file: str, library: str, width: int = 4096) -> ModuleType:
    """``chainrule/models/<file>.py`` run with either library, its 4096s replaced by a width.

    Nothing is registered; the files that it imports are run in the same way.
    """
    text = (FOLDER / f"{file}.py").read_text(encoding="utf-8")
    text = re.sub(r"\b4096\b", str(width), text)
    if library == "torch":
        for ours, theirs in IMPORTS.items():
            text = re.sub(rf"^{re.escape(ours)}", theirs, text, flags=re.MULTILINE)
    for imported in re.findall(r"^from chainrule\.models\.(\w+) import", text, re.MULTILINE):
        if imported != "registry":
            source(imported, library)
    package = f"models_in_{library}"
    registry = sys.modules.setdefault(f"{package}.registry", ModuleType("registry"))
    registry.register = lambda **_: lambda build: build
    registry.check_count, registry.height_width = check_count, height_width
    module = ModuleType(f"{package}.{file}")
    sys.modules.setdefault(package, ModuleType(package))
    sys.modules[module.__name__] = module
    text = text.replace("from chainrule.models.", f"from {package}.")
    exec(compile(text, f"{package}/{file}.py", "exec"), module.__dict__)
    return module
