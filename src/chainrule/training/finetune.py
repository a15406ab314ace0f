"""Fine-tuning: to begin with weights that were learnt on other images.

What comes with the weights stays with them: the architecture, the size and the channels of the
images, and the mean and standard deviation by which these are normalised, since the first layer
learnt to expect just that. What belongs to the old classes goes: the head is new, unless
the classes are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import models
from chainrule.errors import ConfigError
from chainrule.models.weights import load_weights, read, tagged
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.tensor import Tensor
from chainrule.training.assembly import check_model
from chainrule.training.checkpoint import Checkpoint
from chainrule.training.config import TrainConfig, memorizes
from chainrule.training.sources import is_bare, open_checkpoint
from chainrule.training.stages import frozen_names

# Mean and standard deviation that weights for ImageNet were trained with, nearly everywhere; a
# file of weights does not say so.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LARGE = 100  # pixels: architectures made for larger images were made for ImageNet


@dataclass(frozen=True)
class Start:
    """Weights to begin with, and what is known of them. source: as the user named them."""

    source: str
    checkpoint: Checkpoint

    @property
    def model(self) -> str:
        """The name of the architecture."""
        return str(self.checkpoint.model.config["name"])


def open_start(settings: Mapping[str, Any]) -> Start | None:
    """The weights that the settings name, if any; the other settings must agree with them.

    Raises CheckpointError (not there, damaged), ConfigError (another architecture, other
    channels, another size where the weights depend on it, freezing without weights).
    """
    source = settings.get("weights")
    if source is None:
        if "freeze" in settings:
            raise ConfigError(
                "--freeze: weights that nobody trained are not worth keeping; name --weights too"
            )
        return None
    path = Path(source).expanduser()
    _refuse_own_folder(path, settings)
    bare = tagged(source) is None and is_bare(path)
    start = Start(source, _bare(path, settings) if bare else open_checkpoint(source))
    check_model(start.model)
    if memorizes(start.model):
        raise ConfigError(
            f"--weights {source}: a {start.model} keeps images and has no weights to begin with; "
            "leave --weights out"
        )
    _check_agreement(start, settings)
    if "freeze" in settings:  # shows what is wrong before the data are read
        frozen_names(start.checkpoint.model, settings["freeze"])
    return start


def _refuse_own_folder(path: Path, settings: Mapping[str, Any]) -> None:
    """A run that replaced what it begins with could not be repeated."""
    out, path = settings.get("out"), path.resolve()
    if out is not None and Path(out).resolve() in (path, path.parent) and path.exists():
        raise ConfigError(f"--out {out}: the weights to begin with lie there; name another folder")


def _bare(file: Path, settings: Mapping[str, Any]) -> Checkpoint:
    """Weights of a file that does not say of what: of the model that the settings name."""
    found = read(file)
    if "model" not in settings:
        raise ConfigError(
            f"--weights {file}: the file holds weights only; name their architecture by --model"
        )
    name, channels, size = (settings.get(key) for key in ("model", "channels", "image_size"))
    known = models.entry(str(name))
    with init.skipped():  # all but the head is loaded, and that will be new
        model = models.create(known.name, None, channels, size)
    load_weights(model, found, new_head=True)  # of the old classes nothing is known
    side, channels = size or known.image_size, channels or known.in_channels
    mean, std = IMAGENET if known.image_size > LARGE and channels == 3 else ((), ())
    return Checkpoint(
        model=model.eval(),
        classes=(),
        mean=mean,
        std=std,
        image_size=(side, side),
        channels=channels,
        path=file,
    )


def _check_agreement(start: Start, settings: Mapping[str, Any]) -> None:
    name, checkpoint = start.model, start.checkpoint
    if settings.get("model", name) != name:
        raise ConfigError(
            f"--model {settings['model']}: the weights {start.source} are those of a {name}; "
            "leave --model out, or name other weights"
        )
    if settings.get("channels", checkpoint.channels) != checkpoint.channels:
        kind = {1: "grey images (1 channel)", 3: "colour images (3 channels)"}
        raise ConfigError(
            f"--channels {settings['channels']}: the weights {start.source} expect "
            f"{kind[checkpoint.channels]}; leave --channels out, images are brought to that"
        )
    size = settings.get("image_size")
    fixed = models.entry(name).fixed_size
    if size is not None and fixed and checkpoint.image_size != (size, size):
        height, width = checkpoint.image_size
        raise ConfigError(
            f"--image-size {size}: the weights of a {name} depend on the size of the images, and "
            f"{start.source} is for {height} x {width}; leave --image-size out"
        )


def check_unfreezing(config: TrainConfig) -> None:
    """Raise ConfigError for an end of the freezing that never comes."""
    if config.unfreeze_after is None:
        return
    if config.freeze is None:
        raise ConfigError("--unfreeze-after: nothing is frozen; say what, with --freeze")
    if config.unfreeze_after >= config.epochs:
        raise ConfigError(
            f"--unfreeze-after {config.unfreeze_after}: training ends after {config.epochs} "
            "epochs; give a smaller number, or leave it out to keep all frozen to the end"
        )


def image_settings(start: Start, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the channels that the weights expect, and their size if none is set."""
    own = {"image_size": start.checkpoint.image_size, "channels": start.checkpoint.channels}
    return {**own, **settings}


