import gc
import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import (
    Compose,
    DataLoader,
    ImageDataset,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    TensorDataset,
)
from chainrule.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (50, 6, 4, 3), np.uint8)
DATASET = ImageDataset.from_arrays(IMAGES, np.arange(50) % 7)
AUGMENT = Compose([RandomCrop(1), RandomHorizontalFlip(), Normalize([0.5] * 3, [0.2] * 3)])


def arrays(loader: DataLoader) -> list[np.ndarray]:
    return [tensor.numpy() for batch in loader for tensor in batch]


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def test_batches_of_images():
    batches = list(DataLoader(DATASET, 16))
    assert [len(labels) for _, labels in batches] == [16, 16, 16, 2]
    images, labels = batches[0]
    assert isinstance(images, cr.Tensor) and images.shape == (16, 3, 6, 4)
    assert images.dtype == np.float32 and labels.dtype == np.int64
    assert images.array.transpose(0, 2, 3, 1).flags.c_contiguous  # channels-last
    np.testing.assert_allclose(images.numpy(), IMAGES[:16].transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([y.numpy() for _, y in batches]), DATASET.labels)
    assert not images.requires_grad


@pytest.mark.parametrize(
    "count, size, drop, expected",
    [
        (50, 16, False, 4),
        (50, 16, True, 3),
        (48, 16, False, 3),
        (48, 16, True, 3),
        (0, 16, False, 0),
        (5, 16, False, 1),
        (5, 16, True, 0),
    ],
)
def test_length(count, size, drop, expected):
    loader = DataLoader(DATASET.subset(range(count)), size, drop_last=drop)
    assert len(loader) == expected == len(list(loader))


