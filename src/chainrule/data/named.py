"""The datasets known by name: where their official files are, and how to read them.

To add one: an entry in DATASETS with its files, their MD5 and mirrors, its classes and a reader.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainrule.data.cifar import Arrays, read_cifar
from chainrule.data.download import cache_folder, fetch
from chainrule.data.idx import parse_idx, read_idx, read_maybe_gzipped
from chainrule.data.progress import Progress
from chainrule.data.split import stratified_split
from chainrule.errors import DataError

DIGITS_TEST_FRACTION = 0.2
DIGITS_SPLIT_SEED = 1797  # fixed for good: the test images are the same for everyone


@dataclass(frozen=True)
class Archive:
    """One form in which CIFAR is published: the archive, its folder, its files in order."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class NamedDataset:
    """md5: of each file that may be downloaded. mirrors: URLs that end where file names begin.

    folders: where else than in a folder of the dataset's own name the files may lie.
    read: gives (training arrays, test arrays); images uint8 (N, H, W, C), labels int64 (N,).
    """

    name: str
    classes: tuple[str, ...]
    read: Callable[[NamedDataset, Path | None, Progress | None], tuple[Arrays, Arrays]]
    md5: dict[str, str]
    mirrors: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
    label_bytes: int = 1


def find_named(source: object) -> NamedDataset | None:
    """The dataset that `source` names, whatever its case and hyphens; None if it names none."""
    if not isinstance(source, str):
        return None
    key = _key(source)
    return next((entry for entry in DATASETS.values() if _key(entry.name) == key), None)


def read_named(
    dataset: NamedDataset, data_dir: str | Path | None = None, progress: Progress | None = None
) -> tuple[Arrays, Arrays]:
    """Training and test arrays of a named dataset.

    data_dir: read the official files there (or in data_dir/NAME), without any network; by default
    the folder in CHAINRULE_DATA; without either, they are downloaded once and cached.
    Raises DataError that says which files to put where.
    """
    folder = data_dir if data_dir is not None else os.environ.get("CHAINRULE_DATA") or None
    return dataset.read(dataset, None if folder is None else Path(folder).expanduser(), progress)


