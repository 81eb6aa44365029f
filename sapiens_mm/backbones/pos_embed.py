"""Position tables between grids: at run time for another input size, and on load for another model's table."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_pos_embed(table: Tensor, src_grid: tuple[int, int], dst_grid: tuple[int, int], num_extra_tokens: int) -> Tensor:
    """Resample a position table to another grid; extra tokens at its front stay as they are.

    Bicubic without antialiasing and in float32, as the released models do it (Dosovitskiy et al., ICLR 2021, section 3.2).

    Args:
        table: (1, E + H * W, C) with E extra tokens.
        src_grid: (H, W) of the table, in patches.
        dst_grid: (H', W') wanted.
        num_extra_tokens: E.

    Returns:
        (1, E + H' * W', C) in the dtype of ``table``.
    """
    if tuple(src_grid) == tuple(dst_grid):
        return table
    extra, grid = table[:, :num_extra_tokens], table[:, num_extra_tokens:]
    grid = grid.reshape(1, *src_grid, -1).permute(0, 3, 1, 2).float()
    grid = F.interpolate(grid, size=tuple(dst_grid), mode='bicubic', align_corners=False)
    return torch.cat([extra, grid.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)


def infer_grid(length: int, aspects: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], int]:
    """Grid and number of class tokens of a position table, from its length alone.

    A square grid with a class token (pre-training: 4097 = 1 + 64 x 64) or without comes first; then the given aspect ratios
    (fine-tuning: 3072 = 64 x 48), likewise. No length of the released family fits two of these.

    Args:
        length: Number of tokens in the table.
        aspects: (H, W) pairs whose ratios are tried in this order after the square.

    Returns:
        ((H, W), 0 or 1).

    Raises:
        ValueError: No grid of such a ratio has that many patches.
    """
    for aspect in ((1, 1), *aspects):
        h, w = (side // math.gcd(*aspect) for side in aspect)
        for num_extra_tokens in (1, 0):
            scale = math.isqrt(max(length - num_extra_tokens, 0) // (h * w))
            if scale and scale * scale * h * w == length - num_extra_tokens:
                return (h * scale, w * scale), num_extra_tokens
    raise ValueError(f'cannot tell the grid of a position table of {length} tokens; give it as pos_embed_grid=(H, W) in '
                     'patches, counted without the class token')


def adapt_pos_embed(table: Tensor,
                    own: Tensor,
                    dst_grid: tuple[int, int],
                    num_extra_tokens: int,
                    src_grid: tuple[int, int] | None = None) -> Tensor:
    """Make a loaded position table fit a model: drop or add the class token's row, resample the grid.

    Args:
        table: (1, L, C) from a file.
        own: (1, E + H' * W', C), the model's own table; its class-token row stands in where the file has none.
        dst_grid: (H', W') of the model, in patches.
        num_extra_tokens: E, 1 with a class token and 0 without.
        src_grid: (H, W) of the file's table; inferred from L where None.

    Returns:
        (1, E + H' * W', C).

    Raises:
        ValueError: The grid cannot be told from L, or L contradicts ``src_grid``.
    """
    length, patches = table.shape[1], dst_grid[0] * dst_grid[1]
    if src_grid is not None:
        src_extra = length - src_grid[0] * src_grid[1]
        if src_extra not in (0, 1):
            raise ValueError(f'a position table of {length} tokens does not have a grid of {src_grid[0]} x {src_grid[1]} '
                             'patches with or without a class token; correct pos_embed_grid')
    elif length in (patches, patches + 1):
        src_grid, src_extra = dst_grid, length - patches
    else:
        src_grid, src_extra = infer_grid(length, aspects=((4, 3), tuple(dst_grid)))
    grid = resize_pos_embed(table[:, src_extra:], src_grid, dst_grid, 0)
    if num_extra_tokens == 0:
        return grid
    return torch.cat([(table if src_extra else own)[:, :1].to(grid), grid], dim=1)
