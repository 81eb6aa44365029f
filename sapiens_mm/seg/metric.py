"""Evaluation of body parts."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from PIL import Image
from torch import Tensor

from sapiens_mm.dense.valid import map_of, name_of, truth_and_prediction
from sapiens_mm.registry import METRICS

_CHUNK = 2**18  # pixels


@METRICS.register_module()
class PartsMetric(IoUMetric):
    """mmseg's ``IoUMetric``: mIoU, mAcc and aAcc in percent over all pixels of all pictures, and each class.

    A picture is counted piece by piece and kept as a few numbers per class; counts are exact for any number of pixels. Adds
    ``IoU_NAME`` and ``Acc_NAME`` of each class that occurs to mmseg's figures.

    Args:
        per_class: Report each class, not only in the log's table.
        *args, **kwargs: Of ``IoUMetric``.

    Raises:
        ValueError: Class ids that do not exist; sizes that differ.
    """

    default_prefix = ''  # mmseg's names as they are; None would be warned about

    def __init__(self, *args, per_class: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.per_class = per_class

    def process(self, data_batch, data_samples: Sequence[Mapping]) -> None:
        """Reduce each picture to counts. ``data_samples`` have ``gt_sem_seg`` and ``pred_sem_seg``, (1, H, W)."""
        num_classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            if not self.format_only:
                label, pred, _ = truth_and_prediction(sample, 'sem_seg')
                try:
                    self.results.append(self.intersect_and_union(pred, label, num_classes, self.ignore_index))
                except ValueError as error:
                    raise ValueError(f'{name_of(sample)}: {error}') from None
            if self.output_dir is not None:
                labels = map_of(sample, 'pred_sem_seg', 1).cpu().numpy() + int(sample.get('reduce_zero_label') or 0)
                stem = os.path.splitext(os.path.basename(name_of(sample)))[0]
                Image.fromarray(labels.astype(np.uint8)).save(os.path.join(os.path.abspath(self.output_dir), f'{stem}.png'))

    @staticmethod
    def intersect_and_union(pred_label: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> tuple[Tensor, ...]:
        """Pixels of each class in both maps, in either, in the prediction, in the ground truth; (C,) float64 each.

        Args:
            pred_label, label: Maps of class ids of the same shape.
            num_classes: C.
            ignore_index: Where ``label`` has this id, nothing is counted.

        Raises:
            ValueError: A map has an id that is no class.
        """
        table = torch.zeros(num_classes**2, dtype=torch.int64, device=label.device)
        for pred, true in zip(pred_label.reshape(-1).split(_CHUNK), label.reshape(-1).split(_CHUNK)):
            counted = true != ignore_index
            pred, true = pred[counted].long(), true[counted].long()
            for ids, what in ((true, 'ground truth'), (pred, 'prediction')):
                wrong = ids[(ids < 0) | (ids >= num_classes)].unique().tolist()
                if wrong:
                    raise ValueError(f'the {what} has class ids {", ".join(map(str, wrong[:5]))}; ids must be 0 to '
                                     f'{num_classes - 1}, or {ignore_index} for pixels that do not count')
            table += torch.bincount(true * num_classes + pred, minlength=num_classes**2)
        table = table.reshape(num_classes, num_classes).double().cpu()
        both, predicted, true = table.diagonal().clone(), table.sum(0), table.sum(1)
        return both, predicted + true - both, predicted, true

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Figures by name, in percent."""
        metrics = super().compute_metrics(results)
        if self.per_class and not self.format_only:
            areas = [sum(column) for column in zip(*results)]
            values = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
            for name, per_class in values.items():
                for title, value in zip(self.dataset_meta['classes'], np.atleast_1d(per_class) if name != 'aAcc' else ()):
                    if np.isfinite(value):
                        metrics[f'{name}_{title}'] = round(float(value) * 100, 2)
        return metrics
