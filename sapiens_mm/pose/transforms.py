"""Transforms of the pose pipelines: reading pictures that may be broken, 308 slots, and the recipe's pixel augmentation."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import KeypointConverter
from mmpose.datasets.transforms import LoadImage as _LoadImage

from sapiens_mm.engine.bad_samples import BadSamples, read_image
from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from sapiens_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(_LoadImage):
    """mmpose's ``LoadImage`` that lives with a few broken files.

    Args:
        on_bad: What becomes of an image that cannot be decoded. ``'skip'``: the data set takes another sample (training).
            ``'blank'``: a black picture takes its place and its box is moved far off the picture, so that the number and
            order of the results stay and the person counts as missed (evaluation).
        max_bad_share: When a greater share of the images is bad, and more than 3, ``ValueError`` names some of them.
        **kwargs: Of mmpose's ``LoadImage``.

    Raises:
        FileNotFoundError: No image there.
        ValueError: Too many bad images, or one that does not come from a data set.
    """

    def __init__(self, on_bad: str = 'skip', max_bad_share: float = 0.01, **kwargs):
        super().__init__(**kwargs)
        if on_bad not in ('skip', 'blank'):
            raise ValueError(f"on_bad must be 'skip' or 'blank', got {on_bad!r}")
        self.on_bad = on_bad
        self.bad_samples = BadSamples(max_bad_share)

    def transform(self, results: dict) -> dict | None:
        """Adds ``img`` (H, W, 3), BGR uint8, ``img_shape`` and ``ori_shape`` (H, W)."""
        if 'img' in results:
            return super().transform(results)
        path = results['img_path']
        img = read_image(path, color_type=self.color_type, backend=self.imdecode_backend, backend_args=self.backend_args)
        self.bad_samples.add(path if img is None else None)
        if img is None:
            if 'img_id' not in results:
                raise ValueError(f'{path} cannot be decoded as an image')
            fate = 'it is left out' if self.on_bad == 'skip' else 'its people count as missed'
            print_log(f'{path} cannot be decoded as an image; {fate}', 'current', logging.WARNING)
            if self.on_bad == 'skip':
                return None
            img = self._blank(results)
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    @staticmethod
    def _blank(results: dict) -> np.ndarray:
        height, width = results.get('img_shape') or np.ceil(results['bbox'].reshape(-1, 4)[:, [3, 2]].max(0)).astype(int)
        results['bbox'] = results['bbox'] - 100 * max(height, width)
        if 'bbox_score' in results:
            results['bbox_score'] = np.zeros_like(results['bbox_score'])
        return np.zeros((max(int(height), 1), max(int(width), 1), 3), np.uint8)


@TRANSFORMS.register_module()
class MapKeypoints(KeypointConverter):
    """Put the points of COCO or COCO-WholeBody into the 308 slots; slots without a partner are unlabelled.

    Args:
        source: Number of keypoints of the data set that this is the pipeline of: 17 or 133.
        tier: Which correspondences are used: ``'by_name'`` as in the recipe, ``'certain'`` or ``'inferred'``; see
            :func:`sapiens_mm.pose.skeletons.common_keypoints`.
    """

    def __init__(self, source: int, tier: str = 'by_name'):
        if source not in (17, 133):
            raise ValueError(f'source must be 17 (COCO) or 133 (COCO-WholeBody) keypoints, got {source}')
        self.source, self.tier = source, tier
        # The first 17 points of COCO-WholeBody are COCO's.
        super().__init__(308, [(b, a) for a, b in common_keypoints(tier).items() if b < source])
        meta = parse_pose_metainfo(get_skeleton(308).dataset_info())
        self._meta = {key: meta[key] for key in ('upper_body_ids', 'lower_body_ids', 'flip_pairs', 'dataset_keypoint_weights',
                                                 'flip_indices', 'skeleton_links')}

    def transform(self, results: dict) -> dict:
        """``keypoints`` (N, 308, 2), ``keypoints_visible`` (N, 308, 2): visibility and weight; the 308 set's flip indices."""
        found = results['keypoints'].shape[1]
        if found != self.source:
            raise ValueError(f'MapKeypoints(source={self.source}) was given {found} keypoints')
        if results.get('keypoints_3d', 0) is None:  # mmpose's COCO-WholeBody set says so, its converter cannot take it
            del results['keypoints_3d']
        results = super().transform(results)
        results['keypoints'] = results['keypoints'].astype(np.float32)
        results['keypoints_visible'] = results['keypoints_visible'].astype(np.float32)
        results.update(deepcopy(self._meta))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(source={self.source}, tier={self.tier!r})'


@TRANSFORMS.register_module()
class RandomBlur(BaseTransform):
    """Blur the picture now and then.

    Args:
        kind: ``'mean'`` or ``'median'``.
        prob: How often, 0 to 1.
        kernel_sizes: Odd kernel sizes in pixels, one of which is drawn.
    """

    def __init__(self, kind: str = 'mean', prob: float = 0.1, kernel_sizes: Sequence[int] = (3, 5, 7)):
        if kind not in ('mean', 'median'):
            raise ValueError(f"kind must be 'mean' or 'median', got {kind!r}")
        if not kernel_sizes or any(k < 1 or k % 2 == 0 for k in kernel_sizes):
            raise ValueError(f'kernel_sizes must be odd and positive, got {tuple(kernel_sizes)}')
        self.kind, self.prob, self.kernel_sizes = kind, prob, tuple(kernel_sizes)

    def transform(self, results: dict) -> dict:
        """Modifies ``img`` (H, W, 3) uint8."""
        if np.random.rand() < self.prob:
            size = int(np.random.choice(self.kernel_sizes))
            img = results['img']
            results['img'] = cv2.blur(img, (size, size)) if self.kind == 'mean' else cv2.medianBlur(img, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(kind={self.kind!r}, prob={self.prob}, kernel_sizes={self.kernel_sizes})'


@TRANSFORMS.register_module()
class CoarseDropout(BaseTransform):
    """Black out one rectangle of the picture (the single-hole form of coarse dropout, DeVries and Taylor, 2017).

    Args:
        prob: How often, 0 to 1.
        hole_height: Least and greatest height of the hole, as a share of the picture's.
        hole_width: The same for its width.
    """

    def __init__(self, prob: float = 1.0, hole_height: tuple[float, float] = (0.2, 0.4),
                 hole_width: tuple[float, float] = (0.2, 0.4)):
        for name, (least, most) in dict(hole_height=hole_height, hole_width=hole_width).items():
            if not 0 <= least <= most <= 1:
                raise ValueError(f'{name} must be two shares between 0 and 1 in rising order, got {(least, most)}')
        self.prob, self.hole_height, self.hole_width = prob, tuple(hole_height), tuple(hole_width)

    def transform(self, results: dict) -> dict:
        """Modifies ``img`` (H, W, 3)."""
        if np.random.rand() < self.prob:
            img = results['img'].copy()
            height, width = img.shape[:2]
            h, w = int(height * np.random.uniform(*self.hole_height)), int(width * np.random.uniform(*self.hole_width))
            y, x = np.random.randint(height - h + 1), np.random.randint(width - w + 1)
            img[y:y + h, x:x + w] = 0
            results['img'] = img
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, hole_height={self.hole_height}, hole_width={self.hole_width})'
