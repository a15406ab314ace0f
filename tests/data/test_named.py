import gzip
import hashlib
import importlib.resources
import socket
from pathlib import Path

import numpy as np
import pytest

from chainrule import data
from chainrule.data.named import DATASETS, find_named
from chainrule.errors import DataError

from .test_idx import idx

RNG = np.random.default_rng(0)
IDX_NAMES = tuple(DATASETS["mnist"].md5)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def write_idx_files(folder: Path, compressed: bool = True, train: int = 20, test: int = 5) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [
        RNG.integers(0, 256, (train, 28, 28), np.uint8),
        np.arange(train) % 10,
        RNG.integers(0, 256, (test, 28, 28), np.uint8),
        np.arange(test) % 10,
    ]
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        content = idx(array.astype(np.uint8))
        if compressed:
            (folder / name).write_bytes(gzip.compress(content))
        else:
            (folder / name.removesuffix(".gz")).write_bytes(content)


@pytest.mark.parametrize(
    "name, found",
    [
        ("MNIST", "mnist"),
        ("fashion_mnist", "fashion-mnist"),
        ("FashionMNIST", "fashion-mnist"),
        ("cifar-10", "cifar10"),
        ("CIFAR100", "cifar100"),
        ("Digits", "digits"),
    ],
)
def test_names_are_forgiving(name, found):
    assert find_named(name).name == found


def test_a_path_is_never_a_name():
    assert find_named(Path("mnist")) is None and find_named("./mnist") is None


def test_digits_need_nothing():
    splits = data.load("digits")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1295, 143, 359)
    assert splits.image_shape == (8, 8, 1) and splits.classes == tuple("0123456789")
    assert splits.train.images.max() == 255
    assert all(34 <= count <= 38 for count in np.bincount(splits.test.labels))


def test_digits_test_set_does_not_depend_on_the_seed():
    first, second = data.load("digits", seed=0), data.load("digits", seed=1)
    np.testing.assert_array_equal(first.test.images, second.test.images)
    assert not np.array_equal(first.val.images, second.val.images)
    assert hashlib.md5(first.test.images.tobytes()).hexdigest() == (
        "f59e21bebee708e8ac105907a85d9a92"
    )  # changing it would change everyone's results


def test_digits_are_scikit_learns():
    datasets = pytest.importorskip(
        "sklearn.datasets", reason="needs the extra: pip install 'chainrule[classic]'"
    )
    splits = data.load("digits")
    parts = (splits.train, splits.val, splits.test)
    theirs = datasets.load_digits()

    def in_order(images, labels):
        rows = np.column_stack([images.reshape(len(images), -1), labels])
        return rows[np.lexsort(rows.T)]

    np.testing.assert_array_equal(
        in_order(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
        ),
        in_order(np.rint(theirs.images * 255 / 16).astype(np.uint8), theirs.target),
    )


def test_the_digits_say_where_they_are_from():
    text = (importlib.resources.files("chainrule.data") / "digits" / "README.md").read_text()
    assert "10.24432/C50P49" in text and "CC BY 4.0" in text


@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw"])
def test_mnist_from_a_directory(tmp_path: Path, folder, compressed):
    write_idx_files(tmp_path / folder, compressed)
    splits = data.load("mnist", data_dir=tmp_path, val_fraction=0.5)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (10, 10, 5)
    assert splits.image_shape == (28, 28, 1)
    np.testing.assert_array_equal(splits.test.labels, np.arange(5))


def test_the_directory_can_come_from_the_environment(tmp_path: Path, monkeypatch):
    write_idx_files(tmp_path / "fashion-mnist")
    monkeypatch.setenv("CHAINRULE_DATA", str(tmp_path))
    assert data.load("fashion-mnist", val_fraction=0.5).classes[9] == "Ankle boot"


def test_missing_files_are_named_with_their_place(tmp_path: Path):
    write_idx_files(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte.gz") as caught:
        data.load("mnist", data_dir=tmp_path)
    assert str(tmp_path / "mnist") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_without_a_network_the_first_line_says_what_to_do(name):
    with pytest.raises(DataError) as caught:
        data.load(name)
    first = str(caught.value).splitlines()[0]
    assert all(file in first for file in DATASETS[name].md5)
    assert "--data-dir" in first and "CHAINRULE_DATA" in first


def test_images_and_labels_that_do_not_belong_together(tmp_path: Path):
    write_idx_files(tmp_path)
    (tmp_path / IDX_NAMES[1]).write_bytes(gzip.compress(idx(np.zeros(7, np.uint8))))
    with pytest.raises(DataError, match="do not belong together"):
        data.load("mnist", data_dir=tmp_path)


def test_image_size_and_channels_apply_to_named_sets():
    splits = data.load("digits", image_size=(16, 12), channels=3)
    assert splits.image_shape == (16, 12, 3) and splits.test.image_shape == (16, 12, 3)


def test_load_split_of_a_named_set():
    digits = data.load("digits")
    part = data.load_split("digits", classes=digits.classes, image_size=8, channels=1)
    np.testing.assert_array_equal(part.images, digits.test.images)
    reversed_classes = tuple(reversed(digits.classes))
    part = data.load_split("digits", classes=reversed_classes, image_size=8, channels=1)
    np.testing.assert_array_equal(part.labels, 9 - digits.test.labels)
    with pytest.raises(DataError, match="no split 'val'"):
        data.load_split("digits", "val", classes=digits.classes, image_size=8, channels=1)
    with pytest.raises(DataError, match="cat, dog"):
        data.load_split("digits", classes=("cat", "dog"), image_size=8, channels=1)


def test_real_mnist(real_data: Path):
    if not (real_data / "mnist").is_dir():
        pytest.skip(f"no MNIST in {real_data}")
    splits = data.load("mnist", data_dir=real_data)
    assert (len(splits.train) + len(splits.val), len(splits.test)) == (60_000, 10_000)
    np.testing.assert_array_equal(splits.test.labels[:5], [7, 2, 1, 0, 4])
    whole = data.ImageDataset.from_arrays(
        np.concatenate([splits.train.images, splits.val.images]), np.zeros(60_000, int)
    )
    (mean,), (std,) = whole.mean_std()
    assert (round(mean, 4), round(std, 4)) == (0.1307, 0.3081)  # the published numbers


def test_mnist_is_not_taken_for_fashion_mnist(real_data: Path):
    if not (real_data / "mnist").is_dir():
        pytest.skip(f"no MNIST in {real_data}")
    with pytest.raises(DataError, match="belongs to mnist, not to fashion-mnist"):
        data.load("fashion-mnist", data_dir=real_data / "mnist")
