"""Settings of a training run: recipes, a TOML file and flags resolve to one TrainConfig.

Precedence, weakest first: field defaults, the recipe for the data and the model, the file,
what the user passes. The resolved settings are written into the run folder and can be fed
back with ``--config``.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from chainrule import models
from chainrule.errors import ConfigError
from chainrule.models.knn import METRICS, VOTES


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run. Numbers without a unit are ratios or counts."""

    data: str  # name of a dataset, or path of a folder or zip
    model: str
    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float = 1e-3  # the highest learning rate of the schedule
    momentum: float = 0.9  # for sgd, momentum, nesterov
    nesterov: bool = True  # for sgd
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.1  # part of all steps over which the rate rises to lr
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0  # for cross_entropy
    grad_clip: float = 0.0  # largest joint norm of the gradients; 0: no clipping
    augment: str = "auto"
    val_fraction: float = 0.1  # of the training images, where there is no val/ folder
    image_size: int | None = None  # pixels, height = width; None: what data and model suggest
    channels: int | None = None  # 1 grey, 3 colour; None: as the images are
    weights: str | None = None  # what to begin with: a run, a file, a folder, a tag
    freeze: str | int | None = None  # "backbone", how many stages, or patterns of names
    unfreeze_after: int | None = None  # epochs; None: never
    layer_decay: float = 1.0  # the rate of a stage, relative to the stage after it
    head_lr_factor: float = 1.0  # the rate of the head, relative to lr
    k: int | None = None  # for knn: how many neighbours vote; None: as the model has it
    metric: str | None = None  # for knn: by which distance they are near
    votes: str | None = None  # for knn: what a neighbour's vote weighs
    seed: int = 0
    threads: int = 0  # 0: what set_num_threads said, else all this process may use
    strict: bool = False  # stop at the first unreadable image
    data_dir: str | None = None  # where the official files lie
    out: str | None = None  # the run folder

    def __post_init__(self) -> None:
        check(asdict(self), "TrainConfig")


# The update rules, and their highest rates where a recipe was not made for them. "momentum" and
# "nesterov" are sgd in the lectures' form.
RATES = {
    "sgd": 0.02,
    "momentum": 0.02,
    "nesterov": 0.02,
    "adagrad": 0.01,
    "rmsprop": 1e-3,
    "adadelta": 1.0,
    "adam": 1e-3,
    "adamw": 1e-3,
    "nadam": 1e-3,
    "radam": 1e-3,
    "adamax": 2e-3,
}
DESCENTS = ("sgd", "momentum", "nesterov")  # whose steps are as long as gradients are

CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": tuple(RATES),
    "schedule": (
        "cosine",
        "step",
        "constant",
        "linear",
        "exponential",
        "polynomial",
        "onecycle",
        "cosine-restarts",
        "plateau",
    ),
    "loss": ("cross_entropy", "multi_margin"),
    "augment": ("auto", "none", "crop", "crop+flip", "crop+cutout", "crop+flip+cutout"),
    "metric": METRICS,
    "votes": VOTES,
}

# Settings that are options of some models, by the same name; and those of a loop over batches,
# for which a model that memorises its images has no use.
OF_MODELS = ("k", "metric", "votes")
OF_LOOP = (
    "epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "weight_decay", "schedule",
    "warmup", "loss", "label_smoothing", "grad_clip", "augment", "weights", "freeze",
    "unfreeze_after", "layer_decay", "head_lr_factor",
)  # fmt: skip

# What one might ask for, and why there is none.
REFUSED = {
    "lbfgs": "it measures curvature by differences of gradients, which must be of one function, "
    "and each mini-batch is another; train small models on all images at once with optim.LBFGS",
}

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda n: n >= 1, "at least 1"),
    "batch_size": (lambda n: n >= 1, "at least 1"),
    "lr": (lambda x: 0 < x < math.inf, "a finite number above 0"),
    "momentum": (lambda x: 0 <= x < 1, "from 0 to below 1"),
    "weight_decay": (lambda x: 0 <= x < math.inf, "at least 0"),
    "warmup": (lambda x: 0 <= x < 1, "from 0 to below 1"),
    "label_smoothing": (lambda x: 0 <= x < 1, "from 0 to below 1"),
    "grad_clip": (lambda x: 0 <= x < math.inf, "at least 0"),
    "val_fraction": (lambda x: 0 < x < 1, "between 0 and 1"),
    "image_size": (lambda n: 1 <= n <= 1024, "from 1 to 1024 pixels"),
    "channels": (lambda n: n in (1, 3), "1 (grey) or 3 (colour)"),
    "unfreeze_after": (lambda n: n >= 1, "at least 1"),
    "layer_decay": (lambda x: 0 < x <= 1, "above 0, at most 1"),
    "head_lr_factor": (lambda x: 0 < x < math.inf, "a finite number above 0"),
    "k": (lambda n: n >= 1, "at least 1"),
    "seed": (lambda n: 0 <= n < 2**63, "from 0 to 2**63 - 1"),
    "threads": (lambda n: 0 <= n <= 1024, "from 0 (all) to 1024"),
}

