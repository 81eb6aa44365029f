"""Speed of pose inference per person, one person at a time and many in a batch, and the share of it that decoding takes.

The weights are random, which does not change the network's time. It would change decoding's, which is given Gaussian peaks instead;
--hidden says how many of the keypoints have none, as those out of sight, whose maps take longer.

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
    parser.add_argument('--hidden', type=float, default=0.2, help='share of keypoints without a peak (default: 0.2)')
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


def prepare(model: torch.nn.Module, sample: dict, batch: int) -> dict[str, Callable[[], object]]:
    """What is timed: from packed pictures to keypoints on the CPU; backbone and head, once; decoding."""
    data = dict(inputs=[sample['inputs']] * batch, data_samples=[sample['data_samples'].clone() for _ in range(batch)])
    inputs = model.data_preprocessor(data)['inputs']
    return dict(all=lambda: model.test_step(data), network=lambda: model.head(model.backbone(inputs)),
                decoding=lambda: model.head.decode(batch * [None]))


def give_peaks(model: torch.nn.Module, batch: int, hidden: float, device: torch.device) -> None:
    """Let the head decode, whatever it is given, Gaussian peaks of the codec's width, and faint noise in a share of the maps."""
    width, height = model.head.decoder.heatmap_size
    rng = torch.Generator().manual_seed(0)
    x, y, seen = (torch.rand(batch, model.head.out_channels, 1, 1, generator=rng) for _ in range(3))
    rows, columns = torch.arange(height).view(-1, 1), torch.arange(width)
    distance = (columns - x * (width - 1)).square() + (rows - y * (height - 1)).square()
    maps = (-distance / (2 * model.head.decoder.sigma**2)).exp() * (seen >= hidden)
    maps = (maps + 1e-4 * torch.rand(maps.shape, generator=rng)).to(device)
    decode = model.head.decode
    model.head.decode = lambda heatmaps: decode(maps[:len(heatmaps)])


def median_seconds(steps: dict, rounds: int, device: torch.device) -> dict:
    """Median time of every step, taken in turns, so that a machine that slows down slows all of them; two rounds warm up."""
    seconds = {name: [] for name in steps}
    for _ in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[2:]) for name, times in seconds.items()}


def main() -> None:
    args = parse_args()
    device = torch.device(args.device)
    model, sample = build(args)
    give_peaks(model, args.batch, args.hidden, device)
    dtype = PRECISIONS[args.precision]
    hardware = (torch.cuda.get_device_name(device) if device.type == 'cuda' else
                f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} CPU threads')
    print(f'{args.config}, {model.head.out_channels} keypoints, {args.precision}, flip test {"on" if args.flip_test else "off"}'
          f'{", compiled" if args.compile else ""}; torch {torch.__version__}, {hardware}, median of {args.rounds}')
    print(f'{"milliseconds per person":<24}{"all":>10}{"network":>10}{"decoding":>10}{"share of the network":>22}')
    batches = 1, args.batch
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        steps = {(batch, what): step for batch in batches for what, step in prepare(model, sample, batch).items()}
        seconds = median_seconds(steps, args.rounds, device)
    for batch in batches:
        figures = ''.join(f'{1e3 * seconds[batch, what] / batch:>10.2f}' for what in ('all', 'network', 'decoding'))
        print(f'{f"batch {batch}":<24}{figures}{seconds[batch, "decoding"] / seconds[batch, "network"]:>21.1%}')
    ratio = seconds[args.batch, 'all'] / args.batch / seconds[1, 'all']
    print(f'a person in a batch of {args.batch} takes {ratio:.2f} of the time of one alone')


if __name__ == '__main__':
    run_tool(main)
