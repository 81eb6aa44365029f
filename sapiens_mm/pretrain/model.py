"""Masked auto-encoder (He et al., CVPR 2022) on the Sapiens backbone, made of mmpretrain's pieces."""
from __future__ import annotations

import torch
from mmpretrain.models import MAE, MAEPretrainDecoder
from mmpretrain.models.utils import build_2d_sincos_position_embedding
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sapiens_mm.engine.checkpoint import StrictStateDict
from sapiens_mm.registry import MODELS


@MODELS.register_module()
class MAEDecoder(MAEPretrainDecoder):
    """mmpretrain's decoder, which can recompute its activations: it sees all tokens, four times as many as the encoder.

    Args:
        with_cp: Recompute each block's activations in the backward pass instead of keeping them.
        **kwargs: Of ``MAEPretrainDecoder``: ``num_patches`` (a square number), ``patch_size``, ``embed_dim`` (the encoder's
            width), ``decoder_embed_dim``, ``decoder_depth``, ``decoder_num_heads``, ``mlp_ratio``, ``init_cfg``.
    """

    def __init__(self, with_cp: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.with_cp = with_cp

    def forward(self, x: Tensor, ids_restore: Tensor) -> Tensor:
        """Class token and visible tokens (B, 1 + V, C) to predicted patches (B, N, P * P * 3); ``ids_restore`` (B, N)."""
        x = self.decoder_embed(x)
        B, _, C = x.shape
        hidden = self.mask_token.expand(B, ids_restore.shape[1] + 1 - x.shape[1], -1).to(x)
        patches = torch.cat([x[:, 1:], hidden], dim=1).gather(1, ids_restore.unsqueeze(-1).expand(-1, -1, C))
        x = torch.cat([x[:, :1], patches], dim=1) + self.decoder_pos_embed
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        for block in self.decoder_blocks:
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:]


def random_masking(noise: Tensor, mask_ratio: float) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the patches that stay visible: those with the smallest noise.

    Args:
        noise: (B, N), one number per patch.
        mask_ratio: Share of patches that is hidden, in [0, 1).

    Returns:
        ids_keep (B, V) in the order of the noise, mask (B, N) with 1 where hidden, and ids_restore (B, N), which takes
        [visible, hidden] back to the order of the image.
    """
    num_visible = int(noise.shape[1] * (1 - mask_ratio))
    order = noise.argsort(dim=1)
    ids_restore = order.argsort(dim=1)
    mask = (ids_restore >= num_visible).float()
    return order[:, :num_visible], mask, ids_restore


@MODELS.register_module()
class MaskedAutoencoder(StrictStateDict, MAE):
    """Masked auto-encoder whose encoder is a plain :class:`sapiens_mm.SapiensViT` and sees the visible tokens only.

    The position tables of encoder and decoder are fixed sines and cosines. Weights are named as in the released pre-training
    files. Sapiens (Khirodkar et al., ECCV 2024, section 3.2).

    Args:
        mask_ratio: Share of patches that is hidden in training, in (0, 0.95]; 0.75 in the paper.
        backbone: ``sapiens_mm.SapiensViT`` with a square ``img_size`` and ``with_cls_token=True``.
        neck: ``sapiens_mm.MAEDecoder``; ``num_patches`` and ``embed_dim`` must be the backbone's.
        head: ``MAEPretrainHead``.
        **kwargs: Of mmpretrain's self-supervised models: ``data_preprocessor``, ``init_cfg``.

    Raises:
        ValueError: ``mask_ratio`` out of range, or backbone and neck do not fit.
    """

    def __init__(self, backbone: dict, neck: dict, head: dict, mask_ratio: float = 0.75, **kwargs):
        super().__init__(backbone=backbone, neck=neck, head=head, **kwargs)
        self._check_ratio(mask_ratio)
        self.mask_ratio = mask_ratio
        grid, extra = self.backbone.grid, self.backbone.num_extra_tokens
        if grid[0] != grid[1] or extra != 1:
            raise ValueError('pre-training needs a backbone with a square img_size and with_cls_token=True, got '
                             f'{grid[0]} x {grid[1]} patches and {extra} class tokens')
        width = self.neck.decoder_embed.in_features
        if (self.neck.num_patches, width) != (grid[0] * grid[1], self.backbone.embed_dims):
            raise ValueError(f'the neck is for {self.neck.num_patches} patches of width {width}, the backbone makes '
                             f'{grid[0] * grid[1]} of width {self.backbone.embed_dims}; set neck.num_patches and neck.embed_dim')
        self.backbone.pos_embed.requires_grad_(False)

    @staticmethod
    def _check_ratio(mask_ratio: float) -> None:
        if not 0 < mask_ratio <= 0.95:
            raise ValueError(f'mask_ratio must lie in (0, 0.95], got {mask_ratio}')

    def init_weights(self) -> None:
        """As backbone and neck say, with the fixed position table of the encoder."""
        super().init_weights()
        table = build_2d_sincos_position_embedding(self.backbone.grid[0], self.backbone.embed_dims, cls_token=True)
        self.backbone.pos_embed.data.copy_(table)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of whole images (B, 3, H, W), nothing hidden: what the backbone returns."""
        return self.backbone(inputs)

    def encode_visible(self, inputs: Tensor, noise: Tensor | None = None,
                       mask_ratio: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the visible patches of images.

        Args:
            inputs: (B, 3, S, S), normalised RGB.
            noise: (B, N), decides what stays visible; drawn uniformly where None.
            mask_ratio: Instead of the model's own.

        Returns:
            Tokens (B, 1 + V, C) with the class token first, mask (B, N) with 1 where hidden, ids_restore (B, N).
        """
        ratio = self.mask_ratio if mask_ratio is None else mask_ratio
        self._check_ratio(ratio)
        tokens, grid = self.backbone.embed(inputs)
        if grid != self.backbone.grid:
            raise ValueError(f'pre-training was set up for images of {self.backbone.img_size[0]} x {self.backbone.img_size[1]} '
                             f'pixels (H x W), got {inputs.shape[2]} x {inputs.shape[3]}; make img_size, num_patches and the '
                             'crop of the pipeline agree')
        if noise is None:
            noise = torch.rand(tokens.shape[0], tokens.shape[1] - 1, device=tokens.device)
        ids_keep, mask, ids_restore = random_masking(noise, ratio)
        visible = tokens[:, 1:].gather(1, ids_keep.unsqueeze(-1).expand(-1, -1, tokens.shape[2]))
        latent = self.backbone.encode(torch.cat([tokens[:, :1], visible], dim=1))[-1]
        return latent, mask, ids_restore

    def predict_patches(self, inputs: Tensor, noise: Tensor | None = None,
                        mask_ratio: float | None = None) -> tuple[Tensor, Tensor]:
        """Predicted patches (B, N, P * P * 3) and mask (B, N); arguments of :meth:`encode_visible`."""
        latent, mask, ids_restore = self.encode_visible(inputs, noise, mask_ratio)
        return self.neck(latent, ids_restore), mask

    def loss(self, inputs: Tensor, data_samples: list[DataSample] | None = None, noise: Tensor | None = None,
             **kwargs) -> dict[str, Tensor]:
        """Mean squared error over the hidden patches of normalised RGB images (B, 3, S, S)."""
        pred, mask = self.predict_patches(inputs, noise)
        return dict(loss=self.head.loss(pred, inputs, mask))
