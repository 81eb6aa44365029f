"""Pictures while a dense model trains, validates and is tested."""
from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmseg.structures import SegDataSample

from sapiens_mm.registry import HOOKS

_TRUTHS = ('gt_sem_seg', 'gt_mask', 'gt_depth_map', 'gt_normal_map')


@HOOKS.register_module()
class DenseVisualizationHook(Hook):
    """Draw ground truth beside prediction, through the visualizer's backends (files, TensorBoard) or into a directory.

    In training the pictures are samples as the network got them, after augmentation. Their predictions are computed
    for the purpose, in evaluation mode and without gradients; the run's numbers stay what they are without the hook.

    Args:
        draw: Draw in validation and test.
        interval: Every so many batches of validation and test.
        train_interval: Every so many iterations of training; 0 for never.
        max_samples: Pictures of one training batch.
        show: Open a window instead.
        wait_time: Seconds that it stays.
        test_out_dir: Write a test's pictures to WORK_DIR/TIMESTAMP/test_out_dir instead of to the backends.
        backend_args: Of mmengine's ``fileio``, for reading the pictures.
    """

    priority = 'NORMAL'

    def __init__(self, draw: bool = False, interval: int = 50, train_interval: int = 500, max_samples: int = 4, show: bool = False,
                 wait_time: float = 0., test_out_dir: str | None = None, backend_args: dict | None = None):
        if interval < 1 or train_interval < 0 or max_samples < 1:
            raise ValueError('DenseVisualizationHook needs interval and max_samples of at least 1 and a train_interval of at least '
                             f'0, got {interval}, {max_samples} and {train_interval}')
        self.draw, self.interval, self.train_interval, self.max_samples = draw, interval, train_interval, max_samples
        self.show, self.wait_time, self.test_out_dir, self.backend_args = show, wait_time, test_out_dir, backend_args
        self._drawn = 0

    def after_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None) -> None:
        """Draw the first samples of the batch."""
        if not self.train_interval or not self.every_n_train_iters(runner, self.train_interval):
            return
        inputs = list(data_batch['inputs'][:self.max_samples])
        for i, (image, truth, sample) in enumerate(zip(inputs, data_batch['data_samples'], _predict(runner.model, inputs))):
            sample.set_data({field: truth.get(field) for field in _TRUTHS if field in truth})
            picture = image.permute(1, 2, 0).cpu().numpy()[..., ::-1].copy()
            runner.visualizer.add_datasample(f'train_{i}', picture, sample, show=self.show, wait_time=self.wait_time,
                                             step=runner.iter + 1)

    def after_val_iter(self, runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: Sequence[SegDataSample] | None = None) -> None:
        """Draw the batch's pictures."""
        if self.draw and self.every_n_inner_iters(batch_idx, self.interval):
            self._draw(runner, outputs, 'val')

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[SegDataSample] | None = None) -> None:
        """Draw the batch's pictures."""
        if self.draw and self.every_n_inner_iters(batch_idx, self.interval):
            self._draw(runner, outputs, 'test')

    def before_test_epoch(self, runner) -> None:
        """Number the pictures from 0."""
        self._drawn = 0

    def _draw(self, runner, samples: Sequence[SegDataSample], mode: str) -> None:
        import mmcv
        # runner.iter would build the training data set where there is no training
        step = getattr(runner._train_loop, 'iter', 0)
        for sample in samples:
            image = mmcv.imfrombytes(get(sample.img_path, backend_args=self.backend_args), channel_order='rgb')
            stem, out_file = os.path.splitext(os.path.basename(sample.img_path))[0], None
            if mode == 'test' and self.test_out_dir is not None:
                # Pictures of different folders may have the same name.
                out_file = os.path.join(runner.work_dir, runner.timestamp, self.test_out_dir, f'{self._drawn:05d}_{stem}.png')
                self._drawn += 1
            runner.visualizer.add_datasample(f'{mode}_{stem}', image, sample, show=self.show, wait_time=self.wait_time,
                                             out_file=out_file, step=step)


@torch.no_grad()
def _predict(model: torch.nn.Module, inputs: list) -> list[SegDataSample]:
    """Predictions at the inputs' size. Every process takes part, because a sharded model needs all of them."""
    samples = [SegDataSample(metainfo=dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), tuple(x.shape[-2:]))) for x in inputs]
    training = [module.training for module in model.modules()]
    model.eval()
    try:
        return model.val_step(dict(inputs=inputs, data_samples=samples))
    finally:
        for module, flag in zip(model.modules(), training):
            module.training = flag
