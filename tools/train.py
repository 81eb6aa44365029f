"""Train a model of any task: python tools/train.py CONFIG."""
import argparse

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.checkpoint import hand_to_mmengine, latest_checkpoint
from sapiens_mm.engine.cli import UserError, add_runner_arguments, build_runner, load_runner_config, run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from this checkpoint, or from the last one in the work directory if none is given')
    parser.add_argument('--amp', nargs='?', const='bf16', choices=['bf16', 'fp16'],
                        help='mixed precision: bf16 (the default, also on CPUs) or fp16 with loss scaling (GPU)')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate from the config's base batch size to the actual one")
    add_runner_arguments(parser)
    return parser.parse_args()


def set_precision(optim_wrapper: dict, amp: str) -> None:
    """Make an optimizer wrapper's config compute in ``'bf16'`` or ``'fp16'``."""
    kind = optim_wrapper.get('type', 'OptimWrapper')
    safe = kind in ('sapiens_mm.SafeOptimWrapper', 'sapiens_mm.SafeAmpOptimWrapper')
    if not safe and kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp knows how to change OptimWrapper and sapiens_mm.SafeOptimWrapper, not {kind}; '
                        'state the precision in the config instead')
    if amp == 'bf16':
        optim_wrapper.update(type='sapiens_mm.SafeOptimWrapper', dtype='bfloat16')
    else:
        optim_wrapper.update(type='sapiens_mm.SafeAmpOptimWrapper' if safe else 'AmpOptimWrapper', dtype='float16')
        optim_wrapper.setdefault('loss_scale', 'dynamic')


def main() -> None:
    args = parse_args()
    cfg = load_runner_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        set_precision(cfg.optim_wrapper, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError(f'--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=...) in {args.config}')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        path = latest_checkpoint(cfg.work_dir) if args.resume == 'auto' else args.resume
        cfg.resume, cfg.load_from = path is not None, path or cfg.get('load_from')
    if cfg.get('load_from'):
        cfg.load_from = hand_to_mmengine(cfg.load_from)
    build_runner(cfg).train()


if __name__ == '__main__':
    run_tool(main)
