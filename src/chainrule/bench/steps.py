"""Training steps and inference of whole models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from chainrule.bench.case import Case, Settings, Timed
from chainrule.bench.libraries import Library, layouts, library
from chainrule.bench.models import MODELS, Model
from chainrule.bench.turns import Step

INFERENCE_BATCHES = (1, 128)


def cases() -> Iterator[Case]:
    """Every model, trained and used."""
    for name, model in MODELS.items():
        yield training(name, model)
    yield training("resnet20", MODELS["resnet20"], "avx2")
    for name, model in MODELS.items():
        for batch in INFERENCE_BATCHES:
            yield Case(
                f"inference/{name}-{batch}",
                f"{name}, batch {batch}",
                Timed(partial(inference_sides, model, batch), seconds=10),
                quick=name in ("lenet5", "mlp", "resnet20"),
            )


def training(name: str, model: Model, instruction_set: str | None = None) -> Case:
    """The case of one model's training step."""
    suffix = f"-{instruction_set}" if instruction_set else ""
    build = f", {instruction_set.upper()} kernels" if instruction_set else ""
    return Case(
        f"training/{name}{suffix}",
        f"{name}, batch {model.batch}{build}",
        Timed(partial(training_sides, model)),
        quick=instruction_set is None and name != "resnet18",
        instruction_set=instruction_set,
    )


def training_sides(model: Model, settings: Settings) -> Mapping[str, Step]:
    """One training step of the model on each side."""
    images, labels = batch_of(model, model.batch)
    return {
        side: training_step(library(side), model, images, labels) for side in layouts(images.ndim)
    }


def inference_sides(model: Model, batch: int, settings: Settings) -> Mapping[str, Step]:
    """Scores of one batch on each side."""
    images, _ = batch_of(model, batch)
    return {side: inference(library(side), model, images) for side in layouts(images.ndim)}


def batch_of(model: Model, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images, and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((size, *model.image), dtype=np.float32)
    return images, rng.integers(0, model.classes, size)


def training_step(lib: Library, model: Model, images: np.ndarray, labels: np.ndarray) -> Step:
    """Forward, loss, backward, SGD with momentum."""
    net = lib.place(model.build(lib))
    x, y = lib.tensor(images), lib.tensor(labels)
    optimizer = lib.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def step() -> float:
        optimizer.zero_grad()
        loss = lib.F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def inference(lib: Library, model: Model, images: np.ndarray) -> Step:
    """Scores as a NumPy array, in evaluation mode, without a graph."""
    net = lib.place(model.build(lib)).eval()
    x = lib.tensor(images)

    def step() -> np.ndarray:
        with lib.inference_mode():
            return np.asarray(net(x).numpy())

    return step
