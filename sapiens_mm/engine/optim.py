"""Optimizer wrappers with the safety nets of the Sapiens training recipe.

A batch whose loss explodes and a gradient that is not finite must not reach the weights, whatever the precision and however many
processes train together.
"""
from __future__ import annotations

import logging
import math
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner.amp import autocast
from torch import Tensor

from sapiens_mm.registry import OPTIM_WRAPPERS

_GUARD_STATE = 'sapiens_mm_loss_guard'


class _LossGuard:
    """Mixin that takes the weight out of a batch whose loss explodes.

    The mean loss over all processes decides, so that they agree; what it is compared with is saved in checkpoints. A dropped batch
    still runs its backward pass, with weight 0: gradient synchronisation and accumulation stay in step.

    Args:
        max_loss_ratio: A batch is dropped when its loss is that many times the last accepted one; None switches the guard off.
        max_dropped: So many dropped batches in a row are no spike: a finite loss is then accepted as the new level, one that is not
            finite stops the run.
    """

    def __init__(self, *args, max_loss_ratio: float | None = 25., max_dropped: int = 50, **kwargs):
        super().__init__(*args, **kwargs)
        if max_loss_ratio is not None and max_loss_ratio <= 1:
            raise ValueError(f'max_loss_ratio must be above 1, got {max_loss_ratio}')
        self.max_loss_ratio = max_loss_ratio
        self.max_dropped = max_dropped

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None) -> None:
        """As in mmengine, with the loss of an exploded batch weighted 0."""
        if self.max_loss_ratio is not None and self._explodes(loss):
            loss = loss * 0
        super().update_params(loss, step_kwargs, zero_kwargs)

    def _explodes(self, loss: Tensor) -> bool:
        mean = loss.detach().float().clone()
        all_reduce(mean, op='mean')
        value = mean.item()
        accepted, dropped = self.message_hub.get_info(_GUARD_STATE, (None, 0))
        finite = math.isfinite(value)
        spike = not finite or (accepted is not None and value > self.max_loss_ratio * accepted > 0)
        if spike and dropped >= self.max_dropped:
            if not finite:
                raise FloatingPointError(f'the loss has been {value} for {dropped + 1} iterations in a row; lower the learning '
                                         'rate or look at the data. Checkpoints written so far are intact')
            print_log(f'loss guard: {dropped} batches dropped in a row, {value:.4g} is the new level', 'current', logging.WARNING)
            spike = False
        if spike:
            print_log(f'loss guard: batch dropped, loss {value:.4g}' + (f' after {accepted:.4g}' if accepted is not None else ''),
                      'current', logging.WARNING)
        state = (accepted, dropped + 1) if spike else (value, 0)
        self.message_hub.update_info(_GUARD_STATE, state)
        return spike


@OPTIM_WRAPPERS.register_module()
class SafeOptimWrapper(_LossGuard, OptimWrapper):
    """mmengine's ``OptimWrapper``, with bfloat16 on any device, that keeps explosions away from the weights.

    Elements of gradients that are not finite become 0 before clipping. (In float16 that would hide them from the loss scaler:
    see :class:`SafeAmpOptimWrapper`.)

    Args:
        dtype: ``'bfloat16'`` runs the forward pass under autocast; None leaves it in float32. Works on CPUs too, where mmengine's
            ``AmpOptimWrapper`` refuses.
        max_loss_ratio: A batch with that many times the last accepted loss is dropped (25 in the recipe); None switches it off.
        max_dropped: Dropped batches in a row after which a finite loss is accepted, and any other stops the run.
        kwargs: Arguments of ``OptimWrapper``: ``optimizer``, ``clip_grad``, ``accumulative_counts``.
    """

    def __init__(self, *args, dtype: str | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        if dtype not in (None, 'float32', 'bfloat16'):
            raise ValueError(f"dtype must be None, 'float32' or 'bfloat16', got {dtype!r}; "
                             "for 'float16' use sapiens_mm.SafeAmpOptimWrapper")
        self.dtype = torch.bfloat16 if dtype == 'bfloat16' else None

    @contextmanager
    def optim_context(self, model):
        """Autocast, and no gradient synchronisation where none is due."""
        with super().optim_context(model):
            if self.dtype is None:
                yield
            else:
                with autocast(dtype=self.dtype):
                    yield

    def step(self, **kwargs) -> None:
        """Clean the gradients, clip them, update the parameters."""
        grads = [p.grad for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        if grads and not torch.stack(torch._foreach_norm(grads, ord=math.inf)).isfinite().all():
            count = sum(int((~g.isfinite()).sum()) for g in grads)
            for g in grads:
                torch.nan_to_num_(g, nan=0., posinf=0., neginf=0.)
            print_log(f'{count} gradient elements were not finite and count as 0 in this step', 'current', logging.WARNING)
        super().step(**kwargs)


@OPTIM_WRAPPERS.register_module()
class SafeAmpOptimWrapper(_LossGuard, AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` (float16 with loss scaling, on a GPU) with the loss guard.

    Gradients that are not finite are left for the scaler, which skips the step and lowers its scale.
    """
