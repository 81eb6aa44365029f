"""Hooks for mmengine's runners."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from sapiens_mm.engine.checkpoint import fit_state_dict
from sapiens_mm.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Stop the run when the checkpoint of ``load_from`` or ``resume`` does not fill the model exactly.

    Args:
        expected_missing: Patterns (``fnmatch``) of the model's weights that the file may lack or have in another shape; they
            keep their initial values. For example ``['head.final_layer.*']`` to fine-tune to other keypoints.
        expected_unexpected: Patterns of the file's weights that are left out.
    """

    priority = 'LOWEST'  # after hooks that rewrite the checkpoint, such as the moving average's

    def __init__(self, expected_missing: Sequence[str] = (), expected_unexpected: Sequence[str] = ()):
        self.expected_missing = tuple(expected_missing)
        self.expected_unexpected = tuple(expected_unexpected)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check ``checkpoint`` before it reaches the model; raises ``ValueError``."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        fit_state_dict(model, checkpoint.get('state_dict', checkpoint), source=str(runner._load_from or 'the checkpoint'),
                       expected_missing=self.expected_missing, expected_unexpected=self.expected_unexpected)


def _bad_sample_counters(dataset) -> Iterator:
    """Counters of the transforms in the pipeline of ``dataset`` and of the data sets that it wraps."""
    for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if hasattr(transform, 'bad_samples'):
            yield transform.bad_samples
    for inner in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
        if inner is not None:
            yield from _bad_sample_counters(inner)


@HOOKS.register_module()
class BadSampleHook(Hook):
    """Say at the end of each epoch and evaluation how many files could not be used, over all processes.

    It looks for transforms that have a counter ``bad_samples``, for example ``sapiens_mm.LoadImage``. The run stops with the
    counter's ``ValueError`` where more files are bad than it accepts.
    """

    priority = 'BELOW_NORMAL'  # after the metrics, before the checkpoint

    def after_train_epoch(self, runner) -> None:
        """Training's files."""
        self._report(runner, runner.train_loop, 'training')

    def after_train(self, runner) -> None:
        """What iteration-based training read; nothing is left to say after an epoch-based one."""
        self._report(runner, runner.train_loop, 'training')

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Validation's files."""
        self._report(runner, runner.val_loop, 'validation')

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        """The test's files."""
        self._report(runner, runner.test_loop, 'test')

    @staticmethod
    def _report(runner, loop, phase: str) -> None:
        counters = {id(counter): counter for counter in _bad_sample_counters(loop.dataloader.dataset)}
        for counter in counters.values():
            states = all_gather_object(counter.state())
            read, bad = (sum(state[i] for state in states) for i in range(2))
            names = [name for state in states for name in state[2]]
            counter.reset()
            if bad:
                shown = ', '.join(names[:4]) + (' and others' if bad > len(names[:4]) else '')
                runner.logger.warning(f'{phase}: {bad} of {read} {counter.what}: {shown}')
                counter.judge(read, bad, names[:4])
