"""Nearest neighbours beside FAISS and scikit-learn: ``python -m benchmarks.neighbours``.

    pip install ".[classic]" faiss-cpu
    python -m benchmarks.neighbours --data cifar10-jpg.zip --json benchmarks/results/neighbours.json

Sizes are those of images: 500 queries against 5,000 points and 10,000 against 50,000 of 3072
numbers (CIFAR-10), 10,000 against 60,000 of 784 (MNIST). Peers are exact searches too: FAISS's
flat index and scikit-learn's algorithm="brute", in float32; ours is given float32 and bytes. All
run in one process, in turns, on the same number of threads; ratios are the median over rounds.
The peers' index or fit is made beforehand, and holds a copy of the points in FAISS.

Without --data, points are random bytes: the hardest there are, since all are about equally far.
Images are tiled or cut to the sizes, which makes 784 numbers of CIFAR-10's first.

Memory is the most that the process grows by during a search, results included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CASES = {  # queries, points, numbers of each
    "500 x 5,000 x 3072": (500, 5_000, 3072),
    "10,000 x 60,000 x 784": (10_000, 60_000, 784),
    "10,000 x 50,000 x 3072": (10_000, 50_000, 3072),
}
NEIGHBOURS = 5
Step = Callable[[], Any]


def rows(data: str | None, count: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(count, width) bytes."""
    if data is None:
        return rng.integers(0, 256, (count, width), np.uint8)
    from chainrule.data import load

    splits = load(data)
    parts = [split.gather(np.arange(len(split)))[0] for split in (splits.test, splits.train)]
    pixels = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in parts])
    return np.ascontiguousarray(np.resize(pixels[:, :width], (count, width)))


def sides(queries: np.ndarray, points: np.ndarray, metric: str, threads: int) -> dict[str, Step]:
    """A search by each library that is installed, ours first."""
    from chainrule import kernels

    single, single_queries = points.astype(np.float32), queries.astype(np.float32)
    found: dict[str, Step] = {
        "chainrule float32": lambda: kernels.nearest(single_queries, single, NEIGHBOURS, metric),
        "chainrule uint8": lambda: kernels.nearest(queries, points, NEIGHBOURS, metric),
    }
    try:
        import faiss
    except ImportError:
        print("without FAISS: pip install faiss-cpu", file=sys.stderr)
    else:
        faiss.omp_set_num_threads(threads)
        kind = {"l2": faiss.METRIC_L2, "l1": faiss.METRIC_L1}[metric]
        index = faiss.IndexFlat(points.shape[1], kind)
        index.add(single)
        found["FAISS"] = lambda: index.search(single_queries, NEIGHBOURS)

    from sklearn.neighbors import NearestNeighbors

    name = {"l2": "euclidean", "l1": "manhattan"}[metric]
    brute = NearestNeighbors(n_neighbors=NEIGHBOURS, metric=name, algorithm="brute").fit(single)
    found["scikit-learn"] = lambda: brute.kneighbors(single_queries)
    return found


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_megabytes(step: Step) -> float:
    """The most that the process grows by while a step runs, seen every few milliseconds."""
    start, most, over = resident(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.003):
            most[0] = max(most[0], resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = step()
    over.set()
    watcher.join()
    del result
    return most[0] / 1e6


def measure(steps: dict[str, Step], rounds: int) -> dict[str, Any]:
    """Seconds of each round, and peak memory of the first, of each side in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    megabytes: dict[str, float] = {}
    for number in range(rounds):
        for name, step in steps.items():
            time.sleep(0.05)  # let the threads of the side before fall asleep
            start = time.perf_counter()
            if number == 0:
                megabytes[name] = round(peak_megabytes(step), 1)
            else:
                step()
            seconds[name].append(round(time.perf_counter() - start, 4))
    return {"seconds": seconds, "megabytes": megabytes}


def ratios(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """How many times as fast as each peer ours are: median over the rounds."""
    seconds = {name: np.array(times) for name, times in result["seconds"].items()}
    ours = [name for name in seconds if name.startswith("chainrule")]
    return {
        name: {
            peer: round(float(np.median(seconds[peer] / seconds[name])), 2)
            for peer in seconds
            if peer not in ours
        }
        for name in ours
    }


def report(title: str, result: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, times in result["seconds"].items():
        faster = result["ratios"].get(name, {})
        against = "".join(f"   {ratio:.2f}x {peer}" for peer, ratio in faster.items())
        memory = result["megabytes"][name]
        print(f"  {name:18}{np.median(times):9.3f} s{memory:9.1f} MB{against}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neighbours", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", help="images, as for `chainrule train`; else random bytes")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--metrics", nargs="+", choices=["l2", "l1"], default=["l2"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)

    from threadpoolctl import threadpool_limits

    from chainrule.threads import set_num_threads

    set_num_threads(options.threads)
    results: dict[str, Any] = {}
    with threadpool_limits(options.threads):
        for case in options.cases:
            queries, points, width = CASES[case]
            rng = np.random.default_rng(0)
            both = rows(options.data, queries + points, width, rng)
            for metric in options.metrics:
                steps = sides(both[:queries], both[queries:], metric, options.threads)
                result = measure(steps, options.rounds)
                result["ratios"] = ratios(result)
                results[f"{case}, {metric}"] = result
                report(f"{case}, {metric}, {options.threads} threads", result)
                if options.json:
                    facts = {"data": Path(options.data).name if options.data else "random bytes",
                             "threads": options.threads, "results": results}  # fmt: skip
                    options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
