"""Reading checkpoints, finding out what they hold, and refusing those that do not fit the model.

The weights of a stock head and of a Sapiens head share their names, and mmengine loads what fits and warns about the rest, so
that a wrong file gives wrong results instead of an error. Here every weight has to be accounted for.
"""
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from sapiens_mm.engine.hub import fetch
from sapiens_mm.engine.safe_load import torch_load

_RUN = 512  # zeros in a row that no trained weight has; half of the smallest hole in a file, a page of 4096 bytes
_PER_LIST = 8  # names that an error shows of each kind
_WRAPPERS = ('module.', 'model.', '_orig_mod.')
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


def damage(weights: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the values of weights, whose names and shapes may be right; None if nothing is seen.

    Numbers that are not finite (a training that diverged), other than floating-point numbers (a quantised file), and long runs of
    zeros in a matrix or kernel, as a copy that was cut off leaves them in a file of the full size.
    """
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            return f'{name} is a {type(value).__name__}, not a tensor'
        if value.is_meta or value.layout is not torch.strided:
            return f'{name} has no values of its own'
        if not value.is_floating_point():
            if name.endswith(('weight', 'bias', 'pos_embed', 'token')):
                return f'{name} holds {str(value.dtype)[6:]}, not floating-point numbers'
            continue
        if type(value) not in (Tensor, nn.Parameter) or not value.numel():
            continue  # spread over processes, or nothing
        values = value.detach().flatten()
        values = values.float() if value.element_size() == 1 else values
        run = min(_RUN, len(values))
        whole = len(values) // run * run
        low, high = torch.aminmax(values[:whole].view(-1, run), dim=1)
        spread = torch.cat([high.float() - low.float(), values[whole:].float()])  # not-a-number and infinity go through
        if not torch.isfinite(spread).all():
            return f'{name} holds numbers that are not finite (the training has diverged, or the file is damaged)'
        if value.ndim in (2, 4) and name.endswith('weight') and ((low == 0) & (high == 0)).any():
            return f'{name} holds {run} or more zeros in a row (a copy or download that stopped half-way)'
    return None


class StrictStateDict:
    """Mixin that makes a module refuse a state dict which does not fill it exactly, or holds damaged values.

    mmengine's loaders never raise by default, whatever is missing; they do hand ``strict=True`` to every module, which is
    where this one checks. ``module.load_state_dict(..., strict=False)`` of PyTorch still loads in part.
    """

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, *args, **kwargs):
        if strict:
            own = persistent_shapes(self)
            given = {n[len(prefix):]: tuple(getattr(v, 'shape', ())) for n, v in state_dict.items() if n.startswith(prefix)}
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
            trouble = damage({n: v for n, v in state_dict.items() if n.startswith(prefix)})
            if trouble:
                raise ValueError(f'these weights are of no use: {trouble}. Get the file again, or take an earlier checkpoint')
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *args, **kwargs)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a weight's name is one of the patterns (``fnmatch``: ``head.final_layer.*``)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _same_backbone(own: Mapping[str, tuple], given: Mapping[str, tuple]) -> bool:
    """Whether two models have the same backbone, up to what is adapted when it is loaded."""
    backbones = [{n: tuple(v) for n, v in bare_backbone(shapes).items() if n not in ('pos_embed', 'cls_token')}
                 for shapes in (own, given)]
    return bool(backbones[0]) and backbones[0] == backbones[1]


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
    weights = whole_model(state_dict)  # mean and std of the preprocessor are the config's, never the file's
    weights.update({n: v for n, v in state_dict.items() if n in own and n not in weights})
    state_dict.clear()
    state_dict.update(weights)
    shapes = {n: tuple(v.shape) for n, v in state_dict.items()}
    for pattern in [*expected_missing, *expected_unexpected]:
        if not any(fnmatchcase(n, pattern) for n in {*own, *shapes}):
            raise ValueError(f'{pattern!r} is named as expected to differ, but neither the model nor {source} has such a weight')

    kept = [n for n in own if shapes.get(n) != own[n] and matches(n, expected_missing)]
    dropped = [n for n in shapes if n not in own and matches(n, expected_unexpected)]
    held_by_file = describe(shapes)
    for n in dropped:
        del state_dict[n], shapes[n]
    current = model.state_dict() if kept else {}
    for n in kept:
        state_dict[n], shapes[n] = current[n], own[n]
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
            f'config builds {describe(own) or type(model).__name__}. {trouble}. Use the checkpoint that belongs to the config; '
            + (f"to train from the file's backbone, which fits, give model.backbone.init_cfg=dict(type='Pretrained', "
               f'checkpoint={source!r}) instead of load_from; ' if _same_backbone(own, shapes) else '') +
            "if some of these are meant to differ, name them in custom_hooks=[dict(type='sapiens_mm.StrictLoadHook', "
            "expected_missing=['head.final_layer.*'], ...)]")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        state_dict: Weight name -> tensor on the CPU, as the file names them.
        meta: The file's plain information: ``meta`` of an mmengine checkpoint, the header of a safetensors file, or {}.
        source: What it was read from, as it was given.
        raw_state_dict: The weights that were being trained, where ``state_dict`` holds their average; else None.
        left_out: Other top-level entries, such as ``optimizer``.
    """

    state_dict: dict[str, Tensor]
    meta: dict
    source: str
    raw_state_dict: dict[str, Tensor] | None = None
    left_out: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Weight name, without wrappers -> shape."""
        return {n: tuple(v.shape) for n, v in unwrapped(self.state_dict).items()}

    def describe(self) -> str:
        """Which model it is, in words; '' if that cannot be told."""
        return describe(self.shapes)


def unwrapped(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Source: a model saved inside wrappers. Names lose ``module.``, ``model.`` and ``_orig_mod.`` where all start with it.

    Of parallel training, of an exported or averaged model, and of ``torch.compile``. A bare count of steps beside them, as
    averaging keeps it, goes.
    """
    out = {n: v for n, v in state_dict.items() if n != 'steps'}
    while True:
        names = [n for n in out if not n.startswith('data_preprocessor.')]
        wrapper = next((w for w in _WRAPPERS if names and all(n.startswith(w) for n in names)), None)
        if wrapper is None:
            break
        out = {(n[len(wrapper):] if n.startswith(wrapper) else n): v for n, v in out.items()}
    return {n.replace('._orig_mod.', '.'): v for n, v in out.items()}


def bare_backbone(state_dict: Mapping[str, Tensor], prefix: str | None = None) -> dict[str, Tensor]:
    """Source: any model of the family. Its backbone's weights under their bare names; {} where it has none.

    Args:
        state_dict: Of a bare backbone, a raw pre-training model or a fine-tuned one.
        prefix: What the backbone's weights start with; found out where None.
    """
    weights = unwrapped(state_dict)
    if prefix is not None:
        prefix = prefix.rstrip('.') + '.' if prefix else ''
        if prefix and not any(n.startswith(prefix) for n in weights):
            weights = dict(state_dict)
        return {n[len(prefix):]: v for n, v in weights.items() if n.startswith(prefix)}
    names = backbone_names(weights)
    cut = len('backbone.') if names and names[0].startswith('backbone.') else 0
    return {n[cut:]: weights[n] for n in names}


def whole_model(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Source: a fine-tuned model. Its weights without wrappers and without the preprocessor's mean and std."""
    return {n: v for n, v in unwrapped(state_dict).items() if not n.startswith('data_preprocessor.')}


def _tensors(content) -> dict[str, Tensor]:
    return {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}


def read_checkpoint(source: str | os.PathLike, trusted: bool = False) -> Checkpoint:
    """Read a checkpoint, and nothing that would run code.

    Args:
        source: Path, URL or ``hf://owner/repo/file[@revision]`` of a ``.safetensors`` file, or of a file of ``torch.save`` that
            holds tensors bare, below ``state_dict``, below ``model``, or below ``state_dict_ema``.
        trusted: Load also what could run code. Only for files of your own.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is broken, it is no checkpoint, or it holds more than tensors and plain data.
    """
    source, path = os.fspath(source), fetch(source)
    if path.endswith('.safetensors'):
        from safetensors import safe_open
        try:
            with safe_open(path, 'pt') as file:
                weights, meta = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata() or {})
        except Exception as error:
            raise ValueError(f'{source} cannot be read as a safetensors file: it is cut short or damaged, or another kind of file '
                             f'({" ".join(str(error).split())[:160]})') from error
        return _whole(Checkpoint(weights, meta, source))
    return _parse(torch_load(path, trusted), source)


def _parse(content, source: str) -> Checkpoint:
    """The weights in what ``torch.load`` gave."""
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise ValueError(f'{source} holds no weights but a {type(content).__name__}; a dict of tensors was expected')
    key = next((k for k in ('state_dict', 'model', 'state_dict_ema') if _tensors(content.get(k))), None)
    weights = _tensors(content if key is None else content[key])
    meta = content.get('meta') if key is not None else None
    raw = None
    if key == 'state_dict' and _tensors(content.get('ema_state_dict')):
        raw = _tensors(content['ema_state_dict'])  # mmengine's averaging hook swaps the two when it saves
    elif key != 'state_dict_ema' and _tensors(content.get('state_dict_ema')):
        weights, raw = _tensors(content['state_dict_ema']), weights
    left_out = tuple(k for k in content if key is not None and k not in (key, 'meta', 'ema_state_dict', 'state_dict_ema'))
    if not weights:
        raise ValueError(f'{source} holds no weights: a dict of tensors, bare or below "state_dict", was expected; its entries are '
                         f'{_some([str(k) for k in content]) or "none"}')
    return _whole(Checkpoint(weights, dict(meta) if isinstance(meta, Mapping) else {}, source, raw, left_out))


def _whole(checkpoint: Checkpoint) -> Checkpoint:
    """Refuse tensors that are not plain numbers, before anything is made of them."""
    if not checkpoint.state_dict:
        raise ValueError(f'{checkpoint.source} holds no weights')
    for name, value in (*checkpoint.state_dict.items(), *(checkpoint.raw_state_dict or {}).items()):
        if value.is_meta or value.is_quantized or value.layout is not torch.strided:
            kind = 'without values' if value.is_meta else 'quantised' if value.is_quantized else str(value.layout)[6:]
        elif value.numel() * value.element_size() > value.untyped_storage().nbytes():
            kind = f'that declares {value.numel()} values and holds {value.untyped_storage().nbytes() // value.element_size()}'
        else:
            continue
        raise ValueError(f'{checkpoint.source}: {name} is a tensor {kind}; plain ones are expected')
    return checkpoint


def read_state_dict(path: str | os.PathLike, trusted: bool = False) -> dict[str, Tensor]:
    """Read the weights of a checkpoint file, and nothing that would run code; see :func:`read_checkpoint`.

    Returns:
        Name -> tensor on the CPU.
    """
    return read_checkpoint(path, trusted).state_dict


@dataclass(frozen=True)
class LoadReport:
    """What loading a checkpoint did.

    Attributes:
        source: What was loaded.
        held: Which model the file holds, in words.
        matched: Number of weights that were filled.
        total: Number of weights that the model has.
        left_out: Names in the file that the model has no place for.
    """

    source: str
    held: str
    matched: int
    total: int
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = f'; {len(self.left_out)} left out: {_some(list(self.left_out))}' if self.left_out else ''
        return f'{self.matched} of {self.total} weights from {self.source} ({self.held or "an unknown model"}){more}'


def load_model(model: nn.Module, source: str | os.PathLike | Checkpoint, trusted: bool = False) -> LoadReport:
    """Fill a whole model from a fine-tuned checkpoint, strictly.

    Args:
        model: Model whose weights have the released names.
        source: See :func:`read_checkpoint`; or what that function has returned.
        trusted: See there.

    Returns:
        What matched; it is also logged.

    Raises:
        FileNotFoundError, ValueError: See :func:`read_checkpoint`; or the checkpoint does not fill the model exactly.
    """
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source, trusted)
    weights = whole_model(checkpoint.state_dict)
    given = len(checkpoint.state_dict)
    fit_state_dict(model, weights, checkpoint.source)
    try:
        model.load_state_dict(weights, strict=True)
    except ValueError as error:
        raise ValueError(f'{checkpoint.source}: {error}') from None
    left_out = tuple(n for n in unwrapped(checkpoint.state_dict) if n not in weights)
    report = LoadReport(checkpoint.source, checkpoint.describe(), len(weights), len(persistent_shapes(model)), left_out)
    assert given >= report.matched == report.total
    print_log(str(report), logger='current')
    return report


