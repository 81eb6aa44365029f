"""Hooks for pre-training: where in the data a run is, and what its model makes of pictures."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.nn.parallel import DistributedDataParallel

from sapiens_mm.pretrain.order import Stage
from sapiens_mm.pretrain.sampler import ResumableSampler, StreamBatchSampler
from sapiens_mm.pretrain.visualizer import MASK_RATIOS, draw_reconstructions
from sapiens_mm.registry import HOOKS

_KEY = 'sapiens_mm_data_position'


@HOOKS.register_module()
class DataPositionHook(Hook):
    """Save with each checkpoint how far its epoch has come, and go on there when it is resumed.

    No sample that a checkpoint was trained on comes again in its epoch and none that it was not is left out: what was read ahead
    when the run stopped does not count, and what was trained on after the last checkpoint is repeated, as the weights have
    forgotten it. Only the few samples that fill up the last batches of an interruption come twice. For epoch-based training with a
    ``sapiens_mm.ResumableSampler``; checkpoints within epochs come from the checkpoint hook's ``by_epoch=False``.

    Where the resumed run has another number of iterations in an epoch, because the number of processes or the batch size has
    changed, its schedules go on at the same share of the training, with the learning rate of the new batch size.
    """

    priority = 'NORMAL'  # before the checkpoint

    def __init__(self):
        self._batches = 0
        self._ended = False

    def before_train(self, runner) -> None:
        """Refuse a loop or a sampler that cannot be resumed."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop) or self._sampler(runner) is None:
            raise ValueError('DataPositionHook needs train_cfg of type EpochBasedTrainLoop and train_dataloader.sampler of type '
                             'sapiens_mm.ResumableSampler; leave the hook out otherwise')

    def before_train_epoch(self, runner) -> None:
        """Tell the sampler its epoch."""
        self._sampler(runner).set_epoch(runner.epoch)
        self._batches, self._ended = 0, False

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """One more batch."""
        self._batches = batch_idx + 1

    def after_train_epoch(self, runner) -> None:
        """Nothing of this epoch is left."""
        self._ended = True

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the position to the checkpoint."""
        sampler, loader = self._sampler(runner), runner.train_dataloader
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        stages = [*sampler.stages, Stage(get_world_size(), loader.num_workers, batch_size, self._batches)]
        checkpoint[_KEY] = dict(
            epoch=sampler.epoch + self._ended, seed=sampler.seed, stages=[] if self._ended else [list(s) for s in stages],
            size=sampler.size, order_key=getattr(loader.dataset, 'order_key', ''), iterations=len(loader))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take up the position of a checkpoint that the run resumes from."""
        position = checkpoint.get(_KEY)
        if not runner._resume or position is None:
            return
        iterations = len(runner.train_dataloader)  # in an epoch
        before = position.get('iterations', iterations)
        if iterations != before:
            _change_pace(runner, checkpoint, iterations / before)
        sampler, dataset = self._sampler(runner), runner.train_dataloader.dataset
        if (position['size'], position['order_key']) != (sampler.size, getattr(dataset, 'order_key', '')):
            runner.logger.warning('the data set is not the one that the checkpoint was trained on: its epoch starts again')
            return
        sampler.resume(position['epoch'], position['seed'], tuple(Stage(*s) for s in position['stages']))
        done = sum(s[0] * s[2] * s[3] for s in position['stages'])
        if done:
            runner.logger.info(f'going on in epoch {position["epoch"] + 1} after {done} of {sampler.size} samples')

    @staticmethod
    def _sampler(runner) -> ResumableSampler | None:
        loader = runner.train_dataloader
        sampler = loader.batch_sampler.sampler if isinstance(loader.batch_sampler, StreamBatchSampler) else loader.sampler
        return sampler if isinstance(sampler, ResumableSampler) else None


def _change_pace(runner, checkpoint: dict, pace: float) -> None:
    """Rewrite a checkpoint for a run that has ``pace`` times the iterations in an epoch.

    mmengine would go on with the old run's schedules, counted in its iterations, and with its learning rate.
    """
    meta, fresh, schedulers = checkpoint['meta'], runner.optim_wrapper, runner.param_schedulers or []
    saved = checkpoint.get('param_schedulers', [])
    if ('optimizer' not in checkpoint or not hasattr(fresh, 'optimizer')  # of several optimizers
            or not isinstance(schedulers, list) or len(saved) != len(schedulers)):
        runner.logger.warning(f'an epoch has {pace:.3g} times the iterations that it had; the schedules are not adapted to that')
        return
    meta['iter'] = round(meta['iter'] * pace)
    for group, now in zip(checkpoint['optimizer']['param_groups'], fresh.optimizer.param_groups):
        if 'initial_lr' in group and 'initial_lr' in now:
            group['lr'] *= now['initial_lr'] / group['initial_lr']
            group['initial_lr'] = now['initial_lr']
    for number, scheduler in enumerate(schedulers):
        step = saved[number]['_global_step']
        if not scheduler.by_epoch:
            step = round(step * pace)
        # All else is the new scheduler's own: its length in iterations, the values that it starts from.
        saved[number] = dict(_global_step=step, last_step=max(min(step, scheduler.end - 1) - scheduler.begin, -1))
    runner.logger.info(f'an epoch has {pace:.3g} times the iterations that it had: going on at iteration {meta["iter"]}, with '
                       f'a learning rate of {checkpoint["optimizer"]["param_groups"][0]["lr"]:.4g}')


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Draw the first pictures of a training batch with patches hidden, and what the model makes of them.

    Goes to the backends of the run's visualiser: files below the work directory, TensorBoard. The run's numbers stay what they are
    without the hook. For one device and data-parallel training: a model that is sharded over processes cannot run on one of them
    alone, and is not drawn.

    Args:
        interval: Iterations from one drawing to the next; the first is drawn too.
        max_samples: Pictures of a batch.
        mask_ratios: Shares of hidden patches, in (0, 0.95].
    """

    priority = 'NORMAL'

    def __init__(self, interval: int = 500, max_samples: int = 8, mask_ratios: Sequence[float] = MASK_RATIOS):
        if interval < 1 or max_samples < 1 or not all(0 < ratio <= 0.95 for ratio in mask_ratios):
            raise ValueError('ReconstructionHook needs interval and max_samples of at least 1 and mask_ratios in (0, 0.95], got '
                             f'{interval}, {max_samples} and {list(mask_ratios)}')
        self.interval, self.max_samples, self.mask_ratios = interval, max_samples, tuple(mask_ratios)

    def before_train(self, runner) -> None:
        """Stand by where the model is sharded."""
        self._whole = not is_model_wrapper(runner.model) or isinstance(runner.model, DistributedDataParallel)
        if not self._whole:
            runner.logger.warning(f'ReconstructionHook draws nothing: a {type(runner.model).__name__} cannot run on one process '
                                  'alone; use tools/visualizations/reconstruct.py on its checkpoints')

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Draw at iteration 0 and at every interval."""
        if self._whole and is_main_process() and runner.iter % self.interval == 0:
            picture = draw_reconstructions(runner.model, data_batch['inputs'][:self.max_samples], self.mask_ratios)
            runner.visualizer.add_image('reconstruction', picture, step=runner.iter)
