"""Networks as files of their own: ``torch.export`` and ONNX, written, checked and run in place of a model's layers.

What is exported is the network alone, from the normalised picture to the head's output. Cropping, normalising, the flip test,
decoding and resizing stay in the library, so that an exported model gives results through the same inferencers.
"""
from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.utils import digit_version
from torch import Tensor, nn

_META = 'sapiens_mm'
_ONE_FILE = 3 * 2**29  # bytes of weights in an ONNX file; protobuf ends at 2 GB


class Network(nn.Module):
    """Backbone and head of an estimator: (B, 3, H, W), normalised, to the head's output (B, K, h, w)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.backbone = model.backbone
        self.head = model.decode_head if hasattr(model, 'decode_head') else model.head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


def _notes(model: nn.Module, config: str) -> dict:
    head = model.decode_head if hasattr(model, 'decode_head') else model.head
    return dict(config=Path(config).name, head=type(head).__name__, img_size=list(model.backbone.img_size),
                outputs=int(getattr(head, 'num_classes', None) or head.out_channels))


def export(model: nn.Module, target: str | Path, config: str, batch: int = 2) -> dict:
    """Write a network and hold it against the model that it was made from.

    Args:
        model: Pose or dense estimator, on the CPU, in float32.
        target: ``.pt2`` (``torch.export``) or ``.onnx``. Weights that do not fit into one ONNX file lie beside it in
            ``NAME.onnx.data``.
        config: Its config, for the notes in the file.
        batch: Pictures of the example; the file takes any number.

    Returns:
        ``max`` and ``mean`` absolute difference from the model over batches of 1 and 3, ``scale``, the model's largest output, and
        ``files``, what was written.

    Raises:
        ValueError: Another suffix; a package is missing or too old; the file's numbers are not the model's.
    """
    target = Path(target)
    if target.suffix not in ('.pt2', '.onnx'):
        raise ValueError(f'{target} should end in .pt2 (torch.export) or .onnx')
    if digit_version(torch.__version__) < digit_version('2.5'):
        raise ValueError(f'export needs torch 2.5 or later, this is {torch.__version__}')
    if target.suffix == '.onnx':
        _need('export to ONNX', 'onnx', 'onnxscript', 'onnxruntime')
    network = Network(model).eval()
    rng = torch.Generator().manual_seed(0)
    height, width = model.backbone.img_size
    example = torch.randn(batch, 3, height, width, generator=rng)
    dynamic = {0: torch.export.Dim('batch', min=1, max=1024)}
    notes = _notes(model, config)
    target.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), TemporaryDirectory(dir=target.parent, prefix=f'.{target.stem}.partial.') as folder:
        path = Path(folder) / target.name
        program = torch.export.export(network, (example, ), dynamic_shapes=(dynamic, ))
        if target.suffix == '.pt2':
            torch.export.save(program, str(path), extra_files={f'{_META}.json': json.dumps(notes)})
        else:
            written = torch.onnx.export(program, dynamo=True, input_names=['image'], output_names=['output'], verbose=False)
            written.model.metadata_props[_META] = json.dumps(notes)
            written.save(path, external_data=sum(t.nbytes for t in program.state_dict.values()) > _ONE_FILE)
        report = _compare(network, load_exported(path, 'cpu', trusted=True), (3, height, width), rng)
        return dict(report, files=_move(Path(folder), target))


def _compare(network: Network, run: Callable[[Tensor], Tensor], shape: tuple[int, ...], rng: torch.Generator) -> dict:
    differences, scale = [], 0.
    for number in (1, 3):
        x = torch.randn(number, *shape, generator=rng)
        expected = network(x)
        differences.append((run(x).float() - expected).abs().flatten())
        scale = max(scale, expected.abs().max().item())
    difference = torch.cat(differences)
    report = dict(max=difference.max().item(), mean=difference.mean().item(), scale=scale)
    if not report['max'] <= 1e-3 * max(scale, 1e-3):
        raise ValueError(f'the exported network differs by {report["max"]:.2g} where the model goes up to {scale:.2g}; it is not '
                         'written')
    return report


def _move(folder: Path, target: Path) -> list[str]:
    """Finished files to their place. The one that refers to the other comes last and is away meanwhile: they never mix."""
    beside = target.with_name(f'{target.name}.data')
    if beside.is_file() or (folder / beside.name).is_file():
        target.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
    files = sorted(folder.iterdir(), key=lambda p: p.name == target.name)
    for file in files:
        os.replace(file, target.with_name(file.name))
    return [str(target.with_name(file.name)) for file in reversed(files)]


def _need(what: str, *packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ValueError(f'{what} needs: pip install {" ".join(missing)}')


def load_exported(path: str | Path, device: str, trusted: bool = False) -> Callable[[Tensor], Tensor]:
    """A function (B, 3, H, W) -> (B, K, h, w) from an exported file; its ``notes`` say what it is.

    Args:
        path: ``.pt2`` or ``.onnx``.
        device: Where it runs.
        trusted: Read a ``.pt2`` file at all: torch unpickles parts of them, which can run code. An ``.onnx`` file holds none.

    Raises:
        FileNotFoundError, ValueError: There is no such file, it is damaged or not of ours, or a package is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no exported model at {path}')
    if path.suffix == '.onnx':
        return _load_onnx(path, device)
    if not trusted:
        raise ValueError(f'{path}: torch reads .pt2 files in a way that can run code which they contain; give trusted=True '
                         '(--trusted) where you made the file yourself, or use an .onnx file')
    extra = {f'{_META}.json': ''}
    try:
        program = torch.export.load(str(path), extra_files=extra)
    except Exception as error:
        raise ValueError(f'{path} cannot be read as a torch.export file: {" ".join(str(error).split())[:160]}') from error
    module = program.module().to(device)

    def run(x: Tensor) -> Tensor:
        return module(x.to(device))

    run.notes = json.loads(extra[f'{_META}.json'] or '{}')
    return run


