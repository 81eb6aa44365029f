import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, DefaultSampler, RepeatDataset
from mmengine.runner import EpochBasedTrainLoop

from sapiens_mm.engine.randomness import ResumableRandomnessHook, seed_everything


class Draws(BaseDataset):
    """Three samples, each of which is what was drawn for it."""

    def load_data_list(self):
        return [dict(name=str(i)) for i in range(3)]


def draw(results):
    return np.array([random.random(), np.random.rand(), float(torch.rand(()))])


def dataset():
    return Draws(pipeline=[draw], serialize_data=False)


def epochs(data, seed=5, workers=0, first=0, count=2):
    """What ``count`` epochs from ``first`` on draw, (epochs, samples, 3)."""
    loader = torch.utils.data.DataLoader(data, num_workers=workers, persistent_workers=workers > 0, collate_fn=np.stack)
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    loop.dataloader = loader
    runner = SimpleNamespace(train_loop=loop, seed=seed, epoch=first, iter=0, _randomness_cfg={})
    hook = ResumableRandomnessHook()
    hook.before_train(runner)
    drawn = []
    for runner.epoch in range(first, first + count):
        hook.before_train_epoch(runner)
        np.random.rand(17)  # whatever else happened in between
        drawn.append(np.concatenate(list(loader)))
    return np.array(drawn)


def test_every_epoch_and_sample_draws_something_else():
    drawn = epochs(dataset())
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_do_not_matter(workers):
    np.testing.assert_array_equal(epochs(dataset(), workers=workers), epochs(dataset()))


def test_where_training_started_does_not_matter():
    np.testing.assert_array_equal(epochs(dataset(), first=1, count=1)[0], epochs(dataset())[1])


def test_another_seed_draws_something_else():
    assert not np.intersect1d(epochs(dataset(), seed=6), epochs(dataset())).size


@pytest.mark.parametrize('wrap', [lambda d: RepeatDataset(d, 2), lambda d: ConcatDataset([d, dataset()])])
def test_wrapped_data_sets_are_seeded_too(wrap):
    np.testing.assert_array_equal(epochs(wrap(dataset())), epochs(wrap(dataset())))


@pytest.mark.parametrize('own_seeds', [False, True])
def test_processes_shuffle_alike(monkeypatch, own_seeds):
    orders = []
    for rank in range(2):
        monkeypatch.setattr('sapiens_mm.engine.randomness.get_rank', lambda rank=rank: rank)
        loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
        loop.dataloader = SimpleNamespace(sampler=DefaultSampler(range(100), seed=0))
        runner = SimpleNamespace(train_loop=loop, seed=7 + rank * own_seeds, epoch=0, iter=0,
                                 _randomness_cfg=dict(diff_rank_seed=own_seeds))
        ResumableRandomnessHook().before_train_epoch(runner)
        orders.append(list(loop.dataloader.sampler))
    assert orders[0] == orders[1] != list(range(100))


def test_the_models_own_draws_follow_from_the_iteration():
    runner = SimpleNamespace(seed=1, iter=3)
    hook = ResumableRandomnessHook()
    hook.before_train_iter(runner, 0)
    first = torch.rand(4)
    torch.rand(9)
    hook.before_train_iter(runner, 0)
    torch.testing.assert_close(torch.rand(4), first)
    runner.iter = 4
    hook.before_train_iter(runner, 1)
    assert not torch.equal(torch.rand(4), first)


def test_large_and_negative_numbers_seed():
    seed_everything(2**40, -3, 0)


class Picky(Draws):
    """Only the last sample can be used."""

    def prepare_data(self, idx):
        sample = super().prepare_data(idx)
        return sample if idx == 2 else None


def test_bad_samples_do_not_send_for_each_other_forever():
    for seed in range(20):
        data = Picky(pipeline=[draw], serialize_data=False, max_refetch=100)
        np.testing.assert_array_equal(epochs(data, seed), epochs(Picky(pipeline=[draw], serialize_data=False), seed))
