"""Transforms of surface normals: reading maps and making training targets."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from sapiens_mm.dense.arrays import read_map
from sapiens_mm.dense.transforms import BadLabel, LabelLoader, normalize
from sapiens_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadNormal(LabelLoader):
    """Read surface normals, after the mask: ``normal_path`` to ``gt_normal`` (H, W, 3) float32, of unit length.

    Here x points right, y up and z towards the camera. Pixels of the mask whose normal has no direction (not finite, or of
    length 0) leave the mask.

    Args:
        axes: What the file's channels hold in these terms, for example ``('z', 'y', 'x')``, or ``('x', '-y', '-z')`` for camera
            axes with y down and z forward.
        **kwargs: Of :class:`sapiens_mm.dense.transforms.LabelLoader`. Bad is a file that is no map, one of another size than
            its image, one without a direction on the person, and one most of whose normals point away from the camera, which
            no surface that is seen does: there ``axes`` is wrong.

    Raises:
        ValueError: ``axes`` that are not x, y and z.
    """

    path_key, what = 'normal_path', 'normal maps'

    def __init__(self, axes: Sequence[str] = ('x', 'y', 'z'), **kwargs):
        super().__init__(**kwargs)
        if sorted(axis.lstrip('-') for axis in axes) != ['x', 'y', 'z']:
            raise ValueError(f"axes names x, y and z once each, with a minus where the file's points the other way, got {axes}")
        self.axes = tuple(axes)
        self._order = [[axis.lstrip('-') for axis in axes].index(axis) for axis in 'xyz']
        self._signs = np.array([-1 if axes[i].startswith('-') else 1 for i in self._order], np.float32)

    def load(self, path: str, results: dict) -> None:
        """See :class:`LabelLoader`."""
        normal = read_map(path, 'normal', self.backend_args)
        if normal.ndim != 3 or normal.shape[2] != 3:
            raise BadLabel(f'has the shape {normal.shape}, a map of normals is (H, W, 3)')
        normal = normalize(normal[..., self._order] * self._signs)
        person = results['gt_mask'] > 0 if 'gt_mask' in results else np.ones(normal.shape[:2], bool)
        if person.shape == normal.shape[:2]:
            directed = person & normal.any(axis=2)
            if not directed.any():
                raise BadLabel('has only normals of length 0 or not finite on the person')
            if (normal[directed][:, 2] < 0).mean() > 0.5:
                raise BadLabel("has normals that mostly point away from the camera; say in LoadNormal(axes=...) what the file's "
                               'channels hold (x right, y up, z towards the camera)')
            if 'gt_mask' in results:
                results['gt_mask'] = directed.astype(np.uint8)
        self._put(results, 'gt_normal', normal)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(axes={self.axes}, on_bad={self.on_bad!r})'


@TRANSFORMS.register_module()
class GenerateNormalTarget(BaseTransform):
    """``gt_normal`` to what loss and metric take: ``gt_normal_map`` (H, W, 3) float32, ``background`` off the person.

    Args:
        background: Value of all three channels off the person; the losses leave out what is below -100.
    """

    def __init__(self, background: float = -1000.):
        self.background = background

    def transform(self, results: dict) -> dict:
        """Adds ``gt_normal_map``, takes ``gt_normal`` out; a sample without normals passes."""
        if 'gt_normal' not in results:
            return results
        normal = results.pop('gt_normal')
        results['seg_fields'] = [name for name in results['seg_fields'] if name != 'gt_normal']
        results['gt_normal_map'] = np.where(results['gt_mask'][..., None] > 0, normal, np.float32(self.background))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(background={self.background})'
