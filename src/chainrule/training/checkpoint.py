"""Checkpoints: weights, and all that is needed to use them, in one safetensors file.

The tensors carry the model's state_dict names. The header's metadata holds one JSON text
under "chainrule": how to build the model, the classes, how images are prepared, and what
was reached. A checkpoint that can be resumed holds the optimizer's tensors too, under
"optimizer/", and the rest of the trainer's state in the JSON.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import models
from chainrule.errors import ChainruleError, CheckpointError
from chainrule.models.pretrained import is_pretrained
from chainrule.models.registry import construction
from chainrule.models.weights import BEST, FACTS, LAST, OPTIMIZER, read, tagged
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.saving import write_whole
from chainrule.tensor import Tensor

FORMAT = 1  # raise it when an older reader would misunderstand the file


@dataclass
class Checkpoint:
    """A model in evaluation mode and what its users must know.

    mean, std: per channel, in units where white is 1. image_size: (height, width) in pixels.
    held_out: the images of its data that it never saw, "test" or "val".
    config: the settings of the run, as plain values. metrics: of the epoch it was saved at.
    state: what resuming needs beyond the weights (see `chainrule.training.loop.Trainer`).
    """

    model: Module
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: tuple[int, int]
    channels: int
    held_out: str = "test"
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    path: Path | None = None


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all; an existing one is replaced in one step.

    Raises CheckpointError where it cannot be written (disk full, no permission); the
    previous file is then untouched.
    """
    from safetensors.numpy import save

    from chainrule import __version__

    weights = {name: t.array for name, t in checkpoint.model.state_dict().items()}
    facts: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "model": construction(checkpoint.model, "save_checkpoint", CheckpointError),
        "classes": list(checkpoint.classes),
        "mean": list(checkpoint.mean),
        "std": list(checkpoint.std),
        "image_size": list(checkpoint.image_size),
        "channels": checkpoint.channels,
        "held_out": checkpoint.held_out,
        "config": checkpoint.config,
        "metrics": checkpoint.metrics,
    }
    if checkpoint.state is not None:
        facts["state"], tensors = _split(checkpoint.state)
        weights |= {OPTIMIZER + name: array for name, array in tensors.items()}
    # asarray, not ascontiguousarray, which would turn a 0-d array into a 1-d one
    rows = {name: np.asarray(array, order="C") for name, array in weights.items()}
    write_atomically(Path(path), save(rows, {FACTS: json.dumps(facts)}))


def write_atomically(path: Path, content: bytes) -> None:
    """Write the file whole or not at all; CheckpointError says why it could not be written."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise CheckpointError(cannot_write(path, error)) from error


def cannot_write(path: Path, error: OSError) -> str:
    """One statement about a file that could not be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, remedy = "the disk is full", "free some space"
    elif error.errno == errno.EFBIG:
        reason, remedy = "the file would be larger than allowed here", "raise the limit"
    else:
        reason, remedy = error.strerror or str(error), "choose another folder"
    kept = "; the one before is kept" if path.exists() else ""
    return f"cannot write {path}: {reason}{kept}; {remedy}, or write elsewhere with --out"


