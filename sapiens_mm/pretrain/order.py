"""In which order an epoch's pictures come, and which are left when it is interrupted.

Everything follows from (seed, epoch) and from how many batches were trained on, so that a resumed run takes exactly the pictures
that are left, whatever was read ahead when it stopped.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Stage(NamedTuple):
    """A part of an epoch without interruption: each of ``world_size`` processes, with ``num_workers`` loader workers (0: none),
    trained on ``batches`` of ``batch_size``."""

    world_size: int
    num_workers: int
    batch_size: int
    batches: int


class Permutation:
    """A pseudo-random order of 0 .. size - 1 that needs no memory: a Feistel network, walked until it lands in range.

    Args:
        size: Number of elements.
        seed: Integers; other ones give another order.
    """

    def __init__(self, size: int, seed: tuple[int, ...]):
        self.size = size
        self._half = np.uint64(max(1, math.ceil(max(size - 1, 1).bit_length() / 2)))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys = np.random.SeedSequence(seed).generate_state(6, np.uint64)

    def _rounds(self, x: np.ndarray) -> np.ndarray:
        left, right = x >> self._half, x & self._mask
        for key in self._keys:
            mixed = right + key
            for shift, factor in ((30, 0xbf58476d1ce4e5b9), (27, 0x94d049bb133111eb)):  # SplitMix64
                mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
            left, right = right, left ^ (mixed ^ (mixed >> np.uint64(31))) & self._mask
        return (left << self._half) | right

    def __call__(self, index: np.ndarray) -> np.ndarray:
        """Elements (N,) at places (N,) of the order."""
        with np.errstate(over='ignore'):
            x = self._rounds(np.asarray(index, np.uint64))
            while (outside := x >= self.size).any():
                x[outside] = self._rounds(x[outside])
        return x.astype(np.int64)


class Plan(NamedTuple):
    """All that decides which samples a process gets from a stream: of an epoch, or of what ``stages`` have left of it."""

    seed: int
    epoch: int
    world_size: int
    rank: int
    batch_size: int
    drop_last: bool
    shuffle: bool
    stages: tuple[Stage, ...]


def batches_per_rank(count: int, world_size: int, batch_size: int, drop_last: bool) -> int:
    """Batches that each process gets from ``count`` samples."""
    if drop_last:
        return count // world_size // batch_size
    return math.ceil(math.ceil(count / world_size) / batch_size)


class _Level:
    """``count`` samples in a row, cut into one slot for each worker of each process.

    Batch k of a process comes from worker k modulo the number of workers, as PyTorch's loader asks for them.
    """

    def __init__(self, count: int, world_size: int, num_workers: int, batch_size: int, drop_last: bool):
        self.workers = max(num_workers, 1)
        self.batch_size = batch_size
        self.batches = batches_per_rank(count, world_size, batch_size, drop_last)
        shares = np.array([len(range(w, self.batches, self.workers)) for w in range(self.workers)]) * batch_size
        ranks = np.arange(world_size + 1) * count // world_size
        starts = ranks[:-1, None] + np.append(0, shares.cumsum()[:-1])
        self.bounds = np.append(np.minimum(starts, ranks[1:, None]).ravel(), count)  # of slot rank * workers + worker

    def consumed(self, batches: int) -> np.ndarray:
        """Samples that each slot has given after so many batches."""
        per_worker = np.array([len(range(w, batches, self.workers)) for w in range(self.workers)]) * self.batch_size
        return np.minimum(np.tile(per_worker, (len(self.bounds) - 1) // self.workers), np.diff(self.bounds))


class StreamOrder:
    """Which places of a stream are taken by which worker, and in which order.

    A stream of ``count`` samples is read from front to back; a sample is handed out within ``window`` samples of where it lies,
    which is what has to be kept in memory.

    Args:
        count: Samples in the stream.
        seed: Of the shuffling.
        epoch: Likewise.
        window: Number of samples that are shuffled among each other; 1 keeps the order.
        drop_last: Whether a last batch that is not whole is left out.
        stages: What was done of the epoch.
    """

    def __init__(self, count: int, seed: int, epoch: int, window: int, drop_last: bool = False, stages: tuple[Stage, ...] = ()):
        self.seed, self.epoch, self.window, self.drop_last = seed, epoch, window, drop_last
        self._counts, self._levels, self._left = [count], [], []
        for stage in stages:
            level = _Level(self._counts[-1], stage.world_size, stage.num_workers, stage.batch_size, drop_last)
            left = np.diff(level.bounds) - level.consumed(stage.batches)
            self._levels.append((level, stage.batches))
            self._left.append(np.append(0, left.cumsum()))
            self._counts.append(int(left.sum()))

    @property
    def count(self) -> int:
        """Samples that are left."""
        return self._counts[-1]

    def _shuffled(self, depth: int, slot: int, length: int) -> np.ndarray:
        if self.window <= 1:
            return np.arange(length)
        rng = np.random.default_rng((self.seed, self.epoch, depth, slot))
        # No element moves past one that lies more than the window behind it.
        return np.argsort(np.arange(length) + rng.random(length) * self.window, kind='stable')

    def _take(self, depth: int, start: int, stop: int, known: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
        """Places in the stream of the samples ``start`` to ``stop`` of those that are left at a depth.

        ``known`` keeps what slots have left: neighbours share the slots below them, and each would ask for theirs again.
        """
        if depth == 0:
            return np.arange(start, stop)
        level, batches = self._levels[depth - 1]
        ends, consumed, parts = self._left[depth - 1], level.consumed(batches), [np.zeros(0, np.int64)]
        for slot in range(int(np.searchsorted(ends, start, 'right')) - 1, len(ends) - 1):
            if ends[slot] >= stop:
                break
            if (depth, slot) not in known:
                first, last = int(level.bounds[slot]), int(level.bounds[slot + 1])
                left = np.sort(self._shuffled(depth - 1, slot, last - first)[consumed[slot]:])
                known[depth, slot] = self._take(depth - 1, first, last, known)[left] if len(left) else left
            parts.append(known[depth, slot][max(start - ends[slot], 0):stop - ends[slot]])
        return np.concatenate(parts)

    def of_worker(self, world_size: int, rank: int, num_workers: int, worker: int, batch_size: int) -> np.ndarray:
        """Places in the stream that a worker takes, in the order in which it hands them out: whole batches.

        The places are ascending but for the shuffling; the last batch is filled up from the worker's first samples.
        """
        level = _Level(self.count, world_size, num_workers, batch_size, self.drop_last)
        slot = rank * level.workers + worker
        start, stop = int(level.bounds[slot]), int(level.bounds[slot + 1])
        wanted = len(range(worker, level.batches, level.workers)) * batch_size
        if start == stop:  # fewer samples than workers
            start, stop = 0, self.count
        places = self._take(len(self._levels), start, stop, {})
        places = places[self._shuffled(len(self._levels), slot, len(places))]
        return np.resize(places, wanted) if len(places) else places
