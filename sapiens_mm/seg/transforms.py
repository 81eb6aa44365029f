"""Transforms of body parts: reading index maps of any vocabulary, and mirroring them."""
from __future__ import annotations

import cv2
import numpy as np

from sapiens_mm.dense.transforms import BadLabel, DenseRandomFlip, LabelLoader
from sapiens_mm.engine.bad_samples import read_image
from sapiens_mm.registry import TRANSFORMS
from sapiens_mm.seg.classes import IGNORE_INDEX, get_vocabulary
from sapiens_mm.seg.label_maps import label_table


@TRANSFORMS.register_module()
class LoadParts(LabelLoader):
    """Read an index picture of class ids: ``seg_map_path`` to ``gt_seg_map`` (H, W) uint8 in the model's vocabulary.

    Args:
        vocabulary: The model's: ``'parts28'``, ``'parts29'``, ``'lip20'``, ``'cihp20'`` or ``'face19'``.
        source: The files', where it is another one; also ``'raw34'``. See :func:`sapiens_mm.seg.label_maps.label_table`.
        **kwargs: Of :class:`sapiens_mm.dense.transforms.LabelLoader`. Bad is a picture of another size than its image, one in
            colours, one with ids beyond the vocabulary (255, ignored, is none), and one that is ignored throughout.
    """

    path_key, what = 'seg_map_path', 'label maps'

    def __init__(self, vocabulary: str, source: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary, self.source = vocabulary, source or vocabulary
        self.table, self.num_source = label_table(self.source, vocabulary)
        get_vocabulary(vocabulary)

    def load(self, path: str, results: dict) -> None:
        """See :class:`LabelLoader`."""
        # Pillow keeps the indices of a picture with a palette, OpenCV returns its colours.
        labels = read_image(path, 'label map', color_type='unchanged', backend='pillow', backend_args=self.backend_args)
        if labels is None:
            raise BadLabel('cannot be decoded as an image')
        labels = labels.squeeze()
        if labels.ndim != 2:
            raise BadLabel(f'has the shape {labels.shape}; a label map is an index picture with one class id per pixel')
        # A histogram and OpenCV's table need no further map of the picture's size.
        ids = np.flatnonzero(cv2.calcHist([labels], [0], None, [256], [0, 256])) if labels.dtype == np.uint8 else np.unique(labels)
        beyond = [i for i in ids.tolist() if not 0 <= i < self.num_source and i != IGNORE_INDEX]
        if beyond:
            raise BadLabel(f'has the class ids {", ".join(map(str, beyond[:8]))}; {self.source} has {self.num_source} classes, '
                           'from 0')
        labels, ids = labels.astype(np.uint8, copy=False), ids.astype(np.uint8)
        if (self.table[ids] == IGNORE_INDEX).all():
            raise BadLabel('is ignored (255) throughout')
        if (self.table[ids] != ids).any():
            labels = cv2.LUT(labels, self.table)
        self._put(results, 'gt_seg_map', labels)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(vocabulary={self.vocabulary!r}, source={self.source!r}, on_bad={self.on_bad!r})'


@TRANSFORMS.register_module()
class PartsRandomFlip(DenseRandomFlip):
    """:class:`sapiens_mm.dense.transforms.DenseRandomFlip` with a vocabulary's left and right.

    Args:
        vocabulary: See :class:`LoadParts`.
        prob: How often, 0 to 1.
        direction: As in mmcv.
    """

    def __init__(self, vocabulary: str, prob: float = 0.5, direction: str | list[str] = 'horizontal'):
        super().__init__(prob, direction, swap_seg_labels=get_vocabulary(vocabulary).swap_pairs)
