"""The configs of body parts, depth and normals say what the released models need."""
import pytest
from mmengine.config import Config

from sapiens_mm.seg.classes import get_vocabulary
from tests.dense.support import build
from tests.support import ROOT

LEAVES = sorted(p.relative_to(ROOT / 'configs').as_posix() for task in ('seg', 'depth', 'normal')
                for p in (ROOT / 'configs' / task).glob('*.py'))
SIZES = ('0.3b', '0.6b', '1b', '2b')
WIDTHS = dict(zip(SIZES, (1024, 1280, 1536, 1920)))
# Task and data set in the file's name -> padding of the patch grid, classes, epochs, vocabulary.
RELEASED = {
    'seg/{}_parts28': (0, 28, 200, 'parts28'), 'seg/{}_lip': (2, 20, 400, 'lip20'), 'seg/{}_cihp': (2, 20, 400, 'cihp20'),
    'seg/{}_face': (0, 19, 200, 'face19'), 'depth/{}_general': (0, 1, 200, None), 'depth/{}_render-people': (0, 1, 200, None),
    'depth/{}_synthhuman': (0, 1, 200, None), 'normal/{}_general': (2, 3, 200, None), 'normal/{}_render-people': (2, 3, 200, None),
    'normal/{}_synthhuman': (2, 3, 200, None),
}


def leaf(model: str, size: str) -> str:
    epochs = RELEASED[model][2]
    return model.format(f'sapiens-{size}_8xb2-{epochs}e') + '-1024x768.py'


def read(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / name)


def steps(pipeline, kind):
    return [step for step in pipeline if step['type'].endswith(kind)]


def test_every_file_is_known():
    released = {leaf(model, size) for model in RELEASED for size in SIZES}
    assert released == {name for name in LEAVES if 'tiny' not in name}
    assert all(len((ROOT / 'configs' / name).read_text().splitlines()) < 30 for name in LEAVES)


@pytest.mark.parametrize('model', RELEASED)
def test_released_models(model):
    padding, classes, epochs, vocabulary = RELEASED[model]
    for size in SIZES:
        cfg = read(leaf(model, size))
        backbone, head = cfg.model.backbone, cfg.model.decode_head
        assert (backbone.arch, backbone.patch_padding) == (f'sapiens_{size}', padding)
        assert backbone.init_cfg.checkpoint.startswith(f'checkpoints/sapiens_{size}_epoch_')
        assert head.in_channels == WIDTHS[size] and head.get('num_classes', classes) == classes
        assert cfg.model.data_preprocessor.size == backbone.img_size == (1024, 768)
        assert cfg.default_scope == 'mmseg' and cfg.train_cfg.max_epochs == epochs
        assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.85 and cfg.optim_wrapper.optimizer.lr == 5e-4
        assert cfg.param_scheduler[-1].get('T_max', cfg.param_scheduler[-1].end) == epochs
    if vocabulary:
        words = get_vocabulary(vocabulary)
        assert words.num_classes == classes
        assert tuple(head.loss_decode.get('class_weight', ())) == (words.class_weight or ())
        for pipeline in (cfg.train_pipeline, cfg.test_pipeline):
            assert steps(pipeline, 'LoadParts')[0].vocabulary == vocabulary


@pytest.mark.parametrize('name', LEAVES)
def test_pipelines_build_and_fidelity_is_the_recipe(name, tmp_path):
    (tmp_path / 'background.jpg').touch()
    cfg = read(name)
    pipelines = [cfg.train_dataloader.dataset.pipeline, cfg.test_dataloader.dataset.pipeline, cfg.fidelity_train_pipeline]
    for pipeline in pipelines:
        for step in steps(pipeline, 'RandomBackground'):
            step.backgrounds = str(tmp_path)
        assert all(callable(build(step)) for step in pipeline)
    ours, fidelity = cfg.train_pipeline, cfg.fidelity_train_pipeline
    if 'tiny' not in name:
        assert [step['type'] for step in ours] == [step['type'] for step in fidelity]
    for pipeline, exact in ((ours, True), (fidelity, False)):
        resizes = steps(pipeline, 'DenseResize') + steps(pipeline, 'RandomResize')
        assert len(resizes) == 2 or 'tiny' in name
        assert resizes and all(step.get('fidelity', False) != exact for step in resizes)
        crops = steps(pipeline, 'DenseRandomCrop')
        assert len(crops) == 1 or 'tiny' in name
        assert all((step.get('min_foreground') == 0) != exact for step in crops)
    # labels of the test are read after the picture was resized, and keep their size
    kinds = [step['type'] for step in pipelines[1]]
    assert kinds[:2] == ['LoadImageFromFile', 'sapiens_mm.DenseResize']
    assert all(step.on_bad == 'refuse' for step in pipelines[1] if 'Load' in step['type'] and 'sapiens' in step['type'])


def test_augmentation_of_the_recipe():
    parts, lip, depth, normal = (read(leaf(model, '1b')).train_pipeline for model in (
        'seg/{}_parts28', 'seg/{}_lip', 'depth/{}_render-people', 'normal/{}_render-people'))
    assert steps(parts, 'RandomBackground')[0].prob == 0.8 and not steps(lip, 'RandomBackground')
    assert steps(depth, 'RandomBackground')[0].prob == steps(normal, 'RandomBackground')[0].prob == 0.5
    assert [steps(p, 'RandomResize')[0].ratio_range for p in (parts, lip, depth, normal)] == [
        (0.2, 2.0), (0.75, 1.25), (0.2, 2.0), (0.2, 2.0)]
    rotations = [{k: v for s in steps(p, 'Rotate') for k, v in s.items() if k != 'type'} for p in (parts, lip, depth, normal)]
    assert rotations == [dict(prob=0.5, degree=45, seg_pad_val=0), dict(prob=0.5, degree=45, seg_pad_val=255),
                         dict(prob=0.5, degree=60), {}]
    assert [steps(p, 'RandomCrop')[0].get('cat_max_ratio') for p in (parts, lip, depth, normal)] == [0.75, 0.75, None, None]
