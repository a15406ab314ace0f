"""PyTorch's DataLoader over any dataset; its workers are threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.loader import results_ahead
from chainrule.errors import ConfigError
from chainrule.random import Generator, default_generator
from chainrule.tensor.creation import from_numpy
from chainrule.utils.data.collate import default_collate, default_convert
from chainrule.utils.data.dataset import IterableDataset
from chainrule.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler


class WorkerInfo(NamedTuple):
    """Which worker a thread is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Here(threading.local):
    worker: WorkerInfo | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """In a worker thread of a `DataLoader`, which one it is; else None."""
    return _here.worker


class DataLoader:
    """Iterate over a dataset in batches; each pass is an epoch.

    dataset: numbered items (``__getitem__`` and ``__len__``) or a stream (`IterableDataset`).
    batch_size: None gives single items. shuffle: a new random order each epoch. sampler,
    batch_sampler: whose indices, or lists of indices, to take instead. drop_last leaves out a
    shorter last batch. collate_fn makes a batch of a list of items (`default_collate`).
    num_workers: threads that prepare batches ahead, ``prefetch_factor`` (2) for each; order and
    content do not depend on them. A stream is read by the caller's thread, whatever their number.
    generator: what orders are drawn from.
    pin_memory, timeout, multiprocessing_context, persistent_workers, pin_memory_device and
    in_order are accepted and change nothing.
    Raises ConfigError for settings that contradict each other.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        is_stream = isinstance(dataset, IterableDataset)
        _check(
            is_stream, batch_size, shuffle, sampler, batch_sampler, num_workers, drop_last,
            prefetch_factor,
        )  # fmt: skip
        self.dataset, self.num_workers, self.generator = dataset, num_workers, generator
        self.pin_memory, self.timeout, self.worker_init_fn = pin_memory, timeout, worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.persistent_workers, self.pin_memory_device = persistent_workers, pin_memory_device
        self.in_order, self.prefetch_factor = in_order, prefetch_factor
        if num_workers and prefetch_factor is None:
            self.prefetch_factor = 2
        self.drop_last = drop_last
        self.batch_size = None if batch_sampler is not None else batch_size
        if sampler is None and not is_stream:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else None
            sampler = SequentialSampler(dataset) if sampler is None else sampler
        self.sampler = sampler
        if batch_sampler is None and batch_size is not None and not is_stream:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self.batch_sampler = batch_sampler
        batched = batch_sampler is not None or (is_stream and batch_size is not None)
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)

    def __len__(self) -> int:
        """Batches in an epoch."""
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._of_stream()
        indices = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        return self._by_workers(indices) if self.num_workers else map(self._fetch, indices)

    def _of_stream(self) -> Iterator[Any]:
        items = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, items)
            return
        while batch := list(itertools.islice(items, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def _fetch(self, index: Any) -> Any:
        """The batch of these indices; or the item, where there are no batches."""
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[index])
        gather = getattr(self.dataset, "gather", None)
        if gather is not None and self.collate_fn is default_collate:
            parts = gather(np.asarray(index, np.int64))
            return [from_numpy(part) for part in parts] if isinstance(parts, tuple) else parts
        fetch_all = getattr(self.dataset, "__getitems__", None)
        items = fetch_all(index) if fetch_all else [self.dataset[i] for i in index]
        return self.collate_fn(items)

    def _by_workers(self, indices: Iterator[Any]) -> Iterator[Any]:
        seed = int((self.generator or default_generator).rng.integers(2**62))
        numbers = itertools.count()

        def begin() -> None:
            number = next(numbers)
            _here.worker = WorkerInfo(number, self.num_workers, seed + number, self.dataset)
            if self.worker_init_fn is not None:
                self.worker_init_fn(number)

        pool = ThreadPoolExecutor(self.num_workers, "chainrule-loader", begin)
        ahead = self.num_workers * (self.prefetch_factor or 1)
        return results_ahead(pool, self._fetch, ((index,) for index in indices), ahead)


def _check(
    is_stream: bool, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any,
    num_workers: Any, drop_last: bool, prefetch_factor: Any,
) -> None:  # fmt: skip
    """Complain of settings that contradict each other."""
    wrong = None
    if num_workers < 0:
        wrong = f"num_workers must not be negative, got {num_workers}; 0 uses no threads"
    elif prefetch_factor is not None and (num_workers == 0 or prefetch_factor < 1):
        wrong = "prefetch_factor is a positive number, and needs num_workers"
    elif is_stream and (shuffle or sampler is not None or batch_sampler is not None):
        wrong = "a stream (IterableDataset) comes in its own order: no shuffle, no sampler"
    elif sampler is not None and shuffle:
        wrong = "sampler and shuffle exclude each other"
    elif batch_sampler is not None and (
        batch_size != 1 or shuffle or sampler is not None or drop_last
    ):
        wrong = "batch_sampler excludes batch_size, shuffle, sampler and drop_last"
    elif batch_size is None and drop_last:
        wrong = "batch_size=None makes no batches: drop_last has nothing to leave out"
    elif batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        wrong = f"batch_size must be a positive whole number or None, got {batch_size!r}"
    if wrong:
        raise ConfigError(f"DataLoader: {wrong}")
