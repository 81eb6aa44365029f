"""The one solid that everything is made of: an affine round cone, of which ellipsoids and capsules are special cases.

In its own axes the solid is the convex hull of a sphere of radius ``r0`` at the origin and one of radius ``r1`` at
``(0, 0, h)``, neither of them inside the other. ``h = 0`` with unit radius gives an ellipsoid, ``r0 = r1`` a capsule.
``axes`` (3 x 3) carries it into the world, so it may be flattened; axes that reflect (determinant below 0) are allowed:
right limbs are made with them.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Primitives:
    """P solids.

    Attributes:
        axes: (P, 3, 3) columns are the solid's axes in the outer frame.
        center: (P, 3) the solid's origin in the outer frame, metres.
        h: (P,) distance of the two spheres along the solid's third axis.
        r0: (P,) radius at the origin.
        r1: (P,) radius at ``h``.
    """

    axes: np.ndarray
    center: np.ndarray
    h: np.ndarray
    r0: np.ndarray
    r1: np.ndarray

    def __len__(self) -> int:
        return len(self.h)

    @property
    def slope(self) -> np.ndarray:
        """(P,) sine of the cone's half opening angle."""
        return np.divide(self.r0 - self.r1, self.h, out=np.zeros_like(self.h), where=self.h > 0)

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The (P, 3) centres of the two spheres in the outer frame."""
        return self.center, self.center + self.axes[:, :, 2] * self.h[:, None]

    @property
    def reach(self) -> np.ndarray:
        """(P,) the largest half-width of the two spheres in the outer frame."""
        return np.linalg.norm(self.axes, axis=1).max(axis=1) * np.maximum(self.r0, self.r1)

    def transformed(self, linear: np.ndarray, shift: np.ndarray) -> Primitives:
        """The solids after ``x -> linear @ x + shift``."""
        return Primitives(linear @ self.axes, self.center @ linear.T + shift, self.h, self.r0, self.r1)

    def subset(self, index) -> Primitives:
        """Some of the solids."""
        return Primitives(self.axes[index], self.center[index], self.h[index], self.r0[index], self.r1[index])

    @staticmethod
    def concatenate(parts: list[Primitives]) -> Primitives:
        """All solids of several sets, in order."""
        names = ('axes', 'center', 'h', 'r0', 'r1')
        return Primitives(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Where rays enter the solids.

        Args:
            origins: (N, 3) or (3,).
            directions: (N, 3), of any length.

        Returns:
            (N, P) multiples of the direction at the entry, ``inf`` where the ray misses.
        """
        inverse = np.linalg.inv(self.axes)  # (P, 3, 3)
        o = np.einsum('pij,npj->pin', inverse, np.atleast_2d(origins)[:, None] - self.center)
        d = np.einsum('pij,nj->pin', inverse, directions)
        return enter(o[:, 0], o[:, 1], o[:, 2], d[:, 0], d[:, 1], d[:, 2], self.h[:, None], self.r0[:, None],
                     self.r1[:, None], self.slope[:, None]).T

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(N, P) how deep ``points`` (N, 3) lie in each solid: 0 at its axis, 1 on its surface, above 1 outside."""
        local = np.einsum('pij,npj->npi', np.linalg.inv(self.axes), points[:, None] - self.center)
        return _radius_ratio(local, self.h, self.r0, self.r1, self.slope)


def enter(ox, oy, oz, dx, dy, dz, h, r0, r1, s) -> np.ndarray:
    """Entry parameter of rays ``o + t d`` into round cones, all given in the solid's own axes; ``inf`` for a miss.

    The solid is convex and each candidate below lies in it, so the entry is the smallest of: the entries into both
    spheres, and the crossings of the tangent cone between the two circles where it touches the spheres. Arguments
    broadcast against each other. Rays start outside.
    """
    xx = dx * dx + dy * dy
    xo = ox * dx + oy * dy
    oo = ox * ox + oy * oy
    a = xx + dz * dz
    with np.errstate(invalid='ignore', divide='ignore'):
        b = xo + oz * dz
        root = np.sqrt(b * b - a * (oo + oz * oz - r0 * r0))
        best = np.where(root >= 0, (-b - root) / a, np.inf)
        if np.any(h > 0):
            oh = oz - h
            b = xo + oh * dz
            root = np.sqrt(b * b - a * (oo + oh * oh - r1 * r1))
            best = np.minimum(best, np.where(root >= 0, (-b - root) / a, np.inf))
            # c^2 (x^2 + y^2) = (r0 - s z)^2 with c the cosine that belongs to the sine s.
            c2 = 1 - s * s
            k = r0 - s * oz
            a = c2 * xx - s * s * dz * dz
            b = c2 * xo + k * s * dz
            root = np.sqrt(b * b - a * (c2 * oo - k * k))
            for t in ((-b - root) / a, (-b + root) / a):
                z = oz + t * dz
                on_cone = (z >= r0 * s) & (z <= h + r1 * s) & (h > 0)
                best = np.minimum(best, np.where(on_cone, t, np.inf))
    return np.where(best > 0, best, np.inf)


def _foot(local: np.ndarray, h, s) -> np.ndarray:
    """Third coordinate of the axis point whose sphere a surface point (..., 3) belongs to."""
    rho = np.hypot(local[..., 0], local[..., 1])
    return np.clip(local[..., 2] - rho * s / np.sqrt(1 - s * s), 0, h)


def _radius_ratio(local: np.ndarray, h, r0, r1, s) -> np.ndarray:
    foot = _foot(local, h, s)
    radius = np.where(h > 0, r0 + (r1 - r0) * foot / np.where(h > 0, h, 1), r0)
    return np.sqrt(local[..., 0]**2 + local[..., 1]**2 + (local[..., 2] - foot)**2) / radius


def surface_normals(local: np.ndarray, h, s) -> np.ndarray:
    """Outward normals (N, 3), not yet of unit length, at surface points (N, 3), both in the solid's own axes."""
    out = local.copy()
    out[..., 2] -= _foot(local, h, s)
    return out


def screen_bounds(prims: Primitives) -> np.ndarray:
    """Bounds of the solids' pictures at unit focal length, for solids in camera axes and in front of the camera.

    A plane through the eye with normal n touches the ellipsoid with centre c and shape Q when ``(n c)^2 = n Q n``,
    which is a quadratic in the screen coordinate; a hull of two ellipsoids is bounded by the bounds of both.

    Returns:
        (P, 4) smallest x, smallest y, largest x, largest y; a row of ``nan`` where a solid reaches behind the eye.
    """
    shape = prims.axes @ prims.axes.transpose(0, 2, 1)
    bounds = []
    for center, radius in zip(prims.ends, (prims.r0, prims.r1)):
        q = shape * (radius**2)[:, None, None]
        z = center[:, 2]
        a = z * z - q[:, 2, 2]
        a = np.where((a > 0) & (z > 0), a, np.nan)
        low, high = [], []
        for i in (0, 1):
            b = center[:, i] * z - q[:, i, 2]
            c = center[:, i]**2 - q[:, i, i]
            root = np.sqrt(np.maximum(b * b - a * c, 0))
            low.append((b - root) / a)
            high.append((b + root) / a)
        bounds.append(np.stack(low + high, axis=1))
    return np.concatenate([np.minimum(bounds[0], bounds[1])[:, :2], np.maximum(bounds[0], bounds[1])[:, 2:]], axis=1)
