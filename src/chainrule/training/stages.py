"""The stages of a model, from the image to the scores: which of them rest, how fast others learn.

A network that was trained before is changed least where it is most general. Its first layers
found edges and colours, of use for any photograph; its last ones found the classes it was
shown (Yosinski, Clune, Bengio & Lipson 2014, arXiv:1411.1792). So fine-tuning may freeze the
first stages, or let each stage learn at a lower rate than the one after it
(Howard & Ruder 2018, arXiv:1801.06146, §3.2; Clark et al. 2020, arXiv:2003.10555).
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Sequence
from typing import Any

from chainrule import models
from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.tensor import Tensor
from chainrule.training.loop import Callback, Trainer

BACKBONE = "backbone"  # everything but the head


def stages(model: Module) -> list[tuple[str, ...]]:
    """The names of the layers of each stage, from the image on; the last stage is the head.

        resnet18   (conv1, bn1) (layer1) (layer2) (layer3) (layer4) (fc)

    A stage is a part of the model with weights, in the order they were made. A normalisation
    belongs to the part before it. A container that is all of the model but the head
    (``features``), or that holds the head (``classifier``), is no stage; its parts are.
    """
    heads = models.heads(model)
    found: list[tuple[str, ...]] = []
    for name, part in _parts(model, heads):
        if found and all(p.ndim <= 1 for p in part.parameters()):
            found[-1] += (name,)
        else:
            found.append((name,))
    return [*found, heads]


def _parts(model: Module, heads: Sequence[str]) -> list[tuple[str, Module]]:
    """What the model without its head is made of, by name."""
    children = _children(model)
    backbone = [child for child in children if not _within(heads, child[0])]
    while len(backbone) == 1 and (inner := _children(backbone[0][1], f"{backbone[0][0]}.")):
        children = [c for child in children for c in (inner if child is backbone[0] else [child])]
        backbone = inner
    return [part for child in children for part in _without_head(child, heads)]


def _without_head(child: tuple[str, Module], heads: Sequence[str]) -> list[tuple[str, Module]]:
    name, module = child
    if name in heads:
        return []
    if not _within(heads, name):
        return [child]
    return [part for c in _children(module, f"{name}.") for part in _without_head(c, heads)]


def _children(module: Module, prefix: str = "") -> list[tuple[str, Module]]:
    """The parts of a module that have weights."""
    parts = ((prefix + name, part) for name, part in module.named_children())
    return [(name, part) for name, part in parts if next(part.parameters(), None) is not None]


def _within(names: Sequence[str], layer: str) -> bool:
    """Whether one of the names is the layer or lies in it."""
    return any(name == layer or name.startswith(f"{layer}.") for name in names)


def _numbers(model: Module) -> dict[str, int]:
    """The stage of each parameter; one that lies in no layer belongs to the first."""
    number = {layer: i for i, stage in enumerate(stages(model)) for layer in stage}
    return {
        name: max((number[layer] for layer in _ancestry(name) if layer in number), default=0)
        for name, _ in model.named_parameters()
    }


def _ancestry(name: str) -> list[str]:
    """ "layer1.0.conv1.weight": layer1, layer1.0, layer1.0.conv1, layer1.0.conv1.weight."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


# -- what rests -------------------------------------------------------------------------------


def frozen_names(model: Module, freeze: str | int) -> list[str]:
    """The parameters that ``freeze`` names, in the model's order.

    freeze: "backbone", all but the head; a number N, the first N stages; or patterns with
    commas between, for names of layers or parameters: "conv1,layer1*,*.bn2.bias".
    Raises ConfigError where that is nothing, or everything.
    """
    number, text = _numbers(model), str(freeze).strip()
    *backbone, _ = stages(model)
    last = len(backbone)
    if not last:
        raise ConfigError(f"freeze: {text}: all weights of this model are in its head")
    if text == BACKBONE:
        found = [name for name, stage in number.items() if stage < last]
    elif text.lstrip("-").isdigit():
        if not 1 <= int(text) <= last:
            raise ConfigError(
                f"freeze: {text} stages cannot be frozen; before the head there are {last}: "
                f"{_listed(backbone)}"
            )
        found = [name for name, stage in number.items() if stage < int(text)]
    else:
        found = _matching(model, [pattern.strip() for pattern in text.split(",")])
    if len(found) == len(number):
        raise ConfigError(
            f"freeze: {text} is everything, nothing is left to learn; the stages are "
            f"{_listed(stages(model))}"
        )
    return found


