"""Which pixels of a ground-truth map count."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def valid_depth(depth: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pixels with a depth that is finite and above 0, inside the mask where there is one.

    Args:
        depth: (H, W).
        mask: (H, W), above 0 where a person is.

    Returns:
        (H, W) bool.
    """
    valid = depth.isfinite() & (depth > 0)
    return valid if mask is None else valid & (mask > 0)


def valid_normal(normal: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pixels with a finite normal longer than 0.5 and shorter than 2, inside the mask where there is one.

    The upper limit leaves out the background of training targets, -1000.

    Args:
        normal: (3, H, W).
        mask: (H, W), above 0 where a person is.

    Returns:
        (H, W) bool; comparisons with not-a-number are false.
    """
    length = normal.square().sum(0)
    valid = (length > 0.25) & (length < 4)
    return valid if mask is None else valid & (mask > 0)


def map_of(sample: Mapping, field: str, channels: int) -> Tensor | None:
    """The tensor of a field of a data sample that was turned into a dict, or None where it lacks the field.

    Returns:
        (channels, H, W), without the first axis where ``channels`` is 1.

    Raises:
        ValueError: Another number of channels.
    """
    if field not in sample:
        return None
    data = torch.as_tensor(sample[field]['data'])
    data = data[None] if data.ndim == 2 else data
    if data.ndim != 3 or len(data) != channels:
        raise ValueError(f'{field} of {name_of(sample)} must be ({channels}, H, W), got {tuple(data.shape)}')
    return data[0] if channels == 1 else data


def truth_and_prediction(sample: Mapping, what: str, channels: int = 1) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ground truth, prediction and mask of a data sample that was turned into a dict, on the prediction's device.

    Args:
        sample: Has ``gt_{what}`` and ``pred_{what}`` and maybe ``gt_mask``.
        what: ``'depth_map'``, ``'normal_map'``, ``'sem_seg'``.
        channels: Of the map.

    Raises:
        ValueError: One is missing, or their sizes differ.
    """
    target, pred = map_of(sample, f'gt_{what}', channels), map_of(sample, f'pred_{what}', channels)
    mask = map_of(sample, 'gt_mask', 1)
    for field, data in ((f'gt_{what}', target), (f'pred_{what}', pred)):
        if data is None:
            raise ValueError(f'{name_of(sample)} has no {field} to evaluate; ' + (
                'load the labels in the test pipeline' if field.startswith('gt') else 'the model does not predict it'))
    for field, data in ((f'pred_{what}', pred), ('gt_mask', mask)):
        if data is not None and data.shape[-2:] != target.shape[-2:]:
            raise ValueError(f'{field} of {name_of(sample)} is {_size(data)} and gt_{what} is {_size(target)} (H x W); ground '
                             'truth is evaluated at the size of the picture file, so load it after Resize in the test pipeline')
    return target.to(pred.device), pred, None if mask is None else mask.to(pred.device)


def name_of(sample: Mapping) -> str:
    """The picture of a sample, for messages."""
    return str(sample.get('img_path') or 'a picture')


def _size(data: Tensor) -> str:
    return ' x '.join(map(str, data.shape[-2:]))
