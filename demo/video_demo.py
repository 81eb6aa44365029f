"""Keypoints, parts, depth or normals of a video: python demo/video_demo.py VIDEO MODEL [WEIGHTS]."""
from __future__ import annotations

import sys
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import run_tool

sys.path.insert(0, str(Path(__file__).parent))
from image_demo import build, make_parser  # noqa: E402


def main() -> None:
    parser = make_parser('a video, or camera:0 until interrupted')
    parser.add_argument('--track', action='store_true', help='pose: number people from frame to frame')
    parser.add_argument('--smooth', action='store_true', help='pose: add smoothed keypoints beside the raw ones')
    args = parser.parse_args()
    inferencer, call = build(args)
    if inferencer.task == 'pose':
        call.update(track=args.track, smooth=args.smooth)
    result = inferencer(args.input, **call)
    print(f'{result["num"]} frames, results in {args.out_dir}')


if __name__ == '__main__':
    run_tool(main)
