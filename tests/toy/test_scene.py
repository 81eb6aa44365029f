"""One rendering, many labels: they must agree with each other, with the mirror and with a rolled camera."""
from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sapiens_mm.pose.skeletons import get_skeleton
from sapiens_mm.seg.classes import PARTS28
from sapiens_mm.toy.scene import render, render_scene, sample_scene

SMALL = (96, 72)


def test_same_seed_gives_the_same_picture_and_another_seed_another():
    a, b, c = (render_scene((5, i), SMALL, (1, 2)) for i in (1, 1, 2))
    for name in ('image', 'depth', 'normal', 'parts', 'instance'):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.persons[0].keypoints, b.persons[0].keypoints)
    assert not np.array_equal(a.image, c.image)


def test_another_process_gives_the_same_picture():
    code = ('from sapiens_mm.toy.scene import render_scene; import zlib; '
            f's = render_scene((5, 1), {SMALL}, (1, 2)); print(zlib.crc32(s.image), zlib.crc32(s.depth))')
    import zlib
    here = render_scene((5, 1), SMALL, (1, 2))
    there = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert [int(v) for v in there] == [zlib.crc32(here.image), zlib.crc32(here.depth)]


def test_maps_have_their_types_and_cover_the_persons_only():
    scene = render_scene((6, 0), SMALL, (2, 3))
    assert scene.image.dtype == np.uint8 and scene.image.shape == (*SMALL, 3)
    assert scene.depth.dtype == scene.normal.dtype == np.float32
    np.testing.assert_array_equal(scene.mask, scene.instance > 0)
    np.testing.assert_array_equal(scene.mask, scene.parts > 0)
    np.testing.assert_array_equal(scene.mask, scene.depth > 0)
    np.testing.assert_allclose(np.linalg.norm(scene.normal, axis=2), scene.mask, atol=1e-6)
    assert (scene.normal[scene.mask][:, 2] > -0.2).all(), 'a surface that is seen does not face away'


def test_boxes_are_tight_and_areas_count():
    scene = render_scene((6, 1), SMALL, (3, 3))
    assert [p.instance_id for p in scene.persons] == [1, 2, 3]
    for person in scene.persons:
        mine = scene.instance == person.instance_id
        assert person.area == mine.sum()
        x, y, w, h = (int(v) for v in person.bbox)
        assert mine[y:y + h, x:x + w].sum() == person.area
        if person.area:
            assert mine[y].any() and mine[y + h - 1].any() and mine[:, x].any() and mine[:, x + w - 1].any()


@pytest.mark.parametrize('seed', range(4))
def test_visible_keypoints_lie_on_the_surface_that_depth_describes(seed):
    scene = render_scene((7, seed), (512, 384), (1, 2))
    focal = sample_scene((7, seed), (512, 384), (1, 2)).camera.focal
    deviations = []
    for person in scene.persons:
        seen = person.keypoints[:, 2] == 2
        x, y = np.rint(person.keypoints[seen, :2]).astype(int).T
        points = person.keypoints_camera[seen]
        assert (scene.instance[y, x] == person.instance_id).all()
        # The tangent plane of the pixel predicts the keypoint's depth; what is left is curvature within half a pixel.
        nx, ny, nz = (scene.normal[y, x].astype(float) * (1, -1, -1)).T
        ray = np.stack([(x - 191.5) / focal, (y - 255.5) / focal], axis=1)
        own = points[:, :2] / points[:, 2:]
        plane = scene.depth[y, x] * (nx * ray[:, 0] + ny * ray[:, 1] + nz)
        predicted = plane / (nx * own[:, 0] + ny * own[:, 1] + nz)
        footprint = points[:, 2] / focal
        facing = scene.normal[y, x, 2] > 0.4
        deviations.append((np.abs(predicted - points[:, 2]) / footprint)[facing])
        assert (np.abs(scene.depth[y, x] - points[:, 2]) < 0.012 + 3 * footprint).all()
    deviations = np.concatenate(deviations)
    assert len(deviations) > 20
    assert np.percentile(deviations, 95) < 0.5, 'in pixels of depth'


def test_hidden_keypoints_are_behind_what_the_picture_shows_and_outside_ones_outside():
    hidden_deeper = []
    for seed in range(6):
        scene = render_scene((8, seed), (256, 192), (1, 2))
        for person in scene.persons:
            x, y = np.rint(person.keypoints[:, :2]).astype(int).T
            inside = (x >= 0) & (x < 192) & (y >= 0) & (y < 256)
            np.testing.assert_array_equal(inside, person.keypoints[:, 2] > 0)
            hidden = person.keypoints[:, 2] == 1
            on_person = scene.mask[y[hidden], x[hidden]]
            behind = person.keypoints_camera[hidden, 2] - scene.depth[y[hidden], x[hidden]]
            hidden_deeper.append(behind[on_person] > -0.02)
    assert np.concatenate(hidden_deeper).mean() > 0.98


@pytest.mark.parametrize('seed', range(2))
def test_normals_agree_with_the_gradient_of_depth(seed):
    size = (512, 384)
    scene = render_scene((9, seed), size)
    focal = sample_scene((9, seed), size).camera.focal
    v, u = np.mgrid[:size[0], :size[1]]
    points = np.stack([(u - 191.5) / focal, (v - 255.5) / focal, np.ones(size)], axis=2) * scene.depth[..., None]
    along_x, along_y = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(along_y, along_x)  # towards the camera in axes with y down and z forward
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    normal *= (1, -1, -1)
    # Compare where the four neighbours lie on one smooth surface: persons, and depth without a step.
    inner = np.ones_like(scene.mask[1:-1, 1:-1])
    for a, b in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= scene.mask[a:size[0] - 2 + a, b:size[1] - 2 + b]
        step = np.abs(scene.depth[a:size[0] - 2 + a, b:size[1] - 2 + b] - scene.depth[1:-1, 1:-1])
        inner &= step < 4 * scene.depth[1:-1, 1:-1] / focal
    angle = np.rad2deg(np.arccos(np.clip((normal * scene.normal[1:-1, 1:-1]).sum(axis=2), -1, 1)))[inner]
    assert inner.sum() > 1000
    assert np.median(angle) < 1
    assert np.percentile(angle, 90) < 6


