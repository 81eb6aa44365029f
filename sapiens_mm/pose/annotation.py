"""Where the keypoints of a person stand in the annotation files of the data sets that we read."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sapiens_mm.pose.skeletons import get_skeleton

# COCO-WholeBody's key of each group (Jin et al., ECCV 2020); the reference evaluation set of 308 keypoints has the same.
GROUP_KEYS = dict(body='keypoints', feet='foot_kpts', face='face_kpts', left_hand='lefthand_kpts', right_hand='righthand_kpts')
# Names that only the files of the reference evaluation set use.
_WHOLE_KEY = 'goliath_wholebody_kpts'
_INFO_KEY = 'goliath_info'
_INFO_IDS = dict(
    body='body_keypoint_ids',
    feet='foot_keypoint_ids',
    face='face_keypoint_ids',
    left_hand='left_hand_keypoint_ids',
    right_hand='right_hand_keypoint_ids')


def annotation_keypoints(ann: Mapping, num_keypoints: int, info: Mapping | None = None) -> np.ndarray | None:
    """The keypoints of one COCO annotation.

    Args:
        ann: The annotation. 17 keypoints are read from ``keypoints``, 133 from the group keys of COCO-WholeBody, 308 from
            ``keypoints``, from the reference evaluation set's own key, or from the group keys (301 points; the other 7 are
            then unlabelled).
        num_keypoints: The number that is expected: 17, 133 or 308.
        info: ``info`` of the file, which may name the ids of each group of the 308.

    Returns:
        (K, 3) float64: x, y in pixels and the COCO visibility. K is what the annotation has, which may not be what was
        expected; None where it has no keypoints.

    Raises:
        ValueError, TypeError: Values that are no numbers, or no triplets.
    """
    if num_keypoints == 308 and _WHOLE_KEY in ann:
        return _triplets(ann[_WHOLE_KEY])
    if 'keypoints' not in ann:
        return None
    if num_keypoints == 17 or not any(key in ann for key in tuple(GROUP_KEYS.values())[1:]):
        return _triplets(ann['keypoints'])
    groups = {name: _triplets(ann[key]) for name, key in GROUP_KEYS.items() if key in ann}
    if num_keypoints == 308:
        ids = _group_ids(info)
        if all(len(points) == len(ids[name]) for name, points in groups.items()):
            out = np.zeros((308, 3))
            for name, points in groups.items():
                out[list(ids[name])] = points
            return out
    return np.concatenate(list(groups.values()))


def _triplets(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(-1, 3)


def _group_ids(info: Mapping | None) -> dict[str, tuple[int, ...]]:
    """Ids of each group: the file's own where they number the 308, else the skeleton's."""
    ids = {name: tuple(get_skeleton(308).groups[name]) for name in GROUP_KEYS}
    told = (info or {}).get(_INFO_KEY) or {}
    own = {name: tuple(int(i) for i in told.get(key, ())) for name, key in _INFO_IDS.items()}
    fits = all(len(own[name]) == len(ids[name]) and max(own[name]) < 308 for name in ids)
    return own if fits else ids
