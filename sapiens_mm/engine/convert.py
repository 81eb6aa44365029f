"""Checkpoints from any form into any other."""
from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from mmengine.config import Config

from sapiens_mm.engine.atomic_file import atomic_path
from sapiens_mm.engine.checkpoint import (
    backbone_names,
    bare_backbone,
    damage,
    fit_state_dict,
    mismatch,
    persistent_shapes,
    read_checkpoint,
    whole_model,
)
from sapiens_mm.engine.model_cards import check_belongs

_DTYPES = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


def _plain(value):
    """Meta information as json knows it; what it does not know becomes text."""
    try:
        return json.loads(json.dumps(value, default=lambda v: v.tolist() if hasattr(v, 'tolist') else str(v)))
    except (TypeError, ValueError):
        return str(value)


def convert(source: str,
            target: str | os.PathLike,
            what: str = 'model',
            weights: str = 'averaged',
            dtype: str | None = None,
            config: str | None = None,
            trusted: bool = False) -> dict:
    """Write a checkpoint in another form; training's state (optimizer, schedules, message hub) stays behind.

    Args:
        source: See :func:`sapiens_mm.engine.checkpoint.read_checkpoint`.
        target: ``.pth`` or ``.safetensors``. A model becomes ``{'state_dict', 'meta'}`` in a .pth, as mmengine's tools and the
            release have it; a backbone becomes a bare dict, as the release has it.
        what: ``'model'`` keeps all weights, ``'backbone'`` those of the backbone under their bare names.
        weights: Where the file has two sets: ``'averaged'`` (EMA) or ``'raw'``, those that were being trained.
        dtype: ``'fp32'``, ``'fp16'`` or ``'bf16'``; as in the file where None.
        config: A config whose model the result must fill exactly.
        trusted: See :func:`sapiens_mm.engine.checkpoint.read_checkpoint`.

    Returns:
        Report: ``source``, ``target``, ``held`` (the model in words), ``written`` and ``left_out`` (name -> shape) and
        ``entries_left_out``.

    Raises:
        FileNotFoundError, ValueError: The source cannot be read; it lacks what is asked for; its backbone is incomplete or
            damaged; it does not fill the config's model.
    """
    target = Path(target)
    if target.suffix not in ('.pth', '.safetensors'):
        raise ValueError(f'{target} should end in .pth or .safetensors')
    if what not in ('model', 'backbone') or weights not in ('averaged', 'raw') or dtype not in (None, *_DTYPES):
        raise ValueError(f'what is model or backbone, weights averaged or raw, dtype {", ".join(_DTYPES)}; '
                         f'got {what}, {weights}, {dtype}')
    checkpoint = read_checkpoint(source, trusted)
    if weights == 'raw' and checkpoint.raw_state_dict is None:
        raise ValueError(f'{source} holds one set of weights only; leave weights=raw out')
    given = checkpoint.raw_state_dict if weights == 'raw' else checkpoint.state_dict
    everything = whole_model(given)
    state = bare_backbone(everything) if what == 'backbone' else dict(everything)
    if not state or not backbone_names(state):
        raise ValueError(f'{source} has no backbone of the family; its weights are called {", ".join(list(everything)[:4])} ...')
    if what == 'model' and not any(n.startswith('backbone.') for n in state):
        rest = len(state) - len(backbone_names(state))
        raise ValueError(f'{source} holds a bare backbone, not a whole model; give what=backbone' if not rest else
                         f"{source} is no whole model: its backbone's weights lack the prefix 'backbone.' that {rest} others have "
                         'a place beside; give what=backbone for that part of it')
    trouble = damage(state) or _incomplete(bare_backbone(state))
    if trouble:
        raise ValueError(f'{source} is of no use: {trouble}')
    if config is not None:
        _check(config, source, state, what)
    if dtype is not None:
        state = {n: v.to(_DTYPES[dtype]) if v.is_floating_point() else v for n, v in state.items()}
    # one storage each: parts of a larger tensor would be written with all of it, or not at all
    state = {n: v.detach().clone().contiguous() for n, v in state.items()}
    with atomic_path(target) as path:
        if target.suffix == '.safetensors':
            from safetensors.torch import save_file
            meta = {k: v if isinstance(v, str) else json.dumps(_plain(v)) for k, v in checkpoint.meta.items()}
            save_file(state, str(path), metadata={'format': 'pt', **meta})
        else:
            torch.save(state if what == 'backbone' else dict(state_dict=state, meta=_plain(checkpoint.meta)), path)
    shapes = {n: list(v.shape) for n, v in state.items()}
    kept = set(shapes) | {f'backbone.{n}' for n in shapes if what == 'backbone'}
    return dict(
        source=str(source), target=str(target), held=checkpoint.describe(), what=what, weights=weights,
        written=shapes, left_out={n: list(v.shape) for n, v in everything.items() if n not in kept},
        entries_left_out=list(checkpoint.left_out))


def _incomplete(backbone: dict) -> str | None:
    """What a backbone's weights lack or have too many, by the model that their shapes tell; any position table counts."""
    from sapiens_mm.backbones.sapiens_vit import SapiensViT
    shapes = {n: tuple(v.shape) for n, v in backbone.items()}
    patch, hidden = shapes.get('patch_embed.projection.weight', ()), shapes.get('layers.0.ffn.layers.0.0.weight', ())
    if len(patch) != 4 or len(hidden) != 2:
        return 'the backbone lacks patch_embed.projection.weight or its first block'
    blocks = {n.split('.')[1] for n in shapes if n.startswith('layers.')}
    arch = dict(embed_dims=patch[0], num_layers=len(blocks), num_heads=1, feedforward_channels=hidden[0])
    with torch.device('meta'):
        model = SapiensViT(arch, img_size=patch[2], patch_padding=0, patch_size=patch[2], in_channels=patch[1],
                           with_cls_token='cls_token' in shapes)
    own = persistent_shapes(model)
    table = shapes.get('pos_embed', ())
    if len(table) == 3 and (table[0], table[2]) == (1, patch[0]):
        own['pos_embed'] = table
    trouble = mismatch(own, shapes, ('backbone', 'file'))
    return trouble and f'of the backbone, {trouble}'


def _check(config: str, source: str, state: dict, what: str) -> None:
    from mmengine.registry import MODELS, DefaultScope
    cfg = Config.fromfile(config)
    check_belongs(cfg, source, config)
    scope = cfg.get('default_scope', 'mmpose')
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        with MODELS.switch_scope_and_registry(scope) as registry:
            model = registry.build(cfg.model)
    fit_state_dict(model.backbone if what == 'backbone' else model, dict(state), str(source))
