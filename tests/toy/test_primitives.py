"""The solid's ray casting against closed forms and against its own definition."""
from __future__ import annotations

import numpy as np
import pytest

from sapiens_mm.toy.primitives import Primitives, screen_bounds
from sapiens_mm.toy.render import surface


def _one(axes=None, center=(0, 0, 5), h=0.0, r0=1.0, r1=1.0) -> Primitives:
    axes = np.eye(3) if axes is None else axes
    return Primitives(np.asarray(axes, float)[None], np.asarray(center, float)[None], *np.array([[h], [r0], [r1]]))


def _random(seed: int) -> Primitives:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 1.5, 3)
    return _one(axes, (0.3, -0.2, 6), rng.uniform(0.8, 2) if seed % 3 else 0.0, 1.0, rng.uniform(0.4, 1.0))


def test_sphere_ellipsoid_and_capsule_have_their_closed_forms():
    forward = np.array([[0.0, 0, 1]])
    assert _one().cast(np.zeros(3), forward)[0, 0] == pytest.approx(4)
    assert _one(np.diag([1, 1, 0.25])).cast(np.zeros(3), forward)[0, 0] == pytest.approx(4.75)
    across = np.stack([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]], axis=1)  # the third axis lies along x
    capsule = _one(across, (0, 0, 5), 2.0, 0.5, 0.5)
    np.testing.assert_allclose(capsule.cast([[1.0, 0, 0], [2.5, 0, 0], [2.51, 0, 0]], forward[[0, 0, 0]])[:, 0],
                               [4.5, 5.0, np.inf])


def test_a_cone_is_entered_at_its_side():
    # A sphere of 1 at z = 5 and one of 0.5 at (2, 0, 5): the tangent cone's sine is 0.25.
    across = np.stack([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]], axis=1)
    t = _one(across, (0, 0, 5), 2.0, 1.0, 0.5).cast([[1.0, 0, 0]], np.array([[0.0, 0, 1]]))[0, 0]
    assert t == pytest.approx(5 - (1 - 0.25 * 1.0) / np.sqrt(1 - 0.25**2))


@pytest.mark.parametrize('seed', range(9))
def test_entries_lie_on_the_surface_with_normals_against_the_ray(seed):
    solid = _random(seed)
    rng = np.random.default_rng(100 + seed)
    rays = np.concatenate([rng.uniform(-0.5, 0.5, (400, 2)), np.ones((400, 1))], axis=1)
    t = solid.cast(np.zeros(3), rays)[:, 0]
    hit = np.isfinite(t)
    assert 20 < hit.sum() < 400
    points = rays[hit] * t[hit, None]
    np.testing.assert_allclose(solid.inside(points)[:, 0], 1, atol=1e-7)
    assert (solid.inside(points * 0.999)[:, 0] > 1).all(), 'just before the entry it is outside'
    normals = surface(solid, np.zeros(hit.sum(), int), points)
    assert ((normals * rays[hit]).sum(axis=1) < 1e-6).all()
    # The normal is the gradient of the distance to the surface.
    assert (solid.inside(points + 1e-4 * normals)[:, 0] > 1).all()
    assert (solid.inside(points - 1e-4 * normals)[:, 0] < 1).all()


@pytest.mark.parametrize('seed', range(9))
def test_screen_bounds_are_tight(seed):
    solid = _random(seed)
    rng = np.random.default_rng(200 + seed)
    sphere = rng.normal(size=(40000, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    local = np.concatenate([sphere * solid.r0, sphere * solid.r1 + (0, 0, solid.h[0])])
    points = local @ solid.axes[0].T + solid.center
    screen = points[:, :2] / points[:, 2:]
    expected = np.concatenate([screen.min(axis=0), screen.max(axis=0)])
    bounds = screen_bounds(solid)[0]
    np.testing.assert_allclose(bounds, expected, atol=2e-3)
    assert (bounds[:2] <= expected[:2] + 1e-12).all() and (bounds[2:] >= expected[2:] - 1e-12).all()


def test_solids_behind_the_eye_have_no_bounds():
    assert np.isnan(screen_bounds(_one(center=(0, 0, 0.5)))).all()
