"""Reading files of ``torch.save`` without running what they contain."""
from __future__ import annotations

import pickle
import re
from functools import cache
from types import ModuleType

import torch

from sapiens_mm.compat.safe_globals import checkpoint_types

_GLOBAL = re.compile(r'(?:Unsupported (?:global|class)|GLOBAL|Trying to (?:load|call reduce for) unrecognized (?:class|function))'
                     r'[:\s]*(?:GLOBAL )?[\'"]?([\w.]+)')


class UnsafeContent(ValueError):
    """The file holds more than tensors and plain data."""


def _allowed() -> dict[tuple[str, str], object]:
    """(module, name) -> what a checkpoint may name beside tensors' own."""
    return {(item.__module__, item.__qualname__): item for item in checkpoint_types()}


class _RestrictedUnpickler(pickle.Unpickler):
    """Finds a fixed list of names; everything else in the file is an error before it is called."""

    def find_class(self, module: str, name: str):
        allowed = _allowed()
        if (module, name) in allowed:
            return allowed[module, name]
        if module == 'torch' and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        plain = {
            ('collections', 'OrderedDict'), ('torch', 'Size'), ('torch', 'Tensor'), ('torch', 'device'),
            ('torch._utils', '_rebuild_tensor'), ('torch._utils', '_rebuild_tensor_v2'), ('torch._utils', '_rebuild_parameter'),
            ('torch.nn.parameter', 'Parameter'), ('_codecs', 'encode'),
        }
        if (module, name) in plain or (module == 'torch' and name.endswith('Storage')):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {module}.{name}')


def restricted_pickle() -> ModuleType:
    """A stand-in for :mod:`pickle` that ``torch.load`` of any version accepts and that reads tensors and plain data only."""
    module = ModuleType('sapiens_mm.restricted_pickle')
    module.Unpickler = _RestrictedUnpickler
    module.load = lambda file, **kwargs: _RestrictedUnpickler(file, **kwargs).load()
    module.UnpicklingError = pickle.UnpicklingError
    return module


@cache
def _tell_guard() -> bool:
    """Allow mmengine's and numpy's types in torch's own guard, once; False where it cannot be told.

    Not for the time of one call: torch's context manager would forget the types that others had allowed before.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):  # came with torch 2.4
        return False
    torch.serialization.add_safe_globals(checkpoint_types())
    return True


def _guarded_load(path: str):
    if _tell_guard():
        return torch.load(path, map_location='cpu', weights_only=True)
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:  # that guard cannot be told of mmengine's and numpy's types
        return torch.load(path, map_location='cpu', weights_only=False, pickle_module=restricted_pickle())


def _is_pickle(path: str) -> bool:
    with open(path, 'rb') as file:
        return file.read(1) == b'\x80'


def torch_load(path: str, trusted: bool = False):
    """``torch.load`` onto the CPU that builds tensors, arrays and plain data, and refuses the rest.

    Args:
        path: A file of ``torch.save``.
        trusted: Load whatever the file contains. It can run any code: only for files of your own.

    Raises:
        UnsafeContent: It holds more; the message names what.
        ValueError: It is damaged, or no such file.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=False) if trusted else _guarded_load(path)
    except Exception as error:  # the reader of archives, the unpickler and what they call each have types of their own
        text = ' '.join(str(error).split())
        held = _GLOBAL.search(text)
        broken = any(word in text for word in ('truncated', 'invalid load key')) or (
            'Unsupported operand' in text and not _is_pickle(path))
        if held or 'weights_only' in text.lower() and not broken:
            what = held[1] if held else 'objects'
            raise UnsafeContent(f'{path} holds more than tensors and plain data ({what}), which is not loaded because it could run '
                                'code. If you made the file or trust who did, say so: trusted=True or --trusted, or make it plain '
                                'for every tool: convert_checkpoint.py --trusted') from error
        reason = type(error).__name__ if not text or text.startswith('Weights only') else text[:160]
        raise ValueError(f'{path} cannot be read as a checkpoint: it is cut short or damaged, or no checkpoint at all ({reason})'
                         ) from error
