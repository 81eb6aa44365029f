import numpy as np
import pytest
from PIL import Image

from sapiens_mm.seg.classes import PARTS28
from sapiens_mm.seg.transforms import LoadParts
from tests.dense.support import SIZE, build, toy_sample


def sample(path):
    return dict(seg_map_path=str(path), img_path='a.png', ori_shape=SIZE, seg_fields=[])


def save(path, labels, mode=None):
    image = Image.fromarray(labels)
    if mode == 'P':
        image = image.copy()
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    image.save(path)
    return path


def refused(path, **kwargs):
    with pytest.raises(ValueError) as error:
        LoadParts('parts28', on_bad='refuse', **kwargs).transform(sample(path))
    assert LoadParts('parts28', **kwargs).transform(sample(path)) is None
    return str(error.value)


@pytest.mark.parametrize('mode', (None, 'P'))
def test_reads_indices_with_or_without_a_palette(tmp_path, mode):
    labels = toy_sample()['gt_seg_map']
    got = LoadParts('parts28').transform(sample(save(tmp_path / 'l.png', labels, mode)))
    assert (got['gt_seg_map'] == labels).all() and got['gt_seg_map'].dtype == np.uint8 and got['seg_fields'] == ['gt_seg_map']


def test_maps_vocabularies(tmp_path):
    raw = np.zeros(SIZE, np.uint8)
    raw[0, :5] = 2, 5, 33, 255, 17
    got = LoadParts('parts28', source='raw34').transform(sample(save(tmp_path / 'l.png', raw)))
    assert got['gt_seg_map'][0, :6].tolist() == [255, 2, 27, 255, 255, 0]


def test_bad_ones(tmp_path):
    beyond = np.zeros(SIZE, np.uint8)
    beyond[0, :3] = 28, 60, 255
    assert refused(save(tmp_path / 'a.png', beyond)).endswith(
        'a.png has the class ids 28, 60; parts28 has 28 classes, from 0')
    assert refused(save(tmp_path / 'b.png', np.zeros((10, 20), np.uint8))).endswith(
        'is 10 x 20 pixels (H x W), its image a.png 128 x 96')
    assert 'is an index picture with one class id per pixel' in refused(save(tmp_path / 'c.png', np.zeros((*SIZE, 3), np.uint8)))
    assert refused(save(tmp_path / 'd.png', np.full(SIZE, 255, np.uint8))).endswith('is ignored (255) throughout')
    (tmp_path / 'e.png').write_bytes(b'no picture')
    assert refused(tmp_path / 'e.png').endswith('e.png cannot be decoded as an image')


def test_sixteen_bit_ids_do_not_wrap(tmp_path):
    labels = np.full(SIZE, 256 + 3, np.uint16)
    assert 'has the class ids 259' in refused(save(tmp_path / 'l.png', labels))


def test_wide_and_single_bit_pictures(tmp_path):
    labels = toy_sample()['gt_seg_map']
    for array in (labels.astype(np.uint16), labels > 0):
        got = LoadParts('parts28').transform(sample(save(tmp_path / 'l.png', array)))['gt_seg_map']
        assert (got == array).all() and got.dtype == np.uint8


def test_flip_knows_the_vocabulary():
    flip = build(dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=1.0))
    labels = np.arange(28, dtype=np.uint8)[None]
    got = flip(dict(img=np.zeros((1, 28, 3), np.uint8), gt_seg_map=labels, seg_fields=['gt_seg_map']))['gt_seg_map'][0, ::-1]
    for i, name in enumerate(PARTS28.classes):
        other = name.replace('Left', '?').replace('Right', 'Left').replace('?', 'Right')
        assert PARTS28.classes[got[i]] == other
