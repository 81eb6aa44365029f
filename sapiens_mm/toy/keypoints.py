"""Where the 308 keypoints sit: one table of places on the left half of the body, mirrored through the flip table.

A place is a ray in the axes of one bone; the keypoint is where the ray enters the solids that this bone carries, so it
lies on the outer surface by construction and moves with the bone. Places of joints are the side of the joint that stays
outside when it bends. Where names number points along a line without saying from which end, the order follows the
lists of the released set and its mirror table.
"""
from __future__ import annotations

from functools import lru_cache

import numpy as np

from sapiens_mm.pose.skeletons import get_skeleton
from sapiens_mm.toy import face as F
from sapiens_mm.toy.body import BONE_ID, FINGER_TABLE, LIMBS, REFLECT, Body, bone_length
from sapiens_mm.toy.face import Expression

FRONT = (0.0, 0.0, -1.0)  # rays that look at the body from the front travel backwards
# Fractions along an eye or lip line; the released set lists its midpoints in this order from one end to the other.
_LINE = dict(midpoint_3=0.75, midpoint_1=0.5, midpoint_4=0.25, centerpoint=0.0, midpoint_5=-0.25, midpoint_2=-0.5,
             midpoint_6=-0.75)


def _chart_points(face: Expression) -> dict[str, np.ndarray]:
    """Frontal chart points, left half, of every face point that has a partner (by its right name) or lies midway."""
    out: dict[str, np.ndarray] = {}
    heights = F.lid_heights(face)
    for lid in ('upper', 'lower'):
        for line, grow in (('lash', 0.0), ('eyelid', 0.0006), ('crease', 0.0012)):
            if f'{lid}_{line}' not in heights:
                continue
            for name, s in _LINE.items():
                out[f'r_{name}_of_{lid}_{line}_line'] = F.eye_line(s, heights[f'{lid}_{line}'], lid == 'lower', grow)
        # The two lash lines meet at the corners of the eye; their ends are told apart by half a millimetre.
        nudge = np.array([0.0, 0.0005 if lid == 'upper' else -0.0005])
        out[f'r_inner_end_of_{lid}_lash_line'] = F.eye_line(-1.0, 0.0, False) + nudge
        out[f'r_outer_end_of_{lid}_lash_line'] = F.eye_line(1.0, 0.0, False) + nudge
        out[f'r_outer_end_of_{lid}_eyelid_line'] = F.eye_line(1.0, 0.0, lid == 'lower', 0.0022)
    for edge in ('upper', 'lower'):
        upper = edge == 'upper'
        out[f'{edge}_startpoint_of_r_eyebrow'] = F.brow_line(-1.0, upper, face)
        for name, s in (('midpoint_2', 0.5), ('midpoint_1', 0.0), ('midpoint_3', -0.5)):
            out[f'{edge}_{name}_of_r_eyebrow'] = F.brow_line(s, upper, face)
    out['end_of_r_eyebrow'] = F.brow_line(1.0, True, face)
    for line in ('outer', 'inner'):
        for lip in ('upper', 'lower'):
            for name, s in (('midpoint_3', 0.75), ('midpoint_1', 0.5), ('midpoint_4', 0.25)):
                out[f'{name}_of_{lip}_{line}_lip'] = F.lip_line(s, f'{lip}_{line}', face)
        out[f'r_{line}_corner_of_mouth'] = F.lip_line(1.0, f'upper_{line}', face)
    out.update(
        center_of_cupid_bow=F.lip_line(0.0, 'upper_outer', face),
        center_of_lower_outer_lip=F.lip_line(0.0, 'lower_outer', face),
        center_of_upper_inner_lip=F.lip_line(0.0, 'upper_inner', face),
        center_of_lower_inner_lip=F.lip_line(0.0, 'lower_inner', face))
    out.update(
        inner_corner_of_r_nostril=F.NOSTRIL - (F.NOSTRIL_RADII[0], 0),
        outer_corner_of_r_nostril=F.NOSTRIL + (F.NOSTRIL_RADII[0], 0),
        upper_corner_of_r_nostril=F.NOSTRIL + (0, F.NOSTRIL_RADII[1]),
        r_outer_corner_of_nose=np.array([0.0195, -0.0310]))
    drop = face.mouth_open
    middle = dict(
        center_of_glabella=0.0410, center_of_nose_root=0.0270, midpoint_1_of_nose_bridge=0.0170,
        midpoint_2_of_nose_bridge=0.0070, midpoint_3_of_nose_bridge=-0.0030, tip_of_nose_bridge=-0.0130, nose=-0.0225,
        tip_of_nose=-0.0265, bottom_center_of_nose=-0.0415, center_of_labiomental_groove=-0.0820 - drop,
        tip_of_chin=-0.1000 - 0.5 * drop)
    out.update({name: np.array([0.0, y]) for name, y in middle.items()})
    out['right_eye'] = F.EYE_CENTER + np.array([0.0, 0.0008])
    return out


