"""From a person's numbers to solids: bones, their frames in the world, and the round cones that they carry.

Body axes: x towards the person's left, y up, z forward; metres. Limbs are described once, for the left side. The right
side is the same description seen through a frame that reflects x, so both sides are exact mirror images.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sapiens_mm.toy.person import FINGERS, PersonSpec, Shape
from sapiens_mm.toy.primitives import Primitives

REFLECT = np.diag([-1.0, 1.0, 1.0])

# What a solid is made of; ``paint`` says how each looks.
KINDS = ('face', 'ear', 'neck', 'hair', 'torso', 'upper_arm', 'lower_arm', 'hand', 'upper_leg', 'lower_leg',
         'foot', 'skirt', 'apparel')
KIND = {name: i for i, name in enumerate(KINDS)}

# bone: (parent, pivot relative to the parent's pivot) for an average person, left side.
TRUNK = dict(
    pelvis=(None, (0, 0.93, 0)), spine=('pelvis', (0, 0.10, 0)), chest=('spine', (0, 0.17, 0)),
    neck=('chest', (0, 0.235, -0.008)), skull=('neck', (0, 0.085, 0.008)), head=('skull', (0, 0.085, 0.014)))
LIMBS = dict(
    upper_arm=('chest', (0.172, 0.185, -0.012)), lower_arm=('upper_arm', (0, -0.285, 0)),
    hand=('lower_arm', (0, -0.25, 0)), upper_leg=('pelvis', (0.090, -0.03, 0)), lower_leg=('upper_leg', (0, -0.415, 0)),
    foot=('lower_leg', (0, -0.405, 0)), thumb1=('hand', (-0.010, -0.025, 0.024)), thumb2=('thumb1', (0, -0.038, 0)),
    thumb3=('thumb2', (0, -0.030, 0)))
# finger: pivot in the hand, lengths of the three segments, radius at its base.
FINGER_TABLE = dict(
    index=((0, -0.092, 0.029), (0.042, 0.025, 0.019), 0.0092),
    middle=((0, -0.096, 0.009), (0.046, 0.028, 0.020), 0.0095),
    ring=((0, -0.092, -0.011), (0.042, 0.026, 0.019), 0.0090),
    pinky=((0, -0.084, -0.029), (0.032, 0.020, 0.017), 0.0080))
for _name, (_pivot, _lengths, _) in FINGER_TABLE.items():
    LIMBS[_name + '1'] = ('hand', _pivot)
    LIMBS[_name + '2'] = (_name + '1', (0, -_lengths[0], 0))
    LIMBS[_name + '3'] = (_name + '2', (0, -_lengths[1], 0))

# Bones in the order of their ids: the trunk, then each limb's left and right one.
BONES = [(name, 0) for name in TRUNK] + [(name, side) for side in (1, -1) for name in LIMBS]
BONE_ID = {bone: i for i, bone in enumerate(BONES)}


@dataclass
class Body:
    """A person's solids in the world.

    Attributes:
        prims: P solids in world axes, metres.
        kind: (P,) ids of ``KINDS``.
        bone: (P,) ids of ``BONES``.
        side: (P,) 1 left, -1 right, 0 neither.
        anatomy: (P,) False for hair, hat, skirt and bag: what may hide a keypoint but never carries one.
        frames: (B, 3, 3) bone axes in the world (right limbs: reflecting).
        origins: (B, 3) bone pivots in the world.
        rest: (B, 3) bone pivots of the same shape standing upright at the origin, left-side coordinates.
        local: P solids in their own bone's axes.
        shape: The proportions that it was built with.
    """

    prims: Primitives
    kind: np.ndarray
    bone: np.ndarray
    side: np.ndarray
    anatomy: np.ndarray
    frames: np.ndarray
    origins: np.ndarray
    rest: np.ndarray
    local: Primitives
    shape: Shape


def rotation(angles) -> np.ndarray:
    """Rotation about z, then x, then y by the given angles ``(x, y, z)`` in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    return np.array([[cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx], [cx * sz, cx * cz, -sx],
                     [-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx]])


