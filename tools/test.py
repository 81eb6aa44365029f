"""Evaluate a checkpoint on a config's test set: python tools/test.py CONFIG CHECKPOINT."""
import argparse

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.checkpoint import hand_to_mmengine
from sapiens_mm.engine.cli import UserError, add_runner_arguments, build_runner, load_runner_config, run_tool
from sapiens_mm.engine.model_cards import check_belongs


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='.pth or .safetensors file: a path, a URL or hf://owner/repo/file')
    parser.add_argument('--out', '--dump', dest='out', metavar='FILE.pkl', help='save the predictions for offline evaluation')
    add_runner_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out takes a .pkl file, got {args.out}')
    cfg = load_runner_config(args)
    check_belongs(cfg, args.checkpoint, args.config)
    cfg.load_from = hand_to_mmengine(args.checkpoint)
    if args.out:
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
        cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.out)]
    build_runner(cfg).test()


if __name__ == '__main__':
    run_tool(main)
