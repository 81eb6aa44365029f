"""Pose on pictures: the same keypoints by every way, from every kind of picture, in original pixels."""
import errno
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.runner import Runner
from PIL import Image

from sapiens_mm.apis import PoseInferencer
from sapiens_mm.apis.inputs import read_image
from sapiens_mm.engine.safe_load import torch_load
from tests.apis.support import picture, write_pictures, write_pose


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('pose')


@pytest.fixture(scope='module')
def made(folder):
    return write_pose(folder, 308)


@pytest.fixture(scope='module')
def inferencer(made):
    return PoseInferencer(*map(str, made), device='cpu')


def points(result):
    return np.concatenate([np.array([p['keypoints'] for p in r['instances']]).reshape(-1, 2) for r in result['predictions']])


BOXES = [[10, 20, 70, 110], [5.5, 3, 80, 90]]


def test_three_ways_one_answer(made, inferencer, tmp_path):
    """Ours, stock MMPoseInferencer and the evaluation by the runner."""
    from mmpose.apis import MMPoseInferencer
    cv2.imwrite(str(tmp_path / '001.png'), picture())
    height, width = 120, 90
    fast = points(inferencer(str(tmp_path / '001.png')))
    inferencer.model.head.fast_decode = False
    try:
        ours = points(inferencer(str(tmp_path / '001.png')))
        boxed = points(inferencer(str(tmp_path / '001.png'), bboxes=[[10, 20, 60, 80]]))
    finally:
        inferencer.model.head.fast_decode = True
    # Random heatmaps have flat peaks, where the refinement means nothing and moves by any number of pixels.
    inside = (np.abs(ours - [45, 60]) < [50, 65]).all(1)
    assert inside.mean() > 0.5 and (np.abs(fast - ours)[inside] < 0.01).mean() > 0.95

    stock = MMPoseInferencer(pose2d=str(made[0]), pose2d_weights=str(made[1]), det_model='whole_image', device='cpu')
    inferencer.model.head.fast_decode = False
    try:
        for path in (tmp_path / '001.png', *write_pictures(tmp_path / 'forms')):
            theirs = next(stock(str(path)))['predictions'][0]
            np.testing.assert_allclose(points(inferencer(str(path))), np.array(theirs[0]['keypoints']), rtol=1e-6, atol=1e-4)
    finally:
        inferencer.model.head.fast_decode = True

    ann = dict(id=1, image_id=1, category_id=1, iscrowd=0, bbox=[10, 20, 50, 60], area=3000, num_keypoints=308,
               keypoints=[1., 1., 2.] * 308)
    (tmp_path / 'anns.json').write_text(json.dumps(dict(
        info={}, images=[dict(id=1, file_name='001.png', height=height, width=width)], annotations=[ann],
        categories=[dict(id=1, name='person')])))
    cfg = Config.fromfile(made[0])
    cfg.work_dir, cfg.load_from = str(tmp_path / 'work'), str(made[1])
    cfg.test_dataloader.dataset.update(data_root=str(tmp_path), ann_file='anns.json', data_prefix=dict(img=''))
    cfg.test_evaluator = dict(type='DumpResults', out_file_path=str(tmp_path / 'out.pkl'))
    Runner.from_cfg(cfg).test()
    from mmengine.fileio import load
    evaluated = load(tmp_path / 'out.pkl')[0]['pred_instances']['keypoints'][0]
    np.testing.assert_allclose(boxed, evaluated, rtol=1e-6, atol=1e-4)


def test_what_the_checkpoint_says_about_mirroring_does_not_count(made, inferencer, tmp_path):
    content = torch_load(str(made[1]))
    content['meta']['dataset_meta']['flip_indices'] = list(range(308))
    torch.save(content, tmp_path / 'stale.pth')
    stale = PoseInferencer(str(made[0]), str(tmp_path / 'stale.pth'), device='cpu')
    np.testing.assert_array_equal(points(stale(picture())), points(inferencer(picture())))


