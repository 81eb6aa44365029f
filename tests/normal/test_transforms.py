import cv2
import numpy as np
import pytest

from sapiens_mm.normal.transforms import GenerateNormalTarget, LoadNormal
from tests.dense.support import SIZE, toy_sample


def sample(path, **extra):
    return dict(dict(normal_path=str(path), img_path='a.png', ori_shape=SIZE, seg_fields=[],
                     gt_mask=toy_sample()['gt_mask']), **extra)


def refused(path):
    with pytest.raises(ValueError) as error:
        LoadNormal(on_bad='refuse').transform(sample(path))
    assert LoadNormal().transform(sample(path)) is None
    return str(error.value)


class TestLoadNormal:

    @pytest.mark.parametrize('dtype', (np.float16, np.float32, np.float64))
    def test_unit_length_from_any_real_type(self, tmp_path, dtype):
        normal = toy_sample()['gt_normal']
        np.save(tmp_path / 'n.npy', (normal * 3).astype(dtype))
        got = LoadNormal().transform(sample(tmp_path / 'n.npy'))
        person = got['gt_mask'] > 0
        assert got['gt_normal'].dtype == np.float32 and np.allclose(got['gt_normal'], normal, atol=2e-3)
        assert np.allclose(np.linalg.norm(got['gt_normal'][person], axis=1), 1, atol=1e-6)

    @pytest.mark.parametrize('axes, there', (
        (('z', 'y', 'x'), lambda n: n[..., ::-1]),
        (('x', '-y', '-z'), lambda n: n * (1, -1, -1)),
        (('-z', 'x', '-y'), lambda n: np.stack([-n[..., 2], n[..., 0], -n[..., 1]], 2)),
    ))
    def test_other_axes(self, tmp_path, axes, there):
        normal = toy_sample()['gt_normal']
        np.savez(tmp_path / 'n.npz', normal=there(normal))
        assert np.allclose(LoadNormal(axes=axes).transform(sample(tmp_path / 'n.npz'))['gt_normal'], normal, atol=1e-6)

    def test_wrong_axes(self, tmp_path):
        with pytest.raises(ValueError, match='x, y and z once each'):
            LoadNormal(axes=('x', 'y', 'y'))
        np.save(tmp_path / 'n.npy', -toy_sample()['gt_normal'])
        assert 'mostly point away from the camera; say in LoadNormal(axes=...)' in refused(tmp_path / 'n.npy')

    def test_openexr(self, tmp_path, monkeypatch):
        monkeypatch.setenv('OPENCV_IO_ENABLE_OPENEXR', '1')
        normal = toy_sample()['gt_normal']
        try:
            assert cv2.imwrite(str(tmp_path / 'n.exr'), normal)
        except cv2.error:
            pytest.skip('this OpenCV has no OpenEXR')
        assert np.allclose(LoadNormal().transform(sample(tmp_path / 'n.exr'))['gt_normal'], normal, atol=1e-3)

    def test_pixels_without_direction_leave_the_mask(self, tmp_path):
        normal, person = toy_sample()['gt_normal'], np.argwhere(toy_sample()['gt_mask'])
        normal[tuple(person[0])], normal[tuple(person[1])], normal[tuple(person[2])] = 0, np.nan, np.inf
        np.save(tmp_path / 'n.npy', normal)
        got = LoadNormal().transform(sample(tmp_path / 'n.npy'))
        assert got['gt_mask'].sum() == len(person) - 3 and np.isfinite(got['gt_normal']).all()

    def test_bad_ones(self, tmp_path):
        np.save(tmp_path / 'zero.npy', np.zeros((*SIZE, 3)))
        np.save(tmp_path / 'size.npy', np.ones((10, 20, 3)))
        np.save(tmp_path / 'shape.npy', np.ones(SIZE))
        assert refused(tmp_path / 'zero.npy').endswith('has only normals of length 0 or not finite on the person')
        assert refused(tmp_path / 'size.npy').endswith('is 10 x 20 pixels (H x W), its image a.png 128 x 96')
        assert refused(tmp_path / 'shape.npy').endswith('has the shape (128, 96), a map of normals is (H, W, 3)')


def test_target():
    normal = np.float32([[[0, 0, 1], [0, 1, 0]]])
    got = GenerateNormalTarget().transform(dict(gt_normal=normal, gt_mask=np.uint8([[1, 0]]), seg_fields=['gt_normal', 'gt_mask']))
    assert got['gt_normal_map'].tolist() == [[[0, 0, 1], [-1000] * 3]] and got['gt_normal_map'].dtype == np.float32
    assert got['seg_fields'] == ['gt_mask'] and 'gt_normal' not in got
    assert GenerateNormalTarget().transform(dict(img=1)) == dict(img=1)
