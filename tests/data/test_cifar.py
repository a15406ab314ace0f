import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from chainrule import data
from chainrule.data.cifar import read_cifar
from chainrule.errors import DataError

RNG = np.random.default_rng(0)
TRAIN = tuple(f"data_batch_{n}.bin" for n in range(1, 6))


def batch(count: int, label_bytes: int = 1) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Images (N, 32, 32, 3), labels and the binary records that hold them."""
    images = RNG.integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = RNG.integers(0, 10, (count, label_bytes), np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(count, -1)
    return images, labels[:, -1], np.hstack([labels, planes]).tobytes()


def as_pickle(images: np.ndarray, labels: np.ndarray, key: bytes = b"labels") -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1).copy()
    return pickle.dumps({b"data": planes, key: labels.tolist(), b"batch_label": b"x"}, protocol=3)


def tar(path: Path, folder: str, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def cifar10(tmp_path: Path):
    batches = {name: batch(3) for name in (*TRAIN, "test_batch.bin")}
    images = np.concatenate([batches[name][0] for name in TRAIN])
    labels = np.concatenate([batches[name][1] for name in TRAIN])
    return {name: content for name, (_, _, content) in batches.items()}, images, labels, batches


def check(splits: data.Splits, images: np.ndarray, labels: np.ndarray) -> None:
    count = len(splits.train) + len(splits.val)
    assert count == len(images)
    seen = np.concatenate([splits.train.images, splits.val.images])
    key = np.lexsort(seen.reshape(count, -1).T)
    expected = np.lexsort(images.reshape(count, -1).T)
    np.testing.assert_array_equal(seen[key], images[expected])
    np.testing.assert_array_equal(
        np.concatenate([splits.train.labels, splits.val.labels])[key], labels[expected]
    )


def test_binary_archive(tmp_path: Path, cifar10):
    contents, images, labels, batches = cifar10
    tar(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", contents)
    splits = data.load("cifar10", data_dir=tmp_path, val_fraction=0.3)
    check(splits, images, labels)
    np.testing.assert_array_equal(splits.test.images, batches["test_batch.bin"][0])
    assert splits.classes[:2] == ("airplane", "automobile")


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "cifar10", "."])
def test_extracted_binary_files(tmp_path: Path, cifar10, folder):
    contents, images, labels, _ = cifar10
    (tmp_path / folder).mkdir(exist_ok=True)
    for name, content in contents.items():
        (tmp_path / folder / name).write_bytes(content)
    check(data.load("cifar-10", data_dir=tmp_path, val_fraction=0.3), images, labels)


@pytest.mark.parametrize("packed", [True, False], ids=["archive", "folder"])
def test_python_version(tmp_path: Path, cifar10, packed):
    _, images, labels, batches = cifar10
    contents = {name.removesuffix(".bin"): as_pickle(*value[:2]) for name, value in batches.items()}
    if packed:
        tar(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", contents)
    else:
        (tmp_path / "cifar-10-batches-py").mkdir()
        for name, content in contents.items():
            (tmp_path / "cifar-10-batches-py" / name).write_bytes(content)
    check(data.load("cifar10", data_dir=tmp_path, val_fraction=0.3), images, labels)


def test_cifar100_takes_the_fine_label(tmp_path: Path):
    images, labels, content = batch(6, label_bytes=2)
    tar(
        tmp_path / "cifar-100-binary.tar.gz",
        "cifar-100-binary",
        {"train.bin": content, "test.bin": content},
    )
    splits = data.load("cifar100", data_dir=tmp_path, val_fraction=0.3)
    np.testing.assert_array_equal(splits.test.labels, labels)
    np.testing.assert_array_equal(splits.test.images, images)
    assert len(splits.classes) == 100 and list(splits.classes) == sorted(splits.classes)


def test_cifar100_python_version(tmp_path: Path):
    images, labels, _ = batch(6)
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(as_pickle(images, labels, b"fine_labels"))
    np.testing.assert_array_equal(
        data.load("cifar100", data_dir=tmp_path, val_fraction=0.3).test.labels, labels
    )


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_pickle_cannot_run_code(tmp_path: Path):
    target = tmp_path / "made-by-the-pickle"
    hostile = pickle.dumps({b"data": Attack(target), b"labels": [0]})
    pickle.loads(hostile)  # the attack works against an ordinary unpickler
    target.rmdir()
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(hostile)
    with pytest.raises(DataError, match=r"train: refused to load \w+\.mkdir"):
        read_cifar(tmp_path, ("train",), ("test",), 1)
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [0]}, protocol=3),
        pickle.dumps({b"data": np.zeros((1, 3071), np.uint8), b"labels": [0]}, protocol=3),
        pickle.dumps([1, 2]),
        b"",
        b"not a pickle",
    ],
    ids=["float64", "wrong size", "list", "empty", "text"],
)
def test_broken_pickles(tmp_path: Path, content):
    (tmp_path / "train").write_bytes(content)
    with pytest.raises(DataError, match="train"):
        read_cifar(tmp_path, ("train",), ("train",), 1)


def test_truncated_batch_and_missing_file(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(batch(2)[2][:-1])
    with pytest.raises(DataError, match=r"a\.bin has 6145 bytes, not a multiple"):
        read_cifar(tmp_path, ("a.bin",), ("a.bin",), 1)
    with pytest.raises(DataError, match=r"lacks b\.bin"):
        read_cifar(tmp_path, ("a.bin",), ("b.bin",), 1)


def test_truncated_archive(tmp_path: Path, cifar10):
    path = tar(tmp_path / "cifar-10-binary.tar.gz", "x", cifar10[0])
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(DataError, match="cannot read"):
        data.load("cifar10", data_dir=tmp_path)