def _load_onnx(path: Path, device: str) -> Callable[[Tensor], Tensor]:
    if find_spec('onnxruntime') is None:
        raise ValueError('running ONNX files needs: pip install onnxruntime (or onnxruntime-gpu)')
    import onnxruntime
    wanted = ['CUDAExecutionProvider'] if str(device).startswith('cuda') else []
    providers = [p for p in (*wanted, 'CPUExecutionProvider') if p in onnxruntime.get_available_providers()]
    if len(providers) <= len(wanted):
        print_log(f'this onnxruntime has no CUDA: {path} runs on the CPU (pip install onnxruntime-gpu)', 'current', logging.WARNING)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ValueError(f'{path} cannot be read as an ONNX file: {" ".join(str(error).split())[:160]}') from error
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        out = session.run(None, {name: np.ascontiguousarray(x.detach().float().cpu().numpy())})[0]
        return torch.from_numpy(out).to(device)

    run.notes = json.loads(session.get_modelmeta().custom_metadata_map.get(_META, '{}'))
    return run


class _Passes(nn.Module):
    """Stands for the backbone: hands the picture on to the exported network."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.img_size, self.embed_dims = backbone.img_size, backbone.embed_dims

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x, )


def run_exported(model: nn.Module, path: str, device: str, trusted: bool = False) -> None:
    """Put an exported network in the place of a model's backbone and head layers, in place.

    Args:
        model: Built from the config, its weights do not matter.
        path, device, trusted: See :func:`load_exported`.

    Raises:
        ValueError: The file is of another head, size or number of outputs than the model; see :func:`load_exported`.
    """
    run = load_exported(path, device, trusted)
    own = _notes(model, run.notes.get('config', ''))
    wrong = [f'{k} {run.notes.get(k)} instead of {own[k]}' for k in own if run.notes.get(k) != own[k]]
    if wrong:
        raise ValueError(f'{path} does not belong to the config: {"; ".join(wrong)}')
    model.backbone = _Passes(model.backbone)
    head = model.decode_head if hasattr(model, 'decode_head') else model.head
    for name in [n for n, _ in head.named_children() if n not in ('loss_module', 'loss_decode')]:
        delattr(head, name)
    head.forward = lambda feats: run(feats[-1]).float()