def test_people_of_several_pictures_share_batches(inferencer):
    pictures = [picture(seed=i) for i in range(3)]
    boxes = [BOXES, [], [BOXES[1]]]
    calls = []
    forward = inferencer.forward
    inferencer.forward = lambda batch: calls.append(len(batch)) or forward(batch)
    try:
        together = inferencer(pictures, bboxes=boxes, batch_size=16)
    finally:
        del inferencer.forward
    assert calls == [3]
    assert [len(p['instances']) for p in together['predictions']] == [2, 0, 1]
    alone = [inferencer(p, bboxes=np.array(b), batch_size=1) for p, b in zip(pictures, boxes) if b]
    # Random heatmaps have a few peaks without curvature, where the refinement turns a rounding error into pixels.
    off = np.abs(points(together) - np.concatenate([points(a) for a in alone]))
    assert np.quantile(off, 0.98) < 0.02
    assert together['predictions'][0]['instances'][1]['bbox'] == BOXES[1]


def test_keypoints_lie_in_original_pixels(inferencer):
    """A picture twice as large gives keypoints twice as far, up to resampling; a shifted box shifts them."""
    image = picture(120, 90)
    canvas = np.zeros((300, 400, 3), np.uint8)
    canvas[60:180, 200:290] = image
    moved = inferencer(canvas, bboxes=np.array([[200, 60, 290, 180]]))['predictions'][0]['instances'][0]
    whole = inferencer(image, bboxes=np.array([[0, 0, 90, 120]]))['predictions'][0]['instances'][0]
    np.testing.assert_allclose(np.array(moved['keypoints']) - [200, 60], whole['keypoints'], atol=0.05)


@pytest.mark.parametrize('size', [(64, 640), (640, 64), (9, 7), (1, 1)])
def test_wide_tall_and_tiny(inferencer, size):
    found = inferencer(picture(*size))['predictions'][0]
    assert (found['height'], found['width']) == size
    assert np.isfinite(found['instances'][0]['keypoints']).all()


class TestReading:

    def test_forms_of_one_picture(self, tmp_path, inferencer):
        image = picture()
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        cv2.imwrite(str(tmp_path / 'c.png'), image)
        cv2.imwrite(str(tmp_path / 'a.png'), np.dstack([image, np.full(grey.shape, 9, np.uint8)]))
        cv2.imwrite(str(tmp_path / 's.png'), image.astype(np.uint16) * 257)
        for name in ('c', 'a', 's'):
            np.testing.assert_array_equal(read_image(tmp_path / f'{name}.png'), image)
        cv2.imwrite(str(tmp_path / 'g.png'), grey)
        cv2.imwrite(str(tmp_path / 'g16.tif'), grey.astype(np.uint16) * 257)
        for source in (tmp_path / 'g.png', tmp_path / 'g16.tif', grey, grey[..., None]):
            np.testing.assert_array_equal(read_image(source), np.dstack([grey] * 3))
        np.testing.assert_array_equal(read_image(image.astype(np.uint16) * 256), image)
        np.testing.assert_array_equal(points(inferencer(str(tmp_path / 'c.png'))), points(inferencer(image)))

    def test_exif_orientation(self, tmp_path):
        image = picture()
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        Image.fromarray(image[..., ::-1]).save(tmp_path / 'x.jpg', exif=exif, quality=98)
        upright = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
        got = read_image(tmp_path / 'x.jpg')
        assert got.shape == upright.shape
        assert np.abs(got.astype(int) - upright).mean() < 6

    def test_cmyk(self, tmp_path):
        rgb = Image.fromarray(np.ascontiguousarray(picture()[..., ::-1]))
        rgb.convert('CMYK').save(tmp_path / 'x.jpg', quality=98)
        rgb.convert('CMYK').save(tmp_path / 'x.tif')
        for name in ('x.jpg', 'x.tif'):
            got = read_image(tmp_path / name)
            assert np.abs(got.astype(int) - picture()).mean() < 8, name

    def test_formats_that_only_pillow_reads(self, tmp_path):
        Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)).save(tmp_path / 'f.tif')
        Image.fromarray(picture()[..., ::-1]).quantize(16).save(tmp_path / 'p.gif')
        assert read_image(tmp_path / 'p.gif').shape == (120, 90, 3)
        assert read_image(tmp_path / 'f.tif').shape == (3, 4, 3)

    @pytest.mark.parametrize('content', [b'', b'no picture', 'cut'])
    def test_broken(self, tmp_path, content):
        if content == 'cut':
            whole = cv2.imencode('.jpg', picture(200, 200))[1].tobytes()
            content = whole[:len(whole) // 2]
        (tmp_path / 'x.jpg').write_bytes(content)
        with pytest.raises(ValueError, match='cannot be decoded'):
            read_image(tmp_path / 'x.jpg')

    @pytest.mark.parametrize('array', [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8),
                                       np.zeros(4, np.uint8)])
    def test_wrong_arrays(self, array):
        with pytest.raises(ValueError, match='an array of a picture'):
            read_image(array)