def build_from(
    start: Start, classes: Sequence[str], config: TrainConfig
) -> tuple[Module, dict[str, Any]]:
    """The model for these classes with the weights, and what was done, for `in_words`.

    The head is kept if the classes have the same names, in whatever order; else it is new.
    """
    old = start.checkpoint
    kept = sorted(classes) == sorted(old.classes)
    with init.skipped() if kept else nullcontext():
        model = models.create(**{**old.model.config, "num_classes": len(classes)})
    model.load_state_dict(_state(model, old, classes, kept))
    heads, sizes = models.heads(model), {n: p.numel() for n, p in model.named_parameters()}
    new = 0 if kept else sum(n for name, n in sizes.items() if _in_head(name, heads))
    facts = {
        "source": start.source,
        "loaded": sum(sizes.values()) - new,
        "new": new,
        "head": list(heads),
        "classes_before": len(old.classes) or None,
        "image_size": list(old.image_size),
        "mean": list(old.mean),
        "std": list(old.std),
    }
    if config.freeze is not None:
        facts["frozen"] = sum(sizes[name] for name in frozen_names(model, config.freeze))
        facts["unfreeze_after"] = config.unfreeze_after
    return model, facts


def _state(model: Module, old: Checkpoint, classes: Sequence[str], kept: bool) -> dict[str, Tensor]:
    """What the model is loaded with: its own head or, the rows in order, that of the weights."""
    state, heads = dict(old.model.state_dict()), models.heads(model)
    order = np.array([old.classes.index(name) for name in classes]) if kept else None
    for name, value in model.state_dict().items():
        if _in_head(name, heads):
            state[name] = value if order is None else Tensor(state[name].array[order])
    return state


def _in_head(name: str, heads: Sequence[str]) -> bool:
    return any(name.startswith(f"{head}.") for head in heads)


def in_words(facts: Mapping[str, Any], classes: int) -> list[str]:
    """What is loaded, new and frozen, and how images are prepared, in lines."""
    head = ", ".join(facts["head"])
    if facts["new"]:
        what = f"{facts['loaded']:,} loaded; {facts['new']:,} new: {head}, for {classes} classes"
        if facts["classes_before"]:
            what += f" instead of {facts['classes_before']}"
    else:
        what = f"all {facts['loaded']:,} loaded; the classes are the same, {head} is kept"
    mean, std = (" ".join(f"{x:.3f}" for x in facts[name]) for name in ("mean", "std"))
    normalised = f"as for these weights: mean {mean}, standard deviation {std}"
    lines = [
        f"weights  {facts['source']}: {what}",
        f"input    normalised {normalised if mean else 'as in training from scratch'}",
    ]
    if "frozen" in facts:
        until = facts["unfreeze_after"]
        end = "to the end" if until is None else f"until epoch {until} is over"
        learning = facts["loaded"] + facts["new"] - facts["frozen"]
        lines.append(f"frozen   {facts['frozen']:,} weights {end}; {learning:,} learn")
    return lines


def lasting(source: str) -> str:
    """A path that holds from any working directory; a tag stays a tag."""
    if tagged(source) is not None:
        return source
    return str(Path(source).expanduser().resolve())
