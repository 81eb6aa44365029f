"""Evaluation of depth, relative or metric."""
from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from sapiens_mm.dense.valid import truth_and_prediction, valid_depth
from sapiens_mm.registry import METRICS

ALIGNMENTS = ('least_squares', 'median', 'scale', None)
_SUMS = ('pixels', 'square', 'relative', 'delta1', 'delta2', 'delta3', 'log10', 'log', 'log_square', 'not_positive', 'not_finite')


def _median(values: Tensor) -> Tensor:
    """The middle value, or the mean of the two in the middle."""
    return (values.median() - (-values).median()) / 2


def align_depth(pred: Tensor, target: Tensor, how: str | None = 'least_squares') -> tuple[float, float]:
    """Scale s and shift t so that s * prediction + t fits the target.

    Args:
        pred: (N,) predictions; N at least 1.
        target: (N,) depths.
        how: ``'least_squares'``: the least sum of squares (Ranftl et al., TPAMI 2020). ``'median'``: medians and mean
            absolute deviations from them agree (the same). ``'scale'``: least squares with t = 0. None: s = 1, t = 0.

    Returns:
        s and t. s is 0 for a prediction that is the same everywhere, and below 0 for one that is the wrong way round under
        ``'least_squares'``.
    """
    pred, target = pred.double(), target.double()
    if how is None:
        return 1., 0.
    if how == 'scale':
        square = pred.square().sum().item()
        return ((pred * target).sum().item() / square if square else 0.), 0.
    center = pred.mean() if how == 'least_squares' else _median(pred)
    aim = target.mean() if how == 'least_squares' else _median(target)
    off, aim_off = pred - center, target - aim
    if how == 'least_squares':
        above, below = (off * aim_off).sum().item(), off.square().sum().item()
    else:
        above, below = aim_off.abs().mean().item(), off.abs().mean().item()
    size = pred.abs().max().item()
    # What rounding leaves of a constant has no direction.
    flat = below <= (len(pred) * (1e-9 * size)**2 if how == 'least_squares' else 1e-9 * size)
    scale = 0. if flat else above / below
    return scale, aim.item() - scale * center.item()


def depth_sums(pred: Tensor, target: Tensor, min_depth: float) -> list[float]:
    """Sums over N pixels that all figures follow from, in the order of ``_SUMS``.

    Args:
        pred: (N,) predictions.
        target: (N,) depths above 0.
        min_depth: Smaller predictions count as this one in logarithms.
    """
    pred, target = pred.double(), target.double()
    diff = pred - target
    log = pred.clamp(min=min_depth).log() - target.log()
    ratio = torch.where(pred > 0, torch.maximum(pred / target, target / pred), math.inf)
    return [
        float(len(pred)), diff.square().sum().item(), (diff.abs() / target).sum().item(),
        *((ratio < 1.25**i).sum().item() for i in (1, 2, 3)), log.abs().sum().item() / math.log(10), log.sum().item(),
        log.square().sum().item(), (pred <= 0).sum().item(), (~pred.isfinite()).sum().item()
    ]


def depth_figures(sums: Tensor) -> dict[str, Tensor]:
    """The figures from sums (..., len(_SUMS)): each (...)."""
    s = dict(zip(_SUMS, sums.unbind(-1)))
    n = s['pixels']
    variance = (s['log_square'] / n - (s['log'] / n).square()).clamp(min=0)
    return dict(
        AbsRel=s['relative'] / n, RMSE=(s['square'] / n).sqrt(), delta1=s['delta1'] / n, delta2=s['delta2'] / n,
        delta3=s['delta3'] / n, log10=s['log10'] / n, RMSElog=(s['log_square'] / n).sqrt(), SILog=100 * variance.sqrt())