def load_backbone(backbone: nn.Module, path: str, prefix: str | None = None, trusted: bool = False) -> LoadReport:
    """Fill a backbone from a bare backbone file, a raw pre-training file or a fine-tuned model, strictly.

    Args:
        backbone: Module whose weights have the released names.
        path: Path, URL or ``hf://`` address; see :func:`read_checkpoint`.
        prefix: What the backbone's weights start with in the file; found out where None.
        trusted: See :func:`read_checkpoint`.

    Returns:
        What matched; it is also logged.

    Raises:
        FileNotFoundError, ValueError: See :func:`read_state_dict`; or the file's backbone is not this one.
    """
    everything = unwrapped(read_state_dict(path, trusted))
    weights = bare_backbone(everything, prefix)
    if not weights:
        raise ValueError(f'{path} has no backbone' + (f' below {prefix!r}' if prefix else '') +
                         f'; it holds {_some(list(everything))}')
    used = {f'{p}{n}' for n in weights for p in ('', 'backbone.', (prefix or '').rstrip('.') + '.')}
    left_out = [n for n in everything if n not in used]
    if 'cls_token' in weights and 'cls_token' not in persistent_shapes(backbone):
        del weights['cls_token']
        left_out.append('cls_token')
    held = describe({k: tuple(v.shape) for k, v in everything.items()}) or 'no Sapiens model'
    try:
        backbone.load_state_dict(weights, strict=True)
    except ValueError as error:
        raise ValueError(f'{path} ({held}): {error}') from None
    report = LoadReport(str(path), held, len(weights), len(persistent_shapes(backbone)), tuple(left_out))
    print_log(f'backbone: {report}', logger='current')
    return report


