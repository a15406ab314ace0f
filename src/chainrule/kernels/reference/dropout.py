"""Dropout, by random numbers that are a function of their place: every tier draws the same."""

import numpy as np

__all__ = ["dropout"]

# Salmon et al. 2011, table 2 and section 3.3.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LANES = 16


def dropout(x: np.ndarray, p: float, key: int) -> np.ndarray:
    """x / (1 - p) where kept, 0 where dropped: element i is dropped if word i < ⌊p 2³²⌋.

    Elements are numbered in the order of channels-last memory, axis 1 innermost (one axis: as
    they come), whatever order they lie in. Words are Philox4x32-10's for a 64-bit key: blocks of
    four words count 0, 1, ..., and each 16 blocks in a row give 64 words, the first words of all
    16 before their second. So key and shape decide the mask, and the gradient is
    dropout(g, p, key). 0 <= p < 1.
    Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
    """
    order = np.moveaxis(x, 1, -1) if x.ndim > 1 else x
    kept = words(key, x.size) >= np.uint32(threshold(p))
    kept = kept.reshape(order.shape)
    if x.ndim > 1:
        kept = np.moveaxis(kept, -1, 1)
    return np.where(kept, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))


def threshold(p: float) -> int:
    """The least word that is kept."""
    return int(p * 2**32)


def words(key: int, count: int) -> np.ndarray:
    """The first `count` random words, uint32."""
    tiles = -(-count // (4 * LANES))
    blocks = np.arange(tiles * LANES, dtype=np.uint64)
    zeros = np.zeros_like(blocks)
    counter = [blocks & np.uint64(0xFFFFFFFF), blocks >> np.uint64(32), zeros, zeros]
    in_tiles = np.stack(philox(counter, (key & 0xFFFFFFFF, key >> 32))).reshape(4, tiles, LANES)
    return in_tiles.transpose(1, 0, 2).reshape(-1)[:count].astype(np.uint32)


def philox(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Philox4x32-10: four random words for each counter of four words, all held in uint64."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    a, b, c, d = counter
    for turn in range(ROUNDS):
        k0, k1 = (
            np.uint64((k + turn * step) & 0xFFFFFFFF)
            for k, step in zip(key, KEY_STEPS, strict=True)
        )
        first, second = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b, c, d = (
            (second >> shift) ^ b ^ k0,
            second & low,
            (first >> shift) ^ d ^ k1,
            first & low,
        )
    return [a, b, c, d]
