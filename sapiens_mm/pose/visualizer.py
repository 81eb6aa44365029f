"""Pictures of people with up to 308 keypoints that stay readable."""
from __future__ import annotations

import cv2
import numpy as np
from mmpose.visualization import PoseLocalVisualizer

from sapiens_mm.pose.skeletons import Skeleton, get_skeleton
from sapiens_mm.registry import VISUALIZERS

_SHIFT = 4  # binary digits behind the point of the coordinates that OpenCV is given
_FACE_COLOR = (255, 255, 255)
_SKELETONS = {'coco': 17, 'coco_wholebody': 133, 'keypoints308': 308}  # data set name -> skeleton that this module draws


def draw_keypoints(image: np.ndarray,
                   keypoints: np.ndarray,
                   scores: np.ndarray | None = None,
                   skeleton: Skeleton | int = 308,
                   bboxes: np.ndarray | None = None,
                   score_thr: float = 0.3,
                   radius: float | None = None,
                   line_width: int | None = None,
                   channel_order: str = 'bgr') -> np.ndarray:
    """Draw people as points and links.

    Args:
        image: (H, W, 3) uint8.
        keypoints: (N, K, 2) pixels (x, y) of N people; (K, 2) for one.
        scores: (N, K) or (K,) scores or visibilities; points below ``score_thr`` are not drawn. All are drawn where None.
        skeleton: A :class:`Skeleton`, or its number of keypoints.
        bboxes: (M, 4) boxes x1, y1, x2, y2 to draw, in pixels.
        score_thr: See ``scores``.
        radius: Of a body point in pixels; points of face and hands are drawn at half of it. By default it follows the size of
            each person, so that 238 points of a small face do not become one blot.
        line_width: Of the links, in pixels. By default it follows the size of each person.
        channel_order: ``'bgr'`` as OpenCV reads, or ``'rgb'``.

    Returns:
        A new image (H, W, 3).

    Raises:
        ValueError: A number of keypoints that is not the skeleton's; an unknown channel order.
    """
    skeleton = get_skeleton(skeleton) if isinstance(skeleton, int) else skeleton
    if channel_order not in ('bgr', 'rgb'):
        raise ValueError(f"channel_order must be 'bgr' or 'rgb', got {channel_order!r}")
    keypoints = np.asarray(keypoints, dtype=np.float64)
    keypoints = keypoints.reshape(-1, *keypoints.shape[-2:])
    if keypoints.shape[1:] != (skeleton.num_keypoints, 2):
        raise ValueError(f'{skeleton.name} has {skeleton.num_keypoints} keypoints (x, y), got an array {keypoints.shape}')
    visible = np.ones(keypoints.shape[:2]) if scores is None else np.asarray(scores, np.float64).reshape(keypoints.shape[:2])
    drawable = (visible >= score_thr) & (np.abs(keypoints) < 1e5).all(-1)  # false for NaN, too

    image = np.ascontiguousarray(image).copy()
    order = slice(None, None, -1) if channel_order == 'bgr' else slice(None)
    small = {i for name, ids in skeleton.groups.items() if name not in ('body', 'feet', 'extra') for i in ids}
    face = set(skeleton.groups.get('face', ()))
    for box in np.asarray(() if bboxes is None else bboxes, dtype=np.float64).reshape(-1, 4):
        x1, y1, x2, y2 = (int(v) for v in box.round().clip(-1e5, 1e5))
        cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), max(1, round(min(image.shape[:2]) / 400)), cv2.LINE_AA)
    for points, shown in zip(keypoints, drawable):
        if not shown.any():
            continue
        size = max(float(np.ptp(points[shown], axis=0).max()), 32.0)
        r = size / 110 if radius is None else radius
        width = max(1, round(size / 220)) if line_width is None else line_width
        fixed = (np.where(shown[:, None], points, 0) * (1 << _SHIFT)).round().astype(int)
        for a, b, color in skeleton.links:
            if shown[a] and shown[b]:
                w = max(1, width // 2) if a in small and b in small else width
                cv2.line(image, tuple(map(int, fixed[a])), tuple(map(int, fixed[b])), color[order], w, cv2.LINE_AA, _SHIFT)
        for i in np.flatnonzero(shown):
            color = _FACE_COLOR if i in face else skeleton.colors[i]
            at = max(r * (0.3 if i in face else 0.55 if i in small else 1.0), 0.6)
            cv2.circle(image, tuple(map(int, fixed[i])), round(at * (1 << _SHIFT)), color[order], -1, cv2.LINE_AA, _SHIFT)
    return image


def draw_comparison(image: np.ndarray, truth: tuple[np.ndarray, np.ndarray], prediction: tuple[np.ndarray, np.ndarray],
                    skeleton: Skeleton | int = 308, **kwargs) -> np.ndarray:
    """Ground truth on the left, prediction on the right.

    Args:
        image: (H, W, 3) uint8.
        truth: Keypoints (N, K, 2) in pixels and visibilities (N, K).
        prediction: Keypoints (M, K, 2) in pixels and scores (M, K).
        skeleton, **kwargs: Of :func:`draw_keypoints`.

    Returns:
        (H, 2W + gap, 3), a gap of white pixels between the two.
    """
    gap = np.full((image.shape[0], max(2, image.shape[1] // 100), 3), 255, np.uint8)
    halves = [draw_keypoints(image, *people, skeleton, **kwargs) for people in (truth, prediction)]
    return np.concatenate([halves[0], gap, halves[1]], axis=1)


@VISUALIZERS.register_module()
class PoseVisualizer(PoseLocalVisualizer):
    """mmpose's ``PoseLocalVisualizer`` with sizes that follow the person, for 17, 133 and 308 keypoints.

    Args:
        radius, line_width: Fixed sizes in pixels; by default they follow each person's size.
        **kwargs: Of ``PoseLocalVisualizer``.
    """

    def __init__(self, name: str = 'visualizer', *args, radius: float | None = None, line_width: int | None = None, **kwargs):
        self._sizes = dict(radius=radius, line_width=line_width)
        given = {key: value for key, value in self._sizes.items() if value is not None}
        super().__init__(name, *args, **given, **kwargs)

    def _draw_instances_kpts(self, image, instances, kpt_thr=0.3, show_kpt_idx=False, skeleton_style='mmpose'):
        """As in mmpose; ``image`` is RGB."""
        keypoints = instances.get('transformed_keypoints', instances.get('keypoints'))
        known = keypoints is not None and _SKELETONS.get(self.dataset_meta.get('dataset_name')) == keypoints.shape[-2]
        if not known or show_kpt_idx or skeleton_style != 'mmpose':
            return super()._draw_instances_kpts(image, instances, kpt_thr, show_kpt_idx, skeleton_style)
        drawn = draw_keypoints(image, keypoints[..., :2], instances.get('keypoints_visible'), keypoints.shape[-2],
                               score_thr=kpt_thr, channel_order='rgb', **self._sizes)
        self.set_image(drawn)
        return self.get_image()
