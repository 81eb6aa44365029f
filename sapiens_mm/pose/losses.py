"""Heatmap losses."""
from __future__ import annotations

from mmpose.models.losses import KeypointOHKMMSELoss as _KeypointOHKMMSELoss
from torch import Tensor

from sapiens_mm.registry import MODELS


@MODELS.register_module()
class KeypointOHKMMSELoss(_KeypointOHKMMSELoss):
    """mmpose's ``KeypointOHKMMSELoss`` at a cost that does not grow with the square of the number of keypoints.

    The mean squared error of the hardest ``topk`` keypoints of each person (online hard keypoint mining, Chen et al., CVPR 2018).
    mmpose slices the heatmaps once per keypoint, and the backward pass fills a gradient of the whole tensor for each slice: for 308
    keypoints that takes ten times as long as the network. Same arguments, same values.
    """

    def forward(self, output: Tensor, target: Tensor, target_weights: Tensor) -> Tensor:
        """Loss of predicted heatmaps.

        Args:
            output: (B, K, H, W).
            target: (B, K, H, W).
            target_weights: (B, K), 0 for points without a label.

        Returns:
            Scalar.

        Raises:
            ValueError: Fewer than ``topk`` keypoints.
        """
        if output.size(1) < self.topk:
            raise ValueError(f'topk ({self.topk}) must not be larger than the number of keypoints ({output.size(1)})')
        if self.use_target_weight:
            weight = target_weights[:, :, None, None]
            output, target = output * weight, target * weight
        losses = self.criterion(output, target).mean(dim=(2, 3))
        return losses.topk(self.topk, dim=1, sorted=False).values.mean() * self.loss_weight
