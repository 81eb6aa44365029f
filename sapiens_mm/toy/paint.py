"""How the surface of a person looks and which of the 28 body parts it is, point by point.

Patterns live in the axes of the body at rest, so they move with it.
"""
from __future__ import annotations

import numpy as np

from sapiens_mm.seg.classes import PARTS28
from sapiens_mm.toy import face as F
from sapiens_mm.toy.background import waves
from sapiens_mm.toy.body import BONE_ID, KINDS, Body, bone_length
from sapiens_mm.toy.person import PersonSpec

PART = {name: i for i, name in enumerate(PARTS28.classes)}
_SWAP = np.arange(PARTS28.num_classes)
for _a, _b in PARTS28.swap_pairs:
    _SWAP[_a], _SWAP[_b] = _b, _a


def paint(spec: PersonSpec, body: Body, solid: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part and colour of points of a person's surface.

    Args:
        spec: The person.
        body: Its solids.
        solid: (N,) which solid each point lies on.
        points: (N, 3) the points in the axes of their solid's bone, metres.

    Returns:
        (N,) part ids, and (N, 3) RGB colours in [0, 1] before light.
    """
    canvas = _Canvas(spec, body, solid, points)
    for kind in np.unique(canvas.kind):
        getattr(canvas, '_' + KINDS[kind])(np.flatnonzero(canvas.kind == kind))
    parts = np.where(body.side[solid] == -1, _SWAP[canvas.parts], canvas.parts)
    return parts.astype(np.uint8), np.clip(canvas.color, 0, 1)


class _Canvas:
    """Part and colour of N points, filled kind by kind."""

    def __init__(self, spec: PersonSpec, body: Body, solid: np.ndarray, points: np.ndarray) -> None:
        self.spec, self.outfit, self.face, self.body = spec, spec.outfit, spec.expression, body
        self.kind, self.bone, self.side = body.kind[solid], body.bone[solid], body.side[solid]
        self.q = points
        # The body at rest, left half: what patterns are drawn on.
        rest = points + body.rest[self.bone]
        middle = self.bone < BONE_ID['upper_arm', 1]
        self.rest = np.where(middle[:, None], rest * (self.outfit.texture_sign, 1, 1), rest)
        self.k = spec.shape.height
        self.parts = np.zeros(len(points), dtype=np.int64)
        self.color = np.zeros((len(points), 3))
        grain = waves(np.random.default_rng(self.outfit.texture_seed), list(self.rest.T), 0.05, 4)
        self.grain = (1 + 0.025 * grain)[:, None]

    def _fill(self, mine, part: str, color) -> None:
        self.parts[mine] = PART[part]
        self.color[mine] = color

    def _skin(self, mine, part: str) -> None:
        self._fill(mine, part, np.array(self.outfit.skin) * self.grain[mine])

    def _cloth(self, mine, part: str, pattern: dict) -> None:
        """One of the cloth patterns; the person's fine structure is woven in."""
        x, y, z = self.rest[mine].T
        angle, period = pattern.get('angle', 0.0), pattern.get('period', 0.05)
        along = np.cos(angle) * (x + 0.5 * z) + np.sin(angle) * y
        across = np.cos(angle) * y - np.sin(angle) * (x + 0.5 * z)
        kind = pattern['kind']
        if kind == 'stripes':
            mix = np.mod(along / period, 1) < 0.45
        elif kind == 'checks':
            mix = (np.floor(along / period) + np.floor(across / period)) % 2
        elif kind == 'dots':
            mix = np.hypot(np.mod(along / period, 1) - 0.5, np.mod(across / period, 1) - 0.5) < 0.28
        elif kind == 'blotches':
            mix = waves(np.random.default_rng(self.outfit.texture_seed + 1), [x, y, z], 1.5 * period) > 0.2
        else:
            mix = np.zeros(len(x))
        a, b = np.array(pattern['a']), np.array(pattern['b'])
        self._fill(mine, part, (a + (b - a) * np.asarray(mix, dtype=float)[:, None]) * self.grain[mine])

    def _top(self, mine) -> None:
        self._cloth(mine, 'Upper_Clothing', self.outfit.top_pattern)

    def _bottom(self, mine) -> None:
        self._cloth(mine, 'Lower_Clothing', self.outfit.bottom_pattern)

    def _face(self, mine) -> None:
        self._skin(mine, 'Face_Neck')
        scale = self.spec.shape.head * self.k
        x, y, z = (self.q[mine] / scale).T
        front = np.flatnonzero(z > 0.01)
        mine, x, y = mine[front], x[front], y[front]
        side, x = np.where(x >= 0, 1, -1), np.abs(x)
        skin, face, color = np.array(self.outfit.skin), self.face, self.color

        def tint(where, target, strength=1.0) -> None:
            color[mine[where]] = color[mine[where]] * (1 - strength) + np.asarray(target) * strength

        blush = np.exp(-((x - 0.042) / 0.018)**2 - ((y + 0.022) / 0.016)**2)[:, None]
        color[mine] *= 1 - 0.18 * blush * np.array([0.0, 1.0, 0.9])
        tint((abs(x - F.NOSTRIL[0]) / F.NOSTRIL_RADII[0])**2 + ((y - F.NOSTRIL[1]) / F.NOSTRIL_RADII[1])**2 < 1,
             skin * 0.25)
        # Brows.
        s = (x - F.BROW_INNER_X) / (F.BROW_OUTER_X - F.BROW_INNER_X) * 2 - 1
        inside = np.clip(s, -1, 1)
        tint((abs(s) <= 1) & (y < F.brow_line(inside, True, face)[:, 1]) & (y > F.brow_line(inside, False, face)[:, 1]),
             np.array(self.outfit.hair) * 0.8, 0.9)
        # Eyes: crease, lash lines, then what shows between the lids.
        heights = F.lid_heights(face)
        s = (x - F.EYE_CENTER[0]) / F.EYE_HALF_WIDTH
        arch, dy = 1 - s * s, y - F.EYE_CENTER[1] - 0.0012 * s
        near = abs(s) < 1.04
        tint(near & (abs(dy - heights['upper_crease'] * arch - 0.0006) < 0.0007), skin * 0.6, 0.7)
        tint(near & (abs(dy - heights['upper_lash'] * arch) < 0.0012), skin * 0.15)
        tint(near & (abs(dy + heights['lower_lash'] * arch) < 0.0006), skin * 0.4, 0.8)
        opening = F.in_eye(x, y, face)
        tint(opening, (0.93, 0.92, 0.90))
        for eye in (1, -1):
            iris = F.iris_center(eye, face)
            for (cx, cy), radius, target in ((iris, F.IRIS_RADIUS, self.outfit.iris),
                                             (iris + F.PUPIL_SHIFT, F.PUPIL_RADIUS, (0.02, 0.02, 0.02))):
                tint(opening & (side == eye) & ((x - cx)**2 + (y - cy)**2 < radius**2), target)
        self._mouth(mine, x, y)

    def _mouth(self, mine, x, y) -> None:
        face, lip = self.face, np.array(self.outfit.lip)
        width = F.MOUTH_HALF_WIDTH * (1 + 6 * face.smile)
        s_out, s_in = np.clip(x / width, 0, 1), np.clip(x / width / 0.86, 0, 1)
        top, bottom = (F.lip_line(s_out, line, face)[:, 1] for line in ('upper_outer', 'lower_outer'))
        gap_top, gap_bottom = (F.lip_line(s_in, line, face)[:, 1] for line in ('upper_inner', 'lower_inner'))
        middle = (gap_top + gap_bottom) / 2
        inside = (x < width) & (y < top) & (y > bottom)
        upper, lower = inside & (y >= middle), inside & (y < middle)
        self._fill(mine[upper], 'Upper_Lip', lip * 0.92)
        self._fill(mine[lower], 'Lower_Lip', lip)
        gap = inside & (x < 0.86 * width) & (y < gap_top) & (y > gap_bottom)
        if face.mouth_open < 0.003:
            self.color[mine[gap]] = lip * 0.35
            return
        depth = (gap_top - y) / np.maximum(gap_top - gap_bottom, 1e-6)
        self._fill(mine[gap & (depth < 0.38)], 'Upper_Teeth', (0.92, 0.91, 0.86))
        self._fill(mine[gap & (depth >= 0.38) & (depth < 0.8)], 'Tongue', (0.62, 0.24, 0.26))
        self._fill(mine[gap & (depth >= 0.8)], 'Lower_Teeth', (0.84, 0.83, 0.77))

    def _ear(self, mine) -> None:
        self._skin(mine, 'Face_Neck')
        scale = self.spec.shape.head * self.k
        forward, up = (self.q[mine, 2] / scale + 0.010) / 0.0175, (self.q[mine, 1] / scale + 0.002) / 0.0300
        rim = np.hypot(forward, up)
        outer = (abs(self.q[mine, 0]) / scale) > 0.070
        groove = outer & (abs(rim - 0.70) < 0.07) & (forward < 0.5) & (up > -0.5)
        concha = outer & (np.hypot((forward - 0.15) / 0.32, (up + 0.10) / 0.34) < 1)
        self.color[mine[groove]] *= 0.72
        self.color[mine[concha]] *= 0.55
        self.color[mine] *= (1.0, 0.93, 0.92)

    def _neck(self, mine) -> None:
        self._skin(mine, 'Face_Neck')

    def _hair(self, mine) -> None:
        x, y, z = self.q[mine].T
        strands = waves(
            np.random.default_rng(self.outfit.texture_seed + 2), [self.outfit.texture_sign * x * 6, y, z * 2], 0.05, 4)
        self._fill(mine, 'Hair', np.array(self.outfit.hair) * (1 + 0.22 * strands)[:, None])

    def _torso(self, mine) -> None:
        outfit, k = self.outfit, self.k
        x, y, z = self.q[mine].T
        up = self.body.rest[self.bone[mine], 1] + y
        waist = self.body.rest[BONE_ID['pelvis', 0], 1] + 0.055 * k
        throat = self.body.rest[BONE_ID['neck', 0], 1] + 0.02 * k
        if outfit.top == 'bare':
            self._skin(mine, 'Torso')
        else:
            self._top(mine)
            skin = (up > throat - outfit.neckline * k) & (abs(x) < 0.65 * (up - throat + outfit.neckline * k)) & (z > 0)
            if outfit.top == 'tank':
                skin |= (up > throat - 0.16 * k) & (abs(x) > 0.110 * k * self.spec.shape.shoulder)
            self._skin(mine[skin], 'Torso')
        self._bottom(mine[up < waist])
        if 'belt' in outfit.apparel:
            self._fill(mine[abs(up - waist) < 0.018 * k], 'Apparel', outfit.apparel_color)

    def _along(self, mine, bone: str) -> np.ndarray:
        """How far down a limb's bone points lie, 0 at its upper and 1 at its lower joint."""
        return -self.q[mine, 1] / bone_length(self.spec.shape, bone)

    def _upper_arm(self, mine) -> None:
        along = self._along(mine, 'upper_arm')
        self._skin(mine, 'Left_Upper_Arm')
        self._top(mine[along < self.outfit.sleeve])

    def _lower_arm(self, mine) -> None:
        along = self._along(mine, 'lower_arm')
        self._skin(mine, 'Left_Lower_Arm')
        self._top(mine[1 + along < self.outfit.sleeve])
        if 'watch' in self.outfit.apparel:
            band = (along > 0.82) & (along < 0.93) & (self.side[mine] == self.outfit.apparel_side)
            self._fill(mine[band], 'Apparel', self.outfit.apparel_color)

    def _hand(self, mine) -> None:
        self._skin(mine, 'Left_Hand')
        # Palms are paler than the backs of hands; fingers a little redder.
        palm = self.q[mine, 0] < -0.004
        self.color[mine[palm]] = self.color[mine[palm]] * 0.75 + 0.25 * np.array([0.93, 0.72, 0.64])
        finger = self.bone[mine] != BONE_ID['hand', 1]
        finger &= self.bone[mine] != BONE_ID['hand', -1]
        self.color[mine[finger]] *= (1.0, 0.94, 0.94)

    def _upper_leg(self, mine) -> None:
        along = self._along(mine, 'upper_leg')
        self._skin(mine, 'Left_Upper_Leg')
        self._bottom(mine[along < max(self.outfit.leg_cover, 0.22)])

    def _lower_leg(self, mine) -> None:
        along = self._along(mine, 'lower_leg')
        self._skin(mine, 'Left_Lower_Leg')
        sock = max(self.outfit.sock, 0.08 if self.outfit.footwear == 'sock' else 0.0)
        self._fill(mine[along > 1 - sock], 'Left_Sock', np.array(self.outfit.sock_color))
        self._bottom(mine[1 + along < self.outfit.leg_cover])

    def _foot(self, mine) -> None:
        outfit = self.outfit
        if outfit.footwear == 'bare':
            self._skin(mine, 'Left_Foot')
            nail = (self.q[mine, 2] > 0.146 * self.k) & (self.q[mine, 1] > -0.066 * self.k)
            self.color[mine[nail]] = self.color[mine[nail]] * 0.6 + 0.35
        elif outfit.footwear == 'sock':
            self._fill(mine, 'Left_Sock', np.array(outfit.sock_color) * self.grain[mine])
        else:
            self._fill(mine, 'Left_Shoe', np.array(outfit.shoe_color) * self.grain[mine])
            sole = self.q[mine, 1] < -0.066 * self.k
            self.color[mine[sole]] = 0.75 - 0.6 * (np.mean(outfit.shoe_color) > 0.5)

    def _skirt(self, mine) -> None:
        self._bottom(mine)

    def _apparel(self, mine) -> None:
        self._fill(mine, 'Apparel', np.array(self.outfit.apparel_color) * self.grain[mine])
