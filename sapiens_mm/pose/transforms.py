"""Transforms of the pose pipelines: reading pictures that may be broken, 308 slots, and the recipe's pixel augmentation."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.logging import print_log
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import KeypointConverter
from mmpose.datasets.transforms import LoadImage as _LoadImage
from torch.utils.data import get_worker_info

from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from sapiens_mm.registry import TRANSFORMS


class BadSamples:
    """Count of the files that were read and of those that were bad, over all worker processes of a data loader.

    Each worker writes a row of its own in shared memory, so that no increment is lost and the process that trains sees
    them all.

    Args:
        max_share: Share of bad files that is accepted, 0 to 1.
        always: So many bad files are accepted however few were read.
        settle: While fewer files than that were read, the share is taken of that many.
    """

    _ROWS, _NAMES, _LENGTH = 129, 4, 256  # the main process and 128 workers; a few names of the bad files, in bytes

    def __init__(self, max_share: float, always: int = 3, settle: int = 1000):
        self.max_share, self.always, self.settle = max_share, always, settle
        self._counts = torch.zeros(self._ROWS, 2, dtype=torch.int64).share_memory_()
        self._names = torch.zeros(self._ROWS, self._NAMES, self._LENGTH, dtype=torch.uint8).share_memory_()

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        # Already shared where the data loader pickled it for a spawned worker; on its own where something else did.
        self._counts.share_memory_()
        self._names.share_memory_()

    def __deepcopy__(self, memo: dict) -> BadSamples:
        return BadSamples(self.max_share, self.always, self.settle)

    def add(self, bad_file: str | None = None) -> None:
        """Count a file that was read; ``bad_file``: its name if it was bad. Raises ``ValueError`` past the accepted share."""
        worker = get_worker_info()
        row = 0 if worker is None else 1 + worker.id % (self._ROWS - 1)
        counts = self._counts[row]
        if bad_file is not None:
            if counts[1] < self._NAMES:
                name = bad_file.encode()[-self._LENGTH:]
                self._names[row, int(counts[1]), :len(name)] = torch.tensor(list(name), dtype=torch.uint8)
            counts[1] += 1
        counts[0] += 1
        if bad_file is not None:
            self.judge(*self.state(), self.settle)

    def state(self) -> tuple[int, int, list[str]]:
        """How many were read, how many of them were bad, and the names of a few."""
        read, bad = self._counts.sum(0).tolist()
        rows = self._names[self._names[..., 0] > 0][:self._NAMES]
        return read, bad, [bytes(row[row > 0].tolist()).decode(errors='replace') for row in rows]

    def judge(self, read: int, bad: int, names: Sequence[str], settle: int = 0) -> None:
        """Raise ``ValueError`` where too many are bad."""
        if bad > max(self.always, self.max_share * max(read, settle)):
            raise ValueError(f'{bad} of {read} images that were read cannot be decoded, {self.max_share:.1%} may be '
                             f'(max_bad_share of sapiens_mm.LoadImage); among them {", ".join(names)}')

    def reset(self) -> None:
        """Start again at zero."""
        self._counts.zero_()
        self._names.zero_()


def _is_cut_off(content: bytes) -> bool:
    """Whether a JPEG or PNG file ends early; OpenCV decodes such files and paints the rest grey."""
    if content.startswith(b'\xff\xd8'):
        # Inside compressed data 0xff is always followed by 0, so an end marker after the last scan's start is the real one.
        return content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')
    return content.startswith(b'\x89PNG') and b'IEND' not in content


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
        img = self._read(path)
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

    def _read(self, path: str) -> np.ndarray | None:
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError as e:
            raise FileNotFoundError(f'there is no image {path}; check data_root and data_prefix of the data set') from e
        if not content or _is_cut_off(content):
            return None
        try:
            return mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        except (cv2.error, OSError, SyntaxError, ValueError):  # what OpenCV and Pillow raise on broken files
            return None

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
