"""Keypoints, parts, depth, normals or features of pictures: python demo/image_demo.py PICTURE_OR_FOLDER MODEL [WEIGHTS]."""
from __future__ import annotations

import argparse

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, read_config, run_tool


def make_parser(what: str) -> argparse.ArgumentParser:
    """Arguments that pictures and videos share."""
    parser = argparse.ArgumentParser(description=f'Run a Sapiens model over {what}')
    parser.add_argument('input', help=what)
    parser.add_argument('model', help='config, or the name of a released model such as sapiens-1b-pose-308')
    parser.add_argument('weights', nargs='?', help='checkpoint: path, URL or hf://owner/repo/file[@revision]; not needed with the '
                        'name of a released model')
    parser.add_argument('--out-dir', default='outputs', help='where results go; an interrupted run goes on (default: outputs)')
    parser.add_argument('--task', choices=['pose', 'parts', 'depth', 'normal', 'features'], help="default: the model's own")
    parser.add_argument('--device', help='such as cuda:0; by default a GPU where there is one')
    parser.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    parser.add_argument('--batch-size', type=int, default=8, help='people, or whole pictures, at once')
    parser.add_argument('--compile', action='store_true', help='compile the network: slow to start, then faster')
    parser.add_argument('--no-flip-test', action='store_true', help='do not average with the mirrored picture: twice as fast')
    parser.add_argument('--detector', help='mmdet config of a person detector (default: RTMDet-m)')
    parser.add_argument('--detector-weights', help='its checkpoint; without one the whole picture counts as one person')
    parser.add_argument('--boxes', help='json with the boxes of people: {"picture.jpg": [[x1, y1, x2, y2], ...]}, or COCO')
    parser.add_argument('--bbox-thr', type=float, default=0.3, help='least score of a detected person')
    parser.add_argument('--keypoints', choices=['308', '133', '17', 'openpose25'], help='give keypoints out in another order')
    parser.add_argument('--kpt-thr', type=float, default=0.3, help='least score of a keypoint that is drawn')
    parser.add_argument('--format', dest='fmt', help='file format of depth (npy, npz, exr, exr16, png16), normals (npy, npz, exr, '
                        'exr16, png) or features (npy, npz, pooled)')
    parser.add_argument('--masks', help='for depth and normals: folder of PNGs of the same names, 0 in the background')
    parser.add_argument('--no-vis', action='store_true', help='write no pictures')
    parser.add_argument('--overwrite', action='store_true', help='make again what is there')
    parser.add_argument('--trusted', action='store_true', help='load a checkpoint that could run code: only of your own')
    return parser


def build(args: argparse.Namespace):
    """The inferencer that the arguments ask for, and the arguments of its call."""
    import os

    from sapiens_mm import apis
    from sapiens_mm.engine.model_cards import config_facts, find_card
    card = None if os.path.isfile(args.model) else find_card(args.model)
    task = args.task or (card.task if card is not None else config_facts(read_config(args.model))['task'])
    task = 'features' if task == 'pretrain' else task
    kinds = dict(pose=apis.PoseInferencer, parts=apis.PartsInferencer, depth=apis.DepthInferencer, normal=apis.NormalInferencer,
                 features=apis.FeatureInferencer)
    if task not in kinds:
        raise UserError(f'{args.model} does not say what its task is; give --task')
    init = dict(precision=args.precision, compile=args.compile, trusted=args.trusted, show_progress=True)
    call: dict = dict(out_dir=args.out_dir, batch_size=args.batch_size, save_vis=not args.no_vis, overwrite=args.overwrite)
    if args.no_flip_test:
        init['flip_test'] = False
    if task != 'features':
        init.update(detector=args.detector, detector_weights=args.detector_weights, bbox_thr=args.bbox_thr)
        call['bboxes'] = args.boxes
    if task == 'pose':
        call.update(keypoints=args.keypoints, kpt_thr=args.kpt_thr, draw_bbox=bool(args.boxes or args.detector_weights))
    elif args.fmt:
        call['fmt'] = args.fmt
    if args.masks:
        call['masks'] = args.masks
    return kinds[task](args.model, args.weights, args.device, **init), call


def main() -> int:
    parser = make_parser('a picture, a folder, or a pattern in quotes')
    args = parser.parse_args()
    inferencer, call = build(args)
    result = inferencer(args.input, **call)
    print(f'{result["num"]} pictures, results in {args.out_dir}')
    for name, why in result['errors'].items():
        print(f'left out: {why}' if name in why else f'left out: {name}: {why}')
    return 1 if result['errors'] else 0


if __name__ == '__main__':
    run_tool(main)
