"""Transforms of depth: reading maps and making training targets."""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from sapiens_mm.dense.arrays import read_map
from sapiens_mm.dense.transforms import BadLabel, LabelLoader
from sapiens_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadDepth(LabelLoader):
    """Read depth, after the mask: ``depth_path`` to ``gt_depth`` (H, W) float32.

    Pixels of the mask whose depth is not finite leave the mask.

    Args:
        scale: The file's unit in that of the sample, such as 0.01 for centimetres to metres. Training knows no unit.
        **kwargs: Of :class:`sapiens_mm.dense.transforms.LabelLoader`. Bad is a file that is no map, one of another size than
            its image, and one without a finite number on the person.
    """

    path_key, what = 'depth_path', 'depth maps'

    def __init__(self, scale: float = 1., **kwargs):
        super().__init__(**kwargs)
        if not scale > 0:
            raise ValueError(f'scale must be positive, got {scale}')
        self.scale = scale

    def load(self, path: str, results: dict) -> None:
        """See :class:`LabelLoader`."""
        depth = read_map(path, 'depth', self.backend_args)
        if depth.ndim == 3 and depth.shape[2] in (1, 3):  # EXR pictures repeat one channel
            depth = depth[..., 0]
        if depth.ndim != 2:
            raise BadLabel(f'has the shape {depth.shape}, a depth map is (H, W)')
        finite = np.isfinite(depth)
        person = results['gt_mask'] > 0 if 'gt_mask' in results else np.ones_like(finite)
        if person.shape == finite.shape:
            if not (finite & person).any():
                raise BadLabel('has no finite number on the person')
            if 'gt_mask' in results:
                results['gt_mask'] = (finite & person).astype(np.uint8)
        self._put(results, 'gt_depth', np.where(finite, depth, 0).astype(np.float32) * np.float32(self.scale))


@TRANSFORMS.register_module()
class GenerateDepthTarget(BaseTransform):
    """``gt_depth`` to what loss and metric take: ``gt_depth_map`` (H, W) float32, ``background`` off the person.

    Args:
        normalize: For training: shift and scale the person's depth in this crop so that its nearest pixel is 0 and its farthest
            1 (Khirodkar et al., ECCV 2024, section 3.5). For evaluation ``False`` keeps the file's depth.
        background: Value off the person; the losses leave out what is not positive.
        fidelity: Keep the file's numbers where a crop is of one depth throughout, as the released recipe does; otherwise they
            are all nearest and become 0.
    """

    def __init__(self, normalize: bool = True, background: float = -1., fidelity: bool = False):
        self.normalize, self.background, self.fidelity = normalize, background, fidelity

    def transform(self, results: dict) -> dict:
        """Adds ``gt_depth_map``, takes ``gt_depth`` out; a sample without depth passes."""
        if 'gt_depth' not in results:
            return results
        depth = results.pop('gt_depth')
        results['seg_fields'] = [name for name in results['seg_fields'] if name != 'gt_depth']
        person = results['gt_mask'] > 0
        if self.normalize and person.any():
            least, most = depth[person].min(), depth[person].max()
            if most > least:
                depth = (depth - least) / (most - least)
            elif not self.fidelity:
                depth = np.zeros_like(depth)
        results['gt_depth_map'] = np.where(person, depth, np.float32(self.background)).astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(normalize={self.normalize}, background={self.background})'
