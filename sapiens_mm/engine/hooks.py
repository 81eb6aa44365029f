"""Hooks for mmengine's runners."""
from __future__ import annotations

from collections.abc import Sequence

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
