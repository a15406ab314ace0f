"""Datasets: images from folders, zips and official files, to batches of tensors.

splits = data.load("cifar10")                       # or a folder, or a .zip
mean, std = splits.train.mean_std()
loader = data.DataLoader(splits.train, 128, shuffle=True, transform=data.Compose(
    [data.RandomCrop(4), data.RandomHorizontalFlip(), data.Normalize(mean, std)]))
for images, labels in loader: ...
"""

from chainrule.data.dataset import ImageDataset, TensorDataset
from chainrule.data.decode import Skipped
from chainrule.data.loader import DataLoader
from chainrule.data.loading import Splits, load, load_image, load_split
from chainrule.data.named import DATASETS
from chainrule.data.split import stratified_split
from chainrule.data.transforms import (
    Compose,
    Cutout,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    from_config,
)

__all__ = [
    "DATASETS",
    "Compose",
    "Cutout",
    "DataLoader",
    "ImageDataset",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Skipped",
    "Splits",
    "TensorDataset",
    "from_config",
    "load",
    "load_image",
    "load_split",
    "stratified_split",
]
