import cv2
import numpy as np
import pytest
import torch

from sapiens_mm.dense import transforms as T
from tests.dense.support import SIZE, build, toy_sample


def write(path, array):
    assert cv2.imwrite(str(path), array)
    return str(path)


def loaded(ori_shape=SIZE, **paths):
    return dict({k: str(v) for k, v in paths.items()}, ori_shape=ori_shape, img_path='a.png', seg_fields=[])


class TestLoadDenseImage:

    def test_reads(self, tmp_path):
        img = toy_sample()['img']
        got = T.LoadDenseImage().transform(dict(img_path=write(tmp_path / 'a.png', img)))
        assert (got['img'] == img).all() and got['ori_shape'] == got['img_shape'] == SIZE

    def test_broken_ones_are_counted_and_then_refused(self, tmp_path):
        good = write(tmp_path / 'good.png', toy_sample()['img'])
        (tmp_path / 'bad.png').write_bytes((tmp_path / 'good.png').read_bytes()[:200])
        load = T.LoadDenseImage()
        assert load.transform(dict(img_path=good)) is not None
        for _ in range(3):
            assert load.transform(dict(img_path=str(tmp_path / 'bad.png'))) is None
        assert load.bad_samples.state()[:2] == (4, 3)
        load.bad_samples.settle = 0
        with pytest.raises(ValueError, match=r'4 of 5 images that were read cannot be decoded.*max_bad_share.*bad\.png'):
            load.transform(dict(img_path=str(tmp_path / 'bad.png')))

    def test_missing_file(self):
        with pytest.raises(FileNotFoundError, match='there is no image nowhere.png; check data_root'):
            T.LoadDenseImage().transform(dict(img_path='nowhere.png'))


class TestLoadMask:

    def test_reads_the_first_channel(self, tmp_path):
        mask = toy_sample()['gt_mask']
        for values in (mask * 255, mask, np.dstack([mask * 7, mask * 0, mask * 0])):
            got = T.LoadMask().transform(loaded(mask_path=write(tmp_path / 'm.png', values)))
            assert (got['gt_mask'] == mask).all() and got['seg_fields'] == ['gt_mask']

    def test_threshold(self, tmp_path):
        alpha = np.full(SIZE, 100, np.uint8)
        alpha[:50] = 200
        got = T.LoadMask(threshold=127).transform(loaded(mask_path=write(tmp_path / 'm.png', alpha)))
        assert got['gt_mask'].sum() == 50 * SIZE[1]

    @pytest.mark.parametrize('array, fault', (
        (np.zeros(SIZE, np.uint8), 'm.png is empty: there is no person in the mask'),
        (np.ones((10, 20), np.uint8), r'm.png is 10 x 20 pixels \(H x W\), its image a.png 128 x 96'),
    ))
    def test_bad_ones_are_skipped_or_refused(self, tmp_path, array, fault):
        path = write(tmp_path / 'm.png', array)
        skipping = T.LoadMask()
        assert skipping.transform(loaded(mask_path=path)) is None
        read, bad, names = skipping.bad_samples.state()
        assert (read, bad) == (1, 1) and names[0].endswith('m.png')
        with pytest.raises(ValueError, match=fault):
            T.LoadMask(on_bad='refuse').transform(loaded(mask_path=path))

    def test_inference_has_no_labels(self):
        assert T.LoadMask().transform(dict(img_path='a.png')) == dict(img_path='a.png')

    def test_wrong_option(self):
        with pytest.raises(ValueError, match="on_bad must be 'skip' or 'refuse', got 'ignore'"):
            T.LoadMask(on_bad='ignore')


class TestCrop:

    def far_person(self):
        """A small person in the corner of a large picture."""
        mask = np.zeros((400, 300), np.uint8)
        mask[380:395, 270:290] = 1
        return dict(img=np.zeros((400, 300, 3), np.uint8), img_shape=(400, 300), gt_mask=mask, seg_fields=['gt_mask'])

    def test_keeps_the_person(self):
        crop = build(dict(type='sapiens_mm.DenseRandomCrop', crop_size=(60, 60)))
        for seed in range(30):
            np.random.seed(seed)
            got = crop(self.far_person())
            assert got['gt_mask'].any() and got['gt_mask'].shape == got['img'].shape[:2] == (60, 60)

    def test_without_guarantee_it_may_be_lost(self):
        crop = build(dict(type='sapiens_mm.DenseRandomCrop', crop_size=(60, 60), min_foreground=0.))
        np.random.seed(0)
        assert not all(crop(self.far_person())['gt_mask'].any() for _ in range(20))

    def test_windows_around_a_pixel_reach_every_place(self):
        np.random.seed(0)
        windows = {T.DenseRandomCrop._around(5, 3, 10) for _ in range(200)}
        assert windows == {(3, 6), (4, 7), (5, 8)}
        assert {T.DenseRandomCrop._around(9, 3, 10) for _ in range(50)} == {(7, 10)}
        assert {T.DenseRandomCrop._around(2, 30, 10) for _ in range(50)} == {(0, 30)}

    def test_small_pictures_stay(self):
        got = build(dict(type='sapiens_mm.DenseRandomCrop', crop_size=(999, 50)))(toy_sample())
        assert got['img'].shape[:2] == (SIZE[0], 50) == got['gt_normal'].shape[:2]

    def test_ignored_pixels_are_no_person(self):
        sample = self.far_person()
        labels = np.full((400, 300), 255, np.uint8)
        labels[sample.pop('gt_mask') > 0] = 3
        sample.update(gt_seg_map=labels, seg_fields=['gt_seg_map'])
        assert T.foreground(sample).sum() == 300 and T.foreground(sample, True).all()

    def test_share_out_of_range(self):
        with pytest.raises(ValueError, match='min_foreground must be a share'):
            T.DenseRandomCrop((4, 4), min_foreground=2)


