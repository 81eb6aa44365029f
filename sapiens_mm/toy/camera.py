"""A pinhole camera that looks at the scene, can be mirrored and rolled, and frames what it is told to show.

Camera axes: x right, y down, z forward, metres. Pixel centres have whole coordinates and the principal point is the
middle of the picture, so that mirroring a picture is ``x -> W - 1 - x``.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_FLIP = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Camera:
    """A camera.

    Attributes:
        size: Picture size (H, W).
        focal: Focal length in pixels.
        rotation: (3, 3) world to camera before mirror and roll.
        translation: (3,) world to camera before mirror and roll, metres.
        roll: Turn of the picture's content about the optical axis, radians, clockwise in the picture.
        mirror: Whether the world is seen in a mirror in the plane x = 0; the persons must be mirrored too.
    """

    size: tuple[int, int]
    focal: float
    rotation: np.ndarray
    translation: np.ndarray
    roll: float = 0.0
    mirror: bool = False

    @property
    def principal_point(self) -> np.ndarray:
        """(x, y) in pixels."""
        return np.array([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2])

    @property
    def picture_turn(self) -> np.ndarray:
        """(2, 2) matrix that mirror and roll apply to picture coordinates about the principal point."""
        c, s = np.cos(self.roll), np.sin(self.roll)
        return np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if self.mirror else 1.0, 1.0])

    @property
    def extrinsics(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (3, 3) and translation (3,) from the world, mirrored where the camera is, to camera axes."""
        turn = np.eye(3)
        turn[:2, :2] = self.picture_turn
        return turn @ self.rotation @ (_FLIP if self.mirror else np.eye(3)), turn @ self.translation

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of points (N, 3) in camera axes."""
        return points[:, :2] / points[:, 2:] * self.focal + self.principal_point

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Screen coordinates at unit focal length of the columns, (W,), and rows, (H,)."""
        cx, cy = self.principal_point
        return (np.arange(self.size[1]) - cx) / self.focal, (np.arange(self.size[0]) - cy) / self.focal

    def mirrored(self) -> Camera:
        """The camera on the other side of the mirror in the plane x = 0."""
        return replace(self, mirror=not self.mirror, roll=-self.roll)

    def rolled(self, angle: float) -> Camera:
        """The camera with the content of its picture turned clockwise by ``angle`` radians more."""
        return replace(self, roll=self.roll + angle)


def look(elevation: float, tilt: float = 0.0) -> np.ndarray:
    """Rotation of a camera in front of the scene, on the side of +z, that looks down by ``elevation`` radians.

    Args:
        elevation: How far the camera looks down.
        tilt: Turn about the optical axis.
    """
    c, s = np.cos(elevation), np.sin(elevation)
    # Rows: the camera's right, down and forward directions in the world.
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, -c, s], [0.0, -s, -c]])
    ct, st = np.cos(tilt), np.sin(tilt)
    # A camera that faces -z and is not upside down has the world's +x at its right.
    return np.array([[ct, -st, 0.0], [st, ct, 0.0], [0.0, 0.0, 1.0]]) @ rotation


def frame(points: np.ndarray, radii: np.ndarray, rotation: np.ndarray, size: tuple[int, int], focal: float,
          fill: float, offset: tuple[float, float] = (0.0, 0.0)) -> Camera:
    """Place a camera of fixed direction so that balls fill a given share of the picture.

    Args:
        points: (N, 3) centres of the balls in the world.
        radii: (N,) their radii.
        rotation: (3, 3) world to camera.
        size: (H, W).
        focal: Focal length in pixels.
        fill: Share of the picture's tighter side that the balls' picture takes; above 1 they are cut off.
        offset: Shift of the balls' picture, in shares of the picture's width and height.

    Returns:
        The camera.
    """
    local = points @ rotation.T
    limit = np.array([size[1], size[0]]) * fill / focal
    middle = (local.min(axis=0) + local.max(axis=0)) / 2
    distance = 3.0
    for _ in range(12):
        shift = np.array([0.0, 0.0, distance]) - middle
        z = np.maximum((local + shift)[:, 2:], 0.2)
        low = ((local + shift)[:, :2] - radii[:, None]) / z
        high = ((local + shift)[:, :2] + radii[:, None]) / z
        low, high = low.min(axis=0), high.max(axis=0)
        middle[:2] += (low + high) / 2 * distance
        distance *= np.clip(((high - low) / limit).max(), 0.6, 1.6)
        distance = max(distance, 0.35 - (local[:, 2] - radii - middle[2]).min())
    shift = np.array([0.0, 0.0, distance]) - middle
    shift[:2] += np.multiply(offset, (size[1], size[0])) / focal * distance
    return Camera(size, focal, rotation, shift)
