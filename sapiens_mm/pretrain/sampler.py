"""Samplers whose epochs can be resumed in the middle."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from sapiens_mm.pretrain.order import Permutation, Plan, Stage, StreamOrder, batches_per_rank
from sapiens_mm.registry import DATA_SAMPLERS

_CHUNK = 8192


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Every picture once per epoch, shuffled, over all processes; nothing of the size of the data set in memory.

    Used as ``DefaultSampler``; the last pictures are filled up with others so that all processes get as many. With
    ``sapiens_mm.DataPositionHook`` a run that resumes within an epoch takes the pictures that are left, also with another number of
    processes or another batch size.

    Args:
        dataset: Has a length.
        shuffle: Another order in each epoch; in the data set's order if False.
        seed: Of the order; agreed on by the processes where None.
    """

    def __init__(self, dataset, shuffle: bool = True, seed: int | None = None):
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.stages: tuple[Stage, ...] = ()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; what was done of another one no longer counts."""
        if epoch != self.epoch:
            self.epoch, self.stages = epoch, ()

    def resume(self, epoch: int, seed: int, stages: tuple[Stage, ...]) -> None:
        """Go on after these parts of an epoch."""
        self.epoch, self.seed, self.stages = epoch, seed, stages

    def __len__(self) -> int:
        """Samples of this process in a whole epoch."""
        return math.ceil(self.size / self.world_size)

    def __iter__(self) -> Iterator[int]:
        """The samples of this process that are left in this epoch."""
        done = min(sum(stage.world_size * stage.batch_size * stage.batches for stage in self.stages), self.size)
        order = Permutation(self.size, (self.seed, self.epoch)) if self.shuffle else np.asarray
        count = math.ceil((self.size - done) / self.world_size)
        for start in range(0, count, _CHUNK):
            steps = np.arange(start, min(start + _CHUNK, count))
            yield from order((done + self.rank + self.world_size * steps) % self.size).tolist()


class Ticket(NamedTuple):
    """A place in a stream, instead of an index: item ``item`` of batch ``batch`` of a plan."""

    plan: Plan
    batch: int
    item: int


@DATA_SAMPLERS.register_module()
class StreamBatchSampler(Sampler):
    """Batches of places in a stream, for ``sapiens_mm.ShardedHumanImages``, whose workers each read shards of their own.

    In a config: ``sampler=dict(type='sapiens_mm.ResumableSampler'), batch_sampler=dict(type='sapiens_mm.StreamBatchSampler')``.

    Args:
        sampler: A ``sapiens_mm.ResumableSampler``; it keeps seed, epoch and what is done of it.
        batch_size: Samples per batch.
        drop_last: Leave out what fills no whole batch; else it is filled up with samples that have been.
    """

    def __init__(self, sampler: ResumableSampler, batch_size: int, drop_last: bool = False):
        if not isinstance(sampler, ResumableSampler):
            raise ValueError("StreamBatchSampler needs sampler=dict(type='sapiens_mm.ResumableSampler'), got "
                             f'{type(sampler).__name__}')
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __len__(self) -> int:
        """Batches of this process in a whole epoch."""
        return batches_per_rank(self.sampler.size, self.sampler.world_size, self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[list[Ticket]]:
        s = self.sampler
        plan = Plan(s.seed, s.epoch, s.world_size, s.rank, self.batch_size, self.drop_last, s.shuffle, s.stages)
        left = StreamOrder(s.size, s.seed, s.epoch, 1, self.drop_last, s.stages).count
        for batch in range(batches_per_rank(left, s.world_size, self.batch_size, self.drop_last)):
            yield [Ticket(plan, batch, item) for item in range(self.batch_size)]