class TestFolders:

    def fill(self, folder):
        (folder / 'in' / 'sub').mkdir(parents=True)
        for i, name in enumerate(['a.jpg', 'a.png', 'b.jpg', 'sub/b.jpg']):
            cv2.imwrite(str(folder / 'in' / name), picture(seed=i))
        (folder / 'in' / 'notes.txt').write_text('x')
        return folder / 'in', folder / 'out'

    def test_files(self, inferencer, tmp_path):
        source, out = self.fill(tmp_path)
        result = inferencer(str(source), out_dir=out, batch_size=3)
        assert result['num'] == 4 and result['predictions'] == [] and not result['errors']
        names = {p.relative_to(out).as_posix() for p in out.rglob('*') if p.is_file()}
        stems = ('a_jpg', 'a_png', 'b', 'sub/b')
        assert names == {'run.json', 'finished.jsonl'} | {f'{s}.json' for s in stems} | {f'vis/{s}.jpg' for s in stems}
        content = json.loads((out / 'sub/b.json').read_text())
        assert content['keypoint_names'][0] == 'nose' and len(content['keypoint_names']) == 308
        person = content['instances'][0]
        expected = inferencer(str(source / 'sub/b.jpg'))['predictions'][0]['instances'][0]
        np.testing.assert_allclose(person['keypoints'], expected['keypoints'], atol=0.02)
        assert (content['height'], content['width']) == (120, 90)

    def test_resume(self, inferencer, tmp_path):
        source, out = self.fill(tmp_path)
        inferencer(str(source), out_dir=out, save_vis=False)
        before = {p: p.stat().st_mtime_ns for p in out.rglob('*.json')}
        (out / 'b.json').unlink()
        assert inferencer(str(source), out_dir=out, save_vis=False)['num'] == 1
        after = {p: p.stat().st_mtime_ns for p in out.rglob('*.json')}
        assert {p for p in before if before[p] != after[p]} == {out / 'b.json', out / 'run.json'}
        assert inferencer(str(source), out_dir=out, save_vis=False)['num'] == 0
        with pytest.raises(ValueError, match='keypoints.* changed'):
            inferencer(str(source), out_dir=out, save_vis=False, keypoints='17')
        assert inferencer(str(source), out_dir=out, save_vis=False, keypoints='17', overwrite=True)['num'] == 4
        assert len(json.loads((out / 'b.json').read_text())['keypoint_names']) == 17

    def test_another_picture_of_the_same_name_is_not_finished(self, inferencer, tmp_path):
        source, out = self.fill(tmp_path)
        inferencer(str(source), out_dir=out, save_vis=False)
        cv2.imwrite(str(source / 'b.jpg'), picture(60, 50))
        assert inferencer(str(source), out_dir=out, save_vis=False)['num'] == 1
        assert json.loads((out / 'b.json').read_text())['height'] == 60
        shutil.move(source, tmp_path / 'moved')  # the same pictures at another place are
        assert inferencer(str(tmp_path / 'moved'), out_dir=out, save_vis=False)['num'] == 0

    def test_boxes_are_settings(self, inferencer, tmp_path):
        source, out = self.fill(tmp_path)
        picture_file = str(source / 'b.jpg')
        for _ in range(2):
            inferencer(picture_file, out_dir=out, save_vis=False, bboxes=np.array(BOXES))
        with pytest.raises(ValueError, match='bboxes changed'):
            inferencer(picture_file, out_dir=out, save_vis=False, bboxes=np.array(BOXES) + 1)

    def test_a_full_disk_leaves_nothing_half_written(self, inferencer, tmp_path, monkeypatch):
        source, out = self.fill(tmp_path)
        write, written = Path.write_text, []

        def full(path, text):
            if path.suffix == '.json' and 'instances' in text:
                written.append(path)
                if len(written) == 3:
                    write(path, text[:100])
                    raise OSError(errno.ENOSPC, 'No space left on device', str(path))
            return write(path, text)

        monkeypatch.setattr(Path, 'write_text', full)
        with pytest.raises(OSError, match='No space left'):
            inferencer(str(source), out_dir=out, save_vis=False, batch_size=1)
        monkeypatch.undo()
        assert not list(out.rglob('*partial*')) and len(written) >= 3
        assert all(json.loads(p.read_text()) for p in out.rglob('*.json'))
        inferencer(str(source), out_dir=out, save_vis=False)
        assert len([p for p in out.rglob('*.json') if p.name != 'run.json']) == 4

    def test_what_a_kill_leaves_is_cleared_away(self, inferencer, tmp_path):
        source, out = self.fill(tmp_path)
        out.mkdir()
        dead, young, alive = (out / f'.{name}.{pid}.partial.json' for name, pid in (('a', 2**22 + 1), ('b', 2**22 + 1), ('c', 1)))
        for path in (dead, young, alive):
            path.write_text('half')
        for path in (dead, alive):
            os.utime(path, (1, 1))
        (out / 'finished.jsonl').write_text('["b",[1,')
        assert inferencer(str(source), out_dir=out, save_vis=False)['num'] == 4
        assert not dead.exists() and young.exists() and alive.exists()
        with open(out / 'finished.jsonl', 'a') as file:
            file.write('\n["b",[1,')  # a line that was cut short
        assert inferencer(str(source), out_dir=out, save_vis=False)['num'] == 0

    def test_out_dir_is_a_file(self, inferencer, tmp_path):
        (tmp_path / 'out').write_text('x')
        with pytest.raises(OSError, match='out'):
            inferencer(picture(), out_dir=tmp_path / 'out')

    def test_broken_pictures_are_left_out(self, inferencer, tmp_path):
        source, out = self.fill(tmp_path)
        (source / 'a.jpg').write_bytes(b'x')
        result = inferencer(str(source), out_dir=out, save_vis=False)
        assert result['num'] == 4 and list(result['errors']) == [str(source / 'a.jpg')]
        assert not (out / 'a_jpg.json').exists() and (out / 'sub' / 'b.json').exists()
        with pytest.raises(ValueError, match='cannot be decoded'):
            inferencer(str(source / 'a.jpg'))

    def test_patterns_and_lists(self, inferencer, tmp_path):
        source, _ = self.fill(tmp_path)
        assert [p['image'] for p in inferencer(f'{source}/*.jpg')['predictions']] == [str(source / 'a.jpg'), str(source / 'b.jpg')]
        mixed = inferencer([str(source / 'b.jpg'), picture()], return_vis=True)
        assert len(mixed['predictions']) == len(mixed['visualization']) == 2 and mixed['visualization'][1].shape == (120, 90, 3)

    @pytest.mark.parametrize('inputs, error', [('none.jpg', FileNotFoundError), ('none/*.jpg', FileNotFoundError), ([], ValueError),
                                               (3, ValueError), (['none.jpg'], FileNotFoundError),
                                               ('camera:97', FileNotFoundError)])
    def test_nothing_there(self, inferencer, inputs, error):
        with pytest.raises(error):
            inferencer(inputs)


