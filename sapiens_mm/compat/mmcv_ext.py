"""The operators of ``mmcv._ext`` that the OpenMMLab detectors and pose models need, through torchvision.

Signatures and in-place conventions are those with which ``mmcv.ops`` calls its extension. Imported only when the
stand-in module is.
"""
from __future__ import annotations

import torch
import torchvision
from torch import Tensor

from .mmcv_ops import CompiledOpMissingError

__all__ = ['get_compiler_version', 'get_compiling_cuda_version', 'nms', 'roi_align_backward', 'roi_align_forward',
           'softnms']

_NAIVE, _LINEAR, _GAUSSIAN = 0, 1, 2  # how mmcv.ops.soft_nms numbers its methods


def get_compiler_version() -> str:
    return 'none (mmcv-lite)'


def get_compiling_cuda_version() -> str:
    return 'not available (mmcv-lite)'


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels.
        scores: (N,).
        iou_threshold: A box is dropped when its overlap with a kept one is above this.
        offset: 0 or 1; sides are ``x2 - x1 + offset``.

    Returns:
        Indices of the kept boxes, best score first.
    """
    if offset:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    return torchvision.ops.nms(boxes.float(), scores.float(), iou_threshold)


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float, min_score: float,
            method: int, offset: int) -> Tensor:
    """Soft non-maximum suppression (Bodla et al., "Soft-NMS", ICCV 2017).

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels.
        scores: (N,).
        dets: (N, 5), written in place: kept boxes with their decayed scores, in the order in which they were picked.
        iou_threshold: Overlap from which the naive and the linear method act.
        sigma: Width of the gaussian method.
        min_score: A box whose score falls below is dropped.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0 or 1; sides are ``x2 - x1 + offset``.

    Returns:
        (K,) indices of the kept boxes, in the order of ``dets``.
    """
    scores = scores.clone()
    left = torch.arange(len(boxes))
    kept = []
    while len(left):
        best = int(scores[left].argmax())
        index = int(left[best])
        dets[len(kept), :4] = boxes[index]
        dets[len(kept), 4] = scores[index]
        kept.append(index)
        left = torch.cat([left[:best], left[best + 1:]])
        overlap = _overlap(boxes[index], boxes[left], offset)
        if method == _NAIVE:
            weight = (overlap < iou_threshold).to(scores)
        elif method == _LINEAR:
            weight = torch.where(overlap >= iou_threshold, 1 - overlap, torch.ones_like(overlap))
        elif method == _GAUSSIAN:
            weight = torch.exp(-overlap**2 / sigma)
        else:
            raise ValueError(f'soft-nms method must be 0 (naive), 1 (linear) or 2 (gaussian), got {method}')
        scores[left] *= weight
        left = left[scores[left] >= min_score]
    return torch.tensor(kept, dtype=torch.long)


def _overlap(box: Tensor, others: Tensor, offset: int) -> Tensor:
    """Intersection over union of one box (4,) with others (M, 4)."""
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2]) + offset).clamp(min=0)
    intersection = sides.prod(dim=1)
    areas = (others[:, 2:] - others[:, :2] + offset).prod(dim=1)
    return intersection / ((box[2:] - box[:2] + offset).prod() + areas - intersection)


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, *,
                      aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                      pool_mode: int, aligned: bool) -> None:
    """Region alignment by averaging, written into ``output``.

    Args:
        input: (B, C, H, W) features.
        rois: (K, 5) image index, x1, y1, x2, y2 in pixels of the image.
        output: (K, C, aligned_height, aligned_width), written in place.
    """
    _only_average(pool_mode, 'roi_align_forward')
    output.copy_(torchvision.ops.roi_align(
        input, rois, (aligned_height, aligned_width), spatial_scale, _samples(sampling_ratio), aligned))


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, *,
                       aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """Gradient of :func:`roi_align_forward` with respect to ``input``, added to ``grad_input``."""
    _only_average(pool_mode, 'roi_align_backward')
    with torch.enable_grad():
        # The operation is linear in its input, so its gradient is the same at any value of it.
        features = torch.zeros_like(grad_input).requires_grad_()
        output = torchvision.ops.roi_align(
            features, rois, (aligned_height, aligned_width), spatial_scale, _samples(sampling_ratio), aligned)
        grad_input += torch.autograd.grad(output, features, grad_output)[0]


def _samples(sampling_ratio: int) -> int:
    return sampling_ratio if sampling_ratio > 0 else -1


def _only_average(pool_mode: int, name: str) -> None:
    if pool_mode != 1:
        raise CompiledOpMissingError(
            f"The operator {name!r} with pool_mode='max' needs mmcv with compiled operators, and only mmcv-lite is "
            "installed. Use pool_mode='avg', or build mmcv (see docs/install.md).")
