"""Keypoint data sets: mmpose's, with annotations that are checked while they are loaded, and the 308-keypoint ones."""
from __future__ import annotations

import json
import logging
import os.path as osp
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
from mmengine.fileio import exists
from mmengine.logging import print_log
from mmpose.datasets import CombinedDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.body import CocoDataset as _CocoDataset
from mmpose.datasets.datasets.wholebody import CocoWholeBodyDataset as _CocoWholeBodyDataset

from sapiens_mm.pose.annotation import GROUP_KEYS, annotation_keypoints
from sapiens_mm.pose.skeletons import get_skeleton
from sapiens_mm.pose.skeletons.skeleton import installed_metainfo
from sapiens_mm.registry import DATASETS

_FITTING = {17: 'CocoDataset (17 keypoints)', 133: 'CocoWholeBodyDataset (133)', 308: 'Keypoints308Dataset (308)'}


class _EnoughKeypoints:
    """Mixin that has training samples replaced that lost too many points."""

    _rejected = 0  # in a row

    def _enough(self, sample: dict | None, least: int) -> dict | None:
        """The packed sample if at least ``least`` of its points have a non-zero target weight, else None."""
        labels = None if self.test_mode or sample is None else sample.get('data_samples', {}).get('gt_instance_labels')
        if labels is None or 'keypoint_weights' not in labels or int((labels.keypoint_weights > 0).sum()) >= least:
            self._rejected = 0
            return sample
        self._rejected += 1
        if self._rejected >= self.max_refetch:
            raise ValueError(f'{self._rejected} samples in a row keep fewer than {least} keypoints after augmentation; '
                             'lower min_visible_keypoints or look at the labels with tools/misc/browse_dataset.py')
        return None


