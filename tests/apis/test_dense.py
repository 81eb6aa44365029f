"""Parts, depth and normals: the same as the libraries' own inference, in the original picture's geometry, and on disk."""
import json

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.fileio import load
from mmengine.runner import Runner

from sapiens_mm.apis import DepthInferencer, FeatureInferencer, NormalInferencer, PartsInferencer, PoseInferencer, SapiensInferencer
from sapiens_mm.apis.dense import person_regions
from sapiens_mm.apis.inputs import Item, Source, read_image
from sapiens_mm.engine.safe_load import torch_load
from tests.apis.support import build, picture, raw_pretraining, write_dense, write_pictures, write_pose
from tests.support import ROOT

BUILD = dict(parts=PartsInferencer, depth=DepthInferencer, normal=NormalInferencer)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('dense')
    return {task: write_dense(folder, task) for task in BUILD}


@pytest.fixture(scope='module')
def inferencers(made):
    return {task: build(*map(str, made[task]), device='cpu') for task, build in BUILD.items()}


@pytest.mark.parametrize('task, field', [('parts', 'pred_sem_seg'), ('depth', 'pred_depth_map'), ('normal', 'pred_normal_map')])
@pytest.mark.parametrize('size', [(120, 90), (50, 300), (9, 7)])
def test_the_libraries_own_inference_gives_the_same(made, inferencers, task, field, size):
    from mmseg.apis import inference_model, init_model
    image = picture(*size)
    model = init_model(str(made[task][0]), str(made[task][1]), device='cpu')
    # mmseg's own reading step takes arrays under another name
    model.cfg.test_pipeline = [s for s in model.cfg.test_pipeline if not s['type'].rpartition('.')[2].startswith('LoadPar')]
    model.cfg.test_pipeline = [s for s in model.cfg.test_pipeline if 'sapiens_mm.Load' not in s['type']]
    expected = inference_model(model, image).get(field).data
    got = inferencers[task](image, return_datasamples=True)['predictions'][0].get(field).data
    assert got.shape == expected.shape and got.shape[1:] == size
    torch.testing.assert_close(got.float(), expected.float(), atol=1e-5, rtol=1e-5)


def test_stock_inferencer_gives_the_same_parts(made, inferencers, tmp_path):
    from mmseg.apis import MMSegInferencer
    stock = MMSegInferencer(str(made['parts'][0]), str(made['parts'][1]), device='cpu')
    for source in (picture(), *map(str, write_pictures(tmp_path))):
        expected = stock(source, show=False)['predictions']
        np.testing.assert_array_equal(inferencers['parts'](source)['predictions'][0]['parts'], expected)


@pytest.mark.parametrize('task', BUILD)
def test_the_evaluation_gives_the_same_maps(made, inferencers, tmp_path, task):
    """Of pictures that are turned by EXIF, of 16 bits, CMYK, wide and tiny, in their own pixels."""
    pictures = write_pictures(tmp_path / 'images')
    labels = dict(parts='parts', depth='depths', normal='normals')[task]
    for folder in ('masks', labels):
        (tmp_path / folder).mkdir()
    for path in pictures:
        height, width = read_image(path).shape[:2]
        cv2.imwrite(str(tmp_path / 'masks' / f'{path.stem}.png'), np.full((height, width), 255, np.uint8))
        if task == 'parts':
            cv2.imwrite(str(tmp_path / labels / f'{path.stem}.png'), np.ones((height, width), np.uint8))
        else:
            value = np.array([0, 0, 1], np.float32) if task == 'normal' else np.float32(1)
            np.save(tmp_path / labels / f'{path.stem}.npy', np.broadcast_to(value, (height, width, *value.shape)))
    cfg = Config.fromfile(made[task][0])
    cfg.work_dir, cfg.load_from = str(tmp_path / 'work'), str(made[task][1])
    prefix = dict(img_path='images', seg_map_path=labels) if task == 'parts' else {
        'img_path': 'images', 'mask_path': 'masks', f'{task}_path': labels}
    cfg.test_dataloader.dataset.update(data_root=str(tmp_path), data_prefix=prefix)
    cfg.test_evaluator = dict(type='DumpResults', out_file_path=str(tmp_path / 'out.pkl'))
    Runner.from_cfg(cfg).test()
    results = load(tmp_path / 'out.pkl')
    assert len(results) == len(pictures)
    for result in results:
        field = inferencers[task].field
        got = inferencers[task](result['img_path'], return_datasamples=True)['predictions'][0].get(field).data
        torch.testing.assert_close(got.float(), torch.as_tensor(result[field]['data']).float(), atol=1e-5, rtol=1e-5)