# The clock of iris and pupil is the viewer's: 3 lies towards the person's left in both eyes.
_CLOCK = dict(
    border_3=0, border_midpoint_1=45, border_12=90, border_midpoint_4=135, border_9=180, border_midpoint_3=225,
    border_6=270, border_midpoint_2=315)


def _iris_points(side: int, face: Expression) -> dict[str, np.ndarray]:
    """Chart points of one eye's iris and pupil, on the left half, by the side's own names."""
    prefix = 'l' if side == 1 else 'r'
    center = F.iris_center(side, face)
    out = {}
    for part, middle, radius in (('iris', center, F.IRIS_RADIUS), ('pupil', center + F.PUPIL_SHIFT, F.PUPIL_RADIUS)):
        out[f'{prefix}_center_of_{part}'] = middle
        for name, angle in _CLOCK.items():
            angle = np.deg2rad(angle)
            border = name.replace('border', f'border_of_{part}')
            out[f'{prefix}_{border}'] = middle + radius * np.array([side * np.cos(angle), np.sin(angle)])
    return out


# The left ear seen from its side, (forward, up) in units of its half width and half height. The rim runs from where the
# helix leaves the face over the top and the back down to the lobe.
_EAR_HALF = (0.0175, 0.0300)
_EAR = dict(
    top_end_of_inferior_crus=(0.42, 0.38), top_end_of_superior_crus=(0.02, 0.60), start_of_antihelix=(-0.12, 0.22),
    end_of_antihelix=(-0.08, -0.42), midpoint_1_of_antihelix=(-0.26, 0.06), midpoint_1_of_inferior_crus=(0.14, 0.31),
    midpoint_2_of_antihelix=(-0.31, -0.11), midpoint_3_of_antihelix=(-0.24, -0.28), point_1_of_inner_helix=(0.62, 0.52),
    point_2_of_inner_helix=(0.34, 0.76), point_3_of_inner_helix=(-0.02, 0.83), point_4_of_inner_helix=(-0.36, 0.68),
    point_5_of_inner_helix=(-0.58, 0.42), point_6_of_inner_helix=(-0.66, 0.12), point_7_of_inner_helix=(-0.60, -0.20),
    point_8_of_inner_helix=(-0.49, -0.42), highest_point_of_antitragus=(0.12, -0.42),
    bottom_point_of_tragus=(0.46, -0.32), protruding_point_of_tragus=(0.50, -0.15), top_point_of_tragus=(0.54, 0.03),
    start_point_of_crus_of_helix=(0.34, 0.10), deepest_point_of_concha=(0.16, -0.12), tip_of_ear_lobe=(0.10, -0.86),
    midpoint_between_22_15=(-0.27, -0.64), bottom_connecting_point_of_ear_lobe=(0.48, -0.66),
    top_connecting_point_of_helix=(0.80, 0.26))


