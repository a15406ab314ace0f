"""What every model of the registry must satisfy; a new one is tested by being registered.

Models of more than a few million weights are started quickly (a pattern of random numbers
instead of as many draws) and see small images. Of those that are large and made of the same kinds
of layers, only deeper or wider, the smallest does all the work, and the others are run once.
"""

import inspect
import json
import math
import re
from functools import cache

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn, optim
from chainrule.errors import ChainruleError, ConfigError

LARGE = 3_000_000  # weights
NAMES = models.list()
PATTERN = np.random.default_rng(0).standard_normal(2**16 + 1).astype(np.float32)


def build_empty(name, **settings):
    with nn.init.skipped():
        return models.create(name, **settings)


@cache
def facts(name):
    """The number of weights, and what a model is made of: its file, and the kinds of its layers."""
    model = build_empty(name)
    layers = {(type(m).__name__, getattr(m, "groups", 1) > 1) for m in model.modules()}
    number = sum(p.numel() for p in model.parameters())
    return number, (models.entry(name).build.__module__, frozenset(layers))


def weights(name):
    return facts(name)[0]


def is_the_smallest_of_its_kind(name):
    of_its_kind = [n for n in NAMES if facts(n)[1] == facts(name)[1]]
    return name == min(of_its_kind, key=weights)


AT_WORK = [n for n in NAMES if weights(n) < LARGE or is_the_smallest_of_its_kind(n)]
every_model = pytest.mark.parametrize("name", NAMES)
every_model_at_work = pytest.mark.parametrize("name", AT_WORK)
LEARNERS = [n for n in NAMES if not models.entry(n).memorizes]  # by gradients
every_learner_at_work = pytest.mark.parametrize("name", [n for n in AT_WORK if n in LEARNERS])


def side(name):
    """Of images that are large enough, and no larger than they must."""
    entry = models.entry(name)
    return entry.image_size if entry.fixed_size else min(entry.image_size, 64)


def start(model):
    """Give an uninitialised model weights of the usual sizes, quickly."""
    for name, p in model.named_parameters():
        if p.ndim > 1:
            values = PATTERN * math.sqrt(2 / math.prod(p.shape[1:]))
            flat = p.array.reshape(-1)
            assert np.shares_memory(flat, p.array)
            for i in range(0, flat.size, values.size):
                flat[i : i + values.size] = values[: flat.size - i]
        else:
            p.array[...] = 0 if name.endswith("bias") else 1
    return model


def build(name, **settings):
    if weights(name) < LARGE:
        cr.manual_seed(0)
        return models.create(name, **settings)
    with nn.init.skipped():
        model = models.create(name, **settings)
    return start(model)


def images(n, channels, height, width=None):
    values = np.random.default_rng(1).standard_normal((n, channels, height, width or height))
    return cr.tensor(values.astype(np.float32))


def outputs(result):
    """Auxiliary classifiers give scores, too."""
    return [result] if isinstance(result, cr.Tensor) else [y for y in result if y is not None]


def scores_shape(name, n, classes, height, width):
    maps = models.entry(name).task == "segmentation"
    return (n, classes, height, width) if maps else (n, classes)


def loss_of(name, model, x):
    total = 0.0
    for scores in outputs(model(x)):
        if scores.ndim == 4:
            labels = cr.arange(math.prod(x.shape[2:])).reshape(1, *x.shape[2:]) % scores.shape[1]
            labels = labels.expand(len(x), *x.shape[2:])
        else:
            labels = cr.arange(len(x)) % scores.shape[1]
        total = total + F.cross_entropy(scores, labels)
    return total


def without_dropout(model):
    for module in model.modules():
        if "Dropout" in type(module).__name__:
            module.p = 0.0
    return model


@every_model
def test_it_is_described(name):
    entry = models.entry(name)
    facts = json.loads(json.dumps(entry.as_dict()))
    assert facts["name"] == name
    assert facts["parameters"] == sum(p.numel() for p in build_empty(name).parameters())
    assert facts["input"] == [entry.in_channels, entry.image_size, entry.image_size]
    assert facts["task"] in ("classification", "segmentation")
    assert facts["summary"].endswith(".") and "\n" not in facts["summary"]
    assert getattr(models, name) is entry.build


@every_model
def test_each_of_its_options_can_be_chosen(name):
    entry = models.entry(name)
    model = build_empty(name)
    defaults = inspect.signature(type(model)).parameters | inspect.signature(entry.build).parameters
    for option in entry.options:
        again = build_empty(name, **{option: defaults[option].default})
        assert repr(again) == repr(model)
    with pytest.raises(ConfigError, match=f"model {name} has no option 'nonsense'; its options: n"):
        models.create(name, nonsense=1)


