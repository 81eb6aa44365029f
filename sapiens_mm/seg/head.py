"""The head for body parts: feature map to one logit map per class."""
from __future__ import annotations

from collections.abc import Sequence

from mmseg.structures import SegDataSample
from torch import Tensor

from sapiens_mm.dense.head import DenseHead
from sapiens_mm.registry import MODELS


@MODELS.register_module()
class SapiensPartsHead(DenseHead):
    """Logits of K classes, for mmseg's ``EncoderDecoder``: (B, C, 64, 48) to (B, K, 512, 384) in the released models.

    Losses and prediction are mmseg's; arguments as in :class:`sapiens_mm.dense.head.DenseHead`.
    """

    def _stack_batch_gt(self, batch_data_samples: Sequence[SegDataSample]) -> Tensor:
        # Labels travel as uint8; losses index with them, and uint8 would be a mask.
        return super()._stack_batch_gt(batch_data_samples).long()