# -- reading -----------------------------------------------------------------------------------


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file that a run folder (its best, else its last) or a path names."""
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise CheckpointError(
            f"checkpoint: there is no file or run folder {path}; the weights that come with "
            f"chainrule are {', '.join(models.pretrained_tags())}"
        )
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(
        f"checkpoint: {path} holds neither {BEST} nor {LAST}; "
        "name a folder that `chainrule train` made, or a .safetensors file"
    )


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a run folder's best checkpoint, or a file; the model is rebuilt in eval mode.

    path: or a folder of `models.save_pretrained`, or the tag of weights inside the package.
    Raises CheckpointError for a file that is missing, truncated, not safetensors, not
    chainrule's, or whose weights do not fit the model it names.
    """
    if tagged(path) is not None or is_pretrained(Path(path)):
        return _from_pretrained(path)
    file = find_checkpoint(path)
    arrays, facts = _read(file)
    weights = {name: a for name, a in arrays.items() if not name.startswith(OPTIMIZER)}
    try:
        settings = dict(facts["model"])
        with init.skipped():  # every weight is loaded
            model = models.create(settings.pop("name"), **settings)
        state = facts.get("state")
        if state is not None:
            state = _join(state, {n.removeprefix(OPTIMIZER): a for n, a in arrays.items()})
        checkpoint = Checkpoint(
            model=model.eval(),
            classes=tuple(facts["classes"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            image_size=tuple(facts["image_size"]),
            channels=facts["channels"],
            held_out=facts["held_out"],
            config=facts["config"],
            metrics=facts["metrics"],
            state=state,
            path=file,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint: {file} is damaged or from another version of chainrule: "
            f"{_statement(error)}"
        ) from error
    try:
        model.load_state_dict(weights)
    except ChainruleError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise CheckpointError(
            f"checkpoint: the weights in {file} do not fit its model {facts['model']['name']!r}"
            + "".join(f"\n  {line}" for line in lines)
        ) from error
    _check_description(file, checkpoint)
    _check_weights(file, weights, model)
    return checkpoint


def _from_pretrained(source: str | Path) -> Checkpoint:
    """What a folder in timm's layout, or a tag, holds. Classes without names get numbers."""
    found = read(source)
    model = found.build().eval()
    settings = model.config
    if found.mean is None or found.std is None or found.image_size is None:
        raise CheckpointError(
            f"checkpoint: {source} does not say how images are prepared: "
            "mean, std and input_size belong into the pretrained_cfg of its config.json"
        )
    checkpoint = Checkpoint(
        model,
        found.classes or tuple(map(str, range(settings["num_classes"]))),
        found.mean,
        found.std,
        found.image_size,
        settings["in_channels"],
        config={"data": found.data or "", "model": settings["name"]},
        path=Path(source),
    )
    _check_description(Path(source), checkpoint)
    return checkpoint


def _check_description(file: Path, checkpoint: Checkpoint) -> None:
    """Raise CheckpointError where a checkpoint's facts are not what their users count on."""
    classes, size, channels = checkpoint.classes, checkpoint.image_size, checkpoint.channels
    outputs = checkpoint.model.config["num_classes"]
    per_channel = (*checkpoint.mean, *checkpoint.std)
    wrong = {
        "classes": not all(isinstance(name, str) for name in classes)
        or len({*classes}) != len(classes)
        or len(classes) != outputs,
        "channels": channels not in (1, 3),
        "mean, std": not all(isinstance(value, float | int) for value in per_channel)
        or not len(checkpoint.mean) == len(checkpoint.std) == channels,
        "image_size": len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size),
        "held_out": checkpoint.held_out not in ("test", "val"),
        "config": not isinstance(checkpoint.config, dict),
        "metrics": not isinstance(checkpoint.metrics, dict),
    }
    named = [name for name, is_wrong in wrong.items() if is_wrong]
    if named:
        raise CheckpointError(
            f"checkpoint: {file} is damaged or from another version of chainrule: "
            f"the entry {named[0]!r} makes no sense"
        )


def _check_weights(file: Path, weights: Mapping[str, np.ndarray[Any, Any]], model: Module) -> None:
    """Raise CheckpointError for weights that are no numbers, or not of the model's kind."""
    for name, own in model.state_dict().items():
        if weights[name].dtype.kind != own.dtype.kind:
            problem = f"is {weights[name].dtype}, not {own.dtype}"
        elif not np.isfinite(weights[name]).all():
            problem = "holds NaN or infinity"
        else:
            continue
        raise CheckpointError(
            f"checkpoint: {name} in {file} {problem}; use another checkpoint, or train again"
        )


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and chainrule's facts in a safetensors file."""
    from safetensors import SafetensorError, safe_open

    from chainrule import pytorch_files

    facts, arrays = None, {}
    try:
        with file.open("rb") as head:
            is_pytorchs = pytorch_files.is_pytorch_file(head.read(pytorch_files.START))
        if not is_pytorchs:
            with safe_open(str(file), framework="numpy") as opened:
                facts = (opened.metadata() or {}).get(FACTS)
                arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except OSError as error:
        raise CheckpointError(f"checkpoint: cannot read {file}: {error}") from error
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"checkpoint: {file} is truncated or no safetensors file: {error}"
        ) from error
    if facts is None:
        raise _weights_only(file)
    try:
        read = json.loads(facts)
        version = read["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint: the description in {file} is damaged") from error
    if version != FORMAT:
        raise CheckpointError(
            f"checkpoint: {file} has format {version}, this chainrule reads {FORMAT}; "
            f"it was written by chainrule {read.get('version', 'of unknown version')}"
        )
    return arrays, read


def _weights_only(file: Path) -> CheckpointError:
    return CheckpointError(
        f"checkpoint: {file} holds weights only; chainrule's checkpoints also say of which model, "
        f'and which classes. To use the weights alone: models.create(NAME, weights="{file}"), or '
        f"chainrule train DATA --model NAME --weights {file}"
    )


def _statement(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error).splitlines()[0]


# -- nested state as JSON plus tensors -----------------------------------------------------------

TENSOR = "$tensor"  # stands in the JSON where a tensor was


def _split(state: Any, name: str = "") -> tuple[Any, dict[str, np.ndarray[Any, Any]]]:
    """A nested state as JSON can hold it, and the arrays that were in it by dotted name."""
    if isinstance(state, Tensor):
        return {TENSOR: name}, {name: state.array}
    if isinstance(state, Mapping):
        parts = {str(k): _split(v, f"{name}.{k}" if name else str(k)) for k, v in state.items()}
    elif isinstance(state, list | tuple):
        parts = {str(i): _split(v, f"{name}.{i}") for i, v in enumerate(state)}
    else:
        return state, {}
    arrays = {n: a for _, part in parts.values() for n, a in part.items()}
    if isinstance(state, Mapping):
        return {k: plain for k, (plain, _) in parts.items()}, arrays
    return [plain for plain, _ in parts.values()], arrays


def _join(plain: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """The inverse of `_split`, but that keys have become texts and tuples lists."""
    if isinstance(plain, list):
        return [_join(value, arrays) for value in plain]
    if not isinstance(plain, dict):
        return plain
    if TENSOR in plain:
        return Tensor(arrays[plain[TENSOR]])
    return {key: _join(value, arrays) for key, value in plain.items()}
