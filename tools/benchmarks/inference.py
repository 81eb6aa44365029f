"""Speed of pose inference per person, one person at a time and many in a batch, and the share of it that decoding takes.

Random weights, one and the same person in all places of a batch: neither changes the time.

Example: python tools/benchmarks/inference.py CONFIG --batch 16 --precision bf16
"""
from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, read_config, run_tool

PRECISIONS = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='pose config')
    parser.add_argument('--batch', type=int, default=16, help='people at once, beside one at a time (default: 16)')
    parser.add_argument('--precision', choices=list(PRECISIONS), default='fp32')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored picture')
    parser.add_argument('--compile', action='store_true', help="compile the backbone's blocks, as the inferencers do it")
    parser.add_argument('--rounds', type=int, default=7, help='the median of so many counts (default: 7)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def build(args: argparse.Namespace) -> tuple[torch.nn.Module, dict]:
    """The model of the config with random weights, and a packed sample of one person as its test pipeline makes it."""
    from mmengine.dataset import Compose
    from mmengine.registry import MODELS, init_default_scope
    from mmpose.apis.inference import dataset_meta_from_config
    cfg = read_config(args.config)
    if 'out_channels' not in cfg.model.get('head', {}):
        raise UserError(f'{args.config} is no config of a pose model')
    cfg.model.backbone.pop('init_cfg', None)
    cfg.model.setdefault('test_cfg', {})['flip_test'] = args.flip_test
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    with torch.device(args.device):
        model = MODELS.build(cfg.model).eval()
    model.head.fast_decode = True
    if args.compile:
        for block in model.backbone.layers:
            block.compile()
    image = np.random.default_rng(0).integers(0, 256, (1200, 900, 3), np.uint8)
    meta = dataset_meta_from_config(cfg, dataset_mode='test') or {}
    box = dict(bbox=np.array([[100, 100, 800, 1100]], np.float32), bbox_score=np.ones(1, np.float32))
    return model, Compose(cfg.test_dataloader.dataset.pipeline)(dict(img=image, **box, **meta))


def median_seconds(step: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Median time of a step; the first two runs warm up."""
    seconds = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        step()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def measure(model: torch.nn.Module, sample: dict, batch: int, rounds: int, device: torch.device) -> tuple[float, float, float]:
    """Seconds of a batch: from packed pictures to keypoints on the CPU; backbone and head alone, once; decoding alone."""
    data = dict(inputs=[sample['inputs']] * batch, data_samples=[sample['data_samples'].clone() for _ in range(batch)])
    inputs = model.data_preprocessor(data)['inputs']
    heatmaps = model.head(model.backbone(inputs))
    return (median_seconds(lambda: model.test_step(data), rounds, device),
            median_seconds(lambda: model.head(model.backbone(inputs)), rounds, device),
            median_seconds(lambda: model.head.decode(heatmaps), rounds, device))


def main() -> None:
    args = parse_args()
    device = torch.device(args.device)
    model, sample = build(args)
    dtype = PRECISIONS[args.precision]
    hardware = (torch.cuda.get_device_name(device) if device.type == 'cuda' else
                f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} CPU threads')
    print(f'{args.config}, {model.head.out_channels} keypoints, {args.precision}, flip test {"on" if args.flip_test else "off"}'
          f'{", compiled" if args.compile else ""}; torch {torch.__version__}, {hardware}, median of {args.rounds}')
    print(f'{"milliseconds per person":<24}{"all":>10}{"network":>10}{"decoding":>10}{"share of the network":>22}')
    per_person = {}
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for batch in (1, args.batch):
            whole, network, decoding = measure(model, sample, batch, args.rounds, device)
            per_person[batch] = whole / batch
            figures = ''.join(f'{1e3 * seconds / batch:>10.2f}' for seconds in (whole, network, decoding))
            print(f'{f"batch {batch}":<24}{figures}{decoding / network:>21.1%}')
    print(f'a person in a batch of {args.batch} takes {per_person[args.batch] / per_person[1]:.2f} of the time of one alone')


if __name__ == '__main__':
    run_tool(main)