def _matching(model: Module, patterns: Sequence[str]) -> list[str]:
    ancestry = {name: _ancestry(name) for name, _ in model.named_parameters()}
    found: set[str] = set()
    for pattern in patterns:
        if pattern == BACKBONE:
            raise ConfigError(f"freeze: {BACKBONE} stands alone; {', '.join(patterns)} names more")
        names = {n for n, layers in ancestry.items() if fnmatch.filter(layers, pattern)}
        if not names:
            layers = list(dict.fromkeys(layer for a in ancestry.values() for layer in a))
            near = difflib.get_close_matches(pattern, [*layers, BACKBONE], 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"freeze: no layer is called {pattern!r}; {hint}give {BACKBONE}, a number of "
                f"stages, or names of layers; the stages are {_listed(stages(model))}"
            )
        found |= names
    return [name for name in ancestry if name in found]


def _listed(parts: Sequence[tuple[str, ...]]) -> str:
    return ", ".join("+".join(stage) for stage in parts)


class Frozen(Callback):
    """Parameters that are not learnt, until so many epochs are over (None: to the end).

    A module all of whose parameters are frozen is in evaluation mode too: batch norms keep
    and use their running statistics, dropout lets all pass. What is frozen is then the same
    function of the image throughout.
    names: of parameters, as `frozen_names` gives them. Raises ConfigError (there is no such).
    """

    def __init__(self, model: Module, names: Sequence[str], epochs: int | None = None) -> None:
        own = dict(model.named_parameters())
        for name in names:
            if name not in own:
                raise ConfigError(f"Frozen: {type(model).__name__} has no parameter {name!r}")
        self.parameters: list[Tensor] = [own[name] for name in names]
        self.epochs = epochs
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        self.modules = _all_frozen(model)

    def on_start(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """A run that goes on finds what was frozen when it stopped."""
        trainer.resting = self.modules
        self._thaw(trainer)

    def on_epoch(self, trainer: Trainer, metrics: Any) -> None:
        """Look whether it is time."""
        self._thaw(trainer)

    def _thaw(self, trainer: Trainer) -> None:
        if self.epochs is not None and trainer.epoch >= self.epochs:
            for parameter in self.parameters:
                parameter.requires_grad_(True)
            trainer.resting = []


def _all_frozen(module: Module) -> list[Module]:
    """The largest parts that have parameters, all of them frozen."""
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        return [module]
    return [part for child in module.children() for part in _all_frozen(child)]


# -- how fast the rest learns -----------------------------------------------------------------


def parameter_groups(
    model: Module,
    lr: float,
    *,
    layer_decay: float = 1.0,
    head_lr_factor: float = 1.0,
    without: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Groups for an optimizer, a stage each, from the head to the image.

    The rate of the head is lr·head_lr_factor, that of the stage k before it lr·layer_decayᵏ.
    without: names of parameters that are left out.
    """
    number, parts = _numbers(model), stages(model)
    last = len(parts) - 1
    own = dict(model.named_parameters())
    groups: list[dict[str, Any]] = []
    for stage in range(last, -1, -1):
        names = [n for n in own if number[n] == stage and n not in without]
        factor = head_lr_factor if stage == last else layer_decay ** (last - stage)
        if names:
            params = [own[n] for n in names]
            groups.append({"params": params, "lr": lr * factor, "stage": "+".join(parts[stage])})
    return groups
