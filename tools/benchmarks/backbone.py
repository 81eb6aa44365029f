"""Speed of SapiensViT beside mmpretrain's VisionTransformer of the same size, measured in turns in one process.

Example: python tools/benchmarks/backbone.py --arch sapiens_0.3b --size 256 192 --batch 2
"""
from __future__ import annotations

import argparse
import statistics
import time

import torch

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.backbones.sapiens_vit import SIZES, SapiensViT
from sapiens_mm.engine.cli import run_tool

# Forward cost at 1024 x 768 with attention, in floating-point operations (two for each multiply-add).
TFLOP_1024x768 = {'sapiens_0.3b': 2.79, 'sapiens_0.6b': 5.42, 'sapiens_1b': 9.28, 'sapiens_2b': 16.5}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=[*SIZES, 'tiny'], default='sapiens_0.3b')
    parser.add_argument('--layers', type=int, help='only so many blocks of it')
    parser.add_argument('--size', type=int, nargs=2, default=[1024, 768], metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=7, help='each model is timed once in every round (default %(default)s)')
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'], default='float32')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmpretrain.models.backbones import VisionTransformer
    tiny = dict(embed_dims=192, num_layers=6, num_heads=3, feedforward_channels=768)
    arch = tiny if args.arch == 'tiny' else dict(SIZES[args.arch])
    if args.layers:
        arch['num_layers'] = args.layers
    size = tuple(args.size)
    with torch.device(args.device):
        ours = SapiensViT(arch, img_size=size, patch_padding=2)
        stock = VisionTransformer(arch=arch, img_size=size, patch_cfg=dict(padding=2), out_type='featmap', with_cls_token=False)
        x = torch.randn(args.batch, 3, *size)
    stock.load_state_dict(ours.state_dict())
    models = {'SapiensViT': ours, 'mmpretrain ViT': stock}
    synchronize = torch.cuda.synchronize if args.device.startswith('cuda') else lambda: None

    def forward(model) -> None:
        with torch.no_grad(), torch.autocast(x.device.type, getattr(torch, args.dtype), enabled=args.dtype != 'float32'):
            model(x)

    def forward_backward(model) -> None:
        with torch.autocast(x.device.type, getattr(torch, args.dtype), enabled=args.dtype != 'float32'):
            loss = model(x)[0].float().square().mean()
        loss.backward()

    print(f'torch {torch.__version__}, {torch.cuda.get_device_name() if x.is_cuda else f"{torch.get_num_threads()} CPU threads"}, '
          f'{args.arch} with {arch["num_layers"]} blocks, {size[0]} x {size[1]}, batch {args.batch}, {args.dtype}')
    for what, step in (('forward', forward), ('forward + backward', forward_backward)):
        times = {name: [] for name in models}
        for round_number in range(args.rounds + 1):
            order = list(models) if round_number % 2 else list(models)[::-1]
            for name in order:
                synchronize()
                start = time.perf_counter()
                step(models[name])
                synchronize()
                if round_number:  # the first is warm-up
                    times[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(t) for name, t in times.items()}
        ratios = [a / b for a, b in zip(times['mmpretrain ViT'], times['SapiensViT'])]
        print(f'{what:<20}' + '  '.join(f'{name} {1e3 * m:.1f} ms' for name, m in medians.items()) +
              f'  speed-up {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})')
        if what == 'forward' and size == (1024, 768) and args.arch in TFLOP_1024x768 and not args.layers:
            print(f'{"":<20}{TFLOP_1024x768[args.arch] * args.batch / medians["SapiensViT"]:.1f} TFLOP/s')


if __name__ == '__main__':
    run_tool(main)