def test_people_are_pasted_where_they_are(inferencers):
    canvas = np.zeros((300, 400, 3), np.uint8)
    box = np.array([[200, 100, 260, 180]])
    canvas[60:240, 160:300] = picture(180, 140)
    (x1, y1, x2, y2), = person_regions(np.array([[200, 100, 260, 180, 1.]]), 300, 400, 64 / 96)
    assert x1 <= 200 and y1 <= 100 and x2 >= 260 and y2 >= 180 and (x2 - x1) / (y2 - y1) == pytest.approx(64 / 96, abs=0.02)
    for task, inferencer in inferencers.items():
        whole = inferencer(canvas, bboxes=box)['predictions'][0][task]
        crop = inferencer(np.ascontiguousarray(canvas[y1:y2, x1:x2]))['predictions'][0][task]
        np.testing.assert_array_equal(whole[y1:y2, x1:x2], crop)
        outside = np.ones(whole.shape[:2], bool)
        outside[y1:y2, x1:x2] = False
        assert np.isnan(whole[outside]).all() if task == 'depth' else (whole[outside] == 0).all()


def test_regions_stay_in_the_picture_and_the_best_comes_last():
    boxes = np.array([[0, 0, 50, 50, 0.9], [90, 90, 120, 130, 0.5], [300, 300, 310, 310, 0.7]])
    regions = person_regions(boxes, 100, 100, 0.75)
    assert len(regions) == 2 and regions[1][:2] == (0, 0)
    assert all(0 <= x1 < x2 <= 100 and 0 <= y1 < y2 <= 100 for x1, y1, x2, y2 in regions)


def test_normals_are_unit_vectors(inferencers):
    normals = inferencers['normal'](picture())['predictions'][0]['normal']
    assert normals.shape == (120, 90, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-2)


class TestFiles:

    def test_parts(self, inferencers, tmp_path):
        inferencers['parts'](picture(), out_dir=tmp_path)
        expected = inferencers['parts'](picture())['predictions'][0]['parts']
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / '000000.png'), cv2.IMREAD_UNCHANGED), expected)
        assert json.loads((tmp_path / 'run.json').read_text())['classes'][2] == 'Face_Neck'
        assert cv2.imread(str(tmp_path / 'vis' / '000000.jpg')).shape == (120, 90, 3)

    @pytest.mark.parametrize('task', ['depth', 'normal'])
    @pytest.mark.parametrize('fmt', ['npy', 'npz'])
    def test_arrays(self, inferencers, tmp_path, task, fmt):
        inferencers[task](picture(), out_dir=tmp_path, fmt=fmt)
        loaded = np.load(tmp_path / f'000000.{fmt}')
        loaded = loaded['data'] if fmt == 'npz' else loaded
        np.testing.assert_array_equal(loaded, inferencers[task](picture())['predictions'][0][task])
        assert loaded.dtype == np.float32

    @pytest.mark.parametrize('task', ['depth', 'normal'])
    @pytest.mark.parametrize('fmt, atol', [('exr', 0), ('exr16', 1e-3)])
    def test_openexr(self, inferencers, tmp_path, task, fmt, atol):
        inferencers[task](picture(), out_dir=tmp_path, fmt=fmt)
        loaded = cv2.imread(str(tmp_path / '000000.exr'), cv2.IMREAD_UNCHANGED)
        loaded = loaded if task == 'depth' else loaded[..., ::-1]  # x, y, z are R, G, B
        expected = inferencers[task](picture())['predictions'][0][task]
        assert loaded.dtype == np.float32
        np.testing.assert_allclose(loaded, expected, atol=atol * np.abs(expected).max())

    def test_arrays_are_never_finished(self, inferencers, tmp_path):
        for seed in range(2):
            assert inferencers['parts'](picture(seed=seed), out_dir=tmp_path)['num'] == 1
        expected = inferencers['parts'](picture(seed=1))['predictions'][0]['parts']
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / '000000.png'), cv2.IMREAD_UNCHANGED), expected)

    def test_16_bits(self, inferencers, tmp_path):
        inferencers['depth'](picture(), out_dir=tmp_path, fmt='png16')
        values = cv2.imread(str(tmp_path / '000000.png'), cv2.IMREAD_UNCHANGED)
        note = json.loads((tmp_path / '000000.json').read_text())
        expected = inferencers['depth'](picture())['predictions'][0]['depth']
        span = note['high'] - note['low']
        assert values.dtype == np.uint16
        np.testing.assert_allclose(note['low'] + values / 65535 * span, expected, atol=span / 65535)

    def test_normal_picture(self, inferencers, tmp_path):
        inferencers['normal'](picture(), out_dir=tmp_path, fmt='png')
        rgb = cv2.imread(str(tmp_path / '000000.png'))[..., ::-1].astype(float)
        np.testing.assert_allclose(rgb / 127.5 - 1, inferencers['normal'](picture())['predictions'][0]['normal'], atol=1 / 127)

    def test_wrong_format(self, inferencers):
        with pytest.raises(ValueError, match='npy, npz, exr, exr16, png16'):
            inferencers['depth'](picture(), fmt='bmp')


