"""What can be named where trained weights are wanted: a run, a checkpoint, a loaded one."""

from __future__ import annotations

from pathlib import Path

from chainrule.models.weights import facts_of
from chainrule.training.checkpoint import Checkpoint, load_checkpoint
from chainrule.training.run import Run

Source = Checkpoint | Run | str | Path


def open_checkpoint(source: Source) -> Checkpoint:
    """The checkpoint that a run, a path or a checkpoint itself stands for."""
    if isinstance(source, Checkpoint):
        return source
    return load_checkpoint(source.path if isinstance(source, Run) else source)


def is_bare(path: Path) -> bool:
    """Whether a file holds weights and nothing on their model: not chainrule's, or PyTorch's."""
    return path.is_file() and facts_of(path) is None
