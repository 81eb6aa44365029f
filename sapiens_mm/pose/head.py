"""The pose head: feature map to one heatmap per keypoint."""
from __future__ import annotations

from mmengine.structures import InstanceData
from mmpose.codecs import UDPHeatmap
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from sapiens_mm.engine.checkpoint import StrictStateDict
from sapiens_mm.heads.upsample import conv_layers, deconv_layers
from sapiens_mm.pose.decode import decode_udp
from sapiens_mm.registry import MODELS


@MODELS.register_module()
class SapiensPoseHead(StrictStateDict, HeatmapHead):
    """mmpose's ``HeatmapHead`` with the layers that the released Sapiens weights were trained in.

    Takes the arguments of ``HeatmapHead`` (Xiao et al., ECCV 2018). The released models have ``deconv_out_channels=(768, 768)``,
    ``deconv_kernel_sizes=(4, 4)``, ``conv_out_channels=(768, 768)``, ``conv_kernel_sizes=(1, 1)`` and 17, 133 or 308
    ``out_channels``: features (B, C, 64, 48) become heatmaps (B, K, 256, 192).

    Args:
        fast_decode: Decode the batch where it is (:mod:`sapiens_mm.pose.decode`) instead of map by map on the CPU. The same
            keypoints within float32; for a ``decoder`` of type ``UDPHeatmap`` with Gaussian maps.

    Raises:
        ValueError: Weights that do not fill the head exactly; a kernel size that it has no layer for; ``fast_decode`` for
            another codec.
    """

    def __init__(self, *args, fast_decode: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        if fast_decode and not self.can_decode_fast:
            raise ValueError('fast_decode knows the codec UDPHeatmap with Gaussian heatmaps only')
        self.fast_decode = fast_decode

    @property
    def can_decode_fast(self) -> bool:
        """Whether the codec is the one that :mod:`sapiens_mm.pose.decode` knows."""
        return isinstance(self.decoder, UDPHeatmap) and self.decoder.heatmap_type == 'gaussian'

    def decode(self, batch_outputs: Tensor) -> list[InstanceData]:
        """Heatmaps (B, K, H, W) to keypoints in pixels of the network's input, one ``InstanceData`` per map."""
        if not self.fast_decode:
            return super().decode(batch_outputs)
        keypoints, scores = decode_udp(batch_outputs, self.decoder.input_size, self.decoder.blur_kernel_size)
        return [InstanceData(keypoints=k[None], keypoint_scores=s[None]) for k, s in zip(keypoints, scores)]

    def _make_deconv_layers(self, in_channels, layer_out_channels, layer_kernel_sizes) -> nn.Module:
        return deconv_layers(in_channels, layer_out_channels, layer_kernel_sizes)

    def _make_conv_layers(self, in_channels, layer_out_channels, layer_kernel_sizes) -> nn.Module:
        return conv_layers(in_channels, layer_out_channels, layer_kernel_sizes)

    @property
    def default_init_cfg(self):
        """Normal of 0.001 for every convolution; the norms have nothing to initialise."""
        return [dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.001)]

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The last feature map (B, C, H, W) to heatmaps (B, K, 4H, 4W), in float32 also under autocast.

        Losses and NumPy know nothing of bfloat16.
        """
        return super().forward(feats).float()