@pytest.mark.parametrize('seed', range(3))
def test_mirrored_scene_is_the_flipped_picture_with_left_and_right_exchanged(seed):
    plain, mirrored = (render_scene((10, seed), (128, 96), (1, 2), mirror=m) for m in (False, True))
    same = mirrored.mask == plain.mask[:, ::-1]
    assert same.mean() > 0.9995  # a ray that grazes a surface may round to either side
    both = mirrored.mask & plain.mask[:, ::-1]
    np.testing.assert_allclose(mirrored.depth[both], plain.depth[:, ::-1][both], atol=1e-5)
    np.testing.assert_allclose(mirrored.normal[both], (plain.normal[:, ::-1] * (-1, 1, 1))[both], atol=1e-4)
    swap = np.arange(PARTS28.num_classes)
    for a, b in PARTS28.swap_pairs:
        swap[a], swap[b] = b, a
    assert (mirrored.parts[both] == swap[plain.parts[:, ::-1]][both]).mean() > 0.9995
    assert (np.abs(mirrored.image.astype(int) - plain.image[:, ::-1]).max(axis=2) <= 1).mean() > 0.998
    flip = list(get_skeleton(308).flip_indices)
    for a, b in zip(plain.persons, mirrored.persons):
        expected = a.keypoints[flip] * (-1, 1, 1) + (95, 0, 0)
        near = np.abs(a.keypoints[flip, :2]).max(axis=1) < 1e3
        np.testing.assert_allclose(b.keypoints[near, :2], expected[near, :2], atol=1e-6)
        assert (b.keypoints[:, 2] == expected[:, 2]).mean() > 0.99
        if near.all():
            jaw = a.jaw[::-1] * (-1, 1, 1) + (95, 0, 0)
            np.testing.assert_allclose(b.jaw[:, :2], jaw[:, :2], atol=1e-6)


def test_rolled_scene_is_the_turned_picture():
    plain, turned = (render_scene((11, 0), (96, 96), roll=r) for r in (0.0, np.pi / 2))
    quarter = lambda array: np.rot90(array, -1)  # noqa: E731  clockwise
    same = turned.mask == quarter(plain.mask)
    assert same.mean() > 0.9995
    both = turned.mask & quarter(plain.mask)
    np.testing.assert_allclose(turned.depth[both], quarter(plain.depth)[both], atol=1e-5)
    x, y, z = np.moveaxis(quarter(plain.normal), 2, 0)
    np.testing.assert_allclose(turned.normal[both], np.stack([y, -x, z], axis=2)[both], atol=1e-4)
    a, b = plain.persons[0].keypoints, turned.persons[0].keypoints
    np.testing.assert_allclose(b[:, :2], np.stack([95 - a[:, 1], a[:, 0]], axis=1), atol=1e-6)
    assert (b[:, 2] == a[:, 2]).mean() > 0.99


def test_every_keypoint_is_seen_somewhere_and_every_part_occurs():
    seen, parts = np.zeros(308, dtype=bool), set()
    for i in range(100):
        if seen.all() and len(parts) == 28:
            break
        scene = render_scene((12, i), (192, 144), (1, 2))
        for person in scene.persons:
            seen |= person.keypoints[:, 2] == 2
        parts |= set(np.unique(scene.parts).tolist())
    names = get_skeleton(308).keypoints
    assert seen.all(), [names[i] for i in np.flatnonzero(~seen)]
    assert parts == set(range(28)), [PARTS28.classes[i] for i in set(range(28)) - parts]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match='num_persons'):
        render_scene(0, SMALL, (2, 1))
    with pytest.raises(ValueError, match='16 pixels'):
        render_scene(0, (8, 8))


def test_a_scene_without_persons_is_background():
    scene = render(sample_scene(3, SMALL, (0, 0)))
    assert not scene.mask.any() and not scene.persons and not scene.depth.any()


def test_without_variety_people_stand_whole_and_face_us():
    from sapiens_mm.pose.skeletons import get_skeleton
    skeleton = get_skeleton(308)
    nose, ankles = skeleton.index('nose'), [skeleton.index(f'{side}_ankle') for side in ('left', 'right')]
    left, right = (skeleton.index(f'{side}_shoulder') for side in ('left', 'right'))
    for seed in range(8):
        person = render_scene((7, seed), (128, 96), variety=0.).persons[0]
        assert (person.keypoints[:, 2] > 0).all()  # all of them in the picture
        assert all(person.keypoints[ankle, 1] > person.keypoints[nose, 1] + 60 for ankle in ankles)
        assert person.keypoints[left, 0] > person.keypoints[right, 0]  # their left is on our right
    with pytest.raises(ValueError, match='between 0 and 1'):
        render_scene(0, variety=2.)


def test_framing_decides_what_is_seen():
    from sapiens_mm.pose.skeletons import get_skeleton
    skeleton = get_skeleton(308)
    ankle, nose = skeleton.index('left_ankle'), skeleton.index('nose')
    for seed in range(4):
        upper = render_scene((3, seed), (128, 96), variety=0.2, framing='upper').persons[0].keypoints
        assert upper[ankle, 2] == 0 and upper[nose, 2] > 0
    with pytest.raises(ValueError, match='framing must be one of'):
        render_scene(0, framing='feet')