class TestMasks:

    @pytest.mark.parametrize('task', ['depth', 'normal'])
    def test_folder_of_parts(self, inferencers, tmp_path, task):
        cv2.imwrite(str(tmp_path / 'a.png'), picture())
        inferencers['parts'](str(tmp_path / 'a.png'), out_dir=tmp_path / 'parts', save_vis=False)
        parts = cv2.imread(str(tmp_path / 'parts' / 'a.png'), cv2.IMREAD_UNCHANGED)
        parts[:40] = 0
        cv2.imwrite(str(tmp_path / 'parts' / 'a.png'), parts)
        found = inferencers[task](str(tmp_path / 'a.png'), masks=tmp_path / 'parts')['predictions'][0][task]
        whole = inferencers[task](str(tmp_path / 'a.png'))['predictions'][0][task]
        np.testing.assert_array_equal(found[parts > 0], whole[parts > 0])
        outside = found[parts == 0]
        assert (parts > 0).any() and (np.isnan(outside) if task == 'depth' else outside == 0).all()
        called = inferencers[task](str(tmp_path / 'a.png'), masks=lambda item: parts)['predictions'][0][task]
        np.testing.assert_array_equal(called, found)

    def test_wrong(self, inferencers, tmp_path):
        depth = inferencers['depth']
        with pytest.raises(FileNotFoundError, match='no folder of masks'):
            depth(picture(), masks=tmp_path / 'none')
        with pytest.raises(ValueError, match='there is no mask'):
            depth(picture(), masks=tmp_path)
        with pytest.raises(ValueError, match='3 x 4 pixels.*120 x 90'):
            depth(picture(), masks=lambda item: np.ones((3, 4)))
        with pytest.raises(ValueError, match='unknown argument masks'):
            inferencers['parts'](picture(), masks=tmp_path)


class TestRefusals:

    def test_configs_of_another_task(self, made, tmp_path):
        with pytest.raises(ValueError, match='is a config for depth'):
            PartsInferencer(*map(str, made['depth']), device='cpu')
        with pytest.raises(ValueError, match='no config of a pose model'):
            PoseInferencer(*map(str, made['depth']), device='cpu')

    def test_checkpoints_of_another_task(self, made):
        with pytest.raises(ValueError, match='surface normals.*depth'):
            DepthInferencer(str(made['depth'][0]), str(made['normal'][1]), device='cpu')

    def test_flip_test_of_parts(self, made):
        with pytest.raises(ValueError, match='flip_test'):
            PartsInferencer(*map(str, made['parts']), device='cpu', flip_test=True)

    def test_released_parts_with_padding(self, made, tmp_path):
        cfg = Config.fromfile(made['parts'][0])
        cfg.model.backbone.update(patch_padding=2, arch='sapiens_1b')
        with pytest.raises(ValueError, match='patch_padding 0, the config has patch_padding 2'):
            PartsInferencer(cfg, str(tmp_path / 'sapiens_1b_goliath_best_goliath_mIoU_7994_epoch_151.pth'))


