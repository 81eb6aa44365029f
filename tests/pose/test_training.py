"""The pose bases train and are evaluated through mmengine's runner, with a tiny network and real or tiny data."""
import math

import pytest
from mmengine import Config
from mmengine.runner import Runner

from tests.pose.support import write_set

LEAF = '''
_base_ = [{bases}]
codec = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
train_pipeline, val_pipeline = _base_.train_pipeline, _base_.val_pipeline
train_pipeline[5].input_size = val_pipeline[2].input_size = codec['input_size']
train_pipeline[10].encoder = codec
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
model = dict(
    backbone=dict(arch=dict(embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96), img_size=(64, 48)),
    head=dict(in_channels=48, out_channels={keypoints}, deconv_out_channels=(16, 16), conv_out_channels=(16, 16), decoder=codec))
'''


def config(root, folder, data, keypoints):
    bases = ['models/sapiens_pose.py', f'datasets/pose_{data}.py', 'schedules/pose_210e.py', 'pose_runtime.py']
    path = folder / 'leaf.py'
    path.write_text(LEAF.format(bases=', '.join(repr(str(root / 'configs/_base_' / b)) for b in bases), keypoints=keypoints))
    cfg = Config.fromfile(path)
    cfg.work_dir = str(folder / 'work')
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    return cfg


def point_at(dataset, folder, ann_file, bbox_file=None):
    dataset.update(data_root=str(folder), ann_file=ann_file, data_prefix=dict(img=''))
    if dataset.get('test_mode'):
        dataset.bbox_file = bbox_file


def losses(runner):
    return [float(v) for v in runner.message_hub.get_scalar('train/loss').data[0]]


@pytest.mark.parametrize('boxes', ['annotated', 'detected'])
@pytest.mark.parametrize('data, keypoints, name, prefix', [('coco', 17, 'test_coco.json', 'coco'),
                                                           ('coco_wholebody', 133, 'test_coco_wholebody.json', 'coco-wholebody')])
def test_photographs(root, shared_dir, tmp_path, data, keypoints, name, prefix, boxes):
    cfg = config(root, tmp_path, data, keypoints)
    folder = shared_dir / 'data' / 'coco'
    detections = str(folder / 'test_coco_det_AP_H_56.json') if boxes == 'detected' else None
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        point_at(loader.dataset, folder, name, detections)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert losses(runner) and all(math.isfinite(v) for v in losses(runner))
    metrics = runner.test()
    assert 0 <= metrics[f'{prefix}/AP'] <= 1 and 0 <= metrics[f'{prefix}/AR'] <= 1
    assert len(runner.test_dataloader.dataset) == (118 if detections else len(runner.train_dataloader.dataset))


def test_308(root, tmp_path):
    cfg = config(root, tmp_path, 'keypoints308', 308)
    path, _ = write_set(tmp_path, 308)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        point_at(loader.dataset, tmp_path, path)
    cfg.default_hooks.visualization.update(enable=True, interval=1, out_dir='pictures')
    cfg.visualizer = dict(type='sapiens_mm.PoseVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert all(math.isfinite(v) for v in losses(runner))
    metrics = runner.test()
    assert {'keypoints308/AP', 'keypoints308/face_AP', 'keypoints308/hands_AR'} <= metrics.keys()
    assert len(list(tmp_path.glob('work/**/pictures/*.jpg'))) == 6


def test_mixed(root, tmp_path):
    cfg = config(root, tmp_path, 'mixed308', 308)
    for number in (308, 133):
        (tmp_path / str(number)).mkdir()
        write_set(tmp_path / str(number), number)
    for dataset, number in zip(cfg.train_dataloader.dataset.datasets, (308, 133)):
        point_at(dataset, tmp_path / str(number), 'anns.json')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        point_at(loader.dataset.datasets[0], tmp_path / '133', 'anns.json')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert len(runner.train_dataloader.dataset) == 12 and all(math.isfinite(v) for v in losses(runner))
    assert 0 <= runner.test()['common_keypoints/AP'] <= 1


def test_broken_picture_in_training_and_evaluation(root, tmp_path):
    cfg = config(root, tmp_path, 'keypoints308', 308)
    path, _ = write_set(tmp_path, 308, num_images=4)
    (tmp_path / '002.jpg').write_bytes(b'no picture')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        point_at(loader.dataset, tmp_path, path)
    runner = Runner.from_cfg(cfg)
    runner.test()
    log = next(tmp_path.glob('work/**/*.log')).read_text()
    assert 'test: 2 of 8 images that were read cannot be decoded' in log and '002.jpg' in log
    (tmp_path / '003.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='4 of 8 images'):
        Runner.from_cfg(cfg.copy()).test()