def _body_rays(body: Body) -> list[tuple[str, str, tuple, tuple]]:
    """(left keypoint's name or a middle one's, bone, ray's origin, direction) of the body, hands, feet and neck."""
    p, k = body.shape, body.shape.height
    s = k * p.hand
    upper_arm, lower_arm, upper_leg, lower_leg = (
        bone_length(p, bone) for bone in ('upper_arm', 'lower_arm', 'upper_leg', 'lower_leg'))

    def towards(name, bone, target, direction):
        """A ray that comes from outside in ``-direction`` and passes through ``target``."""
        target, direction = np.asarray(target, dtype=float), np.asarray(direction, dtype=float)
        return name, bone, tuple(target + direction), tuple(-direction)

    rays = [
        towards('left_shoulder', 'upper_arm', (0, -0.050 * k, 0), (0.72, 0, 0.69)),
        towards('left_acromion', 'chest', (0.168 * k * p.shoulder, 0.190 * k, -0.012 * k), (0.15, 1, 0)),
        towards('left_elbow', 'upper_arm', (0, -upper_arm, 0), (1, 0, 0)),
        towards('left_olecranon', 'upper_arm', (0, -upper_arm, 0), (0, 0, -1)),
        towards('left_cubital_fossa', 'upper_arm', (0, -upper_arm + 0.004 * k, 0), (0, 0, 1)),
        towards('left_wrist', 'lower_arm', (0, -lower_arm + 0.002 * k, 0), (1, 0, 0)),
        towards('left_hip', 'pelvis', (0.090 * k * p.hip, -0.03 * k, 0), (0.80, 0, 0.60)),
        towards('left_knee', 'upper_leg', (0, -upper_leg, 0), (0, 0, 1)),
        towards('left_ankle', 'lower_leg', (0, -lower_leg, 0), (1, 0, 0)),
        towards('left_big_toe', 'foot', (-0.026 * k, -0.0665 * k, 0.148 * k), (-0.1, 0.55, 0.83)),
        towards('left_small_toe', 'foot', (0.034 * k, -0.0720 * k, 0.128 * k), (0.45, 0.55, 0.70)),
        towards('left_heel', 'foot', (0, -0.045 * k, -0.026 * k), (0, 0, -1)),
        towards('neck', 'neck', (0, 0.022 * k, 0), (0, 0, 1)),
    ]
    names = dict(index='forefinger', middle='middle_finger', ring='ring_finger', pinky='pinky_finger')
    for finger, (_, lengths, _) in FINGER_TABLE.items():
        name = f'left_{names[finger]}'
        # Knuckles show on the back of the hand; a joint's ball belongs to the segment before it.
        rays.append(towards(f'{name}_third_joint', f'{finger}1', (0, 0, 0), (1, 0, 0)))
        rays.append(towards(f'{name}2', f'{finger}1', (0, -lengths[0] * s, 0), (1, 0, 0)))
        rays.append(towards(f'{name}3', f'{finger}2', (0, -lengths[1] * s, 0), (1, 0, 0)))
        rays.append(towards(f'{name}4', f'{finger}3', (0, -lengths[2] * s, 0), (0.35, -0.94, 0)))
    rays.append(towards('left_thumb_third_joint', 'thumb1', (0, -0.006 * s, 0), (0.70, 0, 0.71)))
    rays.append(towards('left_thumb2', 'thumb1', (0, -0.038 * s, 0), (0.70, 0, 0.71)))
    rays.append(towards('left_thumb3', 'thumb2', (0, -0.030 * s, 0), (0.70, 0, 0.71)))
    rays.append(towards('left_thumb4', 'thumb3', (0, -0.024 * s, 0), (0.25, -0.94, 0.25)))
    return rays


@lru_cache(maxsize=1)
def _ids() -> tuple[dict[str, int], np.ndarray]:
    skeleton = get_skeleton(308)
    return {n: i for i, n in enumerate(skeleton.keypoints)}, np.array(skeleton.flip_indices)


