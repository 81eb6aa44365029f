"""Loss of relative depth."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from sapiens_mm.registry import MODELS


@MODELS.register_module()
class ScaleInvariantLogLoss(nn.Module):
    """Scale-invariant logarithmic loss (Eigen et al., NeurIPS 2014, equation 4, with its root).

    With d = log target - log prediction over the M pixels of a sample whose target is above ``eps``:
    L = sqrt(sum d^2 / M - (sum d)^2 / (2 M^2)), 0 where M = 0; then the mean over the batch. Values are those of mmseg's
    ``SiLogLoss``. Its gradient is not a number where a prediction is perfect; here it is 0. Background is encoded as a target
    that is not positive, -1 by convention.

    Args:
        loss_weight: Factor.
        eps: Smallest depth. Predictions below it count as it.
        slope: Gradient of the logarithm of a prediction below ``eps``. Without one (0, as in mmseg) a network that starts with
            negative depths everywhere never learns; the logarithm's own, 1 / eps, would outweigh all other pixels. 1 is
            its slope at depth 1, where the targets end.
        loss_name: Name in the log.
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-6, slope: float = 1.0, loss_name: str = 'loss_silog'):
        super().__init__()
        if eps <= 0 or slope < 0:
            raise ValueError(f'eps must be above 0 and slope at least 0, got eps={eps}, slope={slope}')
        self.loss_weight, self.eps, self.slope, self._loss_name = loss_weight, eps, slope, loss_name

    @property
    def loss_name(self) -> str:
        """Name in the log."""
        return self._loss_name

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, **kwargs) -> Tensor:
        """The loss, a scalar.

        Args:
            pred: (B, 1, H, W).
            target: (B, 1, H, W); only values above ``eps`` count.
            weight: (B,) weights of the samples.
            **kwargs: What mmseg's decode heads pass on (``ignore_index``); not needed.

        Raises:
            ValueError: Shapes differ.
        """
        if pred.shape != target.shape:
            raise ValueError(f'prediction {tuple(pred.shape)} and target {tuple(target.shape)} must have the same shape')
        pred, target = pred.flatten(1).float(), target.flatten(1).float()
        valid = (target > self.eps) & target.isfinite() & pred.isfinite()
        pred, target = torch.where(valid, pred, 1.), torch.where(valid, target, 1.)  # log 1 = 0 and so is its gradient here
        log_pred = pred.clamp(min=self.eps).log()
        if self.slope:
            below = (pred < self.eps) * self.slope
            log_pred = log_pred + below * (pred - pred.detach()).nan_to_num()  # adds a gradient and no value
        diff = target.log() - log_pred
        count = valid.sum(1).clamp(min=1)
        mean = diff.sum(1) / count
        square = diff.pow(2).sum(1) / count - 0.5 * mean.pow(2)
        # The root's gradient is infinite at 0, and 0 times infinity is no number: such samples must not reach the root.
        has_root = ~(square <= 0)
        loss = torch.where(has_root, torch.where(has_root, square, 1.).sqrt(), 0.)
        if weight is not None:
            loss = loss * weight.float()
        return self.loss_weight * loss.mean()
