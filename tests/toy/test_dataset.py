"""The written data set: layouts, agreement of the files, going on after a kill, running again."""
from __future__ import annotations

import json
import os

import numpy as np
import pytest

from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from sapiens_mm.toy import dataset
from sapiens_mm.toy.dataset import make_toy_dataset
from sapiens_mm.toy.scene import render_scene
from tests.support import load_tool

ARGUMENTS = dict(num_train=3, num_val=4, size=(96, 72), persons=(1, 2), seed=4, progress=False)


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    return make_toy_dataset(tmp_path_factory.mktemp('toy') / 'set', **ARGUMENTS)


def _load(toy, name: str) -> dict:
    return json.loads((toy / 'annotations' / name).read_text())


def test_every_picture_has_its_maps_and_they_are_the_renderers(toy):
    cv2 = pytest.importorskip('cv2')
    for split, n in (('train', 3), ('val', 4)):
        stems = [f'{i:06d}' for i in range(n)]
        for folder, suffix in ((f'images/{split}', 'png'), (f'parts/{split}', 'png'), (f'dense/{split}/images', 'png'),
                               (f'dense/{split}/masks', 'png'), (f'dense/{split}/depths', 'npy'),
                               (f'dense/{split}/normals', 'npy')):
            assert sorted(os.listdir(toy / folder)) == [f'{s}.{suffix}' for s in stems], folder
    scene = render_scene((4, 1, 2), (96, 72), (1, 2))
    dense = toy / 'dense/val'
    np.testing.assert_array_equal(cv2.imread(str(dense / 'images/000002.png')), scene.image)
    np.testing.assert_array_equal(cv2.imread(str(dense / 'masks/000002.png'))[..., 0] > 0, scene.mask)
    np.testing.assert_array_equal(np.load(dense / 'depths/000002.npy'), scene.depth)
    np.testing.assert_array_equal(np.load(dense / 'normals/000002.npy'), scene.normal)
    np.testing.assert_array_equal(cv2.imread(str(toy / 'parts/val/000002.png'), cv2.IMREAD_UNCHANGED), scene.parts)


def test_308_keypoints_are_the_renderers(toy):
    content = _load(toy, 'keypoints308_val.json')
    scene = render_scene((4, 1, 2), (96, 72), (1, 2))
    annotations = [a for a in content['annotations'] if a['image_id'] == 3]
    assert len(annotations) == sum(p.area > 0 for p in scene.persons)
    for annotation, person in zip(annotations, scene.persons):
        table = np.array(annotation['keypoints']).reshape(308, 3)
        np.testing.assert_array_equal(table[:, 2], person.keypoints[:, 2])
        labelled = table[:, 2] > 0
        np.testing.assert_allclose(table[labelled, :2], person.keypoints[labelled, :2], atol=0.006)
        assert not table[~labelled].any()
        assert annotation['num_keypoints'] == labelled.sum() and annotation['area'] == person.area
    assert content['categories'][0]['keypoints'] == list(get_skeleton(308).keypoints)


def test_the_sets_of_keypoints_agree(toy):
    annotations = _load(toy, 'keypoints308_val.json')['annotations']
    all308 = {a['id']: np.array(a['keypoints']).reshape(-1, 3) for a in annotations}
    coco = _load(toy, 'person_keypoints_val.json')
    body = list(get_skeleton(308).groups['body'])
    for annotation in coco['annotations']:
        np.testing.assert_array_equal(np.array(annotation['keypoints']).reshape(17, 3), all308[annotation['id']][body])
    assert coco['categories'][0]['keypoints'][9:11] == ['left_wrist', 'right_wrist']
    for annotation in _load(toy, 'coco_wholebody_val.json')['annotations']:
        groups = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
        assert [len(annotation[g]) for g in groups] == [51, 18, 204, 63, 63]
        table = np.concatenate([annotation[g] for g in groups]).reshape(133, 3)
        mine = all308[annotation['id']]
        for ours, theirs in common_keypoints('inferred').items():
            np.testing.assert_array_equal(table[theirs], mine[ours])
        np.testing.assert_array_equal(table[[91, 112]], table[[9, 10]])
        for part in ('face', 'lefthand', 'righthand'):
            points = np.array(annotation[f'{part}_kpts']).reshape(-1, 3)
            shown = points[points[:, 2] > 0, :2]
            assert annotation[f'{part}_valid'] == (len(shown) > 0)
            if len(shown):
                x, y, w, h = annotation[f'{part}_box']
                assert (shown >= (x, y)).all() and (shown <= (x + w, y + h)).all()


