"""Layer-wise learning rate decay: the closer to the image, the smaller the steps."""
from __future__ import annotations

import re

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn
from torch.nn import GroupNorm, LayerNorm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from sapiens_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

_WRAPPERS = re.compile(r'(_fsdp_wrapped_module|_checkpoint_wrapped_module|_orig_mod)\.')
_NORMS = (_BatchNorm, _InstanceNorm, GroupNorm, LayerNorm)
_NEVER_DECAYED = ('pos_embed', 'cls_token', 'mask_token')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rate ``lr * rate ** (depths - 1 - depth)``, and weight decay only where it belongs.

    The backbone says how deep a parameter lies (``get_layer_depth``): its tokens' makers first, then block after block, then the
    final norm with everything outside the backbone at the full rate. Biases, norms, position tables and tokens are not decayed.
    All of this goes by name and by the type of the owning module, never by a tensor's shape, so that it survives sharding.
    Recipe: Sapiens (Khirodkar et al., ECCV 2024, section 4); the idea: ELECTRA (Clark et al., ICLR 2020).

    Args:
        optim_wrapper_cfg: The ``optim_wrapper`` of the config.
        paramwise_cfg: ``layer_decay_rate`` in (0, 1], and optionally ``custom_keys``: part of a parameter's name ->
            ``dict(lr_mult=..., decay_mult=...)``, multiplied on top; the longest matching part counts.

    Raises:
        ValueError: A key without effect: an unknown one, a ``custom_keys`` entry that no parameter matches.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        cfg = self.paramwise_cfg
        if 'num_layers' in cfg:
            raise ValueError('paramwise_cfg.num_layers has no effect here: the backbone knows its depth; leave it out')
        unknown = set(cfg) - {'layer_decay_rate', 'custom_keys'}
        if unknown:
            raise ValueError('paramwise_cfg takes layer_decay_rate and custom_keys; '
                             f'{", ".join(sorted(unknown))} would have no effect')
        rate = cfg.get('layer_decay_rate')
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise ValueError(f'paramwise_cfg.layer_decay_rate must be a number in (0, 1], got {rate!r}')
        if self.base_lr is None:
            raise ValueError('layer-wise decay scales the learning rate: optimizer.lr must be given')
        for key, mults in cfg.get('custom_keys', {}).items():
            unknown = set(mults) - {'lr_mult', 'decay_mult'}
            if unknown or not mults:
                raise ValueError(f'paramwise_cfg.custom_keys[{key!r}] takes lr_mult and decay_mult, got {dict(mults)}')

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None) -> None:
        """Fill ``params`` with one group for each pair of learning rate and weight decay that occurs in ``module``."""
        depth_of = getattr(getattr(module, 'backbone', None), 'get_layer_depth', None)
        if depth_of is None:
            raise ValueError(f'layer-wise decay asks model.backbone.get_layer_depth, which {type(module).__name__} does not have; '
                             'use a sapiens_mm.SapiensViT backbone, or another constructor')
        norms = {f'{_WRAPPERS.sub("", path + ".")}' for path, child in module.named_modules() if isinstance(child, _NORMS)}
        custom = self.paramwise_cfg.get('custom_keys', {})
        by_length = sorted(custom, key=lambda key: (-len(key), key))
        unused = set(custom)
        groups: dict[tuple, dict] = {}
        for name, param in module.named_parameters():
            name = _WRAPPERS.sub('', name)
            owner, _, leaf = name.rpartition('.')
            depth, num_depths = depth_of(name, 'backbone.')
            lr_scale = self.paramwise_cfg['layer_decay_rate']**(num_depths - 1 - depth)
            decayed = not (leaf == 'bias' or leaf in _NEVER_DECAYED or f'{owner}.' in norms)
            decay_scale = float(decayed)
            unused.difference_update(key for key in custom if key in name)
            for key in by_length:
                if key in name:
                    lr_scale *= custom[key].get('lr_mult', 1.)
                    decay_scale *= custom[key].get('decay_mult', 1.)
                    break
            if not param.requires_grad:
                continue
            group = groups.setdefault((depth, lr_scale, decay_scale), dict(
                params=[], param_names=[], lr_scale=lr_scale, lr=self.base_lr * lr_scale,
                group_name=f'depth_{depth}_{"decay" if decay_scale else "no_decay"}'))
            if self.base_wd is not None:
                group['weight_decay'] = self.base_wd * decay_scale
            elif not decay_scale:
                group['weight_decay'] = 0.
            group['params'].append(param)
            group['param_names'].append(name)
        if unused:
            raise ValueError(f'paramwise_cfg.custom_keys {", ".join(sorted(unused))} match no parameter of the model')
        params.extend(groups.values())