@pytest.mark.parametrize(
    "count, size, sizes",
    [
        (50, 7, [7] * 6 + [8]),
        (50, 49, [50]),
        (50, 16, [16, 16, 16, 2]),
        (48, 16, [16, 16, 16]),
        (3, 1, [1, 1, 1]),
        (1, 16, [1]),
        (0, 16, []),
    ],
)
@pytest.mark.parametrize("prefetch", [0, 4])
def test_a_single_item_joins_the_batch_before_it(count, size, sizes, prefetch):
    settings = {"shuffle": True, "seed": 2, "prefetch": prefetch}
    dataset = TensorDataset(np.arange(count))
    joined = DataLoader(dataset, size, join_single=True, **settings)
    batches = [x.numpy() for (x,) in joined]
    assert [len(x) for x in batches] == sizes and len(joined) == len(sizes)
    apart = [x.numpy() for (x,) in DataLoader(dataset, size, **settings)]
    if sizes:  # the same order, cut otherwise
        np.testing.assert_array_equal(np.concatenate(batches), np.concatenate(apart))
    dropping = DataLoader(dataset, size, join_single=True, drop_last=True, **settings)
    assert [len(x) for (x,) in dropping] == [size] * (count // size)


def test_shuffling_visits_each_image_once_in_an_order_of_its_own_each_epoch():
    loader = DataLoader(TensorDataset(np.arange(50)), 8, shuffle=True, seed=0)
    epochs = [np.concatenate(arrays(loader)) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(50))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3


@pytest.mark.parametrize(
    "options",
    [{"workers": 1}, {"workers": 4}, {"prefetch": 1}, {"prefetch": 0}, {"prefetch": 100}],
    ids=str,
)
def test_bits_do_not_depend_on_threads(options):
    def jitter(images, rng):
        time.sleep(float(np.random.default_rng().random()) * 0.003)
        return AUGMENT(images, rng)

    plain = DataLoader(DATASET, 8, shuffle=True, transform=AUGMENT, seed=3)
    other = DataLoader(DATASET, 8, shuffle=True, transform=jitter, seed=3, **options)
    for _ in range(2):
        assert equal(arrays(plain), arrays(other))


def test_a_batch_depends_on_seed_epoch_and_number_only():
    make = lambda seed: DataLoader(DATASET, 8, shuffle=True, transform=AUGMENT, seed=seed)  # noqa: E731
    loader = make(3)
    first, second = arrays(loader), arrays(loader)
    assert not equal(first, second)
    resumed = make(3)
    resumed.set_epoch(1)
    assert equal(arrays(resumed), second)
    assert not equal(arrays(make(4)), first)


def test_augmentation_is_not_the_same_in_each_batch():
    same = ImageDataset.from_arrays(np.repeat(IMAGES[:1], 64, axis=0), np.zeros(64, int))
    first, second = (x.numpy() for x, _ in DataLoader(same, 32, transform=AUGMENT, seed=0))
    assert not np.array_equal(first, second)


def test_the_seed_comes_from_chainrules_generator_or_a_given_one():
    cr.manual_seed(5)
    first = arrays(DataLoader(DATASET, 8, shuffle=True))
    cr.manual_seed(5)
    assert equal(arrays(DataLoader(DATASET, 8, shuffle=True)), first)
    given = [DataLoader(DATASET, shuffle=True, generator=cr.Generator(1)).seed for _ in range(2)]
    assert given[0] == given[1]


class Failing:
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[int, int]:
        if index == 13:
            raise RuntimeError("item 13 is broken")
        return index, index


@pytest.mark.parametrize("prefetch", [0, 4])
def test_errors_reach_the_consumer_in_their_place(prefetch):
    before = threading.active_count()
    seen = []
    with pytest.raises(RuntimeError, match="item 13 is broken"):
        for x, _ in DataLoader(Failing(), 4, prefetch=prefetch):
            seen += x.tolist()
    assert seen == list(range(12))
    gc.collect()
    assert threading.active_count() == before


def slow(images, rng):
    time.sleep(0.01)
    return images


def test_breaking_off_leaves_no_threads_and_makes_no_more_batches():
    before = threading.active_count()
    calls = []
    loader = DataLoader(
        DATASET, 1, transform=lambda x, rng: calls.append(1) or slow(x, rng), workers=3
    )
    for _ in loader:
        break
    assert threading.active_count() == before
    count = len(calls)
    assert count <= loader.prefetch + 1 + loader.workers
    time.sleep(0.05)
    assert len(calls) == count


def test_an_interrupt_leaves_no_threads():
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        for number, _ in enumerate(DataLoader(DATASET, 1, transform=slow)):
            if number == 2:
                raise KeyboardInterrupt
    gc.collect()
    assert threading.active_count() == before


def test_close_ends_what_was_begun():
    before = threading.active_count()
    with DataLoader(DATASET, 1, transform=slow) as loader:
        batches = iter(loader)
        next(batches)
        assert threading.active_count() > before
    assert threading.active_count() == before
    assert next(batches, None) is None
    assert len(list(loader)) == 50  # it can be used again


def test_it_prefetches_while_the_consumer_works():
    made = []
    loader = DataLoader(DATASET, 5, transform=lambda x, rng: made.append(1) or x, prefetch=4)
    batches = iter(loader)
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(made) == 5
    loader.close()


def test_two_passes_at_once():
    loader = DataLoader(TensorDataset(np.arange(10)), 2)
    pairs = [(a.tolist(), b.tolist()) for (a,), (b,) in zip(loader, loader, strict=True)]
    assert len(pairs) == 5 and all(a == b for a, b in pairs)


def test_pairs_are_stacked():
    pairs = [(np.full((2, 3), i, np.float32), i) for i in range(5)]
    x, y = next(iter(DataLoader(pairs, 4)))
    assert x.shape == (4, 2, 3) and x.dtype == np.float32
    assert y.tolist() == [0, 1, 2, 3] and y.dtype == np.int64


def test_single_values_tensors_and_floats():
    assert [x.tolist() for x in DataLoader([1, 2, 3], 2)] == [[1, 2], [3]]
    x, y = next(iter(DataLoader([(cr.ones(2), 0.5)] * 3, 3)))
    assert x.shape == (3, 2) and y.dtype == np.float32


def test_tensor_dataset_with_transform():
    dataset = TensorDataset(cr.arange(6), cr.arange(6))
    loader = DataLoader(dataset, 3, transform=lambda x, rng: x * 10)
    assert [(x.tolist(), y.tolist()) for x, y in loader] == [
        ([0, 10, 20], [0, 1, 2]),
        ([30, 40, 50], [3, 4, 5]),
    ]


def test_items_of_different_shapes():
    with pytest.raises(DataError, match=r"cannot stack items of different shapes \[\(2,\), \(3,\)"):
        list(DataLoader([np.zeros(2), np.zeros(3)], 2))


@pytest.mark.parametrize(
    "settings",
    [{"batch_size": 0}, {"batch_size": 1.5}, {"prefetch": -1}, {"workers": 0}, {"seed": -1}],
)
def test_impossible_settings(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        DataLoader(DATASET, **settings)
