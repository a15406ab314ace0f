"""Batches of a dataset, made by background threads while the trainer computes."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chainrule.data.dataset import ImageDataset
from chainrule.data.transforms import Transform
from chainrule.errors import ConfigError, DataError
from chainrule.random import Generator, default_generator
from chainrule.tensor import Tensor, as_array
from chainrule.tensor.creation import from_numpy
from chainrule.threads import available_cpus


class Dataset(Protocol):
    """Anything with a length and numbered items: an ImageDataset, or pairs (x, y)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class DataLoader:
    """Iterate over a dataset in batches; each pass is an epoch.

    An ImageDataset gives (images, labels): images float32 (N, C, H, W), channels-last in memory,
    as `transform` left them, or x / 255 where it left bytes; labels int64 (N,). Any other dataset
    gives its items stacked, a tuple of tensors if items are tuples; `transform` gets the first.

    batch_size: items per batch; the last one is smaller unless drop_last leaves it out.
    join_single: a single item that is left over joins the batch before it. A batch norm in training
        cannot normalise one image of one pixel.
    shuffle: a new order each epoch.
    transform: called with a batch (images as (N, H, W, C) bytes) and a NumPy generator.
    seed: from it, the epoch and the batch's number follow all order and chance; neither the number
        of workers nor their timing matters. None: drawn from `generator` or chainrule's own.
    prefetch: batches kept ready; 0 makes each when it is asked for, without threads.
    workers: threads; None: one, or as many as there are CPUs if images are decoded on access.
    Raises ConfigError for impossible values; whatever a dataset or transform raises is raised
    where the loader is iterated.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        shuffle: bool = False,
        transform: Transform | None = None,
        *,
        seed: int | None = None,
        generator: Generator | None = None,
        drop_last: bool = False,
        join_single: bool = False,
        prefetch: int = 4,
        workers: int | None = None,
    ) -> None:
        if workers is None:
            lazy = isinstance(dataset, ImageDataset) and dataset.lazy
            workers = available_cpus() if lazy else 1
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("prefetch", prefetch, 0),
            ("workers", workers, 1),
            ("seed", seed or 0, 0),
        ):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ConfigError(
                    f"DataLoader: {name} must be a whole number of at least {least}, got {value!r}"
                )
        if seed is None:
            seed = int((generator or default_generator).rng.integers(2**63))
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.transform, self.seed, self.drop_last = transform, int(seed), drop_last
        self.join_single = join_single
        self.prefetch, self.workers = prefetch, workers
        self.epoch = 0
        self._running: weakref.WeakSet[Any] = weakref.WeakSet()

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        if self.drop_last or (self.join_single and whole and rest == 1):
            return whole
        return whole + (rest > 0)

    def set_epoch(self, epoch: int) -> None:
        """The number of the next pass. Passes count up by themselves, from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        batches = self._prefetched(epoch) if self.prefetch else self._one_by_one(epoch)
        self._running.add(batches)
        return batches

    def close(self) -> None:
        """End every pass that was begun and not finished, and its threads."""
        for batches in list(self._running):
            batches.close()

    def __enter__(self) -> DataLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one_by_one(self, epoch: int) -> Iterator[Any]:
        order = self._order(epoch)
        for number in range(len(self)):
            yield _as_tensors(self._make(epoch, number, order))

    def _prefetched(self, epoch: int) -> Iterator[Any]:
        order = self._order(epoch)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="chainrule-loader")
        calls = ((epoch, number, order) for number in range(len(self)))
        for batch in results_ahead(pool, self._make, calls, self.prefetch):
            yield _as_tensors(batch)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng([self.seed, epoch]).permutation(count)

    def _make(self, epoch: int, number: int, order: NDArray[np.int64]) -> Any:
        """Batch `number` of an epoch as arrays: a pure function of its arguments and the seed."""
        takes_the_rest = number + 1 == len(self) and not self.drop_last
        end = len(order) if takes_the_rest else (number + 1) * self.batch_size
        chosen = order[number * self.batch_size : end]
        batch = _gather(self.dataset, chosen)
        first = batch[0] if isinstance(batch, tuple) else batch
        if self.transform is not None:
            first = self.transform(first, np.random.default_rng([self.seed, epoch, number]))
        if isinstance(self.dataset, ImageDataset):
            if first.dtype == np.uint8:
                first = np.multiply(first, np.float32(1 / 255), dtype=np.float32)
            first = first.transpose(0, 3, 1, 2)
        return (first, *batch[1:]) if isinstance(batch, tuple) else first


def results_ahead(
    pool: ThreadPoolExecutor,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    ahead: int,
) -> Iterator[Any]:
    """function(*call) of each call, in their order, the next ``ahead`` under way in the pool.

    The pool ends with the calls, and when the consumer breaks off, fails or is interrupted.
    """
    pending: deque[Future[Any]] = deque()
    try:
        for call in calls:
            pending.append(pool.submit(function, *call))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _gather(dataset: Dataset, chosen: NDArray[np.int64]) -> Any:
    """The chosen items as one array, or one array per field of an item."""
    gather = getattr(dataset, "gather", None)
    if gather is not None:
        return gather(chosen)
    items = [dataset[int(index)] for index in chosen]
    if isinstance(items[0], (tuple, list)):
        return tuple(_stack(field) for field in zip(*items, strict=True))
    return _stack(items)


def _stack(values: Any) -> NDArray[Any]:
    arrays = [as_array(value) for value in values]
    try:
        return np.stack(arrays)
    except ValueError as error:
        shapes = sorted({array.shape for array in arrays})
        raise DataError(
            f"DataLoader: cannot stack items of different shapes {shapes[:4]}; "
            "make them equal in the dataset"
        ) from error


def _as_tensors(batch: Any) -> Tensor | tuple[Tensor, ...]:
    if isinstance(batch, tuple):
        return tuple(from_numpy(array) for array in batch)
    return from_numpy(batch)