@lru_cache(maxsize=64)
def _offsets(shape: Shape) -> dict:
    """Pivots relative to the parent's for a shape."""
    scale = dict(
        upper_arm=(shape.shoulder, 1, 1), lower_arm=(1, shape.arm, 1), hand=(1, shape.arm, 1),
        upper_leg=(shape.hip, 1, 1), lower_leg=(1, shape.leg, 1), foot=(1, shape.leg, 1), head=(shape.head, ) * 3)
    scale.update({bone: (shape.hand, ) * 3 for bone in LIMBS if bone.startswith(FINGERS)})
    table = {**TRUNK, **LIMBS}
    return {bone: shape.height * np.multiply(pivot, scale.get(bone, 1)) for bone, (_, pivot) in table.items()}


def bone_length(shape: Shape, bone: str) -> float:
    """Metres from the pivot of a limb's bone to its child's, for the upper and lower arm and leg."""
    child = dict(upper_arm='lower_arm', lower_arm='hand', upper_leg='lower_leg', lower_leg='foot')[bone]
    return -float(_offsets(shape)[child][1])


def bone_frames(shape: Shape, pose: dict) -> tuple[np.ndarray, np.ndarray]:
    """Axes (B, 3, 3) and pivots (B, 3) of all bones, the pelvis' pivot above the origin."""
    offsets = _offsets(shape)
    frames, origins = np.empty((len(BONES), 3, 3)), np.empty((len(BONES), 3))
    for i, (bone, side) in enumerate(BONES):
        parent = (TRUNK if side == 0 else LIMBS)[bone][0]
        if parent is None:
            base, origin = np.eye(3), np.zeros(3)
        elif side and (parent, 0) in BONE_ID:  # where a limb starts, the right one's frame begins to reflect
            j = BONE_ID[parent, 0]
            base, origin = frames[j] @ np.diag([float(side), 1.0, 1.0]), origins[j]
        else:
            j = BONE_ID[parent, side]
            base, origin = frames[j], origins[j]
        origins[i] = origin + base @ offsets[bone]
        angles = pose.get((bone, side))
        frames[i] = base if angles is None else base @ rotation(angles)
    return frames, origins


