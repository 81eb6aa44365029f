"""The estimator of maps: depth, surface normals."""
from __future__ import annotations

from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor

from sapiens_mm.registry import MODELS


@MODELS.register_module()
class DenseEstimator(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` for a head that regresses a map (:class:`sapiens_mm.dense.head.MapHead`).

    A prediction goes from the head's resolution to the network input's and from there to the original picture's, both
    bilinear; what is done to it then is the head's, which also names the field of the data sample. Arguments as in mmseg;
    ``test_cfg=dict(mode='whole', flip_test=True)`` averages with the prediction on the mirrored picture.
    """

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Maps (B, K, H, W) of normalised pictures (B, 3, H, W)."""
        prediction = super().inference(inputs, batch_img_metas)
        if self.test_cfg.get('flip_test', False):
            mirrored = super().inference(inputs.flip(-1), batch_img_metas)
            prediction = (prediction + self.decode_head.unmirror(mirrored)) / 2
        return prediction

    def postprocess_result(self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Bring maps back to the pictures that they belong to.

        Args:
            seg_logits: (B, K, H, W) at the network input's size.
            data_samples: B samples whose metainfo tells padding, mirroring and the original shape; without them the maps
                stay as large as the network input.

        Returns:
            The samples with the head's fields, ``PixelData`` (K, H, W) of the original shape.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in seg_logits]
        for prediction, sample in zip(seg_logits, data_samples):
            meta = sample.metainfo
            left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
            prediction = prediction[None, :, top:prediction.shape[1] - bottom, left:prediction.shape[2] - right]
            if meta.get('flip'):
                if meta.get('flip_direction') != 'horizontal':
                    raise ValueError('maps of mirrored pictures can be turned back from flip_direction horizontal only, got '
                                     f'{meta.get("flip_direction")}')
                prediction = self.decode_head.unmirror(prediction)
            if 'ori_shape' in meta:
                prediction = resize(prediction, size=meta['ori_shape'][:2], mode='bilinear', align_corners=self.align_corners)
            fields = self.decode_head.to_fields(prediction[0])
            sample.set_data({name: PixelData(data=data) for name, data in fields.items()})
        return data_samples