class TestBoxes:

    def test_by_file_and_coco(self, inferencer, tmp_path):
        cv2.imwrite(str(tmp_path / 'a.png'), picture())
        (tmp_path / 'boxes.json').write_text(json.dumps({'a.png': BOXES}))
        coco = dict(images=[dict(id=7, file_name='a.png')], annotations=[
            dict(image_id=7, category_id=1, bbox=[x1, y1, x2 - x1, y2 - y1]) for x1, y1, x2, y2 in BOXES])
        (tmp_path / 'coco.json').write_text(json.dumps(coco))
        results = [points(inferencer(str(tmp_path / 'a.png'), bboxes=b)) for b in (
            np.array(BOXES), BOXES, [BOXES], {'a': BOXES}, str(tmp_path / 'boxes.json'), str(tmp_path / 'coco.json'))]
        assert len(results[0]) == 2 * 308
        for other in results[1:]:
            np.testing.assert_allclose(other, results[0], atol=1e-6)

    @pytest.mark.parametrize('boxes, says', [([[5, 5, 5, 9]], 'no area'), ([[1, 2, 3]], 'x1, y1, x2, y2'),
                                             ({'other.png': BOXES}, 'no boxes for'), ([BOXES, BOXES], '2 pictures'),
                                             ('none.json', 'no file of boxes')])
    def test_wrong(self, inferencer, tmp_path, boxes, says):
        cv2.imwrite(str(tmp_path / 'a.png'), picture())
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            inferencer(str(tmp_path / 'a.png'), bboxes=boxes)

    def test_detector(self, made, tmp_path):
        """mmdet's RTMDet with random weights finds nothing certain, and with a low threshold something."""
        from mmdet.registry import MODELS
        from mmdet.utils import register_all_modules
        from mmengine.registry import DefaultScope
        from mmengine.runner import save_checkpoint

        from sapiens_mm.apis.boxes import PersonDetector, _default_config
        register_all_modules(init_default_scope=False)
        cfg = Config.fromfile(_default_config())
        cfg.model.backbone.pop('init_cfg', None)
        cfg.model.backbone.update(deepen_factor=0.167, widen_factor=0.375)
        cfg.model.neck.update(in_channels=[96, 192, 384], out_channels=96, num_csp_blocks=1)
        cfg.model.bbox_head.update(in_channels=96, feat_channels=96)
        cfg.dump(tmp_path / 'det.py')
        with DefaultScope.overwrite_default_scope('mmdet'):
            save_checkpoint(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta={}), str(tmp_path / 'det.pth'))
        strict = PersonDetector(str(tmp_path / 'det.py'), str(tmp_path / 'det.pth'), score_thr=0.99)
        assert strict(picture(100, 100)).shape == (0, 5)
        loose = PersonDetector(str(tmp_path / 'det.py'), str(tmp_path / 'det.pth'), score_thr=0., nms_thr=0.05)
        found = loose(picture(100, 100))
        assert len(found) and (found[:, 2:4] > found[:, :2]).all()
        told = np.array([[1, 2, 50, 60, 0.7]], np.float32)
        inferencer = PoseInferencer(*map(str, made), device='cpu', detector=lambda image: told)
        person = inferencer(picture())['predictions'][0]['instances'][0]
        assert person['bbox'] == [1, 2, 50, 60] and person['bbox_score'] == pytest.approx(0.7)

    def test_nobody_there(self, made, tmp_path):
        inferencer = PoseInferencer(*map(str, made), device='cpu', detector=lambda image: np.zeros((0, 5), np.float32))
        assert inferencer(picture(), out_dir=tmp_path / 'out')['num'] == 1
        assert json.loads((tmp_path / 'out' / '000000.json').read_text())['instances'] == []