def test_the_evaluation_layout_has_one_person_per_picture(toy):
    content = _load(toy, 'keypoints308_groups_val.json')
    assert content['images'] and all(a['id'] == a['image_id'] for a in content['annotations'])
    ids = content['info']['goliath_info']
    keys = dict(keypoints='body', foot_kpts='foot', face_kpts='face', lefthand_kpts='left_hand',
                righthand_kpts='right_hand')
    for annotation in content['annotations']:
        table = np.array(annotation['goliath_wholebody_kpts']).reshape(308, 3)
        for key, group in keys.items():
            np.testing.assert_array_equal(np.array(annotation[key]).reshape(-1, 3), table[ids[f'{group}_keypoint_ids']])


def test_stock_data_sets_read_it(toy):
    pytest.importorskip('mmpose')
    from mmpose.datasets import CocoDataset, CocoWholeBodyDataset
    for kind, name, count in ((CocoDataset, 'person_keypoints', 17), (CocoWholeBodyDataset, 'coco_wholebody', 133)):
        data = kind(ann_file=f'annotations/{name}_val.json', data_root=str(toy), data_prefix=dict(img='images/val/'),
                    pipeline=[], test_mode=True)
        # Stock leaves out persons of whom no keypoint of the body is in the picture.
        shown = [a for a in _load(toy, f'{name}_val.json')['annotations'] if a['num_keypoints']]
        assert len(data) == len(shown) > 0
        info = data[0]
        assert info['keypoints'].shape == (1, count, 2) and os.path.exists(info['img_path'])


def test_running_again_does_nothing_and_other_arguments_are_refused(toy, capsys, monkeypatch):
    monkeypatch.setattr(dataset, '_render_one', lambda *_: pytest.fail('rendered again'))
    assert make_toy_dataset(toy, **ARGUMENTS) == toy
    assert 'nothing to do' in capsys.readouterr().out
    with pytest.raises(ValueError, match='num_train 3 there, 9 asked for.*--overwrite'):
        make_toy_dataset(toy, **{**ARGUMENTS, 'num_train': 9})


def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    rendered, real = [], dataset._render_one

    def killed(work, arguments, job):
        if len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(job)
        real(work, arguments, job)

    monkeypatch.setattr(dataset, '_render_one', killed)
    with pytest.raises(KeyboardInterrupt):
        make_toy_dataset(tmp_path / 'set', **ARGUMENTS)
    assert not (tmp_path / 'set').exists()
    monkeypatch.setattr(dataset, '_render_one', lambda *args: (rendered.append(args[-1]), real(*args)))
    out = make_toy_dataset(tmp_path / 'set', **ARGUMENTS)
    assert len(rendered) == len(set(rendered)) == 7
    assert sorted(os.listdir(tmp_path)) == ['set'] and len(os.listdir(out / 'images/train')) == 3


def test_workers_change_nothing_and_overwrite_replaces(toy, tmp_path):
    few = make_toy_dataset(tmp_path / 'set', **{**ARGUMENTS, 'num_val': 0, 'dense': False})
    assert not (few / 'dense').exists() and not (few / 'parts').exists()
    again = make_toy_dataset(tmp_path / 'set', **ARGUMENTS, workers=2, overwrite=True)
    for path in sorted(p for p in toy.rglob('*') if p.is_file()):
        assert (again / path.relative_to(toy)).read_bytes() == path.read_bytes(), path


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / 'set').mkdir()
    (tmp_path / 'set' / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match='not a toy data set'):
        make_toy_dataset(tmp_path / 'set', **ARGUMENTS, overwrite=True)
    (tmp_path / 'other.partial').mkdir()
    with pytest.raises(ValueError, match='in the way'):
        make_toy_dataset(tmp_path / 'other', **ARGUMENTS)
    assert (tmp_path / 'set' / 'thesis.txt').read_text() == 'mine'


@pytest.mark.parametrize('wrong, message', [
    (dict(num_train=-1), 'num_train'), (dict(num_train=0, num_val=0), 'nothing to make'), (dict(size=(8, 8)), 'size'),
    (dict(persons=(2, 1)), 'persons'), (dict(persons=(0, 1)), 'persons'), (dict(seed=-1), 'seed'),
    (dict(workers=0), 'workers')])
def test_wrong_arguments_are_named_and_leave_nothing(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        make_toy_dataset(tmp_path / 'set', **{**ARGUMENTS, **wrong})
    assert not os.listdir(tmp_path)


def test_the_tool_makes_a_set_and_names_mistakes(tmp_path, monkeypatch):
    tool = load_tool('dataset_converters/make_toy_dataset.py')
    arguments = [str(tmp_path / 'set'), '--num-train', '1', '--num-val', '0', '--size', '48', '32', '--workers', '1',
                 '--no-dense']
    monkeypatch.setattr('sys.argv', ['make_toy_dataset.py', *arguments])
    tool.main()
    assert len(_load(tmp_path / 'set', 'keypoints308_train.json')['images']) == 1
    monkeypatch.setattr('sys.argv', ['make_toy_dataset.py', *arguments, '--seed', '3'])
    with pytest.raises(SystemExit, match='seed 0 there, 3 asked for'):
        tool.main()
