"""Pictures per second and core of the pre-training input, beside mmpretrain's stock pipeline on the same files.

    python tools/benchmarks/input_pipeline.py

Makes its own JPEG files of 12 megapixels unless --images names a folder. Both pipelines end with the packed 1024 x 1024 crop. Times
are of the processor, so that another load on the machine counts little.
"""
from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
import cv2  # noqa: E402
import numpy as np  # noqa: E402

import sapiens_mm  # noqa: E402,F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool  # noqa: E402


def make_pictures(directory: Path, count: int, size: tuple[int, int], quality: int) -> None:
    """JPEG files with detail at every scale, and noise as a camera's; ``size`` is (W, H)."""
    for i in range(count):
        rng = np.random.default_rng(i)
        picture = np.zeros((size[1], size[0], 3), np.float32)
        for scale in (4, 16, 64, 256, 1024):
            coarse = rng.normal(size=(size[1] // scale + 3, size[0] // scale + 3, 3)).astype(np.float32)
            picture += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * scale**0.5
        picture = 128 + 50 * picture / picture.std() + rng.normal(0, 2, picture.shape)
        cv2.imwrite(str(directory / f'{i:03d}.jpg'), picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])


def pipelines(size: int) -> dict:
    """Stock, as in mmpretrain's configs of masked auto-encoders, and ours."""
    from mmengine.dataset import Compose
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import TRANSFORMS
    init_default_scope('mmpretrain')
    tail = [dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]
    crop = dict(scale=size, crop_ratio_range=(0.2, 1.0), interpolation='bicubic')
    return {name: Compose([TRANSFORMS.build(t) for t in steps + tail]) for name, steps in {
        'mmpretrain, Pillow': [dict(type='LoadImageFromFile'), dict(type='RandomResizedCrop', backend='pillow', **crop)],
        'mmpretrain, OpenCV': [dict(type='LoadImageFromFile'), dict(type='RandomResizedCrop', backend='cv2', **crop)],
        'sapiens_mm': [dict(type='sapiens_mm.LoadRandomResizedCrop', **crop)]}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description='Measure the pre-training input')
    parser.add_argument('--images', help='folder of JPEG files; made where not given')
    parser.add_argument('--count', type=int, default=8, help='files that are made')
    parser.add_argument('--width', type=int, default=4000, help='of the files that are made')
    parser.add_argument('--height', type=int, default=3000)
    parser.add_argument('--quality', type=int, default=90)
    parser.add_argument('--size', type=int, default=1024, help='side of the crop')
    parser.add_argument('--rounds', type=int, default=5, help='times that each pipeline goes over the files')
    args = parser.parse_args()
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(args.images or made)
        if not args.images:
            make_pictures(folder, args.count, (args.width, args.height), args.quality)
        files = sorted(str(f) for f in folder.glob('*.jp*g'))
        if not files:
            raise UserError(f'no JPEG files in {folder}')
        built = pipelines(args.size)
        seconds = {name: [] for name in built}
        for number in range(args.rounds + 1):
            for name, pipeline in built.items():
                np.random.seed(number)  # the same crops for all
                start = time.process_time()
                for file in files:
                    pipeline(dict(img_path=file))
                if number:  # the first round reads the files into the page cache
                    seconds[name].append((time.process_time() - start) / len(files))
        print(f'{len(files)} files of {sum(os.path.getsize(f) for f in files) / len(files) / 1e6:.1f} MB to {args.size} x '
              f'{args.size}, {platform.processor() or platform.machine()}, median of {args.rounds} rounds\n')
    base = statistics.median(seconds['mmpretrain, Pillow'])
    print('| pipeline | ms per picture | pictures / s / core | times stock |\n|---|---|---|---|')
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f'| {name} | {middle * 1e3:.1f} | {1 / middle:.1f} | {base / middle:.2f} |')


if __name__ == '__main__':
    run_tool(main)
