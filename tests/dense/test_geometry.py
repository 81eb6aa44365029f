"""A transformed picture's labels are those of the transformed scene: render, transform, compare with another rendering."""
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sapiens_mm.seg.classes import PARTS28
from sapiens_mm.toy.scene import render, sample_scene
from tests.dense.support import SIZE, angle, build, toy_sample

SEEDS = (3, 11)


def inner(mask: np.ndarray, by: int = 2) -> np.ndarray:
    """Pixels of a mask that are not at its rim, where resampling may fall on either side."""
    return cv2.erode(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8), borderValue=0) > 0


def as_sample(scene) -> dict:
    """A rendering as the loaders would give it."""
    return dict(img=scene.image, gt_seg_map=scene.parts, gt_mask=scene.mask.astype(np.uint8), gt_depth=scene.depth,
                gt_normal=scene.normal)


def assert_is(got: dict, want: dict, known: np.ndarray | None = None, degrees: float = 6.) -> None:
    """A transformed sample is another rendering, but for the rims, where half a pixel decides, and what is not ``known``."""
    known = np.ones(want['gt_mask'].shape, bool) if known is None else known
    for name, full in want.items():
        assert got[name].shape == full.shape, name
    person = (got['gt_mask'] > 0) & (want['gt_mask'] > 0)
    sure = inner(person & known, 1)
    assert sure.sum() > 100
    assert (got['gt_mask'] == want['gt_mask'])[known].mean() > 0.97
    assert (got['gt_seg_map'] == want['gt_seg_map'])[sure].mean() > 0.9
    assert np.median(np.abs(got['gt_depth'] - want['gt_depth'])[sure]) < 0.01
    assert np.median(angle(got['gt_normal'][sure], want['gt_normal'][sure])) < degrees
    assert np.allclose(np.linalg.norm(got['gt_normal'][sure], axis=1), 1, atol=1e-5)
    # The picture: nearer to the other rendering than that is to itself a few pixels on.
    img, other = got['img'].astype(float), want['img'].astype(float)
    assert np.abs(img - other)[sure].mean() < 0.6 * np.abs(np.roll(other, 4, axis=1) - other)[sure].mean()


def rotate_values_only(normal: np.ndarray, degree: float) -> np.ndarray:
    """What a transform does that takes normals for colours."""
    turn = cv2.getRotationMatrix2D(((normal.shape[1] - 1) / 2, (normal.shape[0] - 1) / 2), -degree, 1)
    return cv2.warpAffine(normal, turn, normal.shape[1::-1], flags=cv2.INTER_NEAREST)


@pytest.mark.parametrize('seed', SEEDS)
def test_mirrored_picture_has_the_mirrored_scene(seed):
    flip = build(dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=1.0))
    got, want = flip(toy_sample(seed)), toy_sample(seed, mirror=True)
    assert (got['gt_mask'] == want['gt_mask']).mean() > 0.999
    assert (got['gt_seg_map'] == want['gt_seg_map']).mean() > 0.999
    both = (got['gt_mask'] > 0) & (want['gt_mask'] > 0)
    assert np.abs(got['gt_depth'] - want['gt_depth'])[both].max() < 1e-3
    assert angle(got['gt_normal'][both], want['gt_normal'][both]).max() < 0.5
    assert np.abs(got['img'].astype(int) - want['img']).mean() < 1
    # and maps that were only moved would be wrong
    moved = toy_sample(seed)
    assert angle(moved['gt_normal'][:, ::-1][both], want['gt_normal'][both]).mean() > 20
    sided = np.isin(want['gt_seg_map'], PARTS28.swap_pairs)
    assert sided.sum() > 50 and (moved['gt_seg_map'][:, ::-1] == want['gt_seg_map'])[sided].mean() < 0.05


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('degree', (35., -80., 180.))
def test_turned_picture_has_the_turned_scene(seed, degree):
    rotate = build(dict(type='sapiens_mm.DenseRandomRotate', prob=1.0, degree=(degree, degree + 1e-9), seg_pad_val=0))
    size = (128, 128)
    got, want = rotate(toy_sample(seed, size)), toy_sample(seed, size, roll=np.deg2rad(degree))
    # What was outside of the first picture is not known.
    known = cv2.warpAffine(np.ones(size, np.uint8), cv2.getRotationMatrix2D((63.5, 63.5), -degree, 1), size[::-1]) > 0
    sure = inner((got['gt_mask'] > 0) & (want['gt_mask'] > 0) & known)
    assert sure.sum() > 200
    assert (got['gt_mask'] == want['gt_mask'])[inner(known)].mean() > 0.98
    assert (got['gt_seg_map'] == want['gt_seg_map'])[sure].mean() > 0.9
    assert np.median(np.abs(got['gt_depth'] - want['gt_depth'])[sure]) < 0.01
    error = angle(got['gt_normal'][sure], want['gt_normal'][sure])
    assert np.median(error) < 6  # half a pixel on curved limbs
    unturned = rotate_values_only(toy_sample(seed, size)['gt_normal'], degree)
    assert angle(unturned[sure], want['gt_normal'][sure]).mean() > 15
    assert np.allclose(np.linalg.norm(got['gt_normal'][sure], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize('cfg', (dict(type='sapiens_mm.DenseResize', scale=(90, 100)),
                                 dict(type='sapiens_mm.DenseRandomRotate', prob=1.0, degree=(30, 30 + 1e-9))))
def test_lengths_go_back_to_one(cfg):
    sample = toy_sample()
    sample['gt_normal'] *= 0.99
    got = build(cfg)(sample)
    length = np.linalg.norm(got['gt_normal'], axis=2)
    assert np.allclose(length[got['gt_mask'] > 0], 1, atol=1e-5)


def test_half_a_turn_is_exact():
    rotate = build(dict(type='sapiens_mm.DenseRandomRotate', prob=1.0, degree=(180, 180 + 1e-9), seg_pad_val=0))
    got, before = rotate(toy_sample()), toy_sample()
    for name in ('gt_seg_map', 'gt_mask', 'gt_depth'):
        assert (got[name] == before[name][::-1, ::-1]).mean() > 0.999, name
    want = before['gt_normal'][::-1, ::-1] * (-1, -1, 1)
    assert np.abs(got['gt_normal'] - want).max(axis=2).mean() < 1e-3


@pytest.mark.parametrize('direction', ('horizontal', 'vertical', 'diagonal'))
def test_two_mirrors_cancel(direction):
    flip = build(dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=1.0, direction=direction))
    got, want = flip(flip(toy_sample())), toy_sample()
    for name in ('img', 'gt_seg_map', 'gt_mask', 'gt_depth', 'gt_normal'):
        assert (got[name] == want[name]).all() and got[name].dtype == want[name].dtype, name


def test_half_a_turn_swaps_no_sides():
    flip = build(dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=1.0, direction='diagonal'))
    got, want = flip(toy_sample()), toy_sample()
    assert (got['gt_seg_map'] == want['gt_seg_map'][::-1, ::-1]).all()
    assert (got['gt_normal'] == want['gt_normal'][::-1, ::-1] * np.float32([-1, -1, 1])).all()


