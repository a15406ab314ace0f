"""The models by name, and how to build one again from what a checkpoint says.

A model is registered by the function that builds it. The function's arguments are the
model's settings: `register` keeps them, JSON-able, as ``model.config``, and
``create(**model.config)`` builds the same model.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.errors import ChainruleError, ConfigError
from chainrule.nn import Module, init


@dataclass(frozen=True)
class Entry:
    """A registered model.

    num_classes, in_channels, image_size: what it is built for unless told otherwise.
    fixed_size: its weights depend on the size of the images; otherwise any size will do,
    and image_size is the one it was designed for.
    heads: the layers, by name, that give the scores; empty: the last layer with weights.
    task: "classification", scores (N, num_classes), or "segmentation", scores for every pixel
    (N, num_classes, H, W).
    memorizes: it has no weights; it is trained by one call of its method memorize.
    """

    name: str
    build: Callable[..., Module]
    heads: tuple[str, ...]
    num_classes: int
    in_channels: int
    image_size: int
    fixed_size: bool
    options: tuple[str, ...]
    """What else can be chosen."""
    task: str = "classification"
    memorizes: bool = False

    @property
    def summary(self) -> str:
        """The first line of the builder's docstring."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]

    def parameters(self) -> int:
        """How many weights the model has as it is built by default.

        It is built and counted; the weights are reserved, and neither drawn nor touched.
        """
        with init.skipped():
            return sum(p.numel() for p in self.build().parameters())

    def as_dict(self) -> dict[str, Any]:
        """What there is to know, as JSON takes it; weights: the tags of those in the package."""
        from chainrule.models.weights import pretrained_tags

        return {
            "name": self.name,
            "task": self.task,
            "parameters": self.parameters(),
            "input": [self.in_channels, self.image_size, self.image_size],
            "num_classes": self.num_classes,
            "options": list(self.options),
            "heads": list(self.heads),
            "weights": pretrained_tags(self.name),
            "summary": self.summary,
        }


_entries: dict[str, Entry] = {}
_aliases: dict[str, str] = {}
_SETTINGS = ("num_classes", "in_channels", "image_size")


def register(
    *,
    image_size: int | None = None,
    head: str | Sequence[str] = (),
    task: str = "classification",
    memorizes: bool = False,
    aliases: Sequence[str] = (),
    options_of: Callable[..., Module] | None = None,
    fixed: Sequence[str] = (),
) -> Callable[..., Any]:
    """Register a function that builds a model, under its own name.

    It takes num_classes and in_channels, with defaults, and image_size if its weights
    depend on that; otherwise the size it was designed for is given here.
    head: the name of the layer that gives the scores ("fc", "classifier.6"), or several
    names; they are what changes when the model learns other classes. By default the last
    layer with weights. task, memorizes: see `Entry`. aliases: other names it is found by.
    options_of: the class that gets the function's ``**options``, where it takes such; fixed:
    its settings that are no option, since the function itself gives them.

    Settings are plain values, as a checkpoint keeps them. A model that was given a class or a
    function (``norm_layer=nn.GroupNorm``) has no config, and cannot be built from a checkpoint.
    """

    def decorate(build: Callable[..., Module]) -> Callable[..., Any]:
        name = build.__name__
        signature = inspect.signature(build)
        defaults = _defaults(signature)
        if not {"num_classes", "in_channels"} <= defaults.keys() or (
            image_size is None and "image_size" not in defaults
        ):
            raise ConfigError(
                f"register: {name} must take num_classes and in_channels with defaults, and "
                "image_size too unless register is told for which size it was designed"
            )
        more = {} if options_of is None else _defaults(inspect.signature(options_of))
        options = tuple(p for p in defaults | more if p not in (*_SETTINGS, *fixed))

        @functools.wraps(build)
        def configured(*args: Any, **kwargs: Any) -> Module:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = dict(bound.arguments)
            check_count(name, num_classes=given["num_classes"], in_channels=given["in_channels"])
            chosen = given.pop("options", {}) if options_of else {}
            _check_options(name, chosen, options)
            model = build(*bound.args, **bound.kwargs)
            settings = {**given, **chosen}
            if not any(callable(value) for value in settings.values()):
                model.config = {"name": name, **_plain(name, settings)}
            return model

        _entries[name] = Entry(
            name,
            configured,
            (head,) if isinstance(head, str) else tuple(head),
            defaults["num_classes"],
            defaults["in_channels"],
            defaults["image_size"] if image_size is None else image_size,
            "image_size" in defaults,
            options,
            task,
            memorizes,
        )
        _aliases.update(dict.fromkeys(aliases, name))
        return configured

    return decorate


