"""Losses of surface normals (Khirodkar et al., ECCV 2024, section 3.6, and released code)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens_mm.registry import MODELS

_BACKGROUND = -100.  # targets are -1000 where there is no person


class _NormalLoss(nn.Module):
    """A loss that is summed over the valid pixels of the batch and divided by their number.

    Args:
        loss_weight: Factor.
        loss_name: Name in the log.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = ''):
        super().__init__()
        self.loss_weight, self._loss_name = loss_weight, loss_name

    @property
    def loss_name(self) -> str:
        """Name in the log."""
        return self._loss_name

    def forward(self, pred: Tensor, target: Tensor, **kwargs) -> Tensor:
        """The loss, a scalar; 0 where no pixel is valid.

        Args:
            pred: (B, 3, H, W).
            target: (B, 3, H, W) unit normals, background below -100. Targets without a direction (zero length, numbers that
                are not finite) do not count either.
            **kwargs: What mmseg's decode heads pass on (``weight``, ``ignore_index``); not needed.

        Raises:
            ValueError: Shapes differ or have not 3 channels.
        """
        if pred.shape != target.shape or pred.ndim != 4 or pred.shape[1] != 3:
            raise ValueError(f'prediction {tuple(pred.shape)} and target {tuple(target.shape)} must both be (B, 3, H, W)')
        pred, target = pred.float(), target.float()
        valid = (target[:, :1] > _BACKGROUND) & target.isfinite().all(1, keepdim=True) & (target != 0).any(1, keepdim=True)
        valid = valid & pred.isfinite().all(1, keepdim=True)
        # Chosen before the arithmetic: what is multiplied by 0 afterwards can still be not a number.
        loss = torch.where(valid, self.error(torch.where(valid, pred, 1.), torch.where(valid, target, 1.)), 0.)
        return self.loss_weight * loss.sum() / valid.sum().clamp(min=1)

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        """(B, 1, H, W) error of each pixel."""
        raise NotImplementedError


@MODELS.register_module()
class NormalCosineLoss(_NormalLoss):
    """1 - cos of the angle between prediction and target, over the valid pixels of the batch."""

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_cosine_sim'):
        super().__init__(loss_weight, loss_name)

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        """(B, 1, H, W) error of each pixel."""
        return 1 - (F.normalize(pred, dim=1, eps=1e-6) * F.normalize(target, dim=1, eps=1e-6)).sum(1, keepdim=True)


@MODELS.register_module()
class NormalL1Loss(_NormalLoss):
    """Sum of the absolute differences of x, y and z, over the valid pixels of the batch.

    The prediction is not normalised, so that this loss also draws its length to 1.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_l1'):
        super().__init__(loss_weight, loss_name)

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        """(B, 1, H, W) error of each pixel."""
        return (pred - target).abs().sum(1, keepdim=True)
