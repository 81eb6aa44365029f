"""Time heatmap decoding on this machine: mmpose's, map by map on the CPU, beside the batched one of this package."""
from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import run_tool


def make_heatmaps(batch: int, keypoints: int, height: int, width: int, sigma: float, seed: int = 0,
                  hidden: float = 0.) -> torch.Tensor:
    """Gaussian peaks at random places and of random heights on weak noise: (B, K, H, W).

    Of a share ``hidden`` of the maps, those of keypoints that are not in the picture, there is weak noise only.
    """
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(batch, keypoints, 1, 1, generator=rng) * (side - 1) for side in (width, height))
    peak = 0.1 + 0.9 * torch.rand(batch, keypoints, 1, 1, generator=rng)
    peak[:, :round(hidden * keypoints)] = 0
    rows, cols = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    maps = peak * torch.exp(-((cols - x)**2 + (rows - y)**2) / (2 * sigma**2))
    return maps + 1e-3 * (torch.rand(maps.shape, generator=rng) - 0.5 * (peak == 0))


def timed(call, repeat: int, device: torch.device) -> tuple[float, object]:
    """Median seconds of a call and what it returned last."""
    result, seconds = call(), []
    for _ in range(repeat):
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch', type=int, default=4, help='people at once')
    parser.add_argument('--keypoints', type=int, default=308)
    parser.add_argument('--heatmap', type=int, nargs=2, default=(256, 192), metavar=('H', 'W'))
    parser.add_argument('--sigma', type=float, default=6.)
    parser.add_argument('--hidden', type=float, default=0.2, help='share of keypoints that are not in the picture')
    parser.add_argument('--repeat', type=int, default=7, help='the median of so many runs counts')
    parser.add_argument('--device', default='cpu', help='where the heatmaps are')
    parser.add_argument('--threads', type=int, default=1, help='threads of PyTorch and OpenCV on the CPU')
    args = parser.parse_args()

    import cv2
    from mmpose.codecs import UDPHeatmap

    from sapiens_mm.pose.decode import decode_udp
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    device = torch.device(args.device)
    height, width = args.heatmap
    maps = make_heatmaps(args.batch, args.keypoints, height, width, args.sigma, hidden=args.hidden).to(device)
    input_size = (4 * width, 4 * height)
    codec = UDPHeatmap(input_size=input_size, heatmap_size=(width, height), sigma=args.sigma)

    def stock():
        decoded = [codec.decode(one) for one in maps.cpu().numpy()]
        return np.concatenate([d[0] for d in decoded]), np.concatenate([d[1] for d in decoded])

    seconds, (expected, expected_scores) = timed(stock, args.repeat, device)
    ours, (got, scores) = timed(lambda: decode_udp(maps, input_size, codec.blur_kernel_size), args.repeat, device)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'CPU, {args.threads} thread(s)'
    print(f'{args.batch} people x {args.keypoints} heatmaps of {height} x {width} (H x W) on {name}, torch {torch.__version__}, '
          f'median of {args.repeat}')
    print(f'{"":<28}{"mmpose":>12}{"batched":>12}{"ratio":>8}')
    print(f'{"milliseconds per person":<28}{1e3 * seconds / args.batch:>12.2f}{1e3 * ours / args.batch:>12.2f}'
          f'{seconds / ours:>8.1f}')
    seen = expected_scores > 0.05  # where there is a peak: the others' keypoints lie anywhere
    print(f'largest difference: {np.abs(got - expected)[seen].max():.2g} pixels of the input, '
          f'{np.abs(scores - expected_scores).max():.2g} in score')


if __name__ == '__main__':
    run_tool(main)