def _check_options(model: str, given: Iterable[str], options: Sequence[str]) -> None:
    for name in given:
        if name not in options:
            raise ConfigError(
                f"model {model} has no option {name!r}; its options: "
                f"{', '.join((*_SETTINGS, *options))}"
            )


def _defaults(signature: inspect.Signature) -> dict[str, Any]:
    """The arguments that have a default."""
    return {p.name: p.default for p in signature.parameters.values() if p.default is not p.empty}


def create(
    name: str,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    *,
    weights: Any = None,
    **options: Any,
) -> Module:
    """Build a registered model, freshly initialised or with weights.

    num_classes: how many scores; in_channels: 1 grey, 3 colour; image_size: pixels, the side
    or (height, width); None: the model's own. A model that takes images of any size ignores
    image_size.
    weights: those inside the package by their tag ("cifar10"), a file (.safetensors, .pth), a
    run, or a folder of `save_pretrained`; see `chainrule.models.weights`. What is left out is
    then as the weights are; with another num_classes the last layer stays fresh.
    Raises ConfigError (unknown name or option, impossible value), CheckpointError (weights that
    are not there, or do not fit).
    """
    known = entry(name)
    _check_options(name, options, known.options)
    if weights is not None:
        from chainrule.models.weights import create_with

        asked = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
        return create_with(weights, known.name, asked, options)
    settings: dict[str, Any] = {
        "num_classes": known.num_classes if num_classes is None else num_classes,
        "in_channels": known.in_channels if in_channels is None else in_channels,
    }
    if known.fixed_size:
        settings["image_size"] = known.image_size if image_size is None else image_size
    return known.build(**settings, **options)


def entry(name: str) -> Entry:
    """What is known of a registered model. Raises ConfigError for an unknown name."""
    name = _aliases.get(name, name)
    if name in _entries:
        return _entries[name]
    near = difflib.get_close_matches(str(name).lower(), _entries, n=1, cutoff=0.5)
    if near:
        raise ConfigError(f"unknown model {name!r}; did you mean {near[0]}? models.list() has all")
    raise ConfigError(f"unknown model {name!r}; the models are {', '.join(names())}")


def construction(
    model: Module, caller: str, error: type[ChainruleError] = ConfigError
) -> dict[str, Any]:
    """The settings that build the model again; ``error`` of ``caller`` if it has none."""
    config = getattr(model, "config", None)
    if not isinstance(config, dict):
        raise error(
            f"{caller}: {type(model).__name__} does not say how to build it again; "
            "make it with models.create(name, ...), after models.register if it is your own"
        )
    return config


def heads(model: Module) -> tuple[str, ...]:
    """The names of the layers that give the scores: what other classes need anew.

    As registered; of any other model it is the last layer with weights.
    """
    name = getattr(model, "config", {}).get("name")
    if name in _entries and _entries[name].heads:
        there = dict(model.named_modules())
        return tuple(head for head in _entries[name].heads if head in there)
    layers = [path for path, m in model.named_modules() if m._parameters.get("weight") is not None]
    return tuple(layers[-1:])


def names(pattern: str = "*") -> list[str]:
    """The names of the registered models, or of those that fit a pattern: ``"vgg*_bn"``.

    Of another name that a model is found by, its own.
    """
    return sorted(fnmatch.filter(_entries, _aliases.get(pattern, pattern)), key=_by_number)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sorts resnet20 before resnet110."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def check_count(model: str, **counts: Any) -> None:
    """Raise ConfigError unless every count is a whole number of at least 1."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                f"{model}: {name} must be a whole number of at least 1, got {value!r}"
            )


def height_width(model: str, image_size: Any) -> tuple[int, int]:
    """A side, or (height, width), as two whole numbers."""
    sides = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(sides, tuple | list) or len(sides) != 2:
        raise ConfigError(
            f"{model}: image_size must be a side or (height, width), got {image_size!r}"
        )
    check_count(model, height=sides[0], width=sides[1])
    return sides[0], sides[1]


def _plain(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as JSON gives them back: tuples become lists."""
    try:
        return dict(json.loads(json.dumps(settings)))
    except TypeError as e:
        raise ConfigError(f"{name}: settings must be plain values for a checkpoint: {e}") from None
