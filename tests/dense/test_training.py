"""The bases of body parts, depth and normals train and are evaluated through mmengine's runner on toy humans."""
import math

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from sapiens_mm.toy.dataset import make_toy_dataset
from tests.support import ROOT

TINY = {task: next((ROOT / 'configs' / task).glob('sapiens-tiny*')) for task in ('seg', 'depth', 'normal')}


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    return make_toy_dataset(tmp_path_factory.mktemp('data') / 'toy', 6, 3, (96, 72), progress=False)


def config(task, toy, work_dir):
    cfg = Config.fromfile(TINY[task])
    cfg.work_dir = str(work_dir)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.visualization.train_interval = 0
    cfg.model.backbone.update(img_size=(64, 48), arch=dict(embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96))
    cfg.model.decode_head.update(in_channels=48, deconv_out_channels=(16, 16, 16), conv_out_channels=(16, ))
    cfg.model.data_preprocessor.size = (64, 48)
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val'), (cfg.test_dataloader, 'val')):
        loader.update(batch_size=3, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(toy if task == 'seg' else toy / 'dense' / split)
        for step in loader.dataset.pipeline:
            if step['type'] in ('RandomResize', 'sapiens_mm.DenseResize'):
                step.scale = (48, 64)
            if step['type'] == 'sapiens_mm.DenseRandomCrop':
                step.crop_size = (64, 48)
    return cfg


def losses(runner):
    return [float(v) for v in runner.message_hub.get_scalar('train/loss').data[0]]


@pytest.mark.parametrize('task', TINY)
def test_trains_and_evaluates(task, toy, tmp_path):
    runner = Runner.from_cfg(config(task, toy, tmp_path))
    runner.train()
    assert len(losses(runner)) == 2 and all(math.isfinite(v) for v in losses(runner))
    metrics = runner.test()
    assert metrics and all(isinstance(v, float) for v in metrics.values())


def test_broken_labels_are_left_out_counted_and_in_evaluation_refused(tmp_path):
    toy = make_toy_dataset(tmp_path / 'toy', 6, 3, (96, 72), progress=False)
    np.save(toy / 'dense/train/depths/000001.npy', np.full((96, 72), np.nan, np.float32))
    cv2.imwrite(str(toy / 'dense/train/masks/000002.png'), np.zeros((96, 72), np.uint8))
    (toy / 'images/train/000003.png').write_bytes(b'no picture')
    cfg = config('depth', toy, tmp_path / 'work')
    for step in cfg.train_dataloader.dataset.pipeline:
        if step['type'].startswith('sapiens_mm.Load'):
            step.max_bad_share = 0.9  # half of these six are bad, and chance decides how often one stands in for another
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert all(math.isfinite(v) for v in losses(runner))
    log = next(tmp_path.glob('work/**/*.log')).read_text()
    assert '000001.npy has no finite number on the person; the sample is left out' in log
    assert '000002.png is empty: there is no person in the mask; the sample is left out' in log
    for what in ('depth maps that were read cannot be used', 'masks that were read cannot be used',
                 'images that were read cannot be decoded'):
        assert what in log

    np.save(toy / 'dense/val/depths/000001.npy', np.ones((4, 4), np.float32))
    with pytest.raises(ValueError, match=r'000001\.npy is 4 x 4 pixels'):
        runner.test()
