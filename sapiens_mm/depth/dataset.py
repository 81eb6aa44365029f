"""Data sets of depth."""
from __future__ import annotations

from sapiens_mm.dense.dataset import MapDataset
from sapiens_mm.registry import DATASETS


@DATASETS.register_module()
class DepthDataset(MapDataset):
    """Pictures, masks of the person and depth (H, W), larger is farther.

    Folders ``images``, ``masks`` and ``depths``, or others by ``data_prefix``; arguments as in
    :class:`sapiens_mm.dense.dataset.MapDataset`.
    """

    METAINFO: dict = dict(dataset_type='depth', classes=('depth', ))
    folders = dict(img_path='images', mask_path='masks', depth_path='depths')
    map_key = 'depth_path'