def place_keypoints(body: Body, face: Expression) -> tuple[np.ndarray, np.ndarray]:
    """Where the 308 keypoints and the 17 points of the jaw lie.

    Args:
        body: The person's solids.
        face: The person's expression.

    Returns:
        (325, 3) points in the world, metres: the 308, then the face contour from the right ear over the chin to the
        left one (the order of COCO-WholeBody's first 17 face points); and (325,) whether a lid covers the point.
    """
    ids, flip = _ids()
    scale = body.shape.head * body.shape.height
    rows: list[tuple[int, int, int]] = []  # keypoint, bone, side
    origins, directions = [], []

    def add(keypoint: int, bone: str, side: int, origin, direction) -> None:
        rows.append((keypoint, BONE_ID[bone, side if bone in LIMBS else 0], side))
        origins.append(origin)
        directions.append(direction)

    covered = np.zeros(325, dtype=bool)
    for name, (x, y) in _chart_points(face).items():
        i = ids[name]
        for j, side in ((i, -1), (int(flip[i]), 1)) if flip[i] != i else ((i, 0), ):
            add(j, 'head', side, (x * scale, y * scale, 0.3), FRONT)
    for side in (1, -1):
        for name, (x, y) in _iris_points(side, face).items():
            add(ids[name], 'head', side, (x * scale, y * scale, 0.3), FRONT)
            covered[ids[name]] = not F.in_eye(x, y, face)
    for name, (forward, up) in _EAR.items():
        i = ids[f'l_{name}']
        z, y = -0.010 + forward * _EAR_HALF[0], -0.002 + up * _EAR_HALF[1]
        for j, side in ((i, 1), (int(flip[i]), -1)):
            add(j, 'head', side, (0.3, y * scale, z * scale), (-1.0, 0.0, 0.0))
    for j, side in ((ids['left_ear'], 1), (ids['right_ear'], -1)):
        add(j, 'head', side, (0.3, -0.004 * scale, -0.0085 * scale), (-1.0, 0.0, 0.0))
    for name, bone, origin, direction in _body_rays(body):
        i = ids[name]
        for j, side in ((i, 1), (int(flip[i]), -1)) if flip[i] != i else ((i, 0), ):
            add(j, bone, side, origin, direction)
    # The contour of the face from ear level to the chin, further forward below, where the neck begins.
    for step in range(9):
        angle = np.deg2rad(90 * step / 8)
        direction = np.array([np.cos(angle), 0.40 - 1.80 * np.sin(angle), 0.10 + 0.60 * np.sin(angle)])
        target = np.array([0, -0.030, 0.022]) * scale
        for j, side in ((308 + step, -1), (324 - step, 1)) if step < 8 else ((316, 0), ):
            add(j, 'head', side, target + direction, -direction)

    rows_ = np.array(rows)
    origins_, directions_ = np.array(origins, dtype=float), np.array(directions, dtype=float)
    points = np.empty((325, 3))
    for bone in np.unique(rows_[:, 1]):
        mine = np.flatnonzero(rows_[:, 1] == bone)
        # Limb frames reflect by themselves; on the trunk a right point is cast on the left half.
        solids = (body.bone == bone) & body.anatomy & (body.side >= 0 if bone < BONE_ID['upper_arm', 1] else True)
        t = body.local.subset(solids).cast(origins_[mine], directions_[mine]).min(axis=1)
        if not np.isfinite(t).all():
            missed = [rows[i][0] for i in mine[~np.isfinite(t)]]
            raise AssertionError(f'keypoints {missed} have no place on this body')
        local = origins_[mine] + t[:, None] * directions_[mine]
        if bone < BONE_ID['upper_arm', 1]:
            local = np.where((rows_[mine, 2] == -1)[:, None], local @ REFLECT, local)
        points[rows_[mine, 0]] = local @ body.frames[bone].T + body.origins[bone]
    return points, covered
