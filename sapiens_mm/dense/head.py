"""The decoder that body parts, depth and surface normals share: feature map to one map per channel."""
from __future__ import annotations

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from sapiens_mm.engine.checkpoint import StrictStateDict
from sapiens_mm.heads.upsample import conv_layers, deconv_layers


class DenseHead(StrictStateDict, BaseDecodeHead):
    """Deconvolutions, 1x1 convolutions and a 1x1 classifier (Khirodkar et al., ECCV 2024, sections 3.4 to 3.6).

    Features (B, C, h, w) become (B, K, 2^n h, 2^n w) for n deconvolutions. In training mmseg's ``Dropout2d`` of 0.1 comes
    before the last layer.

    Args:
        in_channels: C.
        num_classes: K.
        deconv_out_channels: Channels of each deconvolution; the released models have 3 x 768, for depth 4 x 384.
        deconv_kernel_sizes: 2, 3 or 4 for each; the released models have 4.
        conv_out_channels: Channels of each convolution; the released models have 3 x 768, for depth 2 x 384.
        conv_kernel_sizes: The released models have 1.
        **kwargs: Of mmseg's ``BaseDecodeHead``: ``loss_decode``, ``dropout_ratio``, ``ignore_index`` and so on.

    Raises:
        ValueError: Weights that do not fill the head exactly; numbers of layers and kernels that differ.
    """

    def __init__(self, in_channels: int, num_classes: int, deconv_out_channels=(768, 768, 768), deconv_kernel_sizes=(4, 4, 4),
                 conv_out_channels=(768, 768, 768), conv_kernel_sizes=(1, 1, 1), **kwargs):
        for what, channels, sizes in (('deconv', deconv_out_channels, deconv_kernel_sizes),
                                      ('conv', conv_out_channels, conv_kernel_sizes)):
            if len(channels) != len(sizes):
                raise ValueError(f'{what}_out_channels has {len(channels)} entries and {what}_kernel_sizes {len(sizes)}; '
                                 'there is one of each per layer')
        widths = [in_channels, *deconv_out_channels, *conv_out_channels]
        super().__init__(in_channels, widths[-1], num_classes=num_classes, **kwargs)
        self.deconv_layers = deconv_layers(in_channels, deconv_out_channels, deconv_kernel_sizes)
        self.conv_layers = conv_layers(widths[len(deconv_out_channels)], conv_out_channels, conv_kernel_sizes)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The last feature map (B, C, h, w) to (B, K, 2^n h, 2^n w), in float32 also under autocast."""
        x = self._transform_inputs(inputs)
        return self.cls_seg(self.conv_layers(self.deconv_layers(x))).float()


class MapHead(DenseHead):
    """A head that regresses a map, K channels of one quantity.

    A subclass states what the map is called; data samples then hold ``gt_{name}_map`` and ``pred_{name}_map``.
    Losses take ``(prediction, target)``, both (B, K, H, W); a target marks the background with a value of its own.
    """

    map_name: str

    def __init__(self, in_channels: int, num_classes: int, *, loss_decode: dict | list, **kwargs):
        # The threshold is for classes; without one mmseg warns.
        super().__init__(in_channels, num_classes, threshold=0., loss_decode=loss_decode, **kwargs)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Sum of the losses of each name, at the target's resolution.

        Args:
            seg_logits: (B, K, h, w).
            batch_data_samples: B samples with ``gt_{name}_map`` (K, H, W).
        """
        target = torch.stack([sample.get(f'gt_{self.map_name}_map').data for sample in batch_data_samples])
        prediction = resize(seg_logits, size=target.shape[2:], mode='bilinear', align_corners=self.align_corners)
        losses: dict[str, Tensor] = {}
        for loss in self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]:
            losses[loss.loss_name] = losses.get(loss.loss_name, 0.) + loss(prediction, target)
        return losses

    def unmirror(self, prediction: Tensor) -> Tensor:
        """The map of a horizontally mirrored picture, (..., H, W), as the map of the picture itself."""
        return prediction.flip(-1)

    def to_fields(self, prediction: Tensor) -> dict[str, Tensor]:
        """What a data sample gets: field name -> (K, H, W), from the map at the original picture's size."""
        return {f'pred_{self.map_name}_map': prediction}
