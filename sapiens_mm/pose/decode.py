"""Heatmaps to keypoints where the heatmaps are: UDP with DARK refinement for a whole batch at once.

The same numbers as mmpose's ``UDPHeatmap.decode`` (Huang et al., CVPR 2020; Zhang et al., CVPR 2020), which blurs every heatmap
completely and takes the logarithm of all of it on the CPU. Only the 3 x 3 neighbourhood of each peak is ever looked at, so only
that is blurred here.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_FLOOR, _CEILING = 1e-3, 50.  # mmpose clips the blurred heatmap to these before the logarithm


@lru_cache(maxsize=8)
def _kernel(size: int) -> np.ndarray:
    """The blur's weights: OpenCV's, for a size without a sigma."""
    return cv2.getGaussianKernel(size, 0).ravel()


def _precision(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == 'mps' else torch.float64


def _gather_patches(maps: Tensor, x: Tensor, y: Tensor, radius: int) -> Tensor:
    """Squares around the points, zero outside the map: (N, H, W), (N,), (N,) -> (N, 2r + 1, 2r + 1)."""
    H, W = maps.shape[-2:]
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    rows, cols = y[:, None] + steps, x[:, None] + steps
    inside = ((rows >= 0) & (rows < H))[:, :, None] & ((cols >= 0) & (cols < W))[:, None, :]
    flat = rows.clamp(0, H - 1)[:, :, None] * W + cols.clamp(0, W - 1)[:, None, :]
    values = maps.flatten(1).gather(1, flat.flatten(1)).view(flat.shape)
    return torch.where(inside, values, 0).to(_precision(maps.device))


def _blurred_neighbours(maps: Tensor, x: Tensor, y: Tensor, kernel: Tensor) -> Tensor:
    """The blurred maps at each point and its 8 neighbours, replicated at the border: -> (N, 3, 3)."""
    size = len(kernel)
    patches = _gather_patches(maps, x, y, size // 2 + 1)
    slide = torch.zeros(3, size + 2, dtype=kernel.dtype, device=kernel.device)
    for i in range(3):
        slide[i, i:i + size] = kernel
    blurred = slide @ patches @ slide.T
    H, W = maps.shape[-2:]
    steps = torch.arange(-1, 2, device=maps.device)
    rows = (y[:, None] + steps).clamp(0, H - 1) - y[:, None] + 1
    cols = (x[:, None] + steps).clamp(0, W - 1) - x[:, None] + 1
    blurred = blurred.gather(1, rows[:, :, None].expand(-1, 3, 3))
    return blurred.gather(2, cols[:, None, :].expand(-1, 3, 3))


def _rescale(maps: Tensor, peaks: Tensor, kernel: Tensor) -> Tensor:
    """By how much mmpose multiplies each blurred map so that its maximum stays: (N, H, W) -> (N,)."""
    if maps.device.type == 'cpu':  # OpenCV's blur is several times faster than PyTorch's there
        size = (len(kernel), len(kernel))
        highest = [cv2.GaussianBlur(one, size, 0, borderType=cv2.BORDER_CONSTANT).max() for one in maps.contiguous().numpy()]
        return (peaks / torch.from_numpy(np.array(highest))).to(kernel.dtype)
    weights, pad = kernel.to(maps.dtype), len(kernel) // 2
    blurred = F.conv2d(maps[:, None], weights.view(1, 1, 1, -1), padding=(0, pad))
    blurred = F.conv2d(blurred, weights.view(1, 1, -1, 1), padding=(pad, 0))
    return (peaks / blurred.flatten(1).amax(1)).to(kernel.dtype)


def decode_udp(heatmaps: Tensor, input_size: Sequence[int], blur_kernel_size: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints of a batch of heatmaps, on the device that they are on.

    Args:
        heatmaps: (B, K, H, W), floating point.
        input_size: (W, H) of the network's input, in which the keypoints are given.
        blur_kernel_size: Odd width of the blur; 11 in the released models although their sigma is 6.

    Returns:
        Keypoints (B, K, 2) as (x, y) in pixels of the network's input, float64, and scores (B, K), float32: the raw peaks. A
        heatmap without a positive value has its keypoint at heatmap position (-1, -1).

    Raises:
        ValueError: An even kernel, or heatmaps of another shape.
    """
    if heatmaps.ndim != 4 or blur_kernel_size % 2 == 0:
        raise ValueError(f'heatmaps of shape (B, K, H, W) and an odd kernel are expected, got {tuple(heatmaps.shape)} and '
                         f'{blur_kernel_size}')
    B, K, H, W = heatmaps.shape
    maps = heatmaps.detach().float().reshape(B * K, H, W)
    if maps.device.type == 'cpu':  # NumPy's search is several times faster than PyTorch's there
        at = torch.from_numpy(maps.contiguous().numpy().reshape(B * K, -1).argmax(1))
        peaks = maps.reshape(B * K, -1).gather(1, at[:, None])[:, 0]
    else:
        peaks, at = maps.flatten(1).max(1)
    x, y = at % W, torch.div(at, W, rounding_mode='floor')
    kernel = torch.as_tensor(_kernel(blur_kernel_size), dtype=_precision(maps.device), device=maps.device)
    near = _blurred_neighbours(maps, x, y, kernel)

    # The rescaling cancels in the differences of logarithms below, unless it decides what is clipped. It is at least 1, no value
    # is above the peak before or after it, and only maps that it can matter for are blurred completely. What lies below the floor
    # throughout, such as the map of a keypoint that is not in the picture, is clipped to it either way.
    positive = peaks > 0
    doubtful = (peaks > _FLOOR) & ((near.flatten(1).amin(1) < _FLOOR) | (peaks > _CEILING))
    if doubtful.any():
        near[doubtful] *= _rescale(maps[doubtful], peaks[doubtful], kernel)[:, None, None]
    log = near.clamp(_FLOOR, _CEILING).log()

    dx, dy = 0.5 * (log[:, 1, 2] - log[:, 1, 0]), 0.5 * (log[:, 2, 1] - log[:, 0, 1])
    eps = float(np.finfo(np.float32).eps)
    dxx = log[:, 1, 2] - 2 * log[:, 1, 1] + log[:, 1, 0] + eps
    dyy = log[:, 2, 1] - 2 * log[:, 1, 1] + log[:, 0, 1] + eps
    dxy = 0.5 * (log[:, 2, 2] - log[:, 1, 2] - log[:, 2, 1] + 2 * log[:, 1, 1] - log[:, 1, 0] - log[:, 0, 1] + log[:, 0, 0])
    det = dxx * dyy - dxy * dxy
    points = torch.stack([x - (dyy * dx - dxy * dy) / det, y - (dxx * dy - dxy * dx) / det], 1)
    points = torch.where(positive[:, None], points, -1.)
    keypoints = points.cpu().double().numpy() / [W - 1, H - 1] * np.asarray(input_size)
    return keypoints.reshape(B, K, 2), peaks.cpu().numpy().reshape(B, K)