def test_flip_test_of_normals(made, inferencers):
    flipped = NormalInferencer(*map(str, made['normal']), device='cpu', flip_test=True)
    a = flipped(picture())['predictions'][0]['normal']
    b = flipped(np.ascontiguousarray(picture()[:, ::-1]))['predictions'][0]['normal'][:, ::-1] * [-1, 1, 1]
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert np.abs(a - inferencers['normal'](picture())['predictions'][0]['normal']).max() > 1e-2


class TestTogether:

    def test_all_tasks_and_the_mask(self, inferencers, tmp_path):
        pose = PoseInferencer(*map(str, write_pose(tmp_path, 17)), device='cpu')
        together = SapiensInferencer(pose=pose, **inferencers)
        pictures = [picture(seed=i) for i in range(3)]
        found = together(pictures, mask=True, batch_size=2)['predictions']
        assert [set(f) for f in found] == [{'pose', 'parts', 'depth', 'normal'}] * 3
        for image, f in zip(pictures, found):
            parts = inferencers['parts'](image)['predictions'][0]['parts']
            np.testing.assert_array_equal(f['parts']['parts'], parts)
            assert np.isnan(f['depth']['depth'][parts == 0]).all() and np.isfinite(f['depth']['depth'][parts > 0]).all()
            assert (f['normal']['normal'][parts == 0] == 0).all()

    def test_folders(self, inferencers, tmp_path):
        (tmp_path / 'in').mkdir()
        for i in range(3):
            cv2.imwrite(str(tmp_path / 'in' / f'{i}.png'), picture(seed=i))
        (tmp_path / 'in' / 'bad.png').write_bytes(b'x')
        together = SapiensInferencer(parts=inferencers['parts'], depth=inferencers['depth'])
        result = together(str(tmp_path / 'in'), out_dir=tmp_path / 'out', batch_size=2)
        assert result['num'] == 4 and len(result['errors']) == 1
        assert sorted(p.name for p in (tmp_path / 'out' / 'depth').glob('*.npy')) == [f'{i}.npy' for i in range(3)]
        (tmp_path / 'out' / 'depth' / '1.npy').unlink()
        assert together(str(tmp_path / 'in'), out_dir=tmp_path / 'out', batch_size=2)['num'] == 2

    @pytest.fixture
    def clip(self, tmp_path):
        writer = cv2.VideoWriter(str(tmp_path / 'walk.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 96))
        for i in range(5):
            writer.write(picture(96, 64, seed=i))
        writer.release()
        return str(tmp_path / 'walk.mp4')

    def test_video(self, made, inferencers, clip, tmp_path):
        together = SapiensInferencer(features=dict(model=str(made['depth'][0]), weights=str(made['depth'][1]), device='cpu'),
                                     depth=inferencers['depth'], parts=PartsInferencer(*map(str, made['parts']), device='cpu'))
        with torch.no_grad():
            together.inferencers['parts'].model.decode_head.conv_seg.bias[0] += 2  # some background, but not everywhere
        frames = together(clip, mask=True, batch_size=2)['predictions']
        assert len(frames) == 5 and set(frames[0]) == {'parts', 'depth', 'features'}
        result = together(clip, mask=True, batch_size=2, out_dir=tmp_path / 'out', features=dict(fmt='pooled'))
        assert result['num'] == 5
        for i, frame in enumerate(frames):
            depth = np.load(tmp_path / 'out' / 'depth' / 'walk' / 'frames' / f'{i:06d}.npy')
            np.testing.assert_allclose(depth, frame['depth']['depth'], atol=1e-5)
            assert np.load(tmp_path / 'out' / 'features' / 'walk' / 'frames' / f'{i:06d}.npy').shape == (32, )
        assert 0 < np.mean([np.isnan(frame['depth']['depth']).mean() for frame in frames]) < 1
        assert (tmp_path / 'out' / 'depth' / 'walk' / 'vis.mp4').is_file()
        assert together(clip, mask=True, batch_size=2, out_dir=tmp_path / 'out', features=dict(fmt='pooled'))['num'] == 0

    def test_frames_of_a_camera_are_written_as_pictures(self, inferencers, tmp_path):
        items = (Item(f'{i:06d}', lambda i=i: picture(seed=i), None, i) for i in range(3))
        together = SapiensInferencer(parts=inferencers['parts'], depth=inferencers['depth'])
        result = together(Source('camera', items, None, 'camera:0', 25.), out_dir=tmp_path, batch_size=2, save_vis=False)
        assert result['num'] == 3 and sorted(p.name for p in (tmp_path / 'depth').iterdir()) == [f'00000{i}.npy' for i in range(3)]

        def ends():
            yield Item('000000', picture, None, 0)
            yield Item('000001', picture, None, 1)
            raise KeyboardInterrupt

        with pytest.raises(ValueError, match='holds an earlier recording'):
            together(Source('camera', ends(), None, 'camera:0', 25.), out_dir=tmp_path, batch_size=1)
        assert together(Source('camera', ends(), None, 'camera:0', 25.), out_dir=tmp_path, batch_size=1, overwrite=True)['num'] >= 1

    def test_arguments_of_the_tasks(self, inferencers, tmp_path):
        together = SapiensInferencer(parts=inferencers['parts'], depth=inferencers['depth'])
        together(picture(), out_dir=tmp_path, depth=dict(fmt='npz'), parts=dict(opacity=0.2), bboxes=np.array([[5, 5, 60, 100]]))
        expected = inferencers['depth'](picture(), bboxes=np.array([[5, 5, 60, 100]]))['predictions'][0]['depth']
        np.testing.assert_array_equal(np.load(tmp_path / 'depth' / '000000.npz')['data'], expected)
        with pytest.raises(ValueError, match='unknown argument opactiy'):
            together(picture(), parts=dict(opactiy=0.2))
        with pytest.raises(ValueError, match='arguments for normal'):
            together(picture(), normal=dict(fmt='npz'))

    def test_wrong(self, inferencers):
        with pytest.raises(ValueError, match='one or more of'):
            SapiensInferencer()
        with pytest.raises(ValueError, match='one or more of'):
            SapiensInferencer(albedo=1)
        with pytest.raises(ValueError, match='needs a PartsInferencer'):
            SapiensInferencer(parts=inferencers['depth'])
        with pytest.raises(ValueError, match='parts model'):
            SapiensInferencer(depth=inferencers['depth'])(picture(), mask=True)


class TestFeatures:

    @pytest.mark.parametrize('form', ['fine-tuned', 'raw', 'bare'])
    def test_any_file(self, made, tmp_path, form):
        config, path = made['depth']
        model = build(config)
        state = {n[9:]: v for n, v in torch_load(str(path))['state_dict'].items() if n.startswith('backbone.')}
        torch.save(dict(bare=state, raw=dict(state_dict=raw_pretraining(model.backbone))).get(form, torch_load(str(path))),
                   tmp_path / 'x.pth')
        found = FeatureInferencer(str(config), str(tmp_path / 'x.pth'), device='cpu')(picture(), return_vis=True)
        features = found['predictions'][0]['features']
        assert features.shape == (32, 6, 4) and found['visualization'][0].shape == (120, 90, 3)
        np.testing.assert_allclose(found['predictions'][0]['pooled'], features.mean((1, 2)))
        if form != 'raw':
            resized = cv2.resize(picture(), (64, 96)).transpose(2, 0, 1).copy()
            data = model.data_preprocessor(dict(inputs=[torch.from_numpy(resized)]))
            with torch.no_grad():
                np.testing.assert_allclose(features, model.backbone(data['inputs'])[0][0].numpy(), atol=1e-4)

    def test_pre_trained_features_need_the_grid_of_pre_training(self, tmp_path):
        cfg = Config.fromfile(ROOT / 'configs/pose/td-hm_sapiens-0.3b_8xb64-210e_coco-1024x768.py')
        with pytest.raises(ValueError, match='patch_padding 0, and .* has patch_padding 2'):
            FeatureInferencer(cfg, str(tmp_path / 'sapiens_0.3b_epoch_1600_clean.pth'), device='cpu')

    def test_files(self, made, tmp_path):
        inferencer = FeatureInferencer(*map(str, made['depth']), device='cpu')
        inferencer(picture(), out_dir=tmp_path, fmt='pooled', save_vis=False)
        assert np.load(tmp_path / '000000.npy').shape == (32, )
        with pytest.raises(ValueError, match='fmt'):
            inferencer(picture(), fmt='exr')
