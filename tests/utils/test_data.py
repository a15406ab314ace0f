"""`chainrule.utils.data`: what loaders, samplers and datasets give, and beside PyTorch's."""

from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.utils import data
from chainrule.utils.data import DataLoader, TensorDataset

Pair = namedtuple("Pair", "image label")


class Squares(data.Dataset):
    """Item i is (i, i²)."""

    def __init__(self, count=10):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return np.full((2, 3), i, np.float32), i * i


class Stream(data.IterableDataset):
    def __iter__(self):
        return iter(range(7))

    def __len__(self):
        return 7


def test_batches_of_tensors():
    x, y = cr.randn(10, 3), cr.arange(10)
    batches = list(DataLoader(TensorDataset(x, y), batch_size=4))
    assert [len(images) for images, _ in batches] == [4, 4, 2]
    assert cr.equal(cr.cat([images for images, _ in batches]), x)
    assert cr.equal(cr.cat([labels for _, labels in batches]), y)
    assert isinstance(batches[0], list)


def test_shuffling_gives_each_item_once_and_another_order_each_epoch():
    loader = DataLoader(Squares(50), 7, shuffle=True, generator=cr.Generator(3))
    epochs = [cr.cat([squares for _, squares in loader]).tolist() for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [i * i for i in range(50)]
    again = DataLoader(Squares(50), 7, shuffle=True, generator=cr.Generator(3))
    assert cr.cat([squares for _, squares in again]).tolist() == epochs[0]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_neither_order_nor_content(workers):
    alone = list(DataLoader(Squares(), 3, shuffle=True, generator=cr.Generator(0)))
    generator = cr.Generator(0)
    loader = DataLoader(Squares(), 3, shuffle=True, generator=generator, num_workers=workers)
    for ours, theirs in zip(loader, alone, strict=True):
        assert all(map(cr.equal, ours, theirs))


def test_workers_know_who_they_are():
    begun = []

    class Asks(Squares):
        def __getitem__(self, i):
            return data.get_worker_info().num_workers

    loader = DataLoader(Asks(), 5, num_workers=2, worker_init_fn=begun.append)
    assert [batch.tolist() for batch in loader] == [[2] * 5] * 2
    assert begun and set(begun) <= {0, 1}
    assert data.get_worker_info() is None


def test_an_error_in_a_worker_reaches_the_caller_and_breaking_off_ends_the_threads():
    class Fails(Squares):
        def __getitem__(self, i):
            if i == 6:
                raise KeyError("item 6")
            return i

    batches = iter(DataLoader(Fails(), 2, num_workers=2))
    assert next(batches).tolist() == [0, 1]
    with pytest.raises(KeyError, match="item 6"):
        list(batches)
    for _ in DataLoader(Squares(1000), 1, num_workers=2):
        break


def test_streams():
    assert [b.tolist() for b in DataLoader(Stream(), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in DataLoader(Stream(), 3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(DataLoader(Stream(), None)) == list(range(7))
    assert [len(DataLoader(Stream(), *a)) for a in ((3,), (None,))] == [3, 7]
    assert list(Stream() + Stream()) == [*range(7)] * 2


def test_single_items():
    items = list(DataLoader(Squares(3), batch_size=None))
    assert cr.equal(items[2][0], cr.full((2, 3), 2.0))
    assert items[2][1] == 4


def test_datasets_of_datasets():
    joined = Squares(3) + Squares(2)
    assert [joined[i][1] for i in range(-5, 5)] == [0, 1, 4, 0, 1] * 2
    with pytest.raises(IndexError):
        joined[5]
    stacked = data.StackDataset(Squares(3), Squares(3))
    assert len(stacked) == 3 and stacked[2][1][1] == 4
    assert data.StackDataset(a=Squares(3))[1]["a"][1] == 1
    subset = data.Subset(Squares(), [4, 2])
    assert [subset[i][1] for i in range(len(subset))] == [16, 4]
    parts = data.random_split(Squares(), [0.55, 0.25, 0.2], cr.Generator(0))
    assert [len(p) for p in parts] == [6, 2, 2]
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    assert [len(p) for p in data.random_split(Squares(), [7, 3])] == [7, 3]


def test_samplers():
    heavy = data.WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=cr.Generator(0))
    counts = np.bincount(list(heavy), minlength=3)
    assert counts[0] == 0
    assert 2.7 < counts[2] / counts[1] < 3.4
    assert sorted(data.WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]
    assert sorted(data.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    drawn = list(data.RandomSampler(range(4), num_samples=10))
    assert len(drawn) == 10 and sorted(drawn[:4]) == [0, 1, 2, 3]
    assert len(list(data.RandomSampler(range(4), True, 9))) == 9
    batches = data.BatchSampler(data.SequentialSampler(range(5)), 2, False)
    assert list(batches) == [[0, 1], [2, 3], [4]]
    loader = DataLoader(Squares(), batch_sampler=[[1, 2], [3]])
    assert [squares.tolist() for _, squares in loader] == [[1, 4], [9]]
    assert loader.batch_size is None
    ends = DataLoader(Squares(), 2, sampler=[9, 0])
    assert [squares.tolist() for _, squares in ends] == [[81, 0]]


ITEMS = {
    "numbers": [1, 2],
    "floats": [1.5, 2.5],
    "booleans": [True, False],
    "texts": ["a", "b"],
    "arrays": [np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)],
    "NumPy's numbers": [np.float32(1), np.float32(2)],
    "tuples": [(1, "a", 0.5), (2, "b", 0.25)],
    "dicts": [{"x": 1, "y": [1.0, 2.0]}, {"x": 2, "y": [3.0, 4.0]}],
    "named": [Pair(1, 2), Pair(3, 4)],
}


def plain(batch):
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch).__name__, [plain(value) for value in batch]
    if isinstance(batch, str):
        return batch
    return str(batch.dtype).removeprefix("torch."), batch.tolist()


@pytest.mark.parity
@pytest.mark.parametrize("name", ITEMS)
def test_collating_is_pytorchs(name):
    torch = pytest.importorskip("torch", reason="compared with PyTorch's")
    theirs = torch.utils.data.default_collate(ITEMS[name])
    assert plain(data.default_collate(ITEMS[name])) == plain(theirs)


@pytest.mark.parity
def test_signatures_are_pytorchs():
    import inspect

    torch = pytest.importorskip("torch", reason="compared with PyTorch's")
    for name in ("DataLoader", "RandomSampler", "WeightedRandomSampler", "BatchSampler",
                 "SubsetRandomSampler", "random_split"):  # fmt: skip
        ours, theirs = (
            inspect.signature(getattr(room, name)).parameters for room in (data, torch.utils.data)
        )
        assert list(ours) == list(theirs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: DataLoader(Squares(), 0), ConfigError, "batch_size must be a positive"),
        (lambda: DataLoader(Squares(), num_workers=-1), ConfigError, "must not be negative"),
        (lambda: DataLoader(Squares(), prefetch_factor=2), ConfigError, "needs num_workers"),
        (lambda: DataLoader(Stream(), shuffle=True), ConfigError, "in its own order"),
        (lambda: DataLoader(Squares(), shuffle=True, sampler=[1]), ConfigError, "exclude each"),
        (lambda: DataLoader(Squares(), 2, batch_sampler=[[1]]), ConfigError, "batch_sampler"),
        (lambda: DataLoader(Squares(), None, drop_last=True), ConfigError, "makes no batches"),
        (lambda: data.random_split(Squares(), [3, 3]), ConfigError, "add up to 6"),
        (lambda: data.WeightedRandomSampler([-1.0], 2), ConfigError, "not negative"),
        (lambda: data.ConcatDataset([]), ConfigError, "at least one"),
        (lambda: data.StackDataset(Squares(2), Squares(3)), ShapeError, "differ in length"),
        (lambda: data.default_collate([np.ones(2), np.ones(3)]), ShapeError, "different shapes"),
        (lambda: data.default_collate([(1,), (1, 2)]), ShapeError, "differ in length"),
        (lambda: data.default_collate([object()]), DTypeError, "cannot make a batch of object"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_it_is_found_by_its_name():
    assert cr.utils.data is data
    with pytest.raises(AttributeError, match="has no DistributedSampler"):
        data.DistributedSampler  # noqa: B018
