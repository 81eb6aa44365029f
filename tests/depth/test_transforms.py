import cv2
import numpy as np
import pytest

from sapiens_mm.depth.transforms import GenerateDepthTarget, LoadDepth
from tests.dense.support import SIZE, toy_sample


def sample(path, **extra):
    return dict(dict(depth_path=str(path), img_path='a.png', ori_shape=SIZE, seg_fields=[],
                     gt_mask=toy_sample()['gt_mask']), **extra)


def refused(path, **extra):
    with pytest.raises(ValueError) as error:
        LoadDepth(on_bad='refuse').transform(sample(path, **extra))
    assert LoadDepth().transform(sample(path, **extra)) is None
    return str(error.value)


class TestLoadDepth:

    @pytest.mark.parametrize('dtype', (np.float16, np.float32, np.float64, np.uint16))
    def test_any_real_type(self, tmp_path, dtype):
        depth = (toy_sample()['gt_depth'] * 100).astype(dtype)
        np.save(tmp_path / 'd.npy', depth)
        got = LoadDepth(scale=0.01).transform(sample(tmp_path / 'd.npy'))
        assert got['gt_depth'].dtype == np.float32 and np.allclose(got['gt_depth'], depth.astype(np.float32) / 100, rtol=1e-5)
        assert 'gt_depth' in got['seg_fields']

    def test_npz(self, tmp_path):
        depth = toy_sample()['gt_depth']
        np.savez(tmp_path / 'one.npz', anything=depth)
        np.savez_compressed(tmp_path / 'named.npz', depth=depth, other=depth * 2)
        for name in ('one.npz', 'named.npz'):
            assert (LoadDepth().transform(sample(tmp_path / name))['gt_depth'] == depth).all()
        np.savez(tmp_path / 'vague.npz', a=depth, b=depth)
        assert refused(tmp_path / 'vague.npz').endswith("vague.npz holds the arrays a, b; one is expected, or one called 'depth'")

    def test_openexr(self, tmp_path, monkeypatch):
        monkeypatch.setenv('OPENCV_IO_ENABLE_OPENEXR', '1')
        depth = toy_sample()['gt_depth'] * 100
        depth[toy_sample()['gt_mask'] == 0] = 65504
        row, column = np.argwhere(toy_sample()['gt_mask'])[0]
        depth[row, column] = 65504  # nothing there, although the mask says so
        try:
            assert cv2.imwrite(str(tmp_path / 'd.exr'), np.dstack([depth] * 3))
        except cv2.error:
            pytest.skip('this OpenCV has no OpenEXR')
        got = LoadDepth(scale=0.01).transform(sample(tmp_path / 'd.exr'))
        assert got['gt_mask'].sum() == toy_sample()['gt_mask'].sum() - 1 and not got['gt_mask'][row, column]
        person = got['gt_mask'] > 0
        assert np.allclose(got['gt_depth'][person], toy_sample()['gt_depth'][person], rtol=1e-3)
        assert np.isfinite(got['gt_depth']).all()

    def test_pixels_without_depth_leave_the_mask(self, tmp_path):
        depth = toy_sample()['gt_depth']
        person = np.argwhere(toy_sample()['gt_mask'])
        depth[tuple(person[0])], depth[tuple(person[1])] = np.nan, np.inf
        np.save(tmp_path / 'd.npy', depth)
        got = LoadDepth().transform(sample(tmp_path / 'd.npy'))
        assert got['gt_mask'].sum() == len(person) - 2 and np.isfinite(got['gt_depth']).all()

    def test_bad_ones(self, tmp_path):
        np.save(tmp_path / 'nan.npy', np.full(SIZE, np.nan))
        np.save(tmp_path / 'size.npy', np.ones((10, 20)))
        np.save(tmp_path / 'shape.npy', np.ones((4, *SIZE)))
        (tmp_path / 'broken.npy').write_bytes(b'no array')
        np.save(tmp_path / 'objects.npy', np.array([dict()]), allow_pickle=True)
        np.save(tmp_path / 'words.npy', np.array(['a']))
        assert refused(tmp_path / 'nan.npy').endswith('nan.npy has no finite number on the person')
        assert refused(tmp_path / 'size.npy').endswith('size.npy is 10 x 20 pixels (H x W), its image a.png 128 x 96')
        assert refused(tmp_path / 'shape.npy').endswith('has the shape (4, 128, 96), a depth map is (H, W)')
        for name in ('broken.npy', 'objects.npy', 'words.npy'):
            assert 'cannot be read as an array of numbers' in refused(tmp_path / name)

    def test_missing_file(self):
        with pytest.raises(FileNotFoundError, match='there is no depth map nowhere.npy'):
            LoadDepth().transform(sample('nowhere.npy'))


class TestGenerateDepthTarget:

    def made(self, depth, mask, **kwargs):
        got = GenerateDepthTarget(**kwargs).transform(
            dict(gt_depth=np.float32(depth), gt_mask=np.uint8(mask), seg_fields=['gt_depth', 'gt_mask']))
        assert 'gt_depth' not in got and got['seg_fields'] == ['gt_mask'] and got['gt_depth_map'].dtype == np.float32
        return got['gt_depth_map'].tolist()

    def test_nearest_is_0_and_farthest_1(self):
        assert self.made([[2, 4, 99], [3, 6, -5]], [[1, 1, 0], [1, 1, 0]]) == [[0, 0.5, -1], [0.25, 1, -1]]

    def test_for_evaluation_numbers_stay(self):
        assert self.made([[2, 4, 99]], [[1, 1, 0]], normalize=False) == [[2, 4, -1]]

    def test_one_depth_and_no_person(self):
        assert self.made([[5, 5, 7]], [[1, 1, 0]]) == [[0, 0, -1]]
        assert self.made([[5, 5, 7]], [[1, 1, 0]], fidelity=True) == [[5, 5, -1]]
        assert self.made([[5, 6, 7]], [[0, 0, 0]]) == [[-1, -1, -1]]

    def test_inference_has_no_depth(self):
        assert GenerateDepthTarget().transform(dict(img=1)) == dict(img=1)
