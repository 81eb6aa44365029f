import os

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn

from sapiens_mm.engine import atomic_checkpoint
from sapiens_mm.engine.atomic_checkpoint import AtomicLocalBackend
from sapiens_mm.engine.checkpoint import latest_checkpoint


class Tiny(BaseModel):

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.fc(torch.stack(inputs)).square().mean())


class Numbers(torch.utils.data.Dataset):

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return dict(inputs=torch.full((1, ), float(i + 1)))


@pytest.fixture
def runner(tmp_path):
    for registry, cls in ((MODELS, Tiny), (DATASETS, Numbers)):
        if cls.__name__ not in registry:
            registry.register_module(module=cls)

    def build(**kwargs):
        return Runner.from_cfg(Config(dict(
            model=dict(type='Tiny'), work_dir=str(tmp_path), experiment_name=f'{len(os.listdir(tmp_path))}',
            train_dataloader=dict(batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(type='Numbers')),
            train_cfg=dict(by_epoch=True, max_epochs=4), log_level='ERROR',
            optim_wrapper=dict(type='sapiens_mm.SafeOptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(checkpoint=dict(type='sapiens_mm.AtomicCheckpointHook', interval=1, max_keep_ckpts=1)), **kwargs)))

    return build


def test_only_the_newest_stays_and_nothing_half_written(runner, tmp_path):
    runner().train()
    assert [p.name for p in tmp_path.glob('*.pth*')] == ['epoch_4.pth']


def test_a_kill_while_writing_leaves_the_last_whole_checkpoint(runner, tmp_path, monkeypatch):
    real = os.replace
    calls = []

    def die_at_third(source, target):
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt  # the file is written, its name is not
        real(source, target)

    monkeypatch.setattr(atomic_checkpoint.os, 'replace', die_at_third)
    with pytest.raises(KeyboardInterrupt):
        runner().train()
    monkeypatch.undo()
    assert sorted(p.name for p in tmp_path.glob('*.pth*')) == ['epoch_2.pth', 'epoch_3.pth.partial']
    last = latest_checkpoint(str(tmp_path))
    assert last.endswith('epoch_2.pth')
    again = runner(load_from=last, resume=True)
    again.train()
    assert again.epoch == 4
    assert [p.name for p in tmp_path.glob('*.pth*')] == ['epoch_4.pth']


def test_put_replaces_whole_files(tmp_path, monkeypatch):
    backend, path = AtomicLocalBackend(), tmp_path / 'sub' / 'x.bin'
    backend.put(b'old', path)

    def full(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(atomic_checkpoint.os, 'fsync', full)
    with pytest.raises(OSError, match='No space'):
        backend.put(b'new', path)
    assert path.read_bytes() == b'old'
