"""Weights from wherever they are, into a model.

    net = models.create("resnet20", weights="cifar10")        # from the package
    load_weights(net, "runs/mine")                            # a run, its best epoch
    load_weights(net, "resnet20.pth", new_head=True)          # but for the last layer

A source is a tag of weights inside the package, a .safetensors file, one of PyTorch's (.pth, .pt,
.bin), a folder in timm's and the Hugging Face hub's layout, or the folder of a run. A tag goes
before a file of the same name; ``./cifar10`` is the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import saving
from chainrule.errors import ChainruleError, CheckpointError, ConfigError
from chainrule.models.registry import create, heads
from chainrule.models.timm_names import by_own_names
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, as_array

Source = str | Path

BEST = "best.safetensors"
LAST = "last.safetensors"
FACTS = "chainrule"
"""The entry of a checkpoint's metadata that says which model it is of, and more."""
OPTIMIZER = "optimizer/"
"""Prefix of a checkpoint's tensors that are no weights."""

PACKAGE = Path(__file__).parent / "trained"
"""Weights inside the package: a folder MODEL.TAG each, in the layout of `models.pretrained`."""

_STATE_KEYS = ("state_dict", "model_state_dict", "model", "net", "weights")
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel's, torch.compile's


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and what is known of the model they are of.

    model: the settings that `models.create` takes; None of a file that says nothing of it.
    classes: the names of the scores. mean, std: per channel, by which images were normalised, in
    units where white is 1. image_size: (height, width) in pixels. data: the name of the data set.
    """

    state: Mapping[str, Any]
    source: str
    model: dict[str, Any] | None = None
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    image_size: tuple[int, int] | None = None
    data: str | None = None
    tag: str | None = None

    def __repr__(self) -> str:
        return f"Weights({self.source!r}, {len(self.state)} tensors, model={self.model})"

    def build(self, num_classes: int | None = None) -> Module:
        """The model with these weights; for another number of classes its head is new.

        Raises CheckpointError if nothing is known of the model, or the weights do not fit it.
        """
        if self.model is None:
            raise CheckpointError(
                f"weights: {self.source} does not say which model it is of; "
                f'models.create(NAME, weights="{self.source}") does'
            )
        if num_classes is None or num_classes == self.model.get("num_classes"):
            with init.skipped():  # every weight is loaded
                model = self._built(self.model)
            return self._into(model, new_head=False)
        return self._into(self._built({**self.model, "num_classes": num_classes}), new_head=True)

    def _built(self, settings: Mapping[str, Any]) -> Module:
        try:
            return create(**settings)
        except (TypeError, ValueError) as error:  # a file may say anything
            raise CheckpointError(
                f"weights: the model that {self.source} describes cannot be built: {error}"
            ) from None

    def _into(self, model: Module, new_head: bool) -> Module:
        load_weights(model, self, new_head=new_head)
        model.pretrained = replace(self, state={}, classes=None) if new_head else self._known
        return model

    @property
    def _known(self) -> Weights:
        """All but the tensors: what a model remembers of its weights."""
        return replace(self, state={})


@dataclass(frozen=True)
class Loaded:
    """What `load_weights` did. loaded, fresh: names of tensors, taken and left as they were."""

    weights: Weights = field(repr=False)
    loaded: tuple[str, ...]
    fresh: tuple[str, ...] = ()


def load_weights(model: Module, source: Source | Weights, *, new_head: bool = False) -> Loaded:
    """Load the weights of ``source`` into ``model``, by name.

    new_head: the layers that give the scores (`models.heads`) are left as they are, for other
    classes. The prefix that DataParallel gives all names is taken off; of a whole checkpoint the
    weights are taken ("state_dict", "model", ...); batch norms' counts may be missing; those of a
    part that the model is built without (``googlenet(aux_logits=False)``) are left out. timm's
    names are understood where it has others (VGG, MobileNetV2).
    Raises CheckpointError: not there, broken, NaN or infinity among the weights, or one list of
    all names that are missing, unexpected or of another shape. The model is then as it was.
    """
    found = read(source, getattr(model, "config", {}).get("name"))
    own = model.state_dict()
    state = {
        name: value
        for name, value in _unwrapped(found.state, own).items()
        if name in own or not _is_of_absent_part(model, name)
    }
    head = tuple(f"{name}." for name in heads(model)) if new_head else ()
    fresh = tuple(name for name in own if head and name.startswith(head))
    if head:
        state = {name: value for name, value in state.items() if not name.startswith(head)}
        state |= {name: own[name] for name in fresh}
    taken = {k: state[k] for k in (*own, *state) if k in state and k not in fresh}
    _refuse_nonfinite(model, taken, found.source)
    try:
        model.load_state_dict(state)
    except ChainruleError as error:
        name = getattr(model, "config", {}).get("name", type(model).__name__)
        of = "" if found.model is None else f", of a {found.model['name']},"
        lines = [f"\n{line}" for line in str(error).splitlines()[1:]] or [f": {error}"]
        raise CheckpointError(
            f"load_weights: the weights in {found.source}{of} do not fit {name}" + "".join(lines)
            + _advice(model, state, own, new_head)
        ) from None  # fmt: skip
    loaded = tuple(name for name in own if name in state and name not in fresh)
    return Loaded(found, loaded, fresh)


def _refuse_nonfinite(model: Module, state: Mapping[str, Any], source: str) -> None:
    """Raise CheckpointError if a weight is NaN or infinite.

    A buffer may be as infinite as the model's own: a mask of -inf, say.
    """
    masks = {name: b.array for name, b in model.named_buffers() if not _is_finite(b.array)}
    spoilt = []
    for name, value in state.items():
        array = as_array(value)
        if _is_finite(array) or (name in masks and np.array_equal(array, masks[name])):
            continue
        nan, inf = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        what = " and ".join(f"{n:,} {word}" for n, word in ((nan, "NaN"), (inf, "infinite")) if n)
        spoilt.append(f"{name} ({what} of {array.size:,})")
    if spoilt:
        more = f" and {len(spoilt) - 3} more tensors" if len(spoilt) > 3 else ""
        raise CheckpointError(
            f"load_weights: the weights in {source} hold numbers that are not finite: "
            f"{', '.join(spoilt[:3])}{more}; if you want them all the same, "
            "model.load_state_dict(chainrule.load(...)) takes them as they are"
        )


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _is_of_absent_part(model: Module, name: str) -> bool:
    """Whether a name lies below a module that is None."""
    owner: Any = model
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part, model)
        if owner is None or owner is model:
            return owner is None
    return False


def _advice(model: Module, state: Mapping[str, Any], own: Mapping[str, Any], new: bool) -> str:
    """What to do if the head alone is of other classes."""
    shared = [name for name in own if name in state]
    wrong = [name for name in shared if np.shape(state[name]) != np.shape(own[name])]
    absent = [n for n in own if n not in state and not n.endswith("num_batches_tracked")]
    head = tuple(f"{name}." for name in heads(model))
    others = len(shared) < len(state) or absent
    if new or others or not wrong or not all(name.startswith(head) for name in wrong):
        return ""
    return "\n  for other classes, load all but the last layer: new_head=True"


def _unwrapped(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors by the names that the model has for them, and as it shapes them."""
    names = {name: name for name in state}
    for prefix in _WRAPPERS * 2:
        if names and all(n.startswith(prefix) and n not in own for n in names.values()):
            names = {old: name.removeprefix(prefix) for old, name in names.items()}
    return by_own_names({names[name]: value for name, value in state.items()}, own)


