# ruff: noqa
"""Datasets, samplers and loaders as people write them; a small network trains on what they give.

Each script returns numbers that do not depend on which random numbers were drawn.
"""

from collections import Counter, namedtuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.utils import data
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from torch.utils.data.dataloader import default_collate


class ShapesDataset(Dataset):
    """Images of bars, upright or lying; with an optional transform, like those of torchvision"""

    classes = ["upright", "lying"]

    def __init__(self, length=40, size=8, train=True, transform=None, target_transform=None):
        rng = np.random.RandomState(0 if train else 1)
        self.data = rng.uniform(0, 0.1, (length, size, size)).astype(np.float32)
        self.targets = []
        for i in range(length):
            label = int(i % 4 == 0)
            place = rng.randint(size)
            if label:
                self.data[i, place, :] += 1
            else:
                self.data[i, :, place] += 1
            self.targets.append(label)
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        image, target = self.data[idx], self.targets[idx]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


class Compose(object):
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        for t in self.transforms:
            img = t(img)
        return img


class ToTensor(object):
    def __call__(self, pic):
        return torch.from_numpy(pic).unsqueeze(0)


class Normalize(object):
    def __init__(self, mean, std):
        self.mean = mean
        self.std = std

    def __call__(self, tensor):
        mean = torch.as_tensor(self.mean, dtype=tensor.dtype)
        std = torch.as_tensor(self.std, dtype=tensor.dtype)
        return tensor.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


transform = Compose([ToTensor(), Normalize((0.2,), (0.4,))])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 4 * 4, 2)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.linspace(-0.5, 0.5, p.numel()).view_as(p).sin())

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(x.view(x.size(0), -1))


def fit(model, train_dl, epochs=2, lr=0.1):
    opt = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses = []
    for epoch in range(epochs):
        model.train()
        for xb, yb in train_dl:
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            opt.step()
            opt.zero_grad()
            losses.append(loss.item())
    return losses


def evaluate(model, loader):
    """Mean loss and accuracy, which do not depend on the order"""
    model.eval()
    loss, correct, total = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            outputs = model(images)
            loss += F.cross_entropy(outputs, labels, reduction="sum").item()
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    print("Accuracy on the {} images: {:.1f}%".format(total, 100 * correct / total))
    return [loss / total, correct / total]


# -- the scripts ---------------------------------------------------------------------------------


