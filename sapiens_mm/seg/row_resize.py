"""Bilinear resizing of large maps, some rows of the result at a time."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# PyTorch takes another kernel, which rounds in another way, for results whose height and width add up to less.
_SMALL = 129
_STRIPE = 2**21  # values of a stripe


@lru_cache(maxsize=64)
def _taps(height_in: int, height_out: int, device: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Upper source row of each row of the result and the weight of the row below it, exactly as the device rounds them.

    They are read off the kernel itself, from a pattern with a period of three rows: their formula is public, but whether a
    device rounds after its multiplication is not. None where the kernel does not follow the formula.
    """
    rows = height_in + 2 + (height_in + 2 == height_out)
    pattern = (torch.arange(rows) % 3 == torch.arange(3)[:, None]).float().to(device)
    answer = _resize_at(pattern[None, :, :, None].expand(1, 3, rows, _SMALL).contiguous(), (height_out, _SMALL),
                        _scale(height_in, height_out))[0, :, :, 0].cpu().double().numpy()
    expected = np.maximum(height_in / height_out * (np.arange(height_out) + 0.5) - 0.5, 0)
    on_a_row = (answer > 0).sum(0) == 1
    phase = np.where(on_a_row, answer.argmax(0), (answer.argmin(0) + 1) % 3)
    weight = np.where(on_a_row, 0, answer[(phase + 1) % 3, np.arange(height_out)])
    upper = np.rint((expected - weight - phase) / 3).astype(int) * 3 + phase
    if not (np.abs(upper + weight - expected) < 0.01).all():
        return None
    return upper, weight


def _scale(height_in: int, height_out: int) -> float:
    """The step between rows in single precision, which is what kernels compute it in."""
    return float(np.float32(height_in) / np.float32(height_out))


def _resize_at(x: Tensor, size: tuple[int, int], step: float) -> Tensor:
    """The kernel behind ``F.interpolate``, whose step between rows need not be the ratio of the heights."""
    return torch.ops.aten.upsample_bilinear2d(x, list(size), False, 1.0 / step, None)


class RowResizer:
    """``F.interpolate(x, out_size, mode='bilinear', align_corners=False)`` of chosen rows, bit for bit.

    Each row is one call of PyTorch's own kernel on the two rows that it lies between.

    Args:
        in_size, out_size: (H, W) before and after.
        device: Where it runs.
    """

    def __init__(self, in_size: tuple[int, int], out_size: tuple[int, int], device: torch.device):
        self.in_size, self.out_size = tuple(in_size), tuple(out_size)
        self.step = _scale(in_size[0], out_size[0])
        taps = _taps(in_size[0], out_size[0], str(device)) if in_size[0] >= 4 else None
        self.supported = taps is not None
        if self.supported:
            self._upper, weight = taps
            # The two source rows are cut out. At the lower edge the last two are, so that it stays the edge.
            self._base = np.minimum(self._upper, in_size[0] - 2)
            self._steps = 2 * (self._upper - self._base + weight + 0.5)
            # Within the first source row, places are finer than a step that puts one row there can be; such rows come first.
            inexact = np.flatnonzero(self._steps.astype(np.float32) != self._steps)
            self._first = int(inexact.max()) + 1 if len(inexact) else 0

    def source_rows(self, start: int, stop: int) -> tuple[int, int]:
        """First and last + 1 of the source rows that rows ``start`` to ``stop`` of the result are made of."""
        first = 0 if start < self._first else int(self._base[start])
        return first, int(self._base[stop - 1]) + 2

    def rows(self, x: Tensor, start: int, stop: int, offset: int = 0) -> Tensor:
        """Rows ``start`` to ``stop`` of the result, (1, C, stop - start, W).

        Args:
            x: (1, C, rows, W) source rows from ``offset`` on; all of :meth:`source_rows` must be there.
            start, stop: Rows of the result.
            offset: Row of the source at which ``x`` begins.
        """
        width = self.out_size[1]
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        layout = torch.channels_last if last else torch.contiguous_format
        out = torch.empty((1, x.shape[1], stop - start, width), dtype=x.dtype, device=x.device, memory_format=layout)
        done = start
        if start < self._first:
            done = min(stop, self._first)
            out[:, :, :done - start] = self._call(x, done, self.step)[:, :, start:done]
        for row in range(done, stop):
            base = self._base[row] - offset
            out[:, :, row - start] = self._call(x[:, :, base:base + 2].contiguous(memory_format=layout), 1,
                                                float(self._steps[row]))[:, :, 0]
        return out

    def _call(self, x: Tensor, rows: int, step: float) -> Tensor:
        rows = max(rows, _SMALL - self.out_size[1])
        rows += rows == x.shape[2]  # equal heights are copied, whatever the step
        return _resize_at(x, (rows, self.out_size[1]), step)


def argmax_resized(logits: Tensor, sizes: Sequence[tuple[int, int]], dtype: torch.dtype = torch.uint8) -> Tensor:
    """The class of each pixel of a map that is resized bilinearly once or several times, without making the resized map.

    Equal to ``F.interpolate(..., mode='bilinear', align_corners=False)`` to each size in turn, then ``argmax(1)``, bit for bit.

    Args:
        logits: (1, C, H, W).
        sizes: (H, W) after each resizing.
        dtype: Of the classes.

    Returns:
        (1, H, W) classes at the last size.
    """
    sizes = [tuple(int(side) for side in size) for size in sizes]
    chain, before = [], tuple(logits.shape[2:])
    for size in sizes:
        if size != before:
            chain.append((before, size))
        before = size
    if before[0] * before[1] * logits.shape[1] > _STRIPE and logits.dtype == torch.float32 and all(
            a[0] != b[0] and sum(b) >= _SMALL for a, b in chain):
        resizers = [RowResizer(a, b, logits.device) for a, b in chain]
        if resizers and all(r.supported for r in resizers):
            return _argmax_by_rows(logits, resizers, dtype)
    for _, size in chain:
        logits = F.interpolate(logits, size, mode='bilinear', align_corners=False)
    return logits.argmax(1).to(dtype)


def _argmax_by_rows(logits: Tensor, resizers: Sequence[RowResizer], dtype: torch.dtype) -> Tensor:
    height, width = resizers[-1].out_size
    stripe = max(1, _STRIPE // (logits.shape[1] * width))
    classes = torch.empty((1, height, width), dtype=dtype, device=logits.device)
    for start in range(0, height, stripe):
        stop = min(start + stripe, height)
        needed = [(start, stop)]
        for resizer in reversed(resizers):
            needed.insert(0, resizer.source_rows(*needed[0]))
        part, offset = logits[:, :, slice(*needed[0])], needed[0][0]
        if logits.is_contiguous(memory_format=torch.channels_last) and not logits.is_contiguous():
            part = part.contiguous(memory_format=torch.channels_last)
        for resizer, rows in zip(resizers, needed[1:]):
            part, offset = resizer.rows(part, *rows, offset), rows[0]
        classes[:, start:stop] = part.argmax(1).to(dtype)
    return classes