class CheckedAnnotations(_EnoughKeypoints):
    """Mixin for mmpose's COCO-style data sets that looks at what it loads.

    One bad annotation is left out and counted; a file that is not what the data set needs is refused.

    Args:
        max_bad_share: Share of the annotations that may be left out before the file is refused, 0 to 1. Crowds and people
            without labelled keypoints are not bad; mmpose leaves them out itself.
        min_visible_keypoints: A training sample that keeps fewer points with a non-zero target weight after augmentation
            is replaced by another one. The recipe of Sapiens has 8 for 133 and 308 keypoints, 3 for 17.

    Raises:
        FileNotFoundError: No annotation or detection file there.
        ValueError: The file is not json, not COCO, of another keypoint set, empty, or has too many bad annotations.
    """

    def __init__(self, *args, max_bad_share: float = 0.1, min_visible_keypoints: int = 0, **kwargs):
        if not 0 <= max_bad_share <= 1:
            raise ValueError(f'max_bad_share must be between 0 and 1, got {max_bad_share}')
        self.max_bad_share = max_bad_share
        self.min_visible_keypoints = min_visible_keypoints
        super().__init__(*args, **kwargs)

    def prepare_data(self, idx: int) -> dict | None:
        """As in mmpose; None, for which mmengine takes another sample, where too few keypoints are left in training."""
        return self._enough(super().prepare_data(idx), self.min_visible_keypoints)

    def load_data_list(self) -> list[dict]:
        """As in mmpose, checked."""
        if not self.ann_file:
            raise ValueError(f'{type(self).__name__} needs ann_file, the path of a COCO json')
        for path in filter(None, (self.ann_file, self.bbox_file)):
            if not exists(path):
                raise FileNotFoundError(f'there is no {"detection" if path == self.bbox_file else "annotation"} file {path} '
                                        f'(working directory {osp.abspath(".")}); set data_root, ann_file or bbox_file')
        self._good, self._bad, self._numbers = 0, Counter(), Counter()
        data_list = super().load_data_list()
        if not data_list:
            raise ValueError(f'{self.bbox_file or self.ann_file} has no person with keypoints in it that could be used')
        return data_list

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        """As in mmpose; the file's faults become one sentence."""
        try:
            loaded = super()._load_annotations()
        except (json.JSONDecodeError, UnicodeDecodeError) as e:
            raise ValueError(f'{self.ann_file} is not a json file: {e}') from e
        except (AssertionError, AttributeError, KeyError, TypeError) as e:
            raise ValueError(f'{self.ann_file} is not a COCO annotation file with "images" (id, file_name, width, height) and '
                             f'"annotations" (id, image_id, category_id, bbox, keypoints): {type(e).__name__} {e}') from e
        strays = sum(ann['image_id'] not in self.coco.imgs for ann in self.coco.anns.values())
        if strays:
            self._bad['of an image that the file does not list'] += strays
        self._judge(self.ann_file, 'annotations')
        return loaded

    def _load_detection_results(self) -> list[dict]:
        """As in mmpose, without boxes that cannot be cropped."""
        try:
            detections = super()._load_detection_results()
        except (json.JSONDecodeError, UnicodeDecodeError) as e:
            raise ValueError(f'{self.bbox_file} or {self.ann_file} is not a json file: {e}') from e
        except (AssertionError, AttributeError, KeyError, TypeError) as e:
            raise ValueError(f'{self.bbox_file} is not a list of detections (image_id, category_id, bbox, score) of images that '
                             f'{self.ann_file} lists: {type(e).__name__} {e}') from e
        kept = []
        for detection in detections:
            height, width = detection['img_shape']
            x1, y1, x2, y2 = (float(v) for v in detection['bbox'][0])
            fault = self._box_fault([x1, y1, x2 - x1, y2 - y1], width, height)
            if fault is None and not np.isfinite(detection['bbox_score']).all():
                fault = 'with a score that is not finite'
            if fault is None:
                kept.append(detection)
            self._count(fault)
        self._judge(self.bbox_file, 'detections')
        return kept

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        """As in mmpose, with the image's size; None for an annotation that is left out."""
        ann, image = raw_data_info['raw_ann_info'], raw_data_info['raw_img_info']
        expected = self._metainfo['num_keypoints']
        try:
            keypoints = annotation_keypoints(ann, expected, self.coco.dataset.get('info'))
        except (TypeError, ValueError):
            keypoints = np.full((expected, 3), np.nan)
        if ann.get('iscrowd') or ann.get('num_keypoints', 1) == 0:
            if keypoints is None or keypoints.shape != (expected, 3) or not np.isfinite(keypoints).all() or 'bbox' not in ann:
                return None
        else:
            fault = self._keypoint_fault(keypoints, expected)
            fault = fault or self._box_fault(ann.get('bbox'), image['width'], image['height'])
            self._count(fault)
            if fault:
                return None
        return self._parse_checked(ann, image, keypoints)

    def _parse_checked(self, ann: dict, image: dict, keypoints: np.ndarray) -> dict | None:
        """``keypoints``: (K, 3), of the expected number."""
        # COCO-WholeBody's parser asks for keys that the format makes optional.
        ann.setdefault('num_keypoints', int((keypoints[:, 2] > 0).sum()))
        ann.setdefault('segmentation', None)
        ann.setdefault('iscrowd', 0)
        parsed = super().parse_data_info(dict(raw_ann_info=ann, raw_img_info=image))
        if parsed is not None:
            parsed['img_shape'] = (image['height'], image['width'])
        return parsed

    def _keypoint_fault(self, keypoints: np.ndarray | None, expected: int) -> str | None:
        if keypoints is None:
            return 'without keypoints'
        if len(keypoints) != expected:
            self._numbers[len(keypoints)] += 1
            return 'with a wrong number of keypoints'
        if not np.isfinite(keypoints).all():
            return 'with keypoints that are not finite numbers'
        return None

    @staticmethod
    def _box_fault(box, width: float, height: float) -> str | None:
        """What is wrong with the box ``(x, y, w, h)`` in pixels."""
        try:
            x, y, w, h = (float(v) for v in box)
        except (TypeError, ValueError):
            return 'without a box (x, y, w, h)'
        if not np.isfinite((x, y, w, h)).all():
            return 'with a box that is not finite'
        if w <= 0 or h <= 0:
            return 'with a box of no area'
        if not (min(x + w, width - 1) > max(x, 0) and min(y + h, height - 1) > max(y, 0)):
            return 'with a box outside the picture'
        return None

    def _count(self, fault: str | None) -> None:
        if fault is None:
            self._good += 1
        else:
            self._bad[fault] += 1

    def _judge(self, path: str, what: str) -> None:
        """Say what was left out of ``path``, or refuse it."""
        bad = sum(self._bad.values())
        if not bad:
            return
        total = bad + self._good
        reasons = ', '.join(f'{n} {reason}' for reason, n in self._bad.most_common())
        expected = self._metainfo['num_keypoints']
        if not self._good and len(self._numbers) == 1:
            (found, ), name = self._numbers, type(self).__name__
            advice = f'; it fits {_FITTING[found]}' if found in _FITTING else ''
            raise ValueError(f'the annotations of {path} have {found} keypoints, {name} expects {expected}{advice}')
        if bad > self.max_bad_share * total:
            raise ValueError(f'{bad} of {total} {what} in {path} are bad: {reasons}; {self.max_bad_share:.0%} may be '
                             '(max_bad_share). Is it the right file?')
        print_log(f'{path}: {bad} of {total} {what} are left out: {reasons}', 'current', logging.WARNING)