# -- reading -----------------------------------------------------------------------------------


def read(source: Source | Weights, model: str | None = None) -> Weights:
    """The weights in ``source``, and what it says of them. model: the name of whose, for tags.

    Raises CheckpointError (not there, broken, no weights), ConfigError (a tag of other models).
    """
    if isinstance(source, Weights):
        return source
    from chainrule.models import pretrained

    folder = tagged(source, model)
    path = Path(source).expanduser() if folder is None else folder
    if pretrained.is_pretrained(path):
        return pretrained.read_folder(path, str(source))
    if path.is_file():
        return _read_file(path, str(source))
    for name in (BEST, LAST):
        if (path / name).is_file():
            return _read_file(path / name, str(source))
    if path.is_dir():
        raise CheckpointError(
            f"weights: the folder {source} holds neither config.json nor {BEST}; name a run, a "
            "folder that save_pretrained wrote, or a file of weights"
        )
    raise CheckpointError(
        f"weights: {source} is no file, no folder, and none of the weights in the package "
        f"({', '.join(pretrained_tags()) or 'there are none'})"
    )


def read_state(path: Path) -> dict[str, Any]:
    """The tensors by name in a file, whatever they are wrapped in."""
    try:
        held = saving.load(path)
    except OSError as error:
        raise CheckpointError(f"weights: cannot read {path}: {error.strerror or error}") from error
    inside = held
    for _ in range(2):  # {"state_dict": {"model": ...}} has been seen
        if not isinstance(inside, Mapping) or _is_state(inside):
            break
        inside = next((inside[k] for k in _STATE_KEYS if isinstance(inside.get(k), Mapping)), None)
    if not isinstance(inside, Mapping) or not _is_state(inside):
        named = isinstance(held, Mapping)
        what = f"dict of {_listed(held)}" if named else f"value of type {type(held).__name__}"
        raise CheckpointError(
            f"weights: {path} holds no weights by name, but a {what}; "
            "pick them yourself: model.load_state_dict(chainrule.load(path)[...])"
        )
    return dict(inside)