def tensors_in_batches():
    """What is torch.nn really: slices by hand, a TensorDataset, then a DataLoader"""
    dataset = ShapesDataset(length=30)
    x_train, y_train = map(torch.tensor, (dataset.data, dataset.targets))
    x_train = x_train.unsqueeze(1)
    print(list(x_train.shape), x_train.dtype == torch.float32, y_train.min(), y_train.max())

    by_hand = Net()
    n, c, h, w = x_train.shape
    bs = 8
    batches = []
    for i in range((n - 1) // bs + 1):
        start_i = i * bs
        batches.append((x_train[start_i : start_i + bs], y_train[start_i : start_i + bs]))
    first = fit(by_hand, batches)

    train_ds = TensorDataset(x_train, y_train)
    xb, yb = train_ds[0:8]
    print(len(train_ds), list(xb.shape), list(yb.shape), len(train_ds.tensors), train_ds[-1][1])
    train_dl = DataLoader(train_ds, batch_size=bs)
    model = Net()
    second = fit(model, train_dl)
    assert first == second
    for i, (xb, yb) in enumerate(train_dl):
        print(i, list(xb.size()), yb.tolist())
    return second + evaluate(model, DataLoader(train_ds, batch_size=bs * 2, shuffle=True))


def dataset_and_transforms():
    """A dataset class with transforms, read by workers"""
    train_set = ShapesDataset(train=True, transform=transform)
    test_set = ShapesDataset(20, train=False, transform=transform, target_transform=lambda t: 1 - t)
    trainloader = DataLoader(train_set, batch_size=16, shuffle=False, num_workers=2)
    testloader = torch.utils.data.DataLoader(
        test_set, batch_size=7, shuffle=True, num_workers=1, pin_memory=False, drop_last=True
    )
    print(len(trainloader), len(testloader), len(trainloader.dataset), testloader.batch_size)
    dataiter = iter(trainloader)
    images, labels = next(dataiter)
    print(list(images.shape), images.dtype == torch.float32, labels.dtype == torch.int64)
    print(" ".join("%5s" % train_set.classes[labels[j]] for j in range(4)))
    net = Net()
    losses = fit(net, trainloader)
    sizes = [len(y) for _, y in testloader]
    print(sizes)
    whole = DataLoader(test_set, batch_size=len(test_set))
    ((x, y),) = whole
    return losses + evaluate(net, DataLoader(test_set, 6, True)) + [x.mean().item(), y.sum().item()]


def splits_and_subsets():
    """Training, validation and test sets of one dataset; k folds; several sets as one"""
    full = ShapesDataset(41, transform=transform)
    train_size = int(0.8 * len(full))
    train_set, val_set = random_split(
        full, [train_size, len(full) - train_size], generator=torch.Generator().manual_seed(42)
    )
    again, _ = random_split(full, [32, 9], generator=torch.Generator().manual_seed(42))
    print(type(val_set).__name__, len(train_set), len(val_set))
    print(list(train_set.indices) == list(again.indices), val_set.dataset is full)
    print(sorted(list(train_set.indices) + list(val_set.indices)) == list(range(41)))
    print([len(part) for part in random_split(full, [0.5, 0.3, 0.2])])

    net = Net()
    results = []
    indices = list(range(len(full)))
    for fold in range(3):
        held_out = indices[fold::3]
        chosen = [i for i in indices if i not in set(held_out)]
        train_fold = Subset(full, chosen)
        fit(net, DataLoader(train_fold, batch_size=9), epochs=1)
        valid_loader = DataLoader(full, batch_size=4, sampler=SubsetRandomSampler(held_out))
        results += evaluate(net, valid_loader)

    both = ConcatDataset([full, ShapesDataset(5, train=False, transform=transform)])
    more = Subset(full, [0, 1]) + Subset(full, [2]) + Subset(full, range(3, 5))
    print(len(both), both.cumulative_sizes, len(more), [more[i][1] for i in range(len(more))])
    print(torch.equal(both[-1][0], both.datasets[1][4][0]))
    return results + evaluate(net, DataLoader(both, batch_size=10))


def balanced_classes():
    """As many of one class as of the other, although one of them is rare"""
    dataset = ShapesDataset(40, transform=transform)
    class_sample_count = np.bincount(dataset.targets)
    weight = 1.0 / class_sample_count
    samples_weight = torch.from_numpy(np.array([weight[t] for t in dataset.targets]))
    sampler = WeightedRandomSampler(samples_weight.double(), len(samples_weight))
    loader = DataLoader(dataset, batch_size=8, sampler=sampler)
    counts = Counter()
    for _ in range(25):
        for _, target in loader:
            counts.update(target.tolist())
    print(class_sample_count, len(sampler), len(loader), sum(counts.values()))
    print(0.4 < counts[1] / sum(counts.values()) < 0.6)

    only_rare = WeightedRandomSampler([float(t) for t in dataset.targets], 10, replacement=False)
    rare = sorted(only_rare)
    print(rare)
    without_common = WeightedRandomSampler(np.array(dataset.targets), 6)
    return rare + [int(y.sum()) for _, y in DataLoader(dataset, 3, sampler=without_common)]


def pad_collate(batch):
    """Images of several widths to one width, with the widths"""
    batch = sorted(batch, key=lambda item: -item[0].shape[-1])
    widths = torch.tensor([image.shape[-1] for image, _ in batch])
    images = torch.zeros(len(batch), 1, 8, int(widths.max()))
    for i, (image, _) in enumerate(batch):
        images[i, :, :, : image.shape[-1]] = image
    return images, widths, torch.tensor([label for _, label in batch])


Sample = namedtuple("Sample", ["image", "target"])


class Annotated(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        return {
            "image": np.full((2, 2), i, dtype=np.float32),
            "boxes": torch.tensor([i, i + 1]),
            "name": "image%d" % i,
            "size": (i, 2.5 * i),
            "sample": Sample(torch.ones(2) * i, i % 2 == 0),
        }


def collate_functions():
    """Batches of dicts, of tuples with names, of images of several sizes, of nothing"""
    for batch in DataLoader(Annotated(), batch_size=2):
        print(sorted(batch.keys()), batch["name"], list(batch["image"].shape))
        print(
            batch["boxes"].tolist(),
            [s.tolist() for s in batch["size"]],
            type(batch["sample"]).__name__,
        )
        print(list(batch["sample"].image.shape), batch["sample"].target.tolist())

    dataset = ShapesDataset(10, transform=ToTensor())
    widths = [(dataset[i][0][..., : 3 + i % 5], dataset[i][1]) for i in range(10)]
    results = []
    for images, width, labels in DataLoader(widths, batch_size=4, collate_fn=pad_collate):
        print(list(images.shape), width.tolist(), labels.tolist())
        results.append(images.sum().item())

    def skip_broken(batch):
        batch = list(filter(lambda item: item is not None, batch))
        return default_collate(batch)

    some = [item if k % 3 else None for k, item in enumerate(widths)]
    same = [None if item is None else (item[0][..., :3], item[1]) for item in some]
    for images, labels in DataLoader(same, batch_size=5, collate_fn=skip_broken):
        print(list(images.shape), labels.tolist())
    for image, label in DataLoader(dataset, batch_size=None):
        results.append(image.mean().item() + label)
    print([b.tolist() for b in DataLoader(range(7), batch_size=3)])
    print([list(b) for b in DataLoader(list("abcde"), batch_size=2, collate_fn=lambda b: b)])
    numbers, (weights, letters) = default_collate([[1, (2.0, "a")], [3, (4.0, "b")]])
    print(numbers, weights.tolist(), weights.dtype == torch.float64, letters)
    return results


class EvenFirst(Sampler):
    """A sampler of one's own"""

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        n = len(self.data_source)
        return iter(list(range(0, n, 2)) + list(range(1, n, 2)))

    def __len__(self):
        return len(self.data_source)


def samplers_of_all_kinds():
    """The order of items, by samplers"""
    dataset = TensorDataset(torch.arange(10).float(), torch.arange(10) ** 2)
    print(list(EvenFirst(dataset)), list(SequentialSampler(dataset)))
    print(list(BatchSampler(SequentialSampler(dataset), batch_size=3, drop_last=False)))
    print(list(BatchSampler(EvenFirst(dataset), batch_size=3, drop_last=True)))
    print(sorted(RandomSampler(dataset)), len(list(RandomSampler(dataset, True, 25))))
    for x, y in DataLoader(dataset, batch_size=4, sampler=EvenFirst(dataset)):
        print(x.tolist(), y.tolist())
    batch_sampler = BatchSampler(EvenFirst(dataset), 4, True)
    loader = DataLoader(dataset, batch_sampler=batch_sampler, num_workers=2, prefetch_factor=3)
    print(len(loader), [y.tolist() for _, y in loader])

    g = torch.Generator()
    g.manual_seed(0)
    orders = [torch.cat([y for _, y in DataLoader(dataset, 3, True, generator=g)])]
    loader = DataLoader(dataset, batch_size=3, shuffle=True, generator=g)
    orders += [torch.cat([y for _, y in loader]) for _ in range(2)]
    print([order.sort()[0].tolist() for order in orders])
    g.manual_seed(0)
    repeated = torch.cat([y for _, y in DataLoader(dataset, 3, shuffle=True, generator=g)])
    print(torch.equal(repeated, orders[0]), isinstance(loader.sampler, RandomSampler))

    endless = iter(loader)
    seen = 0
    for step in range(11):
        try:
            x, y = next(endless)
        except StopIteration:
            endless = iter(loader)
            x, y = next(endless)
        seen += len(x)
    return [seen] + [x.sum().item() for x, _ in zip(*dataset[:3])]


class CountingStream(IterableDataset):
    """A stream that its workers share"""

    def __init__(self, start, end):
        super().__init__()
        assert end > start
        self.start = start
        self.end = end

    def __iter__(self):
        worker_info = data.get_worker_info()
        if worker_info is None:
            return iter(range(self.start, self.end))
        share = -(-(self.end - self.start) // worker_info.num_workers)
        first = self.start + worker_info.id * share
        return iter(range(first, min(first + share, self.end)))


def streams():
    """Data that come one after the other"""
    ds = CountingStream(3, 11)
    print([b.tolist() for b in DataLoader(ds, batch_size=3)])
    print([b.tolist() for b in DataLoader(ds, batch_size=3, drop_last=True)])
    shared = DataLoader(ds, batch_size=2, num_workers=2)
    seen = sorted(int(i) for batch in shared for i in batch)
    print(seen, data.get_worker_info())
    return seen


SCRIPTS = [
    tensors_in_batches,
    dataset_and_transforms,
    splits_and_subsets,
    balanced_classes,
    collate_functions,
    samplers_of_all_kinds,
    streams,
]