@pytest.mark.parametrize('scale', ((47, 63), (32, 43), (192, 256), (70, 70)))
def test_maps_stay_under_their_picture(scale):
    """The middle of what the mask covers is the middle of what the picture shows, to a small part of a pixel.

    (At exactly half the size both neighbours are as near, and no choice of one is in the middle.)
    """
    resize = build(dict(type='sapiens_mm.DenseResize', scale=scale))
    sample = toy_sample()
    sample['img'] = np.repeat(sample['gt_mask'][..., None] * 255, 3, axis=2)
    got = resize(sample)
    assert {got[name].shape[:2] for name in ('img', 'gt_seg_map', 'gt_mask', 'gt_depth', 'gt_normal')} == {scale[::-1]}
    # A picture that shows the mask, sampled as pictures are, is the mask but for the rim; and on both sides of it alike.
    white, mask = got['img'][..., 0] / 255., got['gt_mask']
    x = np.arange(scale[0]) + 0.5
    drift = (white.sum(0) * x).sum() / white.sum() - (mask.sum(0) * x).sum() / mask.sum()
    assert abs(drift) < 0.2
    person = mask > 0
    assert np.allclose(np.linalg.norm(got['gt_normal'][person], axis=1), 1, atol=1e-5)
    assert set(np.unique(got['gt_seg_map'])) <= set(np.unique(toy_sample()['gt_seg_map']))


def test_inexact_nearest_drifts():
    """What fidelity reproduces: labels half a pixel of the original left and above of their picture."""
    sample = toy_sample()
    sample['gt_depth'] = np.tile(np.arange(SIZE[1], dtype=np.float32), (SIZE[0], 1))
    sample['img'] = np.repeat((np.arange(SIZE[1], dtype=np.float32))[None, :, None], SIZE[0], axis=0).repeat(3, axis=2)
    def means(fidelity):
        got = build(dict(type='sapiens_mm.DenseResize', scale=(32, 43), fidelity=fidelity))(
            {k: (v.copy() if hasattr(v, 'copy') else v) for k, v in sample.items()})
        return got['img'][..., 0].mean() - got['gt_depth'].mean()
    assert means(False) == pytest.approx(0, abs=1e-4) and means(True) == pytest.approx(1, abs=1e-4)