@every_model_at_work
def test_channels_classes_and_sizes(name):
    channels = 4 - models.entry(name).in_channels  # grey for colour, colour for grey
    height, width = side(name), side(name) + 5
    model = build(name, num_classes=7, in_channels=channels, image_size=(height, width)).eval()
    with cr.no_grad():
        scores = model(images(2, channels, height, width))
    assert scores.shape == scores_shape(name, 2, 7, height, width)
    assert np.isfinite(scores.array).all()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in AT_WORK])
def test_deeper_and_wider_ones_fit_together(name):
    channels, size = models.entry(name).in_channels, side(name)
    with cr.no_grad(), np.errstate(all="ignore"):  # of weights that are whatever lay there
        model = build_empty(name, num_classes=7).eval()
        scores = model(images(1, channels, size))
    assert (model.config["name"], model.config["num_classes"]) == (name, 7)
    assert scores.shape == scores_shape(name, 1, 7, size, size)


@every_learner_at_work
def test_a_step_down_the_gradient_lowers_the_loss_as_much_as_it_says(name):
    entry = models.entry(name)
    model = without_dropout(build(name)).train()
    x = images(4, entry.in_channels, side(name))
    if weights(name) < LARGE:  # plain110's gradients are so large that float32 is too coarse
        model, x = model.double(), x.double()
    before = loss_of(name, model, x)
    before.backward()
    square = 0.0
    for weight, p in model.named_parameters():
        assert p.grad is not None and p.grad.array.any(), f"{weight} gets no gradient"
        flat = p.grad.array.ravel(order="K")
        square += float(flat @ flat)
    wanted = before.item() * (1e-4 if weights(name) < LARGE else 1e-3)
    optim.SGD(model.parameters(), lr=wanted / square).step()
    with cr.no_grad():
        fall = before.item() - loss_of(name, model, x).item()
    assert fall == pytest.approx(wanted, rel=0.2)


@every_model_at_work
def test_config_and_weights_rebuild_it_to_the_bit(name, tmp_path):
    entry = models.entry(name)
    model = build(name, num_classes=5).eval()
    config = json.loads(json.dumps(model.config))
    assert config == model.config and config["name"] == name and config["num_classes"] == 5
    again = build_empty(**config).eval()
    assert again.config == model.config
    state = model.state_dict()
    if weights(name) < LARGE:  # a file is a file; hundreds of megabytes teach nothing more
        cr.save(state, tmp_path / "model.pt")
        state = cr.load(tmp_path / "model.pt")
    again.load_state_dict(state)
    x = images(2 if weights(name) < LARGE else 1, entry.in_channels, side(name))
    with cr.no_grad():
        first, second, third = model(x), model(x), again(x)
    np.testing.assert_array_equal(first.array, second.array)  # nothing random in evaluation
    np.testing.assert_array_equal(first.array, third.array)


@every_model
def test_heads_are_all_that_other_classes_change(name):
    few, more = (build_empty(name, num_classes=n) for n in (3, 4))
    shapes = {k: v.shape for k, v in more.state_dict().items()}
    changed = {k.rpartition(".")[0] for k, v in few.state_dict().items() if v.shape != shapes[k]}
    assert changed == set(models.heads(few))


@every_model
def test_impossible_settings_are_refused_by_name(name):
    for setting in ("num_classes", "in_channels"):
        for value in (0, -1, 2.5, True):
            with pytest.raises(ConfigError, match=rf"{name}: {setting} must be .* {value}$"):
                models.create(name, **{setting: value})
    with pytest.raises(ConfigError, match=rf"{name} has no option 'colour'"):
        models.create(name, colour="red")


@every_model
def test_images_too_small_are_refused_and_not_misread(name):
    entry = models.entry(name)
    try:
        model = build_empty(name, image_size=1).eval()
        with cr.no_grad():
            scores = model(images(1, entry.in_channels, 1))  # whatever they are
    except ChainruleError as error:
        assert re.search(r"\b(size|pixels|window|padded|\(1, 1\))", str(error)), error
    else:
        assert scores.shape == scores_shape(name, 1, entry.num_classes, 1, 1)


@pytest.mark.parametrize("name", [n for n in NAMES if weights(n) < LARGE])
def test_the_loss_starts_near_that_of_guessing(name):
    cr.manual_seed(0)
    entry = models.entry(name)
    model = models.create(name, num_classes=10)
    with cr.no_grad():
        main = outputs(model(images(16, entry.in_channels, side(name))))[0]
    labels = cr.arange(16) % 10
    if main.ndim == 4:
        labels = labels.reshape(16, 1, 1).expand(16, *main.shape[2:])
    # sums of many branches start larger: resnet110's is twice the logarithm
    assert 0.5 < F.cross_entropy(main, labels).item() / math.log(10) < 3
