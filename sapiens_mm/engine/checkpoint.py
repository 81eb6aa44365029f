"""Reading checkpoints, finding out what they hold, and refusing those that do not fit the model.

The weights of a stock head and of a Sapiens head share their names, and mmengine loads what fits and warns about the rest, so
that a wrong file gives wrong results instead of an error. Here every weight has to be accounted for.
"""
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

_PER_LIST = 8  # names that an error shows of each kind
_BACKBONE_NAMES = ('pos_embed', 'cls_token', 'patch_embed.', 'layers.', 'ln1.')
_WIDTH_TO_SIZE = {(1024, 24): 'sapiens_0.3b', (1280, 32): 'sapiens_0.6b', (1536, 40): 'sapiens_1b', (1920, 48): 'sapiens_2b'}


def persistent_shapes(module: nn.Module, prefix: str = '') -> dict[str, tuple[int, ...]]:
    """Name -> shape of what a module saves: parameters and persistent buffers."""
    shapes = {}
    for path, child in module.named_modules(prefix=prefix.rstrip('.'), remove_duplicate=False):
        tensors = {**child._parameters,
                   **{k: v for k, v in child._buffers.items() if k not in child._non_persistent_buffers_set}}
        shapes.update({f'{path}.{k}'.lstrip('.'): tuple(v.shape) for k, v in tensors.items() if v is not None})
    return shapes