TYPES: dict[str, Any] = typing.get_type_hints(TrainConfig)
NAMES: tuple[str, ...] = tuple(TYPES)

# Networks with batch norm stand high rates (He et al. 2016, arXiv:1512.03385, §4.2). Others leave
# the start late: on the digits at 64 pixels, SqueezeNet reached 72 % in four epochs with PLAIN
# and 47 % with three times its rate; AlexNet with the papers' SGD was at chance after two.
NORMALISED: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.1,
    "weight_decay": 5e-4,
    "epochs": 30,
    "batch_size": 128,
    "warmup": 0.2,
}
PLAIN = {"optimizer": "adam", "lr": 3e-4, "epochs": 30, "batch_size": 64}

# Starting points that train well without tuning; any setting given by the user wins. The
# model's name is a pattern; "*" stands for any data. Later rows refine earlier ones, and rows
# for one data set those for any.
RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    ("*", "lenet5"): {"optimizer": "adam", "lr": 2e-3, "epochs": 10, "batch_size": 64},
    ("*", "example_net"): {"optimizer": "adam", "lr": 1e-3, "epochs": 10, "batch_size": 64},
    ("*", "mlp"): {"optimizer": "adam", "lr": 1e-3, "epochs": 10, "batch_size": 64},
    ("*", "two_layer_net"): {"optimizer": "adam", "lr": 1e-3, "epochs": 10, "batch_size": 64},
    ("*", "softmax"): {"optimizer": "adam", "lr": 1e-3, "epochs": 10, "augment": "none"},
    ("*", "svm"): {
        "optimizer": "adam",
        "lr": 1e-3,
        "epochs": 10,
        "augment": "none",
        "loss": "multi_margin",  # its hinges are what makes it a support vector machine
        "weight_decay": 1e-3,
    },
    ("*", "knn"): {"k": 5, "metric": "l2", "votes": "uniform"},
    ("*", "*resnet*"): NORMALISED,
    ("*", "plain*"): NORMALISED,
    ("*", "resnext*"): NORMALISED,
    ("*", "densenet*"): NORMALISED,
    ("*", "googlenet"): NORMALISED | {"lr": 0.05},
    ("*", "mobilenet*"): NORMALISED | {"lr": 0.05, "weight_decay": 4e-5},
    ("*", "alexnet"): PLAIN,
    ("*", "zfnet"): PLAIN,
    ("*", "squeezenet*"): PLAIN,
    ("*", "vgg*"): PLAIN,
    ("*", "vgg*_bn"): NORMALISED | {"lr": 0.05},
    ("*", "all_cnn_*"): NORMALISED | {"lr": 0.05, "weight_decay": 1e-3},
    ("digits", "lenet5"): {
        "epochs": 40,
        "batch_size": 32,
        "image_size": 16,
        "lr": 4e-3,
        "label_smoothing": 0.1,
        "threads": 1,  # so little work that handing it out costs more than it saves
    },
    ("digits", "*resnet*"): {"epochs": 15, "batch_size": 32, "lr": 0.025, "image_size": 16},
    ("digits", "plain*"): {"epochs": 15, "batch_size": 32, "lr": 0.025, "image_size": 16},
    ("digits", "mlp"): {"epochs": 30, "batch_size": 32, "augment": "none", "threads": 1},
    ("digits", "two_layer_net"): {"epochs": 30, "batch_size": 32, "augment": "none", "threads": 1},
    ("digits", "softmax"): {"epochs": 50, "batch_size": 32, "lr": 1e-2, "threads": 1},
    ("digits", "svm"): {"epochs": 50, "batch_size": 32, "threads": 1},
}

# Of a recipe's rate and epochs, what weights that were trained before need: sgd's high rates
# would undo them. A head alone, before a frozen backbone, can do with more.
FINE_TUNING = {"sgd": (0.3, 0.5), "*": (1.0, 0.5)}
FINE_TUNING_HEAD = {"sgd": (1.0, 1.0), "*": (5.0, 1.0)}

# The warm-up of a one-cycle schedule is half of its idea (Smith & Topin 2018, arXiv:1708.07120).
ONE_CYCLE_RISE = 0.3

# The steps a small data set gets in each epoch, at least, unless the user sets batch_size.
STEPS_PER_EPOCH = 20


def recipe(data: str, model: str) -> dict[str, Any]:
    """What the table says about training ``model`` on the data set called ``data``."""
    found: dict[str, Any] = {}
    for wanted in dict.fromkeys(("*", data)):
        for (name, pattern), settings in RECIPES.items():
            if name == wanted and fnmatchcase(model, pattern):
                found |= settings
    return found


