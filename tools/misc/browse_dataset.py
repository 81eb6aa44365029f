"""Look at a config's samples as the network will see them: python tools/misc/browse_dataset.py CONFIG --output-dir DIR."""
import argparse
import os
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, read_config, run_tool


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(description='Browse a data set')
    parser.add_argument('config', help='config file of any task')
    parser.add_argument('--output-dir', help='save the pictures here')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('--phase', choices=['train', 'val', 'test'], default='train', help='which data set')
    parser.add_argument('--mode', choices=['transformed', 'original'], default='transformed',
                        help='samples after the pipeline, or pictures from disk with their labels (pose only)')
    parser.add_argument('--max-item-per-dataset', '-n', type=int, default=50, metavar='N', help='so many samples')
    parser.add_argument('--show-interval', type=float, default=2, help='seconds that a window shows one sample')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override entries of the config')
    return parser.parse_args()


def to_picture(inputs):
    """Packed (3, H, W) BGR input to (H, W, 3) RGB, as visualisers expect it."""
    return inputs.permute(1, 2, 0).numpy()[..., ::-1].copy()


def original_pose_sample(item: dict):
    """An unprocessed pose sample with its picture: RGB array and data sample."""
    import mmcv
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    visible = item['keypoints_visible']
    sample = PoseDataSample(metainfo=dict(img_path=item['img_path']))
    sample.gt_instances = InstanceData(keypoints=item['keypoints'], bboxes=item['bbox'],
                                       keypoints_visible=visible[..., 0] if visible.ndim == 3 else visible)
    picture = mmcv.imread(item['img_path'], channel_order='rgb')
    return picture, sample


def main() -> None:
    args = parse_args()
    if not args.output_dir and (args.not_show or not os.environ.get('DISPLAY')):
        raise UserError('there is no display to show pictures on; give --output-dir DIR to save them')
    cfg = read_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
    init_default_scope(cfg.default_scope)
    loader = cfg.get(f'{args.phase}_dataloader')
    if not loader:
        raise UserError(f'{args.config} has no {args.phase}_dataloader')
    pose = cfg.default_scope == 'mmpose'
    if args.mode == 'original':
        if not pose:
            raise UserError('--mode original is for pose; other samples are shown as --mode transformed')
        loader.dataset.pipeline = []
    elif pose:
        loader.dataset.pipeline[-1].pack_transformed = True
    dataset = DATASETS.build(loader.dataset)
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'vis_backends': None, 'save_dir': None})
    if pose:
        visualizer.set_dataset_meta(dataset.metainfo)
    else:
        visualizer.dataset_meta = dataset.metainfo
    options = dict(draw_bbox=args.mode == 'original', draw_heatmap=True) if pose else {}
    count = min(args.max_item_per_dataset, len(dataset))
    for i in range(count):
        item = dataset[i]
        if args.mode == 'original':
            picture, sample = original_pose_sample(item)
        else:
            picture, sample = to_picture(item['inputs']), item['data_samples']
        name = f'{i:05d}_{Path(sample.metainfo.get("img_path") or "sample").stem}'
        out_file = str(Path(args.output_dir) / f'{name}.jpg') if args.output_dir else None
        visualizer.add_datasample(name, picture, sample, draw_gt=True, draw_pred=False, out_file=out_file,
                                  show=not args.not_show and not out_file, wait_time=args.show_interval, **options)
    print(f'{count} of {len(dataset)} {args.phase} samples' + (f' in {args.output_dir}' if args.output_dir else ''))


if __name__ == '__main__':
    run_tool(main)