class TestOptions:

    def test_other_orders(self, inferencer):
        full = inferencer(picture())['predictions'][0]
        body = inferencer(picture(), keypoints='17')['predictions'][0]
        pose25 = inferencer(picture(), keypoints='openpose25')['predictions'][0]
        whole = inferencer(picture(), keypoints='133', tier='inferred')['predictions'][0]
        all_points, k17, k25, k133 = (np.array(r['instances'][0]['keypoints']) for r in (full, body, pose25, whole))
        assert body['keypoint_set'] == 'coco' and k17.shape == (17, 2) and k25.shape == (25, 2) and k133.shape == (133, 2)
        for name, i308, i17, i25 in (('nose', 0, 0, 0), ('right_wrist', 41, 10, 4), ('left_hip', 9, 11, 12),
                                     ('right_ankle', 14, 16, 11)):
            np.testing.assert_array_equal(k17[i17], all_points[i308], err_msg=name)
            np.testing.assert_array_equal(k25[i25], all_points[i308], err_msg=name)
        np.testing.assert_allclose(k25[1], all_points[[5, 6]].mean(0))
        scores = np.array(whole['instances'][0]['keypoint_scores'])
        assert (scores > 0).sum() == 114 and (k133[scores == 0] == 0).all()

    @pytest.mark.parametrize('kwargs, says', [(dict(keypoints='99'), 'cannot give'), (dict(tier='x'), 'tier'),
                                              (dict(bacth_size=1), 'bacth_size'), (dict(batch_size=0), 'at least 1'),
                                              (dict(smooth=True), 'videos')])
    def test_wrong(self, inferencer, kwargs, says):
        kwargs = dict(dict(keypoints='133'), **kwargs) if 'tier' in kwargs else kwargs
        with pytest.raises((ValueError, TypeError), match=says):
            inferencer(picture(), **kwargs)

    def test_data_samples(self, inferencer):
        sample = inferencer(picture(), return_datasamples=True)['predictions'][0]
        assert sample.pred_instances.keypoints.shape == (1, 308, 2)

    def test_bf16_is_near_and_flip_test_matters(self, made):
        fp32 = PoseInferencer(*map(str, made), device='cpu', flip_test=False)
        bf16 = PoseInferencer(*map(str, made), device='cpu', flip_test=False, precision='bf16')
        flipped = PoseInferencer(*map(str, made), device='cpu', flip_test=True)
        a, b, c = (np.array(i(picture())['predictions'][0]['instances'][0]['keypoint_scores']) for i in (fp32, bf16, flipped))
        assert 0 < np.abs(a - b).max() < 0.1 * np.abs(a).max() < np.abs(a).max()
        assert np.abs(a - c).max() > np.abs(a - b).max()

    def test_deterministic_over_threads(self, inferencer):
        pictures = [picture(seed=i) for i in range(6)]
        once, again = (points(inferencer(pictures, readers=r, batch_size=4)) for r in (1, 5))
        np.testing.assert_array_equal(once, again)