def resolve(
    settings: Mapping[str, Any],
    *,
    name: str,
    model: str,
    images: int,
    image_size: int | None,
    channels: int,
) -> TrainConfig:
    """Fill what ``settings`` leave open from the recipe and the loaded training images.

    name: of the data set; images: how many are trained on; image_size: their height and
    width, None where these differ.
    """
    known = recipe(name, model)
    rule = settings.get("optimizer", known.get("optimizer"))
    if rule != known.get("optimizer"):
        known |= {"optimizer": rule, "lr": RATES[rule], "weight_decay": 0.0}
    if settings.get("weights") is not None:
        known |= _fine_tuning(known, settings.get("freeze") == "backbone")
    if settings.get("schedule") == "onecycle":
        known["warmup"] = ONE_CYCLE_RISE
    if "batch_size" not in settings and "batch_size" in known:
        batch = min(known["batch_size"], max(4, images // STEPS_PER_EPOCH))
        if rule in DESCENTS:
            # The rate goes with the batch (Goyal et al. 2017, arXiv:1706.02677, §2.1).
            known["lr"] *= batch / known["batch_size"]
        known["batch_size"] = batch
    merged = {**known, **settings, "model": model}
    merged.update(image_size=image_size, channels=channels)
    if merged.get("augment", "auto") == "auto":
        # Mirrored photographs are photographs; mirrored digits and letters are not.
        merged["augment"] = "crop+flip" if channels == 3 else "crop"
    return TrainConfig(**merged)


def _fine_tuning(known: Mapping[str, Any], head_only: bool) -> dict[str, Any]:
    """What a recipe says of rate and epochs, for weights that were trained before."""
    table = FINE_TUNING_HEAD if head_only else FINE_TUNING
    descends = known.get("optimizer", TrainConfig.optimizer) in DESCENTS
    rate, part = table["sgd" if descends else "*"]
    return {
        "lr": rate * known.get("lr", TrainConfig.lr),
        "epochs": max(1, round(part * known.get("epochs", TrainConfig.epochs))),
    }


def check(settings: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for a setting with an unknown name, a wrong type or a bad value."""
    for name, value in settings.items():
        if name not in TYPES:
            near = difflib.get_close_matches(name.replace("-", "_"), NAMES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(NAMES)}"
            raise ConfigError(f"{where}: unknown setting {name!r}; {hint}")
        if not _has_type(value, TYPES[name]):
            raise ConfigError(f"{where}: {name} must be {_in_words(TYPES[name])}, got {value!r}")
        if isinstance(value, str) and not _is_unicode(value):
            raise ConfigError(f"{where}: {name} is not valid UTF-8: {value!r}; rename the folder")
        if name in CHOICES and value is not None and value not in CHOICES[name]:
            why = f": {REFUSED[value]}" if value in REFUSED else ""
            raise ConfigError(
                f"{where}: {name} must be one of {', '.join(CHOICES[name])}, got {value!r}{why}"
            )
        if name in RANGES and value is not None and not RANGES[name][0](value):
            raise ConfigError(f"{where}: {name} must be {RANGES[name][1]}, got {value!r}")


def memorizes(model: str) -> bool:
    """Whether a model keeps the images it is trained on, instead of learning in epochs."""
    return model in models.list() and models.entry(model).memorizes


def check_for_model(settings: Mapping[str, Any], model: str) -> None:
    """Raise ConfigError for a setting that has no meaning for the model."""
    options = models.entry(model).options
    for name in settings:
        flag = f"--{name.replace('_', '-')}"
        if name in OF_LOOP and memorizes(model):
            raise ConfigError(
                f"{flag}: {model} keeps the images as they are, and does not learn in epochs; "
                f"leave {flag} out"
            )
        if name in OF_MODELS and name not in options:
            raise ConfigError(f"{flag}: {model} has no such option; it goes with --model knn")


def _is_unicode(text: str) -> bool:
    """False for a path that the system gave in bytes of another encoding: TOML cannot hold it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _has_type(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, types.UnionType):
        return any(_has_type(value, t) for t in typing.get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _in_words(wanted: Any) -> str:
    if isinstance(wanted, types.UnionType):
        kinds = [kind for kind in typing.get_args(wanted) if kind is not types.NoneType]
        return " or ".join(map(_in_words, kinds))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words[wanted]


# -- files -------------------------------------------------------------------------------------


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file, checked. Raises ConfigError naming the file and the key."""
    path = Path(path)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"config: there is no file {path}") from None
    except OSError as error:
        raise ConfigError(f"config: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config: {path} is no UTF-8 text ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config: {path} is not valid TOML: {error}") from error
    check(settings, str(path))
    return settings


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """The settings that have a value and a meaning, as JSON and TOML can hold them."""
    without = OF_LOOP if memorizes(config.model) else ()
    settings = asdict(config).items()
    return {name: v for name, v in settings if v is not None and name not in without}


def from_dict(settings: Mapping[str, Any], where: str = "config") -> TrainConfig:
    """The inverse of `to_dict`. Raises ConfigError where a setting is unknown or missing."""
    check(settings, where)
    for field in fields(TrainConfig)[:2]:
        if field.name not in settings:
            raise ConfigError(f"{where}: the setting {field.name!r} is missing")
    return TrainConfig(**settings)


def to_toml(config: TrainConfig) -> str:
    """The settings as TOML, one line each."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in to_dict(config).items())


def _toml(value: Any) -> str:
    # Texts, booleans and finite numbers are written alike in JSON and TOML; but TOML wants
    # DEL escaped, and no part of the exponent form differs.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
