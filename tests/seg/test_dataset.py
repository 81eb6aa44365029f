import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import LIPDataset
from PIL import Image

from sapiens_mm.seg.classes import FACE19, PARTS28
from sapiens_mm.seg.dataset import PartsDataset
from tests.dense.support import build
from tests.support import ROOT


def write(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


def names(dataset, key='img_path'):
    return [dataset.get_data_info(i)[key].rpartition('/')[2] for i in range(len(dataset))]


def test_pictures_of_any_suffix_and_their_labels(tmp_path):
    write(tmp_path, 'images/b.jpg', 'images/a.png', 'images/c.jpeg', 'parts/a.png', 'parts/b.png', 'parts/c.png')
    got = PartsDataset('parts28', data_root=str(tmp_path), data_prefix=dict(img_path='images', seg_map_path='parts'))
    assert names(got) == ['a.png', 'b.jpg', 'c.jpeg'] and names(got, 'seg_map_path') == ['a.png', 'b.png', 'c.png']
    assert got.metainfo['classes'] == PARTS28.classes and got.metainfo['palette'][1] == [255, 218, 0]
    assert got.get_data_info(0)['reduce_zero_label'] is False  # mmseg's own LoadAnnotations wants it


def test_cihp_and_face_synthetics_layouts(tmp_path):
    write(tmp_path, 'Training/Images/0000006.jpg', 'Training/Category_ids/0000006.png')
    prefix = dict(img_path='Training/Images', seg_map_path='Training/Category_ids')
    assert len(PartsDataset('cihp20', data_root=str(tmp_path), data_prefix=prefix)) == 1
    write(tmp_path, *(f'faces/{i:06d}{end}' for i in range(5) for end in ('.png', '_seg.png')))
    (tmp_path / 'faces/000000_ldmks.txt').write_text('0 0')
    faces = dict(vocabulary='face19', data_root=str(tmp_path / 'faces'), seg_map_suffix='_seg.png')
    got = PartsDataset(**faces)
    assert names(got) == [f'{i:06d}.png' for i in range(5)] and names(got, 'seg_map_path')[0] == '000000_seg.png'
    assert got.metainfo['classes'] == FACE19.classes
    assert names(PartsDataset(**faces, indices=3)) + names(PartsDataset(**faces, indices=-2)) == names(got)


def test_lip_layout(tmp_path):
    write(tmp_path, 'images/val_images/1_2.jpg', 'segmentations/val_segmentations/1_2.png')
    lip = Config.fromfile(ROOT / 'configs/_base_/datasets/parts_lip.py').val_dataloader.dataset
    got = PartsDataset(lip.vocabulary, data_root=str(tmp_path), data_prefix=dict(lip.data_prefix))
    assert names(got) == ['1_2.jpg'] and got.metainfo['classes'] == LIPDataset.METAINFO['classes']


def test_an_evaluation_refuses_a_picture_that_is_cut_off(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path, 'parts/a.png')
    (tmp_path / 'images').mkdir()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / 'whole.jpg')
    content = (tmp_path / 'whole.jpg').read_bytes()
    kwargs = dict(data_root=str(tmp_path), data_prefix=dict(img_path='images', seg_map_path='parts'),
                  pipeline=[build(dict(type='LoadImageFromFile'))])
    (tmp_path / 'images/a.jpg').write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match=r'a\.jpg is cut off: the file ends .* an evaluation needs all its images'):
        PartsDataset(**kwargs, test_mode=True)[0]
    (tmp_path / 'images/a.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'a\.jpg is an empty file; an evaluation'):
        PartsDataset(**kwargs, test_mode=True)[0]
    (tmp_path / 'images/a.jpg').write_bytes(content)
    assert PartsDataset(**kwargs, test_mode=True)[0]['img'].shape == (64, 64, 3)


def test_list_of_names(tmp_path):
    write(tmp_path, *(f'{kind}/{name}.png' for kind in ('images', 'parts') for name in 'abc'))
    prefix = dict(img_path='images', seg_map_path='parts')
    (tmp_path / 'list.txt').write_text('c\na\n')
    assert names(PartsDataset(data_root=str(tmp_path), data_prefix=prefix, ann_file='list.txt')) == ['a.png', 'c.png']
    (tmp_path / 'list.txt').write_text('c\nz\n')
    with pytest.raises(ValueError, match=r'list\.txt names 1 pictures that .*images does not have, for example z'):
        PartsDataset(data_root=str(tmp_path), data_prefix=prefix, ann_file='list.txt')


def test_mistakes(tmp_path):
    prefix = dict(img_path='images', seg_map_path='parts')
    with pytest.raises(ValueError, match="no vocabulary 'coco'; there are parts28"):
        PartsDataset('coco', data_root=str(tmp_path), data_prefix=prefix)
    with pytest.raises(FileNotFoundError, match='there is no folder .*parts of label maps'):
        PartsDataset(data_root=str(tmp_path), data_prefix=prefix)
    write(tmp_path, 'images/a.jpg', 'parts/b.png')
    with pytest.raises(ValueError, match='no sample with all of images, label maps: 1 images, 1 label maps'):
        PartsDataset(data_root=str(tmp_path), data_prefix=prefix)
