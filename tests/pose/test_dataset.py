import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from sapiens_mm.pose.annotation import annotation_keypoints
from sapiens_mm.pose.dataset import CocoDataset, CocoWholeBodyDataset, Keypoints308Dataset, Mixed308Dataset
from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from tests.pose.support import GROUP_KEYS, save, write_set

CLASSES = {17: CocoDataset, 133: CocoWholeBodyDataset, 308: Keypoints308Dataset}
CODEC = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
TRAIN = [dict(type='sapiens_mm.LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='RandomFlip', prob=1.0),
         dict(type='TopdownAffine', input_size=(48, 64), use_udp=True), dict(type='GenerateTarget', encoder=CODEC),
         dict(type='PackPoseInputs')]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def build(path, number, **kwargs):
    return CLASSES[number](ann_file=path, data_prefix=dict(img=path.rsplit('/', 1)[0]), **kwargs)


@pytest.mark.parametrize('number', [17, 133, 308])
def test_loads_what_is_written(tmp_path, number):
    path, content = write_set(tmp_path, number)
    data = build(path, number)
    assert len(data) == 6
    info, ann = data.get_data_info(1), content['annotations'][1]
    assert np.allclose(info['keypoints'][0], annotation_keypoints(ann, number)[:, :2], atol=1e-3)
    assert info['keypoints_visible'].all() and info['img_shape'] == (240, 200)
    assert data.metainfo['num_keypoints'] == number


@pytest.mark.parametrize('number', [17, 133, 308])
def test_optional_keys_may_be_absent(tmp_path, number):
    path, content = write_set(tmp_path, number)
    for ann in content['annotations']:
        del ann['iscrowd'], ann['num_keypoints']
    assert len(build(save(tmp_path / 'short.json', content), number)) == 6


def test_reads_photographs(shared_dir):
    folder = shared_dir / 'data' / 'coco'
    for number, name in ((17, 'test_coco.json'), (133, 'test_coco_wholebody.json')):
        anns = json.loads((folder / name).read_text())['annotations']
        people = [a for a in anns if not a['iscrowd'] and a['num_keypoints']]
        assert len(build(str(folder / name), number)) == len(people)
        data = build(str(folder / name), number, bbox_file=str(folder / 'test_coco_det_AP_H_56.json'), test_mode=True)
        assert len(data) == len(json.loads((folder / 'test_coco_det_AP_H_56.json').read_text()))


class TestBadAnnotations:

    def spoil(self, tmp_path, number, **changes):
        path, content = write_set(tmp_path, number, num_images=10, pictures=False)
        content['annotations'][3].update(changes)
        return content

    @pytest.mark.parametrize('number', [17, 133, 308])
    @pytest.mark.parametrize('changes, reason', [
        (dict(keypoints=None), 'finite'),
        (dict(keypoints=[1, 2]), 'finite'),
        (dict(keypoints=[1., 2., 2.] * 5), 'wrong number'),
        (dict(bbox=[10, 10, 0, 20]), 'no area'),
        (dict(bbox=[10, 10, -5, 20]), 'no area'),
        (dict(bbox=[300, 10, 20, 20]), 'outside'),
        (dict(bbox=[-50, 10, 20, 20]), 'outside'),
        (dict(bbox=[10, float('nan'), 20, 20]), 'not finite'),
        (dict(bbox=[10, 10]), 'without a box'),
        (dict(image_id=999), 'does not list'),
    ])
    def test_one_is_left_out_and_counted(self, tmp_path, number, changes, reason, monkeypatch):
        content = self.spoil(tmp_path, number, **changes)
        data = build(save(tmp_path / 'bad.json', content), number, lazy_init=True)
        said = []
        monkeypatch.setattr('sapiens_mm.pose.dataset.print_log', lambda text, *_: said.append(text))
        data.full_init()
        assert len(data) == 19
        assert len(said) == 1 and '1 of 20 annotations' in said[0] and reason in said[0]

    @pytest.mark.parametrize('number', [17, 133, 308])
    def test_nan_and_missing_keypoints(self, tmp_path, number):
        content = self.spoil(tmp_path, number)
        content['annotations'][3]['keypoints'][4] = float('nan')
        for key in GROUP_KEYS.values():
            content['annotations'][5].pop(key, None)
        assert len(build(save(tmp_path / 'bad.json', content), number)) == 18

    def test_crowds_and_unlabelled_people_are_not_bad(self, tmp_path):
        content = self.spoil(tmp_path, 17, iscrowd=1)
        content['annotations'][4].update(num_keypoints=0, keypoints=[0] * 51)
        content['annotations'][5].update(num_keypoints=0, keypoints=[])
        data = build(save(tmp_path / 'bad.json', content), 17, max_bad_share=0)
        assert len(data) == 17

    def test_too_many(self, tmp_path):
        content = self.spoil(tmp_path, 17)
        for ann in content['annotations'][:3]:
            ann['bbox'] = [0, 0, 0, 0]
        path = save(tmp_path / 'bad.json', content)
        with pytest.raises(ValueError, match=r'3 of 20 .*no area.*10%'):
            build(path, 17)
        assert len(build(path, 17, max_bad_share=0.2)) == 17

    @pytest.mark.parametrize('written, expected, words', [
        (133, 308, '133 keypoints.*expects 308.*CocoWholeBodyDataset'),
        (17, 308, '17 keypoints.*expects 308.*CocoDataset'),
        (17, 133, '17 keypoints.*expects 133.*CocoDataset'),
        (308, 17, '308 keypoints.*expects 17.*Keypoints308Dataset'),
        (308, 133, '308 keypoints.*expects 133.*Keypoints308Dataset'),
        (21, 17, '21 keypoints.*expects 17$'),
    ])
    def test_file_of_another_set(self, tmp_path, written, expected, words):
        path, _ = write_set(tmp_path, written, pictures=False)
        with pytest.raises(ValueError, match=words):
            build(path, expected)

    def test_file_faults(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='no annotation file .*nowhere.json'):
            build(str(tmp_path / 'nowhere.json'), 17)
        (tmp_path / 'text.json').write_text('{"images": [')
        with pytest.raises(ValueError, match='not a json file'):
            build(str(tmp_path / 'text.json'), 17)
        (tmp_path / 'binary.json').write_bytes(b'\xff\xd8\xff\xe0 picture')
        with pytest.raises(ValueError, match='not a json file'):
            build(str(tmp_path / 'binary.json'), 17)
        for content in ([1, 2], dict(images=[dict(id=1)], annotations=[]), dict(annotations=[dict(id=1)])):
            with pytest.raises(ValueError, match='not a COCO annotation file'):
                build(save(tmp_path / 'other.json', content), 17)
        with pytest.raises(ValueError, match='needs ann_file'):
            CocoDataset()
        with pytest.raises(ValueError, match='no person'):
            build(save(tmp_path / 'empty.json', dict(images=[], annotations=[])), 17)

    def test_detection_faults(self, tmp_path):
        path, _ = write_set(tmp_path, 17, pictures=False)
        good = dict(image_id=1, category_id=1, bbox=[10, 10, 50, 80], score=.9)
        with pytest.raises(FileNotFoundError, match='no detection file .*det.json'):
            build(path, 17, bbox_file=str(tmp_path / 'det.json'), test_mode=True)
        for content in (dict(a=1), [dict(good, image_id=77)], [dict(bbox=[1, 2, 3, 4])]):
            with pytest.raises(ValueError, match='not a list of detections'):
                build(path, 17, bbox_file=save(tmp_path / 'det.json', content), test_mode=True)
        content = [good] * 10 + [dict(good, bbox=[10, 10, 0, 80])]
        data = build(path, 17, bbox_file=save(tmp_path / 'det.json', content), test_mode=True)
        assert len(data) == 10
        with pytest.raises(ValueError, match='1 of 1 detections'):
            build(path, 17, bbox_file=save(tmp_path / 'det.json', content[-1:]), test_mode=True)


def test_308_from_group_keys(tmp_path):
    path, content = write_set(tmp_path, 308)
    groups = get_skeleton(308).groups
    flat = [annotation_keypoints(a, 308) for a in content['annotations']]
    for ann, points in zip(content['annotations'], flat):
        ann.update({key: points[list(groups[name])].reshape(-1).tolist() for name, key in GROUP_KEYS.items()})
    extra = list(groups['extra'])

    def loaded(name):
        data = build(save(tmp_path / name, content), 308, test_mode=True)
        return np.concatenate([data.get_data_info(i)['keypoints'] for i in range(len(data))]), data

    by_skeleton, data = loaded('groups.json')
    wanted = np.stack(flat)[..., :2]
    wanted[:, extra] = 0
    assert np.allclose(by_skeleton, wanted, atol=1e-3)
    assert not data.get_data_info(0)['keypoints_visible'][0, extra].any()
    # The file's own ids come before ours.
    ids = {f'{key}_keypoint_ids': list(groups[name]) for name, key in dict(
        body='body', feet='foot', face='face', left_hand='left_hand', right_hand='right_hand').items()}
    ids['body_keypoint_ids'] = ids['body_keypoint_ids'][::-1]
    content['info'] = dict(goliath_info=ids)
    assert np.allclose(loaded('ids.json')[0][:, ids['body_keypoint_ids']], wanted[:, list(groups['body'])], atol=1e-3)
    # All points in one key come before both.
    for ann, points in zip(content['annotations'], flat):
        ann['goliath_wholebody_kpts'] = points.reshape(-1).tolist()
    assert np.allclose(loaded('whole.json')[0], np.stack(flat)[..., :2], atol=1e-3)


def test_308_points_outside_the_picture_are_unlabelled(tmp_path):
    path, content = write_set(tmp_path, 308)
    content['annotations'][0]['keypoints'][3:9] = [250., 20., 2., 30., -4., 2.]
    info = build(save(tmp_path / 'outside.json', content), 308).get_data_info(0)
    assert np.flatnonzero(info['keypoints_visible'][0] == 0).tolist() == [1, 2]


def test_samples_with_few_points_are_replaced(tmp_path):
    path, content = write_set(tmp_path, 17)
    for ann in content['annotations'][1:]:
        ann['keypoints'][6:] = [0] * 45
        ann['num_keypoints'] = 2
    path = save(tmp_path / 'few.json', content)
    data = build(path, 17, pipeline=TRAIN, min_visible_keypoints=3)
    assert len(data) == 6 and data.prepare_data(0) is not None
    assert all(data.prepare_data(i) is None for i in range(1, 6))
    assert {data[i]['data_samples'].id for i in range(6)} == {content['annotations'][0]['id']}
    hopeless = build(path, 17, pipeline=TRAIN, min_visible_keypoints=18, max_refetch=20)
    with pytest.raises(ValueError, match='20 samples in a row keep fewer than 18'):
        hopeless[0]
    untouched = build(path, 17, pipeline=TRAIN, min_visible_keypoints=3, test_mode=True)
    assert all(untouched.prepare_data(i) is not None for i in range(6))


def mixture(tmp_path, **kwargs):
    paths = {}
    for number in (308, 133, 17):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        paths[number] = write_set(tmp_path / str(number), number)
    names = {308: 'Keypoints308Dataset', 133: 'CocoWholeBodyDataset', 17: 'CocoDataset'}
    datasets = [dict(type=f'sapiens_mm.{names[n]}', ann_file=path, data_prefix=dict(img=str(tmp_path / str(n))),
                     **({} if n == 308 else dict(pipeline=[dict(type='sapiens_mm.MapKeypoints', source=n)])))
                for n, (path, _) in paths.items()]
    return Mixed308Dataset(datasets, pipeline=TRAIN, **kwargs), {n: content for n, (_, content) in paths.items()}


def test_mixing_into_308_with_mirroring(tmp_path):
    data, contents = mixture(tmp_path)
    assert len(data) == 18 and data.metainfo['num_keypoints'] == 308
    skeletons = {n: get_skeleton(n) for n in (17, 133, 308)}
    for index, number in ((0, 308), (6, 133), (12, 17)):
        sample = data[index]['data_samples']
        labels, instances = sample.gt_instance_labels, sample.gt_instances
        assert labels.keypoint_weights.shape == (1, 308) and sample.gt_fields.heatmaps.shape == (308, 16, 12)
        names = set(skeletons[number].keypoints)
        ann = annotation_keypoints(contents[number]['annotations'][0], number)
        labelled = 0
        for i, name in enumerate(skeletons[308].keypoints):
            if number != 308 and (name not in names or skeletons[number].keypoints.index(name) not in common_keypoints(
                    'by_name').values()):
                assert labels.keypoint_weights[0, i] == 0, name
                continue
            # The picture was mirrored: the left hand in it is now a right hand, at the mirrored place.
            partner = skeletons[308].keypoints[skeletons[308].flip_indices[i]]
            x, y, _ = ann[skeletons[number].keypoints.index(partner)]
            assert np.allclose(instances.keypoints[0, i], (200 - 1 - x, y), atol=1e-3), name
            labelled += 1
        assert labelled == {308: 308, 133: 53, 17: 17}[number]
        assert int((labels.keypoint_weights > 0).sum()) == labelled
        assert list(sample.flip_indices) == list(skeletons[308].flip_indices)


def test_mixture_filters_each_set_by_its_own_number(tmp_path):
    data, _ = mixture(tmp_path, min_visible_keypoints=[8, 54, 17])
    assert data.prepare_data(0) is not None and data.prepare_data(12) is not None
    assert all(data.prepare_data(i) is None for i in range(6, 12))  # 53 points reach the 308


def test_mixture_mistakes(tmp_path):
    path, _ = write_set(tmp_path, 133)
    plain = dict(type='sapiens_mm.CocoWholeBodyDataset', ann_file=path, data_prefix=dict(img=str(tmp_path)))
    with pytest.raises(ValueError, match='MapKeypoints'):
        Mixed308Dataset([plain], pipeline=TRAIN)
    with pytest.raises(ValueError, match='2 numbers for 1'):
        Mixed308Dataset([plain], pipeline=TRAIN, min_visible_keypoints=[8, 8])


def test_shared_registry_and_metainfo_lookup():
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.registry import DATASETS
    for name in ('CocoDataset', 'CocoWholeBodyDataset', 'Keypoints308Dataset', 'Mixed308Dataset'):
        meta = parse_pose_metainfo(DATASETS.get(f'sapiens_mm.{name}').METAINFO)
        assert meta['num_keypoints'] == {'CocoDataset': 17, 'CocoWholeBodyDataset': 133}.get(name, 308)
