"""Randomness that depends on where training is, not on how it got there."""
from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from sapiens_mm.registry import HOOKS


def seed_everything(*entropy: int) -> None:
    """Seed Python, NumPy and PyTorch from a few numbers (not cuDNN's choice of algorithms)."""
    words = np.random.SeedSequence([n % 2**63 for n in entropy]).generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(words[0])
    torch.manual_seed(int(words[1]))


class _SeedSample:
    """First step of a pipeline: the augmentations of a sample depend on the seed, the epoch and the sample alone.

    A sample that cannot be used is replaced by a random other one. Were that draw always the same, two bad samples could send
    for each other forever; so the visits that a process pays to a sample within an epoch are counted and seeded, too.
    """

    def __init__(self, state: torch.Tensor):
        self.state = state  # (2,) in shared memory: seed and epoch, written by the process that trains
        self._epoch: int | None = None
        self._visits: Counter[int] = Counter()

    def __call__(self, results: dict) -> dict:
        if 'sample_idx' in results:
            seed, epoch = self.state.tolist()
            if epoch != self._epoch:
                self._epoch = epoch
                self._visits.clear()
            idx = int(results['sample_idx'])
            seed_everything(seed, epoch, idx, self._visits[idx])
            self._visits[idx] += 1
        return results


def _pipelines(dataset) -> Iterator:
    """The pipelines of a data set, or of the ones that it wraps; the outer one of a combined set is seeded by its parts."""
    inner = [d for d in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())) if d is not None]
    for part in inner:
        yield from _pipelines(part)
    if not inner and hasattr(getattr(dataset, 'pipeline', None), 'transforms'):
        yield dataset.pipeline


@HOOKS.register_module()
class ResumableRandomnessHook(Hook):
    """Make a resumed run draw what the uninterrupted one would have drawn.

    Shuffling, augmentation and the model's own draws follow from (seed, epoch, sample) or (seed, iteration), whatever the
    number of data loading workers and however often the run was stopped. A resumed run takes over the seed in its checkpoint.
    (Where bad samples have to be replaced, the number of workers has to stay the same, too.)
    Augmentation needs an epoch-based loop and data sets that number their samples, as mmengine's do.
    """

    priority = 'VERY_HIGH'

    def __init__(self):
        self._state = torch.zeros(2, dtype=torch.int64).share_memory_()

    def before_train(self, runner) -> None:
        """Put the seeding at the head of every pipeline, before workers start."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            for pipeline in _pipelines(runner.train_loop.dataloader.dataset):
                if not any(isinstance(t, _SeedSample) for t in pipeline.transforms):
                    pipeline.transforms.insert(0, _SeedSample(self._state))

    def before_train_epoch(self, runner) -> None:
        """Tell the workers the epoch, and the sampler the seed, which a resumed run learns after it was built."""
        self._state[0], self._state[1] = int(runner.seed), runner.epoch
        sampler = runner.train_loop.dataloader.sampler
        if hasattr(sampler, 'seed'):
            # The processes deal one shuffled order out between them, so that here they need the same seed.
            own = runner._randomness_cfg.get('diff_rank_seed', False)
            sampler.seed = runner.seed - (get_rank() if own else 0)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed what the model draws itself, another sequence on each rank."""
        seed_everything(int(runner.seed), runner.iter, get_rank())