@METRICS.register_module()
class DepthMetric(BaseMetric):
    """AbsRel, RMSE, delta 1 to 3 and logarithmic errors, after a fit of scale and shift for each picture, and without.

    The papers report AbsRel, RMSE and delta of relative depth (Khirodkar et al., ECCV 2024, section 4.4; Eigen et al., NeurIPS
    2014). For each pixel with depth d > 0 and prediction p: AbsRel |p - d| / d, RMSE in the unit of the data, delta i the share
    with max(p / d, d / p) < 1.25^i, log10 |log10 p - log10 d|, RMSElog of ln p - ln d, SILog 100 times the standard deviation
    of ln p - ln d. Pixels count inside ``gt_mask`` and where d is finite and above 0; without a mask the second rule stands
    alone. Pictures without such a pixel are skipped and counted. Predictions that are not positive fail every delta and count
    as ``min_depth`` in logarithms.

    Args:
        align: Fit before comparing, see :func:`align_depth`: ``'least_squares'``, ``'median'``, ``'scale'`` or None.
        raw: Also report the prediction as it is, as ``raw_AbsRel`` and so on.
        average: ``'image'``: the mean of the pictures' figures, as the papers do. ``'pixel'``: over all pixels of all pictures.
        min_depth: In the unit of the data.
        **kwargs: Of mmengine's ``BaseMetric``.

    Raises:
        ValueError: Arguments that make no sense; sizes that differ; no picture to evaluate.
    """

    default_prefix = 'depth'

    def __init__(self, align: str | None = 'least_squares', raw: bool = True, average: str = 'image', min_depth: float = 1e-3,
                 **kwargs):
        if align not in ALIGNMENTS:
            raise ValueError(f'align must be one of {ALIGNMENTS}, got {align!r}')
        if average not in ('image', 'pixel'):
            raise ValueError(f"average must be 'image' or 'pixel', got {average!r}")
        if min_depth <= 0:
            raise ValueError(f'min_depth must be above 0, got {min_depth}')
        super().__init__(**kwargs)
        self.average, self.min_depth = average, min_depth
        self._fits = {'': align, **({'raw_': None} if raw and align is not None else {})}

    def process(self, data_batch, data_samples: Sequence[Mapping]) -> None:
        """Reduce each picture to a few sums. ``data_samples`` have ``gt_depth_map`` and ``pred_depth_map``, (1, H, W)."""
        for sample in data_samples:
            target, pred, mask = truth_and_prediction(sample, 'depth_map')
            valid = valid_depth(target, mask)
            pred, target = pred[valid], target[valid]
            if not len(target):
                self.results.append({})  # mmengine drops None when it gathers results, and so loses their order
                continue
            result = dict(lost=0 if mask is None else int((mask > 0).sum()) - len(target))
            for prefix, how in self._fits.items():
                scale, shift = align_depth(pred, target, how)
                sums = depth_sums(scale * pred.double() + shift, target, self.min_depth)
                result[prefix] = (torch.tensor(sums, dtype=torch.double), scale < 0)
            self.results.append(result)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Figures by name."""
        skipped = sum(not result for result in results)
        results = [result for result in results if result]
        if skipped:
            print_log(f'depth: {skipped} of {skipped + len(results)} pictures have no pixel with a depth that is finite and above '
                      '0 inside the mask; they are skipped', 'current', logging.WARNING)
        lost = sum(result['lost'] for result in results)
        if lost:
            print_log(f'depth: {lost} pixels inside the masks have a depth that is not finite or not above 0; they do not count',
                      'current', logging.WARNING)
        if not results:
            raise ValueError('depth: no picture has a pixel with a depth that is finite and above 0 inside its mask, so there is '
                             'nothing to evaluate; check the depth files and masks')
        out = {}
        for prefix in self._fits:
            sums = torch.stack([result[prefix][0] for result in results])
            figures = depth_figures(sums if self.average == 'image' else sums.sum(0, keepdim=True))
            out.update({f'{prefix}{name}': values.mean().item() for name, values in figures.items()})
            self._warn(prefix, sums, sum(result[prefix][1] for result in results))
        return out

    @staticmethod
    def _warn(prefix: str, sums: Tensor, reversed_ones: int) -> None:
        column = {name: sums[:, i] for i, name in enumerate(_SUMS)}
        bad = int((column['not_finite'] > 0).sum())
        if bad:
            print_log(f'depth: {bad} of {len(sums)} predictions hold numbers that are not finite', 'current', logging.WARNING)
        if reversed_ones:
            print_log(f'depth: {reversed_ones} of {len(sums)} predictions fit only when near and far change places',
                      'current', logging.WARNING)
        share = (column['not_positive'].sum() / column['pixels'].sum()).item()
        if share > 0 and not prefix:
            print_log(f'depth: {share:.2%} of the pixels are not positive after the fit; they fail every delta', 'current')