def _listed(names: Mapping[Any, Any], most: int = 8) -> str:
    """The first of the keys, in one line."""
    shown = ", ".join(map(str, islice(names, most)))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _is_state(held: Mapping[Any, Any]) -> bool:
    names, values = held.keys(), held.values()
    return all(isinstance(name, str) for name in names) and all(
        isinstance(value, Tensor | np.ndarray) for value in values
    )


def _read_file(path: Path, source: str) -> Weights:
    facts = facts_of(path)
    state = read_state(path)
    if facts is None:
        return Weights(state, source)
    try:
        return Weights(
            {name: value for name, value in state.items() if not name.startswith(OPTIMIZER)},
            source,
            settings_in(facts),
            tuple(facts["classes"]),
            tuple(facts["mean"]),
            tuple(facts["std"]),
            tuple(facts["image_size"]),
            facts.get("config", {}).get("data"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CheckpointError(
            f"weights: the description in {path} is damaged or from another version of chainrule"
        ) from None


def settings_in(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of its model, at least its name: the arguments of `create`."""
    settings = dict(facts["model"])
    return {"name": settings["name"], **settings}


def facts_of(path: Path) -> dict[str, Any] | None:
    """What a checkpoint of chainrule's says of itself; None of any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as opened:
            facts = (opened.metadata() or {}).get(FACTS)
        return None if facts is None else dict(json.loads(facts))
    except (SafetensorError, OSError, ValueError, TypeError):
        return None  # no safetensors: what it is, `read_state` finds out


# -- inside the package --------------------------------------------------------------------------


def pretrained_tags(model: str | None = None) -> list[str]:
    """The weights inside the package: the tags that a model has, or all as "MODEL.TAG"."""
    found = sorted(path.parent.name for path in PACKAGE.glob("*.*/model.safetensors"))
    if model is None:
        return found
    return [name.partition(".")[2] for name in found if name.partition(".")[0] == model]


def tagged(source: Source, model: str | None = None) -> Path | None:
    """The folder inside the package that a tag ("cifar10", "resnet20.cifar10") stands for, if any.

    Raises ConfigError if only other models have the tag, or several and none is named.
    """
    if not isinstance(source, str):
        return None
    fitting = [name for name in pretrained_tags() if source in (name, name.partition(".")[2])]
    if not fitting:
        return None
    if model is not None:
        own = [name for name in fitting if name.partition(".")[0] == model]
        if not own:
            have = ", ".join(pretrained_tags(model)) or "none"
            raise ConfigError(
                f"weights {source!r} are not {model}'s, but {' and '.join(fitting)}; "
                f"in the package, {model} has {have}"
            )
        fitting = own
    if len(fitting) > 1:
        raise ConfigError(f"weights {source!r}: several models have them; {' or '.join(fitting)}?")
    return PACKAGE / fitting[0]


# -- building ------------------------------------------------------------------------------------


def create_with(
    source: Source | Weights, name: str, asked: Mapping[str, Any], options: Mapping[str, Any]
) -> Module:
    """`models.create` with weights. asked: num_classes, in_channels, image_size, or None."""
    found = read(source, name)
    known = dict(found.model or {})
    if known and known.pop("name") != name:
        raise ConfigError(f"the weights {source} are those of a {found.model['name']}, no {name}")  # type: ignore[index]
    given = {key: value for key, value in asked.items() if value is not None}
    with init.skipped():
        classes = known.get("num_classes") or _classes_of(found, create(name, **given, **options))
    new_head = given.get("num_classes", classes) != classes
    with nullcontext() if new_head else init.skipped():
        model = create(name, **{**known, "num_classes": classes, **given, **options})
    return found._into(model, new_head)


def _classes_of(found: Weights, model: Module) -> int:
    """The number of scores that weights give, by their last layer; else the model's own."""
    state = _unwrapped(found.state, model.state_dict())
    for head in heads(model)[-1:]:
        if f"{head}.weight" in state:
            return int(state[f"{head}.weight"].shape[0])
    return int(model.config["num_classes"])
