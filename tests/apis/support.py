"""Tiny models, their configs and checkpoints in every form that the release has."""
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine import Config
from mmengine.registry import MODELS, DefaultScope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from PIL import Image

from sapiens_mm.pose.skeletons import get_skeleton
from tests.support import ROOT

SIZE = (96, 64)  # H, W of the tiny network's input
LEAF = '''
_base_ = [{bases}]
codec = dict(type='UDPHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=2)
train_pipeline, val_pipeline = _base_.train_pipeline, _base_.val_pipeline
val_pipeline[2].input_size = codec['input_size']
val_dataloader = test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=val_pipeline))
model = dict(
    backbone=dict(arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=48), img_size=(96, 64)),
    head=dict(in_channels=32, out_channels={keypoints}, deconv_out_channels=(16, 16), conv_out_channels=(16, 16), decoder=codec))
'''
DATA = {17: 'coco', 133: 'coco_wholebody', 308: 'keypoints308'}


def pose_config(folder, keypoints=308, **model) -> Path:
    """Write a tiny pose config; returns its path."""
    bases = ['models/sapiens_pose.py', f'datasets/pose_{DATA[keypoints]}.py', 'schedules/pose_210e.py', 'pose_runtime.py']
    path = Path(folder) / f'tiny_pose_{keypoints}.py'
    path.write_text(LEAF.format(bases=', '.join(repr(str(ROOT / 'configs/_base_' / b)) for b in bases), keypoints=keypoints))
    return path


def build(config) -> torch.nn.Module:
    """The model of a config with random weights that give peaks anywhere."""
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            model = registry.build(cfg.model)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.5 if 'final_layer' in name or 'conv_seg' in name else 0.2)
    return model.eval()


def write_pose(folder, keypoints=308) -> tuple[Path, Path]:
    """A tiny pose config and a fine-tuned checkpoint as the release writes it, numpy meta information included."""
    config = pose_config(folder, keypoints)
    path = Path(folder) / f'tiny_pose_{keypoints}.pth'
    meta = dict(dataset_meta=parse_pose_metainfo(get_skeleton(keypoints).dataset_info()))
    torch.save(dict(state_dict=build(config).state_dict(), meta=meta), path)
    return config, path


def raw_pretraining(backbone: torch.nn.Module) -> dict:
    """Weights of pre-training for a backbone: class token, square position table, decoder."""
    state = {f'backbone.{k}': v.clone() for k, v in backbone.state_dict().items()}
    width = backbone.embed_dims
    state['backbone.cls_token'] = torch.randn(1, 1, width)
    state['backbone.pos_embed'] = torch.randn(1, 17, width)
    state['neck.mask_token'] = torch.randn(1, 1, 8)
    state['neck.decoder_pred.weight'] = torch.randn(768, 8)
    return state


def picture(height=120, width=90, seed=0) -> np.ndarray:
    """A smooth BGR picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def write_pictures(folder) -> list[Path]:
    """One picture in forms that readers handle differently: turned, grey, 16 bits, CMYK, with alpha, wide, tiny."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = picture()
    rgb = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb.save(folder / f'exif{orientation}.jpg', exif=exif, quality=98)
    rgb.convert('CMYK').save(folder / 'cmyk.jpg', quality=98)
    for name, array in dict(bits16=image.astype(np.uint16) * 257, grey=image[..., 0], grey16=image[..., 0].astype(np.uint16) * 255,
                            alpha=np.dstack([image, image[..., 0]]), wide=picture(20, 200), tiny=picture(3, 5)).items():
        cv2.imwrite(str(folder / f'{name}.png'), array)
    return sorted(folder.iterdir())


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, 'w')


DENSE_LEAF = '''
_base_ = [{bases}]
size = (64, 96)
test_pipeline = _base_.test_pipeline
for step in test_pipeline:
    if step['type'] == 'sapiens_mm.DenseResize':
        step.update(scale=size)
model = dict(
    data_preprocessor=dict(size=size[::-1]),
    backbone=dict(arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=48), img_size=size[::-1],
                  patch_padding={padding}),
    decode_head=dict(in_channels=32, {head}deconv_out_channels=(16, ), deconv_kernel_sizes=(4, ), conv_out_channels=(16, ),
                     conv_kernel_sizes=(1, )))
val_dataloader = test_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
'''
DENSE = dict(parts=('parts28', "num_classes=28, loss_decode={{_base_.parts_loss}}, ", 0), depth=('depth_general', '', 0),
             normal=('normal_general', '', 2))


def write_dense(folder, task) -> tuple[Path, Path]:
    """A tiny config and checkpoint of parts, depth or normals."""
    data, head, padding = DENSE[task]
    bases = [f'models/sapiens_{task}.py', f'datasets/{data}.py', 'schedules/dense_200e.py', 'dense_runtime.py']
    config, path = Path(folder) / f'tiny_{task}.py', Path(folder) / f'tiny_{task}.pth'
    config.write_text(DENSE_LEAF.format(bases=', '.join(repr(str(ROOT / 'configs/_base_' / b)) for b in bases), head=head,
                                        padding=padding))
    torch.save(dict(state_dict=build(config).state_dict(), meta={}), path)
    return config, path
