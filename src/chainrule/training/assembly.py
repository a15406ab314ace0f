"""From settings to parts: model, loss, optimizer, what is done to images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import chainrule.nn.functional as F
from chainrule import data as datasets
from chainrule import models, optim
from chainrule.data.transforms import Transform
from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.training.config import OF_MODELS, TrainConfig
from chainrule.training.loop import Loss
from chainrule.training.stages import frozen_names, parameter_groups

# By the name that a run's settings have: the rule, and which of the settings it takes beside
# lr and weight_decay.
RULES: dict[str, tuple[Callable[..., optim.Optimizer], tuple[str, ...]]] = {
    "sgd": (optim.SGD, ("momentum", "nesterov")),
    "momentum": (optim.Momentum, ("momentum",)),
    "nesterov": (optim.Nesterov, ("momentum",)),
    "adagrad": (optim.Adagrad, ()),
    "rmsprop": (optim.RMSprop, ()),
    "adadelta": (optim.Adadelta, ()),
    "adam": (optim.Adam, ()),
    "adamw": (optim.AdamW, ()),
    "nadam": (optim.NAdam, ()),
    "radam": (optim.RAdam, ()),
    "adamax": (optim.Adamax, ()),
}


def check_model(name: str) -> None:
    """Raise ConfigError unless there is a model of this name, and it classifies images."""
    if models.entry(name).task != "classification":
        raise ConfigError(
            f"train: {name} scores every pixel, and here one label is learnt for an image; "
            "choose a classifier, or train it from Python"
        )


def build_model(config: TrainConfig, classes: int, image_size: tuple[int, int]) -> Module:
    """The model that the settings name, freshly initialised."""
    height, width = image_size
    size = height if height == width else image_size
    options = {name: getattr(config, name) for name in OF_MODELS}
    given = {name: value for name, value in options.items() if value is not None}
    return models.create(config.model, classes, config.channels, size, **given)


def build_loss(config: TrainConfig, training: bool) -> Loss:
    """Mean loss of (scores, labels). Label smoothing is for training: it regularises."""
    if config.loss == "multi_margin":
        return F.multiclass_svm_loss
    if not training:
        return F.cross_entropy
    return partial(F.cross_entropy, label_smoothing=config.label_smoothing)


def parameters(config: TrainConfig, model: Module) -> Any:
    """What the optimizer is given: all that will learn, in groups where rates differ."""
    without = () if config.freeze is None else frozen_names(model, config.freeze)
    if config.unfreeze_after is not None:  # what is frozen will learn too
        without = ()
    if config.layer_decay == 1 == config.head_lr_factor:
        return [p for name, p in model.named_parameters() if name not in without]
    return parameter_groups(
        model,
        config.lr,
        layer_decay=config.layer_decay,
        head_lr_factor=config.head_lr_factor,
        without=without,
    )


def build_optimizer(config: TrainConfig, model: Module) -> optim.Optimizer:
    """The update rule over the parameters of the model that will learn."""
    rule, names = RULES[config.optimizer]
    settings = {name: getattr(config, name) for name in ("lr", "weight_decay", *names)}
    if "nesterov" in settings:
        settings["nesterov"] = config.nesterov and config.momentum > 0
    return rule(parameters(config, model), **settings)


def build_transform(
    config: TrainConfig,
    image_size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    training: bool,
) -> Transform:
    """From uint8 images to the model's input; in training with random changes before."""
    normalize = datasets.Normalize(mean, std)
    if not training or config.augment == "none":
        return normalize
    # 4 pixels for the 32 of CIFAR (He et al. 2016, §4.2), in proportion for other sizes
    steps: list[Transform] = [datasets.RandomCrop(padding=max(1, max(image_size) // 8))]
    if "flip" in config.augment:
        steps.append(datasets.RandomHorizontalFlip())
    if "cutout" in config.augment:  # half of the side (DeVries & Taylor 2017, §4.2)
        steps.append(datasets.Cutout(max(image_size) // 2))
    return datasets.Compose([*steps, normalize])
