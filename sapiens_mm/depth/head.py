"""The head for depth: feature map to one depth map."""
from __future__ import annotations

from sapiens_mm.dense.head import MapHead
from sapiens_mm.registry import MODELS


@MODELS.register_module()
class SapiensDepthHead(MapHead):
    """Relative depth, larger is farther, without activation: (B, C, 64, 48) to (B, 1, 1024, 768) in the released models.

    It predicts ``pred_depth_map`` (1, H, W), which may lie outside the range of the training targets, [0, 1]. Arguments as
    in :class:`sapiens_mm.dense.head.DenseHead`, without ``num_classes``.
    """

    map_name = 'depth'

    def __init__(self, in_channels: int, deconv_out_channels=(384, 384, 384, 384), deconv_kernel_sizes=(4, 4, 4, 4),
                 conv_out_channels=(384, 384), conv_kernel_sizes=(1, 1), **kwargs):
        super().__init__(in_channels, 1, deconv_out_channels=deconv_out_channels, deconv_kernel_sizes=deconv_kernel_sizes,
                         conv_out_channels=conv_out_channels, conv_kernel_sizes=conv_kernel_sizes, **kwargs)
