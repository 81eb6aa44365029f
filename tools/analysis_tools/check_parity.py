"""Hold this package against outputs of the reference implementation.

A directory of cases has a ``cases.json`` with each case's settings and one ``NAME.safetensors`` with its tensors: weights under
``weights.KEY``, inputs and expected outputs. What a case is follows from the start of its name; sizes come from its settings and
tensors, so that cases with other seeds and sizes run too.
"""
from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)

TOLERANCE = 1e-5
KEYPOINT_TOLERANCE = 0.01  # pixels
Tensors = dict[str, Tensor]


@dataclass
class Check:
    """One comparison: what, by how much it is off, and how much it may be."""

    what: str
    absolute: float
    relative: float
    passed: bool
    note: str = ''


def compare(what: str, got: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> Check:
    """Largest difference, absolute and relative to the largest expected value; shapes must agree, not-a-number never passes."""
    if got.shape != expected.shape:
        return Check(what, math.inf, math.inf, False, f'shape {tuple(got.shape)}, expected {tuple(expected.shape)}')
    got, expected = got.detach().double(), expected.double()
    absolute = (got - expected).abs().max().item() if got.numel() else 0.
    scale = expected.abs().max().item() if got.numel() else 0.
    relative = absolute / scale if scale else (0. if absolute == 0 else math.inf)
    return Check(what, absolute, relative, relative <= tolerance)


def weights(tensors: Tensors, prefix: str = 'weights.') -> Tensors:
    """The state dict of a case, without its prefix."""
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


def _build(cfg: dict, scope: str) -> torch.nn.Module:
    from mmengine.registry import MODELS, DefaultScope
    with DefaultScope.overwrite_default_scope(scope):
        with MODELS.switch_scope_and_registry(scope) as registry:
            return registry.build(cfg)


def backbone_cfg(case: dict, img_size, **kwargs) -> dict:
    """Config of a case's backbone; ``img_size`` is (H, W)."""
    return dict(type='sapiens_mm.SapiensViT', arch=case['arch'], img_size=tuple(img_size),
                patch_size=case.get('patch_size', 16), patch_padding=case.get('patch_padding', 0),
                with_cls_token=case.get('with_cls_token', False), final_norm=case.get('final_norm', True), **kwargs)


def decoder_layers(state: Tensors) -> dict:
    """Channels and kernel sizes of a decoder's layers, read off its weights."""

    def layers(stem: str) -> list[Tensor]:
        found = {int(m[1]): v for k, v in state.items() if (m := re.fullmatch(rf'{stem}_layers\.(\d+)\.weight', k))}
        return [found[i] for i in sorted(found)]

    deconvs, convs = layers('deconv'), layers('conv')
    return dict(deconv_out_channels=[w.shape[1] for w in deconvs], deconv_kernel_sizes=[w.shape[2] for w in deconvs],
                conv_out_channels=[w.shape[0] for w in convs], conv_kernel_sizes=[w.shape[2] for w in convs])


def pose_head_cfg(state: Tensors, in_channels: int, **kwargs) -> dict:
    """Config of the pose head that these weights belong to."""
    return dict(type='sapiens_mm.SapiensPoseHead', in_channels=in_channels, out_channels=len(state['final_layer.weight']),
                **decoder_layers(state), **kwargs)


def run_vit(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Backbone on the size it is built for, and on another."""
    from sapiens_mm.registry import MODELS
    model = MODELS.build(backbone_cfg(case, case['img_size'])).eval()
    model.load_state_dict(weights(tensors))
    for name in ('', 'other_'):
        if f'{name}input' in tensors:
            yield compare(f'{name}output', model(tensors[f'{name}input'])[0], tensors[f'{name}output'])


def run_pretrain_pos_embed(case: dict, tensors: Tensors) -> Iterator[Check]:
    """A pre-training position table on its way into a fine-tuning backbone."""
    from sapiens_mm.registry import MODELS
    width = tensors['pos_embed'].shape[2]
    model = MODELS.build(dict(
        type='sapiens_mm.SapiensViT', img_size=[16 * side for side in case['dst_grid']], patch_padding=0,
        arch=dict(embed_dims=width, num_layers=1, num_heads=1, feedforward_channels=width)))
    model.load_state_dict({**model.state_dict(), 'pos_embed': tensors['pos_embed'].clone()})
    yield compare('loaded', model.pos_embed, tensors['loaded'])


def run_pose_head(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Pose head on a feature map."""
    state = weights(tensors)
    head = _build(pose_head_cfg(state, tensors['input'].shape[1]), 'mmpose').eval()
    head.load_state_dict(state)
    yield compare('output', head((tensors['input'], )), tensors['output'])


def run_pose_model(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Crop to keypoints in the original image: preprocessing, network, flip test, decoding."""
    import numpy as np
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    state = weights(tensors)
    height, width = tensors['image'].shape[1:]
    head = {k[5:]: v for k, v in state.items() if k.startswith('head.')}
    codec = dict(type='UDPHeatmap', input_size=(width, height), heatmap_size=tuple(case['heatmap_size']), sigma=case['sigma'],
                 blur_kernel_size=case['blur_kernel_size'])
    model = _build(dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                               bgr_to_rgb=True),
        backbone=backbone_cfg(case, (height, width)),
        head=pose_head_cfg(head, case['arch']['embed_dims'], decoder=codec),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False, output_heatmaps=True)), 'mmpose').eval()
    model.load_state_dict(state)
    center, scale = (np.array(case[key], dtype=np.float32) for key in ('input_center', 'input_scale'))
    sample = PoseDataSample(metainfo=dict(input_center=center, input_scale=scale, input_size=(width, height),
                                          img_shape=(height, width), flip_indices=case['flip_indices']))
    sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4), np.float32), bbox_scores=np.ones(1, np.float32),
                                       bbox_centers=center[None], bbox_scales=scale[None])
    with torch.no_grad():
        sample = model.test_step(dict(inputs=[tensors['image']], data_samples=[sample]))[0]
    heatmaps = tensors['heatmaps'].float()
    yield compare('heatmaps', sample.pred_fields.heatmaps, heatmaps)
    yield compare('scores', torch.as_tensor(sample.pred_instances.keypoint_scores), tensors['scores'])

    # The refinement divides by the curvature at the peak. Where that is near 0 it moves by whole pixels and means nothing.
    expected, got = (torch.as_tensor(k).double()[0] for k in (tensors['keypoints'], sample.pred_instances.keypoints))
    flat = heatmaps.flatten(1).argmax(1)
    peaks = torch.stack([flat % heatmaps.shape[2], flat // heatmaps.shape[2]], 1)
    size = torch.tensor(case['heatmap_size']) - 1
    steps = (expected - torch.tensor(center) + 0.5 * torch.tensor(scale)) / torch.tensor(scale) * size - peaks
    good = (steps.abs() < 1).all(1)
    error = (got - expected)[good].abs().max().item() if good.any() else math.nan
    yield Check('keypoints', error, error / expected.abs().max().item(), error <= KEYPOINT_TOLERANCE,
                f'pixels, over {int(good.sum())} of {len(good)} points that are well conditioned')


def dense_head_cfg(kind: str, state: Tensors, in_channels: int, **kwargs) -> dict:
    """Config of the head of ``'seg'``, ``'depth'`` or ``'normal'`` that these weights belong to."""
    if kind == 'seg':
        kwargs['num_classes'] = len(state['conv_seg.weight'])
    kinds = dict(seg='SapiensPartsHead', depth='SapiensDepthHead', normal='SapiensNormalHead')
    # Losses play no part in the comparison.
    return dict(type=f'sapiens_mm.{kinds[kind]}', in_channels=in_channels, loss_decode=dict(type='CrossEntropyLoss'),
                **decoder_layers(state), **kwargs)


def run_dense_head(kind: str, case: dict, tensors: Tensors) -> Iterator[Check]:
    """Head of body parts, depth or normals on a feature map."""
    state = weights(tensors)
    head = _build(dense_head_cfg(kind, state, tensors['input'].shape[1]), 'mmseg').eval()
    head.load_state_dict(state)
    yield compare('output', head((tensors['input'], )), tensors['output'])


def run_dense_model(kind: str, case: dict, tensors: Tensors) -> Iterator[Check]:
    """Picture to parts, depth or normals at the original size: preprocessing, network, both resizes."""
    from mmengine.config import ConfigDict
    from mmseg.structures import SegDataSample
    state = weights(tensors)
    height, width = tensors['image'].shape[1:]
    head = {k[12:]: v for k, v in state.items() if k.startswith('decode_head.')}
    model = _build(dict(
        type='EncoderDecoder' if kind == 'seg' else 'sapiens_mm.DenseEstimator',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                               bgr_to_rgb=True),
        backbone=backbone_cfg(case, (height, width)),
        decode_head=dense_head_cfg(kind, head, case['arch']['embed_dims']),
        test_cfg=ConfigDict(mode='whole')), 'mmseg').eval()
    model.load_state_dict(state)
    sample = SegDataSample(metainfo=dict(ori_shape=tuple(case['ori_shape']), img_shape=(height, width)))
    with torch.no_grad():
        sample = model.test_step(dict(inputs=[tensors['image']], data_samples=[sample]))[0]
    if kind != 'seg':
        raw = sample.get('pred_depth_map' if kind == 'depth' else 'pred_normal_raw').data
        yield compare('raw', raw, tensors['raw'].reshape(raw.shape))
        if kind == 'normal':
            unit = sample.pred_normal_map.data
            yield compare('normal', unit, tensors['normal'].reshape(unit.shape))
        return
    logits, labels = tensors['logits'].reshape(sample.seg_logits.data.shape), tensors['labels'].reshape(case['ori_shape'])
    yield compare('logits', sample.seg_logits.data, logits)
    best = logits.topk(2, dim=0).values
    clear = best[0] - best[1] > TOLERANCE * logits.abs().max()
    wrong = int(((sample.pred_sem_seg.data[0] != labels) & clear).sum())
    yield Check('labels', wrong, wrong / int(clear.sum()), wrong == 0, f'pixels, of {int(clear.sum())} that are not a tie')


def run_loss_pose(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Heatmap losses."""
    for name, cfg in (('mse', dict(type='KeypointMSELoss', use_target_weight=True)),
                      ('ohkm', dict(type='sapiens_mm.KeypointOHKMMSELoss', use_target_weight=True, topk=case.get('topk', 128)))):
        loss = _build(cfg, 'mmpose')(tensors['pred'], tensors['target'], tensors['weight'])
        yield compare(name, loss, tensors[name])


def run_loss_seg(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Weighted cross-entropy, averaged over every pixel as mmengine does."""
    loss = _build(dict(type='CrossEntropyLoss', reduction='none', class_weight=case.get('class_weight')), 'mmseg')
    value = loss(tensors['logits'], tensors['labels'].long(), ignore_index=case.get('ignore_index', 255)).mean()
    yield compare('loss', value, tensors['loss'])


def run_loss_depth(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Scale-invariant logarithmic loss."""
    from sapiens_mm.registry import MODELS
    loss = MODELS.build(dict(type='ScaleInvariantLogLoss'))
    yield compare('loss', loss(tensors['pred'], tensors['target']), tensors['loss'])


def run_loss_normal(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Losses of surface normals."""
    from sapiens_mm.registry import MODELS
    for name, kind in (('cosine', 'NormalCosineLoss'), ('l1', 'NormalL1Loss')):
        yield compare(name, MODELS.build(dict(type=kind))(tensors['pred'], tensors['target']), tensors[name])


def run_layer_decay(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Learning rate and weight decay of every parameter of a pose model."""
    from mmengine.optim import build_optim_wrapper
    said = re.search(r'base lr ([\d.e-]+), weight decay ([\d.e-]+), decay rate ([\d.e-]+)', case.get('about', ''))
    lr, weight_decay, rate = (case.get(key, said and float(said[i])) for i, key in
                              enumerate(('base_lr', 'weight_decay', 'decay_rate'), 1))
    stems = [sum(bool(re.fullmatch(rf'head\.{stem}_layers\.\d+\.weight', name)) for name in case['params'])
             for stem in ('deconv', 'conv')]
    model = _build(dict(
        type='TopdownPoseEstimator', backbone=backbone_cfg(case, (64, 48)),
        head=dict(type='sapiens_mm.SapiensPoseHead', in_channels=case['arch']['embed_dims'], out_channels=17,
                  deconv_out_channels=[16] * stems[0], deconv_kernel_sizes=[4] * stems[0],
                  conv_out_channels=[16] * stems[1], conv_kernel_sizes=[1] * stems[1])), 'mmpose')
    wrapper = build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=dict(type='AdamW', lr=lr, weight_decay=weight_decay),
        constructor='sapiens_mm.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=rate)))
    got = {n: (g['lr'], g['weight_decay']) for g in wrapper.param_groups for n in g.get('param_names', ())}
    wrong_names = set(got) ^ set(case['params'])
    yield Check('names', len(wrong_names), len(wrong_names) / len(case['params']), not wrong_names,
                ', '.join(sorted(wrong_names)[:5]))
    both = sorted(set(got) & set(case['params']))
    table = torch.tensor([got[n] for n in both], dtype=torch.double)
    expected = torch.tensor([case['params'][n] for n in both], dtype=torch.double)
    for i, what in enumerate(('learning rate', 'weight decay')):
        yield compare(what, table[:, i], expected[:, i], tolerance=1e-9)


def run_mae(case: dict, tensors: Tensors) -> Iterator[Check]:
    """Masked auto-encoder with given noise."""
    state, side = weights(tensors), tensors['input'].shape[-1]
    decoder, width = case['decoder'], case['arch']['embed_dims']
    patch_size = state['backbone.patch_embed.projection.weight'].shape[-1]
    model = _build(dict(
        type='sapiens_mm.MaskedAutoencoder', mask_ratio=case['mask_ratio'],
        backbone=dict(type='sapiens_mm.SapiensViT', arch=case['arch'], img_size=side, patch_size=patch_size,
                      patch_padding=0, with_cls_token=True, out_type='raw'),
        neck=dict(type='sapiens_mm.MAEDecoder', num_patches=(side // patch_size)**2, patch_size=patch_size, embed_dim=width,
                  decoder_embed_dim=decoder['embed_dim'], decoder_depth=decoder['depth'],
                  decoder_num_heads=decoder['num_heads'],
                  mlp_ratio=len(state['neck.decoder_blocks.0.ffn.layers.0.0.bias']) // decoder['embed_dim']),
        head=dict(type='MAEPretrainHead', norm_pix=case['norm_pix'], patch_size=patch_size,
                  loss=dict(type='PixelReconstructionLoss', criterion='L2'))), 'mmpretrain').eval()
    model.load_state_dict(state)
    with torch.no_grad():
        latent, mask, ids_restore = model.encode_visible(tensors['input'], tensors['noise'])
        pred = model.neck(latent, ids_restore)
        loss = model.loss(tensors['input'], noise=tensors['noise'])['loss']
    for name, got in dict(mask=mask, ids_restore=ids_restore, latent=latent, pred=pred, loss=loss).items():
        yield compare(name, got, tensors[name], TOLERANCE if got.is_floating_point() and name != 'mask' else 0.)


# What a case's name starts with -> how it is run. The longest that fits counts.
RUNNERS: dict[str, Callable[[dict, Tensors], Iterator[Check]]] = dict(
    vit=run_vit,
    pretrain_pos_embed=run_pretrain_pos_embed,
    pose_head=run_pose_head,
    pose_model=run_pose_model,
    **{f'{kind}_head': partial(run_dense_head, kind) for kind in ('seg', 'depth', 'normal')},
    **{f'{kind}_model': partial(run_dense_model, kind) for kind in ('seg', 'depth', 'normal')},
    loss_pose=run_loss_pose,
    loss_seg=run_loss_seg,
    loss_depth=run_loss_depth,
    loss_normal=run_loss_normal,
    layer_decay=run_layer_decay,
    mae=run_mae,
)


def find_runner(name: str) -> Callable[[dict, Tensors], Iterator[Check]] | None:
    """How a case of this name is run, or None where it cannot be run yet."""
    kinds = [kind for kind in RUNNERS if name.startswith(kind)]
    return RUNNERS[max(kinds, key=len)] if kinds else None


def read_cases(directory: str | Path) -> dict[str, dict]:
    """Name -> settings of the cases of a directory; raises ``FileNotFoundError`` where there are none."""
    path = Path(directory) / 'cases.json'
    if not path.is_file():
        raise FileNotFoundError(f'{path} not found; a directory of cases has one beside its .safetensors files')
    return json.loads(path.read_text())


def run_case(directory: str | Path, name: str, case: dict) -> list[Check]:
    """Run one case; a case that breaks is a failed check, not an error."""
    from safetensors.torch import load_file
    path = Path(directory) / f'{name}.safetensors'
    try:
        torch.manual_seed(0)
        return list(find_runner(name)(case, load_file(path) if path.exists() else {}))
    except Exception as error:
        return [Check('run', math.inf, math.inf, False, f'{type(error).__name__}: {error}')]


def main() -> int:
    """Print the worst error of every case; 0 if all that can run pass."""
    parser = argparse.ArgumentParser(description='Compare with outputs of the reference implementation')
    parser.add_argument('directory', help='directory with cases.json and NAME.safetensors')
    parser.add_argument('--verbose', action='store_true', help='every comparison, not only the worst of each case')
    args = parser.parse_args()
    try:
        cases = read_cases(args.directory)
    except (FileNotFoundError, json.JSONDecodeError) as error:
        print(f'check_parity: {error}', file=sys.stderr)
        return 2
    failed, not_yet = [], []
    print(f'{"case":<24}{"worst in":<16}{"absolute":>12}{"relative":>12}')
    for name, case in cases.items():
        if find_runner(name) is None:
            not_yet.append(name)
            continue
        checks = run_case(args.directory, name, case)
        if not checks:
            checks = [Check('run', math.inf, math.inf, False, 'nothing to compare in this case')]
        if not all(c.passed for c in checks):
            failed.append(name)
        worst = max(checks, key=lambda c: (not c.passed, c.relative))
        for check in checks if args.verbose else [worst]:
            print(f'{name:<24}{check.what:<16}{check.absolute:>12.3g}{check.relative:>12.3g}'
                  f'{"" if check.passed else "  FAILED"}  {check.note}')
    if not_yet:
        print(f'cannot run yet: {", ".join(not_yet)}')
    print(f'{len(cases) - len(failed) - len(not_yet)} passed, {len(failed)} failed' + (f': {", ".join(failed)}' if failed else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