def test_corners_that_come_in_are_no_person():
    rotate = build(dict(type='sapiens_mm.DenseRandomRotate', prob=1.0, degree=(45, 45 + 1e-9), seg_pad_val=7))
    sample = toy_sample()
    sample.update(gt_mask=np.ones(SIZE, np.uint8), gt_seg_map=np.ones(SIZE, np.uint8))
    got = rotate(sample)
    assert got['gt_mask'][0, 0] == 0 and got['gt_seg_map'][0, 0] == 7 and (got['gt_normal'][0, 0] == 0).all()


def test_normalize_copes_with_anything():
    vectors = np.array([[[0, 0, 0], [3, 0, 4], [np.nan, 1, 1], [np.inf, 0, 1]]], np.float32)
    got = T.normalize(vectors)
    assert np.allclose(got[0, 1], (0.6, 0, 0.8)) and not got[0, [0, 2, 3]].any() and got.dtype == np.float32


class TestRandomBackground:

    @pytest.fixture
    def folder(self, tmp_path):
        write(tmp_path / 'wide.jpg', np.full((50, 400, 3), (255, 0, 0), np.uint8))
        (tmp_path / 'sub').mkdir()
        write(tmp_path / 'sub/narrow.PNG', np.full((90, 20, 3), (255, 0, 0), np.uint8))
        (tmp_path / 'notes.txt').write_text('no picture')
        return str(tmp_path)

    def test_missing_or_empty_folder_is_an_error_at_once(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='there is no folder nowhere of background pictures; name one in'):
            T.RandomBackground('nowhere')
        with pytest.raises(ValueError, match='there is no jpg, jpeg or png picture in'):
            T.RandomBackground(str(tmp_path))

    def test_person_stays_and_the_rest_goes(self, folder):
        for seed in range(6):
            np.random.seed(seed)
            paste, before = T.RandomBackground(folder, prob=1., color_transfer=0), toy_sample()
            got, person = paste.transform(toy_sample()), before['gt_mask'] > 0
            assert (got['img'][person] == before['img'][person]).all()
            assert np.abs(got['img'][~person].astype(int) - (255, 0, 0)).max() <= 3
            assert got['img'].shape == before['img'].shape
        assert [name.lower()[-3:] for name in paste.files] == ['png', 'jpg']

    def test_colours_move_towards_the_background(self, folder):
        before = toy_sample()
        person = before['gt_mask'] > 0
        moved = [T.RandomBackground(folder, prob=1., color_transfer=t).transform(toy_sample())['img'] for t in (0, 0.5, 1)]
        distance = [np.linalg.norm(img[person].mean(0) - (255, 0, 0)) for img in moved]
        assert distance[0] > distance[1] > distance[2]

    def test_ignored_pixels_go_unless_told(self, folder):
        for keep in (False, True):
            sample = toy_sample()
            labels = np.zeros(SIZE, np.uint8)
            labels[:20], labels[20:40] = 255, 3
            sample = dict(img=sample['img'], gt_seg_map=labels, seg_fields=['gt_seg_map'])
            got = T.RandomBackground(folder, prob=1., color_transfer=0, ignored_is_foreground=keep).transform(dict(sample))
            assert (got['img'][:20] == sample['img'][:20]).all() == keep
            assert (got['img'][20:40] == sample['img'][20:40]).all()

    def test_never_and_without_a_person(self, folder):
        assert (T.RandomBackground(folder, prob=0.).transform(toy_sample())['img'] == toy_sample()['img']).all()
        with pytest.raises(ValueError, match='needs gt_mask or gt_seg_map'):
            T.RandomBackground(folder, prob=1.).transform(dict(img=toy_sample()['img']))

    def test_broken_background_leaves_the_sample(self, tmp_path):
        (tmp_path / 'broken.jpg').write_bytes(b'no jpeg')
        got = T.RandomBackground(str(tmp_path), prob=1.).transform(toy_sample())
        assert (got['img'] == toy_sample()['img']).all()


def test_packing():
    sample = toy_sample()
    sample.update(gt_depth_map=sample.pop('gt_depth'), gt_normal_map=sample.pop('gt_normal'), img_path='a.png')
    packed = build(dict(type='sapiens_mm.PackDenseInputs'))(sample)
    data = packed['data_samples']
    assert packed['inputs'].shape == (3, *SIZE)
    shapes = {name: tuple(data.get(name).data.shape) for name in ('gt_sem_seg', 'gt_mask', 'gt_depth_map', 'gt_normal_map')}
    assert shapes == dict(gt_sem_seg=(1, *SIZE), gt_mask=(1, *SIZE), gt_depth_map=(1, *SIZE), gt_normal_map=(3, *SIZE))
    assert (data.gt_normal_map.data.numpy() == sample['gt_normal_map'].transpose(2, 0, 1)).all()
    assert data.img_path == 'a.png'
    assert data.gt_sem_seg.data.dtype == torch.int64  # which mmseg's heads need
    narrow = build(dict(type='sapiens_mm.PackDenseInputs', byte_labels=True))(sample)['data_samples'].gt_sem_seg.data
    assert narrow.dtype == torch.uint8 and (narrow == data.gt_sem_seg.data).all()
