"""The lines of the face, as functions over the frontal chart of the head: what is painted and what is labelled.

Chart coordinates are the head frame's x (towards the person's left) and y (up) in metres of a head of unit size, on the
left half of the face (x >= 0); the right half is its mirror image. Along a line that crosses one eye or brow, ``s``
runs from -1 at the inner end to 1 at the outer end; along a lip from -1 at the right corner to 1 at the left one.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EYE_CENTER = np.array([0.0325, 0.0205])
EYE_HALF_WIDTH = 0.0150
IRIS_RADIUS = 0.0062
PUPIL_RADIUS = 0.0027
# The pupil of a human eye lies a little to the nose's side of the iris' centre and below it.
PUPIL_SHIFT = np.array([-0.0006, -0.0003])
MOUTH_CENTER_Y = -0.0640
MOUTH_HALF_WIDTH = 0.0265
BROW_INNER_X, BROW_OUTER_X = 0.0125, 0.0545
NOSTRIL = np.array([0.0085, -0.0375])
NOSTRIL_RADII = np.array([0.0042, 0.0026])


@dataclass(frozen=True)
class Expression:
    """What a face does.

    Attributes:
        eye_open: 0.25 (nearly shut) to 1.2 (wide).
        brow_raise: Metres, up.
        gaze: Shift of the irises over the chart, metres, x towards the person's left, y up.
        mouth_open: Height of the gap between the lips, metres, above 0.
        smile: Rise of the mouth's corners, metres.
    """

    eye_open: float = 1.0
    brow_raise: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    mouth_open: float = 0.0015
    smile: float = 0.0

    def mirrored(self) -> Expression:
        """The same face in a mirror."""
        return Expression(self.eye_open, self.brow_raise, (-self.gaze[0], self.gaze[1]), self.mouth_open, self.smile)


def eye_line(s, height: float, below: bool, grow: float = 0.0) -> np.ndarray:
    """Chart points (..., 2) of a line around the left eye, ``height`` above (below) its axis in the middle."""
    s = np.asarray(s, dtype=float)
    sign = -1.0 if below else 1.0
    x = EYE_CENTER[0] + s * (EYE_HALF_WIDTH + grow)
    y = EYE_CENTER[1] + 0.0012 * s + sign * (grow * 0.5 + height * (1 - s * s))
    return np.stack([x, y], axis=-1)


def lid_heights(face: Expression) -> dict[str, float]:
    """Heights of the six eye lines over the eye's axis, metres."""
    upper, lower = 0.0066 * face.eye_open, 0.0036 * (0.5 + 0.5 * face.eye_open)
    return dict(upper_lash=upper, upper_eyelid=upper + 0.0014, upper_crease=upper + 0.0050, lower_lash=lower,
                lower_eyelid=lower + 0.0014)


def in_eye(x, y, face: Expression) -> np.ndarray:
    """Whether chart points lie in the opening between the lids (left half)."""
    s = (x - EYE_CENTER[0]) / EYE_HALF_WIDTH
    arch = 1 - s * s
    dy = y - EYE_CENTER[1] - 0.0012 * s
    heights = lid_heights(face)
    return (arch > 0) & (dy < heights['upper_lash'] * arch) & (dy > -heights['lower_lash'] * arch)


def iris_center(side: int, face: Expression) -> np.ndarray:
    """Chart point of the iris, on the left half; ``side`` is 1 for the left eye and -1 for the right one."""
    return EYE_CENTER + np.array([side * face.gaze[0], face.gaze[1] + 0.0012])


def brow_line(s, upper: bool, face: Expression) -> np.ndarray:
    """Chart points (..., 2) of the left brow's upper or lower edge; both edges meet at ``s = 1``."""
    s = np.asarray(s, dtype=float)
    u = (s + 1) / 2
    x = BROW_INNER_X + u * (BROW_OUTER_X - BROW_INNER_X)
    middle = 0.0400 + 0.0130 * u - 0.0125 * u * u + face.brow_raise
    half = 0.0036 * (1 - u**3)
    return np.stack([x, middle + (half if upper else -half)], axis=-1)


def lip_line(s, which: str, face: Expression) -> np.ndarray:
    """Chart points (..., 2) of a lip line: ``upper_outer``, ``upper_inner``, ``lower_inner`` or ``lower_outer``."""
    s = np.asarray(s, dtype=float)
    arch = 1 - s * s
    width = MOUTH_HALF_WIDTH * (1 + 6 * face.smile)
    gap = face.mouth_open
    if which.endswith('inner'):
        width = width * 0.86
    offset = {
        # the dip of cupid's bow in the middle
        'upper_outer': 0.0078 * arch + 0.18 * gap * arch - 0.0022 * np.exp(-(s / 0.16)**2),
        'upper_inner': 0.30 * gap * arch,
        'lower_inner': -0.70 * gap * arch,
        'lower_outer': -(0.0098 + 0.75 * gap) * arch,
    }[which]
    bend = face.smile * (width * s / MOUTH_HALF_WIDTH)**2
    return np.stack([width * s, MOUTH_CENTER_Y + bend + offset], axis=-1)
