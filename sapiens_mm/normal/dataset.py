"""Data sets of surface normals."""
from __future__ import annotations

from sapiens_mm.dense.dataset import MapDataset
from sapiens_mm.registry import DATASETS


@DATASETS.register_module()
class NormalDataset(MapDataset):
    """Pictures, masks of the person and surface normals (H, W, 3), x right, y up, z towards the camera.

    Folders ``images``, ``masks`` and ``normals``, or others by ``data_prefix``; arguments as in
    :class:`sapiens_mm.dense.dataset.MapDataset`.
    """

    METAINFO: dict = dict(dataset_type='normal', classes=('normal', ))
    folders = dict(img_path='images', mask_path='masks', normal_path='normals')
    map_key = 'normal_path'