class TestModels:

    def test_weights_must_be_given(self, made):
        with pytest.raises(ValueError, match='give the checkpoint'):
            PoseInferencer(str(made[0]))

    def test_unknown_model(self):
        with pytest.raises(FileNotFoundError, match='sapiens-1b-pose-308'):
            PoseInferencer('sapiens-9b', 'x.pth')

    def test_a_released_file_for_another_config(self, made, tmp_path):
        path = tmp_path / 'sapiens_0.3b_coco_best_coco_AP_796.pth'
        torch.save({}, path)
        with pytest.raises(ValueError, match='sapiens-0.3b-pose-17 and does not belong'):
            PoseInferencer(str(made[0]), str(path))

    def test_released_names_choose_config_and_file(self, monkeypatch):
        asked = []
        monkeypatch.setattr('sapiens_mm.apis.base.read_checkpoint', lambda source, trusted: asked.append(source) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            PoseInferencer('sapiens-0.3b-pose-17', device='cpu')
        assert asked == ['hf://noahcao/sapiens-pose-coco/sapiens_host/pose/checkpoints/sapiens_0.3b/'
                         'sapiens_0.3b_coco_best_coco_AP_796.pth']

    def test_17_points_for_308(self, made, tmp_path):
        _, other = write_pose(tmp_path, 17)
        with pytest.raises(ValueError, match='17 keypoints.*308 keypoints'):
            PoseInferencer(str(made[0]), str(other), device='cpu')


def test_a_killed_overwrite_leaves_nothing_of_the_run_before(inferencer, tmp_path):
    pictures = [picture(seed=i) for i in range(3)]
    inferencer(pictures, out_dir=tmp_path, save_vis=False)
    forward = inferencer.forward
    inferencer.forward = lambda batch: 1 / 0
    try:
        with pytest.raises(ZeroDivisionError):
            inferencer(pictures, out_dir=tmp_path, save_vis=False, keypoints='17', overwrite=True, batch_size=1)
    finally:
        inferencer.forward = forward
    assert inferencer(pictures, out_dir=tmp_path, save_vis=False, keypoints='17')['num'] == 3
    assert all(len(json.loads((tmp_path / f'00000{i}.json').read_text())['keypoint_names']) == 17 for i in range(3))
