"""Casting rays: which solid each pixel sees, how far away and how it is turned."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sapiens_mm.toy.camera import Camera
from sapiens_mm.toy.primitives import Primitives, enter, screen_bounds, surface_normals


@dataclass
class Raster:
    """What each pixel sees.

    Attributes:
        index: (H, W) the nearest solid, -1 where there is none.
        depth: (H, W) its depth along the optical axis, metres, ``inf`` where there is none.
    """

    index: np.ndarray
    depth: np.ndarray


def cast_picture(prims: Primitives, camera: Camera) -> Raster:
    """Cast the ray of every pixel's centre at solids that are given in camera axes."""
    columns, rows = camera.rays()
    height, width = camera.size
    index = np.full((height, width), -1, dtype=np.int32)
    depth = np.full((height, width), np.inf)
    cx, cy = camera.principal_point
    bounds = screen_bounds(prims) * camera.focal + (cx, cy, cx, cy)
    inverse, origin, slope = _eye_in_solids(prims)
    # Near solids first: later ones are then mostly hidden, and writing is rarer.
    for i in np.argsort(prims.center[:, 2]):
        if np.isnan(bounds[i]).any():
            continue  # reaches behind the eye
        x0, y0 = max(int(np.ceil(bounds[i, 0])), 0), max(int(np.ceil(bounds[i, 1])), 0)
        x1, y1 = min(int(np.floor(bounds[i, 2])), width - 1) + 1, min(int(np.floor(bounds[i, 3])), height - 1) + 1
        if x0 >= x1 or y0 >= y1:
            continue
        u, v = columns[None, x0:x1], rows[y0:y1, None]
        dx, dy, dz = (inverse[i, j, 0] * u + inverse[i, j, 1] * v + inverse[i, j, 2] for j in range(3))
        t = enter(*origin[i], dx, dy, dz, prims.h[i], prims.r0[i], prims.r1[i], slope[i])
        window = depth[y0:y1, x0:x1]
        nearer = t < window
        window[nearer] = t[nearer]
        index[y0:y1, x0:x1][nearer] = i
    return Raster(index, depth)


def cast_scattered(prims: Primitives, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cast single rays at solids that are given in camera axes.

    Args:
        prims: P solids.
        u: (N,) horizontal screen coordinates at unit focal length.
        v: (N,) vertical ones.

    Returns:
        (N,) nearest solids, -1 for none, and (N,) their depths.
    """
    index, depth = np.full(len(u), -1, dtype=np.int32), np.full(len(u), np.inf)
    inverse, origin, slope = _eye_in_solids(prims)
    order = np.argsort(v)
    sorted_v = v[order]
    bounds = screen_bounds(prims)
    for i in np.argsort(prims.center[:, 2]):
        if np.isnan(bounds[i]).any():
            continue
        first, last = np.searchsorted(sorted_v, bounds[i, [1, 3]])
        rays = order[first:last]
        rays = rays[(u[rays] >= bounds[i, 0]) & (u[rays] <= bounds[i, 2])]
        if len(rays) == 0:
            continue
        dx, dy, dz = (inverse[i, j, 0] * u[rays] + inverse[i, j, 1] * v[rays] + inverse[i, j, 2] for j in range(3))
        t = enter(*origin[i], dx, dy, dz, prims.h[i], prims.r0[i], prims.r1[i], slope[i])
        nearer = t < depth[rays]
        depth[rays[nearer]] = t[nearer]
        index[rays[nearer]] = i
    return index, depth


def _eye_in_solids(prims: Primitives) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What casting needs of each solid: camera to solid axes, the eye in them, the cone's slope."""
    inverse = np.linalg.inv(prims.axes)
    return inverse, -np.einsum('pij,pj->pi', inverse, prims.center), prims.slope


def surface(prims: Primitives, index: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Unit outward normals (N, 3), in the axes of ``points`` (N, 3), on the solids ``index`` (N,)."""
    inverse = np.linalg.inv(prims.axes)[index]
    local = np.einsum('nij,nj->ni', inverse, points - prims.center[index])
    normal = np.einsum('nji,nj->ni', inverse, surface_normals(local, prims.h[index], prims.slope[index]))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def sees(prims: Primitives, points: np.ndarray, tolerance: float = 5e-4) -> np.ndarray:
    """(N,) whether no solid hides points (N, 3) from the eye; all in camera axes, the tolerance in metres of depth."""
    out = points[:, 2] > 0
    if len(prims) == 0:
        return out
    directions = points / np.where(out, points[:, 2], 1)[:, None]
    t = prims.cast(np.zeros(3), directions).min(axis=1)
    return out & (t >= points[:, 2] - tolerance)
