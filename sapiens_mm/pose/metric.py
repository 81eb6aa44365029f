"""Average precision and recall by object keypoint similarity (OKS), for 308 keypoints, their groups, and common points."""
from __future__ import annotations

import io
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout

import numpy as np
from mmengine.logging import MessageHub, print_log
from mmpose.evaluation import CocoMetric
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from sapiens_mm.pose.annotation import annotation_keypoints
from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from sapiens_mm.registry import METRICS

STATS = ('AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)')


def _quietly(function, *args):
    """Call what prints a page for each of its steps."""
    with redirect_stdout(io.StringIO()):
        return function(*args)


class _GroupedOKS(CocoMetric):
    """OKS evaluation of chosen points, as a whole and group by group.

    The stock evaluator is used as it is, once for each group, on annotations and predictions that have only the group's
    points. A person without a labelled point in the group is ignored there, OKS is averaged over the labelled ones, the
    area is the annotation's, and at most 20 people of an image count.
    """

    def __init__(self, *args, annotated: int, predicted_ids: Sequence[int], annotated_ids: Sequence[int], sigmas: Sequence[float],
                 groups: Mapping[str, Sequence[int]], **kwargs):
        super().__init__(*args, **kwargs)
        if self.iou_type != 'keypoints' or self.pred_converter or self.gt_converter:
            raise ValueError(f'{type(self).__name__} chooses its points itself; leave out iou_type and converters')
        self._annotated = annotated
        self._predicted_ids, self._annotated_ids = list(predicted_ids), list(annotated_ids)
        self._sigmas = np.asarray(sigmas, dtype=np.float64)
        self._groups = {name: list(ids) for name, ids in groups.items()}

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the points that are evaluated."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        if self.coco is None:
            name = self._ann_file_of or dataset_meta['dataset_name']
            ann_file = MessageHub.get_current_instance().get_info(f'{name}_ann_file', None)
            if ann_file is not None:
                self.coco = _quietly(COCO, ann_file)
        self._dataset_meta = dict(dataset_meta, sigmas=self._sigmas, num_keypoints=len(self._sigmas))

    _ann_file_of: str | None = None

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """As in mmpose, then reduced to the points that are evaluated; people with numbers that are not finite are counted."""
        if self.coco is None:
            raise ValueError(f'{type(self).__name__} found no annotation file; give it ann_file')
        start = len(self.results)
        super().process(data_batch, data_samples)
        for pred, _ in self.results[start:]:
            keypoints, scores = np.asarray(pred['keypoints']), np.asarray(pred['keypoint_scores'])
            if keypoints.shape[1] <= max(self._predicted_ids):
                raise ValueError(f'{type(self).__name__} evaluates models of 308 keypoints, this one has {keypoints.shape[1]}')
            keypoints, scores = keypoints[:, self._predicted_ids], scores[:, self._predicted_ids]
            # Left in, they would match anyone: no comparison with NaN is true.
            finite = np.isfinite(keypoints).all((1, 2)) & np.isfinite(scores).all(1)
            pred.update(keypoints=keypoints[finite], keypoint_scores=scores[finite], not_finite=int((~finite).sum()))
            for key in ('bbox', 'bbox_scores', 'areas'):
                if len(pred.get(key, ())) == len(finite):
                    pred[key] = np.asarray(pred[key])[finite]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """As in mmpose."""
        lost = sum(pred['not_finite'] for pred, _ in results)
        if lost:
            print_log(f'{lost} of {lost + sum(len(pred["keypoints"]) for pred, _ in results)} predicted people have keypoints or '
                      'scores that are not finite; they count as missed', 'current', logging.WARNING)
        return super().compute_metrics(results)

    def results2json(self, keypoints: dict[int, list], outfile_prefix: str) -> str:
        """Keep the predictions for the evaluation, and write them where ``outfile_prefix`` was given.

        The boxes stay out: the evaluator then takes the extent of the points as a prediction's area, as COCO's own does.
        """
        self._predictions = [
            dict(image_id=person['img_id'], category_id=1, score=float(person['score']),
                 keypoints=np.asarray(person['keypoints'], np.float64).reshape(-1).tolist())
            for people in keypoints.values() for person in people
        ]
        path = f'{outfile_prefix}.keypoints.json'
        if self.outfile_prefix is not None:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            with open(f'{path}.part', 'w') as f:
                json.dump(self._predictions, f)
            os.replace(f'{path}.part', path)
        return path

    def _do_python_keypoint_eval(self, outfile_prefix: str) -> list[tuple[str, float]]:
        """(name, value) of all points with mmpose's names, then ``GROUP_AP`` and ``GROUP_AR`` of each group; -1 where the
        annotations label nobody."""
        truth = self._truth()
        predictions = _quietly(truth.loadRes, self._predictions)
        stats = OrderedDict(zip(STATS, self._evaluate(truth, predictions, range(len(self._sigmas)))))
        for name, ids in self._groups.items():
            group = self._evaluate(truth, predictions, ids)
            stats[f'{name}_AP'], stats[f'{name}_AR'] = group[STATS.index('AP')], group[STATS.index('AR')]
        return [(name, float(value)) for name, value in stats.items()]

    def _truth(self) -> COCO:
        """The annotations, their keypoints reduced to the points that are evaluated."""
        dataset, people = self.coco.dataset, []
        for ann in dataset['annotations']:
            try:
                points = annotation_keypoints(ann, self._annotated, dataset.get('info'))
                if points is None or len(points) != self._annotated or not np.isfinite(points).all():
                    points = None
            except (TypeError, ValueError):
                points = None
            if points is None:  # as in the data set: such a person is left out, not held against the model
                points = np.zeros((self._annotated, 3))
            points = points[self._annotated_ids]
            keep = dict(id=ann['id'], image_id=ann['image_id'], bbox=ann.get('bbox', [0, 0, 0, 0]), area=ann.get('area', 0),
                        category_id=1, iscrowd=int(ann.get('iscrowd', 0)), keypoints=points.reshape(-1).tolist())
            if self.use_area and 'area' not in ann and points[:, 2].any():
                raise ValueError(f'annotation {ann.get("id")} has no "area", which OKS is relative to; '
                                 'set use_area=False to take 0.53 of the box instead')
            people.append(keep)
        return _index(dict(images=dataset['images'], categories=[dict(id=1, name='person')], annotations=people))

    def _evaluate(self, truth: COCO, predictions: COCO, ids: Sequence[int]) -> np.ndarray:
        """The ten statistics over the points ``ids``."""
        ids = list(ids)
        evaluator = COCOeval(_only(truth, ids), _only(predictions, ids), 'keypoints', self._sigmas[ids], self.use_area)
        for step in (evaluator.evaluate, evaluator.accumulate, evaluator.summarize):
            _quietly(step)
        return evaluator.stats


