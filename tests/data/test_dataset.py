import numpy as np
import pytest

import chainrule as cr
from chainrule.data import ImageDataset, TensorDataset
from chainrule.errors import DataError, ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (600, 5, 4, 3), np.uint8)
LABELS = RNG.integers(0, 3, 600)


@pytest.fixture
def dataset() -> ImageDataset:
    return ImageDataset.from_arrays(IMAGES, LABELS, ("a", "b", "c"))


def test_items_and_lengths(dataset):
    assert len(dataset) == 600 and dataset.image_shape == (5, 4, 3) and not dataset.lazy
    image, label = dataset[-1]
    np.testing.assert_array_equal(image, IMAGES[-1])
    assert label == LABELS[-1] and isinstance(label, int)
    with pytest.raises(IndexError):
        dataset[600]
    assert dataset.labels.dtype == np.int64


def test_it_can_be_walked_through(dataset):
    assert [label for _, label in dataset.subset(range(5))] == LABELS[:5].tolist()


def test_grey_images_get_their_channel_and_classes_their_names():
    dataset = ImageDataset.from_arrays(IMAGES[..., 0], LABELS)
    assert dataset.image_shape == (5, 4, 1) and dataset.classes == ("0", "1", "2")


def test_subsets_of_subsets_share_the_images(dataset):
    part = dataset.subset(np.arange(100, 200)).subset([5, 3, 5])
    np.testing.assert_array_equal(part.images, IMAGES[[105, 103, 105]])
    np.testing.assert_array_equal(part.labels, LABELS[[105, 103, 105]])
    np.testing.assert_array_equal(part[1][0], IMAGES[103])
    assert part._images is dataset._images
    assert len(dataset.subset([])) == 0


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_mean_std(dataset, count):
    mean, std = dataset.subset(range(count)).mean_std()
    pixels = IMAGES[:count].astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 1, 2)), rtol=1e-10)


def test_mean_std_without_contrast_or_images():
    flat = ImageDataset.from_arrays(np.full((3, 2, 2), 51, np.uint8), [0, 0, 0])
    assert flat.mean_std() == ((0.2,), (1.0,))
    with pytest.raises(DataError, match="empty"):
        flat.subset([]).mean_std()


@pytest.mark.parametrize(
    "images, labels, classes, message",
    [
        (IMAGES.astype(np.float32), LABELS, None, r"must be uint8 .* got float32 \(600, 5, 4, 3\)"),
        (IMAGES[0, 0], LABELS[:5], None, r"got uint8 \(4, 3\)"),
        (IMAGES.transpose(0, 3, 1, 2)[..., :2], LABELS, None, "must be uint8"),
        (IMAGES, LABELS[:-1], None, r"600 images need labels of shape \(600,\), got \(599,\)"),
        (IMAGES, LABELS.astype(float), None, "whole numbers, got float64"),
        (IMAGES, LABELS, ("a", "b"), "range from 0 to 2, but there are 2 classes"),
        (IMAGES, LABELS - 1, ("a", "b", "c"), "range from -1 to 1"),
    ],
)
def test_arrays_that_do_not_fit(images, labels, classes, message):
    with pytest.raises(DataError, match=message):
        ImageDataset.from_arrays(images, labels, classes)


def test_tensor_dataset():
    dataset = TensorDataset(cr.arange(10).reshape(5, 2), np.arange(5))
    assert len(dataset) == 5
    x, y = dataset[3]
    assert x.tolist() == [6, 7] and y == 3
    with pytest.raises(ShapeError, match=r"one length, got lengths \[5, 4\]"):
        TensorDataset(np.zeros(5), np.zeros(4))
    with pytest.raises(ShapeError):
        TensorDataset()
