"""Draws the pictures of docs/classic.md, docs/classic_*.png, from what is measured here and now.

    python docs/classic_pictures.py --cifar cifar10           # minutes; or cifar10.zip
    python docs/classic_pictures.py --only regions            # one of them

They need `pip install "chainrule[classic,plot]"`. --cifar: what `chainrule train` takes; without
it the pictures that need photographs are left as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import data, kernels, viz
from chainrule.classifiers import KNearestNeighbors, LinearSVM, image_rows
from chainrule.data import ImageDataset, Splits
from chainrule.viz.dimensions import accuracy_with_noise
from chainrule.viz.figure import new_figure

FOLDER = Path(__file__).parent
NOISE = (0, 1, 3, 10, 30, 100, 300, 1000, 3000)
TURN = np.pi / 4
CARS, MOVED = 100, 4  # images, pixels
SHARP = 500  # points along each side of the plane, to measure how much of it changes


def regions() -> Any:
    """Decision regions under L1 and L2, for k = 1 and 5, and with the axes turned."""
    points, labels = blobs()
    turn = np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])
    figure = new_figure(11, 7.4)
    panels = figure.subplots(2, 3)
    for row, metric in zip(panels, ("l1", "l2"), strict=True):

        def fitted(k: int, rows: Any, metric: str = metric) -> KNearestNeighbors:
            return KNearestNeighbors(k, metric=metric).fit(rows, labels)

        turned = fitted(1, points @ turn)
        predictors = {
            "k = 1": fitted(1, points).predict,
            "k = 5": fitted(5, points).predict,
            "k = 1, axes turned by 45°": lambda plane, model=turned: model.predict(plane @ turn),
        }
        changed = part_that_differs(predictors["k = 1"], list(predictors.values())[2], points)
        for axes, (name, predict) in zip(row, predictors.items(), strict=True):
            viz.decision_regions(predict, points, labels, axes=axes)
            axes.set_title(f"{metric.upper()}, {name}", fontsize=12)
        row[2].set_xlabel(f"{changed:.1%} of the plane changes class", fontsize=11)
    return figure


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three clouds that overlap."""
    rng = np.random.default_rng(4)
    middles = np.array([[0, 0], [2.2, 0.6], [0.7, 2.1]])
    labels = np.repeat(np.arange(3), 30)
    return middles[labels] + rng.normal(0, 0.75, (len(labels), 2)), labels


def part_that_differs(one: Callable[..., Any], other: Callable[..., Any], points: Any) -> float:
    """Of the square around the points."""
    low, high = points.min(), points.max()
    side = np.linspace(low, high, SHARP)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return float(np.mean(one(plane) != other(plane)))


def views() -> Any:
    """Algebra, templates and geometry of a linear classifier of the digits."""
    digits = data.load("digits").train
    X, labels = image_rows(digits).astype(np.float32) / 255, digits.labels
    mean = X.mean(axis=0)
    model = LinearSVM(alpha=1e-2).fit(X - mean, labels)
    return viz.three_views(
        model.coef_.reshape(10, 1, 8, 8),
        model.intercept_ - model.coef_ @ mean,  # so that the pixels themselves are its input
        X.reshape(-1, 1, 8, 8),
        labels,
        digits.classes,
        index=int(np.flatnonzero(labels == 3)[0]),
        chosen=(0, 1, 4),
    )


def templates(cifar: Splits) -> Any:
    """What a linear support vector machine looks for in photographs."""
    X, labels = image_rows(cifar.train).astype(np.float32) / 255, cifar.train.labels
    X -= X.mean(axis=0)
    model = LinearSVM(alpha=0.3).fit(X, labels)
    print(f"  accuracy on the images it learnt from: {model.score(X, labels):.1%}")
    return viz.templates(model.templates_, cifar.classes)


def distances(cifar: Splits) -> Any:
    """From 100 test images to 500 training images, by class: digits beside photographs."""
    figure = new_figure(12.5, 5.2)
    sets = {"digits": data.load("digits"), "CIFAR-10": cifar}
    for axes, (name, splits) in zip(figure.subplots(1, 2), sets.items(), strict=True):
        queries, points = some(splits.test, 10), some(splits.train, 50)
        table = kernels.distances(queries[0], points[0], "l2")
        viz.distance_matrix(
            table, queries[1], points[1], classes=splits.classes, title=name, axes=axes
        )
        axes.set_ylabel("test images")
        axes.set_xlabel("training images")
    return figure


def some(dataset: ImageDataset | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """So many images of each class, as rows."""
    assert dataset is not None
    labels = dataset.labels
    chosen = [np.flatnonzero(labels == c)[:count] for c in range(len(dataset.classes))]
    subset = dataset.subset(np.concatenate(chosen))
    return image_rows(subset), subset.labels


def dimensions(cifar: Splits) -> Any:
    """Random points, digits and photographs; then digits with noise beside their pixels."""
    digits = data.load("digits")
    assert digits.test is not None
    noise = accuracy_with_noise(
        image_rows(digits.train), digits.train.labels, image_rows(digits.test), digits.test.labels,
        NOISE,
    )  # fmt: skip
    images = {"digits": some(digits.train, 100)[0], "CIFAR-10": some(cifar.train, 100)[0]}
    return viz.curse_of_dimensionality(images, dict(zip(NOISE, noise, strict=True)))


def shifts(cifar: Splits) -> Any:
    """A car moved by four pixels, what L2 finds as far from it, and a stranger that is nearer."""
    rows, labels = image_rows(cifar.train), cifar.train.labels
    height, width, channels = cifar.train.image_shape
    car = cifar.classes.index("automobile")
    cars, others = rows[labels == car][:CARS], rows[labels != car]
    images = cars.reshape(-1, channels, height, width)
    moved = np.roll(images, MOVED, axis=3)
    moved[..., :MOVED] = images[..., :1]
    far = np.sqrt(((moved.astype(float) - images) ** 2).sum(axis=(1, 2, 3)))
    distances, places = kernels.nearest(cars, others, 1, "l2")
    nearer = distances[:, 0] < far
    print(f"  of {CARS} cars, {nearer.sum()} have a stranger nearer than themselves, moved")
    number = int(np.flatnonzero(nearer)[0])
    place = places[number, 0]
    name = cifar.classes[labels[labels != car][place]]
    stranger = viz.Variant(f"another image: {name}", others[place].reshape(images[0].shape),
                           float(distances[number, 0]))  # fmt: skip
    return viz.shifted_images([*viz.equally_far(images[number], pixels=MOVED), stranger])


OF_DIGITS: tuple[Callable[[], Any], ...] = (regions, views)
OF_PHOTOGRAPHS: tuple[Callable[[Splits], Any], ...] = (templates, distances, dimensions, shifts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cifar", help="cifar10, or the path of a folder or zip")
    parser.add_argument("--only", help="the name of one picture")
    asked = parser.parse_args()
    pictures = {p.__name__: p for p in (*OF_DIGITS, *OF_PHOTOGRAPHS)}
    if asked.only not in (None, *pictures):
        parser.error(f"--only is one of {', '.join(pictures)}")
    cifar = data.load(asked.cifar) if asked.cifar else None
    for name, draw in pictures.items():
        if asked.only not in (None, name) or (draw in OF_PHOTOGRAPHS and cifar is None):
            continue
        figure = draw() if draw in OF_DIGITS else draw(cifar)
        path = FOLDER / f"classic_{name}.png"
        figure.savefig(path, dpi=90)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
