"""One person's keypoints in the order of another set: 308 or 133 points to 133, 17 or OpenPose's 25."""
from __future__ import annotations

import numpy as np

from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton

# OpenPose BODY_25 (Cao et al., TPAMI 2019): its point -> names in COCO's sets, two where it is the middle between them.
_OPENPOSE25 = dict(
    nose=('nose', ), neck=('left_shoulder', 'right_shoulder'), right_shoulder=('right_shoulder', ), right_elbow=('right_elbow', ),
    right_wrist=('right_wrist', ), left_shoulder=('left_shoulder', ), left_elbow=('left_elbow', ), left_wrist=('left_wrist', ),
    mid_hip=('left_hip', 'right_hip'), right_hip=('right_hip', ), right_knee=('right_knee', ), right_ankle=('right_ankle', ),
    left_hip=('left_hip', ), left_knee=('left_knee', ), left_ankle=('left_ankle', ), right_eye=('right_eye', ),
    left_eye=('left_eye', ), right_ear=('right_ear', ), left_ear=('left_ear', ), left_big_toe=('left_big_toe', ),
    left_small_toe=('left_small_toe', ), left_heel=('left_heel', ), right_big_toe=('right_big_toe', ),
    right_small_toe=('right_small_toe', ), right_heel=('right_heel', ))
KEYPOINT_SETS = ('308', '133', '17', 'openpose25')


class KeypointSet:
    """Takes keypoints of a skeleton into another order.

    Args:
        num_keypoints: Of the model: 17, 133, 308; another number passes through only.
        target: One of :data:`KEYPOINT_SETS`, or None for the model's own.
        tier: Which correspondences between 308 and 133 count; see :func:`sapiens_mm.pose.skeletons.common_keypoints`.

    Attributes:
        name: Of the target set.
        names: Names of its points.

    Raises:
        ValueError: The model does not have the target's points.
    """

    def __init__(self, num_keypoints: int, target: str | None = None, tier: str = 'certain'):
        target = None if target is None or str(target) == str(num_keypoints) else str(target)
        if target is not None and (target not in KEYPOINT_SETS or (target.isdigit() and int(target) > num_keypoints)):
            raise ValueError(f'a model of {num_keypoints} keypoints cannot give {target!r}; there are {", ".join(KEYPOINT_SETS)}, '
                             'up to as many as the model has')
        known = num_keypoints in (17, 133, 308)
        own = get_skeleton(num_keypoints) if known else None
        if target is not None and own is None:
            raise ValueError(f'{num_keypoints} keypoints of an unknown set cannot be taken into the order of {target!r}')
        self.num_keypoints = num_keypoints
        self.sources: list[tuple[int, ...]] | None = None  # of each point of the target; () where the model has none
        if target is None:
            self.name = own.name if own else f'{num_keypoints} keypoints'
            self.names = list(own.keypoints) if own else [str(i) for i in range(num_keypoints)]
            self.skeleton = own
            return
        if target == 'openpose25':
            self.name, self.names, self.skeleton = 'openpose_body25', list(_OPENPOSE25), None
            ids = {name: i for i, name in enumerate(own.keypoints)}
            self.sources = [tuple(ids[n] for n in names) if all(n in ids for n in names) else () for names in _OPENPOSE25.values()]
            return
        self.skeleton = get_skeleton(int(target))
        self.name, self.names = self.skeleton.name, list(self.skeleton.keypoints)
        to_133 = {b: (a, ) for a, b in common_keypoints(tier).items()} if num_keypoints == 308 else {i: (i, ) for i in range(133)}
        self.sources = [to_133.get(i, ()) for i in range(int(target))]  # the first 17 of COCO-WholeBody are COCO's

    def __call__(self, keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, K, 2) and (N, K) to those of the target set. A point that the model lacks is (0, 0) with score 0.

        A middle between two points has the lower of their scores.
        """
        if self.sources is None:
            return keypoints, scores
        out = np.zeros((len(keypoints), len(self.sources), 2), keypoints.dtype)
        out_scores = np.zeros((len(keypoints), len(self.sources)), scores.dtype)
        for i, ids in enumerate(self.sources):
            if ids:
                out[:, i] = keypoints[:, ids].mean(1)
                out_scores[:, i] = scores[:, ids].min(1)
        return out, out_scores
