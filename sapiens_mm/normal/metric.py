"""Evaluation of surface normals."""
from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from sapiens_mm.dense.valid import truth_and_prediction, valid_normal
from sapiens_mm.registry import METRICS

THRESHOLDS = (5, 11.25, 22.5, 30)  # degrees
# The histogram that the median comes from: 0.01 degrees wide below 30, 0.1 above.
_FINE, _COARSE, _TURN = 100, 10, 30
_BINS = _TURN * _FINE + (180 - _TURN) * _COARSE
_CHUNK = 2**20  # pixels


def angular_error(pred: Tensor, target: Tensor) -> Tensor:
    """Angle between vectors, (N, 3) each, in degrees, (N,) float64.

    By the arc tangent of cross and dot product, which is exact near 0 and 180 where the arc cosine is not. A prediction of zero
    length points nowhere: 90. One that is not finite gives not-a-number.
    """
    pred, target = pred.double(), target.double()
    pred = pred / pred.abs().amax(1, keepdim=True).clamp(min=1e-300)  # so that squares neither overflow nor vanish
    cross, dot = torch.linalg.cross(pred, target).norm(dim=1), (pred * target).sum(1)
    angle = torch.rad2deg(torch.atan2(cross, dot))
    return torch.where((pred == 0).all(1), 90., angle)


def _bin(error: Tensor) -> Tensor:
    index = torch.where(error < _TURN, error * _FINE, _TURN * _FINE + (error - _TURN) * _COARSE)
    return index.nan_to_num(_BINS - 1).long().clamp(0, _BINS - 1)


def _order_statistic(histogram: Tensor, rank: int) -> float:
    """Estimate of the value with ``rank`` smaller ones, off by the width of its bin at most."""
    total = histogram.cumsum(0)
    i = int(torch.searchsorted(total, rank, right=True))
    start, width = (i / _FINE, 1 / _FINE) if i < _TURN * _FINE else (_TURN + (i - _TURN * _FINE) / _COARSE, 1 / _COARSE)
    inside = rank - (int(total[i - 1]) if i else 0)
    return start + width * (inside + 0.5) / int(histogram[i])


def median_of(histogram: Tensor) -> float:
    """The median of the pooled errors: off by 0.01 degrees at most below 30, by 0.1 above."""
    count = int(histogram.sum())
    return (_order_statistic(histogram, (count - 1) // 2) + _order_statistic(histogram, count // 2)) / 2


@METRICS.register_module()
class NormalMetric(BaseMetric):
    """Mean, median and root mean square angular error in degrees, and the share of pixels below 5, 11.25, 22.5 and 30.

    As the papers report them (Khirodkar et al., ECCV 2024, section 4.5), over all pixels of all pictures. Pixels count inside
    ``gt_mask`` and where the target has a direction (length between 0.5 and 2); without a mask the second rule stands alone.
    Pictures without such a pixel are skipped and counted. All figures are exact but the median, which comes from a histogram
    and is off by 0.01 degrees at most where it is below 30 and by 0.1 above. A prediction of zero length counts as 90 degrees.
    Figures are called ``mean``, ``median``, ``RMSE`` and ``within_11.25`` (a share from 0 to 1) and so on.

    Args:
        **kwargs: Of mmengine's ``BaseMetric``.

    Raises:
        ValueError: Sizes that differ; no picture to evaluate.
    """

    default_prefix = 'normal'

    def process(self, data_batch, data_samples: Sequence[Mapping]) -> None:
        """Reduce each picture to sums and a histogram. ``data_samples`` have ``gt_normal_map`` and ``pred_normal_map``,
        (3, H, W)."""
        for sample in data_samples:
            target, pred, mask = truth_and_prediction(sample, 'normal_map', 3)
            valid = valid_normal(target, mask)
            if not valid.any():
                self.results.append(())  # mmengine drops None when it gathers results, and so loses their order
                continue
            pred, target = pred[:, valid].T, target[:, valid].T  # (N, 3)
            sums = torch.zeros(5 + len(THRESHOLDS), dtype=torch.double)
            histogram = torch.zeros(_BINS, dtype=torch.int32)
            sums[4] = 0 if mask is None else int((mask > 0).sum()) - len(target)
            for p, t in zip(pred.split(_CHUNK), target.split(_CHUNK)):
                error = angular_error(p, t)
                sums += torch.stack([
                    error.new_tensor(len(error)), error.sum(), error.square().sum(),
                    error.isnan().sum(), error.new_zeros(()), *((error < limit).sum() for limit in THRESHOLDS)]).double().cpu()
                histogram += torch.bincount(_bin(error), minlength=_BINS).int().cpu()
            self.results.append((sums, histogram))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Figures by name."""
        skipped = sum(not result for result in results)
        results = [result for result in results if result]
        if skipped:
            print_log(f'normals: {skipped} of {skipped + len(results)} pictures have no pixel with a direction inside the mask; '
                      'they are skipped', 'current', logging.WARNING)
        if not results:
            raise ValueError('normals: no picture has a pixel with a normal of length 1 inside its mask, so there is nothing to '
                             'evaluate; check the normal files and masks')
        sums = sum(result[0] for result in results).tolist()
        histogram = sum(result[1].long() for result in results)
        count, total, squares, not_finite, lost = sums[:5]
        if lost:
            print_log(f'normals: {lost:.0f} pixels inside the masks have no target of length 1; they do not count', 'current',
                      logging.WARNING)
        if not_finite:
            print_log(f'normals: {not_finite / count:.2%} of the predicted pixels are not finite', 'current', logging.WARNING)
        return dict(
            mean=total / count, median=math.nan if not_finite else median_of(histogram), RMSE=math.sqrt(squares / count),
            **{f'within_{limit:g}': inside / count for limit, inside in zip(THRESHOLDS, sums[5:])})
