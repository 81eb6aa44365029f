"""Part segmentation of large pictures in little memory."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from sapiens_mm.registry import MODELS
from sapiens_mm.seg.row_resize import argmax_resized


@MODELS.register_module()
class SapiensPartsSegmentor(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` that gives the same labels without a logit map of the picture's size.

    Logits are resized twice, from the head to the network's input and from there to the picture (Khirodkar et al., ECCV 2024,
    released code), a few rows at a time. Labels are stored as uint8 where there are at most 256 classes.

    Args:
        keep_logits: Also store ``seg_logits``, 4 C H W bytes of each picture, as ``EncoderDecoder`` does. Averaging over
            augmented copies (``SegTTAModel``) needs them.
        *args, **kwargs: Of ``EncoderDecoder``.
    """

    def __init__(self, *args, keep_logits: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.keep_logits = keep_logits

    def predict(self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None) -> list[SegDataSample]:
        """As in mmseg.

        Args:
            inputs: (B, 3, H, W), normalised.
            data_samples: B samples whose ``ori_shape`` is the size of the result; the size of ``inputs`` where None.

        Returns:
            The samples with ``pred_sem_seg``, (1, H, W) labels.
        """
        head = type(self.decode_head)
        ours = head.predict is BaseDecodeHead.predict and head.predict_by_feat is BaseDecodeHead.predict_by_feat
        if not self._by_rows or not ours or (self.test_cfg or {}).get('mode', 'whole') != 'whole':
            return super().predict(inputs, data_samples)
        metas = [sample.metainfo for sample in data_samples or ()] or [dict(img_shape=tuple(inputs.shape[2:]))]
        logits = self.decode_head(self.extract_feat(inputs))
        # The head says to which size it would resize; nothing is computed on this device.
        size = self.decode_head.predict_by_feat(torch.empty_like(logits, device='meta'), metas).shape[2:]
        return self.postprocess_result(logits, data_samples, tuple(size))

    @property
    def _by_rows(self) -> bool:
        return not self.keep_logits and not self.align_corners and self.out_channels > 1

    def postprocess_result(self, seg_logits: Tensor, data_samples: Sequence[SegDataSample] | None = None,
                           size: tuple[int, int] | None = None) -> list[SegDataSample]:
        """As in mmseg: take padding and mirroring back, resize to ``ori_shape``, choose the classes.

        Args:
            seg_logits: (B, C, H, W).
            data_samples: B samples, which get ``pred_sem_seg``.
            size: (H, W) of the network's input where ``seg_logits`` have not been resized to it yet.
        """
        if not self._by_rows:
            if size is not None:
                seg_logits = F.interpolate(seg_logits, size, mode='bilinear', align_corners=self.align_corners)
            return super().postprocess_result(seg_logits, data_samples)
        size = tuple(seg_logits.shape[2:]) if size is None else size
        dtype = torch.uint8 if seg_logits.shape[1] <= 256 else torch.int64
        samples = [SegDataSample() for _ in seg_logits] if data_samples is None else data_samples
        for i, sample in enumerate(samples):
            logits, sizes, meta = seg_logits[i:i + 1], [size], sample.metainfo
            padding = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
            if any(padding) or meta.get('flip'):
                logits, sizes = _undo(F.interpolate(logits, size, mode='bilinear', align_corners=False), padding, meta), []
            if data_samples is not None:
                sizes.append(tuple(meta['ori_shape'][:2]))
            sample.set_data(dict(pred_sem_seg=PixelData(data=argmax_resized(logits, sizes, dtype))))
        return samples


def _undo(logits: Tensor, padding: Sequence[int], meta: dict) -> Tensor:
    """Cut padding (left, right, top, bottom) off a map of the network's size and mirror it back."""
    left, right, top, bottom = padding
    logits = logits[:, :, top:logits.shape[2] - bottom, left:logits.shape[3] - right]
    if meta.get('flip'):
        direction = meta.get('flip_direction')
        if direction not in ('horizontal', 'vertical'):
            raise ValueError(f"a mirrored picture needs flip_direction 'horizontal' or 'vertical', got {direction!r}")
        logits = logits.flip(3 if direction == 'horizontal' else 2)
    return logits
