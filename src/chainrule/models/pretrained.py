"""A model in a folder, in the layout that timm and the Hugging Face hub use.

    config.json         architecture, classes, how images are prepared
    model.safetensors   the weights, by the names of the model's state_dict

    models.save_pretrained(net, "digits-net", classes="0123456789", mean=[0.13], std=[0.31])
    net = models.from_pretrained("digits-net")

config.json, as timm writes it (timm.models._hub.save_config_for_hf): "architecture",
"num_classes", "num_features", and under "pretrained_cfg" the images' "input_size" (C, H, W),
"mean", "std", "interpolation", and the name of the last layer, "classifier". What timm has no
name for, stands under "chainrule": all settings of the model, and the data set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, CheckpointError, ConfigError
from chainrule.models.registry import construction, entry, heads, names
from chainrule.models.timm_names import ARCHITECTURES
from chainrule.models.weights import Source, Weights, read, read_state, settings_in
from chainrule.nn.module import Module
from chainrule.saving import write_whole

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The first is written, the first that is there is read."""


def save_pretrained(
    model: Module | Source,
    folder: str | Path,
    *,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | tuple[int, int] | None = None,
    data: str | None = None,
    tag: str | None = None,
) -> Path:
    """Write a model, or that of a run, into a folder for `from_pretrained`, timm and the hub.

    classes: names of the scores; mean, std: one number per channel, pixels from 0 to 1;
    image_size: pixels, a side or (height, width); data: the data set's name; tag: a name for
    these weights. What is left out comes from the run, or from the weights the model began with.
    Each file is written whole or not at all. Returns the folder.
    Raises ConfigError (numbers of classes or channels disagree, a model that models.create did
    not make), CheckpointError (cannot be written).
    """
    from safetensors.numpy import save

    if not isinstance(model, Module):
        model = read(model).build()
    known: Weights = getattr(model, "pretrained", None) or Weights({}, "")
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    weights = Weights(
        state={name: np.asarray(t.array, order="C") for name, t in model.state_dict().items()},
        source=str(folder),
        model=construction(model, "save_pretrained"),
        classes=known.classes if classes is None else tuple(classes),
        mean=known.mean if mean is None else tuple(map(float, mean)),
        std=known.std if std is None else tuple(map(float, std)),
        image_size=known.image_size if image_size is None else image_size,
        data=known.data if data is None else data,
        tag=known.tag if tag is None else tag,
    )
    content = json.dumps(_config(weights, model), indent=2, ensure_ascii=False) + "\n"
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS[0], save(dict(weights.state), {"format": "pt"}))
        write_whole(folder / CONFIG, content.encode())
    except OSError as error:
        raise CheckpointError(
            f"save_pretrained: cannot write {folder}: {error.strerror or error}"
        ) from error
    return folder


def from_pretrained(folder: Source, num_classes: int | None = None) -> Module:
    """The model that a folder holds, written by `save_pretrained`, timm or the hub.

    num_classes: another number than the weights have: the last layer is then new.
    ``model.pretrained`` says what is known: classes, mean, std, image_size. The run folders and
    the tags that `models.create` takes for weights will do too.
    Raises CheckpointError (not there, damaged, an architecture that chainrule does not have,
    weights that do not fit it).
    """
    return read(folder).build(num_classes)


def is_pretrained(folder: Path) -> bool:
    """Whether a folder is in this layout."""
    return (folder / CONFIG).is_file()


def read_folder(folder: Path, source: str) -> Weights:
    """What a folder holds. Raises CheckpointError."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no dict")
        facts = _facts(config, str(path))
    except OSError as error:
        raise CheckpointError(f"from_pretrained: cannot read {path}: {error}") from error
    except ChainruleError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"from_pretrained: {path} is damaged: {error}") from None
    for name in WEIGHTS:
        if (folder / name).is_file():
            return Weights(read_state(folder / name), source, **facts)
    raise CheckpointError(f"from_pretrained: there is no {' or '.join(WEIGHTS)} in {folder}")


# -- config.json ---------------------------------------------------------------------------------


def _config(weights: Weights, model: Module) -> dict[str, Any]:
    settings = weights.model or {}
    channels, count = settings["in_channels"], settings["num_classes"]
    if weights.classes is not None and len(weights.classes) != count:
        raise ConfigError(
            f"save_pretrained: {len(weights.classes)} classes for a model of {count} scores"
        )
    for name, values in (("mean", weights.mean), ("std", weights.std)):
        if values is not None and len(values) != channels:
            raise ConfigError(
                f"save_pretrained: {name} has {len(values)} numbers, the images {channels} channels"
            )
    known = entry(settings["name"])
    size = weights.image_size or _pair(settings.get("image_size", known.image_size))
    classifier = heads(model)
    cfg: dict[str, Any] = {
        "tag": weights.tag or "",
        "custom_load": False,
        "input_size": [channels, *size],
        "fixed_input_size": known.fixed_size,
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": weights.mean,
        "std": weights.std,
        "num_classes": count,
        "label_names": weights.classes,
        "classifier": classifier[0] if len(classifier) == 1 else list(classifier),
    }
    data = None if weights.data is None else Path(weights.data).name  # no folders of this machine
    return {
        "architecture": settings["name"],
        "num_classes": count,
        **_features(model, classifier),
        "pretrained_cfg": {name: value for name, value in cfg.items() if value is not None},
        "chainrule": {"model": settings, "data": data},
    }


def _features(model: Module, classifier: Sequence[str]) -> dict[str, int]:
    """How many numbers the last layer sees, where it is one layer."""
    if len(classifier) != 1:
        return {}
    layer = model.get_submodule(classifier[0])
    count = getattr(layer, "in_features", getattr(layer, "in_channels", None))
    return {} if count is None else {"num_features": count}


def _facts(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The fields of `Weights` that a config.json gives."""
    cfg = config.get("pretrained_cfg") or {}
    size = cfg.get("input_size")
    classes = cfg.get("label_names", config.get("label_names"))
    own = config.get("chainrule") or {}
    return {
        "model": settings_in(own) if "model" in own else _model_of(config, size, path),
        "classes": None if classes is None else tuple(map(str, classes)),
        "mean": _numbers(cfg.get("mean")),
        "std": _numbers(cfg.get("std")),
        "image_size": None if size is None else _pair(size[1:]),
        "data": own.get("data"),
        "tag": cfg.get("tag"),
    }


def _model_of(config: Mapping[str, Any], size: Sequence[int] | None, path: str) -> dict[str, Any]:
    """The settings of a model, from a config.json that timm wrote."""
    name = config.get("architecture")
    if name is None:
        raise CheckpointError(
            f"from_pretrained: {path} names no \"architecture\", as timm's and chainrule's do"
        )  # fmt: skip
    known = ARCHITECTURES.get(name, {"name": name})
    if known["name"] not in names():
        raise CheckpointError(
            f"from_pretrained: {path} is for the architecture {name!r}, which chainrule does not "
            "have; models.list() shows what it has"
        )
    settings = {**known, **config.get("model_args", {})}
    if "in_chans" in settings:
        settings["in_channels"] = settings.pop("in_chans")
    elif size is not None:
        settings["in_channels"] = size[0]
    if "num_classes" in config:
        settings["num_classes"] = config["num_classes"]
    if size is not None and entry(known["name"]).fixed_size:
        settings["image_size"] = list(size[1:])
    return settings


def _pair(size: Any) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _numbers(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))
