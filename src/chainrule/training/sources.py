"""What can be named where trained weights are wanted: a run, a checkpoint, a loaded one."""

from __future__ import annotations

import json
from pathlib import Path

from chainrule.training.checkpoint import KEY, Checkpoint, load_checkpoint
from chainrule.training.run import Run

Source = Checkpoint | Run | str | Path


def open_checkpoint(source: Source) -> Checkpoint:
    """The checkpoint that a run, a path or a checkpoint itself stands for."""
    if isinstance(source, Checkpoint):
        return source
    return load_checkpoint(source.path if isinstance(source, Run) else source)


def is_bare(path: Path) -> bool:
    """Whether a file holds weights and nothing on their model: not chainrule's, or PyTorch's."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length < 1 << 27:  # as long as no header of safetensors is
            return True
        text = file.read(length)
    try:
        return KEY not in json.loads(text).get("__metadata__", {})
    except (ValueError, AttributeError):
        return True
