"""Peak memory of predicting and evaluating body parts of a large picture: this package and stock mmsegmentation side by side.

python tools/benchmarks/parts_memory.py --size 4000 3000

Each runs in a process of its own on the same picture, labels and weights: read, resize, predict, evaluate. The network is small
unless --arch says otherwise, so that the figures are those of what comes after it.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sapiens_mm  # first, so that the OpenMMLab packages import
from sapiens_mm.engine.cli import UserError, run_tool

TINY = dict(embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96)
READ = dict(type='LoadImageFromFile')
# Segmentor, metric and test pipeline, each as in its library's configs.
KINDS = dict(
    stock=('EncoderDecoder', 'IoUMetric', [
        READ, dict(type='Resize', scale=(768, 1024)), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]),
    ours=('sapiens_mm.SapiensPartsSegmentor', 'sapiens_mm.PartsMetric', [
        READ, dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),
        dict(type='sapiens_mm.LoadParts', vocabulary='parts28', on_bad='refuse'),
        dict(type='sapiens_mm.PackDenseInputs', byte_labels=True)]))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Peak memory of predicting and evaluating body parts of a large picture')
    parser.add_argument('--size', nargs=2, type=int, default=(4000, 3000), metavar=('H', 'W'), help='of the picture')
    parser.add_argument('--classes', type=int, default=28, help='number of classes, at most 28')
    parser.add_argument('--arch', help='a size of the backbone, such as sapiens_0.3b, with the released head; default: a small one')
    parser.add_argument('--channels', type=int, default=16, help='of the small head')
    parser.add_argument('--kind', choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    return parser.parse_args()


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    try:
        # getrusage starts from the parent's size.
        return float(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())[1]) / 2**10
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == 'darwin' else peak / 2**10


def build_model(args: argparse.Namespace, kind: str):
    """The segmentor, with the same weights for every kind."""
    import torch
    from mmengine.config import ConfigDict
    from mmengine.registry import MODELS

    from sapiens_mm.backbones.sapiens_vit import SIZES
    width = SIZES[args.arch]['embed_dims'] if args.arch else TINY['embed_dims']
    channels = [768 if args.arch else args.channels] * 3
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type=kind,
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                               bgr_to_rgb=True),
        backbone=dict(type='sapiens_mm.SapiensViT', arch=args.arch or TINY, img_size=(1024, 768), patch_padding=0),
        decode_head=dict(type='sapiens_mm.SapiensPartsHead', in_channels=width, num_classes=args.classes,
                         deconv_out_channels=channels, conv_out_channels=channels,
                         loss_decode=dict(type='CrossEntropyLoss', reduction='none')),
        test_cfg=ConfigDict(mode='whole')))
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)  # so that every class occurs
    return model.eval()


def measure(args: argparse.Namespace) -> None:
    """Predict and evaluate one picture; write labels and print figures."""
    import numpy as np
    import torch
    from mmcv.transforms import Compose
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import METRICS, TRANSFORMS, init_default_scope
    torch.set_num_threads(1)
    init_default_scope('mmseg')
    kind, metric, steps = KINDS[args.kind]
    model = build_model(args, kind)
    metric = METRICS.build(dict(type=metric))
    metric.dataset_meta = dict(classes=[f'class {i}' for i in range(args.classes)])
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    before = peak_mib()
    folder = Path(args.folder)
    batch = pseudo_collate([pipeline(dict(img_path=str(folder / 'image.png'), seg_map_path=str(folder / 'labels.png'),
                                          reduce_zero_label=False, seg_fields=[]))])
    start = time.process_time()
    with torch.no_grad():
        samples = model.test_step(batch)
    metric.process(batch, [sample.to_dict() for sample in samples])
    figures = metric.evaluate(1)
    seconds = time.process_time() - start
    peak = peak_mib()
    np.save(folder / f'{args.kind}.npy', samples[0].pred_sem_seg.data.numpy().astype(np.uint8))
    print(json.dumps(dict(before=before, peak=peak, seconds=seconds, mIoU=float(figures['mIoU']))))


def compare(args: argparse.Namespace) -> None:
    """Measure both and print what they took; seconds are of the processor, for predicting and evaluating."""
    import cv2
    import mmseg
    import numpy as np
    import torch
    if min(args.size) < 1 or not 2 <= args.classes <= 28:
        raise UserError(f'--size must be positive and --classes 2 to 28, got {args.size} and {args.classes}')
    command = [sys.executable, __file__, '--size', *map(str, args.size), '--classes', str(args.classes), '--channels',
               str(args.channels)] + (['--arch', args.arch] if args.arch else [])
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        height, width = args.size
        small = rng.integers(0, 256, (30, 20, 3), dtype=np.uint8)
        cv2.imwrite(f'{folder}/image.png', cv2.resize(small, (width, height)))
        labels = rng.integers(0, args.classes, (40, 30), dtype=np.uint8)
        cv2.imwrite(f'{folder}/labels.png', cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST))
        for kind in KINDS:
            done = subprocess.run([*command, '--kind', kind, '--folder', folder], capture_output=True, text=True,
                                  env={**os.environ, 'PYTHONWARNINGS': 'ignore', 'OMP_NUM_THREADS': '1'})
            if done.returncode:
                raise RuntimeError(f'{kind} failed:\n{done.stderr}')
            results[kind] = json.loads(done.stdout.splitlines()[-1])
        same = np.array_equal(np.load(f'{folder}/stock.npy'), np.load(f'{folder}/ours.npy'))
        found = len(np.unique(np.load(f'{folder}/ours.npy')))
    print(f'{height} x {width}, {args.classes} classes ({found} of them predicted), network '
          f'{args.arch or f"with a head of {args.channels} channels"}; MiB\n')
    print(f'{"":8}{"start":>10}{"peak":>10}{"added":>10}{"seconds":>10}{"mIoU":>10}')
    for kind, result in results.items():
        print(f'{kind:8}{result["before"]:>10.0f}{result["peak"]:>10.0f}{result["peak"] - result["before"]:>10.0f}'
              f'{result["seconds"]:>10.1f}{result["mIoU"]:>10.2f}')
    stock, ours = results['stock'], results['ours']
    print(f'\nours / stock: {ours["peak"] / stock["peak"]:.3f} of the whole process, '
          f'{(ours["peak"] - ours["before"]) / (stock["peak"] - stock["before"]):.3f} of what the picture adds')
    print(f'labels the same: {"yes" if same else "NO"}')
    print(f'sapiens_mm {sapiens_mm.__version__}, mmsegmentation {mmseg.__version__}, torch {torch.__version__}, Python '
          f'{platform.python_version()}, {platform.machine()}, one thread')
    if not same:
        raise RuntimeError('the labels differ')


def main() -> None:
    args = parse_args()
    measure(args) if args.kind else compare(args)


if __name__ == '__main__':
    run_tool(main)
