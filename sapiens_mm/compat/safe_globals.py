"""Loading mmengine's checkpoints with torch's weights-only guard, which stays on."""
from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from types import ModuleType

from .cure import Cure


def _history_buffer_method(owner: type, name: str):
    """Stands for ``getattr`` inside checkpoints, where mmengine's log buffers name their own statistics methods.

    The real one would reach anything from anything, so this one knows a single class and plain methods of it.
    """
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name.startswith('_') or not callable(vars(HistoryBuffer).get(name)):
        raise pickle.UnpicklingError(f'the checkpoint asks for {name!r} of {owner!r}, which is not a log statistic')
    return vars(HistoryBuffer)[name]


def _named(function: Callable, module: str, name: str) -> Callable:
    """``function`` under the name by which files call it; the guard of torch 2.6 reads names off the object."""

    def call(*args):
        return function(*args)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call


def checkpoint_types() -> list:
    """Harmless types and functions beside tensors' own that an mmengine checkpoint names.

    Log buffers come from the message hub; arrays, their scalars and dtypes from those buffers and from the data set's
    meta information (keypoint weights, sigmas, palettes); ConfigDict from meta information written in a config.
    """
    import numpy as np
    from mmengine.config import ConfigDict
    from mmengine.logging import HistoryBuffer
    allowed = [HistoryBuffer, ConfigDict, np.ndarray, np.dtype, bytes]  # bytes: how an empty array is written
    allowed += sorted({type(np.dtype(code)) for code in np.typecodes['All'] if code != 'O'}, key=lambda t: t.__name__)
    allowed.append(_named(_history_buffer_method, 'builtins', 'getattr'))
    multiarray = importlib.import_module('numpy.core.multiarray' if np.__version__[:2] == '1.' else
                                         'numpy._core.multiarray')
    for name in ('_reconstruct', 'scalar'):
        # numpy 2 moved them; files of either side load on the other
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
            allowed.append(_named(getattr(multiarray, name), module, name))
    return allowed


def _install(cure: Cure) -> None:

    def apply(module: ModuleType) -> None:
        import torch
        version = tuple(int(part) for part in torch.__version__.split('.')[:2])
        if version < (2, 6):
            cure.not_needed(f'torch {torch.__version__} loads without the guard by default')
            return
        torch.serialization.add_safe_globals(checkpoint_types())
        cure.activated(f'torch {torch.__version__} loads with weights_only=True by default')

    cure.after_import('mmengine.runner.checkpoint', apply)  # where mmengine and its libraries load checkpoints


SAFE_GLOBALS = Cure(
    name='safe-globals',
    library='mmengine',
    affected='all with torch 2.6 or later: resuming fails with "Weights only load failed"',
    until='mmengine allows its own types when it loads checkpoints',
    effect="mmengine's log buffers and numpy arrays are allowed in checkpoints; the guard itself stays on.",
    install=_install,
)
