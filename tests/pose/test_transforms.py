import copy
import pickle

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

from sapiens_mm.pose.dataset import CocoDataset
from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from sapiens_mm.pose.transforms import BadSamples, CoarseDropout, LoadImage, MapKeypoints, RandomBlur
from tests.pose.support import save, write_set


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


@pytest.fixture
def picture():
    rng = np.random.default_rng(1)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)


def load(path, **kwargs):
    return LoadImage(**kwargs)(dict(img_path=str(path), img_id=1, bbox=np.array([[5., 5., 40., 30.]], np.float32),
                                    bbox_score=np.ones(1, np.float32)))


class TestLoadImage:

    @pytest.mark.parametrize('name', ['a.png', 'a.jpg', 'a.bmp', 'a.webp'])
    def test_is_bgr_uint8(self, tmp_path, picture, name):
        cv2.imwrite(str(tmp_path / name), picture)
        out = load(tmp_path / name)
        assert out['img'].dtype == np.uint8 and out['img'].shape == (48, 64, 3) and out['img_shape'] == out['ori_shape'] == (48, 64)
        assert np.abs(out['img'].astype(int) - picture).mean() < 12

    @pytest.mark.parametrize('mode', ['L', 'LA', 'RGBA', 'P', 'I;16', '1', 'CMYK'])
    def test_other_pixel_formats(self, tmp_path, picture, mode):
        rgb = Image.fromarray(picture[..., ::-1])
        path = tmp_path / ('a.jpg' if mode == 'CMYK' else 'a.png')
        if mode == 'I;16':
            Image.fromarray(np.asarray(rgb.convert('L'), np.uint16) * 257).save(path)
        else:
            (rgb.convert('L').convert('LA') if mode == 'LA' else rgb.convert(mode)).save(path)
        out = load(path)['img']
        assert out.dtype == np.uint8 and out.shape == (48, 64, 3)
        if mode in ('L', 'LA', 'I;16'):
            wanted = np.repeat(np.asarray(rgb.convert('L'))[..., None], 3, 2)
            assert np.abs(out.astype(int) - wanted).max() <= 1
        elif mode in ('RGBA', 'CMYK'):
            assert np.abs(out.astype(int) - picture).mean() < 12

    def test_turned_as_exif_says(self, tmp_path, picture):
        image, exif = Image.fromarray(picture[..., ::-1]), Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / 'a.jpg', exif=exif, quality=95)
        out = load(tmp_path / 'a.jpg')
        assert out['img_shape'] == (64, 48)
        assert np.abs(out['img'].astype(int) - np.rot90(picture, -1)).mean() < 12

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='no image .*gone.jpg.*data_root'):
            load(tmp_path / 'gone.jpg')

    def broken(self, tmp_path, picture, kind):
        path = tmp_path / f'{kind}.{"png" if "png" in kind else "jpg"}'
        content = cv2.imencode(path.suffix, picture)[1].tobytes()
        path.write_bytes({'empty': b'', 'text': b'not a picture', 'cut_jpg': content[:len(content) // 2],
                          'header_jpg': content[:30], 'cut_png': content[:len(content) // 2]}[kind])
        return path

    @pytest.mark.parametrize('kind', ['empty', 'text', 'cut_jpg', 'header_jpg', 'cut_png'])
    def test_broken(self, tmp_path, picture, kind):
        path = self.broken(tmp_path, picture, kind)
        assert load(path) is None
        blank = load(path, on_bad='blank')
        assert blank['img'].shape == (30, 40, 3) and not blank['img'].any()
        assert blank['bbox'].max() < -1000 and not blank['bbox_score'].any()
        with pytest.raises(ValueError, match='cannot be decoded'):  # an inferencer's picture, no data set's
            LoadImage(on_bad='blank')(dict(img_path=str(path)))

    def test_array_passes_through(self, picture):
        out = LoadImage()(dict(img=picture, img_path=None))
        assert out['img'] is picture and out['img_shape'] == (48, 64)

    def test_thumbnail_in_a_whole_file(self, tmp_path, picture):
        image, exif = Image.fromarray(picture), Image.Exif()
        exif[0x010e] = 'x\xff\xda'  # a scan marker inside the metadata
        image.save(tmp_path / 'a.jpg', exif=exif)
        assert load(tmp_path / 'a.jpg') is not None

    def test_wrong_argument(self):
        with pytest.raises(ValueError, match='on_bad'):
            LoadImage(on_bad='ignore')


class TestBadSamples:

    def test_share(self):
        counter = BadSamples(0.01)
        for _ in range(10):
            counter.add('a/b.jpg')
        with pytest.raises(ValueError, match=r'11 of 11 images.*1.0% may be.*c\.jpg|11 of 11 images.*b\.jpg'):
            counter.add('a/c.jpg')
        counter.reset()
        assert counter.state() == (0, 0, [])

    def test_a_few_are_always_accepted_at_the_end(self):
        counter = BadSamples(0.01)
        counter.judge(10, 3, ['a'])
        counter.judge(2000, 20, ['a'])
        for read, bad in ((10, 4), (2000, 21)):
            with pytest.raises(ValueError, match=f'{bad} of {read}'):
                counter.judge(read, bad, ['a'])

    def test_copies(self):
        counter = BadSamples(0.01)
        counter.add('ä.jpg')
        copied, pickled = copy.deepcopy(counter), pickle.loads(pickle.dumps(counter))
        counter.add()
        assert counter.state() == (2, 1, ['ä.jpg'])
        assert copied.state() == (0, 0, []) and pickled.state() == (1, 1, ['ä.jpg'])
        assert pickled._counts.is_shared()


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_no_count_is_lost_between_workers(tmp_path, method):
    path, _ = write_set(tmp_path, 17, num_images=40, people=2)
    for i in range(0, 40, 4):
        (tmp_path / f'{i + 1:03d}.jpg').write_bytes(b'no picture')
    data = CocoDataset(ann_file=path, data_prefix=dict(img=str(tmp_path)), test_mode=True,
                       pipeline=[dict(type='sapiens_mm.LoadImage', on_bad='blank', max_bad_share=1.), dict(type='PackPoseInputs')])
    counter = data.pipeline.transforms[0].bad_samples
    loader = DataLoader(data, batch_size=2, num_workers=2, collate_fn=len, multiprocessing_context=method)
    for _ in range(2 if method == 'fork' else 1):
        assert sum(loader) == 80
        read, bad, names = counter.state()
        assert (read, bad) == (80, 20) and len(names) == 4 and all(name.startswith(str(tmp_path)) for name in names)
        counter.reset()


def test_hook_reports_and_refuses(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from mmengine.dataset import RepeatDataset

    from sapiens_mm.engine.hooks import BadSampleHook
    path, content = write_set(tmp_path, 17, num_images=6, people=1)
    (tmp_path / '001.jpg').write_bytes(b'no picture')
    pipeline = [dict(type='sapiens_mm.LoadImage'), dict(type='PackPoseInputs')]
    data = CocoDataset(ann_file=path, data_prefix=dict(img=str(tmp_path)), pipeline=pipeline)
    wrapped = RepeatDataset(data, 2)
    said = []
    runner = SimpleNamespace(logger=SimpleNamespace(warning=said.append))
    runner.train_loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=wrapped))
    for i in range(len(wrapped)):
        assert wrapped[i]['data_samples'].img_id != 1
    read, bad, _ = data.pipeline.transforms[0].bad_samples.state()
    assert bad >= 2 and read == bad + 12
    hook = BadSampleHook()
    if bad > 3:
        data.pipeline.transforms[0].bad_samples.reset()
        data.prepare_data(0)
    hook.after_train_epoch(runner)
    assert len(said) == 1 and '001.jpg' in said[0] and said[0].startswith('training:')
    hook.after_train_epoch(runner)
    assert len(said) == 1  # counted from zero again
    for _ in range(4):
        data.prepare_data(0)
    with pytest.raises(ValueError, match='4 of 4'):
        hook.after_train_epoch(runner)


def test_evaluation_keeps_order_and_length(tmp_path):
    path, content = write_set(tmp_path, 17, num_images=3, people=2)
    (tmp_path / '002.jpg').write_bytes(b'no picture')
    pipeline = [dict(type='sapiens_mm.LoadImage', on_bad='blank'), dict(type='GetBBoxCenterScale'),
                dict(type='TopdownAffine', input_size=(48, 64), use_udp=True), dict(type='PackPoseInputs')]
    data = CocoDataset(ann_file=path, data_prefix=dict(img=str(tmp_path)), pipeline=pipeline, test_mode=True)
    samples = [data[i] for i in range(len(data))]
    assert [s['data_samples'].id for s in samples] == [a['id'] for a in content['annotations']]
    assert [bool(s['inputs'].any()) for s in samples] == [True, True, False, False, True, True]
    assert samples[2]['data_samples'].ori_shape == (240, 200)
    assert all((s['data_samples'].input_center < -1000).all() for s in samples[2:4])


class TestMapKeypoints:

    @pytest.mark.parametrize('source, tier, number', [(17, 'by_name', 17), (133, 'by_name', 53), (133, 'certain', 63),
                                                      (133, 'inferred', 114)])
    def test_points_arrive_by_meaning(self, source, tier, number):
        keypoints = np.arange(source * 2, dtype=np.float32).reshape(1, source, 2) + 1
        visible = np.ones((1, source), np.float32)
        visible[0, 3] = 0
        out = MapKeypoints(source, tier)(dict(keypoints=keypoints, keypoints_visible=visible, flip_indices=list(range(source)),
                                              keypoints_3d=None))
        assert out['keypoints'].shape == (1, 308, 2) and out['keypoints_visible'].shape == (1, 308, 2)
        pairs = {a: b for a, b in common_keypoints(tier).items() if b < source}
        assert len(pairs) == number
        for a in range(308):
            if a in pairs:
                assert (out['keypoints'][0, a] == keypoints[0, pairs[a]]).all()
                assert out['keypoints_visible'][0, a, 0] == (pairs[a] != 3)
            else:
                assert not out['keypoints_visible'][0, a].any()
        assert out['flip_indices'] == list(get_skeleton(308).flip_indices)

    def test_wrong_set(self):
        with pytest.raises(ValueError, match='17 .*133'):
            MapKeypoints(21)
        with pytest.raises(ValueError, match='source=17.*133 keypoints'):
            MapKeypoints(17)(dict(keypoints=np.zeros((1, 133, 2)), keypoints_visible=np.ones((1, 133))))


class TestPixels:

    @pytest.mark.parametrize('kind', ['mean', 'median'])
    def test_blur(self, picture, kind):
        always, never = RandomBlur(kind, prob=1.0), RandomBlur(kind, prob=0.0)
        out = always(dict(img=picture.copy()))['img']
        assert out.shape == picture.shape and out.dtype == np.uint8
        assert (np.diff(out.astype(int), axis=0)**2).sum() < (np.diff(picture.astype(int), axis=0)**2).sum()
        assert (never(dict(img=picture.copy()))['img'] == picture).all()
        flat = np.full((20, 20, 3), 77, np.uint8)
        assert (always(dict(img=flat))['img'] == 77).all()

    def test_how_often(self, picture):
        np.random.seed(0)
        blur = RandomBlur(prob=0.1)
        changed = sum((blur(dict(img=picture))['img'] != picture).any() for _ in range(2000))
        assert 140 < changed < 260

    def test_dropout(self):
        np.random.seed(0)
        white, shares = np.full((200, 100, 3), 255, np.uint8), []
        for _ in range(300):
            out = CoarseDropout()(dict(img=white))['img']
            hole = (out == 0).all(-1)
            rows, columns = hole.any(1).nonzero()[0], hole.any(0).nonzero()[0]
            assert hole.sum() == len(rows) * len(columns) and (out[~hole] == 255).all()
            assert rows[-1] - rows[0] + 1 == len(rows) and columns[-1] - columns[0] + 1 == len(columns)
            shares.append((len(rows) / 200, len(columns) / 100))
        shares = np.array(shares)
        assert (shares >= 0.19).all() and (shares <= 0.4).all()
        assert (shares.min(0) < 0.22).all() and (shares.max(0) > 0.38).all()
        assert (white == 255).all()
        assert (CoarseDropout(prob=0.0)(dict(img=white))['img'] == 255).all()

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match='hole_height'):
            CoarseDropout(hole_height=(0.5, 0.2))
        with pytest.raises(ValueError, match='odd'):
            RandomBlur(kernel_sizes=(4, ))
        with pytest.raises(ValueError, match='median'):
            RandomBlur('gauss')


def test_broken_annotation_picture_pair_in_training(tmp_path):
    """A data set whose pictures are all broken is refused with their names, not after a thousand tries."""
    path, content = write_set(tmp_path, 17, num_images=4, people=1, pictures=False)
    for image in content['images']:
        (tmp_path / image['file_name']).write_bytes(b'nothing')
    data = CocoDataset(ann_file=save(tmp_path / 'b.json', content), data_prefix=dict(img=str(tmp_path)),
                       pipeline=[dict(type='sapiens_mm.LoadImage')])
    with pytest.raises(ValueError, match='11 of 11 images.*.jpg'):
        data[0]


def test_pipeline_of_the_bases_builds(root):
    from mmengine import Config
    cfg = Config.fromfile(root / 'configs/_base_/datasets/pose_topdown.py')
    kinds = [step.type for step in cfg.train_pipeline]
    assert kinds[5] == 'TopdownAffine' and kinds[10] == 'GenerateTarget' and cfg.val_pipeline[2].type == 'TopdownAffine'
    assert len(Compose(cfg.train_pipeline).transforms) == len(kinds)
    assert len(Compose(cfg.val_pipeline).transforms) == 4
