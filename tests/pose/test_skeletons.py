import json

import numpy as np
import pytest

from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton


@pytest.mark.parametrize('number', [17, 133, 308])
def test_skeleton_is_consistent(number):
    s = get_skeleton(number)
    assert s.num_keypoints == len(set(s.keypoints)) == len(s.flip_indices) == len(s.sigmas) == len(s.colors) == number
    flip = np.array(s.flip_indices)
    assert (flip[flip] == np.arange(number)).all()
    assert all(0 <= a < number and 0 <= b < number and a != b for a, b, _ in s.links)
    assert all(sigma > 0 for sigma in s.sigmas)
    ids = [i for group in s.groups.values() for i in group]
    assert sorted(ids) == list(range(number))
    if number == 17:  # COCO-WholeBody weighs left and right feet unequally
        assert np.allclose(np.array(s.sigmas)[flip], s.sigmas)


@pytest.mark.parametrize('number', [17, 133, 308])
def test_left_mirrors_right(number):
    s = get_skeleton(number)
    for i, name in enumerate(s.keypoints):
        partner = s.keypoints[s.flip_indices[i]]
        for a, b in (('left_', 'right_'), ('right_', 'left_'), ('l_', 'r_'), ('r_', 'l_')):
            if name.startswith(a):
                assert partner.startswith(b), (name, partner)


def test_308_agrees_with_the_release(shared_dir):
    spec = json.loads((shared_dir / 'spec' / 'keypoints308.json').read_text())
    s = get_skeleton(308)
    assert list(s.keypoints) == [k['name'] for k in spec['keypoints']]
    assert list(s.flip_indices) == spec['flip_indices']
    assert np.allclose(s.sigmas, [k['sigma'] for k in spec['keypoints']])
    assert [[a, b] for a, b, _ in s.links] == [link['link_ids'] for link in spec['skeleton_links']]
    groups = spec['metric_groups']
    for ours, theirs in dict(body='body', feet='foot', face='face', left_hand='left_hand', right_hand='right_hand').items():
        assert list(s.groups[ours]) == groups[theirs], ours


def test_metainfo_parses_back():
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    s = get_skeleton(308)
    meta = parse_pose_metainfo(s.dataset_info())
    assert meta['flip_indices'] == list(s.flip_indices)
    assert np.allclose(meta['sigmas'], s.sigmas)
    assert [tuple(link) for link in meta['skeleton_links']] == [(a, b) for a, b, _ in s.links]
    assert len(meta['upper_body_ids']) == 51 and len(meta['lower_body_ids']) == 12


def test_common_points_mean_the_same():
    s308, s133 = get_skeleton(308), get_skeleton(133)
    for tier, number in dict(by_name=53, certain=63, inferred=114).items():
        pairs = common_keypoints(tier)
        assert len(pairs) == len(set(pairs.values())) == number
        for a, b in pairs.items():  # mirroring commutes with the mapping
            assert pairs[s308.flip_indices[a]] == s133.flip_indices[b], (s308.keypoints[a], s133.keypoints[b])
    assert all(s308.keypoints[a] == s133.keypoints[b] for a, b in common_keypoints('by_name').items())


def test_unknown_names_and_numbers():
    with pytest.raises(ValueError, match='left_wrist'):
        get_skeleton(308).index('left_writs')
    with pytest.raises(ValueError, match='18'):
        get_skeleton(18)
    with pytest.raises(ValueError, match='certain'):
        common_keypoints('sure')
