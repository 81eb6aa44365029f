import pytest

from sapiens_mm.dense.dataset import list_stems, match_files
from sapiens_mm.depth.dataset import DepthDataset
from sapiens_mm.normal.dataset import NormalDataset


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')


def stems(dataset, key='img_path'):
    return [dataset.get_data_info(i)[key] for i in range(len(dataset))]


class TestListStems:

    def test_pairs_by_name_across_subfolders_and_suffixes(self, tmp_path):
        touch(tmp_path, 'b.PNG', 'a.jpg', 'sub/a.jpeg', 'a.txt')
        assert list(list_stems(str(tmp_path), ('.png', '.jpg', '.jpeg'))) == ['a', 'b', 'sub/a']

    def test_prefix_and_long_suffix(self, tmp_path):
        touch(tmp_path, 'rgb_1.png', 'alpha_1.png', '2.png', '2_seg.png')
        assert list(list_stems(str(tmp_path), ('.png', ), 'rgb_')) == ['1']
        assert list(list_stems(str(tmp_path), ('_seg.png', ))) == ['2']

    def test_two_of_one_name(self, tmp_path):
        touch(tmp_path, 'a.png', 'a.jpg')
        with pytest.raises(ValueError, match=r'a\.jpg and .*a\.png are both images of one sample'):
            list_stems(str(tmp_path), ('.png', '.jpg'), what='images')

    def test_no_folder(self):
        with pytest.raises(FileNotFoundError, match='there is no folder nowhere of masks .*set data_root or data_prefix'):
            list_stems('nowhere', ('.png', ), what='masks')


class TestMatchFiles:

    def test_sorted_and_complete(self):
        found = {'images': dict(b='b', a='a', c='c'), 'masks': dict(c='C', a='A', d='D')}
        assert match_files(found, 0.5) == [dict(images='a', masks='A'), dict(images='c', masks='C')]

    def test_too_many_lonely(self):
        with pytest.raises(ValueError, match='1 of 3 images have no masks of their name, for example b; 10% may be'):
            match_files({'images': dict(b='b', a='a', c='c'), 'masks': dict(c='C', a='A')}, 0.1)

    def test_nothing_in_common(self):
        with pytest.raises(ValueError, match='no sample with all of images, masks: 1 images, 2 masks'):
            match_files({'images': dict(a='a'), 'masks': dict(b='b', c='c')}, 1)


@pytest.mark.parametrize('dataset, kind', ((DepthDataset, 'depth'), (NormalDataset, 'normal')))
class TestMapDataset:

    def test_general_layout(self, tmp_path, dataset, kind):
        touch(tmp_path, 'images/2.jpg', 'images/1.png', 'masks/1.png', 'masks/2.png', f'{kind}s/1.npy', f'{kind}s/2.npz')
        got = dataset(data_root=str(tmp_path))
        assert [p.rpartition('/')[2] for p in stems(got)] == ['1.png', '2.jpg']
        assert [p.rpartition('/')[2] for p in stems(got, f'{kind}_path')] == ['1.npy', '2.npz']

    def test_render_layout_and_one_folder(self, tmp_path, dataset, kind):
        touch(tmp_path, 'rgb/1.png', 'mask/1.png', f'{kind}/1.npy')
        prefix = {'img_path': 'rgb', 'mask_path': 'mask', f'{kind}_path': kind}
        assert len(dataset(data_root=str(tmp_path), data_prefix=prefix)) == 1
        flat = tmp_path / 'flat'
        touch(flat, *(f'{stem}_{n:07d}.{suffix}' for n in (0, 1) for stem, suffix in
                      (('rgb', 'png'), ('alpha', 'png'), (kind, 'exr'), ('cam', 'txt'))))
        got = dataset(data_root=str(flat), data_prefix=dict.fromkeys(prefix, ''), map_suffixes=('.exr', ),
                      name_prefix={'img_path': 'rgb_', 'mask_path': 'alpha_', f'{kind}_path': f'{kind}_'})
        assert [p.rpartition('/')[2] for p in stems(got, 'mask_path')] == ['alpha_0000000.png', 'alpha_0000001.png']

    def test_other_keys(self, tmp_path, dataset, kind):
        with pytest.raises(ValueError, match=f'names img_path, mask_path, {kind}_path; got images'):
            dataset(data_root=str(tmp_path), data_prefix=dict(images='images'))

    def test_missing_folder(self, tmp_path, dataset, kind):
        touch(tmp_path, 'images/2.jpg', 'masks/1.png')
        with pytest.raises(FileNotFoundError, match=f'{kind}s of {kind} maps'):
            dataset(data_root=str(tmp_path))

    def test_undecodable_image_in_evaluation(self, tmp_path, dataset, kind):
        touch(tmp_path, 'images/1.png', 'masks/1.png', f'{kind}s/1.npy')
        (tmp_path / 'images/1.png').write_bytes(b'no picture')
        got = dataset(data_root=str(tmp_path), test_mode=True, pipeline=[dict(type='LoadImageFromFile')])
        with pytest.raises(ValueError, match=r'1\.png cannot be decoded as an image; an evaluation needs all its images'):
            got[0]