def load_for_mmengine(source: str, map_location=None) -> dict:
    """Loader for mmengine's ``CheckpointLoader``: a whole checkpoint, with the optimizer's state where it has one.

    Tensors stay on the CPU; mmengine copies them to where the model is.
    """
    path = fetch(source)
    if path.endswith('.safetensors'):
        return dict(state_dict=read_checkpoint(path).state_dict, meta={})
    content = torch_load(path)
    weights = _parse(content, source).state_dict
    own = content.get('state_dict', content)
    as_it_is = isinstance(own, Mapping) and own.keys() == weights.keys() and 'state_dict_ema' not in content
    return content if as_it_is else {**content, 'state_dict': weights}


def hand_to_mmengine(source: str) -> str:
    """Fetch a checkpoint that a run will load, and have mmengine read this very file tensor-only, on every version of torch.

    Returns:
        Its path, for ``load_from`` or ``resume``.

    Raises:
        FileNotFoundError, ValueError: See :func:`sapiens_mm.engine.hub.fetch`.
    """
    from mmengine.runner import CheckpointLoader
    path = os.path.abspath(fetch(source))
    scheme = re.escape(path) + '$'
    if scheme not in CheckpointLoader._schemes:
        CheckpointLoader.register_scheme(prefixes=scheme, loader=load_for_mmengine)
    return path


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