def describe(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Say in a few words which model a set of weights belongs to, as far as names and shapes tell; '' if they do not.

    Args:
        shapes: Weight name -> shape, of a file or of a model.
    """
    words = []
    backbone = backbone_names(shapes)
    patch = next((tuple(shapes[n]) for n in backbone if n.endswith('patch_embed.projection.weight')), None)
    if patch:
        blocks = {n.rpartition('layers.')[2].split('.')[0] for n in backbone if n.endswith('attn.qkv.weight')}
        words.append(_WIDTH_TO_SIZE.get((patch[0], len(blocks)), f'a backbone {patch[0]} wide with {len(blocks)} blocks'))
    if 'neck.decoder_pred.weight' in shapes:
        words.append('masked auto-encoder pre-training')
    if 'head.final_layer.weight' in shapes:
        words.append(f'pose with {shapes["head.final_layer.weight"][0]} keypoints')
    classes = shapes.get('decode_head.conv_seg.weight', (0, ))[0]
    if classes:
        words.append({1: 'depth', 3: 'surface normals'}.get(classes, f'segmentation of {classes} classes'))
    if any(n.startswith(('head.', 'decode_head.')) and n.endswith('running_mean') for n in shapes):
        words.append("a stock head with BatchNorm, not Sapiens' with InstanceNorm")
    if patch and len(words) == 1:
        words.append('backbone only')
    return ', '.join(words)


def backbone_names(names: Iterable[str]) -> list[str]:
    """Those names that belong to a backbone: below ``backbone.`` where there are such, else bare ones."""
    names = list(names)
    prefixed = [n for n in names if n.startswith('backbone.')]
    return prefixed or [n for n in names if n.startswith(_BACKBONE_NAMES)]


def _some(names: list[str]) -> str:
    more = f' and {len(names) - _PER_LIST} more' if len(names) > _PER_LIST else ''
    return ', '.join(names[:_PER_LIST]) + more


def mismatch(own: Mapping[str, tuple], given: Mapping[str, tuple], labels: tuple[str, str] = ('model', 'file')) -> str | None:
    """What stops weights of shapes ``given`` from filling a model of shapes ``own`` completely; None if nothing does.

    ``labels`` are what the two are called in the answer.
    """
    missing = [n for n in own if n not in given]
    unexpected = [n for n in given if n not in own]
    other = [f'{n} ({labels[1]} {tuple(given[n])}, {labels[0]} {tuple(own[n])})' for n in own
             if n in given and tuple(own[n]) != tuple(given[n])]
    parts = [f'{len(names)} {what}: {_some(names)}' for names, what in (
        (missing, 'missing'), (unexpected, 'unexpected'), (other, 'of another shape')) if names]
    return '; '.join(parts) or None


class StrictStateDict:
    """Mixin that makes a module refuse a state dict which does not fill it exactly.

    mmengine's loaders never raise by default, whatever is missing; they do hand ``strict=True`` to every module, which is
    where this one checks. ``module.load_state_dict(..., strict=False)`` of PyTorch still loads in part.
    """

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, *args, **kwargs):
        if strict:
            own = persistent_shapes(self)
            given = {n[len(prefix):]: tuple(v.shape) for n, v in state_dict.items() if n.startswith(prefix)}
            trouble = mismatch(own, given)
            if trouble:
                at = f' at {prefix.rstrip(".")!r}' if prefix else ''
                model = describe(persistent_shapes(self, prefix)) or type(self).__name__
                held = describe({n: tuple(v.shape) for n, v in state_dict.items()}) or 'others'
                raise ValueError(
                    f'these weights do not fit {type(self).__name__}{at}. The model is {model}; the weights are {held}. '
                    f'{trouble}. Load the checkpoint that '
                    'belongs to the config; if some of these are meant to differ, name them in '
                    "custom_hooks=[dict(type='sapiens_mm.StrictLoadHook', expected_missing=[...], expected_unexpected=[...])]")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *args, **kwargs)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a weight's name is one of the patterns (``fnmatch``: ``head.final_layer.*``)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def fit_state_dict(model: nn.Module,
                   state_dict: dict[str, Tensor],
                   source: str,
                   expected_missing: Iterable[str] = (),
                   expected_unexpected: Iterable[str] = ()) -> None:
    """Check, in place, that a state dict fills a model; apply the exceptions that the user has named.

    A weight that is expected to be missing (or of another shape) keeps the model's value; one that is expected to be
    unexpected is dropped. A position table of another length is left to the backbone, which resamples it.

    Args:
        model: The model that will load.
        state_dict: Name -> tensor; changed in place.
        source: Where it comes from, for the message.
        expected_missing: Patterns of names of the model.
        expected_unexpected: Patterns of names of the file.

    Raises:
        ValueError: Weights are missing, unexpected or of another shape, or a pattern matches nothing.
    """
    own = persistent_shapes(model)
    bare = {(n[7:] if n.startswith('module.') else n): n for n in state_dict}  # mmengine strips DataParallel's prefix later
    for n in [n for n in bare if n not in own and n.startswith('data_preprocessor.')]:
        del state_dict[bare.pop(n)]  # mean and std: the config's, never the file's
    shapes = {n: tuple(state_dict[k].shape) for n, k in bare.items()}
    for pattern in [*expected_missing, *expected_unexpected]:
        if not any(fnmatchcase(n, pattern) for n in {*own, *shapes}):
            raise ValueError(f'{pattern!r} is named as expected to differ, but neither the model nor {source} has such a weight')

    kept = [n for n in own if shapes.get(n) != own[n] and matches(n, expected_missing)]
    dropped = [n for n in shapes if n not in own and matches(n, expected_unexpected)]
    held_by_file = describe(shapes)
    for n in dropped:
        del state_dict[bare[n]], shapes[n]
    current = model.state_dict() if kept else {}
    for n in kept:
        state_dict[bare.get(n, n)], shapes[n] = current[n], own[n]
    if kept or dropped:
        print_log(f'{source}: {len(kept)} weights stay as initialised ({_some(kept)}); {len(dropped)} left out '
                  f'({_some(dropped)})', logger='current')
    for n in own:
        if n.endswith('pos_embed') and n in shapes and shapes[n][::2] == own[n][::2]:
            shapes[n] = own[n]
    trouble = mismatch(own, shapes)
    if trouble:
        raise ValueError(
            f'{source} does not fit the model of the config. The file holds {held_by_file or "no Sapiens model"}; the '
            f'config builds {describe(own) or type(model).__name__}. {trouble}. Use the checkpoint that belongs to the config; if some of these '
            "are meant to differ, name them in custom_hooks=[dict(type='sapiens_mm.StrictLoadHook', "
            "expected_missing=['head.final_layer.*'], ...)]")


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Read the weights of a checkpoint file, and nothing that would run code.

    Args:
        path: ``.safetensors``, or a file of ``torch.save`` that holds tensors bare or below ``state_dict``.

    Returns:
        Name -> tensor on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is broken, or it is no checkpoint.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no checkpoint at {path}; give the path of a .pth or .safetensors file')
    try:
        if path.endswith('.safetensors'):
            from safetensors.torch import load_file
            content = load_file(path)
        else:
            content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f'{path} cannot be read as a checkpoint ({reason[0]}). It is cut short or damaged, no checkpoint at '
                         'all, or holds more than tensors and plain data, which is not loaded because it could run code') from error
    state_dict = content.get('state_dict', content) if isinstance(content, dict) else None
    if not isinstance(state_dict, dict) or not any(isinstance(v, Tensor) for v in state_dict.values()):
        raise ValueError(f'{path} holds no weights: a dict of tensors, bare or below "state_dict", was expected')
    return {k: v for k, v in state_dict.items() if isinstance(v, Tensor)}


def load_backbone(backbone: nn.Module, path: str, prefix: str | None = None) -> None:
    """Fill a backbone from a bare backbone file, a raw pre-training file or a fine-tuned model, strictly.

    Args:
        backbone: Module whose weights have the released names.
        path: See :func:`read_state_dict`.
        prefix: What the backbone's weights start with in the file; found out where None.

    Raises:
        FileNotFoundError, ValueError: See :func:`read_state_dict`; or the file's backbone is not this one.
    """
    everything = read_state_dict(path)
    if prefix is None:
        names = backbone_names(everything)
        prefix = 'backbone.' if names and names[0].startswith('backbone.') else ''
    else:
        prefix = prefix.rstrip('.') + '.' if prefix else ''
        names = [n for n in everything if n.startswith(prefix)]
    if not names:
        raise ValueError(f'{path} has no backbone' + (f' below {prefix!r}' if prefix else '') +
                         f'; it holds {_some(list(everything))}')
    weights = {n[len(prefix):]: everything[n] for n in names}
    left_out = [n for n in everything if n not in set(names)]
    if 'cls_token' in weights and 'cls_token' not in persistent_shapes(backbone):
        del weights['cls_token']
        left_out.append(f'{prefix}cls_token')
    held = describe({k: tuple(v.shape) for k, v in everything.items()}) or 'no Sapiens model'
    try:
        backbone.load_state_dict(weights, strict=True)
    except ValueError as error:
        raise ValueError(f'{path} ({held}): {error}') from None
    print_log(f'backbone: {len(weights)} weights from {path} ({held})' +
              (f'; {len(left_out)} left out: {_some(left_out)}' if left_out else ''), logger='current')


def latest_checkpoint(work_dir: str) -> str | None:
    """The checkpoint to resume from in a work directory, None where there is none.

    mmengine keeps its path in ``last_checkpoint``. Where a kill has left that file empty or pointing at nothing, the newest
    ``epoch_N.pth`` or ``iter_N.pth`` counts.
    """
    note = Path(work_dir) / 'last_checkpoint'
    if note.is_file():
        last = note.read_text().strip()
        # A work directory that has moved still holds the file that the note names by its old path.
        for path in (Path(last), Path(work_dir) / Path(last).name):
            if last and path.is_file():
                return str(path)
    numbered = [p for p in Path(work_dir).glob('*.pth') if re.fullmatch(r'(epoch|iter)_\d+', p.stem)]
    return str(max(numbered, key=lambda p: p.stat().st_mtime)) if numbered else None
