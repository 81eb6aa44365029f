"""Checkpoints that survive a process killed at any moment."""
from __future__ import annotations

import os
from glob import escape, glob
from pathlib import Path

from mmengine.dist import master_only
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook

from sapiens_mm.registry import HOOKS

_BACKEND = 'sapiens_mm_atomic'
_SUFFIX = '.partial'


class AtomicLocalBackend(LocalBackend):
    """mmengine's local files, where a file is either there whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write to a temporary name on the same disk, force it there, then rename."""
        filepath = Path(filepath)
        filepath.parent.mkdir(parents=True, exist_ok=True)
        partial = filepath.with_name(filepath.name + _SUFFIX)
        with open(partial, 'wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, filepath)


register_backend(_BACKEND, AtomicLocalBackend)


class _RemoveLater:
    """A file backend whose removals wait for :meth:`flush`."""

    def __init__(self, backend):
        self._backend = backend
        self._waiting: list[str] = []

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._waiting.append(path)

    def flush(self, keep: set[str]) -> None:
        for path in self._waiting:
            if path not in keep and self._backend.isfile(path):
                self._backend.remove(path)
        self._waiting.clear()


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` for machines that stop without notice, on local and shared disks.

    A checkpoint appears under its name only when it is complete, and the ones that it replaces go only then: at every moment the
    directory holds a whole checkpoint. Takes the arguments of ``CheckpointHook``.
    """

    def __init__(self, *args, **kwargs):
        kwargs.setdefault('backend_args', dict(backend=_BACKEND))
        super().__init__(*args, **kwargs)

    def before_train(self, runner) -> None:
        """As in mmengine; what an interrupted run left half-written goes."""
        super().before_train(runner)
        self.file_backend = _RemoveLater(self.file_backend)
        self._sweep()

    @master_only
    def _sweep(self) -> None:
        for partial in glob(os.path.join(escape(str(self.out_dir)), f'*.pth{_SUFFIX}')):
            os.remove(partial)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self.file_backend.flush(keep={self.last_ckpt})

    def _save_best_checkpoint(self, runner, metrics) -> None:
        super()._save_best_checkpoint(runner, metrics)
        best = getattr(self, 'best_ckpt_path_dict', None) or dict(best=getattr(self, 'best_ckpt_path', None))
        self.file_backend.flush(keep=set(best.values()))
