"""Where the 308 keypoints sit on the body."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sapiens_mm.pose.skeletons import get_skeleton
from sapiens_mm.toy.body import build_body
from sapiens_mm.toy.keypoints import place_keypoints
from sapiens_mm.toy.person import PersonSpec, Shape, sample_person

SHAPES = [sample_person(np.random.default_rng(i)).shape for i in range(12)] + [Shape()]


def _placed(spec: PersonSpec):
    body = build_body(spec)
    return body, place_keypoints(body, spec.expression)[0]


@pytest.mark.parametrize('shape', SHAPES)
def test_all_points_are_distinct_and_lie_on_the_outer_surface_at_rest(shape):
    # Arms a little away from the trunk, thumbs from the hand.
    pose = {}
    for side in (1, -1):
        pose.update({('upper_arm', side): (0.0, 0.0, 0.6), ('thumb1', side): (-0.7, 0.0, -0.3)})
    body, points = _placed(PersonSpec(shape, pose))
    distances = np.linalg.norm(points[:308, None] - points[None, :308], axis=2) + np.eye(308)
    assert distances.min() > 1e-4
    depth = body.prims.subset(body.anatomy).inside(points)
    nearest = depth.min(axis=1)
    names = [*get_skeleton(308).keypoints, *(f'jaw {i}' for i in range(17))]
    buried = ', '.join(names[i] for i in np.flatnonzero(nearest < 1 - 1e-6))
    assert not buried, buried
    assert (nearest < 1 + 1e-6).all()


def test_points_mirror_through_the_flip_table():
    _, points = _placed(PersonSpec())
    flip = list(get_skeleton(308).flip_indices)
    np.testing.assert_allclose(points[:308][flip] * (-1, 1, 1), points[:308], atol=1e-9)
    np.testing.assert_allclose(points[308:][::-1] * (-1, 1, 1), points[308:], atol=1e-9)


def test_names_say_where_points_are():
    """Sides, heights and orders that the names promise, on a body that faces +z with its left at +x."""
    _, points = _placed(PersonSpec())
    skeleton = get_skeleton(308)
    at = {name: points[i] for i, name in enumerate(skeleton.keypoints)}
    for name, point in at.items():
        if name.startswith(('left_', 'l_')) or '_l_' in name:
            assert point[0] > 0, name
        elif name.startswith(('right_', 'r_')) or '_r_' in name:
            assert point[0] < 0, name
    heights = ['left_heel', 'left_ankle', 'left_knee', 'left_hip', 'left_elbow', 'left_shoulder', 'left_acromion',
               'neck', 'tip_of_chin', 'center_of_labiomental_groove', 'center_of_lower_outer_lip',
               'center_of_lower_inner_lip', 'center_of_upper_inner_lip', 'center_of_cupid_bow', 'bottom_center_of_nose',
               'tip_of_nose', 'tip_of_nose_bridge', 'midpoint_3_of_nose_bridge', 'midpoint_2_of_nose_bridge',
               'midpoint_1_of_nose_bridge', 'center_of_nose_root', 'center_of_glabella']
    assert (np.diff([at[n][1] for n in heights]) > 0).all()
    for side, names in (('l', ('inner_end', 'midpoint_3', 'midpoint_1', 'midpoint_4', 'centerpoint', 'midpoint_5',
                               'midpoint_2', 'midpoint_6', 'outer_end')),
                        ('r', ('outer_end', 'midpoint_3', 'midpoint_1', 'midpoint_4', 'centerpoint', 'midpoint_5',
                               'midpoint_2', 'midpoint_6', 'inner_end'))):
        for lid in ('upper', 'lower'):
            x = [at[f'{side}_{n}_of_{lid}_lash_line'][0] for n in names]
            assert (np.diff(x) > 0).all(), 'midpoints are numbered from the picture\'s left'
    assert at['left_olecranon'][2] < at['left_elbow'][2] < at['left_cubital_fossa'][2]
    for finger in ('thumb', 'forefinger', 'middle_finger', 'ring_finger', 'pinky_finger'):
        chain = [at[f'left_{finger}{j}'] for j in ('_third_joint', '2', '3', '4')]
        assert (np.diff([p[1] for p in chain]) < 0).all(), 'tips hang lowest'
    clock = {3: (1, 0), 12: (0, 1), 9: (-1, 0), 6: (0, -1)}
    for side in 'lr':
        for hour, (dx, dy) in clock.items():
            step = at[f'{side}_border_of_iris_{hour}'] - at[f'{side}_center_of_iris']
            assert step[0] * dx + step[1] * dy > 0.004


def test_points_move_with_their_bones():
    rest = PersonSpec()
    bent = replace(rest, pose={('lower_arm', 1): (-1.0, 0.0, 0.0)})
    _, a = _placed(rest)
    _, b = _placed(bent)
    left_wrist, right_wrist = (get_skeleton(308).index(n) for n in ('left_wrist', 'right_wrist'))
    assert np.linalg.norm(a[left_wrist] - b[left_wrist]) > 0.1
    np.testing.assert_allclose(a[right_wrist], b[right_wrist], atol=1e-9)
