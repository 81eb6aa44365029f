"""The vision transformer of Sapiens (Khirodkar et al., ECCV 2024, section 3.2), one class for every size and task."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.drop import DropPath
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sapiens_mm.backbones.pos_embed import adapt_pos_embed, resize_pos_embed
from sapiens_mm.engine.checkpoint import StrictStateDict, load_backbone
from sapiens_mm.registry import MODELS

# Sapiens, table 1. Parameters of the fine-tuned backbone: 306, 635, 1139, 2132 million.
SIZES = {
    'sapiens_0.3b': dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
    'sapiens_0.6b': dict(embed_dims=1280, num_layers=32, num_heads=16, feedforward_channels=5120),
    'sapiens_1b': dict(embed_dims=1536, num_layers=40, num_heads=24, feedforward_channels=6144),
    'sapiens_2b': dict(embed_dims=1920, num_layers=48, num_heads=32, feedforward_channels=7680),
}


def _resolve_arch(arch: str | dict) -> dict:
    keys = set(SIZES['sapiens_0.3b'])
    if isinstance(arch, str):
        if arch not in SIZES:
            raise ValueError(f'unknown arch {arch!r}; there are {", ".join(SIZES)}, or a dict with {", ".join(sorted(keys))}')
        return SIZES[arch]
    if set(arch) != keys:
        raise ValueError(f'an arch dict has exactly the keys {", ".join(sorted(keys))}; got {", ".join(sorted(arch))}')
    if arch['embed_dims'] % arch['num_heads']:
        raise ValueError(f'embed_dims {arch["embed_dims"]} is not a multiple of num_heads {arch["num_heads"]}')
    return dict(arch)


class PatchEmbed(nn.Module):
    """Image to patch tokens: (B, 3, H, W) -> (B, H / P * W / P, C)."""

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int, padding: int):
        super().__init__()
        self.projection = nn.Conv2d(in_channels, embed_dims, patch_size, stride=patch_size, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention on PyTorch's fused kernel: (B, N, C) -> (B, N, C)."""

    def __init__(self, embed_dims: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class FeedForward(nn.Module):
    """Two linear layers with GELU between them; the odd nesting gives the names of the released weights."""

    def __init__(self, embed_dims: int, hidden_dims: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(embed_dims, hidden_dims), nn.GELU()),
                                    nn.Linear(hidden_dims, embed_dims))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Block(nn.Module):
    """Pre-norm transformer block: (B, N, C) -> (B, N, C).

    Args:
        embed_dims: C.
        num_heads: Attention heads.
        feedforward_channels: Hidden width of the feed-forward part.
        drop_path: Probability of leaving a residual branch out, per sample.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, drop_path: float = 0.):
        super().__init__()
        self.ln1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = Attention(embed_dims, num_heads)
        self.ln2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.ffn = FeedForward(embed_dims, feedforward_channels)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def init_weights(self) -> None:
        """Initialise as MAE does (He et al., CVPR 2022, appendix A.1): Xavier-uniform, feed-forward biases N(0, 1e-6)."""
        for linear in (self.attn.qkv, self.attn.proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        for linear in (self.ffn.layers[0][0], self.ffn.layers[1]):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.ln1(x)))
        return x + self.drop_path(self.ffn(self.ln2(x)))


@MODELS.register_module()
class SapiensViT(StrictStateDict, BaseModule):
    """Plain vision transformer with the weights' names and arithmetic of the released Sapiens checkpoints.

    Args:
        arch: ``'sapiens_0.3b'``, ``'sapiens_0.6b'``, ``'sapiens_1b'``, ``'sapiens_2b'``, or a dict with ``embed_dims``,
            ``num_layers``, ``num_heads`` and ``feedforward_channels``.
        img_size: Input size that the position table is made for, (H, W) in pixels or one side of a square. Other sizes
            work in :meth:`forward`: the table is resampled.
        patch_padding: Zero padding of the patch convolution, in pixels. It leaves no trace in a checkpoint and a wrong value
            moves the sampling grid without an error, so it has to be said: 2 for the released pose, normal, LIP and CIHP
            models; 0 for pre-training, the 28-class and face parts, and depth.
        patch_size: P, side of a patch in pixels.
        in_channels: Channels of the input.
        out_indices: Blocks whose output is returned, negative ones counted from the end.
        out_type: ``'featmap'`` for maps (B, C, H / P, W / P), ``'raw'`` for tokens (B, N, C), the class token first.
        with_cls_token: Whether there is a class token, as in pre-training.
        final_norm: Whether the last block is followed by a layer norm.
        drop_path_rate: Stochastic depth of the last block; it grows linearly from 0 at the first.
        frozen_stages: -1 trains everything, 0 freezes patch embedding, position table and class token, k also the first k
            blocks, all blocks also the final norm.
        with_cp: Recompute each block's activations in the backward pass instead of keeping them.
        pos_embed_grid: (H, W) in patches of the position table in the file that will be loaded. Only needed where it cannot
            be told from the length: neither square nor 4:3 nor of this model's own aspect ratio.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes a bare backbone, a raw pre-training file or a fine-tuned
            model, finds the backbone in it and loads it strictly.

    Raises:
        ValueError: Unknown ``arch`` or ``out_type``, ``patch_padding`` not given or too large, ``img_size`` or an input
            that the patch does not divide, an index beyond the blocks.
    """

    def __init__(self,
                 arch: str | dict,
                 img_size: int | Sequence[int] = (1024, 768),
                 patch_padding: int | None = None,
                 patch_size: int = 16,
                 in_channels: int = 3,
                 out_indices: int | Sequence[int] = -1,
                 out_type: str = 'featmap',
                 with_cls_token: bool = False,
                 final_norm: bool = True,
                 drop_path_rate: float = 0.,
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 pos_embed_grid: Sequence[int] | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        arch = _resolve_arch(arch)
        if patch_padding is None:
            raise ValueError('patch_padding must be given, because a checkpoint does not tell it and a wrong one goes unnoticed: '
                             '2 for the released pose, normal, LIP and CIHP models; 0 for pre-training, 28-class parts, face '
                             'parts and depth; 0 when training from scratch')
        if not 0 <= 2 * patch_padding < patch_size:
            raise ValueError(f'patch_padding must lie in [0, {patch_size // 2}) for a patch of {patch_size}, got {patch_padding}')
        if out_type not in ('featmap', 'raw'):
            raise ValueError(f"out_type must be 'featmap' or 'raw', got {out_type!r}")
        self.embed_dims: int = arch['embed_dims']
        self.num_layers: int = arch['num_layers']
        self.patch_size = patch_size
        self.out_type = out_type
        self.with_cp = with_cp
        self.frozen_stages = frozen_stages
        self.num_extra_tokens = int(with_cls_token)
        self.pos_embed_grid = tuple(pos_embed_grid) if pos_embed_grid is not None else None
        if not -1 <= frozen_stages <= self.num_layers:
            raise ValueError(f'frozen_stages must lie in [-1, {self.num_layers}], got {frozen_stages}')
        out_indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        if not all(-self.num_layers <= i < self.num_layers for i in out_indices):
            raise ValueError(f'out_indices {out_indices} reach beyond the {self.num_layers} blocks')
        self.out_indices = sorted(i % self.num_layers for i in out_indices)

        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        self.grid = self._grid(*self.img_size)
        self.patch_embed = PatchEmbed(in_channels, self.embed_dims, patch_size, patch_padding)
        if with_cls_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        num_tokens = self.num_extra_tokens + self.grid[0] * self.grid[1]
        self.pos_embed = nn.Parameter(torch.zeros(1, num_tokens, self.embed_dims))
        rates = torch.linspace(0, drop_path_rate, self.num_layers, device='cpu').tolist()
        self.layers = nn.ModuleList(
            Block(self.embed_dims, arch['num_heads'], arch['feedforward_channels'], rate) for rate in rates)
        self.ln1 = nn.LayerNorm(self.embed_dims, eps=1e-6) if final_norm else nn.Identity()
        self._freeze()

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        P = self.patch_size
        if height % P or width % P:
            raise ValueError(f'an input of {height} x {width} pixels (H x W) is not divisible by the patch of {P}; use sides '
                             f'that are, such as {max(round(height / P), 1) * P} x {max(round(width / P), 1) * P}')
        return height // P, width // P

    def init_weights(self) -> None:
        """Initialise from ``init_cfg``'s file, or as a fresh model where it names none."""
        if isinstance(self.init_cfg, dict) and self.init_cfg.get('type') == 'Pretrained':
            unknown = set(self.init_cfg) - {'type', 'checkpoint', 'prefix', 'map_location'}
            if unknown or not self.init_cfg.get('checkpoint'):
                raise ValueError("init_cfg of type 'Pretrained' takes checkpoint=PATH and optionally prefix; got "
                                 f'{dict(self.init_cfg)}')
            load_backbone(self, self.init_cfg['checkpoint'], prefix=self.init_cfg.get('prefix'))
            self._is_init = True
            return
        super().init_weights()
        nn.init.xavier_uniform_(self.patch_embed.projection.weight.flatten(1))
        nn.init.zeros_(self.patch_embed.projection.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.num_extra_tokens:
            nn.init.normal_(self.cls_token, std=0.02)
        for block in self.layers:
            block.init_weights()

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        key = f'{prefix}pos_embed'
        table = state_dict.get(key)
        if table is not None and table.ndim == 3 and table.shape[2] == self.embed_dims:
            fitted = adapt_pos_embed(table, self.pos_embed.detach(), self.grid, self.num_extra_tokens, self.pos_embed_grid)
            if fitted.shape != table.shape:
                print_log(f'position table of {table.shape[1]} tokens adapted to {self.grid[0]} x {self.grid[1]} patches' +
                          (' and a class token' if self.num_extra_tokens else ''), logger='current')
                state_dict[key] = fitted
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Image to position-aware tokens.

        Args:
            x: (B, 3, H, W), normalised; P divides H and W.

        Returns:
            Tokens (B, E + H / P * W / P, C), E of them class tokens at the front, and the grid (H / P, W / P).
        """
        grid = self._grid(*x.shape[-2:])
        x = self.patch_embed(x)
        if self.num_extra_tokens:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + resize_pos_embed(self.pos_embed, self.grid, grid, self.num_extra_tokens), grid

    def encode(self, x: Tensor) -> list[Tensor]:
        """Run the blocks on tokens, all of an image's or a subset: (B, N, C) -> one (B, N, C) per entry of ``out_indices``."""
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        outs = []
        for i, block in enumerate(self.layers):
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
            if i == self.num_layers - 1:
                x = self.ln1(x)
            if i in self.out_indices:
                outs.append(x)
        return outs

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images to features.

        Args:
            x: (B, 3, H, W), normalised; P divides H and W.

        Returns:
            One entry per index of ``out_indices``: (B, C, H / P, W / P) for ``'featmap'``, (B, E + N, C) for ``'raw'``.
        """
        x, grid = self.embed(x)
        outs = self.encode(x)
        if self.out_type == 'raw':
            return tuple(outs)
        return tuple(out[:, self.num_extra_tokens:].transpose(1, 2).reshape(out.shape[0], self.embed_dims, *grid)
                     for out in outs)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning rate decay (ELECTRA, Clark et al., ICLR 2020; BEiT).

        Args:
            param_name: Full name of a parameter of the whole model.
            prefix: What this backbone's parameters start with in it, such as ``'backbone.'``.

        Returns:
            (depth, number of depths): 0 for what makes tokens, i + 1 for block i, the last for the final norm and for
            everything outside the backbone.
        """
        num_depths = self.num_layers + 2
        if not param_name.startswith(prefix):
            return num_depths - 1, num_depths
        name = param_name[len(prefix):]
        if name in ('cls_token', 'pos_embed') or name.startswith('patch_embed.'):
            return 0, num_depths
        if name.startswith('layers.'):
            return int(name.split('.')[1]) + 1, num_depths
        return num_depths - 1, num_depths

    def _freeze(self) -> None:
        """Stop gradients of the frozen part and keep it in evaluation mode."""
        if self.frozen_stages < 0:
            return
        self.pos_embed.requires_grad_(False)
        if self.num_extra_tokens:
            self.cls_token.requires_grad_(False)
        frozen = [self.patch_embed, *self.layers[:self.frozen_stages]]
        if self.frozen_stages == self.num_layers:
            frozen.append(self.ln1)
        for module in frozen:
            module.eval().requires_grad_(False)

    def train(self, mode: bool = True):
        """Set training mode, frozen stages excepted; returns the module."""
        super().train(mode)
        self._freeze()
        return self
