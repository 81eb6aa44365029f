from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sapiens_mm.dense.hooks import DenseVisualizationHook, _predict


class RandomPictures(BaseDataset):
    """Four packed samples, read from a folder."""

    METAINFO = dict(classes=('Background', 'Hair', 'Torso'), palette=[(0, 0, 0), (250, 0, 0), (0, 250, 0)])

    def __init__(self, folder):
        self.folder = Path(folder)
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(path=str(path)) for path in sorted(self.folder.glob('*.png'))]

    def prepare_data(self, index):
        path = self.get_data_info(index)['path']
        image = torch.from_numpy(cv2.imread(path).transpose(2, 0, 1))
        rng = torch.Generator().manual_seed(index)
        # mirrored, as half of a training batch is
        sample = SegDataSample(metainfo=dict(img_path=path, img_shape=(64, 48), ori_shape=(64, 48), pad_shape=(64, 48), flip=True,
                                             flip_direction='horizontal'))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 64, 48), generator=rng))
        sample.set_data(dict(gt_depth_map=PixelData(data=torch.rand(1, 64, 48, generator=rng))))
        return dict(inputs=image, data_samples=sample)


class Losses(Hook):
    """Keeps what training reports."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(outputs['loss'].item())


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'images'
    path.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(path / f'{i}.png'), rng.integers(0, 256, (64, 48, 3), dtype=np.uint8))
    return path


def models(arch, task):
    head = dict(in_channels=48, deconv_out_channels=(8, ), deconv_kernel_sizes=(4, ), conv_out_channels=(8, ),
                conv_kernel_sizes=(1, ))
    head.update(dict(
        parts=dict(type='sapiens_mm.SapiensPartsHead', num_classes=3, loss_decode=dict(type='CrossEntropyLoss')),
        depth=dict(type='sapiens_mm.SapiensDepthHead', loss_decode=dict(type='sapiens_mm.ScaleInvariantLogLoss')))[task])
    return dict(
        type=dict(parts='sapiens_mm.SapiensPartsSegmentor', depth='sapiens_mm.DenseEstimator')[task],
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.] * 3, std=[60.] * 3, bgr_to_rgb=True, size=(64, 48)),
        backbone=dict(type='sapiens_mm.SapiensViT', arch=arch, img_size=(64, 48), patch_padding=0), decode_head=head,
        test_cfg=ConfigDict(mode='whole'))


def build(arch, folder, work_dir, task, hook, losses):
    init_default_scope('mmseg')
    DATASETS.register_module('RandomPictures', force=True, module=RandomPictures)
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                  dataset=dict(type='mmengine.RandomPictures', folder=str(folder)))
    evaluator = dict(type=dict(parts='sapiens_mm.PartsMetric', depth='sapiens_mm.DepthMetric')[task])
    return Runner(
        model=models(arch, task), work_dir=str(work_dir), experiment_name=f'run{id(losses)}', default_scope='mmseg',
        train_dataloader=loader, val_dataloader=loader, test_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2), val_cfg=dict(), test_cfg=dict(), val_evaluator=evaluator,
        test_evaluator=evaluator, optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)), randomness=dict(seed=3),
        default_hooks=dict(visualization=hook, checkpoint=None), custom_hooks=[losses], log_level='WARNING',
        visualizer=dict(type='sapiens_mm.DenseVisualizer',
                        vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]))


def tags(work_dir):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    accumulator = EventAccumulator(str(next(Path(work_dir).glob('*/vis_data/events*')).parent), size_guidance=dict(images=0))
    accumulator.Reload()
    return {tag: [event.step for event in accumulator.Images(tag)] for tag in accumulator.Tags()['images']}


@pytest.mark.parametrize('task', ['parts', 'depth'])
def test_training_is_drawn_and_stays_what_it_is(task, folder, tiny_arch, tmp_path):
    drawn, plain = Losses(), Losses()
    hook = dict(type='sapiens_mm.DenseVisualizationHook', draw=True, interval=2, train_interval=2, max_samples=1)
    runner = build(tiny_arch, folder, tmp_path / 'a', task, hook, drawn)
    runner.train()
    names = {path.name for path in (tmp_path / 'a').glob('*/vis_data/vis_image/*.png')}
    assert names == {'train_0_2.png', 'train_0_4.png', 'val_2_2.png', 'val_3_2.png', 'val_2_4.png', 'val_3_4.png'}
    picture = cv2.imread(str(next((tmp_path / 'a').glob('*/vis_data/vis_image/train_0_2.png'))))
    assert picture.shape[1] > 3 * 48 * 5  # picture, ground truth, prediction
    assert tags(tmp_path / 'a') == {'train_0': [2, 4], 'val_2': [2, 4], 'val_3': [2, 4]}
    build(tiny_arch, folder, tmp_path / 'b', task, dict(type='sapiens_mm.DenseVisualizationHook', train_interval=0), plain).train()
    assert len(drawn.seen) == 4
    assert drawn.seen == plain.seen
    assert not list((tmp_path / 'b').glob('*/vis_data/vis_image'))


def test_pictures_of_a_test_go_to_the_directory(folder, tiny_arch, tmp_path):
    hook = dict(type='sapiens_mm.DenseVisualizationHook', draw=True, interval=1, test_out_dir='shown')
    runner = build(tiny_arch, folder, tmp_path / 'run', 'parts', hook, Losses())
    runner.test()
    assert isinstance(runner._train_loop, dict), 'a test needs no training data'
    files = sorted(path.name for path in Path(runner.work_dir, runner.timestamp, 'shown').iterdir())
    assert files == [f'{i:05d}_{i}.png' for i in range(4)]
    assert not list((tmp_path / 'run').glob('*/vis_data/vis_image'))


def test_modules_keep_their_modes(tiny_arch):
    init_default_scope('mmseg')
    model = MODELS.build(models(tiny_arch, 'depth'))
    model.train()
    model.decode_head.eval()  # frozen by someone
    before = [module.training for module in model.modules()]
    samples = _predict(model, [torch.zeros(3, 64, 48, dtype=torch.uint8)])
    assert samples[0].pred_depth_map.data.shape == (1, 64, 48)
    assert [module.training for module in model.modules()] == before
    assert len(set(before)) == 2


@pytest.mark.parametrize('wrong', [dict(interval=0), dict(train_interval=-1), dict(max_samples=0)])
def test_mistakes(wrong):
    with pytest.raises(ValueError, match='of at least 1'):
        DenseVisualizationHook(**wrong)
