"""Features of the backbone."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.model import ImgDataPreprocessor
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from sapiens_mm.apis.base import Prepared, SapiensBaseInferencer
from sapiens_mm.apis.inputs import Item
from sapiens_mm.apis.outputs import write_array
from sapiens_mm.engine.checkpoint import load_backbone
from sapiens_mm.engine.model_cards import check_belongs


class FeatureInferencer(SapiensBaseInferencer):
    """Feature maps of pictures, from the backbone of any config: pre-training or a task.

    The whole picture is resized to the network's input, its aspect ratio not kept, as the tasks on whole pictures do it.

    Args:
        model, weights, device, **kwargs: See :class:`sapiens_mm.apis.base.SapiensBaseInferencer`. ``weights`` may be a bare
            backbone, a raw pre-training file or a fine-tuned model.

    A prediction is a dict: ``features`` (C, H / P, W / P) float32 of the last layer, ``pooled`` (C,), their mean over the map.
    Calls take ``fmt``: ``'npy'`` (the map), ``'npz'`` (the map, compressed) or ``'pooled'`` (``.npy`` of the vector).
    """

    task = 'features'
    default_scope = 'mmengine'
    write_options = frozenset({'fmt'})
    formats = ('npy', 'npz', 'pooled')

    def _init_model(self, cfg, weights, device='cpu'):
        card = check_belongs(dict(model=dict(backbone=cfg.model.backbone)), weights, self.config_name)
        padding = cfg.model.backbone.get('patch_padding')
        if card is not None and card.patch_padding != padding:  # fine-tuning may change that of a pre-trained model, features not
            raise ValueError(f'{weights} is the released model {card.name} with patch_padding {card.patch_padding}, and '
                             f'{self.config_name} has patch_padding {padding}, which would move its features. Its config is '
                             f'configs/{card.config}')
        if weights.endswith(('.pt2', '.onnx')):
            raise ValueError('features come from a checkpoint, not from an exported model')
        self.device = torch.device(device)
        self._device_type, self.checkpoint_meta = self.device.type, {}
        backbone = dict(cfg.model.backbone, out_type='featmap', out_indices=-1, with_cp=False, drop_path_rate=0.)
        backbone.pop('init_cfg', None)
        with DefaultScope.overwrite_default_scope(self.default_scope):
            model = nn.Module()
            model.backbone = MODELS.build(backbone)
        self.load_report = load_backbone(model.backbone, weights, trusted=self._trusted)
        stats = cfg.model.data_preprocessor
        model.data_preprocessor = ImgDataPreprocessor(mean=stats['mean'], std=stats['std'], bgr_to_rgb=True)
        model.to(device).eval()
        if self._compile:
            for block in model.backbone.layers:
                block.compile()
        return model

    def _init_pipeline(self, cfg):
        self.input_size = self.model.backbone.img_size
        return None

    def _prepare_options(self, source, kwargs: dict) -> dict:
        if kwargs.get('fmt', 'npy') not in self.formats:
            raise ValueError(f'fmt must be one of {", ".join(self.formats)}, got {kwargs["fmt"]!r}')
        return {}

    @torch.no_grad()
    def forward(self, inputs: list, **kwargs) -> list:
        """(3, H, W) uint8 BGR tensors to (C, h, w) float32."""
        with self._autocast():
            data = self.model.data_preprocessor(dict(inputs=inputs))['inputs']
            return list(self.model.backbone(data)[0].float().cpu())

    def prepare(self, item: Item, image: np.ndarray) -> Prepared:
        """The picture at the network's size."""
        height, width = self.input_size
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return Prepared(item, image, [torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))])

    def finish(self, prepared: Prepared) -> dict:
        """The features as arrays."""
        features = prepared.results[0].numpy()
        return dict(features=features, pooled=features.mean((1, 2)))

    def to_dict(self, prediction: dict, item: Item, image: np.ndarray) -> dict:
        """The prediction with the picture's name and size."""
        return dict(image=item.path or item.name, width=image.shape[1], height=image.shape[0], **prediction)

    def draw(self, image: np.ndarray, prediction: dict) -> np.ndarray:
        """The first three principal components of the picture's features as colours, at its size."""
        features = prediction['features'].reshape(len(prediction['features']), -1).T
        _, _, axes = np.linalg.svd(features - features.mean(0), full_matrices=False)
        colors = (features - features.mean(0)) @ axes[:3].T
        low, high = np.percentile(colors, 1, axis=0), np.percentile(colors, 99, axis=0)
        colors = ((colors - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
        colors = (colors.reshape(*prediction['features'].shape[1:], -1) * 255).astype(np.uint8)
        return cv2.resize(colors, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)

    def done_file(self, folder: Path, name: str, fmt: str = 'npy') -> Path:
        """``NAME.npy`` or ``NAME.npz``."""
        return folder / f'{name}.{"npz" if fmt == "npz" else "npy"}'

    def write(self, folder: Path, name: str, prediction: dict, item: Item, image: np.ndarray, fmt: str = 'npy') -> None:
        """The map or the vector."""
        write_array(self.done_file(folder, name, fmt), prediction['pooled' if fmt == 'pooled' else 'features'])
