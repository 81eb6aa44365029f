"""Where in the data a run is: through checkpoints, kills, and changes of the set-up."""
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.pretrain.support import write_shards
from tests.support import load_tool

CONFIG = Path(__file__).resolve().parents[2] / 'configs/pretrain/mae_sapiens-tiny_1xb32-coslr-100e_humans-192px.py'


class Stop(Exception):
    """Ends a run within an epoch."""


class Record(Hook):
    def __init__(self, stop_at=None):
        self.samples, self.stop_at = [], stop_at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.samples += [sample.img_path[-8:] for sample in data_batch['data_samples']]
        if runner.iter + 1 == self.stop_at:
            raise Stop


def config(work_dir, data, sharded, batch_size, num_workers=0):
    cfg = Config.fromfile(CONFIG)
    pipeline = copy.deepcopy(cfg.train_dataloader.dataset.pipeline)
    pipeline[0].scale = 32
    loader = dict(batch_size=batch_size, num_workers=num_workers, persistent_workers=num_workers > 0, drop_last=False)
    if sharded:
        loader.update(batch_sampler=dict(type='sapiens_mm.StreamBatchSampler'),
                      dataset=dict(_delete_=True, type='sapiens_mm.ShardedHumanImages', data_root=str(data), shuffle_buffer=10,
                                   pipeline=pipeline))
    else:
        loader.update(dataset=dict(data_root=str(data), pipeline=pipeline))
    cfg.merge_from_dict(dict(
        model=dict(backbone=dict(arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16), img_size=32),
                   neck=dict(num_patches=4, embed_dim=16, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)),
        work_dir=str(work_dir), train_cfg=dict(max_epochs=2), train_dataloader=loader, auto_scale_lr=dict(enable=False),
        default_hooks=dict(checkpoint=dict(interval=2, by_epoch=False)), log_level='ERROR', param_scheduler=[]))
    if sharded:
        cfg.train_dataloader.pop('drop_last')
    return cfg


def run(cfg, stop_at=None, resume=None, hooks=()):
    cfg.resume, cfg.load_from = resume is not None, resume
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    record = Record(stop_at)
    runner.register_hook(record, priority='LOWEST')
    try:
        runner.train()
    except Stop:
        pass
    return record.samples


@pytest.fixture
def data(tmp_path):
    write_shards(tmp_path / 'shards', 48, 9)
    from tests.pretrain.support import picture
    (tmp_path / 'folder').mkdir()
    for i in range(48):
        (tmp_path / 'folder' / f'{i:04d}.jpg').write_bytes(picture(i))
    return tmp_path


@pytest.mark.parametrize('kind, batch_size', [('shards', 4), ('shards', 6), ('folder', 6)])
def test_a_resumed_epoch_takes_what_is_left_and_the_next_is_whole(data, kind, batch_size):
    def cfg(size):
        return config(data / 'work', data / kind, kind == 'shards', size)

    first = run(cfg(4), stop_at=7)[:6 * 4]  # the checkpoint at iteration 6 does not know the seventh
    rest = run(cfg(batch_size), resume=str(data / 'work/iter_6.pth'))
    assert sorted(first + rest[:24]) == sorted(set(first + rest[:24])) and len(set(first + rest[:24])) == 48
    assert len(rest) == 24 + 48 and len(set(rest[24:])) == 48
    assert rest[24:] != first + rest[:24]


def test_another_data_set_starts_its_epoch_again(data):
    run(config(data / 'work', data / 'folder', False, 4), stop_at=5)
    (data / 'folder' / '0000.jpg').unlink()
    rest = run(config(data / 'work', data / 'folder', False, 4), stop_at=4 + 12, resume=str(data / 'work/iter_4.pth'))
    assert len(set(rest)) == 47


def test_loading_without_resuming_starts_at_the_beginning(data):
    run(config(data / 'work', data / 'shards', True, 4), stop_at=5)
    cfg = config(data / 'other', data / 'shards', True, 4)
    cfg.load_from, cfg.resume = str(data / 'work/iter_4.pth'), False
    runner = Runner.from_cfg(cfg)
    record = Record(stop_at=12)
    runner.register_hook(record, priority='LOWEST')
    with pytest.raises(Stop):
        runner.train()
    assert len(set(record.samples)) == 48


def test_another_batch_size_goes_on_at_the_same_share_of_the_schedule(data):
    """The learning rate follows the new batch size, and ends where the training ends."""
    rates = {}

    class Rate(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            rates[runner.iter] = runner.optim_wrapper.get_lr()['lr'][0]

    def train(size, resume=None, stop_at=None):
        rates.clear()
        cfg = config(data / 'work', data / 'shards', True, size)
        cfg.auto_scale_lr = dict(enable=True, base_batch_size=4)
        cfg.train_cfg.max_epochs = 4
        cfg.param_scheduler = [
            dict(type='LinearLR', start_factor=0.01, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
            dict(type='CosineAnnealingLR', T_max=3, by_epoch=True, begin=1, end=4, convert_to_iter_based=True)]
        run(cfg, stop_at, resume, [Rate()])
        return dict(rates)

    whole = train(8)
    assert sorted(whole) == list(range(4 * 6))
    train(4, stop_at=19)
    resumed = train(8, resume=str(data / 'work/iter_18.pth'))
    assert sorted(resumed) == list(range(9, 4 * 6))
    assert resumed == pytest.approx({i: whole[i] for i in resumed}, rel=1e-6)
    assert max(whole.values()) == pytest.approx(2e-3) and resumed[23] < 0.1 * resumed[9]


def test_the_position_is_plain_data(data):
    run(config(data / 'work', data / 'shards', True, 4), stop_at=3)
    saved = torch.load(data / 'work/iter_2.pth', weights_only=True)['sapiens_mm_data_position']
    assert saved['stages'] == [[1, 0, 4, 2]] and saved['epoch'] == 0 and saved['size'] == 48


def test_a_sampler_that_cannot_resume_is_refused(data):
    cfg = config(data / 'work', data / 'folder', False, 4)
    cfg.train_dataloader.sampler = dict(type='DefaultSampler')
    with pytest.raises(ValueError, match='ResumableSampler'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('data, processes', [('shards', [2, 1]), ('folder', [1, 2])])
def test_every_sample_survives_kills_and_another_number_of_processes(tmp_path, data, processes):
    """Through tools/train.py and tools/dist_train.sh, two loader workers in each process."""
    tool = load_tool('benchmarks/kill_and_resume.py')
    args = tool.argparse.Namespace(kills=1, samples=80, num_workers=2, interval=2, seed=3, data=data, processes=processes)
    assert tool.run(args, tmp_path) == 0
