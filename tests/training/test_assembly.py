"""From settings to schedules, losses and transforms."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.training.assembly import (
    build_loss,
    build_model,
    build_optimizer,
    build_transform,
)
from chainrule.training.config import CHOICES, TrainConfig


def config(**settings):
    return TrainConfig("d", "lenet5", channels=1, **settings)


@pytest.mark.parametrize("name", CHOICES["optimizer"])
def test_the_optimizer_is_the_one_asked_for(name):
    settings = config(optimizer=name, lr=0.2, weight_decay=0.01, momentum=0.8)
    model = build_model(settings, 3, (12, 12))
    optimizer = build_optimizer(settings, model)
    assert type(optimizer).__name__.lower() == name
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.2, 0.01)
    if name in ("sgd", "momentum", "nesterov"):
        assert group["momentum"] == 0.8
    if name == "sgd":
        assert group["nesterov"] is True


def test_the_loss_is_the_one_asked_for():
    scores, labels = cr.tensor([[2.0, 0.0, 1.5]]), cr.tensor([0])
    assert build_loss(config(loss="multi_margin"), training=True)(
        scores, labels
    ).item() == pytest.approx(0.5)
    hard = build_loss(config(), training=True)(scores, labels).item()
    assert hard == pytest.approx(np.log(np.exp([2, 0, 1.5]).sum()) - 2, rel=1e-6)
    smoothed = config(label_smoothing=0.1)
    assert build_loss(smoothed, training=True)(scores, labels).item() > hard
    assert build_loss(smoothed, training=False)(scores, labels).item() == hard


def test_only_training_images_are_changed_at_random():
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8)
    settings = config(augment="crop")
    plain = (images / 255 - 0.5) / 0.25
    transform = build_transform(settings, (16, 16), (0.5,), (0.25,), training=False)
    assert np.allclose(transform(images, np.random.default_rng(0)), plain, atol=1e-5)
    transform = build_transform(settings, (16, 16), (0.5,), (0.25,), training=True)
    assert not np.allclose(transform(images, np.random.default_rng(0)), plain, atol=1e-5)
    named = config(augment="crop+flip+cutout")
    chain = build_transform(named, (16, 16), (0.5,), (0.25,), training=True)
    assert "RandomCrop(padding=2), RandomHorizontalFlip(p=0.5), Cutout(size=8), N" in repr(chain)
    transform = build_transform(config(augment="none"), (16, 16), (0.5,), (0.25,), training=True)
    assert np.allclose(transform(images, np.random.default_rng(0)), plain, atol=1e-5)
