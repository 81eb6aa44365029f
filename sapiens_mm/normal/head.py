"""The head for surface normals: feature map to one vector per pixel."""
from __future__ import annotations

from torch import Tensor

from sapiens_mm.dense.head import MapHead
from sapiens_mm.registry import MODELS


@MODELS.register_module()
class SapiensNormalHead(MapHead):
    """Surface normals in camera axes (x right, y up, z towards the camera), (B, C, 64, 48) to (B, 3, 512, 384).

    It predicts ``pred_normal_map`` (3, H, W) of unit length, and ``pred_normal_raw``, the same before it was normalised,
    whose length tells how sure the network is. Arguments as in :class:`sapiens_mm.dense.head.DenseHead`, without
    ``num_classes``.
    """

    map_name = 'normal'

    def __init__(self, in_channels: int, **kwargs):
        super().__init__(in_channels, 3, **kwargs)

    def unmirror(self, prediction: Tensor) -> Tensor:
        """Mirrored back, (..., 3, H, W); what pointed right points left."""
        mirrored = prediction.flip(-1)
        return mirrored * mirrored.new_tensor([-1, 1, 1]).view(3, 1, 1)

    def to_fields(self, prediction: Tensor) -> dict[str, Tensor]:
        """Vectors of length 1 - 1e-5 or a little less, as in the release: the length is kept from 0 by that much."""
        unit = prediction / (prediction.norm(dim=0, keepdim=True) + 1e-5)
        return {f'pred_{self.map_name}_map': unit, f'pred_{self.map_name}_raw': prediction}
