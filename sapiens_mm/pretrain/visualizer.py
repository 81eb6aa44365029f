"""Pictures of what a masked auto-encoder sees and what it makes of it."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

MASK_RATIOS = (0.75, 0.85, 0.95)
_HIDDEN = 100  # grey level of hidden patches, as in the reference implementation


@torch.no_grad()
def reconstruct(model: nn.Module, inputs: Tensor, mask_ratio: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """What a masked auto-encoder predicts for pictures.

    The prediction is the network's everywhere, also where the picture was visible. Where the target was normalised per patch, the
    patch's own mean and variance are put back: of hidden patches the network predicts the structure only.

    Args:
        model: A :class:`sapiens_mm.pretrain.model.MaskedAutoencoder`; its state and the random generators stay as they are.
        inputs: (B, 3, S, S), BGR uint8, as data sets give them.
        mask_ratio: Share of patches to hide, in (0, 0.95].
        seed: Of the choice of patches.

    Returns:
        Predictions (B, 3, S, S), RGB, 0 to 255, and masks (B, S, S), True where hidden.
    """
    training = model.training
    model.eval()
    try:
        images = model.data_preprocessor(dict(inputs=inputs, data_samples=None))['inputs']
        count = model.backbone.grid[0] * model.backbone.grid[1]
        noise = torch.rand(len(images), count, generator=torch.Generator().manual_seed(seed)).to(images.device)
        pred, mask = model.predict_patches(images, noise, mask_ratio)
    finally:
        model.train(training)
    pred = pred.float()
    if model.head.norm_pix:
        patches = model.head.patchify(images)
        pred = pred * (patches.var(-1, keepdim=True) + 1e-6).sqrt() + patches.mean(-1, keepdim=True)
    pictures = model.head.unpatchify(pred) * model.data_preprocessor.std + model.data_preprocessor.mean
    mask = mask.reshape(-1, *model.backbone.grid).bool()
    for dim in (1, 2):
        mask = mask.repeat_interleave(model.backbone.patch_size, dim)
    return pictures.clamp(0, 255).cpu(), mask.cpu()


def draw_reconstructions(model: nn.Module, inputs: Tensor, mask_ratios: Sequence[float] = MASK_RATIOS, seed: int = 0) -> np.ndarray:
    """A row for each picture: the picture, and for each ratio the picture with patches hidden and the prediction.

    Args:
        model: Masked auto-encoder, or its wrapper of data-parallel training.
        inputs: (B, 3, S, S), BGR uint8.
        mask_ratios: Shares of hidden patches.
        seed: Of the choice of patches.

    Returns:
        (B * S, (1 + 2 * ratios) * S, 3), RGB uint8.
    """
    model = model.module if is_model_wrapper(model) else model
    originals = inputs.flip(1).float().cpu()
    columns = [originals]
    for ratio in mask_ratios:
        pictures, mask = reconstruct(model, inputs, ratio, seed)
        columns += [torch.where(mask[:, None], torch.tensor(float(_HIDDEN)), originals), pictures]
    rows = torch.cat(columns, dim=3).permute(0, 2, 3, 1)
    return rows.flatten(0, 1).round().to(torch.uint8).numpy()


def read_square(path: str, side: int) -> Tensor:
    """The central square of a picture file, resized: (3, S, S), BGR uint8. ``ValueError`` where it cannot be read."""
    from sapiens_mm.engine.bad_samples import read_image
    image = read_image(path, hint='give pictures, or folders of pictures')
    if image is None:
        raise ValueError(f'{path} cannot be read as a picture')
    height, width = image.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = cv2.resize(image[top:top + edge, left:left + edge], (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(square).permute(2, 0, 1)