class _Builder:
    """Collects solids in left-side bone coordinates and adds the right side's."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []

    def _add(self, bone: str, kind: str, axes, center, h, r0, r1, paired: bool, anatomy: bool) -> None:
        limb = bone in LIMBS
        for side in (1, -1) if limb or paired else (0, ):
            flip = REFLECT if side == -1 and not limb else np.eye(3)
            bone_id = BONE_ID[bone, side if limb else 0]
            self.rows.append((flip @ axes, flip @ center, h, r0, r1, KIND[kind], bone_id, side, anatomy))

    def ball(self, bone: str, kind: str, center, radii, turn=(0, 0, 0), paired=False, anatomy=True) -> None:
        """An ellipsoid with the given half axes, turned by Euler angles; ``paired`` adds its mirror image."""
        axes = rotation(turn) @ np.diag(np.asarray(radii, dtype=float))
        self._add(bone, kind, axes, np.asarray(center, dtype=float), 0.0, 1.0, 1.0, paired, anatomy)

    def cone(self, bone: str, kind: str, a, b, ra, rb, flat=(1.0, 1.0), paired=False, anatomy=True) -> None:
        """A round cone from ``a`` to ``b``; ``flat`` scales its cross-section along x and across."""
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        h = float(np.linalg.norm(b - a))
        ez = (b - a) / h
        ex = np.array([1.0, 0.0, 0.0]) if abs(ez[0]) < 0.8 else np.array([0.0, 1.0, 0.0])
        ex -= ez * (ex @ ez)
        ex /= np.linalg.norm(ex)
        ey = np.cross(ez, ex)
        self._add(bone, kind, np.stack([ex * flat[0], ey * flat[1], ez], axis=1), a, h, float(ra), float(rb), paired,
                  anatomy)


def build_body(spec: PersonSpec) -> Body:
    """The solids of one person, standing where the person stands."""
    build = _Builder()
    _head(build, spec)
    _trunk(build, spec)
    _arms(build, spec)
    _legs(build, spec)
    axes, center, h, r0, r1, kind, bone, side, anatomy = (np.array(column) for column in zip(*build.rows))
    local = Primitives(axes, center, h, r0, r1)
    frames, origins = bone_frames(spec.shape, spec.pose)
    _, rest = bone_frames(spec.shape, {})
    rest[:, 0] = np.abs(rest[:, 0])
    prims = Primitives(frames[bone] @ axes, np.einsum('pij,pj->pi', frames[bone], center) + origins[bone], h, r0, r1)
    # Stand on the ground: the lowest point of all spheres, in the direction of y.
    drop = min((end[:, 1] - np.linalg.norm(prims.axes[:, 1], axis=1) * r).min() for end, r in zip(prims.ends, (r0, r1)))
    shift = np.array([spec.position[0], spec.lift - drop, spec.position[1]])
    prims.center = prims.center + shift
    return Body(prims, kind, bone, side, anatomy, frames, origins + shift, rest, local, spec.shape)


def _head(build: _Builder, spec: PersonSpec) -> None:
    s = spec.shape.head * spec.shape.height
    nose, outfit = spec.shape.nose, spec.outfit
    jaw = min(spec.expression.mouth_open, 0.02) * 0.5

    def ball(kind, center, radii, **kwargs):
        build.ball('head', kind, np.multiply(center, s), np.multiply(radii, s), **kwargs)

    def cone(kind, a, b, ra, rb, **kwargs):
        build.cone('head', kind, np.multiply(a, s), np.multiply(b, s), ra * s, rb * s, **kwargs)

    ball('face', (0, 0.036, -0.016), (0.0765, 0.086, 0.0965))  # cranium
    ball('face', (0, -0.024 - jaw / 2, 0.016), (0.0655, 0.094 + jaw / 2, 0.073))  # face
    cone('face', (0.010, -0.094 - jaw, 0.0510), (-0.010, -0.094 - jaw, 0.0510), 0.0205, 0.0205)  # chin
    ball('face', (0.030, -0.022, 0.042), (0.027, 0.031, 0.0370), paired=True)  # cheek
    cone('face', (0.010, 0.043, 0.0725), (0.044, 0.044, 0.0550), 0.0105, 0.0095, paired=True)  # brow ridge
    ball('face', (0.0330, 0.0200, 0.0580), (0.0215, 0.0165, 0.0168), paired=True)
    ball('face', (0, -0.0650 - jaw / 4, 0.0620), (0.0370, 0.0280 + jaw / 2, 0.0245))  # around the mouth
    cone('face', (0, 0.024, 0.080), (0, -0.020, 0.094 + 0.006 * nose), 0.0075 * nose, 0.0105 * nose)  # nose bridge
    ball('face', (0, -0.0265, 0.096 + 0.006 * nose), (0.0125 * nose, 0.0110, 0.0135))  # nose tip
    ball('face', (0.0125 * nose, -0.031, 0.0890), (0.0085 * nose, 0.0082, 0.0120), paired=True)  # wing of the nose
    ball('ear', (0.0765, -0.002, -0.012), (0.0085, 0.0330, 0.0205), turn=(0, -0.42, -0.12), paired=True)

    style, x = outfit.hair_style, outfit.hair_shift
    if style != 'bald':
        ball('hair', (x, 0.047, -0.025), (0.0825, 0.0885, 0.1020), anatomy=False)
    if style in ('medium', 'long'):
        ball('hair', (x, -0.010, -0.052), (0.0860, 0.1100, 0.0700), anatomy=False)
    if style == 'long':
        cone('hair', (x, -0.030, -0.066), (x, -0.200, -0.080), 0.0700, 0.0450, flat=(1.15, 0.7), anatomy=False)
    if style == 'bun':
        ball('hair', (x, 0.110, -0.085), (0.0380, 0.0360, 0.0380), anatomy=False)
    if 'hat' in outfit.apparel:
        ball('apparel', (0, 0.080, -0.022), (0.0880, 0.0730, 0.1060), anatomy=False)
        ball('apparel', (0, 0.070, 0.070), (0.0700, 0.0060, 0.0620), turn=(0.18, 0, 0), anatomy=False)


def _trunk(build: _Builder, spec: PersonSpec) -> None:
    p, k = spec.shape, spec.shape.height
    g = k * (0.5 + 0.5 * p.girth)
    wide = k * p.shoulder

    build.ball('pelvis', 'torso', (0, 0.0, 0), (0.160 * k * p.hip * (0.7 + 0.3 * p.girth), 0.120 * k, 0.112 * g))
    build.ball('pelvis', 'torso', (0.066 * k * p.hip, -0.035 * k, -0.050 * k), (0.082 * g, 0.090 * k, 0.080 * g),
               paired=True)
    # The hip's own ball is a little larger than the top of the thigh, so that the hip keypoint stays outside.
    build.ball('pelvis', 'torso', (0.090 * k * p.hip, -0.03 * k, 0), (0.0915 * g, ) * 3, paired=True)
    build.ball('spine', 'torso', (0, 0.045 * k, 0.006 * k), (0.142 * g, 0.165 * k, 0.105 * g * (0.6 + 0.4 * p.belly)))
    if p.belly > 1.1:
        build.ball('spine', 'torso', (0, 0.0, 0.045 * k), (0.115 * g, 0.115 * k, 0.095 * g * (p.belly - 0.2)))
    build.ball('chest', 'torso', (0, 0.045 * k, 0), (0.158 * (wide + g) / 2, 0.200 * k, 0.120 * g))
    yoke = np.array([0.120 * wide, 0.182 * k, -0.012 * k])
    build.cone('chest', 'torso', -yoke * (1, -1, -1), yoke, 0.060 * g, 0.060 * g)
    slope = (0.018 * k, 0.232 * k, -0.018 * k), (0.130 * wide, 0.196 * k, -0.014 * k)
    build.cone('chest', 'torso', *slope, 0.050 * k, 0.044 * g, paired=True)
    # Likewise the shoulder's ball and the top of the arm.
    build.ball('chest', 'torso', (0.172 * wide, 0.190 * k, -0.012 * k), (0.0590 * g, ) * 3, paired=True)
    if p.chest:
        radii = np.multiply((0.072, 0.070, 0.066), k * p.chest**0.5)
        build.ball('chest', 'torso', (0.070 * k, 0.045 * k, 0.060 * g), radii, paired=True)
    build.cone('neck', 'neck', (0, -0.030 * k, 0.0), (0, 0.085 * k, 0.010 * k), 0.056 * g, 0.0535 * g)
    if 'scarf' in spec.outfit.apparel:
        build.ball('neck', 'apparel', (0, 0.012 * k, 0.004 * k), (0.085 * g, 0.036 * k, 0.083 * g), anatomy=False)
    if 'backpack' in spec.outfit.apparel:
        build.ball('chest', 'apparel', (0, -0.03 * k, -0.175 * k), (0.130 * k, 0.190 * k, 0.085 * k), anatomy=False)
    if spec.outfit.skirt:
        ends = (0, 0.0, -0.005 * k), (0, -spec.outfit.skirt * k, -0.005 * k)
        build.cone('pelvis', 'skirt', *ends, 0.140 * g, 0.185 * g, flat=(1.22 * p.hip, 1.0), anatomy=False)


def _arms(build: _Builder, spec: PersonSpec) -> None:
    p, k = spec.shape, spec.shape.height
    g, s = k * p.girth, k * p.hand
    upper, lower = bone_length(p, 'upper_arm'), bone_length(p, 'lower_arm')
    build.cone('upper_arm', 'upper_arm', (0, 0, 0), (0, -upper, 0), 0.0540 * g, 0.0400 * g)
    build.ball('upper_arm', 'upper_arm', (0, -0.42 * upper, 0.010 * g), (0.046 * g, 0.30 * upper, 0.046 * g))
    build.cone('lower_arm', 'lower_arm', (0, 0, 0), (0, -lower, 0), 0.0400 * g, 0.0270 * g)
    build.ball('lower_arm', 'lower_arm', (0, -0.30 * lower, 0), (0.043 * g, 0.34 * lower, 0.041 * g))
    build.cone('hand', 'hand', (0, -0.004 * s, 0), (0, -0.040 * s, 0), 0.0250 * s, 0.0300 * s, flat=(0.62, 1.05))
    build.ball('hand', 'hand', (0, -0.062 * s, 0), (0.0125 * s, 0.0430 * s, 0.0400 * s))
    build.ball('hand', 'hand', (-0.006 * s, -0.045 * s, 0.022 * s), (0.0130 * s, 0.0270 * s, 0.0160 * s))
    for finger, (_, lengths, radius) in FINGER_TABLE.items():
        radii = np.multiply((radius, 0.92 * radius, 0.84 * radius, 0.74 * radius), s)
        for i, length in enumerate(lengths):
            build.cone(f'{finger}{i + 1}', 'hand', (0, 0, 0), (0, -length * s, 0), radii[i], radii[i + 1])
    for i, (length, ra, rb) in enumerate(((0.038, 0.0145, 0.0108), (0.030, 0.0108, 0.0100), (0.024, 0.0100, 0.0086))):
        build.cone(f'thumb{i + 1}', 'hand', (0, 0, 0), (0, -length * s, 0), ra * s, rb * s)


def _legs(build: _Builder, spec: PersonSpec) -> None:
    p, k = spec.shape, spec.shape.height
    g = k * p.girth
    upper, lower = bone_length(p, 'upper_leg'), bone_length(p, 'lower_leg')
    # The thigh's top stays within the hip's ball whatever the girth.
    build.cone('upper_leg', 'upper_leg', (0, 0, 0), (0, -upper, 0), 0.0870 * k * (0.5 + 0.5 * p.girth), 0.0540 * g)
    build.cone('lower_leg', 'lower_leg', (0, 0, 0), (0, -lower, 0), 0.0540 * g, 0.0350 * g)
    build.ball('lower_leg', 'lower_leg', (0, -0.30 * lower, -0.016 * g), (0.052 * g, 0.30 * lower, 0.052 * g))
    build.ball('foot', 'foot', (0, -0.042 * k, -0.026 * k), (0.0320 * k, 0.0400 * k, 0.0360 * k))  # heel
    build.cone('foot', 'foot', (0, -0.026 * k, 0.004 * k), (0.004 * k, -0.056 * k, 0.110 * k), 0.0360 * k, 0.0240 * k)
    build.ball('foot', 'foot', (0.004 * k, -0.061 * k, 0.105 * k), (0.0430 * k, 0.0200 * k, 0.0420 * k))
    if spec.outfit.footwear != 'bare':  # the toes share a box
        build.ball('foot', 'foot', (0.004 * k, -0.060 * k, 0.114 * k), (0.0440 * k, 0.0215 * k, 0.0500 * k))
        return
    toes = ((-0.026, 0.148, 0.0145), (-0.008, 0.152, 0.0110), (0.008, 0.147, 0.0102), (0.022, 0.139, 0.0096),
            (0.034, 0.128, 0.0092))
    for x, z, radius in toes:
        start = (x * 0.8 * k, -(0.081 - radius) * k, 0.10 * k)
        build.cone('foot', 'foot', start, (x * k, -(0.081 - radius) * k, z * k), radius * k, radius * k)