def _key(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def _digits(
    dataset: NamedDataset, data_dir: Path | None, progress: Progress | None
) -> tuple[Arrays, Arrays]:
    folder = Path(__file__).parent / "digits"
    images = read_idx(folder / "images-idx3-ubyte.gz")[..., None]
    labels = read_idx(folder / "labels-idx1-ubyte.gz").astype(np.int64)
    train, test = stratified_split(labels, DIGITS_TEST_FRACTION, DIGITS_SPLIT_SEED)
    return (images[train], labels[train]), (images[test], labels[test])


def _idx_pairs(
    dataset: NamedDataset, data_dir: Path | None, progress: Progress | None
) -> tuple[Arrays, Arrays]:
    train_images, train_labels, test_images, test_labels = (
        _idx_file(dataset, name, data_dir, progress) for name in dataset.md5
    )
    return _paired(dataset, train_images, train_labels), _paired(dataset, test_images, test_labels)


def _idx_file(
    dataset: NamedDataset, name: str, data_dir: Path | None, progress: Progress | None
) -> NDArray[np.uint8]:
    names = (name, name.removesuffix(".gz"))
    path = _find(dataset, data_dir, names) or _download(dataset, data_dir, name, progress)
    content = read_maybe_gzipped(path)
    # MNIST and Fashion-MNIST call their files the same. The label files tell them apart.
    owner = _LABELS_OF.get(hashlib.md5(content, usedforsecurity=False).hexdigest(), dataset.name)
    if owner != dataset.name:
        raise DataError(
            f"data: {path} belongs to {owner}, not to {dataset.name}; "
            f"put the files of {dataset.name} into {path.parent / dataset.name}"
        )
    return parse_idx(content, str(path))


def _paired(dataset: NamedDataset, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Arrays:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(
            f"data: the images {images.shape} and labels {labels.shape} of "
            f"{dataset.name} do not belong together; get the four files again"
        )
    return images[..., None], labels.astype(np.int64)


def _cifar(
    dataset: NamedDataset, data_dir: Path | None, progress: Progress | None
) -> tuple[Arrays, Arrays]:
    for archive in dataset.archives:
        path = _find(
            dataset,
            data_dir,
            (archive.folder, archive.name, archive.name.removesuffix(".gz"), archive.train[0]),
        )
        if path is not None:
            break
    else:
        archive = dataset.archives[0]
        path = _download(dataset, data_dir, archive.name, progress)
    if path.name == archive.train[0]:
        path = path.parent
    return read_cifar(path, archive.train, archive.test, dataset.label_bytes)


def _find(dataset: NamedDataset, data_dir: Path | None, names: tuple[str, ...]) -> Path | None:
    """The first of `names` below data_dir: in the dataset's own folders, then directly."""
    if data_dir is None:
        return None
    folders = {archive.folder for archive in dataset.archives}
    for folder in (dataset.name, *dataset.folders, ""):
        for name in names:
            path = data_dir / folder / name
            if path.is_file() or (path.is_dir() and name in folders):
                return path
    return None


def _download(
    dataset: NamedDataset, data_dir: Path | None, name: str, progress: Progress | None
) -> Path:
    """The file from the cache or a mirror; DataError if data_dir forbids the network."""
    files = ", ".join(dataset.md5)
    if data_dir is not None:
        raise DataError(
            f"data: {dataset.name} lacks {name}; put {files} into {data_dir / dataset.name}"
        )
    try:
        return fetch(
            name,
            dataset.md5[name],
            [mirror + name for mirror in dataset.mirrors],
            cache_folder() / dataset.name,
            progress,
        )
    except DataError as error:
        first, *details = str(error).splitlines()
        advice = (
            f"data: cannot get {dataset.name} ({first}); without a network, put {files} into a "
            f"folder DIR/{dataset.name} and name DIR with --data-dir or CHAINRULE_DATA"
        )
        raise DataError("\n".join([advice, *details])) from error


_DIGIT_NAMES = tuple("0123456789")

_CIFAR100_CLASSES = tuple(
    re.findall(
        r"\w+",
        """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
    cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
    lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm""",
    )
)

_TORONTO = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")

# MD5 of the decompressed label files, training and test.
_LABELS_OF = {
    "a25bea736e30d166cdddb491f175f624": "mnist",
    "27ae3e4e09519cfbb04c329615203637": "mnist",
    "9018921c3c673c538a1fc5bad174d6f9": "fashion-mnist",
    "15d484375f8d13e6eb1aabb0c3f46965": "fashion-mnist",
}

DATASETS = {
    entry.name: entry
    for entry in (
        # Alpaydin & Kaynak 1998, DOI 10.24432/C50P49; inside the package, see digits/README.md.
        NamedDataset("digits", _DIGIT_NAMES, _digits, md5={}),
        # LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
        # recognition".
        NamedDataset(
            "mnist",
            _DIGIT_NAMES,
            _idx_pairs,
            md5={
                "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
                "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
                "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
            },
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            folders=("MNIST/raw", "MNIST"),
        ),
        # Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
        NamedDataset(
            "fashion-mnist",
            (
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            _idx_pairs,
            md5={
                "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
                "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
                "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
            },
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/"
                "fashion/",
            ),
            folders=("FashionMNIST/raw", "FashionMNIST", "fashion"),
        ),
        # Krizhevsky 2009, "Learning multiple layers of features from tiny images".
        NamedDataset(
            "cifar10",
            (
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck",
            ),
            _cifar,
            md5={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
            mirrors=_TORONTO,
            folders=("cifar-10", "CIFAR10"),
            archives=(
                Archive(
                    "cifar-10-binary.tar.gz",
                    "cifar-10-batches-bin",
                    tuple(f"data_batch_{n}.bin" for n in range(1, 6)),
                    ("test_batch.bin",),
                ),
                Archive(
                    "cifar-10-python.tar.gz",
                    "cifar-10-batches-py",
                    tuple(f"data_batch_{n}" for n in range(1, 6)),
                    ("test_batch",),
                ),
            ),
        ),
        NamedDataset(
            "cifar100",
            _CIFAR100_CLASSES,
            _cifar,
            md5={"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
            mirrors=_TORONTO,
            folders=("cifar-100", "CIFAR100"),
            archives=(
                Archive(
                    "cifar-100-binary.tar.gz", "cifar-100-binary", ("train.bin",), ("test.bin",)
                ),
                Archive("cifar-100-python.tar.gz", "cifar-100-python", ("train",), ("test",)),
            ),
            label_bytes=2,
        ),
    )
}
