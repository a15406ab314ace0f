"""k nearest neighbours as a model: against the definition in loops."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import models
from chainrule.errors import ConfigError, ShapeError
from chainrule.models.knn import LEAST_SHARE

RNG = np.random.default_rng(0)
SHAPE = (3, 5, 4)


def memory(count=40, classes=4):
    images = RNG.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return images, RNG.integers(0, classes, count)


def knn(images, labels, classes=4, **settings):
    model = models.knn(classes, SHAPE[0], SHAPE[1:], **settings)
    return model.memorize(images, labels).eval()


def distance(metric, x, y):
    x, y = x.ravel().astype(float), y.ravel().astype(float)
    if metric == "l1":
        return np.abs(x - y).sum()
    if metric == "l2":
        return np.sqrt(((x - y) ** 2).sum())
    return 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y)


def shares_in_loops(image, images, labels, classes, k, metric, votes):
    distances = [distance(metric, image, other) for other in images]
    nearest = sorted(range(len(images)), key=lambda i: (distances[i], i))[:k]
    given = np.zeros(classes)
    if votes == "distance" and any(distances[i] == 0 for i in nearest):
        nearest, votes = [i for i in nearest if distances[i] == 0], "uniform"
    for i in nearest:
        given[labels[i]] += 1 if votes == "uniform" else 1 / distances[i]
    return given / given.sum()


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("votes", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 6])
@pytest.mark.parametrize("kind", ["bytes", "values"])
def test_the_scores_are_those_of_loops(metric, votes, k, kind):
    images, labels = memory()
    x = RNG.integers(0, 256, (7, *SHAPE)).astype(np.float32)
    x[0] = images[3]
    if kind == "values":
        x[1:] += np.float32(0.25)
    model = knn(images, labels, k=k, metric=metric, votes=votes)
    scores = model(cr.tensor(x))
    assert scores.dtype == cr.float32 and not scores.requires_grad
    wanted = [shares_in_loops(one, images, labels, 4, k, metric, votes) for one in x]
    if metric == "cosine" and votes == "distance":  # 1 / a distance that is rounding alone
        scores, wanted = scores[1:], wanted[1:]
    got = np.exp(scores.array)
    np.testing.assert_allclose(got, np.maximum(wanted, LEAST_SHARE), rtol=1e-4, atol=1e-7)


def test_equal_votes_go_to_the_first_class_and_equal_distances_to_the_first_image():
    images = np.zeros((4, *SHAPE), np.uint8)
    images[2:] = 9
    x = cr.zeros(1, *SHAPE)
    assert knn(images, [3, 1, 2, 2], k=2)(x).argmax().item() == 1
    assert knn(images, [3, 1, 2, 2], k=1)(x).argmax().item() == 3
    assert knn(images, [3, 1, 2, 2], k=3)(x).argmax().item() == 1


def test_more_neighbours_than_images():
    images, labels = memory(3)
    scores = knn(images, labels, k=50)(cr.zeros(2, *SHAPE))
    np.testing.assert_allclose(np.exp(scores.array[0]), np.bincount(labels, minlength=4) / 3, 1e-5,
                               2 * LEAST_SHARE)  # fmt: skip


def test_it_is_rebuilt_with_its_memory(tmp_path):
    images, labels = memory()
    model = knn(images, labels, k=3, metric="l1")
    assert model.config["memorized"] == 40
    models.save_pretrained(model, tmp_path, image_size=SHAPE[1:])
    again = models.create("knn", weights=tmp_path)
    assert again.k == 3 and again.metric == "l1"
    x = cr.tensor(RNG.integers(0, 256, (5, *SHAPE)).astype(np.float32))
    np.testing.assert_array_equal(again(x).array, model(x).array)
    assert again.images.dtype == cr.uint8
    assert model.double().images.dtype == cr.uint8  # what is no floating point stays


def test_before_there_are_images_all_classes_are_as_likely():
    np.testing.assert_allclose(models.knn()(cr.zeros(2, 1, 28, 28)).array, np.log(0.1), rtol=1e-6)


def test_repr_names_the_settings():
    assert repr(knn(*memory())) == (
        "NearestNeighbors(40 images of (3, 5, 4), k=5, metric='l2', votes='uniform')"
    )


def test_refusals():
    images, labels = memory()
    model = knn(images, labels)
    with pytest.raises(ShapeError, match=r"expects images \(N, 3, 5, 4\), got \(2, 3, 4, 5\)"):
        model(cr.zeros(2, 3, 4, 5))
    with pytest.raises(ShapeError, match=r"labels \(M,\), got \(40, 3, 5, 4\) and \(39,\)"):
        model.memorize(images, labels[1:])
    with pytest.raises(ConfigError, match="images of uint8, got float64"):
        model.memorize(images / 255, labels)
    with pytest.raises(ConfigError, match="labels from 0 to 4 do not fit 4 classes"):
        model.memorize(images, np.arange(40) % 5)
    for settings, message in [
        ({"k": 0}, "knn: k must be"),
        ({"metric": "l3"}, "knn: metric must be l2, l1, cosine, got 'l3'"),
        ({"votes": "all"}, "knn: votes must be uniform, distance, got 'all'"),
        ({"memorized": -1}, "knn: memorized must be a whole number of at least 0, got -1"),
    ]:
        with pytest.raises(ConfigError, match=message):
            models.knn(**settings)


def test_labels_of_a_file_that_are_no_class():
    images, labels = memory()
    model = knn(images, labels)
    state = {"images": cr.tensor(images), "labels": cr.tensor(np.full(40, 7))}
    model.load_state_dict(state)
    with pytest.raises(ConfigError, match="labels from 7 to 7 do not fit 4 classes"):
        model(cr.zeros(1, *SHAPE))