def test_crop_cuts_every_map_alike():
    crop = build(dict(type='sapiens_mm.DenseRandomCrop', crop_size=(50, 40)))
    for seed in range(5):
        np.random.seed(seed)
        before = toy_sample()
        before['gt_depth'] = np.arange(SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
        want = {name: before[name].copy() for name in ('img', 'gt_seg_map', 'gt_mask', 'gt_normal')}
        got = crop(before)
        top, left = divmod(int(got['gt_depth'][0, 0]), SIZE[1])
        for name, full in want.items():
            assert (got[name] == full[top:top + 50, left:left + 40]).all(), name
        assert got['img_shape'] == (50, 40)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('size', ((256, 192), (192, 144), (96, 72)))
def test_resized_picture_has_the_scene_at_that_size(seed, size):
    resize = build(dict(type='sapiens_mm.DenseResize', scale=size[::-1], keep_ratio=True))
    assert_is(resize(toy_sample(seed)), as_sample(render(sample_scene(seed, size))))


@pytest.mark.parametrize('size', ((128, 150), (100, 96), (200, 60)))
def test_stretched_picture_has_the_stretched_scene(size):
    """The values of a rendering so fine that any place has its own pixel; normals keep theirs, as in the release."""
    fine = as_sample(render(sample_scene(3, (SIZE[0] * 4, SIZE[1] * 4))))
    row, column = (np.floor((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(size, fine['gt_mask'].shape))
    want = {name: full[row][:, column] for name, full in fine.items()}
    assert_is(build(dict(type='sapiens_mm.DenseResize', scale=size[::-1]))(toy_sample(3)), want)


@pytest.mark.parametrize('seed', SEEDS)
def test_cropped_picture_has_what_a_smaller_camera_sees(seed, monkeypatch):
    crop = build(dict(type='sapiens_mm.DenseRandomCrop', crop_size=(96, 64)))
    monkeypatch.setattr(crop, 'crop_bbox', lambda results: (16, 112, 16, 80))
    spec = sample_scene(seed, SIZE)
    assert_is(crop(toy_sample(seed)), as_sample(render(replace(spec, camera=replace(spec.camera, size=(96, 64))))), degrees=0.1)


@pytest.mark.parametrize('seed', SEEDS)
def test_all_in_a_row(seed, monkeypatch):
    """Twice the size, in the mirror, turned, cut: the mirrored and rolled scene before a camera that sees less."""
    steps = [build(cfg) for cfg in (
        dict(type='sapiens_mm.DenseResize', scale=(256, 256)),
        dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=1.0),
        dict(type='sapiens_mm.DenseRandomRotate', prob=1.0, degree=(25, 25 + 1e-9), seg_pad_val=0),
        dict(type='sapiens_mm.DenseRandomCrop', crop_size=(176, 192)))]
    monkeypatch.setattr(steps[-1], 'crop_bbox', lambda results: (40, 216, 32, 224))
    got = toy_sample(seed, (128, 128))
    for step in steps:
        got = step(got)
    spec = sample_scene(seed, (256, 256)).mirrored().rolled(np.deg2rad(25))
    known = cv2.warpAffine(np.ones((256, 256), np.uint8), cv2.getRotationMatrix2D((127.5, 127.5), -25, 1), (256, 256)) > 0
    assert_is(got, as_sample(render(replace(spec, camera=replace(spec.camera, size=(176, 192))))),
              inner(known)[40:216, 32:224])


def test_colours_and_backgrounds_leave_the_maps(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.full((40, 40, 3), 90, np.uint8))
    for cfg in (dict(type='PhotoMetricDistortion'), dict(type='sapiens_mm.RandomBackground', backgrounds=str(tmp_path), prob=1.0)):
        got, want = build(cfg)(toy_sample()), toy_sample()
        assert (got['img'] != want['img']).any()
        assert all((got[name] == want[name]).all() for name in want['seg_fields'])


def test_whole_pipeline_keeps_maps_together():
    """Depth as a function of the picture: whatever a pipeline does to one it does to the other."""
    steps = [build(cfg) for cfg in (
        dict(type='RandomResize', scale=(96, 128), ratio_range=(0.4, 2.0), keep_ratio=True, resize_type='sapiens_mm.DenseResize'),
        dict(type='sapiens_mm.DenseRandomCrop', crop_size=(100, 80)),
        dict(type='sapiens_mm.DenseResize', scale=(96, 128)),
        dict(type='sapiens_mm.DenseRandomRotate', prob=0.7, degree=60),
        dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=0.5))]
    y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(np.float32)
    drift = []
    for seed in range(8):
        np.random.seed(seed)
        sample = toy_sample()
        sample['img'] = np.stack([x, y, np.full_like(x, 100)], 2)  # where each pixel comes from
        sample['gt_depth'] = x + 1000 * np.round(y)
        for step in steps:
            sample = step(sample)
        inside = inner(sample['img'][..., 2] > 99.9)
        assert inside.sum() > 500
        from_x, from_y = sample['gt_depth'] % 1000, sample['gt_depth'] // 1000
        assert np.abs(from_x - sample['img'][..., 0])[inside].max() < 1.6
        assert np.abs(from_y - sample['img'][..., 1])[inside].max() < 1.6
        drift.append((from_x - sample['img'][..., 0])[inside].mean())
    assert abs(np.mean(drift)) < 0.15