@DATASETS.register_module()
class CocoDataset(CheckedAnnotations, _CocoDataset):
    """mmpose's ``CocoDataset`` (17 keypoints), checked; arguments there and in :class:`CheckedAnnotations`."""

    METAINFO: dict = installed_metainfo(**_CocoDataset.METAINFO)


@DATASETS.register_module()
class CocoWholeBodyDataset(CheckedAnnotations, _CocoWholeBodyDataset):
    """mmpose's ``CocoWholeBodyDataset`` (133 keypoints), checked; arguments there and in :class:`CheckedAnnotations`."""

    METAINFO: dict = installed_metainfo(**_CocoWholeBodyDataset.METAINFO)


@DATASETS.register_module()
class Keypoints308Dataset(CheckedAnnotations, BaseCocoStyleDataset):
    """People with the 308 keypoints of Sapiens, in COCO json.

    An annotation has ``keypoints`` with 308 x 3 numbers, or the group keys of the reference evaluation set. Points outside
    the picture count as unlabelled, as in the recipe (Khirodkar et al., ECCV 2024). Arguments as in mmpose's data sets and
    :class:`CheckedAnnotations`.
    """

    METAINFO: dict = get_skeleton(308).dataset_info()

    def _parse_checked(self, ann: dict, image: dict, keypoints: np.ndarray) -> dict | None:
        plain = {k: v for k, v in ann.items() if not k.endswith('_kpts') and k not in GROUP_KEYS.values()}
        parsed = super()._parse_checked(dict(plain, keypoints=keypoints.reshape(-1).tolist()), image, keypoints)
        if parsed is None:
            return None
        x, y = keypoints[:, 0], keypoints[:, 1]
        inside = (x > 0) & (x < image['width']) & (y > 0) & (y < image['height'])
        parsed['keypoints_visible'] = parsed['keypoints_visible'] * inside.astype(np.float32)
        if not self.test_mode:  # a second copy of every point, which only evaluation may ask for
            del parsed['raw_ann_info']
        return parsed


@DATASETS.register_module()
class Mixed308Dataset(_EnoughKeypoints, CombinedDataset):
    """Data sets with different skeletons, in the 308 slots of one model.

    The data sets' own pipelines hold :class:`sapiens_mm.pose.transforms.MapKeypoints` where they are not of 308 keypoints;
    ``pipeline`` is common to all. Points that a set does not label have weight 0.

    Args:
        datasets: Configs of the data sets.
        min_visible_keypoints: One number for each data set, see :class:`CheckedAnnotations`; one number for all.
            The recipe has 8 for sets of 133 and 308 keypoints and 4 for others.
        **kwargs: Of mmpose's ``CombinedDataset``: ``pipeline``, ``sample_ratio_factor``, ``test_mode`` and so on.
    """

    METAINFO: dict = Keypoints308Dataset.METAINFO

    def __init__(self, datasets: list, min_visible_keypoints: int | Sequence[int] = 0, **kwargs):
        least = [min_visible_keypoints] * len(datasets) if isinstance(min_visible_keypoints, int) else list(min_visible_keypoints)
        if len(least) != len(datasets):
            raise ValueError(f'min_visible_keypoints has {len(least)} numbers for {len(datasets)} data sets')
        self.min_visible_keypoints = least
        super().__init__(**{'metainfo': deepcopy(self.METAINFO), **kwargs}, datasets=datasets)
        for dataset, cfg in zip(self.datasets, datasets):
            steps = getattr(dataset.pipeline, 'transforms', ())
            if dataset.metainfo['num_keypoints'] != 308 and not any(getattr(t, 'num_keypoints', 0) == 308 for t in steps):
                raise ValueError(f'{cfg["type"]} has {dataset.metainfo["num_keypoints"]} keypoints; give it pipeline='
                                 f'[dict(type="sapiens_mm.MapKeypoints", source={dataset.metainfo["num_keypoints"]})]')

    def prepare_data(self, idx: int) -> dict | None:
        """As in mmpose; None, for which mmengine takes another sample, where too few keypoints are left in training."""
        return self._enough(super().prepare_data(idx), self.min_visible_keypoints[self._get_subset_index(idx)[0]])