def _index(dataset: dict) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    _quietly(coco.createIndex)
    return coco


def _only(coco: COCO, ids: list[int]) -> COCO:
    """A copy whose people have only the points ``ids``."""
    people = [dict(ann, keypoints=np.asarray(ann['keypoints']).reshape(-1, 3)[ids].reshape(-1).tolist())
              for ann in coco.dataset['annotations']]
    return _index(dict(coco.dataset, annotations=people))


@METRICS.register_module()
class Keypoints308Metric(_GroupedOKS):
    """AP and AR by OKS over the 308 keypoints, and for body, feet, face and hands (Khirodkar et al., ECCV 2024, section 4.2).

    Reports ``AP``, ``AP .5``, ``AP .75``, ``AP (M)``, ``AP (L)`` and the same of AR over all points, then ``body_AP``,
    ``body_AR`` and so on; -1 where nobody is labelled. Takes the arguments of mmpose's ``CocoMetric``, whose defaults are the
    recipe's: score of the box times the mean of the keypoint scores above 0.2, OKS suppression at 0.9.

    Raises:
        ValueError: Predictions of another number of keypoints; annotations without area.
    """

    default_prefix = 'keypoints308'

    def __init__(self, *args, **kwargs):
        skeleton = get_skeleton(308)
        groups = {name: skeleton.groups[name] for name in ('body', 'feet', 'face', 'left_hand', 'right_hand')}
        groups['hands'] = groups['left_hand'] + groups['right_hand']
        super().__init__(*args, annotated=308, predicted_ids=range(308), annotated_ids=range(308), sigmas=skeleton.sigmas,
                         groups=groups, **kwargs)


@METRICS.register_module()
class CommonKeypointsMetric(_GroupedOKS):
    """AP and AR of a 308-keypoint model on COCO-WholeBody, over the points that both sets have.

    Args:
        tier: ``'by_name'`` (53 points) or ``'certain'`` (63) can be relied on. ``'inferred'`` (114) has the published number of
            points, but which points was never published: its figures cannot be compared with the paper's.
        pairs: Instead of ``tier``: (308 id, COCO-WholeBody id) of each point.
        *args, **kwargs: Of mmpose's ``CocoMetric``. ``ann_file`` may be left out where the evaluated data set is
            COCO-WholeBody's.

    Raises:
        ValueError: Pairs that name a point twice or one that does not exist; predictions of fewer than 308 keypoints.
    """

    default_prefix = 'common_keypoints'
    _ann_file_of = 'coco_wholebody'

    def __init__(self, *args, tier: str | None = None, pairs: Sequence[tuple[int, int]] | None = None, **kwargs):
        if tier is not None and pairs is not None:
            raise ValueError('give tier or pairs, not both')
        if pairs is None:
            pairs = list(common_keypoints(tier or 'certain').items())
        predicted, annotated = ([int(pair[i]) for pair in pairs] for i in range(2))
        for ids, number, name in ((predicted, 308, 'Sapiens'), (annotated, 133, 'COCO-WholeBody')):
            if not ids or len(set(ids)) != len(ids) or not all(0 <= i < number for i in ids):
                raise ValueError(f'pairs must name each point once, by ids from 0 to {number - 1} of {name}; got {ids}')
        skeleton = get_skeleton(133)
        groups = {name: [annotated.index(i) for i in ids if i in annotated] for name, ids in skeleton.groups.items()}
        groups['hands'] = groups['left_hand'] + groups['right_hand']
        super().__init__(*args, annotated=133, predicted_ids=predicted, annotated_ids=annotated,
                         sigmas=[skeleton.sigmas[i] for i in annotated],
                         groups={name: ids for name, ids in groups.items() if ids}, **kwargs)
