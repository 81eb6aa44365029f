"""Procedural backgrounds: a backdrop, a textured floor in perspective, shapes and noise.

Everything is a function of the direction of sight in the camera before mirror and roll, so a mirrored or rolled camera
sees the same surroundings mirrored or rolled.
"""
from __future__ import annotations

import numpy as np

from sapiens_mm.toy.camera import Camera


def _color(rng: np.random.Generator) -> np.ndarray:
    """A colour, not always bright."""
    return rng.uniform(0, 1, 3) * rng.uniform(0.4, 1) + rng.uniform(0, 0.35)


def waves(rng: np.random.Generator, coordinates: list[np.ndarray], scale: float, count: int = 5) -> np.ndarray:
    """Smooth noise in about [-1, 1]: a sum of plane waves of random direction, with wave lengths near ``scale``."""
    total = np.zeros_like(coordinates[0])
    for i in range(count):
        k = rng.normal(size=len(coordinates))
        k *= 2 * np.pi / (scale * rng.uniform(0.5, 1.6)) / np.linalg.norm(k)
        phase = rng.uniform(0, 2 * np.pi) + (1.5 * total if i else 0.0)
        total = total + np.sin(sum(a * c for a, c in zip(k, coordinates)) + phase) / count**0.5
    return total


def _texture(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, scale: float) -> np.ndarray:
    """A random two-colour texture (..., 3) over the plane."""
    a, b = _color(rng), _color(rng)
    kind = rng.choice(['plain', 'gradient', 'stripes', 'checks', 'noise', 'rings'])
    angle = rng.uniform(0, np.pi)
    period = scale * rng.uniform(0.08, 0.5)
    along, across = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    if kind == 'plain':
        mix = np.zeros_like(x)
    elif kind == 'gradient':
        mix = np.clip(0.5 + along / scale, 0, 1)
    elif kind == 'stripes':
        mix = (np.mod(along / period, 1) < rng.uniform(0.2, 0.8)).astype(float)
    elif kind == 'checks':
        mix = ((np.floor(along / period) + np.floor(across / period)) % 2).astype(float)
    elif kind == 'noise':
        mix = np.clip(0.5 + 0.6 * waves(rng, [x, y], 2 * period), 0, 1)
    else:
        mix = (np.mod(np.hypot(x - rng.normal() * scale, y - rng.normal() * scale) / period, 1) < 0.5).astype(float)
    mix = 0.12 * waves(rng, [x, y], 0.6 * scale, 3) + mix
    return a + (b - a) * mix[..., None]


def draw_background(seed: int, camera: Camera) -> np.ndarray:
    """The surroundings as the camera sees them.

    Args:
        seed: Seed of everything that is drawn.
        camera: The camera.

    Returns:
        (H, W, 3) RGB, about [0, 1].
    """
    rng = np.random.default_rng(seed)
    columns, rows = camera.rays()
    u, v = np.meshgrid(columns, rows)
    back = camera.picture_turn.T
    u, v = back[0, 0] * u + back[0, 1] * v, back[1, 0] * u + back[1, 1] * v
    unit = camera.size[0] / camera.focal  # height of the picture at unit distance
    x, y = u / unit, v / unit

    picture = _texture(rng, x, y, 1.0)
    for _ in range(rng.integers(0, 9)):
        cx, cy = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)
        half = rng.uniform(0.02, 0.3, 2)
        angle = rng.uniform(0, np.pi)
        dx, dy = x - cx, y - cy
        a = (np.cos(angle) * dx + np.sin(angle) * dy) / half[0]
        b = (-np.sin(angle) * dx + np.cos(angle) * dy) / half[1]
        inside = a * a + b * b < 1 if rng.random() < 0.5 else np.maximum(abs(a), abs(b)) < 1
        shade = 1 + 0.25 * np.clip(a[inside], -1, 1)[:, None]
        picture[inside] = _color(rng) * shade
    if rng.random() < 0.7:
        _draw_floor(rng, picture, camera, u, v)
    return picture


def _draw_floor(rng: np.random.Generator, picture: np.ndarray, camera: Camera, u: np.ndarray, v: np.ndarray) -> None:
    """Paint the plane y = 0 of the world, up to a wall some metres behind."""
    eye = -camera.rotation.T @ camera.translation
    down = camera.rotation[0, 1] * u + camera.rotation[1, 1] * v + camera.rotation[2, 1]
    depth_limit = rng.uniform(1.5, 9.0)
    with np.errstate(divide='ignore'):
        t = np.where(down < -1e-6, -eye[1] / down, np.inf)
    hit = np.isfinite(t) & (t > 0)
    sight = [camera.rotation[0, i] * u[hit] + camera.rotation[1, i] * v[hit] + camera.rotation[2, i] for i in (0, 2)]
    x, z = eye[0] + t[hit] * sight[0], eye[2] + t[hit] * sight[1]
    near = z > -depth_limit
    index = np.flatnonzero(hit)[near]
    x, z = x[near], z[near]
    color = _texture(rng, x, z, 2.5)
    # Far tiles are smaller than pixels: fade them to their mean, as a lens would.
    fade = np.clip(t.ravel()[index] / 12, 0, 0.8)[:, None]
    color = color * (1 - fade) + color.mean(axis=0) * fade if len(color) else color
    # A soft shadow where people usually stand.
    color *= 1 - 0.35 * np.exp(-(x * x + z * z) / 0.12)[:, None]
    picture.reshape(-1, 3)[index] = color
